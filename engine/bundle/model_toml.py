"""`model.toml`: strict keys, types and ranges; nothing in it is evaluated."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from engine.bundle import schema as check
from engine.bundle.schema import Declared, WrongValueError, closest, contradiction
from engine.bundle.specs import SelfTest
from engine.errors import BundleError
from engine.text import safe_text

if TYPE_CHECKING:
    from pathlib import Path

    from engine.bundle.schema import Scalar

T = TypeVar("T")

Check = Callable[[object], object]

_INPUT: Mapping[str, Check] = {
    "size": check.size,
    "channels": check.channels,
    "exact_size": check.flag,
    "minimum_size": check.minimum_size,
    "resize": check.resize,
    "mean": check.mean,
    "std": check.std,
}
_OUTPUT: Mapping[str, Check] = {"classes": check.classes, "activation": check.activation, "multilabel": check.flag}
_RISE: Mapping[str, Callable[[object], Scalar]] = {
    "samples": check.whole(16, 1_000_000),
    "grid": check.whole(2, 64),
    "probability": check.between(0, 1),
    "estimator": check.estimator,
}
_LIME: Mapping[str, Callable[[object], Scalar]] = {
    "samples": check.whole(100, 1_000_000),
    "superpixels": check.whole(2, 1_000),
    "kernel_width": check.between(0, 1_000),
}
_METHODS = {"rise": _RISE, "lime": _LIME}
_SELFTEST = ("image", "probabilities", "tolerance")
_NOTES = ("intended_use", "training", "performance")
_SECTIONS = ("input", "output", "explain", "selftest", *_NOTES)


_LONGEST_KEY = 80
"""Characters of an unknown key that are named."""

_MOST_PARTS = 32
_PART = r"""(?>[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_DEEP = re.compile(rf"(?<![\w\\-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_PARTS}}}")


def parse_model_toml(data: bytes, path: Path) -> Declared:
    """What a `model.toml` declares.

    Args:
        data: its content.
        path: its name, for errors.

    Raises:
        BundleError: not TOML, an unknown key, a value of a wrong type or out of range; names the key.
    """
    try:
        text = data.decode("utf-8-sig")
        if _DEEP.search(text):  # the time that tomllib takes grows with the square of a key's parts
            raise BundleError(f"a key in it has more than {_MOST_PARTS} parts", subject=path, remedy="correct it")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise BundleError("it is not UTF-8 text", subject=path, remedy="save it as UTF-8") from error
    except (ValueError, RecursionError) as error:  # tomllib's own error is a ValueError, as are numbers without end
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else f"it is not TOML: {error}"
        raise BundleError(reason, subject=path, remedy="correct it") from error
    declared = Declared()
    _refuse_unknown(document, _SECTIONS, "", path)
    for section, checks in (("input", _INPUT), ("output", _OUTPUT)):
        table = _table(document, section, path)
        _refuse_unknown(table, checks, section, path)
        for key, value in table.items():
            setattr(declared, key, _checked(checks[key], value, section, key, path))
    explain = _table(document, "explain", path)
    _refuse_unknown(explain, ("target_layer", *_METHODS), "explain", path)
    if "target_layer" in explain:
        declared.target_layer = _checked(check.layer, explain["target_layer"], "explain", "target_layer", path)
    for method, parameters in _METHODS.items():
        section = f"explain.{method}"
        table = _table(explain, method, path, name=section)
        _refuse_unknown(table, parameters, section, path)
        values = declared.rise if method == "rise" else declared.lime
        for key, value in table.items():
            values[key] = _checked(parameters[key], value, section, key, path)
    if problem := contradiction(declared):
        raise _wrong("input", problem[0], problem[1], path)
    declared.selftest = _selftest(document, path)
    declared.notes = {name: _note(_table(document, name, path)) for name in _NOTES if name in document}
    return declared


def toml_string(text: str) -> str:
    """A string as TOML writes it; what a terminal must not be given is written as an escape (`\\u202E`)."""
    out = []
    for character in text:
        code = ord(character)
        if character in '"\\':
            out.append(f"\\{character}")
        elif 0xD800 <= code <= 0xDFFF:  # TOML has no lone surrogates
            out.append("\\uFFFD")
        elif safe_text(character) != character:
            out.append(f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}")
        else:
            out.append(character)
    return f'"{"".join(out)}"'


def _selftest(document: Mapping[str, object], path: Path) -> SelfTest | None:
    if "selftest" not in document:
        return None
    table = _table(document, "selftest", path)
    _refuse_unknown(table, _SELFTEST, "selftest", path)
    for key in ("image", "probabilities"):
        if key not in table:
            raise _wrong("selftest", key, "is missing", path)

    def value(key: str, checking: Callable[[object], T]) -> T:
        return _checked(checking, table[key], "selftest", key, path)

    wanted = SelfTest(value("image", check.image_path), value("probabilities", check.probabilities))
    return replace(wanted, tolerance=value("tolerance", check.between(0, 1))) if "tolerance" in table else wanted


def _table(parent: Mapping[str, object], key: str, path: Path, name: str | None = None) -> dict[str, object]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        section = name or key
        raise BundleError(f"{section} must be a section, [{section}]", subject=path, remedy="correct it")
    return value


def _refuse_unknown(
    table: Mapping[str, object], known: Mapping[str, object] | tuple[str, ...], section: str, path: Path
) -> None:
    for key in table:
        if key not in known:
            near = closest(key[:_LONGEST_KEY], known)
            key = key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…"
            raise BundleError(
                f"[{section}] has no key '{key}'" if section else f"there is no section '{key}'",
                subject=path,
                remedy=f"did you mean '{near}'?" if near else f"use only {', '.join(known)}",
            )


def _checked(checking: Callable[[object], T], value: object, section: str, key: str, path: Path) -> T:
    try:
        return checking(value)
    except WrongValueError as error:
        raise _wrong(section, key, str(error), path) from error


def _wrong(section: str, key: str, clause: str, path: Path) -> BundleError:
    return BundleError(f"[{section}] {key} {clause}", subject=path, remedy="correct it")


def _note(table: Mapping[str, object], prefix: str = "") -> str:
    """A free section as text: a line `key: value` for each value."""
    lines: list[str] = []
    for key, value in table.items():
        if isinstance(value, dict):
            lines.append(_note(value, f"{prefix}{key}."))
        else:
            listed = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
            lines.append(f"{prefix}{key}: {listed}")
    return "\n".join(lines)
