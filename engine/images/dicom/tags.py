"""The values of DICOM tags. What the pixels depend on must be readable; of the rest, what cannot be read is missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset


def numbers(dataset: Dataset, name: str) -> list[float]:
    """Return the numbers of a tag that the pixels depend on, none if it is missing or empty.

    Raises:
        ValueError: it holds anything else. (pydicom raises other errors, too.)
    """
    value = dataset.get(name)
    if value is None or value == "":
        return []
    if isinstance(value, str | bytes):
        raise ValueError(name)
    found = [float(each) for each in value] if hasattr(value, "__iter__") else [float(value)]
    if not all(math.isfinite(each) for each in found):
        raise ValueError(name)
    return found


def number(dataset: Dataset, name: str, default: float) -> float:
    """Return the first of these numbers, or the default.

    Raises:
        ValueError: as `numbers`.
    """
    found = numbers(dataset, name)
    return found[0] if found else default


def loose_numbers(dataset: Dataset, name: str) -> list[float]:
    """Return the numbers of a tag that says no more than where a picture belongs; none if they cannot be read."""
    try:
        return numbers(dataset, name)
    except Exception:  # a damaged value may make pydicom raise anything; nothing depends on it
        return []


def loose_text(dataset: Dataset, name: str) -> str:
    """Return the text of such a tag; empty if it cannot be read."""
    try:
        return str(dataset.get(name) or "")
    except Exception:  # as above
        return ""


def whole_number(dataset: Dataset, name: str) -> int:
    """Return the first number of such a tag without what follows its point; 0 if it cannot be read."""
    found = loose_numbers(dataset, name)
    return int(found[0]) if found else 0


def positive_pair(dataset: Dataset, name: str) -> tuple[float, float] | None:
    """Return the two numbers of such a tag, both above 0; None if it has others."""
    found = loose_numbers(dataset, name)
    return (found[0], found[1]) if len(found) == 2 and min(found) > 0 else None
