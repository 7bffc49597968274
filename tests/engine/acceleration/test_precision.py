"""Reduced precision in the convolutions, float32 behind them."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from engine.acceleration.fusion import fold_batch_norm
from engine.acceleration.precision import reduced_convolutions
from engine.network.structure import examine

READOUT = ("pool", "flat", "linear")


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    layers: list[tuple[str, nn.Module]] = [
        ("first", nn.Conv2d(3, 8, 3)),
        ("relu", nn.ReLU()),
        ("last", nn.Conv2d(8, 16, 3)),
        ("norm", nn.BatchNorm2d(16)),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flat", nn.Flatten()),
        ("linear", nn.Linear(16, 40)),
    ]
    return nn.Sequential(OrderedDict(layers)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 20, 20, generator=torch.Generator().manual_seed(1))


def test_the_readout_is_what_runs_once_behind_the_last_convolution(network: nn.Module) -> None:
    assert examine(network, (3, 20, 20), "a test").readout == ("norm", *READOUT)
    assert examine(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2), "a test").readout == ()


def test_a_module_that_also_runs_before_the_last_convolution_is_no_readout() -> None:
    relu = nn.ReLU()
    twice = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu, nn.Flatten(), nn.Linear(4 * 36, 2))
    assert examine(twice, (3, 10, 10), "a test").readout == ("4", "5")


@torch.inference_mode()
def test_convolutions_are_reduced_and_the_readout_is_computed_in_float32(
    network: nn.Module, images: torch.Tensor
) -> None:
    convolutions, readout = network[:3], network[3:]
    with reduced_convolutions(network, ("norm", *READOUT), "cpu", torch.bfloat16):
        given = network(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half_way = convolutions(images)
    assert half_way.dtype is torch.bfloat16
    torch.testing.assert_close(given, readout(half_way.float()), rtol=0.0, atol=0.0)


@torch.inference_mode()
def test_every_pass_begins_reduced_and_nothing_stays_behind(network: nn.Module, images: torch.Tensor) -> None:
    exact = network(images)
    with reduced_convolutions(network, READOUT, "cpu", torch.bfloat16):
        passes = [network(images) for _ in range(3)]
    assert not torch.is_autocast_enabled("cpu")
    assert torch.equal(passes[0], passes[1])
    assert torch.equal(passes[0], passes[2])
    assert not torch.equal(passes[0], exact)
    assert torch.equal(network(images), exact)


@torch.inference_mode()
def test_modules_that_folding_took_away_are_passed_over(network: nn.Module, images: torch.Tensor) -> None:
    folded = fold_batch_norm(network)
    assert folded is not None
    assert "norm" not in dict(folded.named_modules())
    with reduced_convolutions(folded, ("norm", *READOUT), "cpu", torch.bfloat16):
        logits = folded(images)
    assert logits.dtype is torch.float32


@torch.inference_mode()
def test_much_less_rounding_is_left_than_by_autocast_alone(network: nn.Module, images: torch.Tensor) -> None:
    exact = network(images)
    with reduced_convolutions(network, READOUT, "cpu", torch.bfloat16):
        ours = network(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = network(images).float()
    assert (ours - exact).square().mean().sqrt() < 0.5 * (plain - exact).square().mean().sqrt()


@torch.inference_mode()
def test_a_network_without_a_readout_is_reduced_throughout(images: torch.Tensor) -> None:
    bare = nn.Conv2d(3, 4, 20).eval()
    with reduced_convolutions(bare, (), "cpu", torch.bfloat16):
        assert bare(images).dtype is torch.bfloat16


class TwoHeads(nn.Module):
    """A second head reads what was computed in reduced precision when the first has been reached already."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.mean, self.most = nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.one, self.other = nn.Linear(8, 2), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = torch.relu(self.last(x))
        mean = self.one(self.mean(maps).flatten(1))
        return mean + self.other(input=self.most(maps).flatten(1)) + self.other(maps.amax((2, 3)))


@torch.inference_mode()
def test_a_readout_may_read_the_last_maps_more_than_once(images: torch.Tensor) -> None:
    network = TwoHeads().eval()
    readout = examine(network, (3, 20, 20), "a test").readout
    assert readout == ("mean", "one", "most")
    with reduced_convolutions(network, readout, "cpu", torch.bfloat16):
        given = network(images)
    assert given.dtype is torch.float32
    torch.testing.assert_close(given, network(images), atol=0.02, rtol=0.02)
