"""Reads the voxels of a volume, or of one slice, in the decoding process; what is packed is unpacked on the way."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from engine.errors import ImageError
from engine.images.nifti.header import AGAIN, OpenedVolume

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_UNPACKED = 2 * 10**9
"""The most bytes that a packed file may hold: all of them are unpacked, to see that they are what was packed."""

_PIECE = 1 << 20
"""Bytes to unpack at a time where they are passed over."""
_READ = 1 << 16
"""Bytes to read at a time: a header is within the first."""
_GZIP = 16 + zlib.MAX_WBITS
"""For zlib: gzip's own header and check sum."""
_MOST_TIMES = 1033
"""How many times deflate can shrink what is packed."""


class Content(Protocol):
    """What is read from its beginning to its end."""

    def take(self, count: int) -> bytes:
        """Return the next so many bytes; fewer only at the end."""

    def skip(self, count: int) -> None:
        """Go on by so many bytes."""


class Plain:
    """A file as it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def take(self, count: int) -> bytes:
        """See `Content.take`."""
        return self._file.read(count)

    def skip(self, count: int) -> None:
        """See `Content.skip`."""
        self._file.seek(count, 1)


class Packed:
    """A file packed by gzip, unpacked piece by piece. Each of its members is checked by its check sum at its end."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._inflater = zlib.decompressobj(_GZIP)
        self._waiting = b""
        self._unpacked = 0

    def take(self, count: int) -> bytes:
        """See `Content.take`.

        Raises:
            ImageError: it is damaged, or holds too much.
        """
        found = bytearray()
        while len(found) < count and (piece := self._next(count - len(found))):
            found += piece
        return bytes(found)

    def skip(self, count: int) -> None:
        """See `Content.skip`."""
        while count > 0 and (piece := self._next(min(count, _PIECE))):
            count -= len(piece)

    def finish(self) -> None:
        """Unpack what is left, so that all check sums are compared.

        Raises:
            ImageError: as `take`.
        """
        while self._next(_PIECE):
            pass

    def _next(self, most: int) -> bytes:
        """Return up to so many bytes, at least one; none at the end."""
        while True:
            if self._inflater.eof:
                self._waiting = (self._inflater.unused_data or self._file.read(_READ)).lstrip(b"\0")
                if not self._waiting:
                    return b""
                self._inflater = zlib.decompressobj(_GZIP)
            if not self._waiting:
                self._waiting = self._file.read(_READ)
                if not self._waiting:
                    raise damaged("its packed data ends early", self._path)
            try:
                piece = self._inflater.decompress(self._waiting, most)
            except zlib.error as error:
                raise damaged("what is packed in it is not what was packed", self._path) from error
            self._waiting = self._inflater.unconsumed_tail
            self._unpacked += len(piece)
            if self._unpacked > MOST_UNPACKED:
                raise ImageError(
                    f"more than {MOST_UNPACKED:,} bytes are packed in it",
                    subject=self._path,
                    remedy="unpack it with gunzip: of a plain file only what is needed is read",
                    code="too-large",
                )
            if piece:
                return piece


def damaged(why: str, path: Path) -> ImageError:
    """Return the error for a file without the voxels that its header promises."""
    return ImageError(f"the file is damaged ({why})", subject=path, remedy=AGAIN, code="damaged")


def check_room(opened: OpenedVolume, size: int, path: Path, *, packed: bool) -> None:
    """Check that a file of this size can hold what its header promises, before room is made for it.

    Raises:
        ImageError: it cannot, or is more than is unpacked.
    """
    facts = opened.facts
    promised = opened.offset + math.prod(facts.shape) * facts.volumes * facts.voxel_bytes
    if promised > (size * _MOST_TIMES if packed else size):
        raise damaged("its header promises more voxels than it can hold", path)
    if packed and promised > MOST_UNPACKED:
        raise ImageError(
            f"it holds {promised:,} bytes; at most {MOST_UNPACKED:,} are unpacked",
            subject=path,
            remedy="unpack it with gunzip: of a plain file only what is needed is read",
            code="too-large",
        )


def block_of(
    content: Content, opened: OpenedVolume, volume: int, axis: int | None, place: int, path: Path
) -> NDArray[np.void]:
    """Read a volume, or one slice of it, as it is stored.

    Args:
        content: stands before the first voxel; afterwards somewhere behind what was read.
        opened: the file.
        volume: its number, from 1.
        axis: the file's axis across which the slice lies; None for the whole volume.
        place: of the slice along it, from 0.
        path: the file's name, for errors.

    Returns:
        (X, Y, Z) voxels, X, Y or Z 1 for a slice, each as its bytes; in memory as in the file, X varies quickest.

    Raises:
        ImageError: the file ends early, or is damaged otherwise.
    """
    import numpy as np

    facts = opened.facts
    x, y, z = facts.shape
    voxel = np.dtype(("V", facts.voxel_bytes))
    plane_bytes = x * y * facts.voxel_bytes
    content.skip((volume - 1) * z * plane_bytes)
    whole = {0: (1, y, z), 1: (x, 1, z), 2: (x, y, 1)}.get(-1 if axis is None else axis, (x, y, z))
    block = np.empty(whole, dtype=voxel, order="F")
    if axis == 2:
        content.skip(place * plane_bytes)
    for each in range(whole[2]):
        plane = content.take(plane_bytes)
        if len(plane) < plane_bytes:
            raise damaged("it ends early", path)
        stored = np.frombuffer(plane, dtype=voxel).reshape((x, y), order="F")
        if axis == 0:
            stored = stored[place : place + 1]
        elif axis == 1:
            stored = stored[:, place : place + 1]
        block[:, :, each] = stored
    return block
