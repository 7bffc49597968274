"""The loop's structure on a GPU that is not there: everything stays on the device, and no batch waits for it.

torch's fake tensors know shapes and devices but hold no values: an operation between two devices raises, and so does
any that needs a value on the host, which on a real GPU would wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from factories import make_image
from networks import classifier, small_cnn, squares
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from engine.acceleration import transfer
from engine.acceleration.transfer import Pace
from engine.acceleration.tuning import Tuning
from engine.explainers.activation_table.table import find_first_layers
from engine.explainers.base import Request
from engine.explainers.lime import Lime
from engine.explainers.rise import Rise
from engine.explainers.superpixels import SuperpixelMasks, Superpixels

GPU = "cuda:0"
SIZE = (24, 24)


class Events:
    """What stands for `torch.cuda.Event`: remembers which were waited for."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.waited: list[int] = []

    def __call__(self) -> Events.Event:
        self.made.append(len(self.made))
        return self.Event(self, len(self.made) - 1)

    class Event:
        def __init__(self, events: Events, number: int) -> None:
            self._events, self._number = events, number

        def record(self, stream: object) -> None:
            pass

        def synchronize(self) -> None:
            self._events.waited.append(self._number)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    made = Events()
    monkeypatch.setattr(torch.cuda, "Event", made)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    return made


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes that went through pinned memory."""
    shapes: list[tuple[int, ...]] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(tensor.shape))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    return shapes


@pytest.fixture
def gpu(events: Events, pinned: list[tuple[int, ...]]) -> Iterator[Request]:
    """A request whose network and image are on the fake GPU."""
    model = classifier(small_cnn(3))
    with FakeTensorMode(allow_non_fake_inputs=True):
        with torch.device(GPU):
            model.network, tensor = small_cnn(3), torch.zeros(1, 3, 24, 24)
        model.device = GPU
        yield Request(model, tensor, target=1, seed=1)


@pytest.fixture(scope="module")
def segments() -> Superpixels:
    """Superpixels are found on the host, once, before the first pass; here before tensors become fake."""
    model = classifier(small_cnn(3))
    return Lime()._segments(Request(model, model.tensor(make_image(height=24, width=24)), target=1, seed=1))


class Copies(TorchDispatchMode):
    """Remembers the copies between devices that wait: all to the host, and all to the GPU that are not told not to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        between = func is torch.ops.aten._to_copy.default and result.device != args[0].device
        if between and (result.device.type == "cpu" or not kwargs.get("non_blocking")):
            self.waiting.append(f"{args[0].device} to {result.device}")
        return result


@pytest.mark.parametrize("method", [Rise(samples=100), Lime(samples=100)], ids=["rise", "lime"])
def test_all_passes_stay_on_the_gpu_and_wait_for_nothing(
    method: Rise | Lime,
    segments: Superpixels,
    gpu: Request,
    pinned: list[tuple[int, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Lime, "_segments", lambda *_: segments)
    monkeypatch.setattr("engine.explainers.lime.mean_colours", lambda tensor, *_: tensor)  # once too, and on the host
    tuning = Tuning(batch=16, precision="fp32")
    begun = method._start(gpu, tuning) if isinstance(method, Rise) else method._start(gpu, tuning, 0, (100,))
    loop = begun.loop
    with Copies() as copies:
        assert list(loop.run(100, threading.Event())) == [16, 32, 48, 64, 80, 96, 100]
    assert copies.waiting == []
    outputs = loop._outputs["fp32"]
    assert [tuple(part.shape) for part in outputs] == [(16, 3)] * 6 + [(4, 3)]
    assert {part.device for part in outputs} == {torch.device(GPU)}
    assert all(isinstance(part, FakeTensor) for part in outputs)
    assert len(pinned) >= 7  # what a batch needs from the host


def test_looking_up_the_first_layers_waits_for_nothing(pinned: list[tuple[int, ...]]) -> None:
    """What a table's layout takes from the device is taken once, when it is made; here that is done on the CPU."""
    model = classifier(small_cnn(3))
    image = model.tensor(make_image(height=24, width=24))
    masks = SuperpixelMasks(squares(24, 3), np.eye(9, dtype=int), image.device)
    found = find_first_layers(model.fast_copy().network, image, masks, 10_000)
    assert found is not None
    for _ in found.fill(lambda rows: image * masks.spread(rows), lambda layers, given: tuple(layers(*given)), 16):
        pass
    table = found._table
    assert table is not None
    with FakeTensorMode() as fake:
        masks.labels = fake.from_tensor(masks.labels).to(GPU)
        table._values = [fake.from_tensor(values).to(GPU) for values in table._values]
        for places in table._places:
            places._worth, places._first = (fake.from_tensor(part).to(GPU) for part in (places._worth, places._first))
        with Copies() as copies:
            activations = found.look_up(2, 6)
    assert copies.waiting == []
    assert {part.device for part in activations} == {torch.device(GPU)}
    assert {len(part) for part in activations} == {4}
    assert pinned == [(4, 9)]


def test_a_value_asked_for_within_a_batch_would_be_seen(gpu: Request) -> None:
    with pytest.raises(DataDependentOutputException):
        float(gpu.tensor.sum())
    with Copies() as copies:
        gpu.tensor.cpu()
        torch.ones(3).to(GPU)
        torch.ones(3).to(GPU, non_blocking=True)
    assert copies.waiting == ["cuda:0 to cpu", "cpu to cuda:0"]


def test_a_tensor_left_on_the_host_would_be_seen(gpu: Request) -> None:
    with pytest.raises(RuntimeError, match=r"two different devices|on the same device"):
        _ = gpu.tensor + torch.ones(1, 3, 24, 24)


def test_the_loop_stays_at_most_two_batches_ahead(gpu: Request, events: Events) -> None:
    loop = Rise(samples=100)._start(gpu, Tuning(batch=16, precision="fp32")).loop
    for number, _ in enumerate(loop.run(100, threading.Event())):
        assert events.waited == list(range(max(0, number - 1)))
        assert len(events.made) == number + 1


def test_memory_running_out_is_answered_on_the_gpu_too(gpu: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Rise(samples=64)._start(gpu, Tuning(batch=32, precision="fp32")).loop
    logits = gpu.classifier.logits

    def small_memory(images: torch.Tensor, *, fast: bool = False) -> torch.Tensor:
        if len(images) > 8:
            raise torch.cuda.OutOfMemoryError
        return logits(images, fast=fast)

    monkeypatch.setattr(gpu.classifier, "logits", small_memory)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    *_, done = loop.run(64, threading.Event())
    assert done == 64
    assert loop.batch == 8
    assert len(loop.warnings) == 2


def test_on_the_cpu_nothing_is_pinned_or_waited_for(events: Events, pinned: list[tuple[int, ...]]) -> None:
    assert transfer.on_device(np.ones(3, dtype=np.float32), "cpu").tolist() == [1.0, 1.0, 1.0]
    pace = Pace("cpu")
    for _ in range(5):
        pace.given()
    assert not pinned
    assert not events.made


def test_a_copy_to_the_gpu_does_not_block(monkeypatch: pytest.MonkeyPatch, pinned: list[tuple[int, ...]]) -> None:
    asked = []

    def to(tensor: torch.Tensor, device: str, **options: object) -> torch.Tensor:
        asked.append((device, options))
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", to)
    transfer.on_device(np.ones((2, 3), dtype=np.float32), GPU)
    assert pinned == [(2, 3)]
    assert asked == [(GPU, {"non_blocking": True})]
