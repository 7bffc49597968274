"""A method that an installed package brings along: counted, shown, written, and never the end of the program."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from app_driver import TO_IMAGES, make_app, press, screen_text, settled
from checkout import ROOT
from factories import make_model
from fakes import FakeEngine
from PIL import Image
from plug_ins import Offered, Ramp, Sampled, offer

from engine.authoring.check import check_model
from engine.bundle.keys import Key
from engine.bundle.model_bundle import read_bundle
from engine.bundle.model_toml import parse_model_toml
from engine.cli.main import run
from engine.errors import BundleError, ExplanationError
from engine.explainers import registry
from engine.explainers.base import Request
from engine.explainers.registry import (
    METHODS,
    Declaration,
    dependence_notes,
    left_out,
    looks_at_layer,
    method_keys,
    method_name,
)
from engine.explainers.settings import Settings, check_settings
from engine.explanation.explain import explain, explain_method
from engine.images.image import read_image
from engine.network.classifier import Classifier

if TYPE_CHECKING:
    from engine.explainers.registry import Choices
    from engine.results.saliency import SaliencyMap

Run = Callable[..., tuple[int, str, str]]

EXAMPLE = ROOT / "tests" / "plugins" / "layercam"


@pytest.fixture(autouse=True)
def _looked_for_anew() -> Iterator[None]:
    registry.find_plug_ins.cache_clear()
    yield
    registry.find_plug_ins.cache_clear()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed in it, without network."""
    source = tmp_path_factory.mktemp("source") / "layercam"
    shutil.copytree(EXAMPLE, source)  # building leaves files behind
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "--target", str(target), str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def example(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example as if it were installed in this environment."""
    monkeypatch.syspath_prepend(str(installed))
    registry.find_plug_ins.cache_clear()
    yield installed
    sys.modules.pop("xaimed_layercam", None)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    from engine.network.weights import read_weights

    folder = make_model(tmp_path_factory.mktemp("tasks") / "Lungs" / "CNN")
    bundle = read_bundle(folder)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).mean((2, 3))

    network = Net()
    network.load_state_dict(dict(read_weights(bundle.weights.read_bytes(), bundle.weights)))
    return Classifier(bundle, network)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "patch.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)
    return path


FEW = {"rise": 64, "lime": 100}


# The example


def test_the_example_is_found_without_being_imported(example: Path) -> None:
    assert method_keys() == (*METHODS, "layercam")
    assert method_name("layercam") == "LayerCAM"
    assert left_out() == ()
    assert "xaimed_layercam" not in sys.modules


@pytest.mark.parametrize("scaling", ["none", "tanh"])
def test_the_examples_map_is_the_one_worked_out_by_hand(
    example: Path, classifier: Classifier, image: Path, scaling: str
) -> None:
    picture = read_image(image)
    settings = Settings(parameters={"layercam": {"scaling": scaling}})
    made = explain_method(classifier, picture, "layercam", settings, target="ill")
    # The logit is the mean of the second of two 7x7 maps: its gradient is 1/49 there and 0 elsewhere.
    with torch.inference_mode():
        activation = classifier.network.get_submodule("conv")(classifier.tensor(picture))[0, 1]
    coarse = (activation / 49).clamp_min(0).double()[None, None]
    if scaling == "tanh":
        coarse = torch.tanh(2 * coarse / coarse.max())
    raw = torch.nn.functional.interpolate(coarse, (9, 9), mode="bilinear", align_corners=False)[0, 0].numpy()
    expected = (raw - raw.min()) / (raw.max() - raw.min())
    np.testing.assert_allclose(made.values, expected, atol=1e-5)
    assert (made.parameters["layer"], made.parameters["scaling"]) == ("conv", scaling)


def test_the_command_line_runs_the_installed_example_beside_the_five_methods(
    installed: Path, image: Path, tmp_path: Path
) -> None:
    environment = os.environ | {"PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "xaimed_tui", "--tasks", str(tmp_path / "tasks")]
    make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True)
    arguments = [
        "explain",
        str(image),
        "--task",
        "Lungs",
        "--samples",
        "rise=200,lime=100",
        "--out",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "LayerCAM" in done.stdout
    out = tmp_path / "o" / "patch"
    record = json.loads((out / "explanation.json").read_text())
    assert list(record["methods"]) == [*METHODS, "layercam"]
    assert record["voters"] == ["lime", "rise", "gradcam", "gradcam++"]
    voting = [record["methods"][method] for method in record["voters"]]
    assert sum(map(sum, record["agreement"])) == 3 * sum(bool(method["top"]) for method in voting)
    assert record["environment"]["method layercam"] == "xaimed-layercam 1.0"
    assert (out / "layercam.png").exists()
    assert (out / "layercam-cells.png").exists()
    with np.load(out / "saliency.npz") as maps:
        assert maps.files == [*METHODS, "layercam"]
    with (out / "statistics.csv").open() as file:
        assert len([row for row in csv.DictReader(file) if row["method"] == "layercam"]) == 9


def test_methods_takes_the_names_of_plug_ins(example: Path, classifier: Classifier, image: Path) -> None:
    explanation = explain(classifier, read_image(image), Settings(methods=("layercam", "gradcam")))
    assert list(explanation.maps) == ["gradcam", "layercam"]
    with pytest.raises(ExplanationError, match="choose among lime, rise, gradcam, gradcam\\+\\+, hirescam, layercam"):
        explain(classifier, read_image(image), Settings(methods=("hirescan",)))


def test_the_network_is_left_as_it_was(example: Path, classifier: Classifier, image: Path) -> None:
    before = {name: parameter.clone() for name, parameter in classifier.network.named_parameters()}
    explain_method(classifier, read_image(image), "layercam", Settings())
    for name, parameter in classifier.network.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
        assert parameter.requires_grad
    assert not any(module._forward_hooks for module in classifier.network.modules())


def test_what_a_plug_in_leaves_behind_is_taken_away(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, image: Path
) -> None:
    network = classifier.network

    def litter(made: SaliencyMap) -> SaliencyMap:
        network.get_submodule("conv").register_forward_hook(lambda module, given, output: output * 0)
        network.get_submodule("conv").register_full_backward_hook(lambda *_: None)
        network.train()
        return replace(made, warnings=("\x1b[2J",))

    offer(monkeypatch, Offered("Ramp", spoiled(litter)))
    picture = read_image(image)
    before = classifier.diagnose(picture).probabilities.tolist()
    made = explain_method(classifier, picture, "ramp", Settings())
    assert classifier.diagnose(picture).probabilities.tolist() == before
    assert not network.training
    assert made.warnings == ("␛[2J",)
    assert not made.values.flags.writeable


# The app


async def test_the_app_has_a_card_and_a_key_for_it(example: Path) -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=(160, 48)) as pilot:
        await press(pilot, *TO_IMAGES, "6")
        assert app.explain.wall.active == "layercam"
        assert app.explain.runs["layercam"].state == "done"
        assert app.explain.runs["lime"].state == "idle"
        await press(pilot, "e")
        assert "LayerCAM" in screen_text(app)
        assert "4 of 4" in screen_text(app)


async def test_six_methods_break_no_layout(example: Path) -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=(160, 48)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        for size in ((80, 24), (120, 40), (60, 20)):
            await pilot.resize_terminal(*size)
            await settled(pilot)
            cards = [card for card in app.explain.wall if card.display]
            assert len(cards) in (1, 6, 8)
            assert all(app.explain.wall.region.contains_region(card.region) for card in cards)
            assert len({card.region for card in cards}) == len(cards)


async def test_with_another_class_or_layer_it_is_made_again(example: Path) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=(160, 48)) as pilot:
        await press(pilot, *TO_IMAGES, "6", "r")

        def runs() -> list[tuple[str, ...]]:
            return [call for call in engine.calls if call[0] in ("layercam", "rise")]

        made = runs()
        await press(pilot, "y", "down", "enter")
        await settled(pilot)
        again = runs()
        assert len(again) == len(made) + 1
        assert "layercam" in again[-1]


# What will not do


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("LIME", "a built-in method has that name"),
        ("gradcam++", "a built-in method has that name"),
        ("HiResCAM", "a built-in method has that name"),
        ("lime-cells", "its name is not allowed"),
        ("Agreement", "its name is not allowed"),
        ("../up", "its name is not allowed"),
        ("a/b", "its name is not allowed"),
        ("\x1b[2J", "its name is not allowed"),
        ("ends.", "its name is not allowed"),
        ("x" * 25, "its name is not allowed"),
        ("", "its name is not allowed"),
    ],
)
def test_a_name_that_would_not_do_for_a_file_leaves_the_plug_in_out(
    monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    offer(monkeypatch, Offered(name, Ramp), Offered("Ramp", Ramp))
    assert method_keys() == (*METHODS, "ramp")
    assert len(left_out()) == 1
    assert why in left_out()[0]


def test_of_two_methods_of_a_name_the_second_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, Offered("Ramp", Ramp, "a:R"), Offered("ramp", Ramp, "b:R"), Offered("ramp", Ramp, "b:R"))
    assert method_keys() == (*METHODS, "ramp")
    assert len(left_out()) == 2
    offer(monkeypatch, Offered("Ramp", Ramp, "a:R"), Offered("Ramp", Ramp, "a:R"))  # one package, found twice
    assert left_out() == ()


def spoiled(change: Callable[[SaliencyMap], object]) -> Callable[[Choices], Ramp]:
    return lambda choices: Ramp(choices, change=change)


def fail(made: SaliencyMap) -> object:
    raise ZeroDivisionError("a fault\nof \x1b[2J others")


def leave(made: SaliencyMap) -> object:
    sys.exit(3)


BAD = [
    (ImportError("No module named 'x'"), "ImportError: No module named 'x'"),
    (SystemExit(3), "SystemExit: 3"),
    (7, "TypeError: 'int' object is not callable"),
    (lambda choices: None, "AttributeError: 'NoneType' object has no attribute 'key'"),
    (lambda choices: Ramp(choices, key="lime"), "its key is 'lime' instead of 'ramp'"),
    (spoiled(fail), "ZeroDivisionError: a fault␊of ␛[2J others"),
    (spoiled(leave), "SystemExit: 3"),
    (spoiled(lambda made: made.values), "it gave a ndarray instead of a SaliencyMap"),
    (
        spoiled(lambda made: replace(made, values=made.values[1:])),
        "its map is float32 (8, 9) instead of float32 (9, 9)",
    ),
    (spoiled(lambda made: replace(made, values=made.values.astype(np.float64))), "its map is float64 (9, 9)"),
    (spoiled(lambda made: replace(made, values=made.values * np.float32(np.nan))), "values outside [0, 1]"),
    (spoiled(lambda made: replace(made, values=made.values * 2)), "values outside [0, 1]"),
    (spoiled(lambda made: replace(made, raw_max=float("inf"))), "the range of its map is not finite"),
    (spoiled(lambda made: replace(made, method="rise")), "its map is of 'rise' for "),
    (spoiled(lambda made: replace(made, parameters={"a": object()})), "its parameters are not all"),
    (spoiled(lambda made: replace(made, warnings=(1,))), "its warnings are not all text"),
    (spoiled(lambda made: replace(made, warnings=None)), "TypeError: 'NoneType' object is not iterable"),
    (spoiled(lambda made: replace(made, raw_min="0")), "TypeError: "),
]


@pytest.mark.parametrize(("factory", "said"), BAD)
def test_a_plug_in_that_fails_or_breaks_the_interface_is_one_line_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, image: Path, factory: object, said: str
) -> None:
    offer(monkeypatch, Offered("Ramp", factory))
    explanation = explain(classifier, read_image(image), Settings(methods=("gradcam", "ramp")))
    assert list(explanation.maps) == ["gradcam"]
    line = explanation.failures["ramp"]
    assert line.startswith("Ramp of an unknown package: the plug-in cannot be used (")
    assert said in line
    assert line.endswith("; tell its makers, or leave it out with --methods")
    assert "\n" not in line


def test_the_command_line_reports_it_in_one_line_and_writes_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], image: Path, tmp_path: Path
) -> None:
    offer(monkeypatch, Offered("Ramp", ImportError("nothing there")), Offered("a/b", Ramp))
    make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True)
    arguments = ["--tasks", tmp_path / "tasks", "explain", image, "--task", "Lungs", "--out", tmp_path / "out"]
    status = run([*map(str, arguments), "--samples", "rise=64,lime=100"], open_app=lambda _: 99)
    lines = capsys.readouterr().err.splitlines()
    assert status == 1
    assert lines[0] == (
        "xaimed: the method a/b of an unknown package is left out: its name is not allowed "
        "(letters, digits and + . _ - at most 24)"
    )
    assert lines[1].startswith(
        f"xaimed: {image}: ramp: Ramp of an unknown package: the plug-in cannot be used (ImportError"
    )
    assert len(lines) == 2
    record = json.loads((tmp_path / "out" / "patch" / "explanation.json").read_text())
    assert list(record["methods"]) == list(METHODS)
    assert list(record["failures"]) == ["ramp"]


def test_alone_a_broken_plug_in_is_the_failure_itself(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, image: Path
) -> None:
    offer(monkeypatch, Offered("Ramp", ImportError("nothing there")))
    with pytest.raises(ExplanationError, match="nothing there"):
        explain(classifier, read_image(image), Settings(methods=("ramp",)))


def test_a_good_one_gets_the_layer_and_takes_part_in_the_agreement_where_all_vote(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, image: Path
) -> None:
    offer(monkeypatch, Offered("Ramp", Ramp))
    picture = read_image(image)
    explanation = explain(classifier, picture, Settings(samples=FEW, layer="conv", voters="all"))
    assert list(explanation.maps) == [*METHODS, "ramp"]
    assert explanation.maps["ramp"].parameters["layer"] == "conv"
    assert explanation.statistics["ramp"].top[0] == (2, 2)
    without = explain(classifier, picture, Settings(methods=METHODS, samples=FEW, layer="conv", voters="all"))
    gained = explanation.consensus.counts - without.consensus.counts
    assert sorted(map(tuple, np.argwhere(gained == 1))) == [(1, 2), (2, 1), (2, 2)]
    assert int(gained.sum()) == 3
    paper = explain(classifier, picture, Settings(samples=FEW, layer="conv"))
    assert paper.consensus.methods == ("lime", "rise", "gradcam", "gradcam++")
    assert list(paper.maps) == [*METHODS, "ramp"]


# What it declares


def test_what_it_declares_can_be_set_and_reaches_it(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, image: Path
) -> None:
    offer(monkeypatch, Offered("Ramp", Sampled))
    picture = read_image(image)
    assert explain_method(classifier, picture, "ramp", Settings()).parameters == {
        **{"until": "samples", "samples": 50, "side": "right"}
    }
    settings = Settings(samples={"ramp": 30}, until="certain", parameters={"ramp": {"slope": 2, "side": "left"}})
    assert explain_method(classifier, picture, "ramp", settings).parameters == {
        **{"until": "certain", "samples": 30, "side": "left", "slope": 2.0}
    }


def test_its_declaration_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch, image: Path) -> None:
    loaded: list[str] = []

    class Noted(Offered):
        def load(self) -> object:
            loaded.append(self.name)
            return super().load()

    offer(monkeypatch, Noted("Ramp", Sampled))
    check_settings(Settings(samples={"rise": 64}))
    assert method_name("ramp") == "Ramp"
    assert looks_at_layer("ramp")
    assert dependence_notes(("gradcam", "ramp")) == ()
    assert loaded == []
    check_settings(Settings(samples={"ramp": 64}))
    assert loaded == ["Ramp"]
    assert not looks_at_layer("ramp")
    assert dependence_notes(("gradcam", "ramp")) == (
        "Grad-CAM and Ramp use the same activations and gradients: where both mark a cell, that is not two "
        "independent findings.",
    )
    check_settings(Settings(parameters={"ramp": {"side": "left"}}))
    assert loaded == ["Ramp"]


@pytest.mark.parametrize(
    ("factory", "settings", "said"),
    [
        (Ramp, Settings(samples={"ramp": 64}), "ramp draws no samples; give --samples for rise and lime only"),
        (Ramp, Settings(parameters={"ramp": {"side": "left"}}), "ramp has no parameter 'side'; nothing can be set"),
        (Sampled, Settings(samples={"ramp": 19}), "19 samples are not possible for ramp; give a number from 20 to 400"),
        (
            Sampled,
            Settings(parameters={"ramp": {"sode": "left"}}),
            "ramp has no parameter 'sode'; did you mean 'side'?",
        ),
        (Sampled, Settings(parameters={"ramp": {"side": "up"}}), 'ramp.side must be one of "left", "right", not "up"'),
    ],
)
def test_what_it_does_not_take_is_said_before_the_first_pass(
    monkeypatch: pytest.MonkeyPatch,
    classifier: Classifier,
    image: Path,
    factory: object,
    settings: Settings,
    said: str,
) -> None:
    offer(monkeypatch, Offered("Ramp", factory))
    with pytest.raises(ExplanationError) as caught:
        explain(classifier, read_image(image), settings)
    assert said in caught.value.message


def declaring(declares: object) -> object:
    return type("Odd", (Ramp,), {"declares": declares})


def stumble(value: object) -> float:
    raise ZeroDivisionError("a fault of others")


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (ImportError("nothing there"), "ImportError: nothing there"),
        (declaring(("samples",)), "TypeError: its attribute declares is a tuple instead of a Declaration"),
        (declaring(Declaration(parameters=(Key("side", stumble, None, ""),))), "ZeroDivisionError: a fault of others"),
    ],
)
def test_a_declaration_that_is_none_is_the_plug_ins_fault_in_one_line(
    monkeypatch: pytest.MonkeyPatch, factory: object, said: str
) -> None:
    offer(monkeypatch, Offered("Ramp", factory))
    with pytest.raises(ExplanationError, match="the plug-in cannot be used") as caught:
        check_settings(Settings(parameters={"ramp": {"side": 1}}))
    assert said in caught.value.message


def test_the_command_line_sets_what_it_declares_and_records_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], image: Path, tmp_path: Path
) -> None:
    offer(monkeypatch, Offered("Ramp", Sampled))
    make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True)
    arguments = ["--tasks", tmp_path / "tasks", "explain", image, "--task", "Lungs", "--methods", "ramp,rise"]
    chosen = [
        "--samples",
        "ramp=30,rise=64",
        "--set",
        "ramp.side=left",
        "--set",
        "ramp.slope=2",
        "--set",
        "rise.grid=9",
    ]
    status = run([*map(str, arguments), *chosen, "--out", str(tmp_path / "out")], open_app=lambda _: 99)
    assert (status, capsys.readouterr().err) == (0, "")
    record = json.loads((tmp_path / "out" / "patch" / "explanation.json").read_text())
    assert record["methods"]["ramp"]["parameters"] == {
        **{"until": "samples", "samples": 30, "side": "left", "slope": 2.0}
    }
    assert record["methods"]["rise"]["parameters"]["grid"] == 9
    assert record["settings"]["parameters"] == {"ramp": {"side": "left", "slope": 2.0}, "rise": {"grid": 9}}


def told_by(classifier: Classifier, toml: str) -> Classifier:
    """The same network, told by a model.toml like this."""
    declared = parse_model_toml(toml.encode(), Path("model.toml"))
    return Classifier(replace(classifier.bundle, explain=declared.explain), classifier.network)


def test_model_toml_sets_what_it_declares_and_other_settings_come_before(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, image: Path
) -> None:
    offer(monkeypatch, Offered("Ramp", Sampled))
    told = told_by(classifier, '[explain.ramp]\nside = "left"\nsamples = 30\nslope = 2\n')
    picture = read_image(image)
    expected = {"until": "samples", "samples": 30, "side": "left", "slope": 2.0}
    assert explain_method(told, picture, "ramp", Settings()).parameters == expected
    settings = Settings(parameters={"ramp": {"side": "right"}})
    assert explain_method(told, picture, "ramp", settings).parameters == {**expected, "side": "right"}


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[explain.ramp]\nsode = "left"\n', "model.toml: under [explain.ramp]: ramp has no parameter 'sode'"),
        ('[explain.ramp]\nside = "up"\n', 'under [explain.ramp]: ramp.side must be one of "left", "right", not "up"'),
    ],
)
def test_a_wrong_parameter_in_model_toml_fails_this_method_alone(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, image: Path, toml: str, said: str
) -> None:
    offer(monkeypatch, Offered("Ramp", Sampled))
    settings = Settings(methods=("gradcam", "ramp"))
    explanation = explain(told_by(classifier, toml), read_image(image), settings)
    assert list(explanation.maps) == ["gradcam"]
    assert said in explanation.failures["ramp"]


def test_parameters_for_a_method_that_is_not_there_are_told(classifier: Classifier, image: Path) -> None:
    told = told_by(classifier, "[explain.ramp]\nx = 1\n[explain.rsie]\ngrid = 9\n")
    explanation = explain(told, read_image(image), Settings(methods=("gradcam",)))
    assert explanation.assumed[-2:] == (
        "Parameters are set under [explain.ramp], but no method ramp is installed, so they have no effect.",
        "Parameters are set under [explain.rsie], but no method rsie is installed; is rise meant?",
    )


@pytest.mark.parametrize("value", ["true", "[1]", "nan", "{a = 1}", "2024-01-01"])
def test_only_numbers_and_words_are_taken_as_parameters_of_plug_ins(value: str) -> None:
    with pytest.raises(BundleError, match=r"\[explain\.ramp\] x must be a number or a word"):
        parse_model_toml(f"[explain.ramp]\nx = {value}\n".encode(), Path("model.toml"))


def test_a_model_is_tried_with_few_of_its_samples(monkeypatch: pytest.MonkeyPatch, classifier: Classifier) -> None:
    made: list[object] = []

    class Noted(Sampled):
        def explain(self, request: Request) -> SaliencyMap:
            made.append(self.choices.parameters["samples"])
            return super().explain(request)

    offer(monkeypatch, Offered("Ramp", Noted))
    (tried,) = [method for method in check_model(classifier).methods if method.method == "ramp"]
    assert tried.failure == ""
    assert made == [100, 300]
