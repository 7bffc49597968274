"""RISE at work on a network: batches, precision, stops, and other classes from the same passes."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from factories import make_image
from networks import MeanOfOneChannel, classifier, request, small_cnn

from engine.acceleration.tuning import Tuning
from engine.errors import Stopped
from engine.explainers import rise
from engine.explainers.base import interim_looks
from engine.explainers.rise import Rise
from engine.explainers.rise_masks import RiseMasks
from engine.network.classifier import Classifier
from engine.progress import Progress
from engine.results.statistics import grid_statistics


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
    assert samples[0] in interim_looks(4000)
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

    def logits(tensor: torch.Tensor, *, fast: bool = False) -> torch.Tensor:
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
    assert passed[:2] == [1, 1]  # the image, and a blank in its place
    assert sum(passed[2:]) == max(samples, 32) + 32
    passed.clear()
    again = Rise(samples=samples).explain(replace(asked, target=0))
    assert again.parameters["passes_reused"] == max(samples, 32)
    assert passed == []


def test_a_stop_takes_effect_while_the_precision_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    model, passed = _in_two_precisions(monkeypatch)

    class AfterOnePass:
        def is_set(self) -> bool:
            return 16 in passed

    with pytest.raises(Stopped):
        Rise(samples=64).explain(replace(request(model, target=1), stop=AfterOnePass()))
    assert passed == [1, 1, 16]


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
