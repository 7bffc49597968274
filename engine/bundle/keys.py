"""One declaration of each value that a person may set: its name, its check, its default and what it is for.

The parameters of RISE and LIME are declared here, since `model.toml` may set them; `engine.explainers.registry` takes
them from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.bundle.schema import ESTIMATORS, Scalar, _choice, between, whole

T_co = TypeVar("T_co", covariant=True)


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
    """

    name: str
    check: Callable[[object], T_co]
    default: T_co | None
    help: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    @staticmethod
    def whole(name: str, default: int | None, least: int, most: int, help: str) -> Key[int]:
        """A whole number from `least` to `most`, the ends included."""
        return Key(name, whole(least, most), default, help, least, most)

    @staticmethod
    def between(name: str, default: float | None, least: float, most: float, help: str) -> Key[float]:
        """A number strictly between `least` and `most`."""
        return Key(name, between(least, most), default, help, least, most)

    @staticmethod
    def choice(name: str, default: str | None, choices: tuple[str, ...], help: str) -> Key[str]:
        """One of a few words."""
        return Key(name, lambda value: choices[_choice(value, choices)], default, help, choices=choices)


RISE_KEYS: tuple[Key[Scalar], ...] = (
    Key.whole("samples", 4000, 16, 1_000_000, "masks to draw"),
    Key.whole("grid", 7, 2, 64, "cells a side of the coarse mask"),
    Key.between("probability", 0.5, 0, 1, "how likely a cell of a mask shows the image"),
    Key.choice("estimator", "centred", ESTIMATORS, "how the map is estimated: centred, or as in the paper"),
)
"""RISE's parameters: `[explain.rise]` of `model.toml`."""

LIME_KEYS: tuple[Key[Scalar], ...] = (
    Key.whole("samples", 1000, 100, 1_000_000, "perturbed images, the original included"),
    Key.whole("superpixels", 50, 2, 1_000, "number of superpixels to aim at"),
    Key.between("kernel_width", 0.25, 0, 1_000, "width of the kernel on the distance from the original"),
)
"""LIME's parameters: `[explain.lime]` of `model.toml`."""
