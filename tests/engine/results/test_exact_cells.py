"""What follows from the 512 values of the nine cells: against brute force, on games whose answer is known by hand."""

from __future__ import annotations

from itertools import combinations
from statistics import mean

import numpy as np
import pytest

from engine.results.cells import CELLS
from engine.results.exact_cells import ALL, COMBINATIONS, MEAN_RANK, TRIPLES, ExactCells, combination, fill_values


def values_of(game) -> np.ndarray:
    """The 512 values of a game: a function of the set of shown cells."""
    return np.array([game({CELLS[i] for i in range(9) if number >> i & 1}) for number in range(COMBINATIONS)])


def brute_shapley(values: np.ndarray, cell: int) -> float:
    """By the definition: the mean over all orders, grouped by the set of those that come before."""
    from math import comb

    others = [i for i in range(9) if i != cell]
    total = 0.0
    for size in range(9):
        gains = [
            values[sum(1 << i for i in before) | 1 << cell] - values[sum(1 << i for i in before)]
            for before in combinations(others, size)
        ]
        total += sum(gains) / comb(8, size)
    return total / 9


def test_random_values_agree_with_the_definitions() -> None:
    values = np.random.default_rng(1).random(COMBINATIONS)
    found = fill_values("mean", values)
    expected = [brute_shapley(values, cell) for cell in range(9)]
    np.testing.assert_allclose(found.shapley.ravel(), expected, atol=1e-12)
    assert abs(found.shapley.sum() - (found.all_shown - found.none_shown)) < 1e-9
    assert found.top == tuple(CELLS[i] for i in sorted(range(9), key=lambda i: -expected[i])[:3])
    by_kept = sorted(TRIPLES, key=lambda three: -found.kept(three))
    by_hidden = sorted(TRIPLES, key=found.without)
    assert (found.best_kept, found.best_hidden) == (by_kept[0], by_hidden[0])
    for three in TRIPLES[::17]:
        judged = found.judge(three[::-1])
        assert judged is not None
        assert (judged.kept_rank, judged.hidden_rank) == (by_kept.index(three) + 1, by_hidden.index(three) + 1)
    np.testing.assert_array_equal(found.interactions, found.interactions.T)
    np.testing.assert_array_equal(np.diag(found.interactions), 0.0)
    assert not found.values.flags.writeable
    assert not found.interactions.flags.writeable


def test_a_linear_game_gives_each_cell_its_weight_and_no_interaction() -> None:
    weights = dict(zip(CELLS, (0.02, -0.1, 0.3, 0.0, 0.15, 0.04, -0.02, 0.2, 0.01), strict=True))
    found = fill_values("mean", values_of(lambda shown: 0.2 + sum(weights[cell] for cell in shown)))
    np.testing.assert_allclose(found.shapley.ravel(), list(weights.values()), atol=1e-12)
    np.testing.assert_allclose(found.interactions, 0.0, atol=1e-12)
    assert (found.top, found.supporting) == (((0, 2), (2, 1), (1, 1)), 6)
    judged = found.judge(found.top)
    assert judged is not None
    assert (judged.shared, judged.kept_rank, judged.hidden_rank) == (3, 1.0, 1.0)


def test_a_product_of_two_cells_shares_its_value_and_interacts_fully() -> None:
    found = fill_values("mean", values_of(lambda shown: 0.8 * ({(0, 0), (1, 1)} <= shown)))
    expected = np.zeros((3, 3))
    expected[0, 0] = expected[1, 1] = 0.4
    np.testing.assert_allclose(found.shapley, expected, atol=1e-12)
    assert found.interactions[0, 4] == pytest.approx(0.8)
    assert abs(found.interactions).sum() == pytest.approx(1.6)
    # Any triple with both keeps everything: 7 of them share the ranks 1 to 7.
    assert found.supporting == 2
    assert found.top == ((0, 0), (1, 1), (0, 1))
    judged = found.judge(((0, 0), (1, 1), (2, 2)))
    assert judged is not None
    assert (judged.shared, judged.kept_rank) == (2, 4.0)


def test_a_majority_treats_all_cells_alike_and_names_the_first() -> None:
    found = fill_values("mean", values_of(lambda shown: float(len(shown) >= 5)))
    np.testing.assert_allclose(found.shapley, 1 / 9, atol=1e-12)
    assert (found.top, found.supporting) == (((0, 0), (0, 1), (0, 2)), 9)
    assert set(found.kept_ranks) == set(found.hidden_ranks) == {MEAN_RANK}


def test_of_one_cell_alone_28_triples_tie() -> None:
    found = fill_values("blur", values_of(lambda shown: 0.1 + 0.5 * ((2, 0) in shown)))
    assert (found.top, found.supporting) == (((2, 0), (0, 0), (0, 1)), 1)
    assert sorted(found.kept_ranks) == [14.5] * 28 + [56.5] * 56
    assert mean(found.hidden_ranks) == MEAN_RANK
    wrong = found.judge(((0, 0), (0, 1), (0, 2)))
    assert wrong is not None
    assert (wrong.shared, wrong.kept_rank, wrong.hidden_rank) == (2, 56.5, 56.5)


def test_where_no_cell_matters_there_are_no_ranks() -> None:
    found = fill_values("mean", np.full(COMBINATIONS, 0.7))
    assert (found.matters, found.range, found.supporting) == (False, 0.0, 0)
    judged = found.judge(found.top)
    assert judged is not None
    assert (judged.shared, judged.kept_rank, judged.hidden_rank) == (3, None, None)
    assert fill_values("mean", np.where(np.arange(COMBINATIONS) == ALL, 0.05, 0.0)).matters


def test_values_closer_than_a_millionth_are_equal() -> None:
    noise = np.random.default_rng(2).uniform(-4e-7, 4e-7, COMBINATIONS)
    found = fill_values("mean", values_of(lambda shown: 0.1 + 0.5 * ((2, 0) in shown)) + noise)
    assert (found.top, found.supporting) == (((2, 0), (0, 0), (0, 1)), 1)
    assert sorted(found.kept_ranks) == [14.5] * 28 + [56.5] * 56
    assert found.best_kept == ((0, 0), (0, 1), (2, 0))


def test_firm_cells_need_two_fills_that_matter() -> None:
    linear = fill_values("mean", values_of(lambda shown: 0.1 * len(shown & {(0, 0), (1, 1), (2, 2)})))
    other = fill_values("blur", values_of(lambda shown: 0.1 * len(shown & {(0, 0), (1, 2), (2, 2)})))
    flat = fill_values("noise", np.full(COMBINATIONS, 0.5))
    assert ExactCells("IDC", {"mean": linear, "blur": other, "noise": flat}).firm == ((0, 0), (2, 2))
    assert ExactCells("IDC", {"mean": linear, "noise": flat}).firm is None
    both = ExactCells("IDC", {"mean": linear, "blur": other}).judge(linear.top)
    assert [judged.shared for judged in both.values()] == [3, 2]
    assert not ExactCells("IDC", {"mean": linear}).judge(())


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="512"):
        fill_values("mean", np.zeros(511))
    with pytest.raises(ValueError, match="512"):
        fill_values("mean", np.full(COMBINATIONS, np.nan))
    found = fill_values("mean", np.zeros(COMBINATIONS))
    with pytest.raises(ValueError, match="different"):
        found.judge(((0, 0), (0, 0), (1, 1)))
    assert combination(CELLS) == ALL
    assert combination(()) == 0
