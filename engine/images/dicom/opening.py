"""Opens a DICOM file in the decoding process and reads of its header only the tags that are needed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.errors import ImageError
from engine.images.decoding.budget import TooMuchWorkError
from engine.images.dicom.tags import number
from engine.images.header import EXPORT, Limits

if TYPE_CHECKING:
    from pydicom import Dataset

NOT_READ = "the file is damaged, or not DICOM as the standard defines it"
AGAIN = "send it again from the archive, or export it again"

_DEFLATED = "1.2.840.10008.1.2.1.99"
_EXPLICIT = "1.2.840.10008.1.2.1"
_DIRECTORY = "1.2.840.10008.1.3.10"

_TAGS = (
    # What the object is, and which series it belongs to.
    *("SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber", "SeriesDescription"),
    *("BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality", "PatientOrientation"),
    *("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"),
    "BurnedInAnnotation",
    # Its pixels.
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence", "Units", "DoseUnits"),
    *("DoseGridScaling", "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PixelPresentation"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "SegmentationType", "MaximumFractionalValue"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DirectoryRecordSequence"),
    *(
        f"{segmented}{colour}PaletteColorLookupTable{what}"
        for segmented in ("", "Segmented")
        for colour in ("Red", "Green", "Blue", "Alpha")
        for what in ("Descriptor", "Data")
        if not segmented or what == "Data"
    ),
)
"""What is read of a header. All other tags, those with names among them, are skipped unread."""

_GROUPS = {
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "FrameAnatomySequence": ("FrameLaterality",),
}
"""What an enhanced object says of each frame, or of all, in a functional group of its own (PS3.3, C.7.6.16)."""

_GREATEST_FRAMES = 999_999
_MOST_META = 1 << 16
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class OpenedDicom:
    """A DICOM file whose header has been read.

    Attributes:
        file: stands before the pixel data; for a deflated file its content, inflated.
        dataset: the tags of `_TAGS`, with those of the frame's functional groups in their places.
        syntax: the transfer syntax that `file` is in.
        frames: how many there are.
    """

    file: BinaryIO
    dataset: Dataset
    syntax: str
    frames: int


def open_dicom(
    file: BinaryIO, path: Path, limits: Limits, frame: int = 1, *, more: Collection[str] = ()
) -> OpenedDicom:
    """Read a header.

    Args:
        file: at its start.
        path: its name, for errors.
        limits: beyond which it is refused.
        frame: the one whose functional groups count, from 1.
        more: keywords of further tags to read.

    Raises:
        ImageError: it cannot be read. Nothing that stands in the file is part of the error.
    """
    from pydicom import dcmread
    from pydicom.datadict import tag_for_keyword
    from pydicom.tag import BaseTag
    from pydicom.uid import UID

    try:
        syntax = _meta_syntax(file)
        if syntax == _DEFLATED:
            file, syntax = BytesIO(_inflated(file, limits, path)), _EXPLICIT
        file.seek(0)
        tags: list[BaseTag | int] = [tag for name in (*_TAGS, *more) if (tag := tag_for_keyword(name)) is not None]
        dataset = dcmread(file, stop_before_pixels=True, force=True, specific_tags=tags)
        frames = number(dataset, "NumberOfFrames", 1)
        frames = int(frames) if 1 <= frames <= _GREATEST_FRAMES else 1
        _take_groups(dataset, min(frame, frames))
        syntax = syntax or _guessed_syntax(dataset)
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    except (ImageError, MemoryError):
        raise
    except TooMuchWorkError as error:
        raise ImageError(str(error), subject=path, remedy=AGAIN, code="too-slow") from error
    except RecursionError as error:
        raise ImageError("its sequences are nested too deep", subject=path, remedy=AGAIN, code="damaged") from error
    # A hostile or damaged header may make pydicom raise anything. What it says may quote the header, so it is dropped.
    except Exception as error:
        raise ImageError(NOT_READ, subject=path, remedy=AGAIN, code="damaged") from error
    return OpenedDicom(file, dataset, syntax, frames)


def is_directory(dataset: Dataset) -> bool:
    """Whether the object is a DICOMDIR: a list of the files beside it."""
    return str(dataset.file_meta.get("MediaStorageSOPClassUID", "")) == _DIRECTORY


def _meta_syntax(file: BinaryIO) -> str:
    """Return the transfer syntax that the file names, "" if it names none; the file then stands behind its group 2."""
    start = file.read(132)
    file.seek(132 if start[128:] == b"DICM" else 0)
    syntax = ""
    while True:
        place = file.tell()
        head = file.read(8)
        if len(head) < 8 or head[:2] != b"\x02\0" or place > _MOST_META:
            file.seek(place)
            return syntax
        kind, length = head[4:6], struct.unpack("<H", head[6:])[0]
        if kind in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
            length = struct.unpack("<I", file.read(4))[0]
        if head[2:4] == b"\x10\0" and length <= 64:
            syntax = file.read(length).decode("ascii", "replace").strip(" \0")
        else:
            file.seek(file.tell() + length)


def _inflated(file: BinaryIO, limits: Limits, path: Path) -> bytes:
    """Return a deflated file, which stands behind its group 2, as one that is not: at most `limits.bytes`."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = bytearray()
    while not inflater.eof and (piece := file.read(_PIECE)):
        content += inflater.decompress(piece, limits.bytes - len(content) + 1)
        if len(content) > limits.bytes:
            raise ImageError(
                f"it inflates to more than {limits.bytes:,} bytes", subject=path, remedy=EXPORT, code="too-large"
            )
    if not inflater.eof:
        raise ImageError("its deflated data ends early", subject=path, remedy=AGAIN, code="damaged")
    syntax = _EXPLICIT.encode() + b"\0"
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(element)) + element + content


def _guessed_syntax(dataset: Dataset) -> str:
    """Return the syntax that pydicom read a file in that names none."""
    implicit, little = dataset.original_encoding
    if not little:
        return "1.2.840.10008.1.2.2"
    return "1.2.840.10008.1.2" if implicit else _EXPLICIT


def has_pixels(file: BinaryIO) -> bool:
    """Whether the pixel data comes next; the file is left where it stands."""
    place = file.tell()
    tag = file.read(4)
    file.seek(place)
    return len(tag) == 4 and any(
        struct.unpack(f"{order}HH", tag) in ((0x7FE0, 0x0010), (0x7FE0, 0x0008), (0x7FE0, 0x0009)) for order in "<>"
    )


def bytes_left(file: BinaryIO) -> int:
    """Return how many bytes follow; the file is left where it stands."""
    place = file.tell()
    end = file.seek(0, 2)
    file.seek(place)
    return end - place


def _take_groups(dataset: Dataset, frame: int) -> None:
    """Put what the functional groups say of a frame in the places where other objects say it."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
    each = dataset.get("PerFrameFunctionalGroupsSequence") or []
    own = each[frame - 1] if 1 <= frame <= len(each) else None
    for groups in (shared[0], own):
        if groups is None:
            continue
        for sequence, names in _GROUPS.items():
            for item in list(groups.get(sequence) or [])[:1]:
                for name in names:
                    if name in item:
                        dataset[name] = item[name]
