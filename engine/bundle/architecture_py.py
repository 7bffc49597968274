"""Read the constants of `architecture.py` from its text: the code is parsed, never run."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.bundle.declared import Declared, contradiction, declare_values
from engine.bundle.keys import WrongValueError
from engine.bundle.schema import KEYS
from engine.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

_CONSTANTS: Mapping[str, str] = {key.constant: name for name, key in KEYS.items() if key.constant}
"""Full names of keys in `model.toml` by the constants that can declare them instead."""

_MOST_PARTS = 100
_BETWEEN = r"(?:[ \t\f]|\\\r?\n|\\\r)*+"
# Not \w: identifiers may have letters beyond ASCII that it lacks.
_LONG_DOTTED = re.compile(rf"(?:\.{_BETWEEN}(?:[A-Za-z0-9_]|[^\x00-\x7f])++{_BETWEEN}){{{_MOST_PARTS}}}")

_MOST_BRACES = 10_000

_REMEDY = "correct it, or add a model.toml, which replaces these constants"


def decode_source(data: bytes, path: Path) -> str:
    """Return a module's text, the same for showing it to a person and for running it.

    Only UTF-8 is accepted. A module may name another encoding in a comment, and in some encodings what an editor shows
    as a comment is code.

    Raises:
        BundleError: it is not UTF-8, or declares another encoding.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        if encoding not in ("utf-8", "utf-8-sig"):
            raise BundleError(f"it declares the encoding {encoding}", subject=path, remedy="save it as UTF-8")
        return data.decode("utf-8-sig")
    except SyntaxError as error:  # an unknown encoding, or one that contradicts the byte order mark
        raise BundleError(f"it is not valid Python: {error.msg}", subject=path, remedy="save it as UTF-8") from error
    except UnicodeDecodeError as error:
        raise BundleError("it is not UTF-8 text", subject=path, remedy="save it as UTF-8") from error


def parse_module(source: str, name: str = "<unknown>") -> ast.Module:
    """Return a module's syntax tree, at a cost that grows with the text and no faster.

    Args:
        source: its text.
        name: what a SyntaxError names as its file.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: the text cannot be parsed as Python, or has a dotted name
            of more than 100 parts, or 10,000 curly brackets.
    """
    # Python's parser joins `import a.a.a` again at each dot: 80,000 of them in 160 kB take gigabytes.
    if _LONG_DOTTED.search(source):
        raise ValueError(f"a dotted name in it has more than {_MOST_PARTS} parts")
    # Up to Python 3.11 it reads an f-string again for every field.
    if source.count("{") > _MOST_BRACES:
        raise ValueError(f"it has more than {_MOST_BRACES:,} curly brackets")
    return ast.parse(source, filename=name)


def parse_file(source: str, path: Path) -> ast.Module:
    """Return the syntax tree of a file of a model.

    Raises:
        BundleError: it is not Python that can be parsed.
    """
    try:
        return parse_module(source, path.name)
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        raise BundleError(f"it is not valid Python{where}: {error.msg}", subject=path, remedy="correct it") from error
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes; nesting beyond the parser's stack
        why = f": {error}" if isinstance(error, ValueError) else ""
        raise BundleError(f"it is not Python that can be parsed{why}", subject=path, remedy="correct it") from error


def read_constants(source: str, path: Path) -> dict[str, ast.expr]:
    """Return the expressions assigned to known constants at the top level of a module. The last assignment counts.

    Raises:
        BundleError: the source is not Python.
    """
    module = parse_file(source, path)
    found: dict[str, ast.expr] = {}
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _CONSTANTS:
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in _CONSTANTS:
                found[name] = value
    return found


def declare(constants: Mapping[str, ast.expr], path: Path) -> Declared:
    """Return what the constants declare.

    Raises:
        BundleError: a constant is not a literal, or its value is wrong; names the constant.
    """
    values: dict[str, object] = {}
    for constant, expression in constants.items():
        name = _CONSTANTS[constant]
        try:
            value = ast.literal_eval(expression)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
            raise BundleError(
                f"{constant} is not a plain literal, and code is not run to find its value",
                subject=path,
                remedy=_REMEDY,
            ) from error
        key = KEYS[name]
        try:
            values[name] = (key.constant_check or key.check)(value)
        except WrongValueError as error:
            raise BundleError(f"{constant} {error}", subject=path, remedy=_REMEDY) from error
    declared = declare_values(values)
    if problem := contradiction(declared):
        name, clause = problem
        raise BundleError(f"{KEYS[name].constant} {clause}", subject=path, remedy=_REMEDY)
    return declared
