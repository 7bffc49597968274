"""Whatever stands at a network's end, the CAMs are taken at the logit, or say why they cannot be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from factories import make_image
from networks import classifier, request, small_cnn
from torch import nn

from engine.errors import BundleError, ExplanationError
from engine.explainers.gradcam import GradCam

Ending = Callable[[torch.Tensor], torch.Tensor]


class Ended(nn.Module):
    """A small network with something at the end of its `forward`."""

    def __init__(self, ending: Ending, *, classes: int = 3, strength: float = 1.0) -> None:
        super().__init__()
        self.body = small_cnn(classes, seed=5)
        self.ending = ending
        with torch.no_grad():
            self.body[-1].weight.mul_(strength)  # type: ignore[operator]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ending(self.body(x))


IMAGE = make_image(height=24, width=24)

AT_THE_END: dict[str, tuple[Ending, str]] = {
    "F.softmax": (lambda z: F.softmax(z, dim=1), "softmax"),
    "torch.softmax": (lambda z: torch.softmax(z, 1), "softmax"),
    "Tensor.softmax": (lambda z: z.softmax(dim=-1), "softmax"),
    "torch.special.softmax": (lambda z: torch.special.softmax(z, 1), "softmax"),
    "F.log_softmax": (lambda z: F.log_softmax(z, dim=1), "log_softmax"),
    "Tensor.log_softmax": (lambda z: z.log_softmax(1), "log_softmax"),
    "nn.LogSoftmax": (nn.LogSoftmax(dim=1), "log_softmax"),
    "nn.Softmax": (nn.Softmax(dim=1), "softmax"),
}


@pytest.mark.parametrize("strength", [1.0, 1e3], ids=["unsure", "saturated"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("name", AT_THE_END)
def test_a_softmax_in_forward_is_seen_through(name: str, temperature: float, strength: float) -> None:
    ending, kind = AT_THE_END[name]
    plain = classifier(Ended(lambda z: z / temperature, strength=strength))
    model = classifier(Ended(nn.Sequential(Divided(temperature), Called(ending)), strength=strength))
    assert model.activation == kind
    answer, expected = model.diagnose(IMAGE), plain.diagnose(IMAGE)
    np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=1e-6)
    for key in ("gradcam", "gradcam++", "hirescam"):
        for target in range(3):
            made = GradCam(key, layer="body.4").explain(request(model, IMAGE, target=target))  # type: ignore[arg-type]
            same = GradCam(key, layer="body.4").explain(request(plain, IMAGE, target=target))  # type: ignore[arg-type]
            assert made.raw_max == pytest.approx(same.raw_max, rel=1e-5)
            np.testing.assert_allclose(made.values, same.values, atol=1e-5)
            assert made.warning_codes == same.warning_codes


@pytest.mark.parametrize("name", ["F.softmax", "F.log_softmax"])
def test_a_softmax_in_half_precision_is_seen_through(name: str) -> None:
    ending, kind = AT_THE_END[name]
    model = classifier(Ended(lambda z: ending(z.half()).float(), strength=40.0))
    plain = classifier(Ended(lambda z: z.half().float(), strength=40.0))
    assert model.activation == kind
    answer = model.diagnose(IMAGE)
    assert answer.probabilities.max() > 0.999  # where the gradient of the probability vanishes
    for target in range(3):
        made = GradCam("gradcam", layer="body.4").explain(request(model, IMAGE, target=target))
        same = GradCam("gradcam", layer="body.4").explain(request(plain, IMAGE, target=target))
        np.testing.assert_allclose(made.values, same.values, atol=1e-3)
        assert made.warning_codes == same.warning_codes


class Divided(nn.Module):
    """The temperature that the network itself divides by."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z / self.temperature


class Called(nn.Module):
    """What `forward` calls at its end."""

    def __init__(self, ending: Ending) -> None:
        super().__init__()
        self.ending = ending

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.ending(z)


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("strength", [1.0, 1e3], ids=["unsure", "saturated"])
@pytest.mark.parametrize("ending", [torch.sigmoid, F.sigmoid, torch.Tensor.sigmoid, torch.special.expit])
def test_a_sigmoid_in_forward_is_seen_through(ending: Ending, strength: float, target: int) -> None:
    plain = classifier(Ended(lambda z: z, classes=1, strength=strength))
    model = classifier(Ended(ending, classes=1, strength=strength))
    assert model.activation == "sigmoid"
    made = GradCam("gradcam", layer="body.4").explain(request(model, IMAGE, target=target))
    same = GradCam("gradcam", layer="body.4").explain(request(plain, IMAGE, target=target))
    np.testing.assert_allclose(made.values, same.values, atol=1e-5)
    assert made.warning_codes == same.warning_codes


def test_a_softmax_inside_the_network_is_not_taken_for_its_end() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small_cnn(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.body(x)
            return z * torch.softmax(z, 1)

    model = classifier(Attending())
    assert model.activation == "none"
    with torch.enable_grad():
        logits = model.logits(model.tensor(IMAGE))
    assert torch.equal(logits, model.network(model.tensor(IMAGE)))


def by_hand(z: torch.Tensor) -> torch.Tensor:
    """A softmax that PyTorch does not tell of."""
    raised = (z - z.amax(1, keepdim=True)).exp()
    return raised / raised.sum(1, keepdim=True)


def test_a_softmax_by_hand_gives_the_map_of_the_log_probability() -> None:
    model = classifier(Ended(by_hand))
    same = classifier(Ended(lambda z: z - z.logsumexp(1, keepdim=True)), activation="none")
    made = GradCam("gradcam", layer="body.4").explain(request(model, IMAGE, target=1))
    asked = request(same, IMAGE, target=1)
    np.testing.assert_allclose(made.values, GradCam("gradcam", layer="body.4").explain(asked).values, atol=1e-4)
    assert "saturated" not in made.warning_codes


@pytest.mark.parametrize("key", ["gradcam", "gradcam++", "hirescam"])
def test_a_saturated_softmax_by_hand_is_named_and_nothing_is_said_about_the_layer(key: str) -> None:
    model = classifier(Ended(by_hand, strength=1e4))
    sure = int(np.argmax(model.diagnose(IMAGE).probabilities))
    made = GradCam(key, layer="body.4").explain(request(model, IMAGE, target=sure))  # type: ignore[arg-type]
    assert "saturated" in made.warning_codes
    assert "nothing-positive" not in made.warning_codes
    assert "The network's own softmax is saturated" in " ".join(made.warnings)


@pytest.mark.parametrize("strength", [55.0, 1e4], ids=["rounded", "zero"])
def test_a_saturated_log_softmax_by_hand_is_named_too(strength: float) -> None:
    model = classifier(Ended(lambda z: z - z.logsumexp(1, keepdim=True), strength=strength))
    assert model.activation == "log_softmax"
    sure = int(np.argmax(model.diagnose(IMAGE).probabilities))
    made = GradCam("gradcam", layer="body.4").explain(request(model, IMAGE, target=sure))
    assert "The network's own log_softmax is saturated" in " ".join(made.warnings)


def test_units_that_are_off_are_named_and_nothing_is_said_about_the_layer() -> None:
    class Off(nn.Module):
        """What lies behind the layer is switched off; the answer comes past it."""

        def __init__(self) -> None:
            super().__init__()
            self.body = small_cnn(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.body(x) - 1e6) + x.mean((2, 3))

    model = classifier(Off())
    made = GradCam("gradcam", layer="body.4").explain(request(model, IMAGE, target=1))
    assert made.constant
    assert "nothing-positive" not in made.warning_codes
    assert "units behind it are saturated or switched off" in " ".join(made.warnings)


# A gradient that is cut


def without_gradients(z: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return z * 2


@pytest.mark.parametrize("cut", [without_gradients, torch.Tensor.detach])
def test_a_gradient_cut_by_the_networks_code_is_named(cut: Ending) -> None:
    model = classifier(Ended(cut))
    with pytest.raises(ExplanationError, match="the network's code cuts the gradient") as caught:
        GradCam("gradcam", layer="body.4").explain(request(model, IMAGE, target=1))
    assert caught.value.code == "gradient-cut"
    assert "a method that looks at no layer" in caught.value.message
    assert all(not module._forward_hooks for module in model.network.modules())


def test_a_layer_that_the_answer_does_not_depend_on_is_called_that_though_the_code_cuts_gradients() -> None:
    class Sidelined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small_cnn(2)
            self.side = nn.Conv2d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.side(x)
            return self.body(x).detach()

    with pytest.raises(ExplanationError, match="does not depend on this layer"):
        GradCam("gradcam", layer="side").explain(request(classifier(Sidelined()), target=1))


def test_a_cut_behind_the_softmax_is_no_matter() -> None:
    def ending(z: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.softmax(z, 1)

    made = GradCam("gradcam", layer="body.4").explain(request(classifier(Ended(ending)), IMAGE, target=1))
    same = GradCam("gradcam", layer="body.4").explain(request(classifier(Ended(lambda z: z)), IMAGE, target=1))
    np.testing.assert_allclose(made.values, same.values, atol=1e-5)


# What a bundle declares


@pytest.mark.parametrize(
    ("declared", "seen"), [("none", "log_softmax"), ("log_softmax", "log_softmax"), (None, "log_softmax")]
)
def test_a_log_softmax_may_be_declared_or_not(declared: str | None, seen: str) -> None:
    model = classifier(Ended(lambda z: F.log_softmax(z, dim=1)), activation=declared)  # type: ignore[arg-type]
    assert model.activation == seen
    assert not [caution for caution in model.assumed if "look like" in caution]


@pytest.mark.parametrize(
    ("ending", "declared", "said"),
    [
        (
            lambda z: F.log_softmax(z, dim=1),
            "softmax",
            'its outputs are no probabilities; set activation = "log_softmax"',
        ),
        (lambda z: F.softmax(z, dim=1), "log_softmax", 'no logarithms of probabilities; set activation = "softmax"'),
        (lambda z: z, "log_softmax", 'no logarithms of probabilities; set activation = "none"'),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_right_one(ending: Ending, declared: str, said: str) -> None:
    with pytest.raises(BundleError) as caught:
        classifier(Ended(ending), activation=declared)  # type: ignore[arg-type]
    assert said in caught.value.message


def test_a_log_softmax_does_not_go_with_multilabel() -> None:
    with pytest.raises(BundleError, match="a softmax does not go with multilabel"):
        classifier(Ended(lambda z: F.log_softmax(z, dim=1)), multilabel=True)
