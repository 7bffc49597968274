"""The app's settings: every one is declared here, with its meaning, its default and what it may be.

In rising order they come from the defaults below, the settings file (`engine.storage.places.settings`; TOML, one
`key = value` a line), environment variables (`XAIMED_` and the key in capitals), and flags of the command line
(`--` and the key, with `-` for `_`). What a file or variable says that cannot be used is left out and reported; a
wrong flag is wrong usage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from engine.cli.main import Flag
from engine.storage import places
from engine.text import safe_text
from xaimed_tui.terminal.query import over_ssh

Check = Callable[[object], object]
"""Turns a value (of TOML, or a string) into a setting's; raises ValueError with what the setting may be."""


def _one_of(*words: str) -> Check:
    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"it may be {', '.join(words[:-1])} or {words[-1]}")
        return str(value)

    return check


def _whole(low: int, high: int) -> Check:
    def check(value: object) -> int:
        digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}", value) is not None
        number = int(value) if digits else value  # type: ignore[call-overload]
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise ValueError(f"it may be a whole number from {low} to {high:,}")
        return number

    return check


def _samples(fewest: int) -> Check:
    inner = _whole(0, 1_000_000)

    def check(value: object) -> object:
        number = inner(value)
        if number != 0 and number < fewest:  # type: ignore[operator]
            raise ValueError(f"it may be 0, or a whole number from {fewest} to 1,000,000")
        return number

    return check


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("it may be a name in quotes")
    return value


def _device(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value):
        raise ValueError("it may be auto, cpu, cuda or cuda:<number>")
    return value


def _setting(default: Any, check: Check, metavar: str, about: str) -> Any:
    return field(default=default, metadata={"check": check, "metavar": metavar, "about": about})


@dataclass(frozen=True, slots=True)
class AppSettings:
    """What a person may set about the app. Every field is a key of the settings file."""

    theme: str = _setting("", _name, "NAME", "colours of the app; empty: those used last (Ctrl+P lists all)")
    animations: str = _setting("auto", _one_of("auto", "on", "off"), "auto|on|off", "auto: not over SSH")
    images: str = _setting(
        "half",
        _one_of("auto", "half", "kitty", "sixel"),
        "auto|half|kitty|sixel",
        "pictures as half blocks, or as pixels; auto asks",
    )
    colormap: str | None = _setting(
        None, _one_of("viridis", "cividis", "magma", "grey"), "NAME", "colours of the maps; otherwise those used last"
    )
    opacity: int | None = _setting(
        None, _whole(0, 100), "PERCENT", "how much of the image a map covers; otherwise as much as last"
    )
    device: str = _setting("auto", _device, "auto|cpu|cuda:0", "where to compute")
    precision: str = _setting(
        "auto", _one_of("auto", "fp32", "bf16", "fp16"), "auto|fp32|bf16|fp16", "of the passes of LIME and RISE"
    )
    until: str = _setting(
        "certain",
        _one_of("certain", "samples"),
        "certain|samples",
        "stop LIME and RISE once the three cells are settled",
    )
    rise_samples: int = _setting(
        0, _samples(16), "N", "masks of RISE, at most; 0: as many as the model says, else 4,000"
    )
    lime_samples: int = _setting(
        0, _samples(100), "N", "samples of LIME, at most; 0: as many as the model says, else 1,000"
    )

    memory: int = _setting(
        256, _whole(0, 1_000_000), "MB", "for the last images and their maps, so that going back is instant"
    )

    @property
    def animated(self) -> bool:
        """Whether anything on the screen moves by itself."""
        return self.animations == "on" or (self.animations == "auto" and not over_ssh())

    @property
    def samples(self) -> dict[str, int]:
        """The numbers of samples that are set, by method."""
        numbers = {"rise": self.rise_samples, "lime": self.lime_samples}
        return {method: number for method, number in numbers.items() if number}


_CHECKS: Mapping[str, Check] = {key.name: key.metadata["check"] for key in fields(AppSettings)}

FLAGS: tuple[Flag, ...] = tuple(
    Flag(key.name, key.metadata["metavar"], key.metadata["about"], key.metadata["check"]) for key in fields(AppSettings)
)
"""The flags of the command line, one for each setting."""


def load_settings(flags: Mapping[str, object]) -> tuple[AppSettings, tuple[str, ...]]:
    """The settings in force.

    Args:
        flags: values by key from the command line, checked already.

    Returns:
        The settings, and one safe line for everything in the file or the environment that could not be used.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    path = places.settings()
    for key, value in _read(problems).items():
        _take(values, key, value, f"{path}: ", problems)
    for key in _CHECKS:
        if (text := os.environ.get(f"XAIMED_{key.upper()}")) is not None:
            _take(values, key, text, "$XAIMED_", problems)
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


def _read(problems: list[str]) -> dict[str, object]:
    path = places.settings()
    try:
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            return {}
        import tomllib  # late: most have no such file

        return tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or str(error)).lower()}"
    except ValueError as error:  # neither TOML nor even UTF-8
        reason = f"is not TOML: {error}"
    problems.append(safe_text(f"{path}: the settings file {reason}; none of it is used", limit=400))
    return {}
