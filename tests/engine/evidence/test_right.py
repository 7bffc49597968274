"""*Right* follows from the 512 values alone: a good choice of cells must be good kept and hidden, under every fill."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from engine.evidence.right import judge_right
from engine.results.cells import CELLS
from engine.results.evidence import Verdict
from engine.results.exact_cells import COMBINATIONS, ExactCells, fill_values

SHOWN = np.arange(COMBINATIONS)[:, None] >> np.arange(9) & 1
"""(512, 9): which cells a combination shows."""

CORNERS, EDGES = ((0, 0), (0, 2), (2, 2)), ((0, 1), (1, 0), (2, 1))


def exact(**fills: np.ndarray) -> ExactCells:
    return ExactCells("positive", {fill: fill_values(fill, values) for fill, values in fills.items()})


def linear(*cells: tuple[int, int]) -> np.ndarray:
    """.1, and .2 more for each of these cells that is shown; a trifle for every other."""
    weights = np.array([0.2 if cell in cells else 0.001 * place for place, cell in enumerate(CELLS)])
    return 0.1 + SHOWN @ weights


def test_the_three_cells_that_add_up_are_right_and_three_others_are_wrong() -> None:
    found = exact(mean=linear(*CORNERS), blur=linear(*CORNERS))
    right = judge_right(found, CORNERS)
    assert (right.verdict, right.fills["mean"].shared) == (Verdict.YES, 3)
    wrong = judge_right(found, EDGES)
    assert wrong.verdict is Verdict.NO
    assert wrong.fills["blur"].kept_rank > 42.5
    # Two of the three and the cell 7 share the ranks 2 to 4, with the cell 6 the ranks 5 to 7, with the cell 5 8 to 10,
    # which is 9 on average; what they lose, .2 of a range of .63, is more than a trifle.
    assert right.chance == pytest.approx(7 / 84)


def test_what_two_fills_say_differently_cannot_be_said() -> None:
    found = judge_right(exact(mean=linear(*CORNERS), blur=linear(*EDGES)), CORNERS)
    assert found.verdict is Verdict.UNKNOWN
    assert found.chance == 0.0  # nothing is good under both


def test_a_fill_that_does_not_matter_does_not_judge() -> None:
    found = judge_right(exact(mean=linear(*CORNERS), blur=np.full(512, 0.9) + 0.04 * SHOWN[:, 1]), CORNERS)
    assert found.verdict is Verdict.YES
    assert found.fills["blur"].kept_rank is None


@pytest.mark.parametrize("tied", [True, False])
def test_where_one_cell_decides_every_choice_with_it_is_right(tied: bool) -> None:
    trifles = 0.0 if tied else 1e-4
    values = 0.05 + 0.9 * SHOWN[:, 4] + trifles * (SHOWN @ np.arange(9))
    found = exact(mean=values)
    verdicts = [judge_right(found, three).verdict for three in combinations(CELLS, 3)]
    assert verdicts.count(Verdict.YES) == 28
    assert verdicts.count(Verdict.NO) == 56
    right = judge_right(found, ((0, 0), (0, 1), (1, 1)))
    assert right.chance == pytest.approx(1 / 3)
    assert (right.fills["mean"].kept_rank == 14.5) == tied


def test_there_is_no_yes_where_most_choices_do_as_well() -> None:
    # Any three cells keep the class, and no three hidden lose it: only fewer than three are too few.
    values = np.where(SHOWN.sum(axis=1) >= 3, 0.95, 0.05)
    found = judge_right(exact(mean=values), CORNERS)
    assert (found.verdict, found.chance) == (Verdict.UNKNOWN, 1.0)


def test_what_is_good_kept_but_not_hidden_cannot_be_said() -> None:
    # Each cell of the diagonal alone shows the class, so that only all three of them hide it.
    values = 0.05 + 0.9 * SHOWN[:, [0, 4, 8]].any(axis=1)
    assert judge_right(exact(mean=values), ((0, 0), (0, 1), (0, 2))).verdict is Verdict.UNKNOWN
    assert judge_right(exact(mean=values), ((0, 0), (1, 1), (2, 2))).verdict is Verdict.YES


def test_without_cells_fills_or_maps_there_is_nothing_to_say() -> None:
    assert judge_right(None, CORNERS).verdict is Verdict.NOT_ASKED
    assert judge_right(exact(mean=np.full(512, 0.4)), CORNERS).verdict is Verdict.UNKNOWN
    assert judge_right(exact(mean=linear(*CORNERS)), ()).verdict is Verdict.UNKNOWN


def test_cells_that_are_marked_but_not_named_refuse_no_map() -> None:
    # The cell 1 does most by far; beside it two of the weakest are marked.
    weights = np.array([0.01, 0.43, 0.08, 0.08, 0.05, 0.08, 0.07, 0.07, 0.07])
    found, three = exact(mean=0.05 + SHOWN @ weights), (CELLS[1], CELLS[0], CELLS[4])
    assert judge_right(found, three).verdict is Verdict.NO
    assert judge_right(found, three, three).verdict is Verdict.NO
    spared = judge_right(found, three, three[:1])
    assert (spared.verdict, spared.why) == (
        Verdict.UNKNOWN,
        "the cells that it names do most, but with the others that are marked they do not",
    )
    assert judge_right(found, (CELLS[0], CELLS[4], CELLS[6]), three[1:2]).verdict is Verdict.NO
    # Any one cell kept does nothing where four are needed: that is as good as the best, but not the best.
    needed = np.where(SHOWN[:, :4].all(axis=1), 0.9, 0.1) + 0.01 * SHOWN[:, :4].sum(axis=1) + 1e-3 * SHOWN[:, 5]
    assert judge_right(exact(mean=needed), (CELLS[6], CELLS[7], CELLS[8]), (CELLS[6],)).verdict is Verdict.NO
