"""The part of the decoding process that reads NIfTI files: it answers with what `answers` describes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from engine.errors import ImageError
from engine.images.decoding.budget import READING_HEADER, TooMuchWorkError, WatchedFile
from engine.images.header import Limits
from engine.images.nifti.answers import facts_record
from engine.images.nifti.header import AGAIN, MOST_HEADER_BYTES, NOT_READ, OpenedVolume, load_nibabel, open_volume
from engine.images.nifti.recognising import is_packed
from engine.images.nifti.voxels import Packed, Plain, block_of, check_room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.images.decoding.fetched import FetchedFile

Answer = tuple[dict[str, object], memoryview]
"""What is sent: a line of JSON, and the bytes that follow it."""


def get_ready(path: Path) -> None:
    """Import nibabel, if it is installed: that takes longer than a hundred headers."""
    with contextlib.suppress(ImageError):  # said of a NIfTI file, not of every file that is packed
        load_nibabel(path)


def answer(
    wanted: str,
    file: FetchedFile,
    size: int,
    part: Sequence[int],
    path: Path,
    limits: Limits,
    opened: Callable[[], None],
) -> Answer:
    """Answer a request about a NIfTI file.

    Args:
        wanted: one of `NIFTI_REQUESTS`.
        file: its content.
        size: of the file, in bytes.
        part: of a volume its number, from 1; then of a slice the file's axis across which it lies, and its place.
        path: its name, for errors.
        limits: beyond which it is refused.
        opened: called once the header has passed, before a voxel is read.

    Raises:
        ImageError: the file is refused. Nothing that stands in it is part of the error.
    """
    try:
        watched = WatchedFile(cast("BinaryIO", file), size, limits.header_seconds, READING_HEADER)
        packed = is_packed(file.read(4))
        file.seek(0)
        read = cast("BinaryIO", watched)
        start = (Packed(read, path) if packed else Plain(read)).take(MOST_HEADER_BYTES)
        found = open_volume(start, path, limits)
        check_room(found, size, path, packed=packed)
        if wanted == "nifti-header":
            return {"nifti": facts_record(found.facts), "block": [0, 0, 0]}, memoryview(b"")
        opened()
        watched.allow(limits.seconds)
        return _voxels(read, found, part, path, packed=packed)
    except (ImageError, MemoryError):
        raise
    except TooMuchWorkError as error:
        raise ImageError(str(error), subject=path, remedy=AGAIN, code="too-slow") from error
    # Whatever else hostile bytes bring about is the file's fault, and what it says may quote them.
    except Exception as error:
        raise ImageError(NOT_READ, subject=path, remedy=AGAIN, code="damaged") from error


def _voxels(file: BinaryIO, found: OpenedVolume, part: Sequence[int], path: Path, *, packed: bool) -> Answer:
    """Answer with the voxels of a volume or a slice, little endian."""
    file.seek(0)
    content = Packed(file, path) if packed else Plain(file)
    content.skip(found.offset)
    volume, *of_slice = part
    axis, place = of_slice or (None, 0)
    block = _little_endian(block_of(content, found, volume, axis, place, path), found)
    if isinstance(content, Packed):
        content.finish()
    record: dict[str, object] = {"nifti": facts_record(found.facts), "block": list(block.shape)}
    return record, block.T.view("u1").data.cast("B")


def _little_endian(block: NDArray[np.void], found: OpenedVolume) -> NDArray[np.generic]:
    if not found.facts.grey:
        return block
    stored: NDArray[np.generic] = block.view(f"{found.order}{found.facts.sample}")
    return stored.astype(stored.dtype.newbyteorder("<"), order="F", copy=False)
