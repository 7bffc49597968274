"""The tasks on disk: which there are, and how a model is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories import approve

from engine.bundle.model_bundle import ModelBundle
from engine.errors import BundleError, TaskError
from engine.library import tasks
from engine.library.tasks import find_model, list_tasks


def add(folder: Path, task: str, *models: str, description: str = "") -> Path:
    """A task with models that can be read."""
    for name in models:
        model = folder / task / name
        model.mkdir(parents=True)
        (model / "weights.pt").write_bytes(b"weights")
        (model / "architecture.py").write_text("def build_model(): ...\n")
        (model / "description.txt").write_text(f"{task}, {name}")
        approve(model)
    (folder / task).mkdir(parents=True, exist_ok=True)
    if description:
        (folder / task / "task_description.txt").write_text(description)
    return folder / task


def test_tasks_and_models_are_listed_in_natural_order(tmp_path: Path) -> None:
    add(tmp_path, "task 10", "b2", "B1", "a10", "a9")
    add(tmp_path, "Task 9", description="Nine.")
    tasks = list_tasks([tmp_path])
    assert [(task.name, task.description) for task in tasks] == [("Task 9", "Nine."), ("task 10", "")]
    assert [model.name for model in tasks[1].models] == ["a9", "a10", "B1", "b2"]
    assert all(model.usable and model.reason == "" and model.task == "task 10" for model in tasks[1].models)


def test_what_is_hidden_or_no_folder_is_no_task_and_no_model(tmp_path: Path) -> None:
    task = add(tmp_path, "T", "M", "__pycache__", ".trash")
    (task / "notes.txt").touch()
    add(tmp_path, "__pycache__", "M")
    add(tmp_path, ".git", "M")
    (tmp_path / "README").touch()
    assert [[model.name for model in task.models] for task in list_tasks([tmp_path])] == [["M"]]


def test_tasks_of_one_name_are_one_and_the_earlier_folder_wins_where_models_have_one_name_too(tmp_path: Path) -> None:
    own, bundled = tmp_path / "own", tmp_path / "bundled"
    add(own, "T", "mine")
    add(own, "T", "both")
    add(bundled, "T", "both")
    add(bundled, "T", "theirs")
    add(bundled, "U", "other")
    (bundled / "T" / "task_description.txt").write_text("About T.")
    folders = [own, bundled]
    (own / "T" / "task_description.txt").unlink(missing_ok=True)
    task, other = list_tasks(folders)
    assert [model.path for model in task.models] == [own / "T" / "both", own / "T" / "mine", bundled / "T" / "theirs"]
    assert [model.name for model in other.models] == ["other"]
    assert (task.path, task.description) == (own / "T", "About T.")
    assert find_model(folders, "T", "both").path == own / "T" / "both"
    assert find_model(folders, "T", "theirs").path == bundled / "T" / "theirs"
    (own / "T" / "task_description.txt").write_text("My words.")
    assert list_tasks(folders)[0].description == "My words."
    with pytest.raises(TaskError, match="no model 'others'"):
        find_model(folders, "T", "others")


def test_a_missing_folder_is_skipped_among_several_and_an_error_alone(tmp_path: Path) -> None:
    add(tmp_path / "bundled", "T", "M")
    assert len(list_tasks([tmp_path / "own", tmp_path / "bundled"])) == 1
    for call in (list_tasks, lambda folders: find_model(folders, "T", "M")):
        with pytest.raises(TaskError, match="no such tasks folder") as caught:
            call([tmp_path / "own"])
        assert caught.value.subject == str(tmp_path / "own")
        with pytest.raises(TaskError, match="not a folder"):
            call([tmp_path / "bundled" / "T" / "M" / "weights.pt"])


def test_an_empty_folder_has_no_tasks(tmp_path: Path) -> None:
    assert list_tasks([tmp_path]) == ()
    with pytest.raises(TaskError, match="nor any other"):
        find_model([tmp_path], "T", None)


def test_a_broken_model_stays_listed_with_its_description_and_the_reason(tmp_path: Path) -> None:
    task = add(tmp_path, "T", "good", "bad", "bare")
    (task / "bad" / "model.toml").write_text("[input]\nsise = 1\n")
    (task / "bad" / "description.png").write_bytes(b"picture")
    (task / "bare" / "weights.pt").unlink()
    bad, bare, good = list_tasks([tmp_path])[0].models
    assert (bad.usable, bad.bundle, good.usable) == (False, None, True)
    assert bad.reason == "model.toml: [input] has no key 'sise'; did you mean 'size'?"
    assert bad.description == "T, bad"
    assert bad.picture == task / "bad" / "description.png"
    assert (
        bare.reason
        == "There is neither weights.pt nor weights.safetensors, model.onnx or model.torchscript; add the weights."
    )
    with pytest.raises(BundleError, match="sise"):
        find_model([tmp_path], "T", "bad")


def test_the_only_model_need_not_be_named(tmp_path: Path) -> None:
    add(tmp_path, "one", "M")
    add(tmp_path, "two", "M", "N")
    add(tmp_path, "none")
    assert find_model([tmp_path], "one", None).name == "M"
    with pytest.raises(TaskError, match="two: the task has 2 models; choose one of 'M', 'N'"):
        find_model([tmp_path], "two", None)
    with pytest.raises(TaskError, match="none: the task has no models"):
        find_model([tmp_path], "none", None)


@pytest.mark.parametrize(
    ("task", "model", "message"),
    [
        (
            "ihc stain",
            "CNN",
            "there is no task 'ihc stain'.*; did you mean 'IHC Stain'\\? There are 'HIS', 'IHC Stain'",
        ),
        ("zzz", "CNN", "there is no task 'zzz'.*; there are 'HIS', 'IHC Stain'"),
        (
            "IHC Stain",
            "cnn",
            "no model 'cnn' in the task IHC Stain; did you mean 'CNN'\\? There is only 'CNN'",
        ),
        ("../IHC Stain", "CNN", "there is no task"),
        ("IHC Stain/CNN", None, "there is no task"),
        ("IHC Stain", "../IHC Stain/CNN", "there is no model"),
        ("", "CNN", "there is no task ''"),
    ],
)
def test_names_are_compared_exactly_and_close_ones_suggested(
    tmp_path: Path, task: str, model: str | None, message: str
) -> None:
    add(tmp_path, "IHC Stain", "CNN")
    add(tmp_path, "HIS", "CNN")
    with pytest.raises(TaskError, match=message):
        find_model([tmp_path], task, model)


RENAME = "; rename its folder, or remove it by the name that is shown here."


@pytest.mark.parametrize(
    ("task", "model", "reason"),
    [
        (
            "T",
            "a\nb",
            "The name of the model contains a character that cannot be seen, or the sign for one",
        ),
        (
            "T\u202e",
            "M",
            "The name of the task contains a character that cannot be seen, or the sign for one",
        ),
        (
            "T",
            "x" * 150,
            "The name of the model is longer than 100 characters or 200 bytes",
        ),
    ],
)
def test_a_name_that_will_not_do_is_listed_and_refused(tmp_path: Path, task: str, model: str, reason: str) -> None:
    add(tmp_path, task, model)
    ((entry,),) = (task.models for task in list_tasks([tmp_path]))
    assert (entry.name, entry.usable, entry.reason, entry.description) == (
        model,
        False,
        f"{reason}{RENAME}",
        f"{task}, {model}",
    )
    with pytest.raises(BundleError, match="rename its folder"):
        find_model([tmp_path], task, None)


def test_a_model_that_is_a_link_out_of_the_tasks_folder_is_listed_and_refused(tmp_path: Path) -> None:
    add(tmp_path / "elsewhere", "T", "M")
    task = add(tmp_path / "tasks", "T", "own")
    (task / "M").symlink_to(tmp_path / "elsewhere" / "T" / "M")
    (task / "same").symlink_to("own")
    linked, own, same = list_tasks([tmp_path / "tasks"])[0].models
    assert linked.reason == "This is a link that leads out of the tasks folder; put a copy in its place."
    assert (own.usable, same.usable) == (True, True)
    with pytest.raises(BundleError, match="link"):
        find_model([tmp_path / "tasks"], "T", "M")
    (tmp_path / "tasks" / "whole").symlink_to(tmp_path / "elsewhere" / "T")
    assert not list_tasks([tmp_path / "tasks"])[1].models[0].usable


def test_names_from_the_disk_are_safe_in_errors(tmp_path: Path) -> None:
    add(tmp_path, "\x1b[2Jevil", "M")
    with pytest.raises(TaskError) as caught:
        find_model([tmp_path], "T", None)
    assert "\x1b" not in caught.value.message
    assert "␛[2Jevil" in caught.value.message


def test_a_model_that_makes_its_reader_fault_is_broken_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tmp_path, "Task", "A", "B", "C")
    read = tasks.read_bundle

    def faulty(path: Path, *, task: str | None = None) -> ModelBundle:
        if path.name == "B":
            raise RuntimeError("no\x1b[2J")
        return read(path, task=task)

    monkeypatch.setattr(tasks, "read_bundle", faulty)
    (task,) = list_tasks([tmp_path])
    assert [(model.name, model.state) for model in task.models] == [("A", "usable"), ("B", "broken"), ("C", "usable")]
    assert task.models[1].reason == "Reading it failed: RuntimeError: no␛[2J."
