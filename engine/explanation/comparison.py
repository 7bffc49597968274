"""Compare two maps of one image: the cells that both mark, and the cells where they differ.

If it is not settled whether a cell is among a map's three, the cell counts neither as shared nor as different.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.results.cells import CELLS, TOP, Cell, part_weights
from engine.results.consensus import spearman

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics

SHARED_BY_CHANCE = TOP * TOP / len(CELLS)
"""Number of cells that two independent choices of three from nine share on average: 1."""


@dataclass(frozen=True, slots=True)
class CellComparison:
    """How the three cells of two maps compare.

    Attributes:
        shared: cells that are certainly among the three of both maps.
        only_first, only_second: cells that are certainly among the three of one map and certainly not of the other.
        unsettled: cells whose place is not settled in at least one of the maps; they are in none of the above.
        in_both: cells among the three of both maps, settled or not.
        constant: whether one of the maps is constant and marks no cells, so that there is nothing to compare.
    """

    shared: tuple[Cell, ...] = ()
    only_first: tuple[Cell, ...] = ()
    only_second: tuple[Cell, ...] = ()
    unsettled: tuple[Cell, ...] = ()
    in_both: tuple[Cell, ...] = ()
    constant: bool = False


def compare_cells(first: GridStatistics, second: GridStatistics) -> CellComparison:
    """Compare the three cells of two maps of the same part of one image."""
    if not first.top or not second.top:
        return CellComparison(constant=True)
    settled = [cell for cell in CELLS if cell not in first.ties and cell not in second.ties]
    return CellComparison(
        shared=tuple(cell for cell in settled if cell in first.top and cell in second.top),
        only_first=tuple(cell for cell in settled if cell in first.top and cell not in second.top),
        only_second=tuple(cell for cell in settled if cell not in first.top and cell in second.top),
        unsettled=tuple(cell for cell in CELLS if cell not in settled),
        in_both=tuple(cell for cell in CELLS if cell in first.top and cell in second.top),
    )


def rank_correlation(first: SaliencyMap, second: SaliencyMap) -> float:
    """Return Spearman's rank correlation of two maps of the same part of an image, in [-1, 1]; NaN if one is constant.

    If the maps' sizes differ, their means over equal parts are compared, with as many parts each way as the smaller map
    has pixels. The noise of sampled maps pulls the value towards 0.
    """
    shape = tuple(min(pair) for pair in zip(first.values.shape, second.values.shape, strict=True))
    return spearman(*(_in_parts(saliency, *shape) for saliency in (first, second)))


def _in_parts(saliency: SaliencyMap, rows: int, columns: int) -> SaliencyMap:
    """Return the map as means over so many equal parts; the map itself if that is its size."""
    height, width = saliency.values.shape
    if (height, width) == (rows, columns):
        return saliency
    means = part_weights(rows, height) @ saliency.values @ part_weights(columns, width).T
    return replace(saliency, values=means.astype(saliency.values.dtype))


def why_not_comparable(first: Explanation, second: Explanation) -> str:
    """Return why the cells of two explanations are not the same parts of one image; empty if they are."""
    if first.image.sha256 != second.image.sha256:
        return "These are two images."
    if first.view.shape[:2] != second.view.shape[:2]:
        (one, two), (three, four) = first.view.shape[:2], second.view.shape[:2]
        return (
            f"The networks see different parts of the image ({two}x{one} and {four}x{three} pixels), so their cells "
            "are not the same places and are not compared."
        )
    return ""
