"""The app's settings: each is declared here with its meaning, its default and the values it may have.

They come from the defaults below, the settings file (`engine.storage.places.settings`; TOML, one `key = value` a line,
then tables such as `[rise]` with parameters of methods), environment variables (`XAIMED_` and the key in capitals), and
flags of the command line (`--` and the key, with `-` for `_`); later ones win. An unusable value in the file or the
environment is ignored and reported; in a flag it is wrong usage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from engine.bundle.keys import LIME_KEYS, RISE_KEYS, Key, Scalar, WrongValueError
from engine.cli.main import Flag
from engine.drawing.colormaps import COLORMAPS
from engine.storage import places
from engine.storage.documents import DocumentError, parse_toml
from engine.storage.reading import UnusableFileError, read_limited
from engine.text import safe_text
from xaimed_tui.terminal.query import over_ssh

Check = Callable[[object], object]
"""Turns a TOML value or a string into a setting's value; raises ValueError with a clause that says what is allowed."""

_MOST_BYTES = 100_000
"""The largest settings file that is read; a larger one is refused."""


def _setting(default: Any, check: Check, metavar: str, about: str, *, method: str = "") -> Any:
    """Declare a setting.

    Args:
        default: its value if nothing sets it.
        check: see `Check`.
        metavar, about: for the help.
        method: key of the method whose samples it counts; empty if it counts none.
    """
    return field(default=default, metadata={"check": check, "metavar": metavar, "about": about, "method": method})


def _one_of(default: str | None, words: tuple[str, ...], about: str, *, metavar: str = "") -> Any:
    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"it may be {', '.join(words[:-1])} or {words[-1]}")
        return str(value)

    return _setting(default, check, metavar or "|".join(words), about)


def _number(value: object, least: int, most: int) -> int:
    number = value
    # `int` alone would also take blanks, underscores and the digits of other scripts.
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value):
        number = int(value)
    # TOML's true is an int as well.
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise ValueError(f"it may be a whole number from {least} to {most:,}")
    return number


def _whole(default: int | None, least: int, most: int, metavar: str, about: str) -> Any:
    return _setting(default, lambda value: _number(value, least, most), metavar, about)


def _samples(method: str, keys: tuple[Key[Scalar], ...], drawn: str) -> Any:
    """Declare a number of samples, in the range allowed in `model.toml`; 0 leaves it to the model."""
    key = next(key for key in keys if key.name == "samples")
    least, most = key.least or 0, key.most or 0

    def check(value: object) -> int:
        number = _number(value, 0, int(most))
        if 0 < number < least:
            raise ValueError(f"it may be 0, or a whole number from {least} to {most:,}")
        return number

    about = f"{drawn}, at most; 0: as many as the model sets, else {key.default:,}"
    return _setting(0, check, "N", about, method=method)


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("it may be a name in quotes")
    return value


def _device(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value):
        raise ValueError("it may be auto, cpu, cuda or cuda:<number>")
    return value


@dataclass(frozen=True, slots=True)
class AppSettings:
    """What a user may set about the app. Every field is a key of the settings file."""

    theme: str = _setting("", _name, "NAME", "colours of the app; empty: those used last (Ctrl+P lists all)")
    animations: str = _one_of("auto", ("auto", "on", "off"), "auto: off over SSH")
    images: str = _one_of(
        "half", ("auto", "half", "kitty", "sixel"), "pictures as half blocks, or as pixels; auto asks"
    )
    colormap: str | None = _one_of(None, COLORMAPS, "colours of the maps; otherwise those used last", metavar="NAME")
    opacity: int | None = _whole(
        None, 0, 100, "PERCENT", "how much of the image a map covers; otherwise as much as last"
    )
    device: str = _setting("auto", _device, "auto|cpu|cuda:0", "where to compute")
    precision: str = _one_of("auto", ("auto", "fp32", "bf16", "fp16"), "for the passes of LIME and RISE")
    until: str = _one_of("certain", ("certain", "samples"), "stop LIME and RISE once the three cells are settled")
    voters: Literal["paper", "all"] = _one_of(
        "paper", ("paper", "all"), "counted in the agreement: the paper's four methods, or all"
    )
    exact: Literal["on", "off"] = _one_of(
        "on", ("on", "off"), "weigh the nine cells exactly with the maps, to say what each map is worth"
    )
    evidence: Literal["on", "off"] = _one_of(
        "on", ("on", "off"), "ask of every map whether it can be believed, once all are made"
    )
    rise_samples: int = _samples("rise", RISE_KEYS, "masks of RISE")
    lime_samples: int = _samples("lime", LIME_KEYS, "samples of LIME")
    memory: int = _whole(256, 0, 1_000_000, "MB", "for the last images and their maps, so that going back is instant")
    parameters: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """Of the methods, by key and name; only from the file. Those of plug-ins are checked when the plug-in is used."""

    @property
    def animated(self) -> bool:
        """Whether anything on the screen is animated."""
        return self.animations == "on" or (self.animations == "auto" and not over_ssh())

    @property
    def samples(self) -> dict[str, int]:
        """The numbers of samples that are set, by method."""
        numbers = {key.metadata["method"]: getattr(self, key.name) for key in _SETTINGS}
        return {method: number for method, number in numbers.items() if method and number}


_SETTINGS = tuple(key for key in fields(AppSettings) if "check" in key.metadata)

_CHECKS: Mapping[str, Check] = {key.name: key.metadata["check"] for key in _SETTINGS}

FLAGS: tuple[Flag, ...] = tuple(
    Flag(key.name, key.metadata["metavar"], key.metadata["about"], key.metadata["check"]) for key in _SETTINGS
)
"""The flags of the command line, one for each setting."""


def load_settings(flags: Mapping[str, object]) -> tuple[AppSettings, tuple[str, ...]]:
    """Return the settings in force.

    Args:
        flags: values by key from the command line, checked already.

    Returns:
        The settings, and one safe line for each thing in the file or the environment that could not be used.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    path = places.settings()
    parameters: dict[str, dict[str, Scalar]] = {}
    for key, value in _read(problems).items():
        if isinstance(value, dict) and key not in _CHECKS:
            parameters[key] = _parameters(key, value, path, problems)
        else:
            _take(values, key, value, f"{path}: ", problems)
    for key in _CHECKS:
        if (text := os.environ.get(f"XAIMED_{key.upper()}")) is not None:
            _take(values, key, text, "$XAIMED_", problems)
    values["parameters"] = {method: taken for method, taken in parameters.items() if taken}
    return AppSettings(**{**values, **flags}), tuple(problems)


def _take(values: dict[str, Any], key: str, value: object, where: str, problems: list[str]) -> None:
    if key not in _CHECKS:
        problems.append(
            safe_text(f"{where}there is no setting {key}; it may be one of {', '.join(_CHECKS)}", limit=400)
        )
        return
    try:
        values[key] = _CHECKS[key](value)
    except ValueError as error:
        named = key.upper() if where.startswith("$") else f"{key} "
        problems.append(safe_text(f"{where}{named.strip()} is {value!r}: {error}", limit=400))


def _parameters(method: str, table: Mapping[str, object], path: Path, problems: list[str]) -> dict[str, Scalar]:
    """Return the parameters of a method that can be used, as far as that is known without importing a plug-in."""
    from engine.explainers.registry import find_method, method_keys, plug_in  # late: only those who set some need it

    known, taken = find_method(method), dict[str, Scalar]()
    if known is None:
        problems.append(
            safe_text(f"{path}: there is no method {method}; it may be one of {', '.join(method_keys())}", limit=400)
        )
        return taken
    for name, value in table.items():
        key = known.parameter(name)
        try:
            if key is not None:
                taken[name] = key.check(value)
            elif plug_in(method) is None:
                raise WrongValueError("is no parameter of this method")
            elif isinstance(value, int | float | str):
                taken[name] = value
            else:
                raise WrongValueError("must be a number or a word")
        except WrongValueError as error:
            problems.append(safe_text(f"{path}: [{method}] {name} {error}", limit=400))
    return taken


def _read(problems: list[str]) -> dict[str, object]:
    path = places.settings()
    try:
        if not os.path.lexists(path):
            return {}
        return parse_toml(read_limited(path, _MOST_BYTES))
    except UnusableFileError as error:
        reason = f"cannot be read: {error.cause}"
    except DocumentError as error:
        reason = f"cannot be used: {error}"
    problems.append(safe_text(f"{path}: the settings file {reason}; none of it is used", limit=400))
    return {}
