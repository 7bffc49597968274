"""Which images a folder holds, by name only."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ImageError
from engine.storage.reading import natural_key
from engine.text import safe_text

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
"""Suffixes of the formats that are read, in lower case."""

DICOM_SUFFIXES = (".dcm", ".dicom")

FIRST_AFTER = 0.05
"""Seconds after which the first names are handed out."""

_NEXT_AFTER = 0.5
_PAUSE_AFTER = 256
_PAUSE = 0.001
"""Seconds for which other threads go first, after so many names: the interpreter alone would let them wait longer."""
_PIECE = 2000
_KEY_ENDS = "\0\0"
"""Between a name's key and the name in one string, which sorts as both do and in a third of the time."""
_PROBES = 10_000
_LISTED = SUFFIXES + DICOM_SUFFIXES


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that is listed as an image; whether it is one, and compliant, is another question.

    Attributes:
        path: the file; names that are not UTF-8 survive in it (`os.fsencode` gives the bytes).
        name: its name, safe to show.
    """

    path: Path
    name: str


def list_images(folder: Path) -> tuple[ImageFile, ...]:
    """The images in a folder, in natural order; see `scan_images`.

    Raises:
        ImageError: the folder is not there, is not a folder, or cannot be read.
    """
    names: list[str] = []
    for names in scan_images(folder):  # noqa: B007 - the last is whole
        pass
    return tuple(ImageFile(folder / name, shown_name(name)) for name in names)


def scan_images(folder: Path) -> Iterator[list[str]]:
    """The names of the images in a folder: regular files with an image's suffix, and DICOM files.

    DICOM files cannot be read yet; they are listed so that `why_not_compliant` can say so. Files without a suffix are
    listed if they carry DICOM's mark at byte 128; after 10,000 such looks the others are listed unseen. Hidden files,
    sub-folders, pipes, devices and links that lead nowhere are left out.

    Yields:
        The names found so far in natural order: after `FIRST_AFTER` seconds, then now and then; the last is whole.

    Raises:
        ImageError: the folder is not there, is not a folder, or cannot be read.
    """
    found: list[str] = []
    fresh: list[str] = []
    due = time.monotonic() + FIRST_AFTER
    with _readable(folder), os.scandir(folder) as entries:
        for name in _names(entries):
            fresh.append(_KEY_ENDS.join(natural_key(name)))
            if len(fresh) % _PAUSE_AFTER:
                continue
            time.sleep(_PAUSE)
            if time.monotonic() > due:
                begin = time.monotonic()
                found, names = _merged(found, fresh)
                fresh = []
                yield names
                now = time.monotonic()
                due = now + max(_NEXT_AFTER, 4 * (now - begin))  # so that sorting takes a fifth of the time at most
    yield _merged(found, fresh)[1]


def _names(entries: Iterator[os.DirEntry[str]]) -> Iterator[str]:
    probes = 0
    for entry in entries:
        name = entry.name
        if name.startswith("."):
            continue
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - three times as fast as Path.suffix
        if suffix and suffix not in _LISTED:
            continue
        try:
            if not entry.is_file():
                continue
        except OSError:  # a link that cannot be followed
            continue
        if not suffix:
            probes += 1
            if probes <= _PROBES and not _is_dicom(entry.path):
                continue
        yield name


def _merged(found: list[str], fresh: list[str]) -> tuple[list[str], list[str]]:
    """Both in order, and the names alone; `found` is in order already.

    A program merges them, which lets other threads in at any time.
    """
    merged: list[str] = []
    names: list[str] = []
    ordered = heapq.merge(found, _ordered(fresh))
    while some := list(itertools.islice(ordered, _PIECE)):
        merged += some
        names += [key.rpartition(_KEY_ENDS)[2] for key in some]
        time.sleep(_PAUSE)
    return merged, names


def _ordered(keys: list[str]) -> list[str]:
    """In order. Sorting keeps all other threads out: it is done in pieces, two of which in order are quickly one."""
    if len(keys) <= _PIECE:
        ordered = sorted(keys)
    else:
        middle = len(keys) // 2
        ordered = _ordered(keys[:middle]) + _ordered(keys[middle:])
        ordered.sort()
    time.sleep(_PAUSE)
    return ordered


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ImageError("there is no such folder", subject=folder, remedy="choose another folder") from error
    except NotADirectoryError as error:
        raise ImageError("this is not a folder", subject=folder, remedy="choose the folder it lies in") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ImageError(
            f"the folder cannot be read: {(reason or str(error)).lower()}",
            subject=folder,
            remedy="ask for permission to read it, or choose another folder",
        ) from error


def is_listed(name: str) -> bool:
    """Whether a file of this name may be an image."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - as above
    return not name.startswith(".") and (not suffix or suffix in _LISTED)


def shown_name(name: str) -> str:
    """A file's name, safe to show."""
    # Most names need nothing; this keeps 100,000 of them quick.
    return name if name.isascii() and name.isprintable() else safe_text(name)


def _is_dicom(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        return os.read(descriptor, 132)[128:] == b"DICM"
    except OSError:
        return False
    finally:
        os.close(descriptor)
