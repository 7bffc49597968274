"""From the path of a file to those of its images: frames of a DICOM file, files that a DICOMDIR lists, slices."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import ImageError
from engine.images.dicom.reading import header_of, starts_as_dicom
from engine.images.dicom.recognising import frame_name, split_frame
from engine.images.header import DEFAULT_LIMITS
from engine.images.nifti.following import slices_at
from engine.images.nifti.reading import starts_as_nifti
from engine.storage.reading import UnusableFileError, open_regular

DICOMDIR = "DICOMDIR"
"""The name of a file that lists those of a disc or a study (PS3.10, 8.6)."""


def images_at(path: Path) -> tuple[Path, ...]:
    """Return the paths of the images of a file: its frames, or the images that it lists; the path itself for others.

    A NIfTI volume stands for its middle axial slice, see `engine.images.nifti.following`. A file that cannot be read is
    returned as it is: whoever reads it is told why.
    """
    if split_frame(path)[1] is not None:
        return (path,)
    if not starts_as_dicom(path):
        return slices_at(path) if starts_as_nifti(path) else (path,)
    if path.name.upper() == DICOMDIR:
        try:
            listed = listed_by(path)
        except ImageError:
            return (path,)
        # None of them is followed in turn: it may list itself.
        return tuple(image for file in listed for image in _frames_at(path.parent / file)) or (path,)
    return _frames_at(path)


def _frames_at(path: Path) -> tuple[Path, ...]:
    try:
        frames = header_of(path).frames
    except ImageError:
        return (path,)
    return frames_of(path, frames)


def frames_of(path: Path, count: int) -> tuple[Path, ...]:
    """Return the paths of a file's frames, `name#1` and so on; the path itself for a file of one."""
    if count == 1:
        return (path,)
    return tuple(path.with_name(frame_name(path.name, number)) for number in range(1, count + 1))


def listed_by(path: Path) -> tuple[str, ...]:
    """Return the names of the images that a DICOMDIR lists, relative to its folder, those alone that are there.

    Raises:
        ImageError: it cannot be read, or is no DICOMDIR.
    """
    from engine.images.decoding.client import dicomdir_separately

    try:
        descriptor = open_regular(path)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        names = dicomdir_separately(file, os.fstat(descriptor).st_size, path, DEFAULT_LIMITS)
    root = os.path.realpath(path.parent)
    return tuple(name for name in names if _is_below(root, path.parent / name))


def _is_below(root: str, file: Path) -> bool:
    """Whether a file is there, and no link leads out of the folder."""
    real = os.path.realpath(file)
    return real.startswith(os.path.join(root, "")) and os.path.isfile(real)  # noqa: PTH113, PTH118 - of a real path
