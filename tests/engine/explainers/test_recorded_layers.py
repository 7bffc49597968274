"""The layer that the CAMs look at is recorded at its last run, whatever the network's code does with its tensor."""

from __future__ import annotations

import pytest
import torch
from networks import classifier, request
from torch import nn
from torch.nn import functional

from engine.explainers.gradcam import GradCam
from engine.network.layers.info import LayerInfo, MapAxes
from engine.network.layers.recorded import recorded

IMAGE = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Twice(nn.Module):
    """One convolution, run twice; the second run decides with what the first has given."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(functional.relu(self.conv(x))).mean((2, 3)))


class Unreturned(nn.Module):
    """Goes on with the tensor that an activation has changed, not with what the activation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 2.0
        self.relu(y)
        return y.sum((2, 3))


class Functional(nn.Module):
    """Everything between its convolutions are functions, one in place; `chunk` gives views of one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.conv(x))
        x = functional.relu(x + 0.5, inplace=True)
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, 2.0 * second], dim=1).sum((2, 3))


def gradient(network: nn.Module, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's recorded tensor, and the gradient of the sum of the scores there."""
    with recorded(network, LayerInfo(name, 1, 1, 1)) as record:
        scores = network(IMAGE.clone())
    assert record.tensor is not None
    return record.tensor.detach(), torch.autograd.grad(scores.sum(), record.tensor)[0]


def test_a_module_that_runs_twice_is_taken_at_its_last_run() -> None:
    network = Twice().eval()
    found, slope = gradient(network, "conv")
    first = functional.relu(network.conv(IMAGE))
    torch.testing.assert_close(found, network.conv(first))
    expected = network.head.weight.sum(0) / 36
    torch.testing.assert_close(slope, expected[None, :, None, None].expand(1, 3, 6, 6))
    assert GradCam("gradcam", "conv").explain(request(classifier(network, size=(6, 6)))).parameters["layer"] == "conv"


def test_code_that_goes_on_with_the_tensor_itself_is_still_followed() -> None:
    _, slope = gradient(Unreturned(), "relu")
    assert torch.equal(slope, torch.ones(1, 3, 6, 6))


@pytest.mark.parametrize(
    ("name", "channels", "slope"),
    [
        (":relu", 4, (1.0, 1.0, 2.0, 2.0)),
        (":relu:2", 4, (1.0, 1.0, 2.0, 2.0)),
        (":chunk.1", 2, (2.0, 2.0)),
        (":cat", 4, (1.0, 1.0, 1.0, 1.0)),
    ],
)
def test_what_no_module_gives_is_recorded_by_the_name_of_its_operation(
    name: str, channels: int, slope: tuple[float, ...]
) -> None:
    found, given = gradient(Functional().eval(), name)
    assert found.shape == (1, channels, 6, 6)
    assert torch.equal(given, torch.tensor(slope)[None, :, None, None].expand_as(given))


def test_the_answers_are_those_of_an_unrecorded_pass_and_no_hook_is_left() -> None:
    network = Functional().eval()
    for name in ("conv", ":relu", ":relu:2", ":chunk.0"):
        with recorded(network, LayerInfo(name, 1, 1, 1)):
            assert torch.equal(network(IMAGE), Functional.forward(network, IMAGE))
    assert not network.conv._forward_hooks
    assert not network.conv._forward_pre_hooks


def test_tokens_and_channels_last_become_maps() -> None:
    maps = torch.arange(24.0).reshape(1, 2, 3, 4)
    last = maps.permute(0, 2, 3, 1)
    assert torch.equal(MapAxes(3, (1, 2), 3, 4).maps(last), maps)
    tokens = torch.cat([torch.full((1, 1, 2), -1.0), last.flatten(1, 2)], dim=1)
    assert torch.equal(MapAxes(2, (1,), 3, 4, before=1).maps(tokens), maps)
    assert torch.equal(MapAxes(2, (0,), 3, 4, before=1, images=1).maps(tokens.permute(1, 0, 2)), maps)
    assert torch.equal(MapAxes(None, (1,), 3, 4).maps(maps[:, 0].flatten(1)), maps[:, :1])
    two = torch.cat([tokens, tokens + 1])
    assert torch.equal(MapAxes(2, (1,), 3, 4, before=1).maps(two, 1), maps + 1)
    assert torch.equal(MapAxes(2, (0,), 3, 4, before=1, images=1).maps(two.permute(1, 0, 2), 1), maps + 1)
