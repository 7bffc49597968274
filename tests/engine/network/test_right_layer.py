"""The default layer of the CAMs: the last maps that every path to the scores passes through, in small networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import classifier, request
from torch import nn
from torch.nn import functional

from engine.errors import ExplanationError
from engine.explainers.gradcam import GradCam
from engine.network.classifier import Classifier
from engine.network.structure import examine


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def pooled(maps: torch.Tensor) -> torch.Tensor:
    return functional.adaptive_avg_pool2d(maps, 1).flatten(1)


class Vgg(nn.Module):
    """As VGG16: a pool that leaves a grid, an adaptive one that does, and dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 4), nn.ReLU(), nn.MaxPool2d(2), conv(4, 6), nn.ReLU(), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(54, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Paper(nn.Module):
    """As the paper's: the norm follows the non-linearity."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 4), nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


class Dense(nn.Module):
    """As DenseNet: every layer adds channels to those before it, a norm, and a ReLU that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 4, 2)
        self.layers = nn.ModuleList(conv(4 + 2 * at, 2) for at in range(3))
        self.norm5 = nn.BatchNorm2d(10)
        self.head = nn.Linear(10, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = torch.cat([x, layer(functional.relu(x))], 1)
        return self.head(pooled(functional.relu(self.norm5(x), inplace=True)))


class Mixed(nn.Module):
    """As a block of GoogLeNet: branches side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three = nn.Conv2d(4, 3, 1), conv(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([functional.relu(self.one(x)), functional.relu(self.three(x))], 1)


class Inception(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mixed, self.drop, self.head = conv(3, 4, 2), Mixed(), nn.Dropout(), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(pooled(self.mixed(self.stem(x)))))


class Block(nn.Module):
    """As a block of ResNet: its ReLU runs twice, the shortcut is a convolution, which runs last."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.relu, self.shortcut = conv(4, 6), conv(6, 6), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.two(self.relu(self.one(x)))
        out += self.shortcut(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layer1, self.head = conv(3, 4, 2), nn.Sequential(Block()), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer1(self.stem(x)).mean([2, 3]))


class Squeeze(nn.Module):
    """As SqueezeNet: the scores are the means of a class's own map."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 4, 2), nn.ReLU())
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(4, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x)).flatten(1)


class Gated(nn.Module):
    """As the bundled MRI network: one map of attention weighs the places of others, and both come from one stage."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(conv(3, 4, 2), nn.ReLU())
        self.final, self.attention, self.head = conv(4, 6), nn.Conv2d(4, 1, 1), nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage(x)
        features = functional.relu(self.final(x)).flatten(2)
        weights = self.attention(x).flatten(1).softmax(1)
        return self.head(torch.cat([(features * weights.unsqueeze(1)).sum(2), features.mean(2)], 1))


class Generalised(nn.Module):
    """Generalised-mean pooling: a clamp, a power, a mean, a root."""

    def __init__(self) -> None:
        super().__init__()
        self.stage, self.head = nn.Sequential(conv(3, 4, 2), nn.ReLU()), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        powers = self.stage(x).clamp(min=1e-6).pow(3.0)
        return self.head(pooled(powers).pow(1 / 3.0))


class Scales(nn.Module):
    """Scores from three stages of different sizes: only the first is on every path."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.head = conv(3, 4, 2), conv(4, 9, 2), conv(9, 6, 2), nn.Linear(19, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.a(x)
        b = self.b(a)
        return 9.0 * self.head(torch.cat([pooled(each) for each in (a, b, self.c(b))], 1))


class TwoPaths(nn.Module):
    """Two networks side by side: nothing but the image is on every path."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = conv(3, 4, 2), conv(3, 6, 4), nn.Linear(10, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 9.0 * self.head(torch.cat([pooled(self.left(x)), pooled(self.right(x))], 1))


class Shared(nn.Module):
    """One convolution that runs three times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.head = conv(3, 4, 2), conv(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = self.conv(functional.relu(x))
        return self.head(pooled(x))


class Asking(nn.Module):
    """Its code asks for a number, so the graph may lack something; by experiment all passes through the stage."""

    def __init__(self) -> None:
        super().__init__()
        self.stage, self.head = nn.Sequential(conv(3, 4, 2), nn.ReLU()), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stage(x)
        scale = 2.0 if float(x.mean()) > 0 else 1.0
        return self.head(pooled(x) * scale)


class Sneaking(nn.Module):
    """What a Python number carries past the second layer is not in the graph, so only the experiment tells."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = conv(3, 4, 2), conv(4, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        past = float(x.std())
        return self.head(pooled(self.second(x))) * (5.0 * past)


class Scaled(Sneaking):
    """The image itself scales the scores as a Python number, past all layers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(pooled(self.second(self.first(x)))) * float(x.std())


class Picky(Sneaking):
    """Fails for any image but that of the first pass, so no experiment can be made."""

    seen: float | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = self.seen or float(x.mean())
        if float(x.mean()) != self.seen:
            raise ValueError("another image")
        return self.head(pooled(self.second(self.first(x))))


def seeded(kind: type[nn.Module], side: int = 16) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return classifier(kind().eval(), size=(side, side))


@pytest.mark.parametrize(
    ("kind", "layer", "channels", "size"),
    [
        (Vgg, "features.4", 6, (8, 8)),
        (Paper, "features.1", 4, (16, 16)),
        (Dense, ":relu:4", 10, (8, 8)),
        (Inception, "mixed", 8, (8, 8)),
        (ResNet, "layer1", 6, (8, 8)),
        (Squeeze, "classifier.2", 2, (8, 8)),
        (Gated, "stage", 4, (8, 8)),
        (Generalised, "stage", 4, (8, 8)),
        (Shared, "conv", 4, (8, 8)),
        (Asking, "stage", 4, (8, 8)),
        (Sneaking, "first", 4, (8, 8)),
    ],
)
def test_the_default_is_the_last_layer_that_everything_passes_through(
    kind: type[nn.Module], layer: str, channels: int, size: tuple[int, int]
) -> None:
    model = seeded(kind)
    assert model.default_layer == layer
    found = model.anatomy.check_layer(layer)
    assert (found.channels, (found.height, found.width), found.branch) == (channels, size, False)
    for key in ("gradcam", "hirescam"):
        made = GradCam(key).explain(request(model))  # type: ignore[arg-type]
        assert made.parameters["layer"] == layer
        assert "branch" not in made.warning_codes


@pytest.mark.parametrize(("kind", "layer", "others"), [(Scales, "b", ("a", "c")), (TwoPaths, "right", ("left",))])
def test_of_several_scales_or_paths_the_one_with_most_channels_is_taken_and_the_map_says_so(
    kind: type[nn.Module], layer: str, others: tuple[str, ...]
) -> None:
    model = seeded(kind)
    assert model.default_layer == layer
    made = GradCam().explain(request(model))
    (said,) = [str(each) for each in made.warnings if getattr(each, "code", "") == "branch"]
    assert f"through {', '.join(others)} does not show" in said


def test_a_layer_that_no_experiment_confirms_is_a_branch_whatever_the_graph_says() -> None:
    model = seeded(Scaled)
    assert {layer.name: layer.branch for layer in model.layers} == {"first": True, "second": True}
    assert "branch" in GradCam().explain(request(model)).warning_codes


def test_a_network_that_fails_in_the_experiments_keeps_the_layers_of_its_graph() -> None:
    maps = examine(Picky().eval(), (3, 16, 16), "a test").maps
    assert maps.default == "second"
    assert [layer.branch for layer in maps.listed] == [False, False]


def test_branches_are_told_from_what_everything_passes_through() -> None:
    model = seeded(ResNet)
    branches = {layer.name: layer.branch for layer in model.layers}
    assert branches == {
        "stem": False,
        "layer1.0.one": True,
        "layer1.0.two": True,
        "layer1.0.shortcut": True,
        "layer1.0": False,
    }
    made = GradCam("gradcam", "layer1.0.two").explain(request(model))
    assert any("layer1.0.two is a branch" in warning for warning in made.warnings)
    assert GradCam("gradcam", "layer1.0:add").explain(request(model)).parameters["layer_channels"] == 6


def test_a_layer_that_no_module_gives_can_be_chosen_by_its_saved_name() -> None:
    model = seeded(Dense)
    default = GradCam().explain(request(model))
    again = GradCam("gradcam", str(default.parameters["layer"])).explain(request(seeded(Dense)))
    assert np.array_equal(default.values, again.values)
    with pytest.raises(ExplanationError, match="is not a layer of this network that gives a map"):
        GradCam("gradcam", ":relu:9").explain(request(model))


def test_the_map_is_that_of_the_tensor_worked_out_by_hand() -> None:
    model = seeded(Dense)
    asked = request(model, target=1)
    network = model.network
    with torch.no_grad():
        x = network.stem(asked.tensor)
        for layer in network.layers:
            x = torch.cat([x, layer(functional.relu(x))], 1)
        maps = functional.relu(network.norm5(x))
    weights = network.head.weight[1] / 64
    expected = functional.relu((weights[:, None, None] * maps[0]).sum(0)).detach()
    made = GradCam().explain(asked)
    assert made.raw_max == pytest.approx(float(expected.max()), rel=1e-4)


def test_without_maps_the_cams_are_refused_and_the_others_named() -> None:
    model = classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)), size=(8, 8))
    assert model.layers == ()
    with pytest.raises(ExplanationError, match=r"no layer gives a map of the image's places.*use LIME or RISE"):
        GradCam().explain(request(model))
