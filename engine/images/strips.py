"""Into how many strips or tiles a TIFF says that it is cut: decoders make a list of them before they read any."""

from __future__ import annotations

import struct
from typing import BinaryIO

MOST_STRIPS = 250_000
"""More than a picture of ordinary shape has, were each of its rows a strip of its own."""

_OFFSETS_AND_LENGTHS = (273, 279, 324, 325)


def strips_of(file: BinaryIO) -> int:
    """The number of strips or tiles of a TIFF's first picture, as its directory says; 0 if it says nothing readable.

    Args:
        file: its content; left at its start.
    """
    try:
        file.seek(0)
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        if struct.unpack(f"{order}H", start[2:4])[0] == 43:  # BigTIFF
            place, number, entry = struct.unpack(f"{order}Q", start[8:16])[0], f"{order}Q", f"{order}HHQ8x"
        else:
            place, number, entry = struct.unpack(f"{order}I", start[4:8])[0], f"{order}H", f"{order}HHI4x"
        file.seek(place)
        entries = min(struct.unpack(number, file.read(struct.calcsize(number)))[0], 0xFFFF)
        step = struct.calcsize(entry)
        table = file.read(entries * step)
        found = struct.iter_unpack(entry, table[: len(table) // step * step])
        return max((count for tag, _, count in found if tag in _OFFSETS_AND_LENGTHS), default=0)
    except (struct.error, ValueError, OverflowError, OSError):  # the last where it is said to lie beyond all files
        return 0  # its decoder will find out what is wrong with it
    finally:
        file.seek(0)
