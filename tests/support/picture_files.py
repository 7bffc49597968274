"""Picture files for tests, written byte by byte where no library writes what is wanted."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
"""Colour types of PNG."""


def png_chunk(name: bytes, content: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def write_png(path: Path, samples: NDArray[np.integer], depth: int, kind: int, *more: bytes) -> Path:
    """Write (H, W) or (H, W, C) samples as a PNG of any depth and colour type; `more` are chunks before the pixels."""
    height, width = samples.shape[:2]
    rows = []
    for row in samples.reshape(height, -1):
        if depth >= 8:
            data = row.astype(">u2" if depth == 16 else "u1").tobytes()
        else:
            bits = np.unpackbits(row.astype("u1")[:, None], axis=1)[:, 8 - depth :]
            data = np.packbits(bits.ravel()).tobytes()
        rows.append(b"\0" + data)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = [
        png_chunk(b"IHDR", header),
        *more,
        png_chunk(b"IDAT", zlib.compress(b"".join(rows))),
        png_chunk(b"IEND", b""),
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    return path


def transparent_colour(*samples: int) -> bytes:
    """The chunk that calls one colour transparent."""
    return png_chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples))


def exif_orientation(orientation: int) -> bytes:
    """The chunk that says how a PNG is to be turned."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return png_chunk(b"eXIf", b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0))
