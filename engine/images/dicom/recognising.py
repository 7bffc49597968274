"""Whether a file is DICOM, told by its first bytes; and which frame of a file a path names."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

START = 132
"""Bytes that tell: a preamble of 128, and the mark."""

_MARK = b"DICM"
_FIRST_GROUPS = (0x0002, 0x0008)
"""Groups that a file without a preamble begins with: file meta information, or the identification of the object."""
_LAST_ELEMENT = 0x0070
"""The first element of a file is among the first of its group."""
_LONGEST = 128
"""Bytes of a first value; it is a date, a code or an identifier."""
_VALUE_TYPES = frozenset(b"AE AS CS DA DS DT IS LO LT OB PN SH SQ ST TM UI UL UN US UT".split())
_LONG_TYPES = frozenset(b"OB SQ UN UT".split())

_FRAME = re.compile(r"(.+)#([1-9][0-9]{0,5})", re.DOTALL)


def is_dicom(start: bytes) -> bool:
    """Whether a file with these first bytes is DICOM, with its preamble (PS3.10, 7.1) or, as old files, without."""
    if start[128:132] == _MARK:
        return True
    return len(start) >= 8 and (_begins(start, "<") or _begins(start, ">"))


def split_frame(path: Path) -> tuple[Path, int | None]:
    """Return the file that a path names and the number of its frame, from 1; None if it names no frame.

    `scan.dcm#3` is the third frame of `scan.dcm`, unless there is a file of the whole name.
    """
    found = frame_in(path.name)
    if found is None or os.path.lexists(path):
        return path, None
    return Path(path.parent, found[0]), found[1]  # not `with_name`, which raises where the name is a dot


def frame_in(name: str) -> tuple[str, int] | None:
    """Return the file's name and the number of the frame if a name is of this form, whatever files there are."""
    found = _FRAME.fullmatch(name)
    return None if found is None else (found[1], int(found[2]))


def frame_name(name: str, frame: int) -> str:
    """Return the name of a file's frame, `name#frame`; see `split_frame`."""
    return f"{name}#{frame}"


def _begins(start: bytes, order: str) -> bool:
    """Whether these bytes can be the first element of a dataset in this byte order."""
    group, element = struct.unpack_from(f"{order}HH", start)
    if group not in _FIRST_GROUPS or element > _LAST_ELEMENT:
        return False
    kind = start[4:6]
    if kind in _VALUE_TYPES:
        long = kind in _LONG_TYPES
        if len(start) < 12:
            return False
        length = struct.unpack_from(f"{order}I", start, 8)[0] if long else struct.unpack_from(f"{order}H", start, 6)[0]
        return bool(length <= _LONGEST and length % 2 == 0)
    # Without value types the standard has one order of bytes only.
    length = struct.unpack_from("<I", start, 4)[0]
    return order == "<" and length <= _LONGEST and length % 2 == 0
