"""*Right*: are a map's three cells those that the exact cells find? It costs no pass."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from engine.evidence.thresholds import AS_GOOD_AS_THE_BEST, GOOD_RANK, MOST_CHANCE, POOR_RANK
from engine.results.cells import CELLS, TOP
from engine.results.evidence import Right, Verdict
from engine.results.exact_cells import TRIPLES, ExactCells, FillValues, mid_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.results.cells import Cell


def judge_right(exact: ExactCells | None, top: Sequence[Cell], named: Sequence[Cell] | None = None) -> Right:
    """Return whether three cells are right.

    They are good when kept, or when hidden, if they rank among the best there or are nearly as good as the best: where
    one cell decides, 28 of the 84 triples hold it and rank 14.5. *Yes* asks that they are good both ways under every
    fill that matters, *no* that they are far from it in all these ways; what lies between cannot be said. A way in
    which no triple does anything keeps no *no* away: where four cells are needed, three do nothing when kept. Nor is a
    map that names fewer than three cells refused for those that are marked only because three are: if the named ones
    are among the best choices of as many, it cannot be said.

    Args:
        exact: the exact answer; None where there is none yet.
        top: the map's three cells; none for a constant map.
        named: those of them that the map names, see `GridStatistics.named`; None for all three.
    """
    if exact is None:
        return Right(why="the exact cells are not known yet")
    if not top:
        return Right(Verdict.UNKNOWN, why="a constant map names no cells")
    judged = exact.judge(top)
    if not exact.mattering:
        return Right(Verdict.UNKNOWN, judged, why="no cell matters under any fill")
    good = _good(exact.mattering, GOOD_RANK)
    right = np.asarray(good.all(axis=(1, 2)))
    chance = float(right.mean())
    place = TRIPLES.index(tuple(sorted(top)))
    passable, telling = _good(exact.mattering, POOR_RANK), _telling(exact.mattering)
    if telling.any() and not passable[place][telling].any():
        if named and len(named) < TOP and _best(exact.mattering, named):
            why = "the cells that it names do most, but with the others that are marked they do not"
            return Right(Verdict.UNKNOWN, judged, chance, why)
        return Right(Verdict.NO, judged, chance, "other cells do clearly more, kept and hidden, under every fill")
    if not right[place]:
        why = "these cells do well in one way (kept, hidden, under one fill) but not in all"
        return Right(Verdict.UNKNOWN, judged, chance, why)
    if chance > MOST_CHANCE:
        return Right(Verdict.UNKNOWN, judged, chance, "too many other choices of three cells do as well")
    return Right(Verdict.YES, judged, chance, "hardly any other three cells do more, kept or hidden")


def _good(fills: Sequence[FillValues], rank: float) -> NDArray[np.bool_]:
    """Return for each of the 84 triples whether it has this rank or a better one, or is nearly as good as the best.

    Returns:
        (84, fills, 2), the last for kept and hidden.
    """
    found = []
    for fill in fills:
        near = AS_GOOD_AS_THE_BEST * fill.range
        ways = [(mid_ranks(worth) <= rank) | (worth >= worth.max() - near) for worth in _worth(fill, TRIPLES)]
        found.append(np.stack(ways, axis=1))
    return np.stack(found, axis=1)


def _telling(fills: Sequence[FillValues]) -> NDArray[np.bool_]:
    """Return whether any triple does something when kept and when hidden, (fills, 2)."""
    found = []
    for fill in fills:
        kept, fall = _worth(fill, TRIPLES)
        near = AS_GOOD_AS_THE_BEST * fill.range
        found.append((kept.max() - fill.none_shown > near, fall.max() > near))
    return np.array(found)


def _best(fills: Sequence[FillValues], named: Sequence[Cell]) -> bool:
    """Whether one or two cells are among the best tenth of all choices of as many: kept and hidden, under every fill.

    That of nine single cells is the best one.
    """
    choices = list(combinations(CELLS, len(named)))
    enough = max(GOOD_RANK / len(TRIPLES) * len(choices), 1.0)
    place = choices.index(tuple(sorted(named)))
    return all(mid_ranks(worth)[place] <= enough for fill in fills for worth in _worth(fill, choices))


def _worth(fill: FillValues, choices: Sequence[Sequence[Cell]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each choice of cells is worth when kept and when hidden, (N,) each."""
    kept = np.array([fill.kept(cells) for cells in choices])
    return kept, fill.all_shown - np.array([fill.without(cells) for cells in choices])
