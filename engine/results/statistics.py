"""Statistics of a saliency map over the 3x3 grid, and the three cells it points at (paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.results.cells import GRID, TOP, Cell, cell_slices, rank_cells
from engine.results.certainty import equal_at_the_border, unsettled_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.results.saliency import SaliencyMap

FORCED_BELOW = 0.25
"""A cell with less than this share of the first one's mean has its place only because three are asked for."""


@dataclass(frozen=True, slots=True)
class GridStatistics:
    """Descriptive statistics of a map per cell.

    Attributes:
        mean, median, min, max, std: (3, 3) float64 over the pixels of each cell, in [0, 1]; `std` divides by n.
        top: the three cells with the highest mean, the highest first; empty for a constant map.
        certain: True if no other cell could replace one of the three: for sampling methods at 99 % confidence, for the
            others unless the third and the fourth cell are equal, which says nothing of noise in the image. False for a
            constant map.
        ties: the cells whose place among the three is not settled; empty if `certain`. Contains cells of `top` and
            cells outside it.
    """

    mean: NDArray[np.float64]
    median: NDArray[np.float64]
    min: NDArray[np.float64]
    max: NDArray[np.float64]
    std: NDArray[np.float64]
    top: tuple[Cell, ...]
    certain: bool
    ties: tuple[Cell, ...] = ()

    @property
    def named(self) -> tuple[Cell, ...]:
        """Those of `top` that words name: the others have less than a quarter of the first one's mean."""
        return tuple(cell for cell in self.top if self.mean[cell] >= FORCED_BELOW * self.mean[self.top[0]])


def grid_statistics(saliency: SaliencyMap) -> GridStatistics:
    """Return the statistics of a map's nine cells and its three top cells.

    All numbers are computed in float64 from `saliency.values`.

    Raises:
        ValueError: the map is smaller than 3x3.
    """
    values = np.asarray(saliency.values, dtype=np.float64)
    summaries = np.zeros((5, GRID, GRID))
    for cell, (rows, columns) in cell_slices(*values.shape).items():
        pixels = values[rows, columns]
        summaries[(slice(None), *cell)] = (
            pixels.mean(),
            np.median(pixels),
            pixels.min(),
            pixels.max(),
            pixels.std(),
        )
    summaries.setflags(write=False)
    mean, median, low, high, std = summaries
    top: tuple[Cell, ...] = ()
    ties: tuple[Cell, ...] = ()
    if not saliency.constant:
        top = rank_cells(mean)[:TOP]
        ties = unsettled_cells(saliency.cells) if saliency.cells is not None else equal_at_the_border(mean)
    return GridStatistics(mean, median, low, high, std, top, certain=bool(top) and not ties, ties=ties)
