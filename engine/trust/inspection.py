"""Finds what a network's code is not expected to do, from its syntax tree, never by running it.

The code is compared with what a network needs: layers, tensor functions, arithmetic, functions and classes. Everything
else is listed, the gravest first: a list of what is bad would be got round by the next name that is not on it.

This helps the person who reads the code. It proves nothing: code that is meant to hide something can.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from engine.bundle.architecture_py import parse_module
from engine.bundle.siblings import ARCHITECTURE, files_imported, places_of
from engine.text import safe_text
from engine.trust import expected_names as expected
from engine.trust.own_names import OwnNames, bound, names_in
from engine.trust.suspicious_names import (
    ATTRIBUTES,
    BUILTINS,
    BY_NAME,
    DOWNLOADING,
    MODULES,
    USUAL_DECORATORS,
    USUAL_DUNDERS,
    USUAL_OWN_DUNDERS,
    WHAT_FOR,
)

LONGEST_LINE = 160

_DUNDER = re.compile(r"__\w+__")


class Gravity(IntEnum):
    """How much a finding matters; the smaller, the more."""

    GRAVE = 0
    """It can reach files, programs, the network or other code, or hides from the reader."""
    UNEXPECTED = 1
    """It is not known from networks, whatever it does."""
    NOTE = 2
    """It is usual, but does something at a moment, or in a place, where one might not look."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in the code that deserves a look.

    Attributes:
        line: counted from 1.
        what: what is there and why it is listed, as a clause; may contain names from the code (not made safe).
        gravity: how much it matters.
        file: path of the file in the model folder.
    """

    line: int
    what: str
    gravity: Gravity = Gravity.GRAVE
    file: str = ARCHITECTURE


def what_deserves_a_look(code: str | Mapping[str, str]) -> tuple[Finding, ...]:
    """Return all findings in a model's code, the gravest first, those of one gravity by file and line.

    What is expected of a network stands in `engine.trust.expected_names`: modules and what is used of them, built-in
    functions, and attributes. The code's own names are expected, too, but never those that are known to reach files,
    processes, the network or native code (`engine.trust.suspicious_names`). Also listed: code that runs when the file
    is loaded, other than imports, definitions and plain constants; names that Python uses by itself; changes of what
    other models use, too; what makes code from text; lines that are too long or contain invisible characters.

    Args:
        code: texts by path: `architecture.py` and the files that it imports from beside it; or only that of the first.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: the text cannot be parsed as Python.
    """
    texts = {ARCHITECTURE: code} if isinstance(code, str) else code
    trees = {path: parse_module(text) for path, text in texts.items()}
    names, has = names_in(trees), places_of(texts).__contains__
    order = {path: at for at, path in enumerate(texts)}
    findings: set[Finding] = set()
    for path, tree in trees.items():
        own = names[path]
        found = {
            *_imports(tree, path, names, has),
            *_uses(tree, own),
            *_at_load(tree.body, inside=""),
            *_lines(texts[path]),
        }
        findings |= {replace(finding, file=path) for finding in found}
    return tuple(sorted(findings, key=lambda one: (one.gravity, order[one.file], one.line, one.what)))


def grouped(findings: Iterable[Finding]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return each thing that was found once, with all its lines, in the order of the findings.

    So a flood of one finding takes one line, and nothing has to be cut off.
    """
    lines: dict[tuple[Gravity, str], list[int]] = {}
    for finding in findings:
        lines.setdefault((finding.gravity, finding.what), []).append(finding.line)
    return tuple((what, tuple(sorted(set(found)))) for (_, what), found in lines.items())


def lines_of(code: str) -> list[str]:
    """Split code into lines as Python counts them: ended by LF, CR LF or CR, and by nothing else."""
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _imports(tree: ast.AST, path: str, names: Mapping[str, OwnNames], has: Callable[[str], bool]) -> Iterator[Finding]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=imported):
                for alias in imported:
                    if not files_imported(ast.Import([alias]), path, has):
                        yield from _import(node, alias.name)
            case ast.ImportFrom():
                if files := files_imported(node, path, has):
                    yield from _from_own(node, names[files[-1]])
                elif node.level:
                    yield Finding(node.lineno, "imports a file beside it that is not there")
                else:
                    yield from _from_library(node, node.module or "")


def _from_own(node: ast.ImportFrom, there: OwnNames) -> Iterator[Finding]:
    """Look at what is imported from a file whose code is shown as well: what that file defines is no surprise."""
    for alias in node.names:
        if alias.name not in there.names and (alias.name in MODULES or alias.name in ATTRIBUTES):
            yield Finding(node.lineno, f"imports {alias.name} from a file beside it: {_why(alias.name)}")


def _from_library(node: ast.ImportFrom, module: str) -> Iterator[Finding]:
    found = list(_import(node, module))
    yield from found
    for alias in node.names:
        if alias.name == "*":
            yield Finding(node.lineno, f"imports everything from {module}, whatever names it has")
        elif alias.name in MODULES or alias.name in ATTRIBUTES:
            yield Finding(node.lineno, f"imports {alias.name} from {module}: {_why(alias.name)}")
        elif not found and not expected.is_expected(module, alias.name):
            yield Finding(
                node.lineno, f"imports {alias.name} from {module}: not known from networks", Gravity.UNEXPECTED
            )


def _import(node: ast.stmt, module: str) -> Iterator[Finding]:
    if module in expected.NAMES:
        return
    package, *rest = module.split(".")
    known = next((part for part in rest if part in ATTRIBUTES or part in MODULES), None)
    why = _why(known) if known else WHAT_FOR.get(package)
    yield Finding(node.lineno, f"imports {module}: {why or 'code that this list does not cover'}")


def _why(name: str) -> str:
    return ATTRIBUTES.get(name) or WHAT_FOR[name]


def _uses(tree: ast.AST, own: OwnNames) -> Iterator[Finding]:
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    reached_into = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    subscripted = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    usual = _usual_for_dataclasses(tree, own)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                yield from _name(node, own, called=id(node) in called, reached_into=id(node) in reached_into)
                if name == "type" and id(node) not in called and id(node) not in subscripted:
                    yield Finding(node.lineno, "type under another name: may make a class", Gravity.UNEXPECTED)
            case ast.Attribute() if id(node) not in reached_into:
                yield from _chain(node, own)
            case ast.MatchClass(kwd_attrs=names):
                for name in names:
                    yield from _attribute(node.lineno, name, own)
            case ast.Call(func=function):
                yield from _call(node, function, own)
            case ast.Global(names=names):
                yield Finding(node.lineno, f"global {', '.join(names)}: keeps something between calls", Gravity.NOTE)
            case ast.Constant(value=str(text)) if _DUNDER.fullmatch(text) and text not in _USUAL_TEXTS:
                yield Finding(node.lineno, f"the text {text}: names what Python uses by itself", Gravity.UNEXPECTED)
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield Finding(node.lineno, "runs beside other code", Gravity.UNEXPECTED)
        if isinstance(node, ast.stmt | ast.expr | ast.pattern | ast.excepthandler):
            for name in _given(node):
                if _DUNDER.fullmatch(name) and name not in expected.USUAL_METHODS | USUAL_OWN_DUNDERS:
                    yield Finding(node.lineno, f"defines {name}: Python uses it by itself", Gravity.UNEXPECTED)
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in usual:
            yield from _made_code(node, own)


def _made_code(node: ast.Name | ast.Attribute, own: OwnNames) -> Iterator[Finding]:
    # Only the last part is compared first: a chain of thousands of attributes must not take time with its square.
    if isinstance(node, ast.Name) or node.attr in ("dataclass", "field"):
        for full in sorted(_full_names(node, own) & _MAKE_CODE.keys()):
            yield Finding(node.lineno, f"{full} {_MAKE_CODE[full]}", Gravity.UNEXPECTED)


_USUAL_TEXTS = USUAL_DUNDERS | {"__main__"}

_MAKE_CODE = {
    "dataclasses.dataclass": "other than as a decorator: makes code from the names it is given",
    "dataclasses.field": "other than for a dataclass's own field: may change names from which code is made",
}
"""What is used as a matter of course in one place, and can run text as code in any other."""


def _given(node: ast.AST) -> Sequence[str]:
    """Return the names that a node gives a meaning, imports and keywords of calls included."""
    match node:
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname for alias in names if alias.asname]
        case ast.Call(keywords=keywords):
            return [keyword.arg for keyword in keywords if keyword.arg]
    return bound(node)


def _usual_for_dataclasses(tree: ast.AST, own: OwnNames) -> set[int]:
    """Return the nodes that name a class's decorator, or what makes a field in the body of a dataclass."""
    usual: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            decorators = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
            usual.update(map(id, decorators))
            if any("dataclasses.dataclass" in _full_names(each, own) for each in decorators):
                values = [each.value for each in node.body if isinstance(each, ast.AnnAssign)]
                usual.update(id(value.func) for value in values if isinstance(value, ast.Call))
    return usual


def _full_names(value: ast.expr, own: OwnNames) -> frozenset[str]:
    """Return what an expression such as `a.b.c` may mean, in full, if it begins with something imported."""
    first, dot, rest = _dotted(value).partition(".")
    return frozenset(f"{meaning}{dot}{rest}" for meaning in own.meanings(first))


def _call(node: ast.Call, function: ast.expr, own: OwnNames) -> Iterator[Finding]:
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in BY_NAME:
            yield from _by_name(node, name, arguments)
            if name in ("setattr", "delattr") and (changed := arguments and _full_names(arguments[0], own)):
                yield from _changes(node.lineno, changed)
        case ast.Call(func=ast.Name(id="type") | ast.Call(func=ast.Name(id="type")), args=[_, _, *_]):
            yield Finding(node.lineno, "type with several arguments: makes a class or a function", Gravity.UNEXPECTED)
    by_keyword = {keyword.arg for keyword in node.keywords}
    for keyword in node.keywords:
        if keyword.arg in DOWNLOADING and not _is_off(keyword.value):
            yield Finding(keyword.value.lineno, f"{keyword.arg}=: may download weights")
    # Their first argument was `pretrained` once, and is `weights` now.
    first_is_weights = any(expected.is_network(full) for full in _full_names(function, own))
    if first_is_weights and (None in by_keyword or (node.args and not _is_off(node.args[0]))):
        yield Finding(node.lineno, "the first argument, or **: may download weights")


def _changes(line: int, what: frozenset[str]) -> Iterator[Finding]:
    for full in sorted(what):
        yield Finding(line, f"changes {full}, for other models too")


def _name(node: ast.Name, own: OwnNames, *, called: bool, reached_into: bool) -> Iterator[Finding]:
    name = node.id
    if name == "input" and name in own.names:
        return  # networks often call their argument so
    if name in BUILTINS:
        yield Finding(node.lineno, f"{name}: {BUILTINS[name]}")
    elif name == "__file__":
        yield Finding(node.lineno, "__file__: knows where it is, and can reach the files there")
    elif name in BY_NAME:
        if not called:
            yield Finding(node.lineno, f"{name} under another name: reaches attributes by text")
    elif own.is_module(name):
        if not reached_into:
            yield _handed_on(node.lineno, name)
    elif name not in own.modules and name not in own.names and name not in expected.BUILTINS:
        yield Finding(node.lineno, f"{name}: not known from networks", Gravity.UNEXPECTED)


def _handed_on(line: int, module: str) -> Finding:
    return Finding(line, f"{module}: a whole module, handed on", Gravity.UNEXPECTED)


def _chain(node: ast.Attribute, own: OwnNames) -> Iterator[Finding]:
    """Look at `a.b.c`: as far as it goes through modules at what is expected of each, then at the attributes."""
    parts: list[ast.Attribute] = []
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        parts.append(value)
        value = value.value
    parts.reverse()
    meanings = own.meanings(value.id) if isinstance(value, ast.Name) else frozenset()
    for module in sorted(meanings) or [""]:
        yield from _parts(parts, module, own)
    if not isinstance(node.ctx, ast.Load):
        yield from _changes(node.lineno, _full_names(node, own))


def _parts(parts: Sequence[ast.Attribute], module: str, own: OwnNames) -> Iterator[Finding]:
    for part in parts:
        name = part.attr
        if module not in expected.NAMES or _DUNDER.fullmatch(name):
            yield from _attribute(part.lineno, name, own)
        elif expected.is_expected(module, name):
            module = f"{module}.{name}"
            continue
        elif name in ATTRIBUTES or name in MODULES:
            yield Finding(part.lineno, f"{module}.{name}: {_why(name)}")
        else:
            yield Finding(part.lineno, f"{module}.{name}: not known from networks", Gravity.UNEXPECTED)
        module = ""
    if module in expected.NAMES:
        yield _handed_on(parts[-1].lineno, module)


def _attribute(line: int, name: str, own: OwnNames) -> Iterator[Finding]:
    """Look at an attribute of an object of which nothing is known."""
    if name in USUAL_DUNDERS:
        return
    if _DUNDER.fullmatch(name):
        yield Finding(line, f".{name}: reaches behind an object")
    elif name in ATTRIBUTES or name in MODULES:
        yield Finding(line, f".{name}: {_why(name)}")
    elif name not in expected.ATTRIBUTES and name not in own.attributes:
        yield Finding(line, f".{name}: not known from networks", Gravity.UNEXPECTED)


def _by_name(node: ast.Call, name: str, arguments: Sequence[ast.expr]) -> Iterator[Finding]:
    if len(arguments) < 2 or not (isinstance(arguments[1], ast.Constant) and isinstance(arguments[1].value, str)):
        yield Finding(node.lineno, f"{name} with a name that it works out")
        return
    wanted = arguments[1].value
    known: Mapping[str, str] = BUILTINS | ATTRIBUTES
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
                        yield Finding(
                            value.lineno,
                            f"runs on loading: a default or annotation of {node.name}{where}",
                            Gravity.NOTE,
                        )
                yield from _decorators(node)
            case ast.ClassDef():
                for value in (*node.bases, *(keyword.value for keyword in node.keywords)):
                    if not _is_plain(value):
                        yield Finding(
                            value.lineno, f"runs on loading: what {node.name} is made from{where}", Gravity.NOTE
                        )
                if any(keyword.arg == "metaclass" for keyword in node.keywords):
                    yield Finding(
                        node.lineno, f"runs on loading: the metaclass of {node.name}{where}", Gravity.UNEXPECTED
                    )
                yield from _decorators(node)
                yield from _at_load(node.body, inside=f"the class {node.name}")
            case ast.Assign(value=value) | ast.AugAssign(value=value):
                if not _is_plain(value) or not all(_is_name(target) for target in _targets(node)):
                    yield Finding(node.lineno, f"runs on loading{where}", Gravity.NOTE)
            case ast.AnnAssign(value=value):
                plain = _is_plain(node.annotation) and (value is None or _is_plain(value))
                if not plain or not _is_name(node.target):
                    yield Finding(node.lineno, f"runs on loading{where}", Gravity.NOTE)
            case ast.If(
                test=ast.Compare(
                    left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]
                ),
                orelse=[],
            ):
                yield Finding(node.lineno, "for running the file by itself: does not run on loading", Gravity.NOTE)
            case _:
                yield Finding(node.lineno, f"runs on loading{where}", Gravity.NOTE)


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
            yield Finding(decorator.lineno, f"runs on loading: the decorator of {node.name}", Gravity.NOTE)


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
            yield Finding(number, f"the line has {len(line):,} characters: look at its end", Gravity.NOTE)
        if safe_text(line, multiline=True) != line.replace("\t", "    "):
            yield Finding(number, "has characters that cannot be seen or that change the order of the text")
