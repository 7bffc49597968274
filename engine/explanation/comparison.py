"""Two maps of one image beside each other: the cells that both mark, and where they differ.

A cell whose place among a map's three is not settled is never counted for or against anything: it may differ.
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
"""How many cells two choices of three of nine share on average if neither knows of the other: 1."""


@dataclass(frozen=True, slots=True)
class CellComparison:
    """What two maps say of the nine cells.

    Attributes:
        shared: cells that are among the three of both maps, for certain.
        only_first, only_second: cells that are for certain among the three of one map, and not of the other.
        unsettled: cells whose place is not settled in at least one of the maps: nothing is said of them.
        as_they_stand: cells among the three of both maps, settled or not.
        constant: whether one of the maps is constant and marks nothing, so that there is nothing to compare.
    """

    shared: tuple[Cell, ...] = ()
    only_first: tuple[Cell, ...] = ()
    only_second: tuple[Cell, ...] = ()
    unsettled: tuple[Cell, ...] = ()
    as_they_stand: tuple[Cell, ...] = ()
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
        as_they_stand=tuple(cell for cell in CELLS if cell in first.top and cell in second.top),
    )


def rank_correlation(first: SaliencyMap, second: SaliencyMap) -> float:
    """Spearman's rank correlation of two maps of the same part of an image, in [-1, 1]; NaN if one is constant.

    Of maps of different sizes the means over equal parts are compared, as many as the smaller one has pixels each way.
    Noise of sampled maps draws the value towards 0.
    """
    shape = tuple(min(pair) for pair in zip(first.values.shape, second.values.shape, strict=True))
    return spearman(*(_in_parts(saliency, *shape) for saliency in (first, second)))


def _in_parts(saliency: SaliencyMap, rows: int, columns: int) -> SaliencyMap:
    """The map as means over so many equal parts; itself if it has no more pixels."""
    height, width = saliency.values.shape
    if (height, width) == (rows, columns):
        return saliency
    means = part_weights(rows, height) @ saliency.values @ part_weights(columns, width).T
    return replace(saliency, values=means.astype(saliency.values.dtype))


def why_not_comparable(first: Explanation, second: Explanation) -> str:
    """Why the cells of two explanations do not lie on the same part of one image; empty if they do."""
    if first.image.sha256 != second.image.sha256:
        return "These are two images."
    if first.view.shape[:2] != second.view.shape[:2]:
        (one, two), (three, four) = first.view.shape[:2], second.view.shape[:2]
        return (
            f"The networks see different parts of the image ({two}x{one} and {four}x{three} pixels), so their cells "
            "are not the same places and are not compared."
        )
    return ""
