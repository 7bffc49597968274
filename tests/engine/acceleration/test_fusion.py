"""Fused convolutions give the same answers, and networks that cannot have them stay as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from factories import make_image
from networks import classifier, request
from torch import nn
from torch.nn import functional

from engine.acceleration.fusion import FusedConvolution, fuse_convolutions
from engine.explainers.rise import Rise

Forward = Callable[[nn.Module, torch.Tensor], torch.Tensor]


class Layers(nn.Module):
    """Three convolutions, used as `forward` says."""

    def __init__(self, forward: Forward | None = None) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 1)
        self.c = nn.Conv2d(8, 8, 3, stride=2, groups=2, padding=(1, 0), bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.way = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert self.way is not None
        return self.way(self, x)


def in_place(layers: Layers, x: torch.Tensor) -> torch.Tensor:
    out = layers.a(x)
    out += layers.b(x)
    return layers.relu(out)


def seen_by_another(layers: Layers, x: torch.Tensor) -> torch.Tensor:
    first = layers.a(x)
    alias = first
    first += layers.b(x)  # changes what `alias` is, too
    return alias * 2.0


WAYS: dict[str, tuple[Forward, int, int]] = {
    "alone": (lambda m, x: m.c(m.a(x)), 2, 0),
    "a ReLU module": (lambda m, x: m.c(m.relu(m.a(x))), 2, 1),
    "a ReLU function": (lambda m, x: functional.relu(m.a(x)), 1, 1),
    "a ReLU method": (lambda m, x: m.a(x).relu(), 1, 1),
    "a sum": (lambda m, x: m.a(x) + m.b(x), 2, 0),
    "a sum and a ReLU": (lambda m, x: m.c(torch.relu(m.b(x) + m.a(x))), 3, 1),
    "a sum in place": (in_place, 2, 1),
    "a sum of a sum": (lambda m, x: torch.relu(m.a(x) + m.b(x) + m.b(x)), 3, 1),
    "a sum with a number": (lambda m, x: m.a(x) + 1.0, 1, 0),
    "a sum that is spread": (lambda m, x: m.a(x) + m.b(x).mean((2, 3), keepdim=True), 2, 0),
    "a sum with itself": (lambda m, x: m.a(x).add(1.0) + m.a(x), 2, 0),
    "used twice": (lambda m, x: (lambda y: torch.relu(y) - y)(m.a(x)), 1, 0),
    "a ReLU of other things": (lambda m, x: m.relu(m.a(x) * 2.0), 1, 0),
}


class Pooled(Layers):
    """A one-logit network."""

    def __init__(self, features: Forward = WAYS["a sum and a ReLU"][0], *, seed: int = 0) -> None:
        super().__init__(lambda m, x: torch.sigmoid(m.dense(features(m, x).mean((2, 3)))))
        torch.manual_seed(seed)
        self.dense = nn.Linear(8, 1)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(5, 3, 12, 15, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", WAYS)
@torch.inference_mode()
def test_whatever_follows_a_convolution_the_answer_is_the_same(name: str, images: torch.Tensor) -> None:
    way, convolutions, with_relu = WAYS[name]
    network = Layers(way).eval()
    expected = network(images)
    fused = fuse_convolutions(network, images)
    assert fused is not None
    found = [module for module in fused.modules() if isinstance(module, FusedConvolution)]
    assert len(found) == convolutions
    assert sum("relu" in module.extra_repr() for module in found) == with_relu
    torch.testing.assert_close(fused(images), expected, atol=1e-5, rtol=1e-5)
    one = images[:1, :, :9, :9].contiguous()
    torch.testing.assert_close(fused(one), network(one), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network(images), expected, atol=0.0, rtol=0.0)


@torch.inference_mode()
def test_autocast_passes_round_as_autocast_does(images: torch.Tensor) -> None:
    network = Layers(WAYS["a sum and a ReLU"][0]).eval()
    fused = fuse_convolutions(network, images)
    assert fused is not None
    exact = network(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs, ours = network(images), fused(images)
    assert ours.dtype is theirs.dtype is torch.bfloat16
    rounding = float((theirs.float() - exact).square().mean().sqrt())
    assert 0.0 < float((ours.float() - exact).square().mean().sqrt()) <= 1.2 * rounding
    torch.testing.assert_close(fused(images), exact, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3, padding="same")),
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")),
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 15, 2)),
        Layers(lambda m, x: m.a(x) if x.sum() > 0 else m.b(x)),
    ],
    ids=["padding by name", "reflected padding", "no convolution", "branches on values"],
)
def test_what_cannot_be_fused_stays_as_it_is(network: nn.Module, images: torch.Tensor) -> None:
    assert fuse_convolutions(network.eval(), images) is None


def test_a_build_of_torch_without_the_operators_does_without(
    monkeypatch: pytest.MonkeyPatch, images: torch.Tensor
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", None)
    assert fuse_convolutions(Layers(WAYS["alone"][0]).eval(), images) is None


def test_a_copy_that_answers_otherwise_is_not_used() -> None:
    """Tracing does not see that `first` has another name."""
    model = classifier(Pooled(seen_by_another))
    assert fuse_convolutions(model.network, request(model).tensor) is not None
    assert not model.fast_copy().fused
    assert model.fast_copy().network is model.network


def test_maps_are_the_same_to_1e_5_and_say_that_they_were_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image()
    fused = Rise(samples=200).explain(request(classifier(Pooled()), image, target=1))
    assert fused.parameters["convolutions_fused"] is True
    monkeypatch.setattr("engine.acceleration.fast_copy.fuse_convolutions", lambda network, example: None)
    plain = Rise(samples=200).explain(request(classifier(Pooled()), image, target=1))
    assert plain.parameters["convolutions_fused"] is False
    np.testing.assert_allclose(fused.values, plain.values, atol=1e-5)
