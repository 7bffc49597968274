"""RISE: masks as the reference draws them, estimators by their formulas, errors that keep their promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import make_image
from networks import MeanOfOneChannel, classifier, request, small_cnn
from skimage.transform import resize

from engine.explainers.base import absence, interim_looks
from engine.explainers.rise import Rise, RiseEstimate
from engine.explainers.rise_masks import RiseMasks
from engine.results.cells import part_weights
from engine.results.certainty import unsettled_cells
from engine.results.saliency import CellEstimate


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
    looks = interim_looks(1000)
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


def test_a_class_of_absence_says_so_and_offers_the_other_class() -> None:
    # One logit, 4 (mean red - 0.3): a black image gets 1.2 for the negative class, a bright one -0.8.
    model = classifier(MeanOfOneChannel(scale=4.0, shift=-1.2, sigmoid=False), classes=("quiet", "loud"))
    image = make_image(pixels=np.full((24, 24, 3), 127.5))
    none = 1.0 / (1.0 + np.exp(-1.2))
    asked = request(model, image, target=0)
    quiet, loud = Rise(samples=64).explain(asked), Rise(samples=64).explain(replace(asked, target=1))
    assert quiet.blank == pytest.approx(none, abs=1e-6)
    assert loud.blank == pytest.approx(1.0 - none, abs=1e-6)
    assert quiet.warning_codes == ("absence",)
    for words in ("“quiet” with 0.769", "no less than for the image (0.310)", "Explain “loud”"):
        assert words in quiet.warnings[0]
    assert "absence" not in loud.warning_codes


def test_several_classes_offer_another_one_and_labels_that_exclude_none_offer_nothing() -> None:
    for multilabel, offered in ((False, True), (True, False)):
        asked = request(classifier(small_cnn(3), multilabel=multilabel), target=1)
        assert ("Explain another class" in absence(asked, 0.5, 0.5)[0]) is offered
        assert not absence(asked, 0.5, 0.49)
