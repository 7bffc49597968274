"""How many bits of a sample a PNG declares significant, in its sBIT chunk."""

from __future__ import annotations

from typing import BinaryIO

_MOST_CHUNKS = 1000
_SAMPLES = {0: 1, 2: 3, 4: 1, 6: 3}
"""Grey values or colours of a pixel by colour type. A palette's sBIT is about the palette's own colours."""


def bits_of_png(file: BinaryIO) -> int | None:
    """Return the significant bits that a PNG of 8 or 16 bits declares, the most of its colours; None if it does not.

    Args:
        file: its content; it is left at the start.
    """
    try:
        file.seek(0)
        start = file.read(33)  # the mark and the whole first chunk
        if len(start) < 33 or start[12:16] != b"IHDR" or start[24] not in (8, 16):
            return None
        samples = _SAMPLES.get(start[25], 0)
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8 or head[4:] in (b"PLTE", b"IDAT", b"IEND"):  # sBIT comes before them
                break
            if head[4:] == b"sBIT":
                bits = max(file.read(samples), default=0)
                return bits if 1 <= bits <= start[24] else None
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
        return None
    finally:
        file.seek(0)
