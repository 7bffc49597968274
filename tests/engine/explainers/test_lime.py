"""LIME is lime's own, only faster: same samples, same coefficients."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from factories import make_image
from lime import lime_image
from networks import MeanOfOneChannel, classifier, request, small_cnn
from torch import nn

from engine.acceleration.tuning import Tuning
from engine.errors import Stopped
from engine.explainers import lime
from engine.explainers.lime import Lime, mean_colours
from engine.explainers.superpixels import Superpixels, superpixels
from engine.explainers.surrogate import cell_shares, fit_surrogate, neighbourhood
from engine.results.cells import CELLS, cell_slices
from engine.results.certainty import unsettled_cells
from engine.results.statistics import grid_statistics


def _with_batch(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(lime, "prepared_tuning", lambda _: Tuning(batch=batch, precision="fp32"))


def test_coefficients_are_those_of_the_lime_package() -> None:
    model = classifier(small_cnn(3))
    asked = request(model, target=2, seed=11)
    picture = asked.tensor[0].permute(1, 2, 0).numpy().astype(np.float64)
    segments = superpixels(picture.astype(np.float32), 30)

    def predict(images: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            return torch.softmax(model.network(tensor).double(), dim=1).numpy()

    package = lime_image.LimeImageExplainer(random_state=np.random.RandomState(11))
    theirs = package.explain_instance(
        picture, predict, labels=(2,), top_labels=None, num_samples=300, segmentation_fn=lambda _: segments.labels,
        random_seed=0,
    )  # fmt: skip
    expected = np.zeros(segments.count)
    for superpixel, weight in theirs.local_exp[2]:
        expected[superpixel] = weight
    saliency = Lime(samples=300, superpixels=30, segmentations=1).explain(asked)
    raw = saliency.values.astype(float) * (saliency.raw_max - saliency.raw_min) + saliency.raw_min
    np.testing.assert_allclose(raw, expected[segments.labels], atol=1e-5)
    assert saliency.parameters["surrogate_r2"] == pytest.approx(theirs.score, abs=1e-4)


def test_the_first_sample_is_the_original_and_every_superpixel_is_hidden_sometimes() -> None:
    shown = neighbourhood(200, 40, seed=3)
    assert shown[0].all()
    assert set(np.unique(shown)) == {0, 1}
    assert (shown.mean(axis=0) < 0.7).all()


@pytest.mark.parametrize(("height", "width", "channels"), [(50, 50, 3), (224, 224, 3), (112, 112, 1), (48, 80, 3)])
def test_forty_to_sixty_superpixels_are_found_whatever_the_size(height: int, width: int, channels: int) -> None:
    pixels = make_image(height=height, width=width, channels=channels).pixels / 255.0
    noise = np.random.default_rng(0).normal(0, 0.05, pixels.shape)
    found = superpixels(np.clip(pixels + noise, 0, 1).astype(np.float32))
    assert 40 <= found.count <= 60
    assert set(np.unique(found.labels)) == set(range(found.count))


def test_even_a_picture_of_one_colour_is_split() -> None:
    assert 40 <= superpixels(np.full((50, 50, 3), 0.4, dtype=np.float32)).count <= 60


def test_a_hidden_superpixel_shows_its_mean_colour() -> None:
    tensor = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    labels = torch.tensor([[0, 0], [1, 1]])
    assert mean_colours(tensor, labels, 2).tolist() == [[[[1.5, 1.5], [4.5, 4.5]]]]


def test_cell_means_of_the_painted_map_follow_from_the_coefficients() -> None:
    labels = np.arange(36).reshape(6, 6) // 5
    segments = Superpixels(labels, 8, "by hand")
    coefficients = np.linspace(-1, 1, 8)
    painted = coefficients[labels]
    slices = cell_slices(6, 6)
    expected = [painted[slices[cell]].mean() for cell in CELLS]
    np.testing.assert_allclose(cell_shares(segments) @ coefficients, expected)


def test_a_linear_network_gives_back_its_weights_without_error() -> None:
    shown = neighbourhood(4000, 10, seed=0)
    weights = np.linspace(-0.05, 0.05, 10)
    fit = fit_surrogate(shown, 0.5 + shown @ weights, 0.25)
    np.testing.assert_allclose(fit.coefficients, weights, atol=2e-4)  # the ridge pulls a little towards zero
    assert fit.score > 0.999


def test_coefficient_errors_match_their_spread_over_seeds() -> None:
    coefficients, variances = [], []
    for seed in range(150):
        shown = neighbourhood(300, 12, seed=seed)
        noise = np.random.default_rng(seed).normal(0, 0.1, 300)
        fit = fit_surrogate(shown, shown @ np.linspace(0, 0.3, 12) + noise, 0.25)
        coefficients.append(fit.coefficients)
        variances.append(np.diag(fit.covariance))
    ratio = np.var(coefficients, axis=0) / np.mean(variances, axis=0)
    assert 0.75 < ratio.mean() < 1.3


class BrightSpots(nn.Module):
    """One logit: 40 times the mean of what exceeds 0.6; a mean colour hides such spots."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1))
            self.conv.bias.fill_(-0.6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 40.0 * torch.relu(self.conv(x)).mean((2, 3)) - 1.0


def test_the_map_points_at_what_the_network_looks_at() -> None:
    pixels = np.full((24, 24, 3), 20.0)
    pixels[16::2, :8:2, 0] = 255.0
    asked = request(classifier(BrightSpots()), make_image(pixels=pixels), target=1)
    statistics = grid_statistics(Lime(samples=400).explain(asked))
    assert statistics.top[0] == (2, 0)
    assert statistics.mean[2, 0] > 3 * statistics.mean[0, 2]


def test_superpixels_of_one_colour_say_nothing_and_the_map_is_constant() -> None:
    # MeanOfOneChannel sees only the mean, and a superpixel in its mean colour keeps it: float32's rounding is no map.
    saliency = Lime(samples=120).explain(request(classifier(MeanOfOneChannel(scale=9.0, shift=-4.0)), target=1))
    assert saliency.constant


def test_the_same_seed_gives_the_same_map_and_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(small_cnn(3))
    maps = []
    for batch in (7, 64, 64):
        _with_batch(monkeypatch, batch)
        maps.append(Lime(samples=200).explain(request(model, target=1)).values)
    assert np.array_equal(maps[1], maps[2])
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-5)


def test_one_logit_gives_opposite_maps_for_its_two_classes() -> None:
    model = classifier(BrightSpots())
    image = make_image(height=24, width=24)
    negative = Lime(samples=200).explain(request(model, image, target=0))
    positive = Lime(samples=200).explain(request(model, image, target=1))
    np.testing.assert_allclose(negative.values, 1.0 - positive.values, atol=1e-4)


def test_a_network_that_nothing_moves_gives_a_constant_map() -> None:
    saliency = Lime(samples=120).explain(request(classifier(MeanOfOneChannel(scale=0.0)), target=1))
    assert saliency.constant
    assert grid_statistics(saliency).top == ()


def test_until_certain_stops_at_a_fixed_count() -> None:
    saliency = Lime(samples=1000, until="certain").explain(request(classifier(small_cnn(3, seed=5)), target=1))
    assert saliency.samples in (250, 500, 1000)
    assert saliency.cells is not None
    if saliency.samples < 1000:
        assert not unsettled_cells(saliency.cells)


def test_stopping_too_early_for_a_fit_gives_no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_batch(monkeypatch, 16)
    stop = threading.Event()
    model = classifier(small_cnn(3))
    asked = request(model, target=1)
    asked = type(asked)(model, asked.tensor, 1, 1, lambda report: stop.set(), stop)
    with pytest.raises(Stopped):
        Lime(samples=1000).explain(asked)


def test_stopping_later_keeps_the_fit_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_batch(monkeypatch, 50)
    stop = threading.Event()
    model = classifier(small_cnn(3))
    asked = request(model, target=1)
    asked = type(asked)(model, asked.tensor, 1, 1, lambda report: stop.set() if report.done >= 300 else None, stop)
    saliency = Lime(samples=1000).explain(asked)
    assert saliency.stopped
    assert saliency.samples == 300


def test_grey_input_is_explained() -> None:
    saliency = Lime(samples=150).explain(request(classifier(small_cnn(2, channels=1), channels=1), target=1))
    assert saliency.values.shape == (24, 24)


def test_a_map_of_differences_that_hardly_matter_says_so() -> None:
    pixels = np.full((24, 24, 3), 20.0)
    pixels[16::2, :8:2, 0] = 255.0
    sure = classifier(nn.Sequential(BrightSpots(), AddTwenty()))
    saliency = Lime(samples=200).explain(request(sure, make_image(pixels=pixels), target=1))
    assert not saliency.constant
    assert any("hardly matter" in sentence for sentence in saliency.warnings)


def test_cells_that_speak_against_the_class_are_not_passed_off_as_speaking_for_it() -> None:
    pixels = np.full((24, 24, 3), 20.0)
    pixels[16::2, :8:2, 0] = 255.0
    asked = request(classifier(BrightSpots()), make_image(pixels=pixels), target=0)
    saliency = Lime(samples=400).explain(asked)
    assert saliency.cells is not None
    against = int((np.sort(saliency.cells.means)[-3:] <= 0).sum())
    said = [sentence for sentence in saliency.warnings if "speak least against it" in sentence]
    assert len(said) == (1 if against else 0)
    positive = Lime(samples=400).explain(request(classifier(BrightSpots()), make_image(pixels=pixels), target=1))
    assert positive.cells is not None
    assert positive.cells.means.max() > 0


class AddTwenty(nn.Module):
    """Makes a network sure."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 20.0
