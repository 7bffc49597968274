"""What two maps share, worked out by hand; a cell that is not settled is never counted for or against anything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factories import make_explanation, make_image, make_map
from hypothesis import given
from hypothesis import strategies as st

from engine.explanation.comparison import (
    SHARED_BY_CHANCE,
    CellComparison,
    compare_cells,
    rank_correlation,
    why_not_comparable,
)
from engine.results.cells import CELLS
from engine.results.saliency import SaliencyMap
from engine.results.statistics import GridStatistics, grid_statistics


def statistics(top: tuple[tuple[int, int], ...], ties: tuple[tuple[int, int], ...] = ()) -> GridStatistics:
    table = np.zeros((3, 3))
    return GridStatistics(table, table, table, table, table, top=top, certain=bool(top) and not ties, ties=ties)


def test_cells_of_both_of_one_and_of_the_other_are_told_apart() -> None:
    first, second = statistics(((0, 0), (0, 1), (0, 2))), statistics(((0, 1), (0, 2), (2, 2)))
    assert compare_cells(first, second) == CellComparison(
        shared=((0, 1), (0, 2)), only_first=((0, 0),), only_second=((2, 2),), in_both=((0, 1), (0, 2))
    )


def test_a_cell_that_is_not_settled_in_one_map_is_neither_shared_nor_a_difference() -> None:
    first = statistics(((0, 0), (0, 1), (0, 2)), ties=((0, 2), (1, 1)))
    second = statistics(((0, 1), (0, 2), (1, 1)))
    assert compare_cells(first, second) == CellComparison(
        shared=((0, 1),), only_first=((0, 0),), unsettled=((0, 2), (1, 1)), in_both=((0, 1), (0, 2))
    )


def test_a_constant_map_leaves_nothing_to_compare() -> None:
    constant = grid_statistics(make_map("gradcam", constant=True))
    assert compare_cells(constant, statistics(((0, 0), (0, 1), (0, 2)))).constant


def map_of(*rows: tuple[float, ...]) -> SaliencyMap:
    return make_map("gradcam", values=np.array(rows, dtype=np.float32))


def test_the_rank_correlation_of_two_maps_depends_on_the_order_of_their_pixels_alone() -> None:
    one = map_of((0.0, 0.1, 0.2), (0.3, 0.4, 0.5), (0.6, 0.7, 1.0))
    squared = map_of((0.0, 0.01, 0.04), (0.09, 0.16, 0.25), (0.36, 0.49, 1.0))
    falling = map_of((1.0, 0.7, 0.6), (0.5, 0.4, 0.3), (0.2, 0.1, 0.0))
    swapped = map_of((0.1, 0.0, 0.2), (0.3, 0.4, 0.5), (0.6, 0.7, 1.0))
    assert rank_correlation(one, squared) == pytest.approx(1.0)
    assert rank_correlation(one, falling) == pytest.approx(-1.0)
    assert rank_correlation(one, swapped) == pytest.approx(1 - 6 * 2 / (9 * 80))  # two ranks differ by one
    assert np.isnan(rank_correlation(one, make_map("gradcam", constant=True, height=3, width=3)))


def test_maps_of_different_sizes_are_correlated_over_equal_parts_of_the_image() -> None:
    coarse = map_of((0.0, 0.1, 0.2), (0.3, 0.4, 0.5), (0.6, 0.7, 1.0))
    fine = replace(coarse, values=np.kron(coarse.values, np.ones((4, 2), dtype=np.float32)))
    assert rank_correlation(fine, coarse) == rank_correlation(coarse, fine) == pytest.approx(1.0)
    upright = replace(coarse, values=np.kron(coarse.values.T, np.ones((1, 5), dtype=np.float32)))
    assert rank_correlation(coarse, upright) == pytest.approx(rank_correlation(coarse, map_of(*coarse.values.T)))


def test_two_random_choices_of_three_cells_share_one_on_average() -> None:
    from itertools import combinations

    choices = list(combinations(CELLS, 3))
    shared = [len(set(choices[0]) & set(other)) for other in choices]
    assert sum(shared) / len(shared) == SHARED_BY_CHANCE == 1.0


cells = st.permutations(CELLS)


@given(cells, cells, st.sets(st.sampled_from(CELLS)), st.sets(st.sampled_from(CELLS)))
def test_no_cell_is_said_to_be_two_things_and_swapping_the_maps_swaps_the_answer(one, two, ties, other_ties) -> None:
    first, second = statistics(tuple(one[:3]), tuple(ties)), statistics(tuple(two[:3]), tuple(other_ties))
    made, swapped = compare_cells(first, second), compare_cells(second, first)
    parts = [*made.shared, *made.only_first, *made.only_second, *made.unsettled]
    assert len(parts) == len(set(parts))
    assert set(made.unsettled) == ties | other_ties
    assert swapped == replace(made, only_first=made.only_second, only_second=made.only_first)


def test_cells_of_two_images_or_of_different_parts_of_one_are_not_compared() -> None:
    image = make_image(height=48, width=60)
    whole, centre = make_explanation(image), make_explanation(image, view=np.zeros((48, 48, 3), dtype=np.uint8))
    assert why_not_comparable(whole, whole) == ""
    assert "60x48 and 48x48 pixels" in why_not_comparable(whole, centre)
    other = make_explanation(make_image(height=48, width=60, channels=1))
    assert why_not_comparable(whole, other) == "These are two images."
