"""`xaimed models add|show|remove|restore`: what is added is whole, checked without running, and not approved."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import MODEL_CODE, approve, make_model
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.bundle.model_bundle import read_bundle
from engine.errors import LibraryError
from engine.library import add_model, changes
from engine.library.tasks import list_tasks
from engine.storage import places


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tasks folder, with one task without models."""
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    changes.add_task([tmp_path / "tasks"], "Lungs", "Healthy or ill?")
    return tmp_path / "tasks"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder with the files of a model under names of their own; the code must not run."""
    made = make_model(tmp_path / "parts", code=f"raise SystemExit('this must not run')\n{MODEL_CODE}")
    (made / "weights.pt").rename(made / "epoch_40.pth")
    (made / "architecture.py").rename(made / "net.py")
    (made / "model.toml").rename(made / "settings.toml")
    Image.fromarray(np.zeros((9, 9, 3), dtype=np.uint8)).save(made / "confusion.png")
    return made


def arguments(parts: Path) -> list[str | Path]:
    return ["--weights", parts / "epoch_40.pth", "--architecture", parts / "net.py"]


def models(folder: Path) -> list[str]:
    return [model.name for task in list_tasks([folder]) for model in task.models]


def test_a_model_is_added_under_the_names_that_a_model_folder_has(xaimed: Run, folder: Path, parts: Path) -> None:
    more = ["--description", "Ten patients.", "--picture", parts / "confusion.png"]
    toml = ["--model-toml", parts / "settings.toml"]
    status, out, err = xaimed("models", "add", "Lungs", "CNN", *arguments(parts), *more, *toml)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"Added: Lungs/CNN in {folder / 'Lungs' / 'CNN'}."
    assert 'xaimed trust "Lungs/CNN"' in out.splitlines()[-1]
    added = folder / "Lungs" / "CNN"
    assert sorted(path.name for path in added.iterdir()) == [
        "architecture.py",
        "description.png",
        "description.txt",
        "model.toml",
        "weights.pt",
    ]
    assert (added / "weights.pt").read_bytes() == (parts / "epoch_40.pth").read_bytes()
    assert (added / "architecture.py").read_bytes() == (parts / "net.py").read_bytes()
    assert (added / "description.txt").read_text() == "Ten patients.\n"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".xaimed-")] == []


def test_an_added_model_is_listed_and_inert_until_it_is_approved(xaimed: Run, folder: Path, parts: Path) -> None:
    xaimed("models", "add", "Lungs", "CNN", *arguments(parts))
    shown = json.loads(xaimed("models", "show", "Lungs", "--json")[1])
    assert (shown["task"], shown["model"], shown["usable"]) == ("Lungs", "CNN", False)
    assert shown["approval"]["state"] == "unapproved"
    assert list(shown["files"]) == ["architecture.py", "weights.pt"]
    approve(folder / "Lungs" / "CNN")
    assert xaimed("models", "show", "Lungs", "CNN")[1].splitlines()[1] == "It can be used."


def test_what_was_approved_before_needs_no_other_approval(xaimed: Run, folder: Path, parts: Path) -> None:
    xaimed("models", "add", "Lungs", "CNN", *arguments(parts))
    approve(folder / "Lungs" / "CNN")
    out = xaimed("models", "add", "Lungs", "Copy", *arguments(parts))[1]
    assert "A model with the same files was approved already" in out


def test_safetensors_keep_their_suffix(xaimed: Run, folder: Path, parts: Path) -> None:
    save_file({"a": torch.zeros(2)}, parts / "w.safetensors")
    status, _, err = xaimed(
        "models", "add", "Lungs", "CNN", "--weights", parts / "w.safetensors", "--architecture", parts / "net.py"
    )
    assert (status, err) == (0, "")
    assert read_bundle(folder / "Lungs" / "CNN").weights.name == "weights.safetensors"


def test_a_model_that_cannot_be_one_is_refused_and_nothing_is_left(
    xaimed: Run, folder: Path, parts: Path, tmp_path: Path
) -> None:
    before = sorted(folder.rglob("*"))
    (parts / "bad.py").write_text("def build_model(:\n")
    (parts / "nothing.py").write_text("INPUT_SIZE = (9, 9)\n")
    (parts / "bad.toml").write_text("[input]\nsizes = [9, 9]\n")
    (parts / "bad.png").write_bytes(b"no picture")
    (parts / "empty.pt").touch()
    (parts / "noise.pt").write_bytes(os.urandom(100))
    (parts / "plain.pt").write_bytes(pickle.dumps({"a": [1.0, 2.0]}))
    torch.save({"epoch": 3, "model": {}}, parts / "checkpoint.pt")
    os.mkfifo(parts / "pipe.pt")
    good = dict(zip(["--weights", "--architecture"], [parts / "epoch_40.pth", parts / "net.py"], strict=True))
    for option, name, said in (
        ("--architecture", "bad.py", "bad.py: it is not valid Python in line 1"),
        ("--architecture", "nothing.py", "nothing.py: it defines neither build_model() nor a class"),
        ("--architecture", "missing.py", "missing.py: there is no such file"),
        ("--model-toml", "bad.toml", "bad.toml: [input] has no key 'sizes'"),
        ("--picture", "bad.png", "bad.png: "),
        ("--weights", "empty.pt", "empty.pt: it is empty"),
        ("--weights", "noise.pt", "noise.pt: "),
        ("--weights", "plain.pt", "plain.pt: it is a pickle that torch.save did not write, and loading it would run"),
        ("--weights", "checkpoint.pt", "checkpoint.pt: it holds no network"),
        ("--weights", "pipe.pt", "pipe.pt: this is a pipe"),
        ("--description", "missing.txt", "missing.txt: there is no such file"),
    ):
        given = good | {option: parts / name}
        status, out, err = xaimed("models", "add", "Lungs", "CNN", *[word for pair in given.items() for word in pair])
        assert (status, out) == (1, ""), name
        assert said in err, err
        assert err.count("\n") == 1
        assert ".xaimed-" not in err
    assert [path for path in sorted(folder.rglob("*")) if path.name != ".library.lock"] == [
        path for path in before if path.name != ".library.lock"
    ]
    assert models(folder) == []


def test_a_full_pickle_is_refused_with_the_command_that_converts_it(xaimed: Run, folder: Path, parts: Path) -> None:
    (parts / "plain.pt").write_bytes(pickle.dumps({"a": [1.0, 2.0]}))
    _, _, err = xaimed(
        "models", "add", "Lungs", "CNN", "--weights", parts / "plain.pt", "--architecture", parts / "net.py"
    )
    assert f"xaimed models convert {parts / 'plain.pt'}" in err


def test_a_checkpoint_is_added_as_the_weights_in_it_and_a_key_chooses(xaimed: Run, folder: Path, parts: Path) -> None:
    state = torch.load(parts / "epoch_40.pth", weights_only=True)
    averaged = {name: value * 2 for name, value in state.items()}
    torch.save({"epoch": 3, "model": state, "model_ema": averaged, "optimizer": {}}, parts / "last.ckpt")
    add = ("models", "add", "Lungs", "Averaged", "--weights", parts / "last.ckpt", "--architecture", parts / "net.py")
    status, out, err = xaimed(*add)
    assert (status, err) == (0, "")
    assert "'model_ema' was taken: its weights are an average over the training. --key 'model' takes another" in out
    added = read_bundle(folder / "Lungs" / "Averaged")
    assert added.weights.name == "weights.safetensors"
    assert torch.equal(load_file(added.weights)["conv.weight"], averaged["conv.weight"])
    status, out, _ = xaimed(*add[:3], "Raw", *add[4:], "--key", "model")
    assert status == 0
    assert torch.equal(load_file(folder / "Lungs" / "Raw" / "weights.safetensors")["conv.weight"], state["conv.weight"])
    status, _, err = xaimed(*add[:3], "None", *add[4:], "--key", "teacher")
    assert status == 1
    assert "last.ckpt: it holds no network under 'teacher'; choose with --key 'model' or 'model_ema'" in err


def test_safetensors_under_another_suffix_are_what_they_are(xaimed: Run, folder: Path, parts: Path) -> None:
    save_file(torch.load(parts / "epoch_40.pth", weights_only=True), parts / "last.pt")
    assert xaimed("models", "add", "Lungs", "CNN", "--weights", parts / "last.pt", *arguments(parts)[2:])[0] == 0
    assert read_bundle(folder / "Lungs" / "CNN").weights.name == "weights.safetensors"


def test_a_name_that_is_taken_or_will_not_do_or_a_task_that_is_not_there(
    xaimed: Run, folder: Path, parts: Path
) -> None:
    xaimed("models", "add", "Lungs", "CNN", *arguments(parts))
    for task, name, said in (
        ("Lungs", "CNN", "there is a model of that name already"),
        ("Lungs", "../CNN", "contains a / or \\"),
        ("Lungs", ".CNN", "begins with a dot"),
        ("Livers", "CNN", "there is no task 'Livers'"),
    ):
        status, _, err = xaimed("models", "add", task, name, *arguments(parts))
        assert (status, said in err) == (1, True), err
    assert models(folder) == ["CNN"]


def test_a_process_killed_while_adding_leaves_nothing_that_is_listed(folder: Path, parts: Path, xaimed: Run) -> None:
    code = (
        "import os, signal, sys\n"
        "from engine.library import add_model\n"
        "from engine.cli.main import run\n"
        "add_model._check = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "run(sys.argv[1:], open_app=None)\n"
    )
    command = [sys.executable, "-c", code, "models", "add", "Lungs", "CNN", *map(str, arguments(parts))]
    assert subprocess.run(command, check=False).returncode == -9
    assert len(list(folder.glob(".xaimed-*"))) == 1
    assert models(folder) == []
    assert xaimed("models", "add", "Lungs", "CNN", *arguments(parts))[0] == 0
    assert list(folder.glob(".xaimed-*")) == []
    assert models(folder) == ["CNN"]


def test_a_full_disk_leaves_nothing_and_says_so(folder: Path, parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(add_model.os, "fsync", full)
    with pytest.raises(LibraryError, match=r"no space left on device; nothing was added; free some space .*: /"):
        add_model.add_model(
            [folder], "Lungs", "CNN", add_model.Parts(weights=parts / "epoch_40.pth", architecture=parts / "net.py")
        )
    assert models(folder) == []
    assert list(folder.glob(".xaimed-*")) == []


def test_a_removed_model_comes_back_approved_as_it_was(xaimed: Run, folder: Path, parts: Path) -> None:
    xaimed("models", "add", "Lungs", "CNN", *arguments(parts))
    approve(folder / "Lungs" / "CNN")
    digest = read_bundle(folder / "Lungs" / "CNN").digest
    assert xaimed("models", "remove", "Lungs", "CNN")[0] == 0
    assert models(folder) == []
    assert [gone["model"] for gone in json.loads(xaimed("models", "restore", "--json")[1])] == ["CNN"]
    assert json.loads(xaimed("tasks", "restore", "--json")[1]) == []
    assert xaimed("models", "restore", "Lungs", "CNN") == (0, "Restored: Lungs/CNN.\n", "")
    entry = list_tasks([folder])[0].models[0]
    assert (entry.usable, entry.bundle.digest if entry.bundle else None) == (True, digest)


def test_a_model_whose_task_is_gone_is_restored_after_its_task(xaimed: Run, folder: Path, parts: Path) -> None:
    xaimed("models", "add", "Lungs", "CNN", *arguments(parts))
    xaimed("models", "remove", "Lungs", "CNN")
    xaimed("tasks", "remove", "Lungs")
    status, _, err = xaimed("models", "restore", "Lungs", "CNN")
    assert (status, "restore the task first" in err) == (1, True)
    assert xaimed("tasks", "restore", "Lungs")[0] == 0
    assert xaimed("models", "restore", "Lungs", "CNN")[0] == 0
    assert models(folder) == ["CNN"]


def test_a_link_out_of_the_tasks_folder_is_removed_as_a_link(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    outside = make_model(tmp_path / "outside")
    (folder / "Lungs" / "Link").symlink_to(outside)
    assert xaimed("models", "show", "Lungs", "Link")[0] == 1
    assert xaimed("models", "remove", "Lungs", "Link")[0] == 0
    assert models(folder) == []
    assert (outside / "weights.pt").exists()


def test_nothing_is_removed_in_a_task_that_lies_elsewhere(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    make_model(tmp_path / "outside" / "CNN")
    (folder / "Far").symlink_to(tmp_path / "outside")
    status, _, err = xaimed("models", "remove", "Far", "CNN")
    assert (status, "link" in err) == (1, True)
    assert (tmp_path / "outside" / "CNN" / "weights.pt").exists()


def test_describing_a_model_ends_its_approval_unless_it_is_renewed(xaimed: Run, folder: Path, parts: Path) -> None:
    xaimed("models", "add", "Lungs", "CNN", *arguments(parts))
    approve(folder / "Lungs" / "CNN")
    status, out, err = xaimed("models", "describe", "Lungs", "CNN", "--description", "New words.")
    assert (status, out) == (0, "The model Lungs/CNN has a new description.\n")
    assert "no longer holds (added: description.txt; nothing else differs)" in err
    assert list_tasks([folder])[0].models[0].usable is False
    assert xaimed("models", "describe", "Lungs", "CNN")[1] == "New words.\n"
    approve(folder / "Lungs" / "CNN")
    err = xaimed("models", "describe", "Lungs", "CNN", "--description", "Others.", "--yes")[2]
    assert err.endswith("approved: Lungs/CNN\n")
    assert list_tasks([folder])[0].models[0].usable is True


def test_show_makes_everything_safe(xaimed: Run, folder: Path, parts: Path) -> None:
    (parts / "evil.txt").write_bytes(b"\x1b]52;c;aGk=\x07 \xe2\x80\xae words")
    toml = '[intended_use]\nstatement = "\\u001b[2J"\n[output]\nclasses = ["a\\u202e", "b"]\n'
    (parts / "evil.toml").write_text(toml)
    more = ["--description", parts / "evil.txt", "--model-toml", parts / "evil.toml"]
    assert xaimed("models", "add", "Lungs", "CNN", *arguments(parts), *more)[0] == 0
    for extra in ([], ["--json"]):
        _, out, _ = xaimed("models", "show", "Lungs", *extra)
        assert not set(out) & set("\x1b\x07\u202e")
        assert out.isascii() or not extra


def test_a_model_is_added_to_a_bundled_task_and_shown_under_it_beside_the_bundled_ones(
    xaimed: Run, tmp_path: Path, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "package" / "Lungs" / "Theirs")
    monkeypatch.setattr(places, "bundled_tasks", lambda: tmp_path / "package")
    before = sorted(tmp_path.glob("package/**/*"))
    (parts / "bad.py").write_text("this is no Python")
    status, _, err = xaimed("models", "add", "Lungs", "Mine", *arguments(parts)[:2], "--architecture", parts / "bad.py")
    assert (status, "bad.py" in err) == (1, True)
    assert not (places.user_tasks() / "Lungs").exists()
    status, out, err = xaimed("models", "add", "Lungs", "Mine", *arguments(parts))
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"Added: Lungs/Mine in {places.user_tasks() / 'Lungs' / 'Mine'}."
    (task,) = json.loads(xaimed("tasks", "--json")[1])
    assert [model["model"] for model in task["models"]] == ["Mine", "Theirs"]
    assert sorted(tmp_path.glob("package/**/*")) == before
    status, _, err = xaimed("models", "add", "Lungs", "Theirs", *arguments(parts))
    assert (status, "there is a model of that name already" in err) == (1, True)
    assert xaimed("models", "remove", "Lungs", "Mine")[0] == 0
    (task,) = json.loads(xaimed("tasks", "--json")[1])
    assert [model["model"] for model in task["models"]] == ["Theirs"]
    assert xaimed("models", "restore", "Lungs", "Mine")[0] == 0
    (task,) = json.loads(xaimed("tasks", "--json")[1])
    assert [model["model"] for model in task["models"]] == ["Mine", "Theirs"]


def test_without_an_architecture_any_source_of_models_import_is_added(
    xaimed: Run, folder: Path, parts: Path, tmp_path: Path
) -> None:
    from torchvision.models import get_model

    torch.save({"net": get_model("shufflenet_v2_x0_5", num_classes=3).state_dict()}, tmp_path / "w.pt")
    more = ["--description", "Ten patients.", "--picture", parts / "confusion.png"]
    status, out, err = xaimed("models", "add", "Lungs", "CNN", "--weights", tmp_path / "w.pt", *more)
    assert (status, err) == (0, "")
    assert "By its tensors this is torchvision:shufflenet_v2_x0_5." in out
    bundle = read_bundle(folder / "Lungs" / "CNN")
    assert (bundle.runs_code, bundle.network.source) == (False, "torchvision:shufflenet_v2_x0_5")
    assert bundle.description.startswith("Ten patients.\n\nImported from w.pt (SHA-256 ")
    assert bundle.picture is not None
    add = ("models", "add", "Lungs", "Second", "--weights", tmp_path / "w.pt", "--network")
    status, _, err = xaimed(*add, "torchvision:shufflenet_v2_x1_0")
    assert (status, "the network lacks" in err) == (1, True)
    status, _, err = xaimed("models", "add", "Livers", "CNN", "--weights", tmp_path / "w.pt")
    assert (status, "there is no task 'Livers'" in err) == (1, True)
    assert models(folder) == ["CNN"]


def test_a_network_that_is_code_is_added_and_waits_for_its_approval(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Conv2d(3, 2, 224), torch.zeros(1, 3, 224, 224)).save(str(tmp_path / "net.pt"))
    status, out, err = xaimed("models", "add", "Lungs", "CNN", "--weights", tmp_path / "net.pt")
    assert (status, err) == (0, "")
    assert 'It does not run until its code is approved: xaimed trust "Lungs/CNN"' in out
    (entry,) = list_tasks([folder])[0].models
    assert (entry.usable, entry.bundle is not None and entry.bundle.runs_code) == (False, True)
