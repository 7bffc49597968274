"""The 3x3 grid: cells, statistics, ranking, certainty, agreement. All numbers by hand."""

from __future__ import annotations

import math
from itertools import combinations, product
from statistics import NormalDist

import numpy as np
import pytest
from factories import make_map
from hypothesis import given
from hypothesis import strategies as st

from engine.results.cells import CELLS, cell_edges, cell_slices, part_weights, rank_cells
from engine.results.certainty import separation_quantile, unsettled_cells
from engine.results.consensus import cells_by_chance, consensus
from engine.results.saliency import CellEstimate
from engine.results.statistics import grid_statistics


def _values(cells: list[list[float]], side: int = 6) -> np.ndarray:
    return np.kron(np.array(cells, dtype=np.float32), np.ones((side // 3, side // 3), dtype=np.float32))


def test_fifty_pixels_are_split_at_17_and_33() -> None:
    assert cell_edges(50) == (0, 17, 33, 50)


def test_224_pixels_are_split_at_75_and_149() -> None:
    assert cell_edges(224) == (0, 75, 149, 224)


def test_fewer_than_three_pixels_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="2 pixels"):
        cell_edges(2)


@given(st.integers(3, 3000), st.integers(3, 3000))
def test_cells_cover_every_pixel_once(height: int, width: int) -> None:
    slices = cell_slices(height, width)
    areas = [(r.stop - r.start) * (c.stop - c.start) for r, c in slices.values()]
    assert sum(areas) == height * width
    assert min(areas) > 0


def test_part_weights_average_the_cells() -> None:
    image = np.arange(50 * 41, dtype=float).reshape(50, 41)
    means = part_weights(3, 50) @ image @ part_weights(3, 41).T
    for cell, (rows, columns) in cell_slices(50, 41).items():
        assert means[cell] == pytest.approx(image[rows, columns].mean())


def test_statistics_of_a_cell_are_those_of_its_pixels() -> None:
    values = np.zeros((6, 6), dtype=np.float32)
    values[2:4, 4:6] = [[0.0, 0.2], [0.4, 1.0]]
    statistics = grid_statistics(make_map("gradcam", values=values))
    assert statistics.mean[1, 2] == pytest.approx(0.4)
    assert statistics.median[1, 2] == pytest.approx(0.3)
    assert statistics.min[1, 2] == 0.0
    assert statistics.max[1, 2] == 1.0
    assert statistics.std[1, 2] == pytest.approx(math.sqrt((0.16 + 0.04 + 0.0 + 0.36) / 4))


def test_the_three_cells_with_the_highest_mean_are_the_top() -> None:
    values = _values([[0.1, 0.9, 0.0], [0.2, 0.3, 0.8], [0.5, 0.4, 0.6]])
    assert grid_statistics(make_map("gradcam", values=values)).top == ((0, 1), (1, 2), (2, 2))


def test_ties_go_to_the_lower_row_then_the_lower_column() -> None:
    assert rank_cells(np.ones((3, 3)))[:3] == ((0, 0), (0, 1), (0, 2))
    values = _values([[0.0, 0.5, 0.5], [0.5, 0.5, 0.0], [0.9, 0.0, 0.0]])
    statistics = grid_statistics(make_map("gradcam", values=values))
    assert statistics.top == ((2, 0), (0, 1), (0, 2))
    assert not statistics.certain
    assert statistics.ties == ((0, 1), (0, 2), (1, 0), (1, 1))


def test_a_constant_map_marks_no_cell_and_is_not_certain() -> None:
    statistics = grid_statistics(make_map("rise", constant=True))
    assert statistics.top == ()
    assert not statistics.certain


def test_an_exact_map_without_ties_is_certain() -> None:
    assert grid_statistics(make_map("gradcam")).certain


def test_the_quantile_pays_for_eighteen_pairs_and_every_look() -> None:
    assert separation_quantile(1) == pytest.approx(NormalDist().inv_cdf(1 - 0.01 / 18))
    assert separation_quantile(5) == pytest.approx(NormalDist().inv_cdf(1 - 0.01 / 90))


def test_cells_a_standard_error_apart_are_unsettled_and_named() -> None:
    means = np.array([0.9, 0.8, 0.5, 0.45, 0.1, 0.1, 0.1, 0.1, 0.1])
    estimate = CellEstimate(means, np.eye(9) * 0.05**2 / 2)  # standard error of a difference: 0.05
    assert unsettled_cells(estimate) == ((0, 2), (1, 0))


def test_a_shared_error_does_not_unsettle_the_order() -> None:
    means = np.array([0.9, 0.8, 0.5, 0.45, 0.1, 0.1, 0.1, 0.1, 0.1])
    shared = CellEstimate(means, np.full((9, 9), 1.0))  # all cells move together: differences are exact
    assert unsettled_cells(shared) == ()


def test_unknown_errors_leave_everything_open() -> None:
    estimate = CellEstimate(np.arange(9.0), np.full((9, 9), np.inf))
    assert unsettled_cells(estimate) == CELLS


def test_counts_sum_to_three_a_map_and_to_none_for_a_constant_one() -> None:
    maps = {"lime": make_map("lime"), "rise": make_map("rise", constant=True), "gradcam": make_map("gradcam")}
    statistics = {method: grid_statistics(saliency) for method, saliency in maps.items()}
    agreement = consensus(maps, statistics)
    assert agreement.counts.sum() == 6
    assert agreement.counts.tolist() == [[0, 0, 0], [0, 1, 0], [2, 2, 1]]
    assert math.isnan(agreement.correlation["lime", "rise"])


def test_only_voters_count_and_all_maps_are_correlated() -> None:
    maps = {"lime": make_map("lime"), "rise": make_map("rise", settled=False), "hirescam": make_map("hirescam")}
    statistics = {method: grid_statistics(saliency) for method, saliency in maps.items()}
    agreement = consensus(maps, statistics, ("lime", "hirescam", "gradcam"))
    assert agreement.methods == ("lime", "hirescam")
    assert agreement.counts.tolist() == [[0, 0, 0], [0, 1, 1], [2, 2, 0]]
    assert agreement.unsettled == ()
    assert list(agreement.correlation) == [("lime", "rise"), ("lime", "hirescam"), ("rise", "hirescam")]


@pytest.mark.parametrize(("votes", "voters"), [(1, 1), (2, 3), (3, 3), (2, 2)])
def test_chance_is_the_mean_over_all_choices_of_three_cells(votes: int, voters: int) -> None:
    reached = total = 0
    # The first voter's triple can be fixed: what matters is how the others' lie to it.
    for others in product(combinations(range(9), 3), repeat=voters - 1):
        count = np.bincount(np.concatenate([(0, 1, 2), *others]).astype(int), minlength=9)
        reached, total = reached + int((count >= votes).sum()), total + 1
    assert cells_by_chance(votes, voters) == pytest.approx(reached / total)


def test_chance_and_independent_opinions_stand_beside_the_count() -> None:
    keys = ("lime", "rise", "gradcam", "gradcam++")
    one, two = _values([[9, 8, 7], [0, 0, 0], [0, 0, 0]]) / 9, _values([[9, 8, 0], [0, 0, 3], [0, 0, 0]]) / 9
    values = {"lime": two, "rise": two, "gradcam": one, "gradcam++": two}
    maps = {key: make_map(key, values=values[key]) for key in keys}
    statistics = {method: grid_statistics(saliency) for method, saliency in maps.items()}
    made = consensus(maps, statistics, dependent=[("hirescam", "gradcam++", "gradcam")])
    assert made.groups == (("lime",), ("rise",), ("gradcam", "gradcam++"))
    assert made.counts.tolist() == [[4, 4, 1], [0, 0, 3], [0, 0, 0]]
    # The two CAMs' means are 9, 8, 3.5 and 1.5 ninths: together they mark the cells of the first.
    assert made.opinions.tolist() == [[3, 3, 1], [0, 0, 2], [0, 0, 0]]
    assert made.chance == pytest.approx((9 - 16 / 9, 33 / 9, 1.0, 1 / 9))
    assert made.opinions_chance == pytest.approx((9 - 8 / 3, 7 / 3, 1 / 3))


def test_a_constant_map_neither_votes_nor_has_an_opinion() -> None:
    maps = {key: make_map(key, constant=key != "gradcam") for key in ("rise", "gradcam", "gradcam++")}
    statistics = {method: grid_statistics(saliency) for method, saliency in maps.items()}
    made = consensus(maps, statistics, dependent=[("gradcam", "gradcam++")])
    assert made.opinions.tolist() == made.counts.tolist()
    assert made.chance == made.opinions_chance == pytest.approx((3.0,))


def test_words_name_no_cell_below_a_quarter_of_the_first() -> None:
    for means, named in (([8, 2, 2], 3), ([8, 2, 1.9], 2), ([8, 1.9, 1.8], 1)):
        values = _values([means, [0, 0, 0], [0, 0, 0]]) / 8
        statistics = grid_statistics(make_map("gradcam", values=values))
        assert statistics.top == ((0, 0), (0, 1), (0, 2))
        assert statistics.named == statistics.top[:named]


def test_rank_correlation_is_one_for_a_monotone_map_and_minus_one_for_its_reverse() -> None:
    ramp = np.linspace(0, 1, 36, dtype=np.float32).reshape(6, 6)
    maps = {
        "lime": make_map("lime", values=ramp),
        "rise": make_map("rise", values=ramp**3),
        "gradcam": make_map("gradcam", values=1 - ramp),
    }
    statistics = {method: grid_statistics(saliency) for method, saliency in maps.items()}
    correlation = consensus(maps, statistics).correlation
    assert correlation["lime", "rise"] == pytest.approx(1.0)
    assert correlation["lime", "gradcam"] == pytest.approx(-1.0)


def test_maps_of_different_classes_are_not_counted_together() -> None:
    maps = {"lime": make_map("lime", target="a"), "rise": make_map("rise", target="b")}
    with pytest.raises(ValueError, match="different classes"):
        consensus(maps, {method: grid_statistics(saliency) for method, saliency in maps.items()})
