"""Whether a TIFF's strips or tiles are all there, and each holds the pixels it should (TIFF 6.0).

Decoders fill strips that are missing, read other bytes in their place, or stop once they have pixels enough, before any
checksum. So each strip's place is checked here, and its data is decompressed once more by another library that tells
how much there is.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.images.decoding import tiff_tags as tiff
from engine.images.decoding.soundness.damage import DamageError, Deadline
from engine.images.decoding.soundness.jpeg import check_jpeg
from engine.images.decoding.soundness.jpeg_structure import EOI
from engine.images.decoding.soundness.webp import check_webp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_YCBCR = 6

_FILL_ORDER, _ROWS, _T4_OPTIONS, _JPEG_TABLES, _SUBSAMPLING = 266, 278, 292, 347, 530
_STRIPS, _TILES = (tiff.STRIP_OFFSETS, 279), (tiff.TILE_OFFSETS, 325)
_TILE_SIZE = (323, 322)

_HEADER = 8
_MOSTLY_ONE_VALUE = 50
"""A strip compressed that much is blank; some programs write equal blank strips once only."""

_NOISE = bytes.fromhex("5aa5c33c") * 64
_MOST_ZEROS, _FILLING = 4, 64
"""More bytes of zeros than facsimile codes have; and more than any device uses that fills up its lines with zeros, as
group 3 allows."""
_LAST_ZEROS = 2
"""So many bytes of zeros may belong to the last code and to its padding."""

_ROOM = 1 << 20
"""Bytes that are unpacked at a time."""

_ENDS_EARLY = "a strip of it ends too early"
_TOO_MUCH = "more pixels are compressed in it than it has"


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the pixels are cut into strips or tiles.

    Attributes:
        places: offset and length in bytes of each that is needed, in order.
        rows, columns: of each, in pixels.
        last_rows: of the last strip of a plane, which may have fewer.
        size, last_size: bytes of the pixels in each, and in the last of a plane, when they are not compressed.
        per_plane: how many there are in each plane.
        tiled: whether these are tiles.
    """

    places: tuple[tuple[int, int], ...]
    rows: int
    columns: int
    last_rows: int
    size: int
    last_size: int
    per_plane: int
    tiled: bool

    def is_last(self, number: int) -> bool:
        """Whether this one is the last of its plane, counted from 0."""
        return number % self.per_plane == self.per_plane - 1

    def size_of(self, number: int) -> int:
        """How many bytes the pixels of one have when they are not compressed."""
        return self.last_size if self.is_last(number) else self.size


def check_tiff(data: bytes, tags: Mapping[int, object], seconds: float) -> None:
    """Check that a TIFF's strips or tiles are whole.

    Args:
        data: the file. It was decoded without an error.
        tags: of its first picture.
        seconds: the processor time that may be used.

    Raises:
        DamageError: something of it is missing, misplaced or damaged.
        TooMuchWorkError: checking it takes too long.
    """
    deadline = Deadline(seconds)
    compression = _number(tags, tiff.COMPRESSION, tiff.NONE)
    layout = _layout(data, tags)
    _check_apart(data, layout, compression)
    for number, (start, length) in enumerate(layout.places):
        strip = _strip(data, start, length, compression, tags)
        _check_strip(strip, compression, layout.size_of(number), layout.size, tags, seconds)
        deadline.check()
    if compression in (tiff.HUFFMAN, tiff.GROUP3, tiff.GROUP4):
        _check_facsimile(data, compression, layout, tags)


def _layout(data: bytes, tags: Mapping[int, object]) -> _Layout:
    height, width = _number(tags, tiff.LENGTH, 0), _number(tags, tiff.WIDTH, 0)
    samples, planes = _number(tags, tiff.SAMPLES, 1), 1
    if _number(tags, tiff.PLANAR, 1) == 2:
        samples, planes = 1, samples
    tiled = _TILES[0] in tags
    if tiled:
        rows, columns = (_number(tags, tag, 0) for tag in _TILE_SIZE)
        if rows < 1 or columns < 1:
            raise DamageError("the size of its tiles is missing")
        per_plane, last_rows = -(-height // rows) * -(-width // columns), rows
    else:
        rows, columns = min(_number(tags, _ROWS, height) or height, height), width
        per_plane = -(-height // rows)
        last_rows = height - (per_plane - 1) * rows
    offsets, lengths = (_numbers(tags, tag) for tag in (_TILES if tiled else _STRIPS))
    needed = per_plane * planes
    if not lengths and len(offsets) == needed == 1:  # old programs leave it out: the strip goes on to the end
        lengths = (max(0, len(data) - offsets[0]),)
    if min(len(offsets), len(lengths)) < needed:
        raise DamageError(f"it has {min(len(offsets), len(lengths)):,} of {needed:,} {_noun(tiled)}")
    places = tuple(zip(offsets[:needed], lengths[:needed], strict=True))
    size, last_size = (_size(number, columns, samples, tags) for number in (rows, last_rows))
    return _Layout(places, rows, columns, last_rows, size, last_size, per_plane, tiled)


def _check_apart(data: bytes, layout: _Layout, compression: int) -> None:
    """Check that each strip or tile lies in the file and on no other."""
    noun = _noun(layout.tiled)[:-1]
    spans = set()
    for number, (start, length) in enumerate(layout.places):
        if start < _HEADER or length < 1:
            raise DamageError(f"a {noun} of it is missing (number {number + 1:,})")
        size = layout.size_of(number)
        if compression == tiff.NONE:
            if length < size or start + size > len(data):
                raise DamageError(f"a {noun} of it ends too early (number {number + 1:,})")
            length = size  # more is declared by some programs
        elif start >= len(data):
            raise DamageError(f"a {noun} of it lies beyond its end (number {number + 1:,})")
        length = min(length, len(data) - start)
        if (start, length) in spans and not _is_blank(data[start : start + length], size):
            raise DamageError(f"two {noun}s of it share their data")
        spans.add((start, length))
    end = 0
    for start, length in sorted(spans):
        if start < end:
            raise DamageError(f"{noun}s of it overlap")
        end = start + length


def _is_blank(data: bytes, size: int) -> bool:
    return len(data) * _MOSTLY_ONE_VALUE < size or len(set(data)) == 1


def _size(rows: int, columns: int, samples: int, tags: Mapping[int, object]) -> int:
    """How many bytes so many rows of pixels have when they are not compressed."""
    bits = max(_numbers(tags, tiff.BITS), default=1)
    if (
        _number(tags, tiff.PHOTOMETRIC, 0) == _YCBCR
        and samples == 3
        and _number(tags, tiff.COMPRESSION, tiff.NONE) != tiff.JPEG
    ):
        across, down = (max(1, number) for number in (*_numbers(tags, _SUBSAMPLING), 2, 2)[:2])
        return -(-columns // across) * -(-rows // down) * (across * down + 2) * bits // 8
    return rows * -(-columns * samples * bits // 8)


def _strip(data: bytes, start: int, length: int, compression: int, tags: Mapping[int, object]) -> bytes:
    """The data of one strip or tile, with the bits of each byte in the order that decompressing it needs."""
    strip = data[start : start + length]
    # Uncompressed pixels are only counted, and libtiff takes the bytes of a JPEG as they are.
    if compression in (tiff.NONE, tiff.JPEG) or _number(tags, _FILL_ORDER, 1) != 2:
        return strip
    import imagecodecs

    return bytes(imagecodecs.bitorder_decode(strip))


def _check_strip(
    strip: bytes, compression: int, size: int, most: int, tags: Mapping[int, object], seconds: float
) -> None:
    """Check the compressed data of one strip or tile; unpacked it has `size` bytes, or `most` if it is filled up."""
    if compression in tiff.DEFLATE:
        _check_deflate(strip, size, most)
    elif compression == tiff.LZW:
        _check_length(_length_of_lzw(strip, most), size, most)
    elif compression == tiff.PACKBITS:
        _check_length(_length_of_packbits(strip, most), size, most)
    elif compression == tiff.JPEG:
        tables = tags.get(_JPEG_TABLES)
        whole = tables[:-2] + strip[2:] if isinstance(tables, bytes) and tables.endswith(EOI) else strip
        check_jpeg(whole, seconds)
    elif compression == tiff.WEBP:
        check_webp(strip)
    elif compression == tiff.ZSTD:
        _check_length(_length_of_zstd(strip, most), size, most)
    elif compression == tiff.LZMA:
        _check_length(_length_of_lzma(strip, most), size, most)


def _check_length(length: int, size: int, most: int) -> None:
    """Check the length of an unpacked strip; some programs fill up the last one."""
    if length < size:
        raise DamageError(_ENDS_EARLY)
    if length not in (size, most):
        raise DamageError(_TOO_MUCH)


def _check_deflate(strip: bytes, size: int, most: int) -> None:
    inflating, got, piece, more = zlib.decompressobj(), 0, strip, True
    try:
        while more:
            inflated = inflating.decompress(piece, _ROOM)
            got, piece = got + len(inflated), inflating.unconsumed_tail
            more = not inflating.eof and len(inflated) == _ROOM and got <= most
    except zlib.error as error:
        raise DamageError(f"the compressed data of a strip is wrong: {error}") from error
    if got > most:
        raise DamageError(_TOO_MUCH)
    # Without the checksum at its end, it must at least stop at the right place.
    if got < size or not (inflating.eof or got in (size, most)):
        raise DamageError(_ENDS_EARLY)


def _length_of_lzw(strip: bytes, most: int) -> int:
    import imagecodecs

    try:
        return len(imagecodecs.lzw_decode(strip, out=most + 1))
    except (imagecodecs.LzwError, ValueError) as error:
        raise DamageError("the compressed data of a strip is wrong") from error


def _length_of_packbits(strip: bytes, most: int) -> int:
    """The length of a strip unpacked; up to a byte may follow, which makes its length even."""
    import imagecodecs

    for data in (strip, strip[:-1]):
        try:
            return len(imagecodecs.packbits_decode(data, out=most + 1))
        except (imagecodecs.PackbitsError, ValueError):
            continue
    raise DamageError("the compressed data of a strip is wrong")


def _length_of_zstd(strip: bytes, most: int) -> int:
    import imagecodecs

    try:
        return len(imagecodecs.zstd_decode(strip, out=most + 1))
    except (imagecodecs.ZstdError, ValueError) as error:
        raise DamageError(f"the compressed data of a strip is wrong: {error}") from error


def _length_of_lzma(strip: bytes, most: int) -> int:
    import lzma

    decoding, got, piece = lzma.LZMADecompressor(memlimit=1 << 28), 0, strip
    try:
        while not decoding.eof and got <= most:
            unpacked = decoding.decompress(piece, _ROOM)
            got, piece = got + len(unpacked), b""
            if not unpacked and decoding.needs_input:
                break
    except lzma.LZMAError as error:
        raise DamageError(f"the compressed data of a strip is wrong: {error}") from error
    return got


def _check_facsimile(data: bytes, compression: int, layout: _Layout, tags: Mapping[int, object]) -> None:
    """Compare a facsimile (CCITT) with what a second decoder makes of it, also with other bytes after its end.

    Neither decoder reports an error, but what they make of wrong codes differs. A decoder that runs out of data leaves
    the rest white, unless other bytes follow. And no codes have many zeros in a row.
    """
    import imagecodecs
    import numpy as np

    stored = np.asarray(imagecodecs.tiff_decode(data)) != 0
    for number, (start, length) in enumerate(layout.places):
        strip = _strip(data, start, length, compression, tags)
        used = strip.rstrip(b"\0")
        if bytes(_FILLING if compression == tiff.GROUP3 else _MOST_ZEROS) in used:
            raise DamageError("a part of its compressed data was lost and filled with zeros")
        strip = strip[: len(used) + _LAST_ZEROS]
        rows = layout.last_rows if layout.is_last(number) else layout.rows
        decoded = _facsimile(strip + _NOISE, compression, rows, layout.columns, tags)
        if layout.tiled:
            other = _facsimile(strip, compression, rows, layout.columns, tags)
        else:
            other = stored[number * layout.rows : number * layout.rows + rows]
        if not (np.array_equal(decoded, other) or np.array_equal(~decoded, other)):
            raise DamageError("the compressed data of a strip is wrong")


def _facsimile(
    strip: bytes, compression: int, rows: int, columns: int, tags: Mapping[int, object]
) -> NDArray[np.bool_]:
    """Decode a strip of a facsimile to (rows, columns)."""
    import imagecodecs
    import numpy as np

    try:
        if compression == tiff.GROUP4:
            decoded = imagecodecs.ccittfax4_decode(strip, rows, columns)
        elif compression == tiff.GROUP3:
            decoded = imagecodecs.ccittfax3_decode(strip, rows, columns, t4options=_number(tags, _T4_OPTIONS, 0))
        else:
            decoded = imagecodecs.ccittrle_decode(strip, rows, columns)
    except (imagecodecs.Ccittfax4Error, ValueError) as error:
        raise DamageError("the compressed data of a strip is wrong") from error
    return np.asarray(decoded, dtype=np.bool_)


def _number(tags: Mapping[int, object], tag: int, default: int) -> int:
    numbers = _numbers(tags, tag)
    return numbers[0] if numbers else default


def _numbers(tags: Mapping[int, object], tag: int) -> tuple[int, ...]:
    value = tags.get(tag)
    if isinstance(value, int):
        return (value,)
    return tuple(number for number in value if isinstance(number, int)) if isinstance(value, tuple) else ()


def _noun(tiled: bool) -> str:
    return "tiles" if tiled else "strips"
