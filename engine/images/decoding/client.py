"""Decodes pictures in a separate process, so that a decoder that crashes, hangs or eats memory costs one file only.

Each function asks for one thing, see `engine.images.decoding.worker`; `pool` keeps the processes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.errors import ImageError
from engine.images.decoding.pool import ask, ask_about, not_refused
from engine.images.dicom.answers import parse_dicom, parse_listed, with_entries
from engine.images.dicom.serving import HEADER_TIMES
from engine.images.header import Header, Limits
from engine.images.nifti.answers import parse_nifti
from engine.storage.reading import UnusableFileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.images.dicom.facts import DicomFacts
    from engine.images.dicom.origin import DicomOrigin
    from engine.images.nifti.facts import VolumeFacts
    from engine.results.caution import Caution

    Integers = NDArray[np.unsignedinteger]


def decode_separately(data: bytes, path: Path, limits: Limits) -> tuple[Integers, Header, tuple[Caution, ...]]:
    """Decode a picture in the separate process; see `engine.images.decoding.pixels.decode`.

    Raises:
        ImageError: the picture is refused, takes too long or crashes its decoder; or the process cannot be started.
    """
    import numpy as np

    answer, pixels = ask(lambda process: process.pixels(data, limits), path, limits)
    decoded = not_refused(answer, path)
    # The worker sends little-endian values on every machine.
    array = pixels.view("<u2" if decoded.header.bit_depth == 16 else np.uint8).reshape(decoded.shape)
    return array, decoded.header, decoded.warnings


def header_separately(file: BinaryIO, size: int, path: Path, limits: Limits) -> Header:
    """Read a picture's header in the separate process, which is sent only the pieces of the file that it asks for.

    Args:
        file: the picture's file, open for reading.
        size: of the file, in bytes.
        path: its name, for errors.
        limits: beyond which it is refused.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    try:
        answer = ask(lambda process: process.header(file, size, limits), path, limits)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    return not_refused(answer, path).header


def dicom_separately(
    file: BinaryIO, size: int, frame: int, path: Path, limits: Limits
) -> tuple[NDArray[np.unsignedinteger] | NDArray[np.float32], DicomFacts]:
    """Decode a frame of a DICOM file in the separate process, which is sent only the pieces that it asks for.

    Args:
        file: open for reading.
        size: of the file, in bytes.
        frame: its number, from 1.
        path: the file's name, for errors.
        limits: beyond which it is refused.

    Returns:
        (H, W, C) pixels, see `engine.images.dicom.pixels.frame_pixels`, and what is kept of the header.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    seconds = HEADER_TIMES * limits.header_seconds + limits.seconds
    answer, sent = ask_about(
        path,
        limits,
        lambda process: process.scan(
            "dicom", file, size, (frame,), limits, seconds, partial(parse_dicom, limits=limits, pixels=True)
        ),
    )
    kind: dict[str, str] = {"u1": "u1", "u2": "<u2", "f4": "<f4"}
    pixels = sent[: answer.pixel_bytes].view(kind[answer.sample]).reshape(answer.shape)
    return pixels, with_entries(answer.facts, sent[answer.pixel_bytes :].tobytes())


def dicom_header_separately(file: BinaryIO, size: int, path: Path, limits: Limits) -> DicomFacts:
    """Read the header of a DICOM file, for its first frame; see `dicom_separately`. Its table has no entries.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    seconds = HEADER_TIMES * limits.header_seconds
    answer, _ = ask_about(
        path,
        limits,
        lambda process: process.scan(
            "dicom-header", file, size, (1,), limits, seconds, partial(parse_dicom, limits=limits, pixels=False)
        ),
    )
    return answer.facts


def dicom_origin_separately(file: BinaryIO, size: int, frame: int, path: Path, limits: Limits) -> DicomOrigin:
    """Read what objects made of a frame of a DICOM file take over from it; see `dicom_separately`.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    try:
        answer = ask(lambda process: process.origin(file, size, frame, limits), path, limits)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    return not_refused(answer, path)


def dicomdir_separately(file: BinaryIO, size: int, path: Path, limits: Limits) -> tuple[str, ...]:
    """Return the names of the files that a DICOMDIR lists, with `/`; see `engine.images.dicom.directory`.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    seconds = HEADER_TIMES * limits.header_seconds
    _, sent = ask_about(
        path, limits, lambda process: process.scan("dicomdir", file, size, (), limits, seconds, parse_listed)
    )
    return tuple(sent.tobytes().decode("utf-8", "replace").splitlines())


def nifti_separately(
    file: BinaryIO, size: int, part: tuple[int, ...] | None, path: Path, limits: Limits
) -> tuple[VolumeFacts, NDArray[np.generic]]:
    """Read a volume of a NIfTI file, or one slice, in the separate process, which is sent only what it asks for.

    Args:
        file: open for reading.
        size: of the file, in bytes.
        part: the volume's number, from 1; of a slice also the file's axis across which it lies, and its place along
            that, from 0; None for the header alone.
        path: the file's name, for errors.
        limits: beyond which it is refused.

    Returns:
        What is kept of the header, and (X, Y, Z) voxels as they are stored, little endian, or (X, Y, Z, channels).

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    import numpy as np

    seconds = HEADER_TIMES * limits.header_seconds + (0.0 if part is None else limits.seconds)
    wanted = "nifti-header" if part is None else "nifti"
    answer, sent = ask_about(
        path,
        limits,
        lambda process: process.scan(
            wanted, file, size, part or (), limits, seconds, partial(parse_nifti, limits=limits, wanted=part)
        ),
    )
    facts, shape = answer.facts, answer.block
    if not facts.grey:
        return facts, np.moveaxis(sent.reshape((facts.voxel_bytes, *shape), order="F"), 0, 3)
    return facts, sent.view(f"<{facts.sample}").reshape(shape, order="F")
