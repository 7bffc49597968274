"""Files of our own whose writer was killed: whole or as before, and nothing hidden stays beyond the next start."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import make_model

from engine.bundle.model_bundle import read_bundle
from engine.cli.main import run
from engine.storage import partial
from engine.storage.writing import make_file, replace_file
from engine.trust.permission import check_approved
from tests.torture import two_namespaces

OLD, NEW = b"old\n" * 9, b"new\n" * 400_000


def killed(write: Callable[[Path, bytes], None], path: Path, after: float) -> None:
    """Let a process write, and kill it after so many seconds."""
    pid = os.fork()
    if pid == 0:
        try:
            write(path, NEW)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def cut_short(path: Path) -> Path:
    """What a writer that was killed in the middle leaves of writing a file."""
    pid = os.fork()
    if pid == 0:
        with partial.partial_file(path) as half:
            half.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    (left,) = [path.parent / name for name in hidden(path.parent)]
    return left


@pytest.mark.parametrize("write", [replace_file, make_file])
def test_a_file_whose_writer_is_killed_is_whole_or_as_before_and_the_next_start_tidies_up(
    write: Callable[[Path, bytes], None], tmp_path: Path
) -> None:
    draw, states = random.Random(5), set()
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "file.json"
        if write is replace_file:
            path.write_bytes(OLD)
        killed(write, path, draw.uniform(0.0, 0.02))
        content = path.read_bytes() if path.exists() else None
        assert content in ((OLD, NEW) if write is replace_file else (None, NEW))
        states.add((content == NEW, bool(hidden(folder))))
        partial.remove_noted()
        assert hidden(folder) == []
        assert (path.read_bytes() if path.exists() else None) == content
    assert not partial.notes().exists() or not any(partial.notes().iterdir())
    assert len(states) > 1, "the moments differ"


def test_the_next_writing_removes_what_no_note_tells_of_and_leaves_what_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    left = cut_short(path)
    other = tmp_path / f"{left.name[:-5]}x.tmp"
    other.write_bytes(b"no name of ours")
    shutil.rmtree(partial.notes())
    with partial.partial_file(tmp_path / "a.json") as writing:
        assert not left.exists()
        writing.write_bytes(b"a second thread writes")
        replace_file(path, NEW)
        partial.remove_noted()
        assert writing.exists()
    assert path.read_bytes() == NEW
    assert hidden(tmp_path) == [other.name]


def test_a_link_or_a_folder_in_the_place_of_what_was_left_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    for make in (lambda left: left.symlink_to(kept / "file"), lambda left: kept.rename(left)):
        left = cut_short(tmp_path / "a.json")
        left.unlink()
        make(left)
        partial.remove_noted()
        (found,) = [path for path in tmp_path.rglob("file") if not path.is_symlink()]
        if left.is_symlink():
            left.unlink()
    assert found.parent == left


def test_what_is_left_in_a_model_folder_takes_its_approval_until_the_next_start(tmp_path: Path) -> None:
    model = make_model(tmp_path / "Task" / "Model", approved=True)
    left = cut_short(model / "model.toml")
    assert left.name in read_bundle(model).files
    assert run(["--tasks", str(tmp_path), "tasks"], open_app=lambda _: 9) == 0
    assert not left.exists()
    check_approved(read_bundle(model))


@pytest.mark.skipif(not two_namespaces.can_unshare(), reason="no PID namespaces here")
def test_two_savers_that_cannot_see_each_other_leave_each_other_alone(tmp_path: Path) -> None:
    found = two_namespaces.save_in_two(20, tmp_path)
    assert found == {"saved and whole": 40}


@pytest.mark.parametrize("taken", ["held", "gone"])
def test_a_partial_that_somebody_else_takes_for_abandoned_is_replaced_and_not_left(
    taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, leads_to = partial._lock, partial._leads_to
    tries = 0

    def first(answer: object, usual: Callable[..., object]) -> Callable[..., object]:
        def act(*arguments: object) -> object:
            nonlocal tries
            tries += 1
            return answer if tries == 1 else usual(*arguments)

        return act

    if taken == "held":
        monkeypatch.setattr(partial, "_lock", first("held", lock))
    else:
        monkeypatch.setattr(partial, "_leads_to", first(False, leads_to))
    with partial.partial_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []
    tries = 0
    with partial.partial_file(tmp_path / "file") as file:
        assert list(tmp_path.iterdir()) == [file]
    assert list(tmp_path.iterdir()) == []


def test_a_partial_that_cannot_be_opened_is_refused_with_the_reason_and_noted_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, removed = os.open, partial.delete

    def full(path: str | Path, *flags: int, **where: int) -> int:
        if isinstance(path, Path) and path.name.endswith(".partial"):
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(path, *flags, **where)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        patch.setattr(os, "supports_dir_fd", os.supports_dir_fd | {full})
        with pytest.raises(OSError, match="Too many open files"), partial.partial_folder(tmp_path):
            pass
        assert list(tmp_path.iterdir()) == list(partial.notes().iterdir()) == []
        patch.setattr(partial, "delete", lambda path: removed(path / "nothing"))
        with pytest.raises(OSError, match="Too many open files"), partial.partial_folder(tmp_path):
            pass
    (left,) = tmp_path.iterdir()
    assert [note.readlink() for note in partial.notes().iterdir()] == [left]
    partial.remove_noted()
    assert list(tmp_path.iterdir()) == list(partial.notes().iterdir()) == []
