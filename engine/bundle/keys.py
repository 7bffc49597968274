"""How each value that a person may set is declared: its name, check, default and purpose.

RISE's and LIME's parameters are declared here because `model.toml` may set them; `engine.explainers.registry` takes
them from here. `engine.bundle.schema` has the table of all keys of `model.toml`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T_co = TypeVar("T_co", covariant=True)

Scalar = int | float | str


class WrongValueError(Exception):
    """A value that fails its check. The text is a clause such as `must be 1 or 3, not 4`."""


@dataclass(frozen=True, slots=True)
class Key(Generic[T_co]):
    """What is known about a named value before anyone sets it.

    Attributes:
        name: its name in `model.toml` and on the command line.
        check: returns the value as it is used; raises `WrongValueError` with a clause such as
            `must be a whole number from 16 to 1,000,000, not 3`.
        default: the value if none is given; None if it has no default.
        help: its purpose, as a phrase without a full stop.
        least, most: the range of a number; None for other values. `check` decides whether it includes its ends.
        choices: the words to choose from; empty for other values.
        example: the value shown in the README; None for the default.
        constant: its name in `architecture.py`; empty if it cannot be declared there.
        constant_check: the check for that constant, if it may be written in more ways; None for `check`.
        from_training: whether only those who trained the network know it. A drafted `model.toml` then asks for it.
        required: whether its section is invalid without it.
        kind: what its values are; a plug-in's own check may leave it open.
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
    kind: Literal["whole number", "number", "word", "value"] = "value"

    @staticmethod
    def whole(name: str, default: int | None, least: int, most: int, help: str) -> Key[int]:
        """Declare a whole number from `least` to `most`, both included."""
        return Key(name, whole(least, most), default, help, least, most, kind="whole number")

    @staticmethod
    def between(name: str, default: float | None, least: float, most: float, help: str) -> Key[float]:
        """Declare a number strictly between `least` and `most`."""
        return Key(name, between(least, most), default, help, least, most, kind="number")

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
        """Declare a choice of one word among a few."""
        return Key(
            name,
            one_of(choices),
            default,
            help,
            choices=choices,
            example=example,
            constant=constant,
            from_training=from_training,
            kind="word",
        )

    @property
    def allowed(self) -> str:
        """What its values may be, for people: `whole number from 2 to 64`, `number between 0 and 1`, `a or b`."""
        if self.choices:
            return " or ".join(self.choices)
        if self.least is None or self.most is None:
            return self.kind
        if self.kind == "whole number":
            return f"{self.kind} from {self.least:,} to {self.most:,}"
        return f"{self.kind} between {self.least:g} and {self.most:g}"

    @property
    def in_readme(self) -> T_co | None:
        """The value shown in the README."""
        return self.default if self.example is None else self.example


def whole(low: int, high: int) -> Callable[[object], int]:
    """Return a check for whole numbers in [low, high]."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise WrongValueError(f"must be a whole number from {low:,} to {high:,}, not {shown(value)}")
        return value

    return check


def between(low: float, high: float) -> Callable[[object], float]:
    """Return a check for numbers strictly between `low` and `high`."""

    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low < value < high:
            raise WrongValueError(f"must be a number between {low:g} and {high:g}, not {shown(value)}")
        return float(value)

    return check


def one_of(words: tuple[str, ...]) -> Callable[[object], str]:
    """Return a check for one of a few words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            listed = ", ".join(f'"{word}"' for word in words)
            raise WrongValueError(f"must be one of {listed}, not {shown(value)}")
        return value

    return check


def shown(value: object) -> str:
    """Return a wrong value as errors show it: in TOML's spelling, at most 80 characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = f'"{value}"'
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(item) for item in value[:8]) + (", ..." if len(value) > 8 else "") + "]"
    elif isinstance(value, dict):
        text = "a table"
    elif isinstance(value, int) and abs(value) > 10**12:  # `str` refuses more than 4,300 digits
        text = "a very large number"
    else:
        text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"


WITHOUT_KEYS = ("gradcam", "gradcam++", "hirescam")
"""The built-in methods that have no parameters. `model.toml` has no section for them."""

RISE_KEYS: tuple[Key[Scalar], ...] = (
    Key.whole("samples", 4000, 16, 1_000_000, "masks to draw"),
    Key.whole("grid", 7, 2, 64, "cells a side of the coarse mask"),
    Key.between("probability", 0.5, 0, 1, "how likely a cell of a mask shows the image"),
    Key.choice("estimator", "centred", ("centred", "paper"), "how the map is estimated: centred, or as in the paper"),
    Key.choice("fill", "mean", ("mean", "blur"), "what hidden pixels show: the mean colour, or the blurred image"),
)
"""RISE's parameters: `[explain.rise]` of `model.toml`."""

LIME_KEYS: tuple[Key[Scalar], ...] = (
    Key.whole("samples", 1000, 100, 1_000_000, "perturbed images, the original included"),
    Key.whole("superpixels", 50, 2, 1_000, "number of superpixels to aim at"),
    Key.between("kernel_width", 0.25, 0, 1_000, "width of the kernel on the distance from the original"),
    Key.whole("segmentations", 5, 1, 1_000, "segmentations that share the samples; 1 is the paper's LIME"),
    Key.choice("fill", "own-mean", ("own-mean", "blur"), "what a hidden superpixel shows: its mean colour, or a blur"),
)
"""LIME's parameters: `[explain.lime]` of `model.toml`."""
