"""Whether a PNG's chunks and its compressed data are whole, by their checksums (PNG specification, third edition).

Pillow stops reading once all pixels are there: it looks neither at the checksums of chunks with pixels nor at the one
over all of them.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator

from engine.images.decoding.budget import WatchedFile
from engine.images.decoding.soundness.damage import DamageError, Deadline

_SIGNATURE = 8
_HEADER, _PIXELS, _END = b"IHDR", b"IDAT", b"IEND"
_MATTER = (_HEADER, b"PLTE", _PIXELS, b"tRNS", b"sBIT", b"eXIf", _END)
"""The chunks that change the pixels or what they mean. Others may be wrong: no pixel depends on them."""

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Of Adam7: first row, first column, steps between rows and between columns."""

_PIECE = 1 << 16
_ROOM = 1 << 20
"""Bytes that are read and inflated at a time."""


def check_png(data: bytes, seconds: float) -> None:
    """Check that a PNG's chunks and its compressed data are whole.

    Args:
        data: the file. Its pixels were decoded without an error.
        seconds: the processor time that may be used.

    Raises:
        DamageError: it is damaged, cut or incomplete.
        TooMuchWorkError: checking it takes too long.
    """
    deadline = Deadline(seconds)
    pixels: list[memoryview] = []
    header = b""
    for name, content in _chunks(data):
        deadline.check()
        if name == _HEADER and not header:
            header = bytes(content)
        elif name == _PIXELS:
            pixels.append(content)
    if len(header) < 13:
        raise DamageError("it does not begin with its header")
    _check_inflated(pixels, _bytes_of(header), seconds)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The name and content of each chunk up to the end mark, which must be there."""
    view, place = memoryview(data), _SIGNATURE
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        name, content = data[place + 4 : place + 8], view[place + 8 : place + 8 + length]
        stored = data[place + 8 + length : place + 12 + length]
        if len(stored) < 4:
            raise DamageError(f"it ends within a chunk {_shown(name)}")
        if name in _MATTER and zlib.crc32(content, zlib.crc32(name)) != int.from_bytes(stored, "big"):
            raise DamageError(f"the checksum of a chunk {_shown(name)} is wrong")
        if name[0] & 0x20 == 0 and name not in _MATTER:  # a capital says that no one can do without it
            raise DamageError(f"it has a chunk {_shown(name)}, which no PNG has")
        yield name, content
        if name == _END:
            return
        place += 12 + length
    raise DamageError("its end is missing")


def _shown(name: bytes) -> str:
    return name.decode("ascii", "replace") if name.isalpha() else "of no known kind"


def _bytes_of(header: bytes) -> int:
    """How many bytes the filtered pixels have."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    bits = header[8] * _SAMPLES.get(header[9], 1)
    if not header[12]:
        return height * (1 + -(-width * bits // 8))
    total = 0
    for row, column, down, across in _PASSES:
        rows, columns = -(-(height - row) // down), -(-(width - column) // across)
        if rows > 0 and columns > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def _check_inflated(pixels: list[memoryview], wanted: int, seconds: float) -> None:
    """Inflate all of the pixels' chunks: they must hold as many bytes as the header promises, with a right checksum."""
    compressed = b"".join(pixels)
    file = WatchedFile(io.BytesIO(compressed), len(compressed), seconds)
    inflating, got = zlib.decompressobj(), 0
    try:
        while not inflating.eof and (piece := file.read(_PIECE)):
            more = True
            while more:
                inflated = inflating.decompress(piece, _ROOM)
                got += len(inflated)
                if got > wanted:
                    raise DamageError("more pixels are compressed in it than its header promises")
                piece = inflating.unconsumed_tail
                more = not inflating.eof and len(inflated) == _ROOM  # only then there may be more in this piece
    except zlib.error as error:
        raise DamageError(f"its compressed data is wrong: {error}") from error
    if got < wanted or not inflating.eof:
        raise DamageError("its compressed data ends too early")
