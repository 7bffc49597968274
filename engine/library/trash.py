"""The trash of a tasks folder: what was removed from it can be put back until the trash is emptied.

It is the folder `.trash` beside the tasks, so that removing and restoring are renames: whole or not at all.
What was removed at a time lies in `.trash/<time>.task/<task>` or `.trash/<time>.model/<task>/<model>`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import LibraryError
from engine.library.names import name_problem
from engine.storage.writing import flush_folder

TRASH = ".trash"

_ENTRY = re.compile(r"([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)\.(task|model)")
_LEAVING = ".leaving."
"""Beginning of the name of what is being deleted, which nobody can restore any more."""


@dataclass(frozen=True, slots=True)
class Removed:
    """A task or model that was removed, or a bundled one that was hidden.

    Attributes:
        task, model: as they were named; `model` is None for a task.
        time: when, in UTC, as `20260131T235959.123456Z`.
        path: where it lies in the trash; None for what was only hidden.
    """

    task: str
    model: str | None
    time: str
    path: Path | None

    @property
    def name(self) -> str:
        """`<task>` or `<task>/<model>`."""
        return self.task if self.model is None else f"{self.task}/{self.model}"

    @property
    def when(self) -> str:
        """The time as ISO 8601 in seconds."""
        t = self.time
        return f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[9:11]}:{t[11:13]}:{t[13:15]}Z"


def now() -> str:
    """The time as `Removed.time` has it; as text it sorts as time does."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def put_away(folder: Path, place: Path, task: str, model: str | None) -> Removed:
    """Move a task or model of a tasks folder into its trash. The caller holds the folder's lock.

    Args:
        folder: the tasks folder.
        place: the task's or model's folder.
        task, model: the names, which will do, under which it lies in the trash.

    Raises:
        OSError: it could not be moved, and is where it was.
        LibraryError: the trash is no folder.
    """
    time = now()
    entry = _trash(folder) / f"{time}.{'task' if model is None else 'model'}"
    target = entry / task if model is None else entry / task / model
    target.parent.mkdir(parents=True)
    try:
        place.rename(target)
    except OSError:
        _remove_empty(entry)
        raise
    flush_folder(target.parent)
    flush_folder(place.parent)
    return Removed(task, model, time, target)


def put_back(removed: Removed, place: Path) -> None:
    """Move what lies in the trash to a place that is free. The caller holds the folder's lock.

    Raises:
        OSError: it could not be moved, and is still in the trash.
    """
    assert removed.path is not None, "what is hidden is not in the trash"
    removed.path.rename(place)
    flush_folder(place.parent)
    _remove_empty(removed.path.parent if removed.model is None else removed.path.parents[1])


def in_trash(folder: Path) -> tuple[Removed, ...]:
    """What can be put back into a tasks folder, the last removed first; what is named as nothing may be is left out.

    Raises:
        OSError: the trash cannot be read.
    """
    found = []
    for entry in _entries(folder):
        if match := _ENTRY.fullmatch(entry.name):
            time, kind = match.groups()
            for task in _children(entry):
                if kind == "task":
                    found.append(Removed(task.name, None, time, task))
                else:
                    found += [Removed(task.name, model.name, time, model) for model in _children(task)]
    return tuple(sorted(found, key=lambda removed: (removed.time, removed.name), reverse=True))


def delete(removed: Removed) -> None:
    """Delete for good. What an interruption leaves of it cannot be restored and is deleted by `tidy`.

    Raises:
        OSError: it could not be deleted, or not all of it.
    """
    assert removed.path is not None, "what is hidden is not in the trash"
    entry = removed.path.parent if removed.model is None else removed.path.parents[1]
    leaving = entry.with_name(f"{_LEAVING}{entry.name}")
    entry.rename(leaving)
    shutil.rmtree(leaving)


def tidy(folder: Path) -> None:
    """Delete what interruptions left in the trash. The caller holds the folder's lock.

    Raises:
        OSError: the trash cannot be read.
    """
    for entry in _entries(folder):
        if entry.name.startswith(_LEAVING):
            shutil.rmtree(entry, ignore_errors=True)
        elif _ENTRY.fullmatch(entry.name):
            _remove_empty(entry)


def _trash(folder: Path) -> Path:
    """The trash of a folder, which need not exist.

    Raises:
        LibraryError: something else has its name.
    """
    trash = folder / TRASH
    if os.path.lexists(trash) and (trash.is_symlink() or not trash.is_dir()):
        raise LibraryError("this is not a folder, so nothing can be removed", subject=trash, remedy="delete it")
    return trash


def _entries(folder: Path) -> Iterator[Path]:
    trash = _trash(folder)
    if trash.is_dir():
        for path in list(trash.iterdir()):
            if path.is_dir() and not path.is_symlink():
                yield path


def _children(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if name_problem(path.name) is None and path.is_dir()]


def _remove_empty(entry: Path) -> None:
    """Remove a folder of the trash if there is nothing in it, nor in those below it."""
    with contextlib.suppress(OSError):
        for below in [path for path in entry.iterdir() if path.is_dir() and not path.is_symlink()]:
            with contextlib.suppress(OSError):
                below.rmdir()
        entry.rmdir()
