"""Whether a BMP's pixels are all in the file, and its runs (RLE4, RLE8) fill every row and no more.

Pillow fills what runs leave out and cuts off what they have too much.
"""

from __future__ import annotations

from engine.images.decoding.soundness.damage import DamageError, Deadline

_RLE8, _RLE4 = 1, 2

_FILE_HEADER = 14
_OLD_HEADERS = (12,)
"""Sizes of headers with 16-bit width and height (OS/2)."""

_ENDS_EARLY = "its compressed pixels end too early"


def check_bmp(data: bytes, seconds: float) -> None:
    """Check that a BMP's pixels are whole.

    Args:
        data: the file. It was decoded without an error.
        seconds: the processor time that may be used.

    Raises:
        DamageError: pixels are missing, or there are more than fit.
        TooMuchWorkError: checking it takes too long.
    """
    start, size = int.from_bytes(data[10:14], "little"), int.from_bytes(data[14:18], "little")
    if size in _OLD_HEADERS:
        width, height = (int.from_bytes(data[place : place + 2], "little") for place in (18, 20))
        bits, kind = int.from_bytes(data[24:26], "little"), 0
    else:
        width, height = (int.from_bytes(data[place : place + 4], "little", signed=True) for place in (18, 22))
        bits, kind = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
    height = abs(height)  # negative: from top to bottom
    if start < _FILE_HEADER + size:
        raise DamageError("its pixels begin within its header")
    if kind in (_RLE8, _RLE4):
        _check_runs(data[start:], width, height, kind, Deadline(seconds))
    elif start + height * (-(-width * bits // 32) * 4) > len(data):
        raise DamageError("its pixels end too early")


def _check_runs(data: bytes, width: int, height: int, kind: int, deadline: Deadline) -> None:
    """Follow the runs. Each row must be filled exactly: what runs leave out is not known."""
    place, row, column, full = 0, 0, 0, width * height
    filled = 0
    while place + 1 < len(data):
        count, value = data[place], data[place + 1]
        place += 2
        if count:
            column, filled = column + count, filled + count
        elif value == 0:  # end of the row
            deadline.check()
            row, column = row + 1, 0
            continue
        elif value == 1:  # end of the picture
            if filled < full:
                raise DamageError("its compressed pixels do not fill it")
            return
        elif value == 2:  # go to another place
            raise DamageError("its compressed pixels do not fill it")
        else:  # as many pixels as they are, filled up to an even number of bytes
            column, filled = column + value, filled + value
            length = value if kind == _RLE8 else (value + 1) // 2
            place += length + (length & 1)
            if place > len(data):
                raise DamageError(_ENDS_EARLY)
        if column > width or row >= height:
            raise DamageError("its compressed pixels run past its edge")
    raise DamageError(_ENDS_EARLY)
