"""Which file an image lies in: a path may name a frame of a DICOM file, or a slice of a NIfTI volume."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from engine.images.dicom.recognising import frame_in, frame_name, split_frame
from engine.images.nifti.recognising import slice_in, split_slice


def file_of(path: Path) -> Path:
    """Return the file that an image lies in; the path itself for most."""
    place, frame = split_frame(path)
    return split_slice(path)[0] if frame is None else place


def named_beside(path: Path) -> Path | None:
    """Return the file before a `#`, where a path is that of no file but what stands before a `#` in its name is."""
    if os.path.lexists(path):
        return None
    parts = path.name.split("#")
    names = ("#".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return next((place for name in names if (place := Path(path.parent, name)).is_file()), None)


def same_part(path: Path, file: str) -> str:
    """Return the name of the same part, as a path names one, of another file; that file's for a whole one."""
    if (frame := split_frame(path)[1]) is not None:
        return frame_name(file, frame)
    return file + path.name.removeprefix(split_slice(path)[0].name)


def names_file(name: str, files: Collection[str]) -> bool:
    """Whether a name is that of one of these files, or of one of their frames or slices."""
    return name in files or any(found is not None and found[0] in files for found in (frame_in(name), slice_in(name)))


def is_part(path: Path, file: Path) -> bool:
    """Whether a path names a frame or a slice of a file; judged by the names alone."""
    return path != file and path.parent == file.parent and names_file(path.name, (file.name,))
