"""The 3x3 grid: how an image is split into cells (paper, section 3.2)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

GRID = 3
"""Rows and columns of the grid."""

TOP = 3
"""How many cells a map points at."""

Cell = tuple[int, int]
"""A cell as (row, column), both counted from 0."""

CELLS: tuple[Cell, ...] = tuple((row, column) for row in range(GRID) for column in range(GRID))
"""All nine cells in reading order."""

CELL_NAMES: Mapping[Cell, str] = MappingProxyType(
    dict(
        zip(
            CELLS,
            ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"),
            strict=True,
        )
    )
)
"""Where each of the nine cells lies, in words."""


def cell_edges(length: int) -> tuple[int, ...]:
    """Return the GRID + 1 edges that split `length` pixels: `round(i * length / 3)`.

    Raises:
        ValueError: fewer than 3 pixels, so that a cell would be empty.
    """
    if length < GRID:
        raise ValueError(f"{length} pixels cannot be split into {GRID} cells")
    return tuple(round(i * length / GRID) for i in range(GRID + 1))


def cell_slices(height: int, width: int) -> dict[Cell, tuple[slice, slice]]:
    """Return, for every cell, the row and column slices of an array of shape (height, width)."""
    rows, columns = cell_edges(height), cell_edges(width)
    return {(r, c): (slice(rows[r], rows[r + 1]), slice(columns[c], columns[c + 1])) for r, c in CELLS}


def part_weights(parts: int, length: int) -> NDArray[np.float64]:
    """Return (parts, length) weights that average equal parts of an axis, split as cells are.

    The mean of every part of an (H, W) image is `part_weights(n, H) @ image @ part_weights(n, W).T`.

    Raises:
        ValueError: fewer pixels than parts.
    """
    if length < parts:
        raise ValueError(f"{length} pixels cannot be split into {parts} parts")
    import numpy as np  # late: the app names cells before it needs numbers

    edges = [round(i * length / parts) for i in range(parts + 1)]
    weights = np.zeros((parts, length))
    for i in range(parts):
        weights[i, edges[i] : edges[i + 1]] = 1.0 / (edges[i + 1] - edges[i])
    return weights


def rank_cells(means: NDArray[np.floating]) -> tuple[Cell, ...]:
    """Return the nine cells by falling mean; ties go to the smaller row number, then the smaller column number.

    Args:
        means: (3, 3) cell means.
    """
    import numpy as np  # late, as above

    order = np.argsort(-np.asarray(means, dtype=np.float64).ravel(), kind="stable")
    return tuple(CELLS[i] for i in order)
