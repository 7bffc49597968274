"""A classifier reads any head rightly, and refuses what does not fit together."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from factories import make_image
from networks import MeanOfOneChannel, classifier, small_cnn
from torch import nn

from engine.bundle.model_bundle import ExplainSpec
from engine.errors import BundleError, DeviceError, ExplanationError, NotCompliantError
from engine.network.device import choose_device
from engine.results.diagnosis import Confidence, probability_text


def _sigmoid(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))


def test_one_logit_stands_for_two_classes() -> None:
    image = make_image(height=24, width=24)
    z = 2.0 * float(image.pixels[..., 0].mean()) / 255.0 + 0.3
    diagnosis = classifier(MeanOfOneChannel(shift=0.3), classes=("NO-IDC", "IDC")).diagnose(image)
    assert diagnosis.predicted == "IDC"
    assert diagnosis.probabilities.tolist() == pytest.approx([1 - _sigmoid(z), _sigmoid(z)], abs=1e-6)
    assert diagnosis.logits.tolist() == pytest.approx([-z, z], abs=1e-5)


def test_a_sure_network_keeps_its_logit() -> None:
    model = classifier(MeanOfOneChannel(shift=60.0), classes=("no", "yes"))
    diagnosis = model.diagnose(make_image(height=24, width=24))
    assert diagnosis.logits[1] > 60.0
    assert diagnosis.probabilities[1] == 1.0
    assert 0.0 < diagnosis.probabilities[0] < 1e-25


def test_softmax_outputs_sum_to_one_and_match_torch() -> None:
    network, image = small_cnn(3), make_image(height=24, width=24)
    diagnosis = classifier(network, classes=("a", "b", "c")).diagnose(image)
    tensor = torch.from_numpy(np.array(image.pixels / 255.0)).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = torch.softmax(network(tensor).double(), dim=1)[0]
    assert diagnosis.probabilities.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert diagnosis.probabilities.sum() == pytest.approx(1.0)


def test_a_final_softmax_module_is_not_applied_twice() -> None:
    plain = classifier(small_cnn(3), classes=("a", "b", "c"))
    ended = classifier(nn.Sequential(small_cnn(3), nn.Softmax(dim=1)), classes=("a", "b", "c"))
    image = make_image(height=24, width=24)
    assert ended.activation == "softmax"
    assert ended.diagnose(image).probabilities.tolist() == pytest.approx(plain.diagnose(image).probabilities.tolist())
    assert ended.diagnose(image).logits.tolist() == pytest.approx(plain.diagnose(image).logits.tolist())


def test_a_softmax_in_the_networks_own_code_is_recognised_and_said() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small_cnn(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.softmax(self.body(x), dim=1)

    image = make_image(height=24, width=24)
    model = classifier(Own())
    assert model.activation == "softmax"
    assert any("taken as probabilities" in sentence for sentence in model.assumed)
    expected = classifier(small_cnn(3)).diagnose(image).probabilities
    assert model.diagnose(image).probabilities.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_multilabel_probabilities_are_judged_one_by_one() -> None:
    image = make_image(height=24, width=24)
    logits = classifier(small_cnn(3)).diagnose(image).logits
    diagnosis = classifier(small_cnn(3), classes=("a", "b", "c"), activation="none", multilabel=True).diagnose(image)
    assert diagnosis.probabilities.tolist() == pytest.approx([_sigmoid(z) for z in logits])


def test_class_names_are_made_up_and_said_where_nothing_names_them() -> None:
    model = classifier(small_cnn(4))
    assert model.classes == ("class 0", "class 1", "class 2", "class 3")
    assert any("no names" in sentence for sentence in model.assumed)
    assert classifier(MeanOfOneChannel()).classes == ("negative", "positive")


@pytest.mark.parametrize(
    ("probability", "level"),
    [(0.0, "low"), (0.33, "low"), (0.3300001, "medium"), (0.66, "medium"), (0.6600001, "high"), (1.0, "high")],
)
def test_confidence_levels_have_the_papers_bounds(probability: float, level: str) -> None:
    assert Confidence.of(probability) == level


def test_what_is_no_probability_has_no_level() -> None:
    with pytest.raises(ValueError, match="not a probability"):
        Confidence.of(float("nan"))


def test_a_wrong_number_of_class_names_is_refused() -> None:
    with pytest.raises(BundleError, match="2 classes are named, but the network has 3 outputs"):
        classifier(small_cnn(3), classes=("a", "b"))


def test_a_declared_activation_that_the_network_contradicts_is_refused() -> None:
    with pytest.raises(BundleError, match="declares 'none'"):
        classifier(MeanOfOneChannel(), activation="none")
    with pytest.raises(BundleError, match="no probabilities"):
        classifier(small_cnn(3), activation="softmax")


def test_a_sigmoid_a_class_needs_multilabel() -> None:
    with pytest.raises(BundleError, match="multilabel = true"):
        classifier(nn.Sequential(small_cnn(3), nn.Sigmoid()), activation="sigmoid")


def test_an_input_size_that_does_not_fit_is_refused_with_the_reason() -> None:
    with pytest.raises(BundleError, match="does not take a 20x20 input"):
        classifier(small_cnn(3, vgg_head=True, size=24), size=(20, 20))


def test_nan_outputs_are_no_result() -> None:
    network = small_cnn(2)
    model = classifier(network)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(ExplanationError, match="no valid result"):
        model.diagnose(make_image(height=24, width=24))


def test_an_image_that_is_not_compliant_is_refused() -> None:
    from dataclasses import replace

    model = classifier(small_cnn(2))
    model.bundle = replace(model.bundle, input=replace(model.bundle.input, exact_size=True))
    with pytest.raises(NotCompliantError):
        model.diagnose(make_image(height=30, width=30))


def test_the_default_layer_is_before_the_last_pool() -> None:
    model = classifier(small_cnn(2))
    assert model.default_layer == "4"
    assert [layer.name for layer in model.layers] == ["0", "1", "2", "3", "4", "5"]
    assert (model.layers[4].channels, model.layers[4].height) == (8, 12)


def test_a_layer_that_is_not_there_is_refused_with_the_names_that_are() -> None:
    model = classifier(small_cnn(2), explain=ExplainSpec(target_layer="features.9"))
    with pytest.raises(ExplanationError, match="choose one such as 5, 4, 1"):
        _ = model.default_layer


def test_a_convolution_with_a_map_of_one_pixel_is_not_offered() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1), nn.Flatten())
    assert [layer.name for layer in classifier(network).layers] == ["0"]


def test_diagnosing_leaves_no_hook_and_no_gradient() -> None:
    model = classifier(MeanOfOneChannel())
    model.diagnose(make_image(height=24, width=24))
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.network.modules())
    assert all(parameter.grad is None for parameter in model.network.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused() -> None:
    assert choose_device("auto") == "cpu"
    with pytest.raises(DeviceError, match="no CUDA device"):
        choose_device("cuda:0")


def test_an_unknown_device_or_precision_is_refused() -> None:
    with pytest.raises(DeviceError, match="no such device"):
        choose_device("tpu")
    with pytest.raises(DeviceError, match="no such precision"):
        classifier(small_cnn(2), precision="fp8")


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.996, ">0.99"), (0.994, "0.99"), (1.0, "1.00"), (0.0, "0.00"), (0.004, "<0.01"), (0.5, "0.50")],
)
def test_a_probability_is_never_rounded_to_certainty(probability: float, shown: str) -> None:
    assert probability_text(probability) == shown


class _Own(nn.Module):
    """A network that ends in a function of its own code."""

    def __init__(self, end: Callable[[torch.Tensor], torch.Tensor], outputs: int) -> None:
        super().__init__()
        self.body, self.end = small_cnn(outputs), end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.body(x))


def test_a_softmax_declared_as_none_is_refused_rather_than_applied_twice() -> None:
    with pytest.raises(BundleError, match="sum to 1 as a softmax's do"):
        classifier(_Own(lambda x: torch.softmax(x, dim=1), 3), activation="none")


def test_a_sigmoid_declared_as_none_is_doubted_with_every_answer() -> None:
    diagnosis = classifier(_Own(torch.sigmoid, 1), activation="none").diagnose(make_image(height=24, width=24))
    assert any("look like those of a sigmoid" in warning for warning in diagnosis.warnings)


def test_a_network_that_answers_at_random_is_refused() -> None:
    with pytest.raises(BundleError, match="a different answer each time"):
        classifier(_Own(lambda x: nn.functional.dropout(x, 0.5), 3))


def test_the_declared_threshold_decides_and_is_part_of_the_answer() -> None:
    image = make_image(pixels=np.full((24, 24, 3), 51, dtype=np.float32))  # the logit is 2 * 0.2, its sigmoid 0.599
    for threshold, predicted, undecided in ((None, 1, False), (0.62, 0, True), (0.7, 0, False)):
        model = classifier(MeanOfOneChannel(), threshold=threshold)
        answer = model.diagnose(image)
        assert answer.probabilities[1] == pytest.approx(0.598688, abs=1e-6)
        assert (answer.index, answer.undecided) == (predicted, undecided)
        assert answer.threshold == (threshold or 0.5)


def test_the_temperature_divides_the_logits_of_answers_and_of_masked_passes_alike() -> None:
    image = make_image(pixels=np.full((24, 24, 3), 51, dtype=np.float32))
    plain, cooled = classifier(MeanOfOneChannel()), classifier(MeanOfOneChannel(), temperature=4.0)
    answer = cooled.diagnose(image)
    assert answer.logits == pytest.approx([-0.4, 0.4])
    assert answer.probabilities[1] == pytest.approx(1 / (1 + np.exp(-0.1)))
    logits = torch.tensor([[0.4], [-8.0]])
    assert torch.equal(cooled.probabilities(logits), plain.probabilities(logits.double() / 4.0))
    wide = torch.tensor([[0.0, 1.0, 4.0]])
    for network, multilabel, expected in (
        (small_cnn(3), False, torch.softmax(wide.double() / 2.0, dim=1)),
        (small_cnn(3), True, torch.sigmoid(wide.double() / 2.0)),
    ):
        assert torch.equal(classifier(network, temperature=2.0, multilabel=multilabel).probabilities(wide), expected)


def test_a_temperature_of_one_changes_no_bit() -> None:
    logits = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)) * 20
    assert torch.equal(classifier(small_cnn(3)).probabilities(logits), torch.softmax(logits.double(), dim=1))


def test_a_threshold_for_classes_that_exclude_each_other_is_refused_with_the_reason() -> None:
    with pytest.raises(BundleError, match=r"declares a threshold, but the network has 2 outputs.*most probable class"):
        classifier(small_cnn(2), threshold=0.4)
    assert classifier(small_cnn(2), threshold=0.4, multilabel=True).threshold == 0.4
