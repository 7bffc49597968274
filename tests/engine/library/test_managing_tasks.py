"""`xaimed tasks` with a verb: tasks are added, described, removed, restored and purged; nothing is lost half-way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command_line import Run
from factories import make_model
from harmful import HARM, assert_harmless
from hypothesis import given
from nasty_text import texts

from engine.errors import LibraryError
from engine.library import changes, trash
from engine.library.names import allowed_name, name_problem
from engine.library.tasks import list_tasks
from engine.storage import places
from engine.storage.reading import natural_key
from engine.text import safe_text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder in which tasks are looked for; it is not there yet."""
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    return tmp_path / "tasks"


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Bundled tasks beside the user's: one task with two models."""
    folder = tmp_path / "package"
    for name in ("A", "B"):
        make_model(folder / "Lungs" / name)
    monkeypatch.setattr(places, "bundled_tasks", lambda: folder)
    return folder


def listed() -> list[str]:
    """`<task>: <model> <model>` of every task that is shown."""
    folders = places.task_folders()
    try:
        tasks = list_tasks(folders)
    except Exception:
        assert not folders[0].exists()
        return []
    return [f"{task.name}: {' '.join(model.name for model in task.models)}".strip() for task in tasks]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_task_is_added_with_a_text_or_a_file_as_its_description(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Healthy or ill?\nÄrzte decide.", encoding="utf-8")
    status, out, err = xaimed("tasks", "add", "Lungs", "--description", "Two classes.")
    assert (status, err) == (0, "")
    assert out.startswith(f"Added the task Lungs in {folder / 'Lungs'}.")
    assert xaimed("tasks", "add", "Hearts", "--description", tmp_path / "words.txt")[0] == 0
    found = json.loads(xaimed("tasks", "--json")[1])
    assert [(task["task"], task["description"]) for task in found] == [
        ("Hearts", "Healthy or ill?\nÄrzte decide.\n"),
        ("Lungs", "Two classes.\n"),
    ]
    assert xaimed("tasks", "describe", "Hearts")[1] == "Healthy or ill?\nÄrzte decide.\n"


def test_a_new_task_goes_to_the_users_own_folder_unless_tasks_says_otherwise(xaimed: Run, tmp_path: Path) -> None:
    assert xaimed("tasks", "add", "Mine", "--description", "x")[0] == 0
    assert (places.user_tasks() / "Mine" / "task_description.txt").read_text() == "x\n"
    assert xaimed("--tasks", tmp_path / "other", "tasks", "add", "Theirs", "--description", "x")[0] == 0
    assert (tmp_path / "other" / "Theirs").is_dir()


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "a\x1b[2J", "a\u202eb", " a", "x" * 101])
def test_a_name_that_will_not_do_is_refused_in_one_line(xaimed: Run, folder: Path, name: str) -> None:
    for verb in (("add", name, "--description", "x"), ("remove", name), ("restore", name), ("describe", name)):
        status, out, err = xaimed("tasks", *verb)
        assert (status, out) == (1, "")
        assert err.count("\n") == 1
        assert "\x1b" not in err
    assert not folder.exists() or not [path for path in folder.iterdir() if path.is_dir() and path.name != ".trash"]


def test_a_name_that_is_taken_is_refused_and_the_task_stays_as_it_is(xaimed: Run, folder: Path) -> None:
    make_model(folder / "Lungs" / "CNN")
    before = content(folder / "Lungs")
    status, _, err = xaimed("tasks", "add", "Lungs", "--description", "x")
    assert status == 1
    assert "there is a task of that name already" in err
    (folder / "Empty").mkdir()  # onto which a rename would succeed
    assert xaimed("tasks", "add", "Empty", "--description", "x")[0] == 1
    assert content(folder / "Lungs") == before


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ("missing.txt", "missing.txt: there is no such file"),
        ("no/such/place", "no/such/place: there is no such file"),
        ("x" * 70_000, "the description: it has 70,000 bytes; at most 64,000 are kept"),
        ("\udcff bytes", "the description: it is not UTF-8 text"),
    ],
)
def test_a_description_that_cannot_be_kept_is_refused(xaimed: Run, folder: Path, description: str, said: str) -> None:
    status, _, err = xaimed("tasks", "add", "Lungs", "--description", description)
    assert status == 1
    assert said in err
    assert listed() == []


def test_a_description_in_a_file_that_is_no_text_or_too_long_is_refused(
    xaimed: Run, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_bytes(b"x" * 64_001)
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(tmp_path / "pipe.txt")
    for name, said in (("long", "64,001 bytes"), ("bytes", "not UTF-8"), ("pipe", "this is a pipe")):
        status, _, err = xaimed("tasks", "add", "Lungs", "--description", tmp_path / f"{name}.txt")
        assert (status, said in err) == (1, True), err
    assert listed() == []


def test_describing_replaces_the_description_of_ones_own_tasks_only(
    xaimed: Run, bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xaimed("tasks", "add", "Hearts", "--description", "old")
    assert xaimed("tasks", "describe", "Hearts", "--description", "new words")[0] == 0
    assert xaimed("tasks", "describe", "Hearts")[1] == "new words\n"
    before = content(bundled)
    status, _, err = xaimed("tasks", "describe", "Lungs", "--description", "new words")
    assert (status, "what comes with XAIMed cannot be changed" in err) == (1, True)
    assert content(bundled) == before


def test_what_was_removed_comes_back_byte_for_byte(xaimed: Run, folder: Path) -> None:
    make_model(folder / "Lungs" / "CNN")
    before = content(folder / "Lungs")
    status, out, err = xaimed("tasks", "remove", "Lungs")
    assert (status, err) == (0, "")
    assert f"in the trash, {folder / '.trash'}" in out
    assert listed() == []
    assert xaimed("tasks", "restore", "Lungs") == (0, "Restored: Lungs.\n", "")
    assert content(folder / "Lungs") == before
    assert trash.in_trash(folder) == ()
    assert list((folder / ".trash").iterdir()) == []


def test_of_several_removed_tasks_of_a_name_the_last_comes_back_first(xaimed: Run, folder: Path) -> None:
    for text in ("first", "second"):
        xaimed("tasks", "add", "Lungs", "--description", text)
        xaimed("tasks", "remove", "Lungs")
    assert len(json.loads(xaimed("tasks", "restore", "--json")[1])) == 2
    xaimed("tasks", "restore", "Lungs")
    assert xaimed("tasks", "describe", "Lungs")[1] == "second\n"
    status, _, err = xaimed("tasks", "restore", "Lungs")
    assert (status, "there is another one of that name now" in err) == (1, True)
    assert xaimed("tasks", "describe", "Lungs")[1] == "second\n"


def test_restoring_what_was_never_removed_names_what_was(xaimed: Run, folder: Path) -> None:
    assert "nothing can be restored" in xaimed("tasks", "restore", "Lungs")[2]
    xaimed("tasks", "add", "Lungs", "--description", "x")
    xaimed("tasks", "remove", "Lungs")
    assert "what was removed is Lungs" in xaimed("tasks", "restore", "Longs")[2]


def test_purging_deletes_only_what_is_in_the_trash_and_only_when_told_to(xaimed: Run, folder: Path) -> None:
    for name in ("A", "B", "C"):
        xaimed("tasks", "add", name, "--description", "x")
    xaimed("tasks", "remove", "A")
    xaimed("tasks", "remove", "B")
    status, _, err = xaimed("tasks", "purge")  # there is no terminal to ask on
    assert (status, "nothing was deleted" in err) == (1, True)
    assert len(trash.in_trash(folder)) == 2
    assert xaimed("tasks", "purge", "A", "--yes")[0] == 0
    assert [gone.task for gone in trash.in_trash(folder)] == ["B"]
    assert xaimed("tasks", "purge", "A", "--yes")[0] == 1
    assert xaimed("tasks", "purge", "--yes")[0] == 0
    assert xaimed("tasks", "purge", "--yes") == (0, "The trash is empty.\n", "")
    assert listed() == ["C:"]


def test_purging_does_not_follow_links(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    make_model(folder / "Lungs" / "CNN")
    (folder / "Lungs" / "CNN" / "link").symlink_to(tmp_path / "precious")
    (folder / "Out").symlink_to(tmp_path / "precious")
    xaimed("tasks", "remove", "Lungs")
    assert xaimed("tasks", "remove", "Out")[0] == 0
    assert xaimed("tasks", "purge", "--yes")[0] == 0
    assert (tmp_path / "precious" / "file").exists()
    assert listed() == []


def test_a_bundled_task_is_hidden_not_harmed_and_comes_back_by_the_same_command(xaimed: Run, bundled: Path) -> None:
    before = content(bundled)
    status, out, err = xaimed("tasks", "remove", "Lungs")
    assert (status, err) == (0, "")
    assert "hidden, since it comes with XAIMed" in out
    assert listed() == []
    assert content(bundled) == before
    status, _, err = xaimed("predict", "x.png", "--task", "Lungs")
    assert (status, "the task is hidden; bring it back with xaimed tasks restore" in err) == (1, True)
    status, _, err = xaimed("tasks", "describe", "Lungs")
    assert (status, "the task is hidden; bring it back with xaimed tasks restore" in err) == (1, True)
    assert xaimed("tasks", "restore", "Lungs") == (0, "Restored: Lungs.\n", "")
    assert listed() == ["Lungs: A B"]


def test_a_bundled_model_can_be_hidden_alone(bundled: Path) -> None:
    folders = places.task_folders()
    changes.remove(folders, "Lungs", "A")
    assert listed() == ["Lungs: B"]
    make_model(places.user_tasks() / "Lungs" / "A")  # one's own of that name is not hidden
    assert listed() == ["Lungs: A B"]
    changes.remove(folders, "Lungs")
    assert listed() == ["Lungs: B"]
    changes.restore(folders, "Lungs", "A")
    assert listed() == ["Lungs: A B"]


def test_the_folder_of_the_bundled_tasks_is_not_changed_even_if_it_is_named(xaimed: Run, bundled: Path) -> None:
    before = sorted(bundled.rglob("*"))
    for verb in (
        ("add", "New", "--description", "x"),
        ("remove", "Lungs"),
        ("describe", "Lungs", "--description", "x"),
    ):
        status, _, err = xaimed("--tasks", bundled, "tasks", *verb)
        assert (status, "what comes with XAIMed cannot be changed" in err) == (1, True), verb
    assert sorted(bundled.rglob("*")) == before


def test_a_damaged_list_of_hidden_tasks_hides_nothing(xaimed: Run, bundled: Path) -> None:
    changes.remove(places.task_folders(), "Lungs")
    for damage in (b"", b"[1]", b"{", b"\xff", b'{"Lungs": 1}'):
        places.hidden().write_bytes(damage)
        assert listed() == ["Lungs: A B"]
    changes.remove(places.task_folders(), "Lungs")
    assert listed() == []


def test_an_interrupted_addition_leaves_nothing_that_is_listed_and_the_next_change_cleans_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = folder / f".xaimed-00000000-1-{'0' * 16}.partial"  # as kill -9 leaves it
    left.mkdir(parents=True)
    (left / "task_description.txt").touch()
    os.utime(left, (0, 0))
    assert listed() == []
    with monkeypatch.context() as broken:

        def fail(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        broken.setattr(changes, "replace_file", fail)
        with pytest.raises(LibraryError, match="no space left on device; nothing was added"):
            changes.add_task([folder], "Lungs", "x")
    assert listed() == []
    assert not list(folder.glob(".xaimed-*"))


def test_an_interrupted_purge_is_not_restorable_and_is_finished_by_the_next_change(
    xaimed: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xaimed("tasks", "add", "A", "--description", "x")
    xaimed("tasks", "remove", "A")
    with monkeypatch.context() as broken:

        def die(path: Path) -> None:
            raise KeyboardInterrupt

        broken.setattr(trash, "delete", die)
        with pytest.raises(KeyboardInterrupt):
            changes.purge([folder], trash.in_trash(folder))
    assert trash.in_trash(folder) == ()
    assert list((folder / ".trash").iterdir()) != []
    xaimed("tasks", "add", "B", "--description", "x")
    assert list((folder / ".trash").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said_in_one_line(xaimed: Run, folder: Path) -> None:
    make_model(folder / "Lungs" / "CNN")
    folder.chmod(0o500)
    try:
        for verb in (("add", "New", "--description", "x"), ("remove", "Lungs")):
            status, _, err = xaimed("tasks", *verb)
            assert (status, "permission denied" in err, err.count("\n")) == (1, True, 1)
    finally:
        folder.chmod(0o700)
    assert listed() == ["Lungs: CNN"]


def test_a_trash_that_leads_elsewhere_is_refused(xaimed: Run, folder: Path, tmp_path: Path) -> None:
    make_model(folder / "Lungs" / "CNN")
    (tmp_path / "elsewhere").mkdir()
    (folder / ".trash").symlink_to(tmp_path / "elsewhere")
    status, _, err = xaimed("tasks", "remove", "Lungs")
    assert (status, "this is not a folder, so nothing can be removed" in err) == (1, True)
    assert listed() == ["Lungs: CNN"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_task_of_ones_own_beside_a_bundled_one_is_removed_first(xaimed: Run, bundled: Path) -> None:
    make_model(places.user_tasks() / "Lungs" / "Mine")
    assert listed() == ["Lungs: A B Mine"]
    status, out, _ = xaimed("tasks", "remove", "Lungs")
    assert (status, listed()) == (0, ["Lungs: A B"])
    assert out.splitlines()[1] == "The part of Lungs that comes with XAIMed is still shown; remove it, too, to hide it."
    assert xaimed("tasks", "remove", "Lungs")[1].count("\n") == 1
    assert listed() == []


@pytest.mark.parametrize("name", [f"a{HARM}", " a", "x" * 150, "ä" * 101, "⟨U+202E⟩", "a\\b", "a\nb"])
def test_what_has_a_name_that_will_not_do_is_removed_by_what_is_shown_and_comes_back_under_one_that_will(
    xaimed: Run, folder: Path, name: str
) -> None:
    make_model(folder / "Lungs" / name)
    make_model(folder / name / "Model")
    make_model(folder / "Lungs" / "Model")
    reasons = [model.reason for task in list_tasks([folder]) for model in task.models]
    assert sum("remove it by the name that is shown here" in reason for reason in reasons) == 2
    for verb in (["models", "remove", "Lungs"], ["tasks", "remove"]):
        status, out, err = xaimed(*verb, safe_text(name))
        assert (status, err) == (0, "")
        assert_harmless(out.encode(), seen=False)
    assert listed() == ["Lungs: Model"]
    gone, model = changes.removed([folder])
    assert name_problem(gone.task) is None
    assert (model.task, model.model) == ("Lungs", gone.task)
    changes.restore([folder], gone.task)
    changes.restore([folder], "Lungs", gone.task)
    both = " ".join(sorted(("Model", gone.task), key=natural_key))
    assert sorted(listed()) == sorted([f"Lungs: {both}", f"{gone.task}: Model"])
    status, _, err = xaimed("tasks", "remove", "no such")
    assert (status, err.startswith("xaimed: there is no task 'no such'")) == (1, True)


@given(texts)
def test_any_name_can_be_mended(name: str) -> None:
    assert name_problem(allowed_name(name)) is None
    if name_problem(name) is None:
        assert allowed_name(name) == name
