"""Parses JSON and TOML, the only place that does: whoever wrote it, it costs little and means what it says.

A parser of either may take all stack for brackets within brackets, time that grows with the square of a key's parts,
and numbers beyond all bounds that make trouble later. Each is refused here, and every refusal is one error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_MOST_DEPTH = 32
_MOST_PARTS = 32
# Atomic and possessive: backtracking would make the search itself slow.
_PART = r"""(?>[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_DEEP_KEY = re.compile(rf"(?<![\w\\-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_PARTS}}}")


class DocumentError(ValueError):
    """Text that is no JSON or TOML, or more than XAIMed takes. Its text is the cause, as a clause."""


def parse_json(data: bytes | str) -> object:
    """Return what a JSON text says.

    Raises:
        DocumentError: it is no JSON, nested too deeply, or holds a number that is not finite.
    """
    import json

    try:
        return _shallow(json.loads(data, parse_float=_finite, parse_constant=_finite))
    except (RecursionError, MemoryError) as error:
        raise DocumentError("it is nested too deeply") from error
    except DocumentError:
        raise
    except ValueError as error:  # a syntax error, no UTF-8, or a whole number of too many digits
        raise DocumentError(f"it is not JSON: {error}") from error


def parse_toml(data: bytes | str, *, infinite: bool = False) -> dict[str, object]:
    """Return what a TOML text says.

    Args:
        data: the text; in bytes it is UTF-8, with or without a byte order mark.
        infinite: let numbers be infinite or not a number, for texts whose numbers are only shown.

    Raises:
        DocumentError: it is no TOML, nested too deeply, has a key of too many parts, or a number that is not finite.
    """
    import tomllib

    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        if _DEEP_KEY.search(text):  # tomllib's time grows with the square of the number of parts
            raise DocumentError(f"a key in it has more than {_MOST_PARTS} parts")
        document = tomllib.loads(text, parse_float=float if infinite else _finite)
        _shallow(document)
    except UnicodeDecodeError as error:
        raise DocumentError("it is not UTF-8 text") from error
    except (RecursionError, MemoryError) as error:
        raise DocumentError("it is nested too deeply") from error
    except DocumentError:
        raise
    except ValueError as error:  # tomllib's error, or a whole number of too many digits
        raise DocumentError(f"it is not TOML: {error}") from error
    return document


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise DocumentError(f"{text[:20]} is no finite number")
    return value


def _shallow(document: object) -> object:
    """Return the document.

    Raises:
        DocumentError: it is nested too deeply; showing or comparing it would take all stack.
    """
    waiting = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        if depth > _MOST_DEPTH:
            raise DocumentError("it is nested too deeply")
        waiting.extend((part, depth + 1) for part in inside)
    return document
