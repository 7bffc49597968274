"""*Right*: are a map's three cells those that the exact cells find? It costs no pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.evidence.thresholds import AS_GOOD_AS_THE_BEST, GOOD_RANK, MOST_CHANCE
from engine.results.evidence import Right, Verdict
from engine.results.exact_cells import TRIPLES, ExactCells, FillValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.results.cells import Cell


def judge_right(exact: ExactCells | None, top: Sequence[Cell]) -> Right:
    """Return whether three cells are right.

    They are good when kept, or when hidden, if they rank among the best there or are nearly as good as the best: where
    one cell decides, 28 of the 84 triples hold it and rank 14.5. *Yes* asks that they are good both ways under every
    fill that matters, *no* that they are good neither way under any; what lies between cannot be said.

    Args:
        exact: the exact answer; None where there is none yet.
        top: the map's three cells; none for a constant map.
    """
    if exact is None:
        return Right(why="the exact cells are not known yet")
    if not top:
        return Right(Verdict.UNKNOWN, why="a constant map names no cells")
    judged = exact.judge(top)
    if not exact.mattering:
        return Right(Verdict.UNKNOWN, judged, why="no cell matters under any fill")
    good = np.stack([_good(found) for found in exact.mattering], axis=1)
    right = np.asarray(good.all(axis=(1, 2)))
    chance = float(right.mean())
    place = TRIPLES.index(tuple(sorted(top)))
    if not good[place].any():
        return Right(Verdict.NO, judged, chance, "other cells do clearly more, kept and hidden, under every fill")
    if not right[place]:
        why = "these cells do well in one way (kept, hidden, under one fill) but not in all"
        return Right(Verdict.UNKNOWN, judged, chance, why)
    if chance > MOST_CHANCE:
        return Right(Verdict.UNKNOWN, judged, chance, "too many other choices of three cells do as well")
    return Right(Verdict.YES, judged, chance, "hardly any other three cells do more, kept or hidden")


def _good(found: FillValues) -> NDArray[np.bool_]:
    """Return for each of the 84 triples whether it is good when kept and when hidden, (84, 2)."""
    kept = np.array([found.kept(three) for three in TRIPLES])
    fall = found.all_shown - np.array([found.without(three) for three in TRIPLES])
    near = AS_GOOD_AS_THE_BEST * found.range
    return np.stack(
        [
            (found.kept_ranks <= GOOD_RANK) | (kept >= kept.max() - near),
            (found.hidden_ranks <= GOOD_RANK) | (fall >= fall.max() - near),
        ],
        axis=1,
    )
