"""Networks that take channels last, blue first or values up to 255: their twins of the usual kind answer alike."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from factories import approve, make_bundle, make_image, make_model
from networks import small_cnn
from torch import fx, nn

from engine.bundle.model_bundle import InputSpec, ModelBundle, read_bundle
from engine.explainers.settings import Settings
from engine.explanation.explain import explain
from engine.network.classifier import Classifier
from engine.network.layout import take_channels_first
from engine.network.outputs import noise_for

IMAGE = make_image(height=24, width=24)
SETTINGS = Settings(methods=("lime", "rise", "gradcam"), samples={"lime": 300, "rise": 300}, target="class 1", seed=4)


class ChannelsLast(nn.Module):
    """Takes (B, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = small_cnn()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.features(x.permute(0, 3, 1, 2))


def bundle(**declared: object) -> ModelBundle:
    return replace(make_bundle(), assumed=(), input=InputSpec(size=(24, 24), **declared), output=make_output())


def make_output() -> object:
    return replace(make_bundle().output, classes=None)


def maps(classifier: Classifier) -> dict[str, np.ndarray]:
    return {method: each.values for method, each in explain(classifier, IMAGE, SETTINGS).maps.items()}


def twins(first: Classifier, second: Classifier) -> None:
    """Both answer the same, and so do the methods."""
    np.testing.assert_allclose(first.diagnose(IMAGE).logits, second.diagnose(IMAGE).logits, atol=1e-4)
    one, two = maps(first), maps(second)
    assert one.keys() == two.keys() == {"lime", "rise", "gradcam"}
    for method, values in one.items():
        np.testing.assert_allclose(values, two[method], atol=2e-3, err_msg=method)


@pytest.fixture(scope="module")
def usual() -> Classifier:
    return Classifier(bundle(), small_cnn(), precision="fp32")


def test_a_network_that_takes_channels_last_is_explained_as_its_twin(usual: Classifier) -> None:
    network = take_channels_first(ChannelsLast().eval())
    last = Classifier(bundle(layout="nhwc"), network, precision="fp32")
    assert last.default_layer == "features.4", "the layers keep their names"
    assert last.fast_copy().fused == usual.fast_copy().fused
    twins(usual, last)


def test_a_network_for_blue_first_is_explained_as_its_twin(usual: Classifier) -> None:
    network = small_cnn()
    with torch.no_grad():
        network[0].weight.copy_(network[0].weight.flip(1))
    twins(usual, Classifier(bundle(colour_order="bgr"), network, precision="fp32"))


def test_a_network_for_values_up_to_255_is_explained_as_its_twin(usual: Classifier) -> None:
    network = small_cnn()
    with torch.no_grad():
        network[0].weight.div_(255)
    wide = bundle(value_range=(0.0, 255.0))
    assert noise_for(wide, 1).std() == pytest.approx(255, rel=0.1), "noise that such a network notices"
    twins(usual, Classifier(wide, network, precision="fp32"))


def own_forward() -> nn.Module:
    network = ChannelsLast()
    network.forward = network.forward  # type: ignore[method-assign]
    return network


@pytest.mark.parametrize("make", [ChannelsLast, lambda: fx.symbolic_trace(ChannelsLast()), own_forward])
def test_channels_first_is_taken_whatever_the_network_is(make: type[nn.Module]) -> None:
    network = make().eval()
    images = torch.rand(2, 3, 24, 24)
    with torch.no_grad():
        expected = network(images.permute(0, 2, 3, 1))
        first = take_channels_first(network)
        torch.testing.assert_close(first(images), expected)
        torch.testing.assert_close(copy.deepcopy(first)(images), expected)


def test_a_model_folder_declares_that_its_network_takes_channels_last(tmp_path: Path) -> None:
    usual = make_model(tmp_path / "Task" / "Usual", approved=True)
    last = make_model(tmp_path / "Task" / "Last")
    code = (last / "architecture.py").read_text()
    (last / "architecture.py").write_text(code.replace("self.conv(x)", "self.conv(x.permute(0, 3, 1, 2))"))
    settings = last / "model.toml"
    settings.write_text(settings.read_text().replace("[input]\n", '[input]\nlayout = "nhwc"\n'))
    approve(last)
    image = make_image(height=9, width=9)
    one, two = (Classifier.load(read_bundle(folder)).diagnose(image) for folder in (usual, last))
    np.testing.assert_array_equal(one.logits, two.logits)
