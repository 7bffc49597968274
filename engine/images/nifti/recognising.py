"""Whether a file is a NIfTI volume, told by its first bytes; and which slice of it a path names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

START = 348
"""Bytes that tell: the header of NIfTI-1. NIfTI-2 tells with its first twelve."""

SUFFIXES = (".nii", ".nii.gz")
"""Suffixes of files with volumes, in lower case."""

Plane = Literal["axial", "coronal", "sagittal"]
PLANES: tuple[Plane, ...] = get_args(Plane)
AXIAL: tuple[Plane, ...] = PLANES[:1]
"""What is listed of a volume where nothing else is asked for."""

Kind = Literal["NIfTI-1", "NIfTI-2", "half of a NIfTI pair", "half of an Analyze pair"]

_GZIP = b"\x1f\x8b\x08"
_ONE = {b"\x5c\x01\0\0", b"\0\0\x01\x5c"}
"""The length of NIfTI-1's header, 348, which Analyze has, too; in either order of bytes."""
_TWO = {b"\x1c\x02\0\0", b"\0\0\x02\x1c"}
_KINDS: dict[bytes, Kind] = {b"n+1\0": "NIfTI-1", b"ni1\0": "half of a NIfTI pair"}
_TWO_KINDS: dict[bytes, Kind] = {
    b"n+2\0\r\n\x1a\n": "NIfTI-2",
    b"ni2\0\r\n\x1a\n": "half of a NIfTI pair",
}

_SLICE = re.compile(rf"(.+)#({'|'.join(PLANES)})(?::([1-9][0-9]{{0,5}}))?(?::([1-9][0-9]{{0,5}}))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice of a volume, as a path names it.

    Attributes:
        plane: the way it is cut.
        index: its number, from 1: upwards from the feet (axial), forwards from the back (coronal), or from the
            patient's left to the right (sagittal); None for all.
        volume: the number of the volume, from 1, in a file with several; None if none is named.
    """

    plane: Plane
    index: int | None = None
    volume: int | None = None


def kind_of(start: bytes) -> Kind | None:
    """Return what a file with these first bytes is, unpacked; None if it is nothing of the kind."""
    if start[:4] in _TWO:
        return _TWO_KINDS.get(start[4:12])
    if start[:4] not in _ONE or len(start) < START:
        return None
    return _KINDS.get(start[344:348], "half of an Analyze pair")


def is_volume(start: bytes) -> bool:
    """Whether a file with these first bytes is for the readers of NIfTI, if only to be refused by its kind.

    What is packed by gzip is for them: they alone look into it.
    """
    return start.startswith(_GZIP) or kind_of(start) is not None


def is_packed(start: bytes) -> bool:
    """Whether a file with these first bytes is packed by gzip."""
    return start.startswith(_GZIP)


def may_be_volume(name: str) -> bool:
    """Whether a name is one that files with volumes have."""
    return name.lower().endswith(SUFFIXES)


def split_slice(path: Path) -> tuple[Path, Slice | None]:
    """Return the file that a path names and the slice; None if it names none.

    `brain.nii.gz#axial:42` is the 42nd axial slice of `brain.nii.gz`, `brain.nii.gz#axial:42:3` that of the third
    volume in it, and `brain.nii.gz#axial` are all of them, unless there is a file of the whole name.
    """
    found = slice_in(path.name)
    if found is None or os.path.lexists(path):
        return path, None
    return Path(path.parent, found[0]), found[1]  # not `with_name`, which raises where the name is a dot


def slice_in(name: str) -> tuple[str, Slice] | None:
    """Return the file's name and the slice if a name is of this form, whatever files there are."""
    found = _SLICE.fullmatch(name)
    if found is None:
        return None
    plane: Plane = next(each for each in PLANES if each == found[2])
    index, volume = (None if number is None else int(number) for number in (found[3], found[4]))
    return found[1], Slice(plane, index, volume)


def slice_name(name: str, plane: Plane, index: int, volume: int | None = None) -> str:
    """Return the name of a slice; see `split_slice`. `volume` is for files with several."""
    return f"{name}#{plane}:{index}" + ("" if volume is None else f":{volume}")
