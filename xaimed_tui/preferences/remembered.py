"""What the app remembers from one start to the next: the last task, model, folder and image, and those before them."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from engine.storage.documents import parse_json
from engine.storage.reading import UnusableFileError, read_limited
from engine.text import safe_text

log = logging.getLogger("xaimed.memory")

MOST_RECENT = 12
"""Folders and images that are remembered."""

_LARGEST = 1_000_000
"""Bytes; the app never writes a larger file."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Where the app was left.

    Attributes:
        task, model: names of the task and the model in use; empty if there was none.
        folder, image: the image folder and the file in it; empty if there was none. Like all paths here they are
            absolute, and names that are not UTF-8 survive.
        theme: the theme chosen in the app; empty if none was.
        display, colormap, opacity (in percent): how maps were shown; empty or None if no key has changed it.
        folders, images: those opened, the last one first.
    """

    task: str = ""
    model: str = ""
    folder: str = ""
    image: str = ""
    theme: str = ""
    display: str = ""
    colormap: str = ""
    opacity: int | None = None
    folders: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def at(self, folder: Path | None, image: Path | None) -> Remembered:
        """Return a copy with another folder and image, which become the last ones opened."""
        return replace(
            self,
            folder=str(folder or ""),
            image=str(image or ""),
            folders=_first(folder, self.folders),
            images=_first(image, self.images),
        )


class StateFile:
    """Keeps what the app remembers in a file; changes are written when `write` is called.

    Args:
        path: the file; None forgets everything when the app ends.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.problem = ""
        """What was wrong with the file, in one safe line; empty if all is well."""
        self.now = self._written = self._read() if path is not None else Remembered()

    @property
    def changed(self) -> bool:
        """Whether there is something to write."""
        return self._path is not None and self.now != self._written

    def write(self) -> None:
        """Write what has changed, whole or not at all; if that fails, the log says why. May be called in any thread."""
        with self._lock:
            # Taken once: the app may remember something else while this is written.
            now = self.now
            if self._path is None or now == self._written:
                return
            content = {"version": 1, **{key.name: getattr(now, key.name) for key in fields(now)}}
            try:
                from engine.storage.writing import replace_file  # late: the first paint would wait for it

                # ASCII: JSON's escapes keep the surrogates that stand for bytes of names that are not UTF-8.
                replace_file(self._path, (json.dumps(content, indent=1) + "\n").encode("ascii"))
            except OSError as error:
                log.warning("%s cannot be written: %s", self._path, error)
            self._written = now  # even after an error: otherwise each step would try a full disk again

    def _read(self) -> Remembered:
        path = self._path
        assert path is not None
        try:
            if not os.path.lexists(path):
                return Remembered()
            return _from(parse_json(read_limited(path, _LARGEST)))
        except UnusableFileError as error:
            self._set_aside(f"cannot be read: {error.cause}")
        except ValueError:
            self._set_aside("not what XAIMed wrote there")
        return Remembered()

    def _set_aside(self, reason: str) -> None:
        path = self._path
        assert path is not None
        aside = path.with_name(f"{path.stem}-unreadable{path.suffix}")
        try:
            # The next write would replace it, and with it whatever a person could still save from it.
            path.replace(aside)
            done = f"it was set aside as {aside.name}"
        except OSError as error:
            done = f"it cannot be set aside: {(error.strerror or str(error)).lower()}"
        self.problem = safe_text(f"{path}: {reason}; {done}", limit=400)


def _first(path: Path | None, paths: tuple[str, ...]) -> tuple[str, ...]:
    if path is None:
        return paths
    return (str(path), *(other for other in paths if other != str(path)))[:MOST_RECENT]


def _from(content: object) -> Remembered:
    """Return what a file says.

    Raises:
        ValueError: the file says something that this version does not write.
    """
    if not isinstance(content, Mapping) or content.get("version") != 1:
        raise ValueError("no version 1")
    values = {key.name: content.get(key.name, key.default) for key in fields(Remembered)}
    for name, value in values.items():
        if name in ("folders", "images"):
            if not isinstance(value, list | tuple) or not all(isinstance(path, str) for path in value):
                raise ValueError(name)
            values[name] = tuple(value[:MOST_RECENT])
        elif name == "opacity":
            # Not `isinstance`: JSON's true is an int as well.
            if value is not None and type(value) is not int:
                raise ValueError(name)
        elif not isinstance(value, str):
            raise ValueError(name)
    return Remembered(**values)


@dataclass(frozen=True, slots=True)
class Opening:
    """What to open when the app starts.

    Attributes:
        task, model: to load; without a model the task's first usable one, without a task none.
        folder, image: to show; without a folder the model's samples.
    """

    task: str | None = None
    model: str | None = None
    folder: Path | None = None
    image: Path | None = None


def opening(last: Remembered, *, task: str | None, model: str | None, folder: Path | None) -> Opening:
    """Return what to open, given what the command line names.

    Another task than last time starts with its samples; a folder without a task is opened with the last model.
    """
    if task is None and last.task:
        task, model = last.task, last.model or None
    same = task is not None and (task, model or last.model) == (last.task, last.model)
    if folder is None and same and last.folder:
        return Opening(task, model, Path(last.folder), Path(last.image) if last.image else None)
    return Opening(task, model, None if folder is None else folder.absolute())
