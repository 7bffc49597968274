"""Grad-CAM and Grad-CAM++ are taken at the logit, as the packages that define them compute them."""

from __future__ import annotations

import captum.attr
import cv2
import numpy as np
import pytest
import torch
from factories import make_image
from networks import MeanOfOneChannel, classifier, request, small_cnn
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus
from pytorch_grad_cam.utils.model_targets import BinaryClassifierOutputTarget, ClassifierOutputTarget
from torch import nn

from engine.errors import ExplanationError
from engine.explainers.gradcam import GradCam


@pytest.mark.parametrize("key", ["gradcam", "gradcam++"])
@pytest.mark.parametrize("target", [0, 2])
@pytest.mark.parametrize("vgg_head", [False, True])
def test_maps_are_those_of_the_package(key: str, target: int, vgg_head: bool) -> None:
    network = small_cnn(3, vgg_head=vgg_head)
    model = classifier(network)
    asked = request(model, target=target)
    saliency = GradCam(key, "3").explain(asked)  # type: ignore[arg-type]
    kind = GradCAM if key == "gradcam" else GradCAMPlusPlus
    reference = small_cnn(3, vgg_head=vgg_head)
    with kind(reference, [reference[3]]) as cam:
        expected = cam(asked.tensor.contiguous(), [ClassifierOutputTarget(target)])[0]
    if expected.max() > 0:
        np.testing.assert_allclose(saliency.values, expected, atol=2e-5)
    else:
        assert saliency.constant


@pytest.mark.parametrize("vgg_head", [False, True])
def test_grad_cam_is_that_of_captum(vgg_head: bool) -> None:
    network = small_cnn(3, vgg_head=vgg_head, seed=4)
    model = classifier(network)
    asked = request(model, target=1)
    saliency = GradCam("gradcam", "3").explain(asked)
    method = captum.attr.LayerGradCam(network, network[3])
    raw = method.attribute(asked.tensor.clone().requires_grad_(True), target=1, relu_attributions=True)
    raw = raw[0, 0].detach().numpy()
    assert saliency.raw_max == pytest.approx(float(raw.max()), rel=1e-4)
    enlarged = cv2.resize((raw - raw.min()) / (raw.max() - raw.min()), (24, 24))
    expected = (enlarged - enlarged.min()) / (enlarged.max() - enlarged.min())
    np.testing.assert_allclose(saliency.values, expected, atol=1e-4)


def test_a_map_worked_out_by_hand() -> None:
    # The convolution copies the first channel, the logit is twice its mean over 24 * 24 pixels: every gradient is
    # 2 / 576, so is the channel's weight, and the map is the channel itself, scaled.
    image = make_image(height=24, width=24)
    saliency = GradCam("gradcam").explain(request(classifier(MeanOfOneChannel()), image, target=1))
    channel = image.pixels[..., 0] / 255.0
    assert saliency.raw_max == pytest.approx(float(channel.max()) * 2 / 576, rel=1e-5)
    expected = (channel - channel.min()) / (channel.max() - channel.min())
    np.testing.assert_allclose(saliency.values, expected, atol=1e-5)


def test_the_negative_class_of_one_logit_is_explained_by_the_negated_logit() -> None:
    network = small_cnn(1, seed=2)
    model = classifier(nn.Sequential(*network, nn.Sigmoid()))
    asked = request(model, target=0)
    saliency = GradCam("gradcam", "3").explain(asked)
    with GradCAM(network, [network[3]]) as cam:
        expected = cam(asked.tensor.contiguous(), [BinaryClassifierOutputTarget(0)])[0]
    positive = GradCam("gradcam").explain(request(model, target=1))
    assert not saliency.constant or not positive.constant
    if not saliency.constant:
        np.testing.assert_allclose(saliency.values, expected, atol=2e-5)
    assert not np.array_equal(saliency.values, positive.values)


def test_a_saturated_sigmoid_does_not_blank_the_map() -> None:
    image = make_image(height=24, width=24)
    sure = classifier(MeanOfOneChannel(shift=200.0))
    assert sure.diagnose(image).probabilities[1] == 1.0
    blank = classifier(MeanOfOneChannel(shift=0.0))
    np.testing.assert_allclose(
        GradCam("gradcam").explain(request(sure, image, target=1)).values,
        GradCam("gradcam").explain(request(blank, image, target=1)).values,
        atol=1e-5,
    )


def test_a_map_with_nothing_positive_is_constant_and_says_so() -> None:
    saliency = GradCam("gradcam").explain(request(classifier(MeanOfOneChannel(scale=-2.0)), target=1))
    assert saliency.constant
    assert not saliency.values.any()
    assert any("speaks for this class" in sentence for sentence in saliency.warnings)


@pytest.mark.parametrize("key", ["gradcam", "gradcam++"])
def test_an_in_place_relu_behind_the_layer_changes_nothing(key: str) -> None:
    plain = GradCam(key).explain(request(classifier(small_cnn(3)), target=2))  # type: ignore[arg-type]
    inplace = GradCam(key).explain(request(classifier(small_cnn(3, inplace=True)), target=2))  # type: ignore[arg-type]
    assert np.array_equal(plain.values, inplace.values)


def test_grey_input_is_explained() -> None:
    saliency = GradCam("gradcam").explain(request(classifier(small_cnn(2, channels=1), channels=1), target=1))
    assert saliency.values.shape == (24, 24)


def test_another_layer_can_be_named_and_is_recorded() -> None:
    model = classifier(small_cnn(3))
    saliency = GradCam("gradcam", layer="0").explain(request(model, target=2))
    assert saliency.parameters["layer"] == "0"
    assert saliency.parameters["layer_size"] == "24x24"


def test_a_layer_that_gives_no_map_is_refused() -> None:
    with pytest.raises(ExplanationError, match="is not a layer of this network that gives a map"):
        GradCam("gradcam", layer="8").explain(request(classifier(small_cnn(3)), target=2))


def test_a_layer_that_the_score_does_not_depend_on_is_refused() -> None:
    class Sidelined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small_cnn(2)
            self.side = nn.Conv2d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.side(x)
            return self.body(x)

    with pytest.raises(ExplanationError, match="does not depend on this layer"):
        GradCam("gradcam", layer="side").explain(request(classifier(Sidelined()), target=1))


def test_nothing_before_the_layer_is_gone_back_through(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_cnn(3)
    reached = []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(context: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(context: object, gradient: torch.Tensor) -> torch.Tensor:
            reached.append(True)
            return gradient

    network[1].register_forward_hook(lambda _, __, output: Watched.apply(output))
    assert not GradCam("gradcam", layer="0").explain(request(classifier(network), target=2)).constant
    assert reached
    reached.clear()
    assert not GradCam("gradcam", layer="3").explain(request(classifier(network), target=2)).constant
    assert not reached


def test_the_network_is_left_as_it_was() -> None:
    model = classifier(small_cnn(3))
    first = next(model.network.parameters())
    first.grad = torch.ones_like(first)
    model.network[1].train()  # type: ignore[index]
    GradCam("gradcam++").explain(request(model, target=2))
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(parameter.requires_grad for parameter in model.network.parameters())
    assert model.network[1].training  # type: ignore[index]
    assert all(not module._forward_hooks for module in model.network.modules())


@pytest.mark.parametrize("pair", [("gradcam", "gradcam++"), ("gradcam++", "gradcam")])
def test_the_pair_shares_one_pass_and_gives_the_same_maps_as_alone(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(small_cnn(3))
    alone = [GradCam(key).explain(request(model, target=2)) for key in pair]  # type: ignore[arg-type]
    asked = request(model, target=2)
    first = GradCam(pair[0]).explain(asked)  # type: ignore[arg-type]

    def logits(tensor: torch.Tensor, *, folded: bool = False) -> torch.Tensor:
        raise AssertionError("passed again")

    monkeypatch.setattr(model, "logits", logits)
    second = GradCam(pair[1]).explain(asked)  # type: ignore[arg-type]
    assert np.array_equal(first.values, alone[0].values)
    assert np.array_equal(second.values, alone[1].values)


def test_frozen_parameters_do_not_hinder_a_map() -> None:
    network = small_cnn(3)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    frozen = GradCam("gradcam").explain(request(classifier(network), target=2))
    free = GradCam("gradcam").explain(request(classifier(small_cnn(3)), target=2))
    assert np.array_equal(frozen.values, free.values)
    assert not any(parameter.requires_grad for parameter in network.parameters())
