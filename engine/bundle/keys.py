"""One declaration of each value that a person may set: its name, its check, its default and what it is for.

The parameters of RISE and LIME are declared here, since `model.toml` may set them; `engine.explainers.registry` takes
them from here. `engine.bundle.schema` has the table of all keys of `model.toml`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)

Scalar = int | float | str


class WrongValueError(Exception):
    """A declared value that is not what it must be; the text is a clause such as `must be 1 or 3, not 4`."""


@dataclass(frozen=True, slots=True)
class Key(Generic[T_co]):
    """A named value with all that is known about it beforehand.

    Attributes:
        name: what it is called in `model.toml` and on the command line.
        check: gives the value as it is used; raises `WrongValueError` with a clause such as
            `must be a whole number from 16 to 1,000,000, not 3`.
        default: the value where none is given; None where there is none.
        help: what it is for, as a phrase without a full stop.
        least, most: the range of a number; None for other values. `check` says whether the ends belong to it.
        choices: the words to choose among; empty for other values.
        example: the value that the README shows; None for the default.
        constant: what `architecture.py` calls it; empty where it cannot be declared there.
        constant_check: the check of that constant, if it may be written in more ways; None for `check`.
        from_training: whether only who trained the network knows it, so that a drafted `model.toml` asks for it.
        required: whether its section is wrong without it.
    """

    name: str
    check: Callable[[object], T_co]
    default: T_co | None = None
    help: str = ""
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    example: T_co | None = None
    constant: str = ""
    constant_check: Callable[[object], T_co] | None = None
    from_training: bool = False
    required: bool = False

    @staticmethod
    def whole(name: str, default: int | None, least: int, most: int, help: str) -> Key[int]:
        """A whole number from `least` to `most`, the ends included."""
        return Key(name, whole(least, most), default, help, least, most)

    @staticmethod
    def between(name: str, default: float | None, least: float, most: float, help: str) -> Key[float]:
        """A number strictly between `least` and `most`."""
        return Key(name, between(least, most), default, help, least, most)

    @staticmethod
    def choice(
        name: str,
        default: str | None,
        choices: tuple[str, ...],
        help: str,
        *,
        example: str | None = None,
        constant: str = "",
        from_training: bool = False,
    ) -> Key[str]:
        """One of a few words."""
        return Key(
            name,
            one_of(choices),
            default,
            help,
            choices=choices,
            example=example,
            constant=constant,
            from_training=from_training,
        )

    @property
    def in_readme(self) -> T_co | None:
        """The value that the README shows."""
        return self.default if self.example is None else self.example


def whole(low: int, high: int) -> Callable[[object], int]:
    """A check for whole numbers in [low, high]."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise WrongValueError(f"must be a whole number from {low:,} to {high:,}, not {shown(value)}")
        return value

    return check


def between(low: float, high: float) -> Callable[[object], float]:
    """A check for numbers strictly between `low` and `high`."""

    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low < value < high:
            raise WrongValueError(f"must be a number between {low:g} and {high:g}, not {shown(value)}")
        return float(value)

    return check


def one_of(words: tuple[str, ...]) -> Callable[[object], str]:
    """A check for one of a few words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            listed = ", ".join(f'"{word}"' for word in words)
            raise WrongValueError(f"must be one of {listed}, not {shown(value)}")
        return value

    return check


def shown(value: object) -> str:
    """A wrong value as an error shows it, in TOML's spelling, at most 80 characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(item) for item in value[:8]) + (", ..." if len(value) > 8 else "") + "]"
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, int) and abs(value) > 10**12:
        text = "a very large number"
    else:
        text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"


RISE_KEYS: tuple[Key[Scalar], ...] = (
    Key.whole("samples", 4000, 16, 1_000_000, "masks to draw"),
    Key.whole("grid", 7, 2, 64, "cells a side of the coarse mask"),
    Key.between("probability", 0.5, 0, 1, "how likely a cell of a mask shows the image"),
    Key.choice("estimator", "centred", ("centred", "paper"), "how the map is estimated: centred, or as in the paper"),
)
"""RISE's parameters: `[explain.rise]` of `model.toml`."""

LIME_KEYS: tuple[Key[Scalar], ...] = (
    Key.whole("samples", 1000, 100, 1_000_000, "perturbed images, the original included"),
    Key.whole("superpixels", 50, 2, 1_000, "number of superpixels to aim at"),
    Key.between("kernel_width", 0.25, 0, 1_000, "width of the kernel on the distance from the original"),
)
"""LIME's parameters: `[explain.lime]` of `model.toml`."""
