"""RISE: masks as the reference draws them, estimators by their formulas, errors that keep their promise."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from factories import make_image
from networks import MeanOfOneChannel, classifier, request, small_cnn
from skimage.transform import resize

from engine.cells import part_weights
from engine.certainty import unsettled_cells
from engine.classifier import Classifier
from engine.errors import Stopped
from engine.explainers import rise
from engine.explainers.base import looks_until
from engine.explainers.rise import Rise, RiseEstimate
from engine.explainers.rise_masks import RiseMasks
from engine.grid import grid_statistics
from engine.progress import Progress
from engine.saliency import CellEstimate
from engine.tuning import Tuning


@pytest.mark.parametrize(("side", "grid"), [(50, 7), (24, 5), (33, 4)])
def test_masks_are_those_of_the_reference_code(side: int, grid: int) -> None:
    masks = RiseMasks((side, side), grid, 0.5, seed=3)
    bits, shifts = masks.coarse(0, 8)
    made = masks(0, 8)[:, 0].numpy()
    cell = -(-side // grid)
    for i, (y, x) in enumerate(shifts):
        # eclique/RISE, explanations.py, generate_masks
        full = resize(bits[i].astype(float), ((grid + 1) * cell,) * 2, order=1, mode="reflect", anti_aliasing=False)
        np.testing.assert_allclose(made[i], full[y : y + side, x : x + side], atol=1e-6)


def test_the_same_seed_gives_the_same_masks_however_they_are_batched() -> None:
    whole = RiseMasks((20, 30), 4, 0.5, seed=9)(0, 700)
    stream = RiseMasks((20, 30), 4, 0.5, seed=9)
    parts = torch.cat([stream(start, min(start + 97, 700)) for start in range(0, 700, 97)])
    assert torch.equal(whole, parts)
    assert not torch.equal(whole[:5], RiseMasks((20, 30), 4, 0.5, seed=10)(0, 5))


@pytest.mark.parametrize("probability", [0.5, 0.3])
def test_antithetic_masks_come_in_pairs_and_show_as_often(probability: float) -> None:
    masks = RiseMasks((20, 30), 4, probability, seed=9, antithetic=True)
    bits, shifts = masks.coarse(0, 4000)
    assert np.array_equal(shifts[::2], shifts[1::2])
    assert bits.mean() == pytest.approx(probability, abs=0.01)
    assert bits[1::2].mean() == pytest.approx(probability, abs=0.01)
    assert not (bits[::2] & bits[1::2]).any()  # below 0.5 no place is shown twice
    if probability == 0.5:
        np.testing.assert_allclose((masks(0, 2000)[::2] + masks(0, 2000)[1::2]).numpy(), 1.0, atol=1e-6)
    parts = torch.cat([RiseMasks((20, 30), 4, probability, 9, antithetic=True)(0, 301), masks(301, 700)])
    assert torch.equal(parts, masks(0, 700))


@pytest.mark.parametrize("antithetic", [False, True])
def test_the_exact_covariance_is_that_of_many_masks(antithetic: bool) -> None:
    masks = RiseMasks((20, 20), 3, 0.4, seed=1, antithetic=antithetic)
    drawn = masks(0, 40000)[:, 0].numpy()
    rows, columns = masks.covariance()
    for (y, x), (v, u) in [((3, 5), (6, 9)), ((10, 10), (10, 10)), ((0, 0), (1, 19))]:
        seen = np.cov(drawn[:, y, x], drawn[:, v, u])[0, 1]
        assert 0.4 * 0.6 * rows[y, v] * columns[x, u] == pytest.approx(seen, abs=0.004)


def _estimate(f: np.ndarray, masks: RiseMasks, estimator: str) -> RiseEstimate:
    return RiseEstimate(masks, f, estimator, looks=1)


def _outputs(masks: RiseMasks, count: int) -> np.ndarray:
    """An output that depends on three places, one of them not linearly."""
    m = masks(0, count)[:, 0].double().numpy()
    return 0.3 + 0.3 * m[:, 2, 3] - 0.1 * m[:, 15, 15] + 0.2 * (m[:, 9, 16] - 0.5) * (m[:, 18, 2] - 0.5)


def test_the_papers_estimator_is_its_formula() -> None:
    masks = RiseMasks((20, 20), 4, 0.5, seed=5)
    f = _outputs(masks, 300)
    m = masks(0, 300)[:, 0].double().numpy()
    expected = np.einsum("n,nyx->yx", f, m) / (300 * 0.5)  # Petsiuk et al. 2018, equation 6
    np.testing.assert_allclose(_estimate(f, masks, "paper").raw(), expected, atol=1e-6)


def test_the_centred_estimator_is_a_covariance_where_samples_are_few() -> None:
    masks = RiseMasks((20, 20), 4, 0.5, seed=5)
    f = _outputs(masks, 100)
    m = masks(0, 100)[:, 0].double().numpy()
    expected = np.einsum("n,nyx->yx", f - f.mean(), m - m.mean(axis=0)) / (100 * 0.5)
    estimate = _estimate(f, masks, "centred")
    assert not estimate.regressed
    np.testing.assert_allclose(estimate.raw(), expected, atol=1e-6)


def test_the_control_variate_comes_closer_to_the_truth_at_equal_samples() -> None:
    errors = {True: [], False: []}
    for seed in range(12):
        masks = RiseMasks((20, 20), 4, 0.5, seed=seed)
        f = _outputs(masks, 400)
        rows, columns = masks.covariance()
        # The product term is uncorrelated with every mask pixel, since masks and their negatives are equally likely.
        truth = 0.5 * (0.3 * np.outer(rows[2], columns[3]) - 0.1 * np.outer(rows[15], columns[15]))
        estimate = _estimate(f, masks, "centred")
        assert estimate.regressed
        m = masks(0, 400)[:, 0].double().numpy()
        plain = np.einsum("n,nyx->yx", f - f.mean(), m - m.mean(axis=0)) / (400 * 0.5)
        errors[True].append(np.square(estimate.raw() - truth).mean())
        errors[False].append(np.square(plain - truth).mean())
    assert np.mean(errors[True]) < 0.25 * np.mean(errors[False])


def test_cell_estimates_are_the_cell_means_of_the_map() -> None:
    masks = RiseMasks((20, 20), 4, 0.5, seed=5)
    f = _outputs(masks, 400)
    thirds = part_weights(3, 20)
    for estimator in ("centred", "paper"):
        estimate = _estimate(f, masks, estimator)
        means = (thirds @ estimate.raw() @ thirds.T).ravel()
        np.testing.assert_allclose(estimate.cells().means, means, atol=1e-6)


class Known:
    """A nonlinear output of an 18x18 mask on a 3x3 grid, and RISE's true cell means for it.

    There are 2^9 grids and 36 shifts: the truth is the covariance over all 18,432 masks.
    """

    SIZE, GRID = (18, 18), 3

    def __init__(self) -> None:
        grids = (np.arange(512)[:, None] >> np.arange(9)) & 1
        bits = np.repeat(grids.reshape(512, 3, 3).astype(bool), 36, axis=0)
        shifts = np.tile(np.array([(y, x) for y in range(6) for x in range(6)]), (512, 1))
        self._all = self.masks(0).enlarge(bits, shifts)[:, 0].double().numpy()
        self._thirds = part_weights(3, 18)
        self._means = (self._thirds @ self._all @ self._thirds.T).reshape(len(self._all), 9)

    def masks(self, seed: int, *, antithetic: bool = True) -> RiseMasks:
        return RiseMasks(self.SIZE, self.GRID, 0.5, seed, antithetic=antithetic)

    @staticmethod
    def output(m: np.ndarray, seed: int) -> np.ndarray:
        """(N,) for (N, 18, 18) masks: a sigmoid of weighted places, products of two and of three of them."""
        rng = np.random.default_rng(seed)
        places, weights = rng.integers(0, 18, (6, 2)), rng.normal(0, 1, 8)
        seen = [m[:, y, x] - 0.5 for y, x in places]
        pull = sum(w * each for w, each in zip(weights, seen, strict=False))
        pull += 4.0 * (weights[6] * seen[0] * seen[1] + weights[7] * seen[2] * seen[3] * seen[4])
        return 1.0 / (1.0 + np.exp(-pull))

    def truth(self, seed: int) -> np.ndarray:
        """(9,): cov(f, cell mean of M) / p."""
        f = self.output(self._all, seed)
        return (f - f.mean()) @ (self._means - self._means.mean(axis=0)) / len(f) / 0.5

    def cells(self, seed: int, count: int, *, network: int, antithetic: bool = True, looks: int = 1) -> CellEstimate:
        masks = self.masks(seed, antithetic=antithetic)
        outputs = self.output(masks(0, count)[:, 0].double().numpy(), network)
        return RiseEstimate(masks, outputs, "centred", looks).cells()


@pytest.fixture(scope="module")
def known() -> Known:
    return Known()


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("count", [200, 251, 1000])
def test_standard_errors_match_the_error_over_seeds(known: Known, count: int, antithetic: bool) -> None:
    ratios = []
    for network in range(3):
        truth = known.truth(network)
        found = [known.cells(seed, count, network=network, antithetic=antithetic) for seed in range(60)]
        errors = np.mean([np.square(cells.means - truth) for cells in found], axis=0)
        ratios.append(errors.mean() / np.mean([np.diag(cells.covariance) for cells in found], axis=0).mean())
    assert 0.75 < np.mean(ratios) < 1.25


def test_antithetic_masks_come_closer_to_the_truth_at_equal_samples(known: Known) -> None:
    errors = {
        antithetic: np.mean(
            [
                np.square(known.cells(seed, 500, network=seed, antithetic=antithetic).means - known.truth(seed)).mean()
                for seed in range(40)
            ]
        )
        for antithetic in (False, True)
    }
    assert errors[True] < 0.7 * errors[False]


@pytest.mark.parametrize("antithetic", [False, True])
def test_of_the_choices_called_certain_at_99_percent_at_least_97_percent_are_right(
    known: Known, antithetic: bool
) -> None:
    certain = right = 0
    looks = looks_until(1000)
    for seed in range(150):
        best = set(np.argsort(-known.truth(seed))[:3])
        for look in looks:
            cells = known.cells(seed, look, network=seed, antithetic=antithetic, looks=len(looks))
            if not unsettled_cells(cells):
                certain += 1
                right += set(np.argsort(-cells.means)[:3]) == best
                break
    assert certain > 40
    assert right >= 0.97 * certain


def _with_batch(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(rise, "prepared_tuning", lambda _: Tuning(batch=batch, precision="fp32"))


def test_the_same_seed_gives_the_same_map_bit_for_bit() -> None:
    model = classifier(small_cnn(3))
    first, second = (Rise(samples=300).explain(request(model, target=1)) for _ in range(2))
    assert np.array_equal(first.values, second.values)
    other = Rise(samples=300).explain(request(model, target=1, seed=2))
    assert not np.array_equal(first.values, other.values)


def test_batch_size_and_threads_move_the_map_by_less_than_1e_5(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(small_cnn(3))
    maps = []
    threads = torch.get_num_threads()
    for batch, count in ((7, threads), (64, threads), (64, 1 if threads > 1 else 2)):
        _with_batch(monkeypatch, batch)
        torch.set_num_threads(count)
        try:
            maps.append(Rise(samples=300).explain(request(model, target=1)).values)
        finally:
            torch.set_num_threads(threads)
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-5)
    np.testing.assert_allclose(maps[1], maps[2], atol=1e-5)


def test_the_map_points_at_what_the_network_looks_at() -> None:
    pixels = np.full((24, 24, 3), 20.0)
    pixels[16:, 16:, 0] = 255.0  # the network sees the first channel only
    saliency = Rise(samples=600).explain(
        request(classifier(MeanOfOneChannel(scale=6.0)), make_image(pixels=pixels), target=1)
    )
    statistics = grid_statistics(saliency)
    assert statistics.top[0] == (2, 2)
    opposite = Rise(samples=600).explain(
        request(classifier(MeanOfOneChannel(scale=6.0)), make_image(pixels=pixels), target=0)
    )
    np.testing.assert_allclose(opposite.values, 1.0 - saliency.values, atol=1e-4)


def test_a_network_that_masks_do_not_move_gives_a_constant_map() -> None:
    saliency = Rise(samples=64).explain(request(classifier(MeanOfOneChannel(scale=0.0)), target=1))
    assert saliency.constant
    assert grid_statistics(saliency).top == ()
    assert any("constant" in sentence for sentence in saliency.warnings)


def test_a_sure_network_still_has_a_map() -> None:
    # p is 1 to within float32, but its complement, which the negative class is explained by, is not lost.
    saliency = Rise(samples=200).explain(request(classifier(MeanOfOneChannel(shift=25.0)), target=1))
    plain = Rise(samples=200).explain(request(classifier(MeanOfOneChannel(shift=4.0)), target=1))
    assert not saliency.constant
    assert np.corrcoef(saliency.values.ravel(), plain.values.ravel())[0, 1] > 0.9


def test_until_certain_stops_at_a_fixed_count_whatever_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.full((24, 24, 3), 20.0)
    pixels[:8, :8, 0], pixels[8:16, 8:16, 0], pixels[16:, 16:, 0] = 255.0, 235.0, 215.0
    model = classifier(MeanOfOneChannel(scale=6.0))
    samples = []
    for batch in (16, 100):
        _with_batch(monkeypatch, batch)
        saliency = Rise(samples=4000, until="certain").explain(request(model, make_image(pixels=pixels), target=1))
        assert grid_statistics(saliency).certain
        samples.append(saliency.samples)
    assert samples[0] == samples[1]
    assert samples[0] in looks_until(4000)
    assert samples[0] < 4000


def test_stopping_keeps_the_map_so_far_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_batch(monkeypatch, 32)
    stop = threading.Event()
    seen: list[Progress] = []

    def progress(report: Progress) -> None:
        seen.append(report)
        if report.done >= 96:
            stop.set()

    model = classifier(small_cnn(3))
    asked = request(model, target=1)
    asked = type(asked)(model, asked.tensor, asked.target, asked.seed, progress, stop)
    saliency = Rise(samples=4000).explain(asked)
    assert saliency.stopped
    assert saliency.samples == 96
    assert any("Stopped after 96 samples" in sentence for sentence in saliency.warnings)
    assert [report.done for report in seen] == [32, 64, 96]
    assert all(report.total == 4000 for report in seen)
    np.testing.assert_allclose(saliency.values, Rise(samples=96).explain(request(model, target=1)).values, atol=1e-6)


def test_stopping_before_the_first_samples_gives_no_map() -> None:
    stop = threading.Event()
    stop.set()
    model = classifier(small_cnn(3))
    asked = request(model, target=1)
    with pytest.raises(Stopped):
        Rise(samples=400).explain(type(asked)(model, asked.tensor, 1, 1, stop=stop))


def test_out_of_memory_halves_the_batch_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_batch(monkeypatch, 64)
    model = classifier(small_cnn(3))
    expected = Rise(samples=200).explain(request(model, target=1))
    true_logits = model.logits

    def logits(tensor: torch.Tensor, *, fast: bool) -> torch.Tensor:
        if len(tensor) > 20:
            raise torch.cuda.OutOfMemoryError("made up")
        return true_logits(tensor, fast=fast)

    monkeypatch.setattr(model, "logits", logits)
    saliency = Rise(samples=200).explain(request(model, target=1))
    assert saliency.parameters["batch"] == 16
    assert any("halved to 16" in sentence for sentence in saliency.warnings)
    np.testing.assert_allclose(saliency.values, expected.values, atol=1e-5)


def test_reduced_precision_is_given_up_where_rounding_is_as_large_as_the_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rise, "prepared_tuning", lambda _: Tuning(batch=32, precision="bf16", exact_batch=8))
    network = MeanOfOneChannel(scale=1.0, shift=-200.0)
    with torch.no_grad():
        network.conv.bias.fill_(200.0)  # to which bf16 adds in steps of 1
    coarse = classifier(network, precision="auto")
    given_up = Rise(samples=64).explain(request(coarse, target=1)).parameters
    assert (given_up["precision"], given_up["batch"]) == ("fp32", 8)
    clear = classifier(MeanOfOneChannel(scale=4.0, shift=-1.0), precision="auto")
    kept = Rise(samples=64).explain(request(clear, target=1)).parameters
    assert (kept["precision"], kept["batch"]) == ("bf16", 32)


def _in_two_precisions(monkeypatch: pytest.MonkeyPatch) -> tuple[Classifier, list[int]]:
    """A classifier whose precision is checked, and the sizes of the batches that it passes."""
    monkeypatch.setattr(rise, "prepared_tuning", lambda _: Tuning(batch=16, precision="bf16", exact_batch=16))
    model = classifier(MeanOfOneChannel(scale=4.0, shift=-1.0), precision="auto")
    passed: list[int] = []
    true_logits = model.logits

    def logits(tensor: torch.Tensor, *, fast: bool = False) -> torch.Tensor:
        passed.append(len(tensor))
        return true_logits(tensor, fast=fast)

    monkeypatch.setattr(model, "logits", logits)
    return model, passed


@pytest.mark.parametrize("samples", [24, 64])
def test_the_passes_that_settle_the_precision_count_as_samples(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, passed = _in_two_precisions(monkeypatch)
    asked = request(model, target=1)
    first = Rise(samples=samples).explain(asked)
    assert first.samples == samples
    assert first.parameters["passes_reused"] == 0
    assert sum(passed) == max(samples, 32) + 32
    passed.clear()
    again = Rise(samples=samples).explain(replace(asked, target=0))
    assert again.parameters["passes_reused"] == max(samples, 32)
    assert passed == []


def test_a_stop_takes_effect_while_the_precision_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    model, passed = _in_two_precisions(monkeypatch)

    class AfterOnePass:
        def is_set(self) -> bool:
            return bool(passed)

    with pytest.raises(Stopped):
        Rise(samples=64).explain(replace(request(model, target=1), stop=AfterOnePass()))
    assert passed == [16]


def test_nothing_of_the_size_of_all_masks_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_batch(monkeypatch, 32)
    drawn: list[int] = []
    true_call = RiseMasks.__call__

    def call(self: RiseMasks, start: int, stop: int) -> torch.Tensor:
        masks = true_call(self, start, stop)
        drawn.append(masks.numel())
        return masks

    monkeypatch.setattr(RiseMasks, "__call__", call)
    Rise(samples=1000).explain(request(classifier(small_cnn(3)), target=1))
    assert max(drawn) == 32 * 24 * 24


@pytest.mark.parametrize("until", ["samples", "certain"])
def test_another_class_gets_the_map_it_would_have_had_if_it_came_first(until: Literal["samples", "certain"]) -> None:
    model = classifier(small_cnn(3))
    fresh = Rise(samples=600, until=until).explain(request(model, target=2))
    first = request(model, target=1)
    Rise(samples=600, until=until).explain(first)
    second = Rise(samples=600, until=until).explain(replace(first, target=2))
    assert np.array_equal(second.values, fresh.values)
    assert second.samples == fresh.samples


def test_another_class_needs_no_new_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(small_cnn(3))
    first = request(model, target=1)
    Rise(samples=600).explain(first)

    def logits(tensor: torch.Tensor, *, fast: bool) -> torch.Tensor:
        raise AssertionError("passed again")

    monkeypatch.setattr(model, "logits", logits)
    assert Rise(samples=600).explain(replace(first, target=2)).samples == 600


def test_a_stopped_run_goes_on_where_it_was_and_ends_at_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_batch(monkeypatch, 32)
    model = classifier(small_cnn(3))
    whole = Rise(samples=300).explain(request(model, target=1))
    stop = threading.Event()
    first = request(model, target=1)
    stopping = replace(first, stop=stop, progress=lambda report: stop.set() if report.done >= 96 else None)
    assert Rise(samples=300).explain(stopping).samples == 96
    assert np.array_equal(Rise(samples=300).explain(first).values, whole.values)
