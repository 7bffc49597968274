"""Read the constants of `architecture.py` from its text: the code is parsed, never run."""

from __future__ import annotations

import ast
import io
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


def read_constants(source: str, path: Path) -> dict[str, ast.expr]:
    """Return the expressions assigned to known constants at the top level of a module. The last assignment counts.

    Raises:
        BundleError: the source is not Python.
    """
    try:
        module = ast.parse(source, filename=path.name)
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        raise BundleError(f"it is not valid Python{where}: {error.msg}", subject=path, remedy="correct it") from error
    except (ValueError, RecursionError, MemoryError) as error:  # NUL bytes; nesting beyond the parser's stack
        raise BundleError("it is not Python that can be parsed", subject=path, remedy="correct it") from error
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
