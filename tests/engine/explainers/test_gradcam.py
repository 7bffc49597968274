"""The CAMs are taken at the logit, as the packages that define them compute them."""

from __future__ import annotations

import captum.attr
import cv2
import numpy as np
import pytest
import torch
from factories import make_image
from networks import MeanOfOneChannel, classifier, request, small_cnn
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM
from pytorch_grad_cam.utils.model_targets import BinaryClassifierOutputTarget, ClassifierOutputTarget
from torch import nn

from engine.errors import ExplanationError
from engine.explainers.cam_formulas import CamKey, plus_plus_weights, share_below_zero
from engine.explainers.gradcam import GradCam
from engine.results.saliency import SaliencyMap
from engine.results.statistics import grid_statistics

PACKAGE = {"gradcam": GradCAM, "gradcam++": GradCAMPlusPlus, "hirescam": HiResCAM}


def large_gradients(*, vgg_head: bool = False) -> nn.Sequential:
    """A network whose squared gradients are far above the 1e-6 that the package adds to Grad-CAM++'s denominator."""
    network = small_cnn(3, vgg_head=vgg_head)
    with torch.no_grad():
        network[-1].weight.mul_(1e4)  # type: ignore[operator]
    return network


@pytest.mark.parametrize("key", list(PACKAGE))
@pytest.mark.parametrize("target", [0, 2])
@pytest.mark.parametrize("vgg_head", [False, True])
def test_maps_are_those_of_the_package(key: CamKey, target: int, vgg_head: bool) -> None:
    model = classifier(large_gradients(vgg_head=vgg_head))
    asked = request(model, target=target)
    saliency = GradCam(key, layer="4").explain(asked)
    reference = large_gradients(vgg_head=vgg_head)
    with PACKAGE[key](reference, [reference[4]]) as cam:
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


def test_hirescam_is_activation_times_gradient_worked_out_by_hand() -> None:
    class Sided(nn.Module):
        """The logit is the sum of the left half of a map less that of its right half."""

        def __init__(self) -> None:
            super().__init__()
            self.body = MeanOfOneChannel()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            copied = self.body.conv(x)
            return (copied[..., :12].sum((1, 2, 3)) - copied[..., 12:].sum((1, 2, 3)))[:, None]

    image = make_image(height=24, width=24)
    model = classifier(Sided())
    hires = GradCam("hirescam", layer="body.conv").explain(request(model, image, target=1))
    channel = image.pixels[..., 0] / 255.0
    expected = np.where(np.arange(24) < 12, channel, 0.0)  # the gradient is 1 on the left and -1 on the right
    assert hires.raw_max == pytest.approx(float(expected.max()), rel=1e-6)
    np.testing.assert_allclose(hires.values, expected / expected.max(), atol=1e-6)
    # Grad-CAM averages the gradients first: half of them are 1 and half are -1.
    assert GradCam("gradcam", layer="body.conv").explain(request(model, image, target=1)).constant


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


@pytest.mark.parametrize("key", ["gradcam", "hirescam"])
def test_an_in_place_relu_behind_the_layer_changes_nothing(key: CamKey) -> None:
    plain = GradCam(key, layer="3").explain(request(classifier(small_cnn(3)), target=2))
    inplace = GradCam(key, layer="3").explain(request(classifier(small_cnn(3, inplace=True)), target=2))
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
    GradCam("gradcam++", layer="4").explain(request(model, target=2))
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(parameter.requires_grad for parameter in model.network.parameters())
    assert model.network[1].training  # type: ignore[index]
    assert all(not module._forward_hooks for module in model.network.modules())


@pytest.mark.parametrize("order", [("gradcam", "gradcam++", "hirescam"), ("hirescam", "gradcam++", "gradcam")])
def test_the_cams_share_one_pass_and_give_the_same_maps_as_alone(
    order: tuple[CamKey, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier(small_cnn(3))
    alone = [GradCam(key, layer="4").explain(request(model, target=2)) for key in order]
    asked = request(model, target=2)
    together = [GradCam(order[0], layer="4").explain(asked)]

    def logits(tensor: torch.Tensor, *, folded: bool = False) -> torch.Tensor:
        raise AssertionError("passed again")

    monkeypatch.setattr(model, "logits", logits)
    together += [GradCam(key, layer="4").explain(asked) for key in order[1:]]
    assert not any(saliency.constant for saliency in together)
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.values, other.values)


def test_frozen_parameters_do_not_hinder_a_map() -> None:
    network = small_cnn(3)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    frozen = GradCam("gradcam").explain(request(classifier(network), target=2))
    free = GradCam("gradcam").explain(request(classifier(small_cnn(3)), target=2))
    assert np.array_equal(frozen.values, free.values)
    assert not any(parameter.requires_grad for parameter in network.parameters())


# Grad-CAM++'s formula


@pytest.mark.parametrize("factor", [1e-2, 1e-1, 1.0, 1e1, 1e2])
def test_grad_cam_plus_plus_does_not_change_with_a_rescaling_that_changes_no_answer(factor: float) -> None:
    def rescaled(by: float) -> nn.Sequential:
        network = small_cnn(3, vgg_head=True, seed=3)
        with torch.no_grad():
            network[3].weight.mul_(by)  # type: ignore[operator]
            network[3].bias.mul_(by)  # type: ignore[operator]
            network[7].weight.div_(by)  # type: ignore[operator]
            network[9].weight.mul_(1e-3)  # type: ignore[operator]  # all g^2 far below the package's epsilon
        return network

    def made(by: float) -> SaliencyMap:
        return GradCam("gradcam++", layer="4").explain(request(classifier(rescaled(by)), target=1))

    as_is, changed = made(1.0), made(factor)
    assert not as_is.constant
    np.testing.assert_allclose(changed.values, as_is.values, atol=1e-5)
    assert grid_statistics(changed).top == grid_statistics(as_is).top


def test_the_weights_of_grad_cam_plus_plus_are_those_of_the_paper() -> None:
    activations = np.array([[[[1.0, 2.0], [0.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]]], dtype=np.float32)
    gradients = np.array([[[[1.0, -1.0], [0.5, 0.0]], [[2.0, 0.0], [0.0, 4.0]]]], dtype=np.float32)
    # g / (2 + S g) with S = 6 and 0, over the positive gradients: 1/8 + 0.5/5, and 2/2 + 4/2.
    np.testing.assert_allclose(plus_plus_weights(activations, gradients), [[0.225, 3.0]], rtol=1e-12)
    tiny = plus_plus_weights(activations, gradients * np.float32(1e-30))
    np.testing.assert_allclose(tiny, [[0.75e-30, 3.0e-30]], rtol=1e-6)


class Shifted(nn.Module):
    """Three channels less what `below` says; the logits are their means."""

    def __init__(self, below: list[float]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[:, 0, 0, 0] = 1.0
            self.conv.bias.copy_(-torch.tensor(below))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = self.conv(x).mean((2, 3))
        return torch.stack([means.sum(1), -means.sum(1)], 1)


def test_channels_below_zero_are_warned_of_and_more_than_half_of_them_refuse_the_layer() -> None:
    fine, some, most = ([0.0] * 4, [0.0, 0.0, 2.0, 2.0], [0.0, 2.0, 2.0, 2.0])
    assert "formula" not in GradCam("gradcam++").explain(request(classifier(Shifted(fine)))).warning_codes
    assert "formula" in GradCam("gradcam++").explain(request(classifier(Shifted(some)))).warning_codes
    with pytest.raises(ExplanationError) as caught:
        GradCam("gradcam++").explain(request(classifier(Shifted(most))))
    assert caught.value.message == (
        "gradcam++ at conv: its formula does not hold at this layer: in 75% of the channels the activations sum to "
        "less than zero; choose a layer behind a ReLU, or another method"
    )
    for other in ("gradcam", "hirescam"):
        GradCam(other).explain(request(classifier(Shifted(most))))  # type: ignore[arg-type]


def test_a_sum_that_is_zero_but_for_rounding_is_not_below_zero() -> None:
    values = np.random.default_rng(0).normal(size=(1, 64, 9, 9)).astype(np.float32)
    normed = values - values.mean(axis=(2, 3), keepdims=True)
    assert share_below_zero(normed) == 0.0
    assert share_below_zero(values) == pytest.approx(0.5, abs=0.2)
