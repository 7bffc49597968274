"""How far the methods agree: counts per cell (paper, section 3.2) and the rank correlation of their maps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from engine.results.cells import CELLS, GRID, Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics


@dataclass(frozen=True, slots=True)
class Consensus:
    """The cumulative map.

    Attributes:
        counts: (3, 3) int; how many of the voting methods have the cell among their three. They sum to three for each
            of their maps that is not constant: 12 for the paper's four.
        methods: keys of the methods that vote and have a map, in order.
        correlation: Spearman's rank correlation of every pair of maps over their pixels, voting or not, in [-1, 1]; NaN
            where one of the two is constant. Keys are (method, method) in the order of the maps.
        unsettled: cells whose place among a voting map's three is not settled, in reading order: their counts may
            change.
    """

    counts: NDArray[np.int64]
    methods: tuple[str, ...]
    correlation: Mapping[tuple[str, str], float]
    unsettled: tuple[Cell, ...] = ()


def consensus(
    maps: Mapping[str, SaliencyMap],
    statistics: Mapping[str, GridStatistics],
    voters: Collection[str] | None = None,
) -> Consensus:
    """Count, for every cell, the voters' maps that have it among their three, and correlate all maps in pairs.

    Args:
        maps: maps of one image and one class by method key, all of one shape.
        statistics: their grid statistics by the same keys.
        voters: keys of the methods that vote, with or without a map; None for all that have one.

    Raises:
        ValueError: the maps differ in shape or explain different classes.
    """
    if len({saliency.values.shape for saliency in maps.values()}) > 1:
        raise ValueError("maps of different shapes cannot be compared")
    if len({saliency.target for saliency in maps.values()}) > 1:
        raise ValueError("maps of different classes cannot be compared")
    counts = np.zeros((GRID, GRID), dtype=np.int64)
    counted = tuple(method for method in maps if voters is None or method in voters)
    for method in counted:
        for cell in statistics[method].top:
            counts[cell] += 1
    counts.setflags(write=False)
    pairs = {(a, b): spearman(maps[a], maps[b]) for a, b in combinations(maps, 2)}
    unsettled = tuple(cell for cell in CELLS if any(cell in statistics[method].ties for method in counted))
    return Consensus(counts, counted, MappingProxyType(pairs), unsettled)


def spearman(first: SaliencyMap, second: SaliencyMap) -> float:
    """Return Spearman's rank correlation of two maps over their pixels, ties by mean rank; NaN if one is constant."""
    if first.constant or second.constant:
        return float("nan")
    from scipy.stats import spearmanr  # late: half a second of import

    return float(spearmanr(first.values.ravel(), second.values.ravel()).statistic)
