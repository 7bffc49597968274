"""The trash of a tasks folder: what was removed from the folder can be restored until the trash is emptied.

It is the folder `.trash` beside the tasks, so that removing and restoring are renames: they happen whole or not at all.
What was removed is in `.trash/<time>.task/<task>` or `.trash/<time>.model/<task>/<model>`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import LibraryError
from engine.library.names import name_problem
from engine.storage.deleting import OTHER_MOUNT, Left, delete, mounts_below
from engine.storage.writing import flush_folder

TRASH = ".trash"

_ENTRY = re.compile(r"([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)\.(task|model)")
_LEAVING = ".leaving."
"""Prefix of an entry that is being deleted, which can no longer be restored."""


@dataclass(frozen=True, slots=True)
class Removed:
    """A task or model that was removed, or a bundled one that was hidden.

    Attributes:
        task, model: as they were named; `model` is None for a task.
        time: when, in UTC, as `20260131T235959.123456Z`.
        path: where it is in the trash; None for what was only hidden.
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
        """The time as ISO 8601 with seconds."""
        t = self.time
        return f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[9:11]}:{t[11:13]}:{t[13:15]}Z"


def now() -> str:
    """Return the time in the form of `Removed.time`, which sorts as text in the order of time."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def put_away(folder: Path, place: Path, task: str, model: str | None) -> Removed:
    """Move a task or model of a tasks folder into its trash. The caller holds the folder's lock.

    Args:
        folder: the tasks folder.
        place: the task's or model's folder.
        task, model: the names, both allowed, that it gets in the trash.

    Raises:
        OSError: it could not be moved, and is where it was.
        LibraryError: the trash is not a folder.
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
    """Move something from the trash to a free place. The caller holds the folder's lock.

    Raises:
        OSError: it could not be moved, and is still in the trash.
    """
    assert removed.path is not None, "what is hidden is not in the trash"
    removed.path.rename(place)
    flush_folder(place.parent)
    _remove_empty(removed.path.parent if removed.model is None else removed.path.parents[1])


def in_trash(folder: Path) -> tuple[Removed, ...]:
    """Return what can be put back into a tasks folder, the last removed first; names that are not allowed are left out.

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


def delete_for_good(removed: Removed) -> tuple[Left, ...]:
    """Delete something from the trash for good. If this is interrupted, `tidy` deletes the rest.

    Returns:
        What was left, and why: all of it if another file system is mounted in it.

    Raises:
        OSError: nothing of it could be deleted.
    """
    assert removed.path is not None, "what is hidden is not in the trash"
    if mounts := mounts_below(removed.path):
        return tuple(Left(mount, OTHER_MOUNT) for mount in mounts)
    entry = removed.path.parent if removed.model is None else removed.path.parents[1]
    # Renamed first: what is only half there must not be restored. What else lies in the entry stays.
    leaving = entry.with_name(f"{_LEAVING}{entry.name}.{secrets.token_hex(4)}")
    removed.path.rename(leaving)
    _remove_empty(entry)
    return delete(leaving)


def tidy(folder: Path) -> None:
    """Delete what interrupted changes left in the trash. The caller holds the folder's lock.

    Raises:
        OSError: the trash cannot be read.
    """
    for entry in _entries(folder):
        if entry.name.startswith(_LEAVING):
            delete(entry)
        elif _ENTRY.fullmatch(entry.name):
            _remove_empty(entry)


def _trash(folder: Path) -> Path:
    """Return the trash of a folder. It need not exist.

    Raises:
        LibraryError: something that is not a folder has its name.
    """
    trash = folder / TRASH
    if os.path.lexists(trash) and (trash.is_symlink() or not trash.is_dir()):
        raise LibraryError("this is not a folder, so nothing can be removed", subject=trash, remedy="delete it")
    return trash


def _entries(folder: Path) -> Iterator[Path]:
    trash = _trash(folder)
    if trash.is_dir():
        for path in list(trash.iterdir()):
            if path.name.startswith(_LEAVING) or (path.is_dir() and not path.is_symlink()):
                yield path


def _children(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if name_problem(path.name) is None and path.is_dir()]


def _remove_empty(entry: Path) -> None:
    """Remove a folder from the trash if there is nothing in it or in its subfolders."""
    with contextlib.suppress(OSError):
        for below in [path for path in entry.iterdir() if path.is_dir() and not path.is_symlink()]:
            with contextlib.suppress(OSError):
                below.rmdir()
        entry.rmdir()
