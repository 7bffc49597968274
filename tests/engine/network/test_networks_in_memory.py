"""A network that a program has in memory is explained as one from a folder is, and is left as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from checkout import ROOT
from factories import make_image
from networks import classifier, small_cnn
from torch import nn

from engine import Classifier, MedicalImage, Settings, explain, save_explanation
from engine.bundle.schema import EXPLAIN, INPUT, OUTPUT
from engine.bundle.specs import DicomSpec
from engine.errors import BundleError, ExplanationError
from engine.network.in_memory import Declarations, digest_of

IMAGE = make_image(height=24, width=24)
QUICK = Settings(methods=("gradcam", "rise", "lime"), samples={"rise": 40, "lime": 100})


def from_module(network: nn.Module, **declared: object) -> Classifier:
    return Classifier.from_module(network, **{"size": 24, "device": "cpu", "precision": "fp32", **declared})  # type: ignore[arg-type]


def halved(image: MedicalImage) -> torch.Tensor:
    """A preprocessing of one's own: the upper left quarter, each pixel twice, from -1 to 1."""
    quarter = image.pixels[:12, :12].repeat(2, axis=0).repeat(2, axis=1)
    return torch.from_numpy(quarter / 127.5 - 1.0).permute(2, 0, 1)


def test_it_answers_as_the_same_network_from_a_folder_does() -> None:
    declared = {"mean": (0.0, 0.0, 0.0), "std": [1.0, 1.0, 1.0], "activation": "none"}
    ours, theirs = from_module(small_cnn(), **declared), classifier(small_cnn(), activation="none")
    np.testing.assert_array_equal(ours.diagnose(IMAGE).probabilities, theirs.diagnose(IMAGE).probabilities)
    torch.testing.assert_close(ours.tensor(IMAGE), theirs.tensor(IMAGE), rtol=0, atol=0)
    assert ours.default_layer == theirs.default_layer


def test_classes_have_names_of_their_own_or_numbers() -> None:
    named = from_module(small_cnn(), classes=["a", "b", "c"])
    assert named.classes == ("a", "b", "c")
    unnamed = from_module(small_cnn())
    assert unnamed.classes == ("class 0", "class 1", "class 2")
    assert any("have no names" in sentence for sentence in unnamed.assumed)
    assert not any("not declared: they are numbered" in sentence for sentence in unnamed.assumed), "said once"


def test_everything_that_a_folder_may_declare_may_be_said() -> None:
    keys = {key.name for section in (INPUT, OUTPUT, EXPLAIN) for key in section.keys}
    tables = {section.field for section in (*INPUT.sections, *OUTPUT.sections, *EXPLAIN.sections)}
    said = {*Declarations.__annotations__, "size"}
    assert said == keys | tables, "add the new key to engine.network.in_memory.Declarations"
    bundle = from_module(
        small_cnn(channels=1),
        size=(24, 24),
        channels=1,
        mean=np.array([0.5]),
        std=torch.tensor([0.25]),
        resize="crop",
        minimum_size=12,
        bits=8,
        accept_colour=False,
        multilabel=True,
        threshold=0.25,
        temperature=2,
        target_layer="3",
        rise={"samples": 50, "grid": 5},
        lime={"superpixels": 20},
        dicom={"window": "fixed", "centre": 40, "width": 400, "modality": ["CT"]},
    ).bundle
    assert bundle.input.dicom == DicomSpec("fixed", 40.0, 400.0, modality=("CT",))
    assert (bundle.input.mean, bundle.input.std, bundle.input.minimum_size) == ((0.5,), (0.25,), (12, 12))
    assert (bundle.output.threshold, bundle.output.temperature) == (0.25, 2.0)
    assert bundle.explain.target_layer == "3"
    assert bundle.explain.rise == {"samples": 50, "grid": 5}
    assert bundle.explain.lime == {"superpixels": 20}


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"classis": ["a"]}, "did you mean 'classes'?"),
        ({"size": (24,)}, "size must be [height, width]"),
        ({"mean": [124.0, 116.0, 104.0]}, "divide by 255"),
        ({"mean": [0.5]}, "channels"),
        ({"channels": 1, "mean": [0.5, 0.5, 0.5]}, "mean must have 1 number"),
        ({"classes": ["a", "b"]}, "correct classes in the call of Classifier.from_module"),
        ({"threshold": 0.3}, "remove threshold in the call of Classifier.from_module"),
        ({"activation": "sigmoid"}, 'set activation = "none" in the call of Classifier.from_module'),
        ({"dicom": {"window": "fixed"}}, "centre is missing"),
        ({"rise": {"grids": 3}}, "there is no argument 'rise.grids'"),
    ],
    ids=str,
)
def test_a_wrong_declaration_is_refused_in_terms_of_the_call(declared: dict[str, object], words: str) -> None:
    with pytest.raises(BundleError) as refused:
        from_module(small_cnn(), **declared)
    assert words in refused.value.message
    assert "model.toml" not in refused.value.message
    assert "architecture.py" not in refused.value.message


class _Recording(nn.Module):
    """In training mode, half frozen, with gradients, a hook, and a memory format that is not ours."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small_cnn().to(torch.float64)
        self.norm = nn.BatchNorm2d(3).double()
        self.body[0].weight.requires_grad_(False)
        self.body(self.norm(torch.rand(2, 3, 24, 24, dtype=torch.float64))).sum().backward()
        self.train()
        self.body[1].eval()
        self.kept: list[object] = []
        self.body[3].register_forward_hook(self.keep)

    def keep(self, module: nn.Module, inputs: object, output: object) -> None:
        self.kept.append(output)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self.norm(x))


def test_the_callers_network_is_left_as_it_was() -> None:
    network = _Recording()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    facts = [
        (value.dtype, value.device, value.requires_grad, value.stride(), id(value)) for value in network.parameters()
    ]
    gradients = [None if value.grad is None else value.grad.clone() for value in network.parameters()]
    modes = [module.training for module in network.modules()]
    random = torch.get_rng_state()
    model = from_module(network)
    explain(model, IMAGE, QUICK)
    assert network.kept == [], "the hook of the copy recorded into the copy"
    assert [module.training for module in network.modules()] == modes
    assert facts == [
        (value.dtype, value.device, value.requires_grad, value.stride(), id(value)) for value in network.parameters()
    ]
    for value, before in zip(network.parameters(), gradients, strict=True):
        assert (value.grad is None) == (before is None)
        assert before is None or torch.equal(value.grad, before)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name])
    assert [len(module._forward_hooks) for module in network.modules()].count(1) == 1
    assert torch.equal(torch.get_rng_state(), random)
    assert any("float64" in sentence for sentence in model.assumed)


def test_training_on_does_not_reach_the_classifier() -> None:
    network = small_cnn()
    model = from_module(network)
    before = model.diagnose(IMAGE).probabilities
    with torch.no_grad():
        network[0].weight.mul_(-3)
    np.testing.assert_array_equal(model.diagnose(IMAGE).probabilities, before)


def test_the_callers_inference_mode_does_not_stop_the_cams() -> None:
    with torch.inference_mode():
        explanation = explain(from_module(small_cnn()), IMAGE, Settings(methods=("gradcam",)))
    assert not explanation.maps["gradcam"].constant
    with torch.no_grad():
        assert not explain(from_module(small_cnn()), IMAGE, Settings(methods=("gradcam",))).failures


DIGEST = """
import torch
from networks import small_cnn
from engine.network.in_memory import digest_of
print(digest_of(small_cnn()))
"""


def test_the_digest_is_that_of_the_numbers_and_class_names() -> None:
    network = small_cnn()
    digest = digest_of(network)
    assert from_module(network).bundle.digest == digest
    assert digest_of(small_cnn().double().to(memory_format=torch.channels_last).train()) == digest
    assert digest_of(torch.compile(small_cnn())) == digest  # type: ignore[arg-type]
    assert digest_of(nn.DataParallel(small_cnn())) == digest
    views = small_cnn()
    views[0].weight = nn.Parameter(
        views[0].weight.detach().flip(0).contiguous().flip(0).transpose(2, 3).contiguous().transpose(2, 3)
    )
    assert digest_of(views) == digest
    other = small_cnn()
    other[1] = nn.GELU()
    assert digest_of(other) != digest, "the same weights, but another network"
    changed = small_cnn()
    with torch.no_grad():
        changed[3].bias[2] += 1e-6
    assert digest_of(changed) != digest


class Packed(nn.Module):
    """Keeps its weights as quantized layers do: in a tuple of its extra state."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.packed = (torch.quantize_per_tensor(torch.full((2, 2), weight), 0.1, 0, torch.qint8), None)

    def get_extra_state(self) -> object:
        return self.packed


def test_the_digest_covers_quantized_weights() -> None:
    assert digest_of(Packed(0.5)) == digest_of(Packed(0.5))
    assert digest_of(Packed(0.5)) != digest_of(Packed(0.7))


def test_the_digest_is_the_same_in_another_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}", "PYTHONHASHSEED": "7", "PATH": "", "HOME": "/tmp"},
    )
    assert done.stdout.strip() == digest_of(small_cnn())


def test_the_same_network_and_image_give_the_same_maps() -> None:
    first, second = (explain(from_module(small_cnn()), IMAGE, QUICK) for _ in range(2))
    for method, saliency in first.maps.items():
        np.testing.assert_array_equal(saliency.values, second.maps[method].values)
        assert saliency.seed == second.maps[method].seed


def test_that_approval_does_not_apply_is_said_and_saved(tmp_path: Path) -> None:
    explanation = explain(from_module(small_cnn(), name="mine", mean=[0.5] * 3), IMAGE, QUICK)
    assert any("approval does not apply" in sentence for sentence in explanation.assumed)
    folder = save_explanation(explanation, tmp_path)
    record = json.loads((folder / "explanation.json").read_text())
    schema = json.loads((ROOT / "engine" / "export" / "schemas" / "explanation.json").read_text())
    jsonschema.validate(record, schema)
    model = record["model"]
    assert (model["task"], model["name"], model["digest"]) == ("in memory", "mine", explanation.bundle.digest)
    assert model["in_memory"] == {
        "network": "Sequential",
        "preprocessing": None,
        "declared": {"input.size": [24, 24], "input.mean": [0.5, 0.5, 0.5]},
        "approval": "not applicable",
    }
    assert any("approval does not apply" in sentence for sentence in model["assumed"])


def test_channels_and_size_that_are_not_said_are_those_that_the_weights_ask_for() -> None:
    model = from_module(small_cnn(channels=1, size=28, vgg_head=True), size=None)
    assert (model.bundle.input.channels, model.bundle.input.size) == (1, (28, 28))
    own = from_module(small_cnn(channels=1), preprocessing=lambda image: halved(image)[:1])
    assert own.feeding.view(IMAGE).shape == (24, 24, 1)


def test_a_mean_that_is_said_is_never_dropped_for_other_channels() -> None:
    with pytest.raises(BundleError, match="channel"):
        from_module(small_cnn(), mean=[0.5])
    grey = from_module(small_cnn(channels=1), mean=[0.5])
    assert (grey.bundle.input.channels, grey.bundle.input.mean) == (1, (0.5,))


def test_a_network_that_cannot_be_used_is_refused_with_the_cause() -> None:
    class Locked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.file = small_cnn(), (number for number in range(3))

    broken = small_cnn()
    with torch.no_grad():
        broken[0].weight[0, 0, 0, 0] = float("nan")
    lazy = nn.Sequential(nn.LazyConv2d(3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.device("meta"):
        empty = nn.Conv2d(3, 2, 3)
    for network, words in (
        (Locked(), "cannot be copied"),
        (broken, "0.weight holds NaN"),
        (lazy, "has no size yet"),
        (empty, "device meta"),
        (lambda x: x, "a function is not a torch.nn.Module"),
    ):
        with pytest.raises(BundleError) as refused:
            from_module(network)  # type: ignore[arg-type]  # a function is no module
        assert words in refused.value.message


@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_old_weight_norm_is_copied_after_a_pass() -> None:
    network = small_cnn()
    torch.nn.utils.weight_norm(network[3])  # the old one, which keeps a tensor with a history
    wanted = network(torch.rand(1, 3, 24, 24))
    assert wanted.requires_grad
    assert from_module(network).diagnose(IMAGE).probabilities.shape == (3,)


def test_preprocessing_of_ones_own_makes_the_input_and_the_picture() -> None:
    model = from_module(small_cnn(), preprocessing=halved)
    torch.testing.assert_close(model.tensor(IMAGE)[0], halved(IMAGE).contiguous(), rtol=0, atol=0)
    explanation = explain(model, IMAGE, QUICK)
    given = halved(IMAGE).permute(1, 2, 0).numpy()
    spread = np.rint((given - given.min()) / (given.max() - given.min()) * 255)
    np.testing.assert_allclose(explanation.view, spread, atol=1)
    assert explanation.view.shape[:2] == explanation.maps["rise"].values.shape
    (warning,) = [each for each in explanation.diagnosis.warnings if getattr(each, "code", "") == "preprocessing"]
    assert "halved" in warning
    assert "not on the image itself" in warning
    assert not any("Mean and std" in sentence for sentence in explanation.assumed)
    assert explanation.maps["rise"].parameters["hidden"] == "0 of what the preprocessing gives"
    assert not explanation.failures


def test_a_known_normalisation_is_undone_for_the_picture() -> None:
    model = from_module(small_cnn(), preprocessing=halved, mean=[0.5] * 3, std=[0.5] * 3)
    quarter = IMAGE.pixels[:12, :12].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(explain(model, IMAGE, Settings(methods=("gradcam",))).view, quarter)


def test_a_scripted_network_is_a_black_box_and_stays_as_it_was() -> None:
    scripted = torch.jit.script(small_cnn().train())
    model = from_module(scripted)
    explanation = explain(model, IMAGE, QUICK)
    assert list(explanation.maps) == ["lime", "rise"]
    assert "TorchScript" in explanation.failures["gradcam"]
    np.testing.assert_array_equal(
        explanation.diagnosis.probabilities, from_module(small_cnn()).diagnose(IMAGE).probabilities
    )
    assert scripted.training
    assert all(parameter.requires_grad for parameter in scripted.parameters())
    with torch.no_grad():
        next(scripted.parameters()).zero_()
    np.testing.assert_array_equal(model.diagnose(IMAGE).probabilities, explanation.diagnosis.probabilities)


def test_channels_last_blue_first_and_other_ranges_are_declared_as_in_a_folder() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small_cnn()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body((x.permute(0, 3, 1, 2) / 255).flip(1))

    declared = {"layout": "nhwc", "colour_order": "bgr", "value_range": [0, 255]}
    model = from_module(Last(), **declared)
    wanted = from_module(small_cnn()).diagnose(IMAGE).probabilities
    np.testing.assert_allclose(model.diagnose(IMAGE).probabilities, wanted, atol=1e-6)
    assert model.bundle.digest == digest_of(Last())

    def blue_first(image: MedicalImage) -> np.ndarray:
        return image.pixels[..., ::-1].transpose(2, 0, 1)

    own = from_module(Last(), preprocessing=blue_first, **declared)
    np.testing.assert_array_equal(own.feeding.view(IMAGE), IMAGE.pixels)


def test_the_record_names_the_preprocessing(tmp_path: Path) -> None:
    explanation = explain(from_module(small_cnn(), preprocessing=halved), IMAGE, Settings(methods=("gradcam",)))
    record = json.loads((save_explanation(explanation, tmp_path) / "explanation.json").read_text())
    assert record["model"]["in_memory"]["preprocessing"] == "halved"
    assert "preprocessing" in record["warning_codes"]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda image: halved(image)[None], "without its batch"),
        (lambda image: halved(image).permute(1, 2, 0), "gives the shape (24, 24, 3), not (3, 24, 24)"),
        (lambda image: halved(image) + torch.rand(1), "something else each time"),
        (lambda image: halved(image).to(torch.uint8), "gives uint8"),
        (lambda image: halved(image) / 0, "NaN or infinity"),
        (lambda image: None, "gives a NoneType"),
    ],
    ids=["batch", "last", "random", "integers", "infinite", "nothing"],
)
def test_what_preprocessing_may_not_give_is_refused(function: object, words: str) -> None:
    model = from_module(small_cnn(), preprocessing=function)
    with pytest.raises(ExplanationError) as refused:
        model.diagnose(IMAGE)
    assert words in refused.value.message


def test_a_fault_in_the_preprocessing_is_not_hidden() -> None:
    def fails(image: MedicalImage) -> torch.Tensor:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        from_module(small_cnn(), preprocessing=fails).diagnose(IMAGE)


def test_rules_for_images_that_preprocessing_replaces_are_refused() -> None:
    with pytest.raises(BundleError, match="resize has no meaning"):
        from_module(small_cnn(), preprocessing=halved, resize="crop")


def test_two_images_with_one_input_share_results_and_one_with_two_does_not() -> None:
    shift = 0.0

    def shifted(image: MedicalImage) -> torch.Tensor:
        return halved(image) + shift

    model = from_module(small_cnn(), preprocessing=shifted)
    first = model.feeding.identity(IMAGE)
    shift = 0.25
    assert model.feeding.identity(IMAGE) == first, "one image is fed in one way, for all its maps"
    again = make_image(height=24, width=24)
    assert model.feeding.identity(again) != first
