"""Deletion and insertion curves follow from the map's order alone, and go through the one masked-forward loop."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import make_image, make_map
from networks import MeanOfOneChannel, classifier, small_cnn

from engine import fidelity_curve
from engine.acceleration.tuning import Tuning
from engine.errors import DeviceError, ExplanationError, Stopped
from engine.evidence import fidelity
from engine.explainers import perturbation
from engine.results.saliency import SaliencyMap

SIZE = 24


def map_of(values: np.ndarray, target: str = "positive") -> SaliencyMap:
    scaled = ((values - values.min()) / (values.max() - values.min())).astype(np.float32)
    return make_map("rise", values=scaled, target=target, height=SIZE, width=SIZE)


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def test_deletion_and_its_area_worked_out_by_hand() -> None:
    # The logit is twice the first channel's mean. By falling value of that channel, what is left after k pixels is the
    # sum of the smaller ones.
    image = make_image(height=SIZE, width=SIZE)
    channel = image.pixels[..., 0] / 255.0
    curve = fidelity_curve(classifier(MeanOfOneChannel()), image, map_of(channel), "deletion", step=100)
    falling = np.sort(channel.ravel())[::-1]
    left = [falling[min(100 * k, 576) :].sum() for k in range(7)]
    np.testing.assert_allclose(logit(curve.probabilities), 2.0 * np.array(left) / 576, atol=1e-6)
    np.testing.assert_allclose(curve.shares, np.array([0, 100, 200, 300, 400, 500, 576]) / 576)
    expected = sum(
        (curve.shares[k + 1] - curve.shares[k]) * (curve.probabilities[k + 1] + curve.probabilities[k]) / 2
        for k in range(6)
    )
    assert curve.area == pytest.approx(expected)
    assert curve.step == 100


def test_insertion_goes_from_the_blurred_image_to_the_image() -> None:
    image, model = make_image(height=SIZE, width=SIZE), classifier(MeanOfOneChannel())
    channel = image.pixels[..., 0] / 255.0
    curve = fidelity_curve(model, image, map_of(channel), "insertion")
    assert curve.step == SIZE  # one row's worth of pixels at a time, as in the paper
    assert len(curve.probabilities) == SIZE + 1
    assert curve.probabilities[-1] == pytest.approx(float(model.diagnose(image).probabilities[1]), abs=1e-7)
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 5.0) ** 2)
    weights /= weights.sum()
    padded = np.pad(channel, 5, mode="reflect")
    rows = sum(w * padded[i : i + SIZE] for i, w in enumerate(weights))
    blurred = sum(w * rows[:, i : i + SIZE] for i, w in enumerate(weights))
    assert logit(curve.probabilities[0]) == pytest.approx(2.0 * blurred.mean(), abs=1e-5)


def test_a_good_map_beats_its_opposite_on_both_curves() -> None:
    image, model = make_image(height=SIZE, width=SIZE), classifier(MeanOfOneChannel(scale=40.0, shift=-15.0))
    channel = image.pixels[..., 0] / 255.0
    good, bad = map_of(channel), map_of(-channel)
    assert (
        fidelity_curve(model, image, good, "deletion").area < fidelity_curve(model, image, bad, "deletion").area - 0.1
    )
    assert fidelity_curve(model, image, good, "insertion").area > fidelity_curve(model, image, bad, "insertion").area


def test_equal_values_are_taken_in_reading_order() -> None:
    image, model = make_image(height=SIZE, width=SIZE), classifier(MeanOfOneChannel())
    values = np.zeros((SIZE, SIZE))
    values[-1, -1] = 1.0  # first; all others tie
    curve = fidelity_curve(model, image, map_of(values), "deletion", step=1)
    channel = image.pixels[..., 0] / 255.0
    left = channel.sum() - channel[-1, -1] - np.concatenate([[0.0], np.cumsum(channel.ravel()[:-1])])
    np.testing.assert_allclose(logit(curve.probabilities[1:]), 2.0 * left / 576, atol=1e-5)


def test_the_negative_class_of_one_logit_has_the_opposite_curve() -> None:
    image, model = make_image(height=SIZE, width=SIZE), classifier(MeanOfOneChannel())
    values = image.pixels[..., 0]
    positive, negative = (
        fidelity_curve(model, image, map_of(values, name), "deletion").probabilities
        for name in ("positive", "negative")
    )
    np.testing.assert_allclose(positive + negative, 1.0)


def test_the_passes_go_through_the_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    run = perturbation.MaskedForward.run
    monkeypatch.setattr(perturbation.MaskedForward, "run", lambda *a, **k: (ran.append(a[1]), run(*a, **k))[1])
    image = make_image(height=SIZE, width=SIZE)
    fidelity_curve(classifier(small_cnn(2)), image, map_of(image.pixels[..., 0], "class 1"), "deletion")
    assert ran == [SIZE + 1]


def test_it_tells_how_far_it_is_and_can_be_stopped() -> None:
    image, model, stop, seen = make_image(height=SIZE, width=SIZE), classifier(small_cnn(2)), threading.Event(), []

    def progress(report: object) -> None:
        seen.append(report)
        stop.set()

    with pytest.raises(Stopped):
        fidelity_curve(
            model, image, map_of(image.pixels[..., 0], "class 1"), "deletion", step=1, progress=progress, stop=stop
        )
    assert len(seen) == 1


def test_what_cannot_be_measured_is_refused() -> None:
    image, model = make_image(height=SIZE, width=SIZE), classifier(small_cnn(2))
    good = map_of(image.pixels[..., 0], "class 1")
    with pytest.raises(ExplanationError, match="constant"):
        fidelity_curve(model, image, make_map("rise", constant=True, target="class 1"), "deletion")
    with pytest.raises(ExplanationError, match="48x48 values"):
        fidelity_curve(model, image, make_map("rise", target="class 1"), "deletion")
    with pytest.raises(ExplanationError, match="no class"):
        fidelity_curve(model, image, replace(good, target="other"), "deletion")
    with pytest.raises(ExplanationError, match="step of 0"):
        fidelity_curve(model, image, good, "deletion", step=0)


def test_out_of_memory_is_answered_as_for_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    image, model = make_image(height=SIZE, width=SIZE), classifier(small_cnn(2))
    asked = map_of(image.pixels[..., 0], "class 1")
    expected = fidelity_curve(model, image, asked, "deletion")
    logits = model.logits

    def small_memory(images: torch.Tensor, *, fast: bool = False) -> torch.Tensor:
        if len(images) > 5:
            raise torch.cuda.OutOfMemoryError
        return logits(images, fast=fast)

    monkeypatch.setattr(model, "logits", small_memory)
    monkeypatch.setattr(fidelity, "prepared_tuning", lambda _: Tuning(batch=16, precision="fp32"))
    curve = fidelity_curve(model, image, asked, "deletion")
    np.testing.assert_allclose(curve.probabilities, expected.probabilities, atol=1e-6)
    assert any("halved to 4" in sentence for sentence in curve.warnings)
    assert expected.warnings == ()

    def none(images: torch.Tensor, *, fast: bool = False) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(model, "logits", none)
    with pytest.raises(DeviceError, match="not enough memory"):
        fidelity_curve(model, image, asked, "deletion")


def test_no_gradient_is_left_behind() -> None:
    network = small_cnn(2)
    image = make_image(height=SIZE, width=SIZE)
    fidelity_curve(classifier(network), image, map_of(image.pixels[..., 0], "class 1"), "insertion")
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.is_grad_enabled()
