"""Finds what deserves a look in a model's code before it is approved, from its syntax tree, never by running it.

This helps the person who reads the code. It proves nothing: code that is meant to hide something can.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.text import safe_text
from engine.trust.suspicious_names import (
    ATTRIBUTES,
    BUILTINS,
    BY_NAME,
    DOWNLOADING,
    EXPECTED,
    HARMLESS,
    MODULES,
    USUAL_DECORATORS,
    USUAL_DUNDERS,
    WHAT_FOR,
)

LONGEST_LINE = 160
MOST_FINDINGS = 200

_DUNDER = re.compile(r"__\w+__")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A place in the code that deserves a look.

    Attributes:
        line: counted from 1.
        what: what is there and why it is listed, as a clause; may contain names from the code (not made safe).
    """

    line: int
    what: str


def what_deserves_a_look(code: str) -> tuple[Finding, ...]:
    """Return the findings in a module's text, by line; at most 200, the last of which says how many more there are.

    The findings are: imports of anything but `EXPECTED` and `HARMLESS`; the built-in functions that run text as code,
    open files or reach names by text; modules and methods that reach files, processes, the network or native code,
    however they are reached; attributes with two underscores at both ends; code that runs when the file is loaded,
    other than imports, definitions and plain constants; lines that are too long or contain invisible characters.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: the text cannot be parsed as Python.
    """
    tree = ast.parse(code)
    findings = {*_imports(tree), *_uses(tree), *_at_load(tree.body, inside=""), *_lines(code)}
    ordered = sorted(findings)
    if len(ordered) > MOST_FINDINGS:
        rest = len(ordered) - MOST_FINDINGS + 1
        ordered[MOST_FINDINGS - 1 :] = [Finding(ordered[MOST_FINDINGS - 1].line, f"and {rest:,} more from here on")]
    return tuple(ordered)


def lines_of(code: str) -> list[str]:
    """Split code into lines as Python counts them: ended by LF, CR LF or CR, and by nothing else."""
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _imports(tree: ast.AST) -> Iterator[Finding]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from _import(node, alias.name)
            case ast.ImportFrom(module=module, names=names, level=level):
                if level:
                    yield Finding(node.lineno, "imports a file beside it, which does not work here")
                    continue
                yield from _import(node, module or "")
                for alias in names:
                    if alias.name == "*":
                        yield Finding(node.lineno, f"imports everything from {module}, whatever names it has")
                    elif alias.name in MODULES or alias.name in ATTRIBUTES:
                        why = ATTRIBUTES.get(alias.name) or WHAT_FOR[alias.name]
                        yield Finding(node.lineno, f"imports {alias.name} from {module}: {why}")


def _import(node: ast.stmt, module: str) -> Iterator[Finding]:
    package, *rest = module.split(".")
    if package in EXPECTED:
        for part in rest:
            if part in ATTRIBUTES:
                yield Finding(node.lineno, f"imports {module}: {ATTRIBUTES[part]}")
    elif package not in HARMLESS:
        why = WHAT_FOR.get(package)
        yield Finding(node.lineno, f"imports {module}" + (f": {why}" if why else ""))


def _uses(tree: ast.AST) -> Iterator[Finding]:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in BUILTINS:
                yield Finding(node.lineno, f"{name}: {BUILTINS[name]}")
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in BY_NAME:
                yield from _by_name(node, name, arguments)
            case ast.Name(id=name) if name in BY_NAME and id(node) not in called:
                yield Finding(node.lineno, f"{name} under another name: reaches attributes by text")
            case ast.Attribute(attr=name) if name in ATTRIBUTES or name in MODULES:
                yield Finding(node.lineno, f".{name}: {ATTRIBUTES.get(name) or WHAT_FOR[name]}")
            case ast.Attribute(attr=name) if _DUNDER.fullmatch(name) and name not in USUAL_DUNDERS:
                yield Finding(node.lineno, f".{name}: reaches behind an object")
            case ast.Name(id="__file__"):
                yield Finding(node.lineno, "__file__: knows where it is, and can reach the files there")
            case ast.Global(names=names):
                yield Finding(node.lineno, f"global {', '.join(names)}: keeps something between calls")
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in DOWNLOADING and not _is_off(keyword.value):
                    yield Finding(keyword.value.lineno, f"{keyword.arg}=: may download weights")


def _by_name(node: ast.Call, name: str, arguments: Sequence[ast.expr]) -> Iterator[Finding]:
    if len(arguments) < 2 or not (isinstance(arguments[1], ast.Constant) and isinstance(arguments[1].value, str)):
        yield Finding(node.lineno, f"{name} with a name that it works out")
        return
    wanted = arguments[1].value
    known = BUILTINS | ATTRIBUTES
    if wanted in known or wanted in MODULES or (_DUNDER.fullmatch(wanted) and wanted not in USUAL_DUNDERS):
        yield Finding(node.lineno, f"{name} of {wanted}: {known.get(wanted, 'reaches behind an object')}")


def _is_off(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value in (None, False)


def _at_load(body: Sequence[ast.stmt], *, inside: str) -> Iterator[Finding]:
    """Find code that runs when the file is loaded: at the top level, in class bodies, decorators and defaults."""
    where = f" in {inside}" if inside else ""
    for node in body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Pass():
                continue
            case ast.Expr(value=ast.Constant()):  # a docstring
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for value in (*_defaults(node.args), *_annotations(node)):
                    if not _is_plain(value):
                        yield Finding(value.lineno, f"runs on loading: a default or annotation of {node.name}{where}")
                yield from _decorators(node)
            case ast.ClassDef():
                for value in (*node.bases, *(keyword.value for keyword in node.keywords)):
                    if not _is_plain(value):
                        yield Finding(value.lineno, f"runs on loading: what {node.name} is made from{where}")
                if any(keyword.arg == "metaclass" for keyword in node.keywords):
                    yield Finding(node.lineno, f"runs on loading: the metaclass of {node.name}{where}")
                yield from _decorators(node)
                yield from _at_load(node.body, inside=f"the class {node.name}")
            case ast.Assign(value=value) | ast.AugAssign(value=value):
                if not _is_plain(value) or not all(_is_name(target) for target in _targets(node)):
                    yield Finding(node.lineno, f"runs on loading{where}")
            case ast.AnnAssign(value=value):
                plain = _is_plain(node.annotation) and (value is None or _is_plain(value))
                if not plain or not _is_name(node.target):
                    yield Finding(node.lineno, f"runs on loading{where}")
            case ast.If(
                test=ast.Compare(
                    left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]
                ),
                orelse=[],
            ):
                yield Finding(node.lineno, "for running the file by itself: does not run on loading")
            case _:
                yield Finding(node.lineno, f"runs on loading{where}")


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(default for default in arguments.kw_defaults if default is not None)]


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg)
    found = [argument.annotation for argument in every if argument is not None]
    return [annotation for annotation in (*found, node.returns) if annotation is not None]


def _targets(node: ast.Assign | ast.AugAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _is_name(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(_is_name(element) for element in target.elts)
    return isinstance(target, ast.Name)


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[Finding]:
    for decorator in node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if _dotted(function) not in USUAL_DECORATORS:
            yield Finding(decorator.lineno, f"runs on loading: the decorator of {node.name}")


def _dotted(value: ast.expr) -> str:
    """Return `a.b.c` for an expression of that form; empty for any other."""
    parts: list[str] = []
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    return ".".join([value.id, *reversed(parts)]) if isinstance(value, ast.Name) else ""


def _is_plain(value: ast.expr) -> bool:
    """Whether evaluating an expression runs only Python's own operators on constants and names."""
    allowed = (
        ast.Constant,
        ast.Name,
        ast.Attribute,
        ast.Subscript,
        ast.Slice,
        ast.Tuple,
        ast.List,
        ast.Set,
        ast.Dict,
        ast.Starred,
        ast.UnaryOp,
        ast.BinOp,
        ast.BoolOp,
        ast.Compare,
        ast.IfExp,
        ast.Lambda,
        ast.expr_context,
        ast.operator,
        ast.unaryop,
        ast.boolop,
        ast.cmpop,
    )
    waiting: list[ast.AST] = [value]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, allowed):
            return False
        # A lambda's body runs when it is called, but its defaults are evaluated at once.
        waiting.extend(_defaults(node.args) if isinstance(node, ast.Lambda) else ast.iter_child_nodes(node))
    return True


def _lines(code: str) -> Iterator[Finding]:
    for number, line in enumerate(lines_of(code), start=1):
        if len(line) > LONGEST_LINE:
            yield Finding(number, f"the line has {len(line):,} characters: look at its end")
        if safe_text(line, multiline=True) != line.replace("\t", "    "):
            yield Finding(number, "has characters that cannot be seen or that change the order of the text")
