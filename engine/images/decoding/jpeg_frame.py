"""Reads which kind of JPEG a file is, before any decoder: most know only those with 8 bits a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from engine.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_NO_FRAMES = frozenset({0xC4, 0xC8, 0xCC})
"""Among the markers of frames (SOF): tables, and one that is reserved."""
_JPEG_LS = 0xF7
# A lossless JPEG of 8 bits is among them: Pillow may read it, but the decoder that judges whether it is whole
# (see `soundness`) writes beyond its memory.
_KINDS = {
    0xC3: "a lossless JPEG",
    0xC5: "a hierarchical JPEG",
    0xC6: "a hierarchical JPEG",
    0xC7: "a hierarchical JPEG",
    0xCB: "a lossless JPEG",
    0xCD: "a hierarchical JPEG",
    0xCE: "a hierarchical JPEG",
    0xCF: "a hierarchical JPEG",
    _JPEG_LS: "a JPEG-LS picture",
}
_MOST_SEGMENTS = 100_000


def check_frame(file: BinaryIO, path: Path, *, strip: int | None = None) -> None:
    """Check that a JPEG is of a kind that is read: 8 bits a sample, not lossless, JPEG-LS or hierarchical.

    Args:
        file: its content; it is left at the start.
        path: its name, for errors.
        strip: where a TIFF's first strip or tile begins, if that is what is compressed as JPEG.

    Raises:
        ImageError: it is not. A file whose frame cannot be found is left to its decoder.
    """
    try:
        kind, bits, components = _frame(file, strip or 0)
    except (OSError, ValueError, OverflowError):  # the strip's offset is negative, or larger than any file
        return
    finally:
        file.seek(0)
    name = _KINDS.get(kind, "a JPEG")
    if bits != 8:
        name += f" with {bits} bits a sample"
    elif components not in (1, 3, 4):
        name += f" with {components} components"
    elif kind not in _KINDS:
        return
    raise ImageError(
        f"{'this' if strip is None else 'what is in this TIFF'} is {name}, which is not supported",
        subject=path,
        remedy=f"export the image as {'16-bit ' if bits > 8 else ''}PNG or TIFF",
        code="unsupported",
    )


def _frame(file: BinaryIO, begin: int) -> tuple[int, int, int]:
    """Return the marker of the first frame, its bits a sample and its components; (0, 8, 1) if there is none."""
    file.seek(begin)
    if file.read(2) != b"\xff\xd8":
        return 0, 8, 1
    for _ in range(_MOST_SEGMENTS):
        head = file.read(2)
        if head == b"\xff\xff":  # a marker may begin with any number of these
            file.seek(-1, 1)
            continue
        if len(head) < 2 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):  # no marker; the end; the pixels
            break
        marker = head[1]
        if marker in _NO_LENGTH:
            continue
        length = file.read(2)
        if len(length) < 2:
            break
        if marker == _JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES):
            frame = file.read(6)  # bits, height and width, components
            return (marker, frame[0] or 8, frame[5] or 1) if len(frame) == 6 else (0, 8, 1)
        file.seek(int.from_bytes(length, "big") - 2, 1)
    return 0, 8, 1
