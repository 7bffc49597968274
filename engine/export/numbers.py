"""Numbers as JSON takes them: one that is not finite becomes null."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
"""A value that JSON can represent."""


def as_number(value: float) -> float | None:
    """Return a number as a float; None if it is not finite."""
    value = float(value)
    return value if math.isfinite(value) else None


def as_numbers(values: Iterable[float]) -> list[Json]:
    """Return numbers, such as those of a (N,) array."""
    return [as_number(value) for value in values]
