"""What happens when a device's memory does not suffice: smaller batches, then the CPU, and word of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from factories import make_image
from networks import classifier, small_cnn

from engine.acceleration.tuning import Tuning
from engine.errors import DeviceError
from engine.explainers.settings import Settings
from engine.explanation.explain import explain, explain_method
from engine.network.classifier import Classifier
from engine.results.saliency import SaliencyMap

DEVICE = "cpu:0"
"""Torch's other name for the CPU: here a device whose memory is small, unlike that of `cpu`."""

SETTINGS = Settings(samples={"rise": 120, "lime": 300})
METHODS = ("rise", "lime", "gradcam", "gradcam++")


class SmallDevice:
    """A device with room for `room` images at once, which also has none at all at the calls in `full_at`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Classifier) -> None:
        self.calls, self.room, self.full_at = 0, 1000, range(0)
        self.model, self.scores = model, model.scores
        monkeypatch.setattr(model, "device", DEVICE)
        monkeypatch.setattr(model, "scores", self._passed)

    def _passed(self, network: torch.nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        if self.model.device == DEVICE:
            self.calls += 1
            if len(inputs[0]) > self.room or self.calls in self.full_at:
                raise torch.OutOfMemoryError("CUDA out of memory (made up)")
        return self.scores(network, *inputs)


def batches_of(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("lime", "rise"):
        monkeypatch.setattr(f"engine.explainers.{method}.prepared_tuning", lambda _: Tuning(batch, "fp32"))


def maps_of(model: Classifier, method: str) -> SaliencyMap:
    return explain_method(model, make_image(height=24, width=24), method, SETTINGS, target="class 1")


@pytest.mark.parametrize("method", METHODS)
def test_whenever_memory_runs_out_the_map_is_made_and_says_what_was_done(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches_of(32, monkeypatch)
    expected = maps_of(classifier(small_cnn(3)), method)
    counted = SmallDevice(monkeypatch, classifier(small_cnn(3)))
    maps_of(counted.model, method)
    assert counted.calls >= (4 if method in ("rise", "lime") else 1)
    for call in range(1, counted.calls + 1):
        for times in (1, 6):  # six times in a row is once too often for a batch of 32
            model = classifier(small_cnn(3))
            SmallDevice(monkeypatch, model).full_at = range(call, call + times)
            saliency = maps_of(model, method)
            np.testing.assert_allclose(saliency.values, expected.values, atol=1e-5)
            assert saliency.parameters["device"] == model.device
            if model.device == DEVICE:
                assert int(saliency.parameters["batch"]) < 32
                assert any("the batch was halved" in sentence for sentence in saliency.warnings)
            else:
                assert f"{DEVICE} ran out of memory, so this was computed on the CPU." in saliency.warnings
        assert model.device == "cpu"


@pytest.mark.parametrize("room", [0, 1, 5])
def test_the_batch_is_halved_down_to_one_image_and_then_the_cpu_is_taken(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = maps_of(classifier(small_cnn(3)), "rise")
    model = classifier(small_cnn(3))
    batches_of(64, monkeypatch)
    SmallDevice(monkeypatch, model).room = room
    saliency = maps_of(model, "rise")
    np.testing.assert_allclose(saliency.values, expected.values, atol=1e-5)
    assert model.device == (DEVICE if room else "cpu")
    assert saliency.parameters["device"] == model.device
    if room:
        assert int(saliency.parameters["batch"]) <= room


@pytest.mark.parametrize(("room", "batch"), [(0, None), (3, 1), (17, 16)])
def test_where_memory_runs_out_while_the_batch_size_is_measured_a_smaller_one_is_taken(
    room: int, batch: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = maps_of(classifier(small_cnn(3)), "rise")
    model = classifier(small_cnn(3))
    SmallDevice(monkeypatch, model).room = room
    saliency = maps_of(model, "rise")
    np.testing.assert_allclose(saliency.values, expected.values, atol=1e-5)
    assert model.device == ("cpu" if batch is None else DEVICE)
    if batch is not None:
        assert int(saliency.parameters["batch"]) <= batch


def test_an_answer_from_the_cpu_says_so_and_so_does_every_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(small_cnn(3))
    image = make_image(height=24, width=24)
    expected = model.diagnose(image)
    SmallDevice(monkeypatch, model).room = 0
    explanation = explain(model, image, SETTINGS)
    said = f"{DEVICE} ran out of memory, so this was computed on the CPU."
    np.testing.assert_allclose(explanation.diagnosis.probabilities, expected.probabilities, atol=1e-6)
    assert said in explanation.diagnosis.warnings
    assert {said in saliency.warnings for saliency in explanation.maps.values()} == {True}
    assert explanation.environment["device"] == "cpu"


@pytest.mark.parametrize(
    "fail",
    [
        lambda *_: torch.empty(10**15),  # what torch itself says when the machine's memory does not suffice
        lambda *_: np.empty(10**17),
    ],
    ids=["torch", "numpy"],
)
def test_a_machine_without_enough_memory_is_a_named_failure(
    fail: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(small_cnn(3))
    monkeypatch.setattr(model, "scores", fail)
    with pytest.raises(DeviceError, match=r"Small CNN: there is not enough memory; end other programs"):
        model.diagnose(make_image(height=24, width=24))


def test_other_faults_are_not_mistaken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(small_cnn(3))

    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(model, "scores", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        model.diagnose(make_image(height=24, width=24))


def test_a_method_for_which_there_is_no_memory_does_not_keep_the_others_from_their_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = classifier(small_cnn(3))

    def fail(*_: object, **__: object) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr("engine.explainers.segmentations.superpixels", fail)
    explanation = explain(model, make_image(height=24, width=24), SETTINGS)
    assert set(explanation.maps) == {"rise", "gradcam", "gradcam++", "hirescam"}
    assert "there is not enough memory" in explanation.failures["lime"]
