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


def png_of(header: bytes, compressed: bytes) -> bytes:
    """A PNG of a header and one chunk of compressed pixels."""
    chunks = ((b"IHDR", header), (b"IDAT", compressed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, content) for name, content in chunks)


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


_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Adam7: first row, first column, and the steps in both, of each reduced picture."""


def write_deep_png(path: Path, samples: NDArray[np.integer], kind: int, *, interlaced: bool) -> Path:
    """Write (H, W, C) samples as a 16-bit PNG, its rows in turn with each of the five filters."""
    height, width, count = samples.shape
    whole = samples.astype(">u2")
    parts = [whole[top::down, left::right] for top, left, down, right in _PASSES] if interlaced else [whole]
    data = b"".join(_filtered(part.reshape(len(part), -1).view("u1"), 2 * count) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, int(interlaced))
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def _filtered(rows: NDArray[np.uint8], step: int) -> bytes:
    """Rows of bytes as PNG's filters 0 to 4 (none, sub, up, average, Paeth) write them; `step` bytes are a pixel."""
    out = []
    above = np.zeros(rows.shape[1], np.int64)
    for number, row in enumerate(rows.astype(np.int64)):
        left, corner = (np.concatenate([np.zeros(step, np.int64), values[:-step]]) for values in (row, above))
        guess = left + above - corner
        distances = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        foretold = (np.zeros_like(row), left, above, (left + above) // 2, paeth)[number % 5]
        out.append(bytes([number % 5]) + ((row - foretold) % 256).astype("u1").tobytes())
        above = row
    return b"".join(out)


def transparent_colour(*samples: int) -> bytes:
    """The chunk that calls one colour transparent."""
    return png_chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples))


def exif_orientation(orientation: int) -> bytes:
    """The chunk that says how a PNG is to be turned."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return png_chunk(b"eXIf", b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0))
