"""Reads the tags of a TIFF's first picture, before and apart from any decoder.

Decoders leave out what they do not understand: further samples, slices, the precision. What the file says about them
is read here. Only the tags that are asked for are read, and of each only so much, whatever a file claims.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from typing import BinaryIO

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+", b"MM*\x00", b"II\x00*")
"""How a TIFF begins; the last two are wrong, and Pillow reads such files all the same."""

_OFFSETS_AND_LENGTHS = (273, 279, 324, 325)
"""StripOffsets, StripByteCounts, TileOffsets and TileByteCounts."""

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
DESCRIPTION, STRIP_OFFSETS, SAMPLES, HIGHEST, PLANAR = 270, 273, 277, 281, 284
COLOUR_MAP, TILE_OFFSETS, SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, HIGHEST_TOO = 320, 324, 330, 338, 339, 341
KIND, STK_PLANES, IMAGE_DEPTH, DNG_VERSION = 254, 33629, 32997, 50706

NONE, HUFFMAN, GROUP3, GROUP4, LZW, OLD_JPEG, JPEG = 1, 2, 3, 4, 5, 6, 7
PACKBITS, LZMA, ZSTD, WEBP = 32773, 34925, 50000, 50001
DEFLATE = (8, 32946)
"""Compressions by TIFF's numbers; Deflate has two."""

_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
"""The types of whole numbers, as `struct` calls them."""

_MOST_ENTRIES = 0xFFFF
"""A classic TIFF can have no more; a BigTIFF can claim 2^64."""
_MOST_NUMBERS = 1024
"""Of one tag, enough for a colour map with 8 bits an index; of longer lists this much is read."""
_LONGEST_TEXT = 1 << 18


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of one directory.

    Attributes:
        numbers: those of the tags above that hold whole numbers, by tag; of a long list only the first.
        counts: how many values each tag has, by tag; of a tag that comes twice the larger number.
        description: the text of ImageDescription, Latin-1; empty if there is none.
    """

    numbers: dict[int, tuple[int, ...]]
    counts: dict[int, int]
    description: str

    @property
    def strips(self) -> int:
        """The number of strips or tiles."""
        return max(self.counts.get(tag, 0) for tag in _OFFSETS_AND_LENGTHS)

    @property
    def begin(self) -> int:
        """Where the first strip or tile begins, in bytes; 0 if nothing says so."""
        return self.first(STRIP_OFFSETS, self.first(TILE_OFFSETS, 0))

    def first(self, tag: int, default: int) -> int:
        """Return a tag's first number, or the default if the directory lacks the tag."""
        numbers = self.numbers.get(tag, ())
        return numbers[0] if numbers else default


_WANTED = frozenset(
    {
        *(WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES, HIGHEST, PLANAR, TILE_OFFSETS),
        *(COLOUR_MAP, EXTRA_SAMPLES, SAMPLE_FORMAT, HIGHEST_TOO, KIND, IMAGE_DEPTH),
    }
)


def read_tags(file: BinaryIO) -> Tags | None:
    """Return the tags of a TIFF's first picture; None if its directory cannot be read.

    Args:
        file: its content; it is left at the start.
    """
    try:
        file.seek(0)
        return _read(file)
    except (struct.error, ValueError, OverflowError, OSError):  # OSError: an offset larger than any file
        return None  # the decoder will say what is wrong with it
    finally:
        file.seek(0)


def _read(file: BinaryIO) -> Tags:
    start = file.read(16)
    order = "<" if start[:2] == b"II" else ">"
    if 43 in start[2:4]:  # BigTIFF
        place, number, entry, room = struct.unpack(f"{order}Q", start[8:16])[0], f"{order}Q", f"{order}HHQ", 8
    else:
        place, number, entry, room = struct.unpack(f"{order}I", start[4:8])[0], f"{order}H", f"{order}HHI", 4
    file.seek(place)
    entries = min(struct.unpack(number, file.read(struct.calcsize(number)))[0], _MOST_ENTRIES)
    head = struct.calcsize(entry)
    table = file.read(entries * (head + room))
    counts: dict[int, int] = {}
    found: dict[int, tuple[int, int, bytes]] = {}
    for begin in range(0, len(table) - head - room + 1, head + room):
        tag, kind, count = struct.unpack_from(entry, table, begin)
        counts[tag] = max(count, counts.get(tag, 0))
        # Of a tag that comes twice the last counts, as for Pillow.
        found[tag] = kind, count, table[begin + head : begin + head + room]
    numbers: dict[int, tuple[int, ...]] = {}
    for tag in _WANTED & found.keys():
        kind, count, value = found[tag]
        # Pillow, too, goes on without a tag whose values are missing.
        with contextlib.suppress(struct.error, ValueError, OverflowError, OSError):
            if kind in _FORMATS:
                numbers[tag] = _whole(file, value, f"{order}{min(count, _MOST_NUMBERS)}{_FORMATS[kind]}", order)
    description = b""
    if DESCRIPTION in found:
        _, count, value = found[DESCRIPTION]
        with contextlib.suppress(struct.error, ValueError, OverflowError, OSError):
            description = _content(file, value, min(count, _LONGEST_TEXT), order)
    return Tags(numbers, counts, description.decode("latin-1").rstrip("\0 "))


def _whole(file: BinaryIO, value: bytes, form: str, order: str) -> tuple[int, ...]:
    content = _content(file, value, struct.calcsize(form), order)
    return tuple(int(number) for number in struct.unpack(form, content))


def _content(file: BinaryIO, value: bytes, size: int, order: str) -> bytes:
    """Return a tag's content: the value itself if it fits, else what lies where the value says."""
    if size <= len(value):
        return value[:size]
    file.seek(struct.unpack(f"{order}{'I' if len(value) == 4 else 'Q'}", value)[0])
    return file.read(size)
