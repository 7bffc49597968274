"""The part of the decoding process that reads DICOM files: it answers with what `answers` describes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from engine.errors import ImageError
from engine.images.decoding.budget import READING_HEADER, TooMuchWorkError, WatchedFile
from engine.images.dicom.answers import entries_bytes, facts_record
from engine.images.dicom.codecs import EXTRA
from engine.images.header import Limits

if TYPE_CHECKING:
    from engine.images.decoding.fetched import FetchedFile

Answer = tuple[dict[str, object], memoryview]
"""What is sent: a line of JSON, and the bytes that follow it."""

HEADER_TIMES = 5
"""How many times longer than a picture's a DICOM header may take: an enhanced one describes every frame."""

_MOST_AT_ONCE = 1 << 26
"""The most bytes of a value in a header: none that is read is larger, but a damaged one may say so."""


def load_pydicom(path: Path) -> None:
    """Import pydicom, and keep it quiet: what it says may quote the file.

    Raises:
        ImageError: it is not installed.
    """
    try:
        from pydicom import config
    except ImportError as error:
        raise ImageError(
            "DICOM files are read by the package pydicom, and it is not installed",
            subject=path,
            remedy=f"install it: {EXTRA}",
            code="codec-missing",
        ) from error
    logging.getLogger("pydicom").disabled = True
    warnings.simplefilter("ignore")
    config.settings.reading_validation_mode = config.IGNORE


def answer(
    wanted: str,
    file: FetchedFile,
    size: int,
    part: Sequence[int],
    path: Path,
    limits: Limits,
    opened: Callable[[], None],
) -> Answer:
    """Answer a request about a DICOM file.

    Args:
        wanted: one of `DICOM_REQUESTS`.
        file: its content.
        size: of the file, in bytes.
        part: the number of the frame that is asked for, from 1; empty for a DICOMDIR.
        path: its name, for errors.
        limits: beyond which it is refused.
        opened: called once the header has passed, before a pixel is decoded.

    Raises:
        ImageError: the file is refused. Nothing that stands in it is part of the error.
    """
    from engine.images.dicom.opening import AGAIN, NOT_READ

    try:
        if wanted == "dicom":
            return _pixels(file, size, part[0], path, limits, opened)
        if wanted == "dicom-origin":
            return _origin(file, size, part[0], path, limits)
        return _listed(file, size, path, limits) if wanted == "dicomdir" else _header(file, size, part[0], path, limits)
    except (ImageError, MemoryError):
        raise
    except TooMuchWorkError as error:
        raise ImageError(str(error), subject=path, remedy=AGAIN, code="too-slow") from error
    # Values are converted when they are first looked at; a damaged one may make pydicom raise anything. What it says
    # may quote the file, so it is dropped.
    except Exception as error:
        raise ImageError(NOT_READ, subject=path, remedy=AGAIN, code="damaged") from error


def _header(file: FetchedFile, size: int, frame: int, path: Path, limits: Limits) -> Answer:
    """Answer with the facts of a frame."""
    from engine.images.dicom.header import facts_of
    from engine.images.dicom.opening import open_dicom
    from engine.images.dicom.pixels import check_size

    facts = facts_of(open_dicom(cast("BinaryIO", _watched(file, size, limits)), path, limits, frame), path, frame)
    check_size(facts, path, limits)
    return {"dicom": facts_record(facts), "entries": 0, "shape": [0, 0, 1], "sample": "u1"}, memoryview(b"")


def _origin(file: FetchedFile, size: int, frame: int, path: Path, limits: Limits) -> Answer:
    """Answer with what objects made of a frame take over from it."""
    from engine.images.dicom.header import no_frame
    from engine.images.dicom.opening import open_dicom
    from engine.images.dicom.origin import CARRIED, WHERE, origin_of, origin_record

    watched = _watched(file, size, limits)
    found = open_dicom(cast("BinaryIO", watched), path, limits, frame, more=(*CARRIED, *WHERE))
    if frame > found.frames:
        raise no_frame(frame, found.frames, path)
    return {"origin": origin_record(origin_of(found.dataset, found.frames))}, memoryview(b"")


def _pixels(file: FetchedFile, size: int, frame: int, path: Path, limits: Limits, opened: Callable[[], None]) -> Answer:
    """Answer with the pixels of a frame, its facts, and the entries of its table."""
    from engine.images.dicom.header import facts_of
    from engine.images.dicom.opening import open_dicom
    from engine.images.dicom.pixels import frame_pixels

    watched = _watched(file, size, limits)
    found = open_dicom(cast("BinaryIO", watched), path, limits, frame)
    facts = facts_of(found, path, frame)
    opened()
    watched.allow(limits.seconds)
    watched.most = None  # the frame's size has been checked against the file's by then
    array, facts = frame_pixels(found, facts, path, limits)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    entries = entries_bytes(facts)
    record: dict[str, object] = {
        "dicom": facts_record(facts),
        "entries": len(entries) // 2,
        "shape": list(array.shape),
        "sample": f"{array.dtype.kind}{array.dtype.itemsize}",
    }
    return record, memoryview(little.tobytes() + entries) if entries else little.data.cast("B")


def _listed(file: FetchedFile, size: int, path: Path, limits: Limits) -> Answer:
    """Answer with the names of the files that a DICOMDIR lists."""
    from engine.images.dicom.directory import listed_files
    from engine.images.dicom.opening import open_dicom

    content = "\n".join(
        listed_files(open_dicom(cast("BinaryIO", _watched(file, size, limits)), path, limits), path)
    ).encode()
    return {"listed": len(content)}, memoryview(content)


class _HeaderFile(WatchedFile):
    """A watched file that refuses to read more at once than a header can need."""

    most: int | None = _MOST_AT_ONCE

    def read(self, size: int | None = -1, /) -> bytes:
        """See `WatchedFile.read`.

        Raises:
            TooMuchWorkError: also where more is asked for at once.
        """
        # All that is left is asked for by pydicom alone, to inflate it without a limit, where it takes a file for
        # deflated and `open_dicom` did not.
        if self.most is not None and (size is None or not 0 <= size <= self.most):
            raise TooMuchWorkError("a value of its header is too long")
        return super().read(size)


def _watched(file: FetchedFile, size: int, limits: Limits) -> _HeaderFile:
    return _HeaderFile(cast("BinaryIO", file), size, HEADER_TIMES * limits.header_seconds, READING_HEADER)
