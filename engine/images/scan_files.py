"""Files of DICOM frames and NIfTI slices as they are opened, and what is kept of them as long as they stay the same."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from engine.errors import ImageError
from engine.images.header import SMALLER
from engine.storage.reading import UnusableFileError, open_regular

MOST_BYTES = 4 * 10**9
"""The most bytes that a file may have. Only its header and what is asked for of its content are read."""

Key = tuple[str, int, int, int]
"""A file's path, number, size and time: another one if it is written again."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ScanFile:
    """An open file.

    Attributes:
        file: at its beginning.
        size: in bytes.
        key: what tells whether it is still the same.
    """

    file: BinaryIO
    size: int
    key: Key


@contextmanager
def opened_scan(place: Path, path: Path) -> Iterator[ScanFile]:
    """Open a file.

    Args:
        place: where it lies.
        path: as it was named, for errors.

    Raises:
        ImageError: it cannot be opened, is empty or too long.
    """
    try:
        descriptor = open_regular(place)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        state = os.fstat(descriptor)
        if state.st_size == 0:
            raise ImageError("the file is empty", subject=path, remedy="export the image again", code="empty")
        if state.st_size > MOST_BYTES:
            said = f"the file has {state.st_size:,} bytes; at most {MOST_BYTES:,} are read"
            raise ImageError(said, subject=path, remedy=SMALLER, code="too-large")
        yield ScanFile(file, state.st_size, key_of(place, state))


def key_of(place: Path, state: os.stat_result) -> Key:
    """Return what tells whether a file is still the same, by its state."""
    return os.fspath(place), state.st_ino, state.st_size, state.st_mtime_ns


def beginning_of(place: Path, count: int) -> bytes:
    """Return a file's first bytes, at most so many; none if it cannot be read."""
    try:
        descriptor = open_regular(place)
    except UnusableFileError:
        return b""
    try:
        return os.read(descriptor, count)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


class Kept(Generic[_Value]):
    """The values that were asked for last; threads may share it.

    Args:
        most: how much is kept.
        weight: how much of that a value takes.
    """

    def __init__(self, most: int, weight: Callable[[_Value], int] = lambda value: 1) -> None:
        self.most = most
        self._weight = weight
        self._values: OrderedDict[Hashable, _Value] = OrderedDict()
        self._total = 0
        self._guard = threading.Lock()

    def find(self, key: Hashable) -> _Value | None:
        """Return what is kept under a key; None if nothing is."""
        with self._guard:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: Hashable, value: _Value) -> None:
        """Keep a value, and no longer those that were not asked for the longest if there are too many."""
        with self._guard:
            if (before := self._values.pop(key, None)) is not None:
                self._total -= self._weight(before)
            self._values[key] = value
            self._total += self._weight(value)
            while self._total > self.most:
                self._total -= self._weight(self._values.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._values.clear()
            self._total = 0
