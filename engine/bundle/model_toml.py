"""Read and write `model.toml`: keys, types and ranges are strict, and nothing in it is evaluated.

`python -m engine.bundle.model_toml` prints the block shown in the README; a test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.bundle.declared import Declared, contradiction, declare_values
from engine.bundle.keys import WITHOUT_KEYS, Scalar, WrongValueError, shown
from engine.bundle.schema import EXPLAIN, NOTES, SECTIONS, Section, closest
from engine.errors import BundleError
from engine.storage.documents import DocumentError, parse_toml
from engine.text import safe_text

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_KEY = 80
"""Most characters that an error shows of an unknown key."""


def parse_model_toml(data: bytes, path: Path) -> Declared:
    """Return what a `model.toml` declares.

    Args:
        data: its content.
        path: its path, for errors.

    Raises:
        BundleError: not TOML, an unknown key, a value of a wrong type or out of range; names the key.
    """
    try:
        document = parse_toml(data, infinite=True)  # the checks of the keys refuse what is not finite
    except DocumentError as error:
        remedy = "save it as UTF-8" if isinstance(error.__cause__, UnicodeDecodeError) else "correct it"
        raise BundleError(str(error), subject=path, remedy=remedy) from error
    document, plug_ins = _split_plug_ins(document, path)
    _refuse_unknown(document, (*(section.name for section in SECTIONS), *NOTES), "", path)
    values: dict[str, object] = {}
    for section in SECTIONS:
        if section.name in document:
            values |= _values(section, document, path)
    notes = {name: _note_text(_table(document, name, name, path)) for name in NOTES if name in document}
    declared = declare_values(values, notes)
    if plug_ins:
        declared = replace(declared, explain=replace(declared.explain, plug_ins=plug_ins))
    if problem := contradiction(declared):
        raise _wrong_value(*problem, path)
    return declared


def example() -> str:
    """Return a `model.toml` with every key and its purpose, as shown in the README."""
    lines: list[str] = []
    for top in SECTIONS:
        for section in top.with_nested():
            lines.append(toml_line(f"[{section.name}]", section.help))
            lines += [toml_line(f"{key.name} = {toml_value(key.in_readme)}", key.help) for key in section.keys]
    return "\n".join([*lines, *(toml_line(f"[{name}]", help) for name, help in NOTES.items())]) + "\n"


def toml_line(setting: str, comment: str) -> str:
    """Return a line with its comment, aligned with those of other lines; only the setting if the comment is empty."""
    return f"{setting.ljust(28)} # {comment}" if comment else setting


def toml_value(value: object) -> str:
    """Return a key's value in TOML's spelling."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, Mapping):  # arguments of a network, whose names need no quotes
        return f"{{ {', '.join(f'{name} = {toml_value(item)}' for name, item in value.items())} }}" if value else "{}"
    return str(value)


def toml_string(text: str) -> str:
    """Return a string in TOML's spelling, with escapes (`\\u202E`) for characters that are unsafe for a terminal."""
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


def _split_plug_ins(document: dict[str, object], path: Path) -> tuple[dict[str, object], dict[str, dict[str, Scalar]]]:
    """Return the document without the tables in [explain] that set parameters of plug-ins, and these tables by name.

    Which plug-ins there are is not known here, so only the types of the values are checked.
    """
    explain = document.get(EXPLAIN.name)
    if not isinstance(explain, dict):
        return document, {}
    own = (*EXPLAIN.known, *WITHOUT_KEYS)
    tables = {name: table for name, table in explain.items() if isinstance(table, dict) and name not in own}
    found: dict[str, dict[str, Scalar]] = {}
    for name, table in tables.items():
        found[name] = {}
        for key, value in table.items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number and not (isinstance(value, str) and len(value) <= _LONGEST_KEY):
                clause = f"must be a number or a word, not {shown(value)}"
                raise _wrong_value(f"{EXPLAIN.name}.{name[:_LONGEST_KEY]}.{key[:_LONGEST_KEY]}", clause, path)
            found[name][key] = value
    rest = {name: value for name, value in explain.items() if name not in tables}
    return {**document, EXPLAIN.name: rest}, found


def _values(section: Section[object], parent: Mapping[str, object], path: Path) -> dict[str, object]:
    """Return the checked values of a section and of the tables in it, by the full names of their keys."""
    table = _table(parent, section.field, section.name, path)
    _refuse_unknown(table, section.known, section.name, path)
    keys = {key.name: (name, key) for name, key in section.with_full_names()}
    for name, key in keys.values():
        if key.required and key.name not in table:
            raise _wrong_value(name, "is missing", path)
    values: dict[str, object] = {}
    for key_name, value in table.items():
        if key_name in keys:
            name, key = keys[key_name]
            try:
                values[name] = key.check(value)
            except WrongValueError as error:
                raise _wrong_value(name, str(error), path) from error
    for part in section.sections:
        if part.field in table:
            values |= _values(part, table, path)
    return values


def _table(parent: Mapping[str, object], key: str, name: str, path: Path) -> dict[str, object]:
    value = parent[key]
    if not isinstance(value, dict):
        raise BundleError(f"{name} must be a section, [{name}]", subject=path, remedy="correct it")
    return value


def _refuse_unknown(table: Mapping[str, object], known: tuple[str, ...], section: str, path: Path) -> None:
    for key in table:
        if key not in known:
            near = closest(key[:_LONGEST_KEY], known)
            key = key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…"
            raise BundleError(
                f"[{section}] has no key '{key}'" if section else f"there is no section '{key}'",
                subject=path,
                remedy=f"did you mean '{near}'?" if near else f"use only {', '.join(known)}",
            )


def _wrong_value(name: str, clause: str, path: Path) -> BundleError:
    section, _, key = name.rpartition(".")
    return BundleError(f"[{section}] {key} {clause}", subject=path, remedy="correct it")


def _note_text(table: Mapping[str, object], prefix: str = "") -> str:
    """Return a section of free keys as text: a line `key: value` for each value."""
    lines: list[str] = []
    for key, value in table.items():
        if isinstance(value, dict):
            lines.append(_note_text(value, f"{prefix}{key}."))
        else:
            listed = ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
            lines.append(f"{prefix}{key}: {listed}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(example(), end="")  # for the README
