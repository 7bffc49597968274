"""Whether a JPEG's compressed data is whole.

libjpeg fills up what is lost and only counts it as a warning, which Pillow drops. Here the same library judges by way
of simplejpeg, which makes an error of each warning. It is given the picture without metadata, thumbnails and whatever
follows the end marker, so that only damage to the pixels counts, and it decodes at an eighth of the size, which reads
all of the compressed data in half the time.

It overlooks two things. Scans that are missing: see `jpeg_structure.check_scans`. And up to eight bytes that are left
over at the end, which it has read ahead, though with the wrong number of bits every block before may be wrong: so the
data without its last byte must *not* suffice. What no decoder can tell: a changed bit, or bytes replaced by others,
that by chance make as many blocks of as many bits as were there.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from engine.images.decoding.soundness.damage import DamageError, Deadline
from engine.images.decoding.soundness.jpeg_structure import (
    EOI,
    SOI,
    Frame,
    Scan,
    check_scans,
    parse,
    rebuilt,
    units_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ENDS_EARLY = "premature end"
"""In libjpeg's message when data is missing."""

_ODD_KIND = ("subsampling", "arithmetic", "not implemented")
"""In the messages for a JPEG that this library cannot decode, while Pillow's can."""

_ZEROS = bytes(64)
"""That many are no code of a picture, unless zeros stand for blank blocks: a lost sector has been filled with them."""

_ENDS_OF_SEVERAL = frozenset(range(0x10, 0xF0, 0x10))
_END_OF_MOST = 0xE0
"""In a progressive scan, the symbols that end two or more blocks at once, and the one for 16,384 or more."""

_MOST_PADDING = 8
_PADDING = re.compile(rb"(?:\x00+|(?:\xff\x00)+)\Z")
"""Some hardware fills up its data to a whole number of words."""

_ALL_SCANS = 50_000
"""Up to that many bytes of a progressive JPEG, the end of every scan is checked, not only of the last: each check
decodes it up to there."""
_MOST_SCANS = 100
_MOST_INTERVALS = 2_000
_WIDEST = 65_500
"""Pixels in a row that libjpeg takes; an interval is decoded as a picture of its own, one block or MCU high."""


def check_jpeg(data: bytes, seconds: float) -> None:
    """Check that a JPEG's compressed data is whole.

    Args:
        data: the file. It was decoded without an error.
        seconds: the processor time that may be used.

    Raises:
        DamageError: it is damaged, cut or incomplete.
        TooMuchWorkError: checking it takes too long.
    """
    deadline = Deadline(seconds)
    frame, scans = parse(data)
    check_scans(frame, scans)
    if frame.huffman:
        for scan in scans:
            _check_zeros(frame, scan)
    complaint = _complaint(rebuilt(frame, scans))
    if complaint and any(word in complaint for word in _ODD_KIND):
        _check_by_sensitivity(frame, scans)
        return
    if complaint:
        raise DamageError(_plain(complaint))
    deadline.check()
    if frame.progressive:
        size = sum(len(scan.data) for scan in scans)
        counts = range(1, len(scans)) if size <= _ALL_SCANS and len(scans) <= _MOST_SCANS else ()
        for count in (len(scans), *counts):
            _check_end(scans[count - 1].data, frame, scans[:count])
            deadline.check()
    else:
        _check_ends(frame, scans, deadline)


def _complaint(jpeg: bytes) -> str:
    """What the strict decoder finds wrong; "" if nothing."""
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(jpeg, colorspace="GRAY", min_height=1, min_width=1, strict=True)
    except (ValueError, RuntimeError) as error:
        return str(error)
    return ""


def _plain(complaint: str) -> str:
    if _ENDS_EARLY in complaint:
        return "its compressed data ends too early"
    if "extraneous" in complaint:
        return "its compressed data does not make the pixels that its header promises"
    return complaint.removeprefix("Corrupt JPEG data: ")


def _check_zeros(frame: Frame, scan: Scan) -> None:
    """Refuse long runs of zeros where no encoder writes them.

    Zeros are the code of a table's first symbol, again and again. That is no picture if it stands for a coefficient,
    and none if it ends one block, or a few, in a progressive scan whose encoder ends many blocks at once.
    """
    if _ZEROS not in scan.data:
        return
    for symbols in scan.symbols:
        zeros = symbols[0] if symbols else 0
        coefficient = zeros & 15 if frame.progressive else zeros
        if coefficient or (frame.progressive and zeros < _END_OF_MOST and not _ENDS_OF_SEVERAL.isdisjoint(symbols)):
            raise DamageError("a part of its compressed data was lost and filled with zeros")


def _check_ends(frame: Frame, scans: list[Scan], deadline: Deadline) -> None:
    """Check where the data of a sequential JPEG ends: in each scan and at each restart marker."""
    tables = b""
    for scan in scans:
        tables += scan.tables
        intervals = scan.intervals()
        units = units_of(frame, scan)
        if len(intervals) == 1:
            _check_end(scan.data, frame, [scan], tables, size=None)
            continue
        if len(intervals) > _MOST_INTERVALS or scan.interval * _width_of_unit(frame, scan) > _WIDEST:
            continue
        for number, data in enumerate(intervals):
            _check_end(data, frame, [scan], tables, size=min(scan.interval, units - number * scan.interval))
            deadline.check()


def _check_end(data: bytes, frame: Frame, scans: list[Scan], tables: bytes = b"", size: int | None = None) -> None:
    """Check that the last scan needs the last byte of its data.

    Args:
        data: of the last scan, or of one interval of it.
        frame: the frame.
        scans: to be decoded; of a sequential JPEG this scan alone.
        tables: those defined before it; none if the scans bring their own.
        size: blocks or MCUs of the interval; None for a whole scan.
    """
    shorter = data[: -2 if data.endswith(b"\xff\x00") else -1]
    if not shorter:
        return
    if frame.progressive:
        body = rebuilt(frame, scans)[: -len(data + EOI)] + shorter + EOI
    else:
        body = b"".join((SOI, tables, _frame_of(frame, scans[0], size), scans[0].header, shorter, EOI))
    if _ENDS_EARLY in _complaint(body):
        return
    padding = _PADDING.search(data[-3 * _MOST_PADDING :])  # the whole of it would take long
    if padding is None or len(padding[0]) > _MOST_PADDING:
        raise DamageError("bytes are left over in its compressed data")


def _frame_of(frame: Frame, scan: Scan, units: int | None) -> bytes:
    """The header of a picture that consists of one scan, or of an interval of it."""
    members = [frame.components[member] for member in scan.members]
    widest = max(component.across for component in frame.components)
    tallest = max(component.down for component in frame.components)
    alone = len(members) == 1
    if units is not None:
        height, width = 8 if alone else 8 * tallest, units * _width_of_unit(frame, scan)
    elif alone:
        height = -(-frame.height * members[0].down // tallest)
        width = -(-frame.width * members[0].across // widest)
    else:
        height, width = frame.height, frame.width
    content = bytearray((frame.precision, *divmod(height, 256), *divmod(width, 256), len(members)))
    first = 10  # in the segment: marker, length, precision, height, width, number of components
    for member, component in zip(scan.members, members, strict=True):
        factors = 0x11 if alone else component.across << 4 | component.down
        content += bytes((component.name, factors, frame.segment[first + 3 * member + 2]))
    return b"\xff" + bytes([frame.kind]) + (len(content) + 2).to_bytes(2, "big") + content


def _width_of_unit(frame: Frame, scan: Scan) -> int:
    """How many pixels wide a block of a scan, or a group of blocks (MCU), is when decoded as a picture of its own."""
    return 8 if len(scan.members) == 1 else 8 * max(component.across for component in frame.components)


def _check_by_sensitivity(frame: Frame, scans: list[Scan]) -> None:
    """Check a JPEG that only Pillow decodes (arithmetic coding, rare subsampling): nothing beyond its end may matter.

    A decoder that runs out of data goes on with zeros. If other bytes follow instead and the pixels change, then it
    has run out. Arithmetic coding leaves out zeros at its end, so a few zeros may follow first.
    """
    import numpy as np

    filler = (b"" if frame.huffman else bytes(8)) + b"\x5a\xa5" * 32
    if not np.array_equal(_pixels(rebuilt(frame, scans)), _pixels(rebuilt(frame, scans, filler=filler))):
        raise DamageError("its compressed data ends too early")


def _pixels(jpeg: bytes) -> NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
        return np.asarray(picture)
