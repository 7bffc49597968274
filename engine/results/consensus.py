"""How far the methods agree: counts per cell (paper, section 3.2), and what chance would give; rank correlations.

Methods that use the same gradients agree without confirming each other. So there is a second count, of independent
opinions: such methods together have one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from engine.results.cells import CELLS, GRID, TOP, Cell, rank_cells

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
        groups: the voting methods, those together that are not independent of each other.
        opinions: (3, 3) int; how many groups have the cell among their three. A group's three are the cells with the
            highest mean over its maps that are not constant, each scaled to [0, 1].
    """

    counts: NDArray[np.int64]
    methods: tuple[str, ...]
    correlation: Mapping[tuple[str, str], float]
    unsettled: tuple[Cell, ...]
    groups: tuple[tuple[str, ...], ...]
    opinions: NDArray[np.int64]

    @property
    def chance(self) -> tuple[float, ...]:
        """How many cells would have 1, 2, ... votes or more by chance, for each number up to all that mark cells."""
        return _by_chance(self.counts)

    @property
    def opinions_chance(self) -> tuple[float, ...]:
        """The same for opinions."""
        return _by_chance(self.opinions)


def consensus(
    maps: Mapping[str, SaliencyMap],
    statistics: Mapping[str, GridStatistics],
    voters: Collection[str] | None = None,
    dependent: Sequence[Collection[str]] = (),
) -> Consensus:
    """Count, for every cell, the voters' maps that have it among their three, and correlate all maps in pairs.

    Args:
        maps: maps of one image and one class by method key, all of one shape.
        statistics: their grid statistics by the same keys.
        voters: keys of the methods that vote, with or without a map; None for all that have one.
        dependent: groups of methods, voting or not, that are not independent of each other.

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
    groups = tuple(dict.fromkeys(_group(method, counted, dependent) for method in counted))
    return Consensus(counts, counted, MappingProxyType(pairs), unsettled, groups, _opinions(groups, statistics))


def cells_by_chance(votes: int, voters: int) -> float:
    """Return how many of the nine cells have at least `votes` votes on average, if every voter marks three at random.

    Each voter marks a cell with the probability 1/3, independently of the others. So a cell's votes are binomial, and
    the expected number of such cells is nine times the probability of each, though the cells are not independent.
    """
    share = TOP / len(CELLS)
    return len(CELLS) * sum(
        comb(voters, count) * share**count * (1.0 - share) ** (voters - count) for count in range(votes, voters + 1)
    )


def _by_chance(counts: NDArray[np.int64]) -> tuple[float, ...]:
    voters = int(counts.sum()) // TOP
    return tuple(cells_by_chance(votes, voters) for votes in range(1, voters + 1))


def _group(method: str, counted: Sequence[str], dependent: Sequence[Collection[str]]) -> tuple[str, ...]:
    """Return the counted methods that are not independent of this one, itself included."""
    return next((tuple(key for key in counted if key in group) for group in dependent if method in group), (method,))


def _opinions(groups: Sequence[Sequence[str]], statistics: Mapping[str, GridStatistics]) -> NDArray[np.int64]:
    opinions = np.zeros((GRID, GRID), dtype=np.int64)
    for group in groups:
        means = [statistics[method].mean for method in group if statistics[method].top]
        for cell in rank_cells(np.mean(means, axis=0))[:TOP] if means else ():
            opinions[cell] += 1
    opinions.setflags(write=False)
    return opinions


def spearman(first: SaliencyMap, second: SaliencyMap) -> float:
    """Return Spearman's rank correlation of two maps over their pixels, ties by mean rank; NaN if one is constant."""
    if first.constant or second.constant:
        return float("nan")
    from scipy.stats import spearmanr  # late: half a second of import

    return float(spearmanr(first.values.ravel(), second.values.ravel()).statistic)
