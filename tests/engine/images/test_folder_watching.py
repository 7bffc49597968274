"""Watching an image folder: what happens there is told, and it ends when it is asked to."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.images import watching
from engine.images.watching import FolderChange, watch_folder


@contextmanager
def watched(folder: Path) -> Iterator[Callable[[Callable[[FolderChange], bool]], FolderChange]]:
    """A function that waits for a change for which something holds."""
    changes: queue.Queue[FolderChange] = queue.Queue()
    stop = threading.Event()

    def work() -> None:
        for change in watch_folder(folder, stop):
            changes.put(change)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def wait(what: Callable[[FolderChange], bool]) -> FolderChange:
        while True:
            change = changes.get(timeout=15)
            if what(change):
                return change

    wait(lambda change: change == FolderChange())
    try:
        yield wait
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def test_a_file_that_comes_and_one_that_goes_are_told(tmp_path: Path) -> None:
    with watched(tmp_path) as wait:
        (tmp_path / "a.png").write_bytes(b"x")
        wait(lambda change: change.listing)
        (tmp_path / "a.png").unlink()
        wait(lambda change: change.listing)


def test_a_file_whose_content_changes_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")
    with watched(tmp_path) as wait:
        (tmp_path / "b.png").touch()
        wait(lambda change: change.listing)  # it is watching by now
        (tmp_path / "notes.txt").write_bytes(b"xy")
        (tmp_path / "a.png").write_bytes(b"xy")
        assert wait(lambda change: "a.png" in change.modified).modified == {"a.png"}


def test_a_file_that_another_takes_the_place_of_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with watched(tmp_path) as wait:
        (tmp_path / "b.png").touch()
        wait(lambda change: change.listing)  # it is watching by now
        (tmp_path / ".a.part").write_bytes(b"xy")
        (tmp_path / ".a.part").replace(tmp_path / "a.png")
        assert "a.png" in wait(lambda change: bool(change.modified - {"b.png"})).modified


def test_a_folder_that_goes_and_comes_back_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    with watched(folder) as wait:
        shutil.rmtree(folder)
        wait(lambda change: not change.there)
        folder.mkdir()
        (folder / "a.png").touch()
        assert wait(lambda change: change.there).listing


def test_what_no_event_told_is_told_by_the_folder_s_own_time(tmp_path: Path) -> None:
    stop = threading.Event()
    before = watching._stamp(tmp_path)
    assert before is not None
    (tmp_path / "a.png").touch()  # before the watching begins
    change, _ = next(watching._events(tmp_path, stop, before, polling=False))
    assert change == FolderChange(listing=True)


def test_without_events_from_the_system_the_folder_is_looked_at_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    original, polled = watchfiles.watch, []

    def no_events(*arguments: object, force_polling: bool | None, **options: object) -> object:
        polled.append(force_polling)
        if not force_polling:
            raise OSError(28, "inotify watch limit reached")
        return original(*arguments, force_polling=True, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(watchfiles, "watch", no_events)
    with watched(tmp_path) as wait:
        (tmp_path / "a.png").touch()
        wait(lambda change: change.listing)
    assert polled == [None, True]
