"""Does a map's peak lie in what an expert outlined? The pointing game (Zhang et al. 2018, IJCV 126:1084, section 4.2).

A hit says that the network looked there, not that it looked there for the right reason. Hold it against chance: a large
outline is hit by many a point, and the image's centre is in more outlines than its corners are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def peak_inside(values: NDArray[np.floating], outline: NDArray[np.bool_]) -> bool:
    """Return whether a map's highest value lies inside an outline; a constant map has no peak, so it misses.

    Args:
        values: (h, w) the map, of the whole image; of several equal peaks the first in reading order counts.
        outline: (H, W) True inside; of the same image at whatever size.
    """
    if values.min() == values.max():
        return False
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return _at(outline, (row + 0.5) / values.shape[0], (column + 0.5) / values.shape[1])


def centre_inside(outline: NDArray[np.bool_]) -> bool:
    """Return whether the image's centre lies inside an outline: what a map hits that always points at the centre."""
    return _at(outline, 0.5, 0.5)


def _at(outline: NDArray[np.bool_], down: float, right: float) -> bool:
    """Return the outline at a place that is given by its shares of height and width."""
    return bool(outline[int(down * outline.shape[0]), int(right * outline.shape[1])])
