"""What LIME looks up of a network's first layers is what these layers give, and only where they are local."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from factories import make_image
from networks import classifier, request, squares
from torch import fx, nn
from torch.nn import functional

from engine.acceleration.tracing import note_shapes
from engine.acceleration.tuning import Tuning
from engine.errors import NotFiniteError, Stopped
from engine.explainers import lime, perturbation
from engine.explainers.activation_table import cuts
from engine.explainers.activation_table.cuts import best_cuts
from engine.explainers.activation_table.receptive_fields import receptive_field
from engine.explainers.activation_table.table import Activations, FirstLayers, _Table, find_first_layers
from engine.explainers.base import Request
from engine.explainers.lime import Lime
from engine.explainers.superpixels import SuperpixelMasks
from engine.network.classifier import Classifier
from engine.progress import Progress

SIDE = 48
EYE = np.eye(16, dtype=int)
Forward = Callable[[nn.Module, torch.Tensor], torch.Tensor]


class Network(nn.Module):
    """Local layers as `features` uses them, then a convolution that sees the whole image, then two classes."""

    def __init__(self, features: Forward) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(24, 24, 3, padding=1)
        self.norm = nn.BatchNorm2d(24)
        self.strided = nn.Conv2d(3, 24, (5, 4), stride=(2, 3), padding=(2, 0))
        self.dilated = nn.Conv2d(24, 24, 3, padding=2, dilation=2, groups=4)
        self.mirrored = nn.Conv2d(3, 24, 3, padding=1, padding_mode="reflect")
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.mean = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.last, self.dense = nn.Conv2d(24, 16, 9, padding=4), nn.Linear(16, 2)
        self.features = features
        with torch.no_grad():
            self.dense.weight.mul_(10.0)  # so that what is hidden matters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.features(self, x)
        return self.dense(torch.relu(self.last(y - y.mean((2, 3), keepdim=True))).amax((2, 3)))


def squeezed(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = m.a(x)
    return y * torch.sigmoid(y.mean((2, 3), keepdim=True))


def residual(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    y = m.pool(m.relu(m.norm(m.strided(x))))
    return m.relu(m.b(y) + y)


LOCAL: dict[str, tuple[Forward, int]] = {
    "one convolution": (lambda m, x: m.a(x), 1),
    "a stem as in a ResNet": (lambda m, x: m.pool(m.relu(m.norm(m.strided(x)))), 1),
    "a residual block": (residual, 2),
    "dilated and in groups": (lambda m, x: functional.silu(m.dilated(torch.tanh(m.a(x)))), 2),
    "pools that round up": (lambda m, x: m.mean(m.mean(m.a(x)).sigmoid()), 1),
    "two that are read": (lambda m, x: (lambda y: m.b(y) + y * 1.5)(m.a(x)), 2),
}
PARTLY_LOCAL: dict[str, tuple[Forward, int]] = {
    "squeezed and excited": (squeezed, 1),
    "scaled by a parameter": (lambda m, x: m.b(m.a(x) * m.scale), 1),
    "a parameter read early": (lambda m, x: (lambda scale: m.relu(m.b(m.a(x))) * scale)(m.scale), 2),
    "padding that mirrors": (lambda m, x: m.b(m.mirrored(x)), 0),
    "the image's mean taken off": (lambda m, x: m.a(x - x.mean((2, 3), keepdim=True)), 0),
    "turned about": (lambda m, x: m.a(x.flip(-1)), 0),
    "branches on values": (lambda m, x: m.a(x) if x.sum() > 0 else m.strided(x), 0),
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables for these small networks too, which they hardly help."""
    monkeypatch.setattr(lime, "prepared_tuning", lambda _: Tuning(batch=16, precision="fp32"))
    monkeypatch.setattr(cuts, "_WORTH_IT", -1.0)
    monkeypatch.setattr(cuts, "_LONGEST_FILL", 10**6)


def wrapped(features: Forward) -> Classifier:
    return classifier(Network(features).eval(), size=(SIDE, SIDE))


def asked(model: Classifier) -> Request:
    noise = np.random.default_rng(2).integers(0, 90, (SIDE, SIDE, 3))
    return request(model, make_image(pixels=0.6 * make_image().pixels + noise), seed=4)


@pytest.mark.parametrize("name", [*LOCAL, *PARTLY_LOCAL, "a blur"])
def test_maps_are_the_same_to_1e_6_whatever_the_layers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, convolutions = {**LOCAL, **PARTLY_LOCAL, "a blur": LOCAL["a residual block"]}[name]
    request, method = asked(wrapped(features)), Lime(segmentations=1, superpixels=12, samples=400)
    if name == "a blur":
        method = replace(method, fill="blur")
    found = method.explain(request)
    assert found.parameters["convolutions_looked_up"] == convolutions
    monkeypatch.setattr(perturbation, "find_first_layers", lambda *_: None)
    plain = method.explain(replace(request, kept={}))
    assert plain.parameters["convolutions_looked_up"] == 0
    assert plain.raw_max - plain.raw_min > 1e-3
    np.testing.assert_allclose(found.values, plain.values, atol=1e-6)
    assert found.raw_max == pytest.approx(plain.raw_max, rel=1e-6)


@pytest.mark.parametrize("name", LOCAL)
@torch.inference_mode()
def test_a_receptive_field_is_where_a_superpixel_changes_something(name: str) -> None:
    network = Network(LOCAL[name][0]).eval()
    for parameter in network.parameters():
        parameter.abs_()  # then nothing cancels out, and no ReLU is silent
    masks = SuperpixelMasks(squares(SIDE, 4), np.eye(16, dtype=int), torch.device("cpu"))
    graph = fx.symbolic_trace(network)
    note_shapes(graph, torch.zeros(1, 3, SIDE, SIDE))
    fields: dict[fx.Node, torch.Tensor] = {}
    for node in graph.graph.nodes:
        if (field := receptive_field(graph, node, fields, masks)) is not None:
            fields[node] = field
    node = next(node for node in graph.graph.nodes if node.target == "mean" and node.op == "call_method").args[0]
    one, none = (
        network.features(network, shown.expand(-1, 3, -1, -1))
        for shown in (masks(0, 16), torch.zeros(1, 1, SIDE, SIDE))
    )
    changed = (one - none).abs().amax(1) > 1e-6
    assert 0 < changed.float().mean() < 0.5
    assert torch.equal(fields[node], changed)


def test_the_sizes_of_activations_are_found_once_for_all_segmentations(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[object] = []
    monkeypatch.setattr(cuts, "note_shapes", lambda *of: (passed.append(of), note_shapes(*of)))
    model = wrapped(residual)
    found = Lime(segmentations=3, superpixels=12, samples=120).explain(asked(model))
    assert (found.parameters["segmentations"], len(passed)) == (3, 1)
    assert int(found.parameters["convolutions_looked_up"]) > 0


def test_every_combination_that_a_place_can_see_is_in_the_table() -> None:
    model = wrapped(residual)
    shown = np.random.default_rng(0).integers(0, 2, (500, 16))
    masks = SuperpixelMasks(squares(SIDE, 4), shown, torch.device("cpu"))
    image, network = asked(model).tensor, model.fast_copy().network
    found = find_first_layers(network, image, masks, 5000)
    assert found is not None
    assert found.convolutions == 2

    def images(rows: torch.Tensor) -> torch.Tensor:
        return image * masks.spread(rows)

    def run(layers: nn.Module, activations: Activations, factor: float = 1.0) -> Activations:
        return tuple(values * factor for values in layers(*activations))

    with torch.inference_mode():
        assert len(list(found.fill(images, run, 6))) >= 3  # four squares meet in a corner: 16 images at least
        for start in range(0, 500, 100):
            rest = found.rest(*found.look_up(start, start + 100))
            torch.testing.assert_close(rest, network(images(masks.rows(start, start + 100))), atol=1e-5, rtol=0.0)
        assert found.agrees(images, run, 0, 500)
        for wrong in (1.001, torch.nan):
            assert not found.agrees(images, partial(run, factor=wrong), 0, 500)


def test_an_image_that_the_network_changes_is_as_it_was() -> None:
    def normalised(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.a(x.div_(x.abs().amax((1, 2, 3), keepdim=True)))

    request = asked(wrapped(normalised))
    before = request.tensor.clone()
    find_first_layers(
        request.classifier.fast_copy().network,
        request.tensor,
        SuperpixelMasks(squares(SIDE, 4), EYE, request.tensor.device),
        99,
    )
    assert torch.equal(request.tensor, before)


@pytest.mark.parametrize("batch", [1, 16])
def test_an_activation_changed_behind_its_back_is_noticed(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph does not tell that `add_` changes `y`, which then sees more than its own convolution did."""

    def changed(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = m.a(x)
        y.add_(m.b(torch.relu(y)))
        return y

    monkeypatch.setattr(lime, "prepared_tuning", lambda _: Tuning(batch=batch, precision="fp32"))
    request = asked(wrapped(changed))
    found = Lime(segmentations=1, superpixels=12, samples=400).explain(request)
    assert found.parameters["convolutions_looked_up"] < 2
    monkeypatch.setattr(perturbation, "find_first_layers", lambda *_: None)
    plain = Lime(segmentations=1, superpixels=12, samples=400).explain(replace(request, kept={}))
    np.testing.assert_allclose(found.values, plain.values, atol=1e-6)


def test_what_must_stay_in_float32_is_never_among_the_first_layers() -> None:
    model = wrapped(residual)
    masks, image = SuperpixelMasks(squares(SIDE, 4), EYE, torch.device("cpu")), asked(model).tensor
    chains = [best_cuts(model.fast_copy().network, image, masks, 5000, readout) for readout in ((), ("pool",))]
    assert [chain[-1].convolutions for chain in chains] == [2, 1]


def test_few_samples_are_not_worth_a_table_and_many_are() -> None:
    request = asked(wrapped(residual))
    looked_up = [
        Lime(segmentations=1, superpixels=12, samples=samples)
        .explain(replace(request, kept={}))
        .parameters["convolutions_looked_up"]
        for samples in (16, 400)
    ]
    assert looked_up == [0, 2]


@pytest.mark.parametrize("limit", ["_MOST_BYTES", "_MOST_PIXELS"])
def test_a_table_that_is_too_large_is_not_made(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, limit, 1000)
    assert (
        Lime(segmentations=1, superpixels=12, samples=400)
        .explain(asked(wrapped(residual)))
        .parameters["convolutions_looked_up"]
        == 0
    )


@pytest.mark.parametrize("lie", ["activations", "answers"])
def test_a_table_that_answers_otherwise_is_not_used(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(wrapped(residual))
    true = Lime(segmentations=1, superpixels=12, samples=400).explain(request)
    if lie == "activations":
        look_up = FirstLayers.look_up
        monkeypatch.setattr(FirstLayers, "look_up", lambda *a: tuple(values + 0.1 for values in look_up(*a)))
    else:
        scores = request.classifier.scores
        whole = request.classifier.fast_copy().network

        def other(network: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
            return scores(network, *inputs) * (1.0 if network is whole else 1.5)

        monkeypatch.setattr(request.classifier, "scores", other)
    found = Lime(segmentations=1, superpixels=12, samples=400).explain(replace(request, kept={}))
    assert found.parameters["convolutions_looked_up"] == 0
    np.testing.assert_allclose(found.values, true.values, atol=1e-6)


def test_the_table_goes_when_the_samples_are_done_and_another_class_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[FirstLayers]] = []
    find = perturbation.find_first_layers

    def noted(*arguments: Any) -> FirstLayers | None:
        found = find(*arguments)
        assert found is not None
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(perturbation, "find_first_layers", noted)
    request = asked(wrapped(residual))
    Lime(segmentations=1, superpixels=12, samples=400).explain(request)
    Lime(segmentations=1, superpixels=12, samples=400).explain(replace(request, target=1))
    gc.collect()
    assert [reference() for reference in made] == [None]


def test_a_stop_takes_effect_while_the_table_is_filled_and_progress_is_told() -> None:
    stop, reports = threading.Event(), list[Progress]()

    def hear(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) == 2:
            stop.set()

    request = replace(asked(wrapped(residual)), progress=hear, stop=stop)
    with pytest.raises(Stopped):
        Lime(segmentations=1, superpixels=12, samples=400).explain(request)
    assert [report.done for report in reports] == [0, 0]


def test_a_device_without_memory_for_the_table_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(wrapped(residual))
    true = Lime(segmentations=1, superpixels=12, samples=400).explain(request)
    note = _Table.note

    def too_large(self: _Table, *arguments: Any) -> None:
        note(self, *arguments)
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(_Table, "note", too_large)
    found = Lime(segmentations=1, superpixels=12, samples=400).explain(replace(request, kept={}))
    assert found.parameters["convolutions_looked_up"] == 0
    assert not any("memory" in warning for warning in found.warnings)
    np.testing.assert_allclose(found.values, true.values, atol=1e-6)


def test_a_device_that_fills_up_gives_the_table_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked(wrapped(residual))
    true = Lime(segmentations=1, superpixels=12, samples=400).explain(request)
    scores, whole, calls = request.classifier.scores, request.classifier.fast_copy().network, []

    def small(network: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        if network is not whole:
            calls.append(len(inputs[0]))
            if len(calls) > 5:
                raise torch.cuda.OutOfMemoryError
        return scores(network, *inputs)

    monkeypatch.setattr(request.classifier, "scores", small)
    found = Lime(segmentations=1, superpixels=12, samples=400).explain(replace(request, kept={}))
    assert len(calls) == 6
    assert found.warnings == true.warnings
    np.testing.assert_allclose(found.values, true.values, atol=1e-6)


def test_fewer_samples_than_settle_the_precision_are_enough() -> None:
    model = classifier(Network(residual).eval(), size=(SIDE, SIDE), precision="auto")
    tuned = Tuning(batch=16, precision="bf16", exact_batch=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lime, "prepared_tuning", lambda _: tuned)
        assert Lime(segmentations=1, superpixels=12, samples=20).explain(asked(model)).samples == 20


def test_a_network_that_gives_nan_is_still_told_of() -> None:
    def broken(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return residual(m, x) * torch.where(x.mean() < x.amax() * 2, torch.nan, 1.0)

    with pytest.raises(NotFiniteError):
        Lime(segmentations=1, superpixels=12, samples=400).explain(asked(wrapped(broken)))


@pytest.mark.parametrize("until", ["certain", "samples"])
def test_until_certain_the_same_samples_give_the_same_map_with_and_without(
    until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(wrapped(residual))
    found = Lime(segmentations=1, superpixels=12, samples=1000, until=until).explain(request)
    assert found.parameters["convolutions_looked_up"] > 0
    monkeypatch.setattr(perturbation, "find_first_layers", lambda *_: None)
    plain = Lime(segmentations=1, superpixels=12, samples=1000, until=until).explain(replace(request, kept={}))
    assert found.samples == plain.samples
    np.testing.assert_allclose(found.values, plain.values, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_reduced_precision_looks_up_what_reduced_precision_gives(
    precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(Network(residual).eval(), size=(SIDE, SIDE), precision=precision)
    monkeypatch.setattr(lime, "prepared_tuning", lambda _: Tuning(batch=16, precision="bf16", exact_batch=16))
    request = asked(model)
    found = Lime(segmentations=1, superpixels=12, samples=400).explain(request)
    assert found.parameters["convolutions_looked_up"] == 2
    monkeypatch.setattr(perturbation, "find_first_layers", lambda *_: None)
    plain = Lime(segmentations=1, superpixels=12, samples=400).explain(replace(request, kept={}))
    assert plain.parameters["precision"] == found.parameters["precision"]
    np.testing.assert_allclose(found.values, plain.values, atol=2e-3)
