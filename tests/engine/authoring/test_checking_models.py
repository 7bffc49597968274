"""`xaimed models check`: what a physician would meet is said, and the self-test tells when parts do not fit."""

from __future__ import annotations

import json
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import MODEL_CODE, approve, make_model
from PIL import Image

from engine.authoring.check import check_model
from engine.authoring.selftest import run_selftest, selftest_after_training, with_selftest
from engine.bundle.model_bundle import read_bundle
from engine.bundle.model_toml import parse_model_toml
from engine.errors import BundleError, LibraryError
from engine.network.classifier import Classifier
from engine.storage import places
from engine.trust.permission import standing_of

CODE = MODEL_CODE.replace("nn.Conv2d(3, 2, 3)", "nn.Conv2d(3, 2, 3, padding=1)")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An approved model that takes 12x12 pixels."""
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    made = make_model(tmp_path / "tasks" / "Lungs" / "CNN", code=CODE)
    toml = made / "model.toml"
    toml.write_text(toml.read_text().replace("[9, 9]", "[12, 12]  # as trained"))
    torch.save(
        {"conv.weight": torch.linspace(-1, 1, 54).reshape(2, 3, 3, 3) / 20, "conv.bias": torch.tensor([0.5, 0.0])},
        made / "weights.pt",
    )
    approve(made)
    return made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "patient.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def state(model: Path) -> str:
    return standing_of(read_bundle(model)).state


def test_a_check_tells_shapes_classes_layer_times_and_warnings(xaimed: Run, model: Path, image: Path) -> None:
    status, out, err = xaimed("models", "check", "Lungs", "--image", image, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["task"], found["model"], found["passed"]) == ("Lungs", "CNN", True)
    assert found["input"] == {"size": [12, 12], "channels": 3}
    assert (found["outputs"], found["classes"], found["activation"]) == (2, ["healthy", "ill"], "none")
    layer = {"name": "conv", "also": [], "kind": "Conv2d", "channels": 2, "size": [12, 12], "branch": False}
    assert (found["layer"], found["layers"]) == ("conv", [layer])
    assert found["image"] == {"path": str(image), "size": [12, 12]}
    predicted = json.loads(xaimed("predict", image, "--task", "Lungs", "--json")[1])[0]
    assert found["probabilities"] == predicted["probabilities"]
    assert found["predicted"] == predicted["predicted"]
    assert list(found["methods"]) == ["lime", "rise", "gradcam", "gradcam++", "hirescam"]
    assert all(method["works"] and method["whole_map_seconds"] > 0 for method in found["methods"].values())
    assert found["selftest"] is None


def test_for_people_the_same_is_a_page_of_text(xaimed: Run, model: Path) -> None:
    status, out, err = xaimed("models", "check", "Lungs", "CNN")
    assert (status, err) == (0, "")
    assert "Image: noise, made up for this check, 12x12" in out
    assert "The image is noise: the network's answer and its maps mean nothing." in out
    assert "The CAMs look at conv: 2 maps of 12x12." in out
    assert "There is no self-test; `xaimed models check --write-selftest` makes one." in out


def test_a_sample_of_the_model_is_taken_before_noise(xaimed: Run, model: Path, image: Path) -> None:
    (model / "samples").mkdir()
    (model / "samples" / "a.png").write_bytes(b"damaged")
    (model / "samples" / "b.png").write_bytes(image.read_bytes())
    approve(model)
    found = json.loads(xaimed("models", "check", "Lungs", "--json")[1])
    assert found["image"]["path"] == str(model / "samples" / "b.png")


def test_a_method_that_cannot_work_makes_the_check_fail_and_is_named(xaimed: Run, model: Path, image: Path) -> None:
    toml = model / "model.toml"
    toml.write_text(toml.read_text() + '[explain]\ntarget_layer = "nowhere"\n')
    approve(model)
    status, out, _ = xaimed("models", "check", "Lungs", "--image", image)
    assert status == 1
    assert "Grad-CAM: layer nowhere: is not a layer of this network that gives a map" in out
    found = json.loads(xaimed("models", "check", "Lungs", "--image", image, "--json")[1])
    without = [name for name, method in found["methods"].items() if not method["works"]]
    assert without == ["gradcam", "gradcam++", "hirescam"]
    assert (found["passed"], found["layer"]) == (False, None)


def test_what_is_not_approved_is_not_run(xaimed: Run, model: Path) -> None:
    (model / "architecture.py").write_text("raise SystemExit('this must not run')\n")
    status, out, err = xaimed("models", "check", "Lungs")
    assert (status, out) == (1, "")
    assert "changed since it was approved" in err


def test_a_written_selftest_passes_and_needs_another_approval(xaimed: Run, model: Path, image: Path) -> None:
    before = (model / "model.toml").read_text()
    status, _, err = xaimed("models", "check", "Lungs", "--image", image, "--write-selftest")
    assert status == 0
    assert f"{model / 'selftest.png'} is a copy of {image}" in err
    assert "the previous one no longer holds (changed: model.toml; added: selftest.png" in err
    assert 'it does not run until it is approved again: xaimed trust "Lungs/CNN"' in err
    assert (model / "model.toml").read_text().startswith(before)
    assert state(model) == "changed"
    assert xaimed("models", "check", "Lungs")[0] == 1  # nobody was there to be asked
    approve(model)
    status, out, _ = xaimed("models", "check", "Lungs")
    assert status == 0
    assert "The self-test on selftest.png passed" in out


def test_with_yes_the_approval_is_renewed_for_what_was_written(xaimed: Run, model: Path, image: Path) -> None:
    err = xaimed("models", "check", "Lungs", "--image", image, "--write-selftest", "--yes")[2]
    assert err.endswith("approved: Lungs/CNN\n")
    assert state(model) == "approved"
    found = json.loads(xaimed("models", "check", "Lungs", "--json")[1])["selftest"]
    assert found["passed"] is True
    assert max(abs(a - b) for a, b in zip(found["expected"], found["found"], strict=True)) < 1e-5
    assert xaimed("models", "check", "Lungs", "--yes")[0] == 2


def test_a_selftest_of_a_sample_names_the_sample(xaimed: Run, model: Path, image: Path) -> None:
    (model / "samples").mkdir()
    (model / "samples" / "a.png").write_bytes(image.read_bytes())
    approve(model)
    xaimed("models", "check", "Lungs", "--write-selftest", "--yes")
    assert tomllib.loads((model / "model.toml").read_text())["selftest"]["image"] == "samples/a.png"
    assert not (model / "selftest.png").exists()


@pytest.mark.parametrize("fault", ["weights", "preprocessing"])
def test_a_selftest_fails_where_weights_or_preprocessing_are_not_what_they_were(
    xaimed: Run, model: Path, image: Path, fault: str
) -> None:
    xaimed("models", "check", "Lungs", "--image", image, "--write-selftest", "--yes")
    if fault == "weights":
        weights = torch.load(model / "weights.pt", weights_only=True)
        torch.save({**weights, "conv.bias": torch.tensor([0.0, 0.5])}, model / "weights.pt")
    else:
        toml = model / "model.toml"
        toml.write_text(toml.read_text().replace("mean = [0.0, 0.0, 0.0]", "mean = [0.5, 0.0, 0.0]"))
    approve(model)
    status, out, _ = xaimed("models", "check", "Lungs")
    assert status == 1
    assert "The self-test on selftest.png failed: a probability differs by " in out


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('image = "gone.png"\nprobabilities = [0.5, 0.5]', "there is no such file"),
        ('image = "model.toml"\nprobabilities = [0.5, 0.5]', "model.toml: "),
        (
            'image = "selftest.png"\nprobabilities = [0.5, 0.2, 0.3]',
            "it declares 3 probabilities, and there are 2 classes",
        ),
    ],
)
def test_a_selftest_that_cannot_be_run_fails(xaimed: Run, model: Path, image: Path, section: str, said: str) -> None:
    (model / "selftest.png").write_bytes(image.read_bytes())
    toml = model / "model.toml"
    toml.write_text(f"{toml.read_text()}[selftest]\n{section}\n")
    approve(model)
    status, out, _ = xaimed("models", "check", "Lungs")
    assert (status, said in out) == (1, True), out


@pytest.mark.parametrize(
    "section",
    [
        'image = "../../secret.png"\nprobabilities = [0.5, 0.5]',
        'image = "/etc/secret.png"\nprobabilities = [0.5, 0.5]',
        'image = ""\nprobabilities = [0.5, 0.5]',
        'image = "a.png"',
        "probabilities = [0.5, 0.5]",
        'image = "a.png"\nprobabilities = [0.5, 1.5]',
        'image = "a.png"\nprobabilities = [0.5, nan]',
        'image = "a.png"\nprobabilities = [0.5, true]',
        'image = "a.png"\nprobabilities = []',
        'image = "a.png"\nprobabilities = [0.5, 0.5]\ntolerance = 0',
        'image = "a.png"\nprobabilities = [0.5, 0.5]\nmore = 1',
    ],
)
def test_a_selftest_that_cannot_be_meant_makes_the_settings_wrong(section: str) -> None:
    with pytest.raises(BundleError, match="selftest"):
        parse_model_toml(f"[selftest]\n{section}\n".encode(), Path("model.toml"))


def test_a_selftest_that_would_notice_little_is_said_to(xaimed: Run, model: Path, image: Path) -> None:
    said = "the self-test notices little"
    assert said not in xaimed("models", "check", "Lungs", "--image", image, "--write-selftest", "--yes")[2]
    torch.save({"conv.weight": torch.ones(2, 3, 3, 3), "conv.bias": torch.tensor([99.0, 0.0])}, model / "weights.pt")
    approve(model)
    assert said in xaimed("models", "check", "Lungs", "--image", image, "--write-selftest", "--yes")[2]


def test_without_a_model_toml_there_is_no_place_for_a_selftest(xaimed: Run, model: Path) -> None:
    (model / "model.toml").unlink()
    (model / "architecture.py").write_text(f"INPUT_SIZE = (12, 12)\n{CODE}")
    approve(model)
    before = sorted(model.iterdir())
    status, _, err = xaimed("models", "check", "Lungs", "--write-selftest", "--yes")
    assert (status, "run xaimed models init first" in err) == (1, True)
    assert sorted(model.iterdir()) == before
    assert state(model) == "approved"


def test_a_bundled_model_gets_no_selftest(xaimed: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "bundled_tasks", lambda: model.parents[1])
    before = (model / "model.toml").read_bytes()
    status, _, err = xaimed("models", "check", "Lungs", "--write-selftest", "--yes")
    assert (status, "what comes with XAIMed cannot be changed" in err) == (1, True)
    assert (model / "model.toml").read_bytes() == before


def test_a_selftest_takes_the_place_of_the_old_one_and_leaves_all_else_as_it_is() -> None:
    toml = '# words\n[selftest] # old\nimage = "a"\nprobabilities = [0.0, 1.0]\n[input]\nsize = [9, 9] # here\n'
    made = with_selftest(toml.encode(), 'q"\\.png', (0.25, 0.75), Path("model.toml")).decode()
    assert made.startswith("# words\n[input]\nsize = [9, 9] # here\n\n[selftest]")
    assert tomllib.loads(made)["selftest"] == {"image": 'q"\\.png', "probabilities": [0.25, 0.75], "tolerance": 0.001}
    again = with_selftest(made.encode(), "b.png", (0.5, 0.5), Path("model.toml")).decode()
    assert again.count("[selftest]") == 1
    assert "# here" in again


def test_comments_above_what_follows_an_old_selftest_are_kept() -> None:
    toml = '[selftest]\n# its own\nimage = "a"\nprobabilities = [0.0, 1.0]\n\n# of input\n[input]\nchannels = 1\n'
    made = with_selftest(toml.encode(), "b.png", (0.5, 0.5), Path("model.toml")).decode()
    assert made.startswith("# of input\n[input]\nchannels = 1\n\n[selftest]")
    assert "# its own" not in made


def test_of_all_else_no_byte_is_changed() -> None:
    above = (
        "# words\r\n\r\n[input]\r\nsize = [  # two numbers\r\n\t9, # height\r\n  9,]\r\n"
        "  [ intended_use ]  # indented\n words='''\n\n a '''\n'an odd \"key\"'.a = 1_000\n\n\n"
    )
    below = "# of output\n[output]\nlogits = true# close by\n# last\n"
    section = '[selftest] # old\nimage = "a"\nprobabilities = [\n0.0, # one\n1.0]\ntolerance = 1e-3\n\n'
    made = with_selftest(f"{above}{section}{below}".encode(), "b.png", (0.5, 0.5), Path("model.toml")).decode()
    assert made.startswith(f"{above}{below}\n[selftest]")
    assert made.count("[selftest]") == 1
    assert with_selftest(made.encode(), "b.png", (0.5, 0.5), Path("model.toml")).decode() == made


@pytest.mark.parametrize(
    "toml",
    [
        'selftest = { image = "a", probabilities = [0.0, 1.0] }\n',
        '[ selftest ]\nimage = "a"\nprobabilities = [0.0, 1.0]\n',
        '[intended_use]\nwords = """\n[selftest]\nmore\n"""\n',
        "[[a]]\nb = 1\n[[a]]\nb = 2\n[c]\n[[a]]\nb = 3\n",
    ],
)
def test_a_selftest_that_is_written_in_another_way_is_left_to_the_person(toml: str) -> None:
    with pytest.raises(LibraryError, match="remove that section by hand"):
        with_selftest(toml.encode(), "a.png", (0.5, 0.5), Path("model.toml"))


def test_a_check_says_when_it_is_not_declared_which_images_are_accepted(xaimed: Run, model: Path, image: Path) -> None:
    said = "Whether grey images may be fed to it is not declared"
    assert said in xaimed("models", "check", "Lungs", "--image", image)[1]
    assert said in json.loads(xaimed("models", "check", "Lungs", "--image", image, "--json")[1])["undeclared"][0]
    toml = model / "model.toml"
    toml.write_text(toml.read_text().replace("channels = 3", "channels = 3\naccept_grey = false"))
    approve(model)
    assert "not declared" not in xaimed("models", "check", "Lungs", "--image", image)[1]
    assert "Grey images are refused." in xaimed("models", "show", "Lungs")[1]


def test_a_check_passes_over_a_sample_that_turns_out_to_be_refused(xaimed: Run, model: Path, image: Path) -> None:
    (model / "samples").mkdir()
    Image.fromarray(np.full((12, 12, 3), 90, dtype=np.uint8)).save(model / "samples" / "a.png")
    (model / "samples" / "b.png").write_bytes(image.read_bytes())
    toml = model / "model.toml"
    toml.write_text(toml.read_text().replace("channels = 3", "channels = 3\naccept_grey = false"))
    approve(model)
    found = json.loads(xaimed("models", "check", "Lungs", "--json")[1])
    assert found["image"]["path"] == str(model / "samples" / "b.png")


# Methods, samples and time


def test_only_the_methods_asked_for_are_tried_with_as_many_samples_as_asked_for(
    xaimed: Run, model: Path, image: Path
) -> None:
    check = ("models", "check", "Lungs", "--image", image)
    status, out, _ = xaimed(*check, "--methods", "gradcam,rise", "--samples", "150", "--json")
    found = json.loads(out)["methods"]
    assert status == 0
    assert list(found) == ["gradcam", "rise"]
    assert [found[method]["samples"] for method in found] == [0, 150]
    assert found["rise"]["note"] is None
    out = xaimed(*check, "--methods", "lime", "--samples", "20", "--json")[1]
    assert json.loads(out)["methods"]["lime"]["samples"] == 100  # the fewest that LIME takes
    assert "no such method: rose" in xaimed(*check, "--methods", "rose")[2]
    assert xaimed(*check, "--samples", "many")[0] == 2
    assert xaimed(*check, "--seconds", "-1")[0] == 2


def test_on_a_slow_network_a_check_ends_in_time_and_says_what_it_left_out(
    xaimed: Run, model: Path, image: Path
) -> None:
    slow = CODE.replace("def forward(self, x):\n", "def forward(self, x):\n        time.sleep(0.03 * len(x))\n")
    (model / "architecture.py").write_text(f"import time\n{slow}")
    approve(model)
    started = time.monotonic()
    status, out, _ = xaimed("models", "check", "Lungs", "--image", image, "--seconds", "9", "--json")
    assert status == 0
    assert time.monotonic() - started < 60
    found = json.loads(out)["methods"]
    assert found["gradcam"]["note"] is None
    for method in ("rise", "lime"):
        assert found[method]["works"]
        assert found[method]["samples"] < 300
        assert found[method]["note"].startswith(("only ", "not tried, ", "no map within "))
        assert found[method]["whole_map_seconds"] > 20
    assert not any("Stopped" in warning for method in found.values() for warning in method["warnings"])


def test_the_progress_of_a_check_goes_up_to_its_end(model: Path) -> None:
    seen: list[tuple[float, float]] = []
    classifier = Classifier.load(read_bundle(model), device="cpu")
    check_model(classifier, methods=("rise", "gradcam"), advanced=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == pytest.approx(seen[-1][1])
    assert all(done <= total for done, total in seen)
    assert len(seen) > 5


def test_of_many_classes_the_five_most_probable_are_listed(xaimed: Run, model: Path) -> None:
    (model / "architecture.py").write_text(CODE.replace("nn.Conv2d(3, 2, 3", "nn.Conv2d(3, 7, 3"))
    toml = model / "model.toml"
    kinds = json.dumps([f"kind {number}" for number in range(7)])
    toml.write_text(toml.read_text().replace('["healthy", "ill"]', kinds))
    torch.save(
        {"conv.weight": torch.full((7, 3, 3, 3), 1e-3), "conv.bias": torch.tensor([0.0, 1, 2, 3, 4.5, 5, 4])},
        model / "weights.pt",
    )
    approve(model)
    lines = xaimed("models", "check", "Lungs", "--methods", "lime", "--samples", "100")[1].splitlines()
    start = next(place for place, line in enumerate(lines) if "kind" in line)
    assert [line.split()[2] for line in lines[start : start + 5]] == ["5", "4", "6", "3", "2"]
    assert lines[start + 5].strip() == "(and 2 classes that are less probable)"


def test_a_training_script_writes_a_selftest_that_holds_until_the_weights_change(model: Path, image: Path) -> None:
    network = Classifier.load(read_bundle(model), device="cpu").network
    (model / "samples").mkdir()
    (model / "samples" / "a.png").write_bytes(image.read_bytes())
    for name in (None, "samples/a.png"):
        selftest_after_training(model, network, name)
        written = read_bundle(model)
        assert written.selftest is not None
        assert written.selftest.image == (name or "selftest.png")
        assert "# written by train.py" in (model / "model.toml").read_text()
        result = run_selftest(Classifier(written, network))
        assert result is not None
        assert result.failure == ""
    with torch.no_grad():
        network.conv.bias[0] += 0.1
    result = run_selftest(Classifier(read_bundle(model), network))
    assert result is not None
    assert "a probability differs by" in result.failure
