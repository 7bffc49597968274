"""`xaimed models import`: a complete model of a checkpoint in one step, or nothing and the reason."""

from __future__ import annotations

import errno
import json
import os
import tomllib
from pathlib import Path

import pytest
import torch
from command_line import Run
from safetensors.torch import load_file
from torch import nn

from engine.authoring import import_model, import_sources
from engine.authoring.reading_checkpoint import read_checkpoint
from engine.bundle.model_bundle import read_bundle
from engine.checkpoints.matching import Match, Mismatch, Shapes, match
from engine.cli.models_import import class_names
from engine.errors import BundleError
from engine.library.new_model import NewModel
from engine.library.tasks import list_tasks
from engine.network.classifier import Classifier
from engine.trust.approvals import read_approvals
from engine.trust.permission import standing_of
from tests.torture.sources.checkpoints import CODE, lightning, named, small_net

NAMED = "shufflenet_v2_x0_5"
"""The smallest network of torchvision."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    return tmp_path / "tasks"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    return tmp_path / "net.py"


def shufflenet(path: Path, **more: object) -> Path:
    from torchvision.models import get_model

    torch.manual_seed(0)
    network = get_model(NAMED, weights=None, num_classes=2)
    torch.save({"state_dict": named(network, lambda name: f"model.{name}"), **more}, path)
    return path


def nothing_in(folder: Path) -> bool:
    left = [path.name for path in folder.iterdir() if path.name != ".library.lock"] if folder.exists() else []
    return not left and not read_approvals().all


def test_a_full_disk_leaves_nothing_and_says_so(
    xaimed: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(import_sources, "replace_file", full)
    source = shufflenet(tmp_path / "last.ckpt")
    status, out, err = xaimed("models", "import", source, "--task", "Skin", "--name", "First")
    assert (status, out) == (1, "")
    assert "Skin/First: no space left on device; nothing was added" in err
    assert len(err.splitlines()) == 1
    assert nothing_in(folder)


def test_a_checkpoint_becomes_a_model_that_answers_in_one_step(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    source = shufflenet(tmp_path / "last.ckpt", hyper_parameters={"class_names": ["benign", "malignant"]})
    status, out, err = xaimed("models", "import", source, "--task", "Skin", "--name", "First")
    assert (status, err) == (0, "")
    assert f"Imported: Skin/First in {folder / 'Skin' / 'First'}." in out
    assert f"By its tensors this is torchvision:{NAMED}." in out
    assert "'model.' before the names was removed." in out
    model = folder / "Skin" / "First"
    assert sorted(path.name for path in model.iterdir()) == ["description.txt", "model.toml", "weights.safetensors"]
    text = (model / "model.toml").read_text()
    assert all(f"  {line}" in out.splitlines() for line in text.splitlines())
    assert tomllib.loads(text) == {
        "network": {"source": f"torchvision:{NAMED}", "arguments": {"num_classes": 2}},
        "input": {
            "size": [224, 224],
            "channels": 3,
            "resize": "crop",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
        "output": {"classes": ["benign", "malignant"], "activation": "none"},
    }
    assert "hyper_parameters.class_names in the checkpoint" in text
    assert "conv1.0.weight" in load_file(model / "weights.safetensors")
    assert "Imported from last.ckpt (SHA-256 " in (model / "description.txt").read_text()
    assert (folder / "Skin" / "task_description.txt").exists()
    (task,) = list_tasks([folder])
    assert [entry.usable for entry in task.models] == [True]
    assert not read_approvals().all  # no code of the folder runs
    classifier = Classifier.load(read_bundle(model), device="cpu")
    assert not any("not declared" in sentence for sentence in classifier.assumed)


def test_options_say_what_the_file_does_not(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("lesion, benign\nlesion, malignant\n")
    (tmp_path / "input.toml").write_text('[input]\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]\nresize = "fit"\n')
    source = shufflenet(tmp_path / "last.ckpt", img_size=96)
    command = ("models", "import", source, "--task", "Skin", "--network", f"torchvision:{NAMED}")
    assert xaimed(*command, "--name", "A", "--classes", tmp_path / "names.txt", "--input-size", "64,96")[0] == 0
    found = tomllib.loads((folder / "Skin" / "A" / "model.toml").read_text())
    assert found["output"]["classes"] == ["lesion, benign", "lesion, malignant"]
    assert found["input"]["size"] == [64, 96]
    assert xaimed(*command, "--name", "B", "--classes", "b, m", "--preprocessing", tmp_path / "input.toml")[0] == 0
    found = tomllib.loads((folder / "Skin" / "B" / "model.toml").read_text())
    assert found["output"]["classes"] == ["b", "m"]
    assert found["input"] == {
        "size": [96, 96],
        "channels": 3,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "resize": "fit",
    }
    assert xaimed(*command, "--name", "C", "--preprocessing", "unit")[0] == 0
    assert tomllib.loads((folder / "Skin" / "C" / "model.toml").read_text())["input"]["std"] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("late", [False, True])
def test_code_that_is_changed_after_it_was_shown_is_neither_run_nor_approved(
    folder: Path, tmp_path: Path, code: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    lightning(small_net(), tmp_path / "last.ckpt")
    wanted = import_model.Wanted(tmp_path / "last.ckpt", "Skin", "Own", architecture=code, size=(32, 32))

    def change(model: Path) -> None:
        (model / "architecture.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{CODE}")

    with import_model.preparing([folder], wanted) as preparation:
        assert preparation.review is not None
        if late:  # when the network was tried
            settle = NewModel.settle
            monkeypatch.setattr(NewModel, "settle", lambda place, text: change(place.path) or settle(place, text))
            assert standing_of(preparation.finish().bundle).state == "changed"
        else:
            change(preparation.review.bundle.path)
            with pytest.raises(BundleError, match="its code was changed after it was shown; import it again"):
                preparation.finish()
    assert not (tmp_path / "ran").exists()
    assert late or nothing_in(folder)


def test_code_is_shown_asked_about_once_and_then_approved(
    xaimed: Run, folder: Path, tmp_path: Path, code: Path
) -> None:
    lightning(small_net(), tmp_path / "last.ckpt")
    command = ("models", "import", tmp_path / "last.ckpt", "--task", "Skin", "--name", "Own", "--architecture", code)
    status, out, err = xaimed(*command)
    assert status == 1
    assert "class Net(nn.Module):" in out
    assert str(code) in out
    assert "no terminal to ask on whether its code may run; add --yes if you trust its maker" in err
    assert nothing_in(folder)
    status, out, err = xaimed(*command, "--yes", "--classes", "a,b,c", "--input-size", "32,32")
    assert (status, err) == (0, "")
    assert "criterion.weight was left out: losses and metrics of the training." in out
    bundle = read_bundle(folder / "Skin" / "Own")
    assert bundle.architecture is not None
    assert bundle.architecture.read_text() == CODE
    assert (bundle.input.size, bundle.output.classes) == ((32, 32), ("a", "b", "c"))
    assert [approval.digest for approval in read_approvals().all] == [bundle.digest]
    assert [approval.path for approval in read_approvals().all] == [folder / "Skin" / "Own"]
    assert xaimed("models", "check", "Skin", "Own")[0] == 0


def test_weights_of_another_network_are_refused_with_a_table_and_nothing_is_left(
    xaimed: Run, folder: Path, tmp_path: Path, code: Path
) -> None:
    state = small_net().state_dict()
    state["head.weight"] = torch.zeros(3, 9)
    torch.save({"epoch": 1, "net": state}, tmp_path / "w.pt")
    command = ("models", "import", tmp_path / "w.pt", "--task", "Skin", "--name", "Own")
    status, _, err = xaimed(*command, "--architecture", code, "--yes")
    assert status == 1
    lines = err.splitlines()
    assert "the network lacks (1)" in lines[0]
    assert "the file has besides (1)" in lines[0]
    assert "head.weight  3x8" in lines[1]
    assert "head.weight  3x9" in lines[1]
    assert lines[-1].startswith(
        f"xaimed: {tmp_path / 'w.pt'}: no assignment of its tensors to the network's is certain"
    )
    assert ".xaimed-" not in err
    assert nothing_in(folder)
    status, _, err = xaimed(*command, "--network", f"torchvision:{NAMED}")
    assert (status, "the network lacks" in err) == (1, True)
    status, _, err = xaimed(*command)
    assert (status, "its tensors are of no network that is known" in err) == (1, True)
    assert nothing_in(folder)


def test_a_network_that_does_not_work_is_not_imported(xaimed: Run, folder: Path, tmp_path: Path, code: Path) -> None:
    torch.save(small_net().state_dict(), tmp_path / "w.pt")
    command = (
        "models",
        "import",
        tmp_path / "w.pt",
        "--task",
        "Skin",
        "--name",
        "Own",
        "--architecture",
        code,
        "--yes",
    )
    status, _, err = xaimed(*command, "--classes", "a,b")
    assert (status, "2 classes are named, but the network has 3 outputs" in err) == (1, True)
    code.write_text(CODE.replace("self.body(self.stem(x))", "self.body(x)"))
    assert xaimed(*command)[0] == 1
    state = {name: value * float("nan") for name, value in small_net().state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    code.write_text(CODE)
    status, _, err = xaimed(*command)
    assert (status, "holds NaN or infinite values" in err) == (1, True)
    assert nothing_in(folder)


def test_names_that_are_taken_and_files_that_cannot_be_read_are_refused(
    xaimed: Run, folder: Path, tmp_path: Path
) -> None:
    source = shufflenet(tmp_path / "w.pt")
    assert xaimed("models", "import", source, "--task", "Skin", "--name", "A")[0] == 0
    for task, name, path, more, said in (
        ("Skin", "A", source, (), "there is a model of that name already"),
        ("../Skin", "B", source, (), "contains a / or"),
        ("Skin", "B", tmp_path / "none.pt", (), "there is no such file"),
        ("Skin", "B", source, ("--preprocessing", tmp_path / "none.toml"), "there is no such file"),
        ("Skin", "B", source, ("--network", "torchvision:resnet19"), "no network"),
        ("Skin", "B", source, ("--network", "resnet18"), "must be one of"),
        ("Skin", "B", source, ("--key", "teacher"), "no network under 'teacher'"),
    ):
        status, _, err = xaimed("models", "import", path, "--task", task, "--name", name, *more)
        assert (status, said in err) == (1, True), err
    assert [model.name for task in list_tasks([folder]) for model in task.models] == ["A"]
    assert json.loads(xaimed("tasks", "--json")[1])[0]["models"][0]["usable"] is True


def test_weights_added_with_a_prefix_load_and_say_so(xaimed: Run, folder: Path, tmp_path: Path, code: Path) -> None:
    from factories import approve

    xaimed("tasks", "add", "Skin", "--description", "x")
    torch.save(nn.DataParallel(small_net()).state_dict(), tmp_path / "w.pt")
    add = ("models", "add", "Skin", "Own", "--weights", tmp_path / "w.pt", "--architecture", code)
    assert xaimed(*add)[0] == 0
    approve(folder / "Skin" / "Own")
    classifier = Classifier.load(read_bundle(folder / "Skin" / "Own"), device="cpu")
    assert any("'module.' in the names of the file's tensors was taken out." in said for said in classifier.assumed)


def test_classes_are_listed_or_stand_in_a_file(tmp_path: Path) -> None:
    assert class_names("a, b") == ("a", "b")
    (tmp_path / "c.txt").write_text("one\n\ntwo, three\n")
    assert class_names(str(tmp_path / "c.txt")) == ("one", "two, three")


def test_of_those_that_fit_the_averaged_network_is_taken_whatever_else_is_averaged(tmp_path: Path) -> None:
    state = small_net().state_dict()
    other = {f"x{number}": torch.ones(3, 3) for number in range(len(state))}
    parts = {"model": state, "model_ema": {name: value + 1 for name, value in state.items()}, "critic_ema": other}
    torch.save(parts, tmp_path / "w.pt")
    expected = {name: tuple(value.shape) for name, value in state.items()}

    def fit(shapes: Shapes) -> tuple[Match, None] | Mismatch:
        found = match(expected, shapes)
        return found if isinstance(found, Mismatch) else (found, None)

    weights, _ = read_checkpoint(tmp_path / "w.pt").fill(None, fit)
    assert "'model_ema' was taken: its weights are an average" in " ".join(weights.notes)
    name = next(name for name, value in state.items() if value.is_floating_point())
    assert torch.equal(weights.tensors[name], state[name] + 1)
