"""Passes are recorded as they happen: compiled code, memory that tensors share, and code that cannot be watched."""

from __future__ import annotations

import pytest
import torch
from networks import classifier, request
from torch import nn
from torch.nn import functional

from engine.acceleration.torch_private import write_count
from engine.explainers.gradcam import GradCam
from engine.network.structure import examine

SHAPE = (3, 8, 8)


@torch.jit.script
def swish(x: torch.Tensor) -> torch.Tensor:
    """Compiled, so Python sees none of its operations."""
    return x * torch.sigmoid(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def middle(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.middle(self.first(x))).mean((2, 3)))


class Compiled(Net):
    """A shortcut through compiled code goes past the second convolution."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.head((self.second(x) + swish(x)).mean((2, 3)))


class ThroughView(Net):
    """A view is changed in place, and with it the tensor that the network goes on with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x)
        second = torch.zeros_like(first)
        second[:, :2].copy_(first[:, :2])
        second[:, 2:].copy_(self.second(first)[:, 2:])
        return self.head(second.mean((2, 3)))


class Unwatchable(Net):
    """Refuses to run under a mode that watches its operations."""

    def middle(self, x: torch.Tensor) -> torch.Tensor:
        if torch.overrides.has_torch_function((x,)):
            raise RuntimeError("is watched")
        return functional.relu(x)


class Casting(Net):
    """Calls `Tensor.float`, which has the name of what gives Python a number."""

    def middle(self, x: torch.Tensor) -> torch.Tensor:
        x = (x * (x > 0).int().bool()).float()
        return x + self.second(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.middle(self.first(x)).mean((2, 3)))


class Unpooling(Net):
    """Hands on where each maximum was, too."""

    def middle(self, x: torch.Tensor) -> torch.Tensor:
        values, places = functional.max_pool2d_with_indices(x, 2)
        return functional.max_unpool2d(values, places, 2)


class Cropped(Net):
    """Leaves the last columns out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.middle(self.first(x)))[..., :5].mean((2, 3)))


class ForPairs(Net):
    """Fails for one image, as code that squeezes does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] == 1:
            raise RuntimeError("needs two")
        return super().forward(x)


def seeded(kind: type[Net]) -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind().eval()


@pytest.mark.parametrize(
    ("kind", "default", "branches"),
    [
        (Net, "second", set()),
        (Compiled, ":add", {"second"}),
        (ThroughView, "first", {"second"}),
        (Unwatchable, "second", {"first"}),
        (Casting, ":add", {"second"}),
        (ForPairs, "second", set()),
    ],
)
def test_the_layers_are_right(kind: type[Net], default: str, branches: set[str]) -> None:
    maps = examine(seeded(kind), SHAPE, "a test").maps
    assert maps.default == default
    modules = {layer.name for layer in maps.listed if layer.branch and ":" not in layer.name}
    assert modules == branches
    assert not maps.named[default].branch


def test_numbers_of_places_are_no_layer() -> None:
    maps = examine(seeded(Unpooling), SHAPE, "a test").maps
    assert ":max_pool2d_with_indices.0" in maps.named
    assert ":max_pool2d_with_indices.1" not in maps.named


def test_a_default_that_only_cuts_a_map_smaller_is_listed() -> None:
    maps = examine(seeded(Cropped), SHAPE, "a test").maps
    assert maps.default == ":getitem"
    assert [layer.name for layer in maps.listed] == ["first", ":relu", "second", ":getitem"]


@pytest.mark.parametrize("kind", [Compiled, ThroughView, Unwatchable, ForPairs])
def test_the_cams_work_there(kind: type[Net]) -> None:
    model = classifier(seeded(kind), size=(8, 8))
    assert GradCam().explain(request(model)).parameters["layer_size"] == "8x8"


def test_recording_leaves_neither_hook_nor_mode_and_changes_no_global_random_state() -> None:
    network = seeded(Net)
    state = torch.random.get_rng_state()
    examine(network, SHAPE, "a test")
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert not torch.overrides.has_torch_function((torch.zeros(1),))


def test_writes_are_counted_through_views() -> None:
    tensor = torch.zeros(4)
    before = write_count(tensor)
    tensor[1:].add_(1.0)
    assert write_count(tensor) == before + 1
    with torch.inference_mode():
        assert write_count(torch.zeros(2)) == -1
