"""DICOM files for tests, made with pydicom: of any depth, colour, syntax and number of frames, with any tags."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import (  # noqa: E402
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)


def dataset(pixels: NDArray[np.generic] | None, *, syntax: str = ExplicitVRLittleEndian, **tags: object) -> FileDataset:
    """A dataset of pixels (H, W), (H, W, 3) or, with `NumberOfFrames`, one axis more in front.

    Args:
        pixels: integers; None for an object without any.
        syntax: the transfer syntax. Compressed frames are given by `frames_of`.
        tags: by keyword; they go before what the pixels tell.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = named = pydicom.uid.UID(syntax)
    made = FileDataset(
        "",
        {},
        file_meta=meta,
        preamble=bytes(128),
        is_implicit_VR=named.is_implicit_VR,
        is_little_endian=named.is_little_endian,
    )
    made.SOPClassUID = str(tags.pop("SOPClassUID", CTImageStorage))
    made.SOPInstanceUID = generate_uid()
    made.Modality, made.SeriesInstanceUID, made.BurnedInAnnotation = "CT", "1.2.3", "NO"
    if pixels is not None:
        frames = int(str(tags.get("NumberOfFrames", 1)))
        shape = pixels.shape[1:] if frames > 1 else pixels.shape
        made.Rows, made.Columns = shape[:2]
        made.SamplesPerPixel = 3 if len(shape) == 3 else 1
        made.PhotometricInterpretation = "RGB" if len(shape) == 3 else "MONOCHROME2"
        if len(shape) == 3:
            made.PlanarConfiguration = 0
        made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
        made.HighBit = made.BitsAllocated - 1
        made.PixelRepresentation = int(pixels.dtype.kind == "i")
        order = "<" if named.is_little_endian else ">"
        made.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        if len(made.PixelData) % 2:
            made.PixelData += b"\0"
        made["PixelData"].VR = "OB" if made.BitsAllocated == 8 else "OW"
    for name, value in tags.items():
        setattr(made, name, value)
    if "BitsStored" in tags:
        made.HighBit = made.BitsStored - 1
    return made


def frames_of(made: Dataset, frames: list[bytes]) -> None:
    """Put compressed frames in place of the pixels."""
    made.PixelData = encapsulate(frames)
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True


def write(path: Path, made: Dataset) -> Path:
    """Write a dataset as a DICOM file."""
    made.save_as(path, enforce_file_format=True)
    return path


def write_dicom(path: Path, pixels: NDArray[np.generic] | None, **tags: object) -> Path:
    """Write a DICOM file of pixels; see `dataset`."""
    return write(path, dataset(pixels, **tags))  # type: ignore[arg-type]


def deflated(path: Path, content: bytes) -> Path:
    """Write a file whose dataset, explicit and little endian, is deflated."""
    syntax = DeflatedExplicitVRLittleEndian.encode() + b"\0" * (len(DeflatedExplicitVRLittleEndian) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    meta = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element)) + element
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(bytes(128) + b"DICM" + meta + squeezed.compress(content) + squeezed.flush())
    return path


def item(**tags: object) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for name, value in tags.items():
        setattr(made, name, value)
    return made
