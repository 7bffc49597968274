"""Lists the images in a folder by their names."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ImageError
from engine.images.dicom.recognising import START, is_dicom
from engine.images.dicom.series import SUFFIXES as DICOM_SUFFIXES
from engine.images.dicom.series import arranged, may_be_dicom
from engine.images.nifti.recognising import AXIAL, Plane, kind_of, may_be_volume
from engine.images.nifti.recognising import START as NIFTI_START
from engine.images.nifti.recognising import SUFFIXES as NIFTI_SUFFIXES
from engine.storage.reading import natural_key
from engine.text import safe_text

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
"""Suffixes of the formats that are read, in lower case."""

FIRST_AFTER = 0.05
"""Seconds after which `scan_images` yields the first names."""

_NEXT_AFTER = 0.5
_PAUSE_AFTER = 256
_PAUSE = 0.001
"""Seconds to sleep after so many names, so that other threads can run: the interpreter would keep them waiting."""
_PIECE = 2000
"""Names to sort or merge before the next pause."""
_KEY_ENDS = "\0\0"
"""Joins a name's key and the name into one string, which sorts as the pair does in a third of the time."""
_PROBES = 10_000
"""The most files without a suffix that are opened to see whether they begin as DICOM or NIfTI."""
_FOLDERS = 1000
"""The most folders that are looked into below one without images."""
_PROBED = ("", ".hdr")
"""Suffixes that tell too little: of these, only what begins as DICOM or NIfTI is listed."""
_LISTED = SUFFIXES + DICOM_SUFFIXES + NIFTI_SUFFIXES + _PROBED[1:]
_NO_SUFFIX = re.compile(r"\.[0-9]+")
"""What looks like a suffix and is the end of an identifier, after which devices name files."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file listed as an image. Whether it really is one, and is compliant, is not checked yet.

    Attributes:
        path: the file; names that are not UTF-8 survive in it (`os.fsencode` gives the bytes).
        name: its name, safe to show.
    """

    path: Path
    name: str


def list_images(folder: Path, planes: Collection[Plane] = AXIAL) -> tuple[ImageFile, ...]:
    """Return the images in a folder, in the order of `scan_images`.

    Args:
        folder: where they lie.
        planes: in which NIfTI volumes are cut; with none of them, a volume is listed as a whole.

    Raises:
        ImageError: the folder does not exist, is not a folder, or cannot be read.
    """
    names: list[str] = []
    for names in scan_images(folder, planes):  # noqa: B007 - the last list is complete
        pass
    return tuple(ImageFile(folder / name, shown_name(name)) for name in names)


def images_below(folder: Path, planes: Collection[Plane] = AXIAL) -> list[Path]:
    """Return all images in a folder and below it, not through links to folders, in a fixed order.

    Args:
        folder: where they lie; hidden folders are left out.
        planes: as in `list_images`.

    Raises:
        ImageError: the folder or one below it cannot be read.
    """
    files: list[Path] = []

    def refuse(error: OSError) -> None:
        # Left out silently, a patient would be missing. Listing the folder says why it cannot be read.
        list_images(Path(error.filename or folder))

    for place, inner, _ in os.walk(folder, onerror=refuse):
        inner[:] = sorted((name for name in inner if not name.startswith(".")), key=natural_key)
        files += [file.path for file in list_images(Path(place), planes)]
    return files


def scan_images(folder: Path, planes: Collection[Plane] = AXIAL, *, below_empty: bool = False) -> Iterator[list[str]]:
    """Yield the names of the images in a folder: regular files with an image's suffix, DICOM and NIfTI files.

    A file without a suffix is listed if it begins as DICOM or NIfTI; after 10,000 such files the rest are listed
    unopened. Hidden files, subfolders, pipes, devices and broken links are left out.

    Args:
        folder: where they lie.
        planes: in which NIfTI volumes are cut; of a file with several volumes the first of these.
        below_empty: whether a folder without images of its own stands for the folders below it, as studies have them
            for their series: names are then relative to `folder`, with `/`. After 1,000 folders, or where one is a
            link or cannot be read, the name of the folder stands in place of those of its files.

    Yields:
        All names found so far, in natural order: after `FIRST_AFTER` seconds, then now and then; the last list is
        complete. In it, DICOM files come first, by series and image, with each frame by itself, the files that a
        DICOMDIR lists are there, too (see `engine.images.dicom.series`), and NIfTI volumes are there slice by slice.

    Raises:
        ImageError: the folder does not exist, is not a folder, or cannot be read.
    """
    found: list[str] = []
    fresh: list[str] = []
    due = time.monotonic() + FIRST_AFTER
    with _folder_errors(folder), os.scandir(folder) as entries:
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
                due = now + max(_NEXT_AFTER, 4 * (now - begin))  # so sorting takes at most a fifth of the time
    names = _merged(found, fresh)[1]
    if not names and below_empty:
        for names in _scan_below(folder):
            yield names
    if any(may_be_dicom(name) or may_be_volume(name) for name in names):
        yield names  # their headers take a while
        for better in arranged(folder, names, planes):
            yield names if better is None else better
    else:
        yield names


def _scan_below(folder: Path) -> Iterator[list[str]]:
    """Yield the names of the images in the folders below a folder, as far as they are found; the last list is whole."""
    names: list[str] = []
    unread: list[str] = []
    due = time.monotonic() + FIRST_AFTER
    probes = itertools.count(1)
    for number, (place, inner, _) in enumerate(os.walk(folder, onerror=lambda error: unread.append(error.filename))):
        inner[:] = sorted((name for name in inner if not name.startswith(".")), key=natural_key)
        start = Path(place).relative_to(folder)
        if number > _FOLDERS:
            names.append(start.as_posix())
            inner.clear()
            continue
        names += [(start / name).as_posix() for name in inner if Path(place, name).is_symlink()]
        if number:
            with contextlib.suppress(OSError), os.scandir(place) as entries:  # gone since, or reported by os.walk
                names += [(start / name).as_posix() for name in sorted(_names(entries, probes), key=natural_key)]
        if time.monotonic() > due:
            yield names.copy()
            due = time.monotonic() + _NEXT_AFTER
        time.sleep(_PAUSE)
    yield names + [Path(each).relative_to(folder).as_posix() for each in unread if Path(each) != folder]


def _names(entries: Iterator[os.DirEntry[str]], probes: Iterator[int] | None = None) -> Iterator[str]:
    probes = probes or itertools.count(1)
    for entry in entries:
        name = entry.name
        if name.startswith("."):
            continue
        suffix = _suffix(name)
        if _NO_SUFFIX.fullmatch(suffix):
            suffix = ""
        if suffix and suffix not in _LISTED:  # before is_file(), which may have to ask the file system
            continue
        try:
            if not entry.is_file():
                continue
        except OSError:  # a link that cannot be followed, for one
            continue
        if suffix in _PROBED and next(probes) <= _PROBES and not _begins_as_scan(entry.path):
            continue
        yield name


def _merged(found: list[str], fresh: list[str]) -> tuple[list[str], list[str]]:
    """Merge the keys, of which `found` are in order already; return them in order, and the names alone.

    `heapq.merge` is written in Python, so other threads can run at any time.
    """
    merged: list[str] = []
    names: list[str] = []
    ordered = heapq.merge(found, _ordered(fresh))
    while piece := list(itertools.islice(ordered, _PIECE)):
        merged += piece
        names += [key.rpartition(_KEY_ENDS)[2] for key in piece]
        time.sleep(_PAUSE)
    return merged, names


def _ordered(keys: list[str]) -> list[str]:
    """Sort keys. No other thread can run while `sort` does, so it is called for one piece at a time."""
    if len(keys) <= _PIECE:
        ordered = sorted(keys)
    else:
        middle = len(keys) // 2
        ordered = _ordered(keys[:middle]) + _ordered(keys[middle:])
        ordered.sort()  # quick: two halves in order are only merged
    time.sleep(_PAUSE)
    return ordered


@contextlib.contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    """Raise an ImageError in place of what goes wrong while a folder is read."""
    try:
        yield
    except FileNotFoundError as error:
        raise ImageError(
            "there is no such folder", subject=folder, remedy="choose another folder", code="missing"
        ) from error
    except NotADirectoryError as error:
        raise ImageError(
            "this is not a folder", subject=folder, remedy="choose the folder it is in", code="not-a-folder"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ImageError(
            f"the folder cannot be read: {(reason or str(error)).lower()}",
            subject=folder,
            remedy="ask for permission to read it, or choose another folder",
            code="unreadable",
        ) from error


def is_listed(name: str) -> bool:
    """Whether a file with this name may be an image."""
    suffix = _suffix(name)
    return not name.startswith(".") and (not suffix or suffix in _LISTED or bool(_NO_SUFFIX.fullmatch(suffix)))


def _suffix(name: str) -> str:
    """Return a name's suffix in lower case: `.png`, or `.nii.gz`."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - three times as fast as Path.suffix
    return NIFTI_SUFFIXES[1] if suffix == ".gz" and may_be_volume(name) else suffix


def shown_name(name: str) -> str:
    """Return a file's name, safe to show."""
    # Most names need no change; the shortcut keeps 100,000 of them quick.
    return name if name.isascii() and name.isprintable() else safe_text(name)


def _begins_as_scan(path: str) -> bool:
    try:
        # O_NONBLOCK: a pipe that took the file's place must not block.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        start = os.read(descriptor, max(START, NIFTI_START))
        return is_dicom(start) or kind_of(start) is not None
    except OSError:
        return False
    finally:
        os.close(descriptor)
