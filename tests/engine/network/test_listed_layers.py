"""The layers that the CAMs can look at: all that give a map, each once, and every one of them works."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import classifier, request
from torch import nn

from engine.bundle.model_bundle import ExplainSpec
from engine.errors import ExplanationError
from engine.explainers.gradcam import GradCam


class Block(nn.Module):
    """A residual block whose ReLU runs twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.two = nn.Conv2d(width, width, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.two(self.relu(self.norm(self.one(x)))) + x)


class Residual(nn.Module):
    """Stem, pool, two stages of blocks, dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(2)
        self.stage1 = nn.Sequential(Block(4), Block(4))
        self.down = nn.AvgPool2d(2)
        self.stage2 = nn.Sequential(Block(4))
        self.drop = nn.Dropout2d(0.2)
        self.as_it_is = nn.Identity()
        self.gap = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.as_it_is(self.drop(self.stage2(self.down(self.stage1(self.pool(self.stem(x)))))))
        return self.head(self.gap(x).flatten(1))


def residual() -> Residual:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Residual()


def test_every_layer_with_a_map_is_listed_once_in_order_of_execution() -> None:
    layers = classifier(residual()).layers
    assert [(layer.name, layer.kind, layer.also) for layer in layers] == [
        ("stem.0", "Conv2d", ()),
        ("stem.1", "BatchNorm2d", ()),
        ("stem.2", "ReLU", ("stem",)),
        ("pool", "MaxPool2d", ()),
        ("stage1.0.one", "Conv2d", ()),
        ("stage1.0.norm", "BatchNorm2d", ()),
        ("stage1.0.two", "Conv2d", ()),
        ("stage1.0", "Block", ()),
        ("stage1.1.one", "Conv2d", ()),
        ("stage1.1.norm", "BatchNorm2d", ()),
        ("stage1.1.two", "Conv2d", ()),
        ("stage1.1", "Block", ("stage1",)),
        ("down", "AvgPool2d", ()),
        ("stage2.0.one", "Conv2d", ()),
        ("stage2.0.norm", "BatchNorm2d", ()),
        ("stage2.0.two", "Conv2d", ()),
        ("stage2.0", "Block", ("stage2",)),
    ]
    sizes = {layer.name: (layer.channels, layer.height, layer.width) for layer in layers}
    assert sizes["pool"] == (4, 12, 12)
    assert sizes["stage2.0"] == (4, 6, 6)


# Not Grad-CAM++: its formula does not hold before a ReLU, and it says so.
@pytest.mark.parametrize("key", ["gradcam", "hirescam"])
def test_the_cams_accept_every_layer_listed_and_the_other_names_of_it(key: str) -> None:
    model = classifier(residual())
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    for layer in model.layers:
        made = [GradCam(key, name).explain(request(model)) for name in (layer.name, *layer.also)]  # type: ignore[arg-type]
        for one in made:
            assert np.isfinite(one.values).all(), layer
            np.testing.assert_array_equal(one.values, made[0].values)
            assert one.parameters["layer_channels"] == layer.channels
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())


@pytest.mark.parametrize("named", ["drop", "as_it_is", "stage2", "stage2.0.norm"])
def test_the_layer_that_a_bundle_names_is_listed(named: str) -> None:
    model = classifier(residual(), explain=ExplainSpec(target_layer=named))
    assert model.default_layer == named
    (place,) = [index for index, layer in enumerate(model.layers) if layer.is_named(named)]
    assert place >= 13


def test_the_default_is_known_by_the_name_of_the_outermost_block() -> None:
    assert classifier(residual()).default_layer == "stage2"


def test_a_layer_that_is_not_there_is_refused_with_similar_names_and_the_last_layer_of_each_size() -> None:
    anatomy = classifier(residual()).anatomy
    with pytest.raises(ExplanationError, match=r"such as stage2\.0, stage1\.1, stem\.2$"):
        anatomy.check_layer("features.9")
    with pytest.raises(ExplanationError, match=r"such as stage1\.1\.norm, "):
        anatomy.check_layer("stage1.2.norm")
