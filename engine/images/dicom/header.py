"""Reads a DICOM header in the decoding process: only the tags that are needed, and of them only what `facts` keeps."""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.errors import ImageError
from engine.images.decoding.budget import TooMuchWorkError
from engine.images.dicom import words
from engine.images.dicom.facts import BurnedIn, DicomFacts, Shape, VoiLut, Window
from engine.images.header import EXPORT, Limits
from engine.images.scan import letters_of

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
        frames = _number(dataset, "NumberOfFrames", 1)
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


def facts_of(opened: OpenedDicom, path: Path, frame: int = 1) -> DicomFacts:
    """Return what is kept of a header.

    Raises:
        ImageError: it is no picture, or describes none that can be.
    """
    dataset = opened.dataset
    kind = _kind(dataset)
    if is_directory(dataset):
        raise ImageError(
            "this is a DICOMDIR: it lists pictures and holds none",
            subject=path,
            remedy="open the folder that it lies in",
            code="no-pixels",
        )
    rows, columns = (int(_number(dataset, name, 0)) for name in ("Rows", "Columns"))
    if not _has_pixels(opened.file):
        # A picture without its pixels is damaged; anything else never had any.
        if rows > 0 and columns > 0 and "PhotometricInterpretation" in dataset:
            raise ImageError("its pixel data is missing", subject=path, remedy=AGAIN, code="damaged")
        raise ImageError(
            f"this DICOM object holds no picture ({kind})",
            subject=path,
            remedy="choose an image of the same study",
            code="no-pixels",
        )
    if rows < 1 or columns < 1:
        raise ImageError("the picture has no pixels", subject=path, remedy=AGAIN, code="damaged")
    if frame > opened.frames:
        raise no_frame(frame, opened.frames, path)
    modality = words.code(_loose_text(dataset, "Modality"), words.MODALITIES)
    photometric = _photometric(dataset)
    bits, allocated, signed = _bits(dataset)
    # Each would become an image of its own. A compressed one takes at least the 8 bytes that say its length.
    if opened.frames > 1 and opened.frames > 8 * bytes_left(opened.file) // min(rows * columns * allocated, 64):
        raise ImageError(
            "its header promises more frames than the file can hold", subject=path, remedy=AGAIN, code="damaged"
        )
    spacing = _pair(dataset, "PixelSpacing") or _pair(dataset, "ImagerPixelSpacing")
    grey = photometric.startswith("MONOCHROME")
    # A screenshot in colour may have kept the rescale of the slice that it shows.
    low, high = _range(dataset, bits, signed) if grey else (0.0, 2.0**bits - 1)
    return DicomFacts(
        kind=kind,
        modality=modality,
        photometric=photometric,
        frames=opened.frames,
        frame=frame,
        rows=rows,
        columns=columns,
        bits=bits,
        allocated=allocated,
        low=low,
        high=high,
        unit=_unit(dataset, modality) if grey else "",
        coding=_coding(opened.syntax),
        windows=tuple(_windows(dataset)) if grey else (),
        lut=_voi_lut(dataset) if grey else None,
        padding=_padding(dataset) if grey else None,
        body_part=words.code(_loose_text(dataset, "BodyPartExamined"), words.BODY_PARTS),
        view=words.code(_loose_text(dataset, "ViewPosition"), words.VIEWS),
        laterality=_laterality(dataset),
        spacing=spacing,
        aspect=_aspect(dataset, spacing),
        edges=_edges(dataset),
        burned_in=_burned_in(dataset),
        series=hashlib.sha256(_loose_text(dataset, "SeriesInstanceUID").encode()).hexdigest()[:16],
        series_number=_count(dataset, "SeriesNumber"),
        instance_number=_count(dataset, "InstanceNumber"),
        position=_position(dataset),
        description=words.description(_loose_text(dataset, "SeriesDescription")),
    )


def no_frame(frame: int, frames: int, path: Path) -> ImageError:
    """Return the error for the number of a frame that a file does not have."""
    holds, remedy = (
        ("one frame", "name frame 1") if frames == 1 else (f"{frames:,} frames", f"name one from 1 to {frames:,}")
    )
    return ImageError(f"it has {holds}, and no frame {frame:,}", subject=path, remedy=remedy, code="frame")


# The file


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


def _has_pixels(file: BinaryIO) -> bool:
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


# What the pixels are


def _kind(dataset: Dataset) -> str:
    """Return the standard's name of the object's class."""
    from pydicom.uid import UID

    uid = UID(str(dataset.get("SOPClassUID", "") or dataset.file_meta.get("MediaStorageSOPClassUID", "")))
    if uid.type != "SOP Class":
        return "of a kind that is not known"
    return uid.name.removesuffix(" (Retired)").replace(" Storage - ", ", ").removesuffix(" Storage").strip()


def _photometric(dataset: Dataset) -> str:
    known = (
        *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420"),
        *("YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT", "HSV", "ARGB", "CMYK", "XYB"),
    )
    found = words.code(dataset.get("PhotometricInterpretation"), frozenset(known))
    # Floating-point pixels have none where they are sound; what is no code at all counts as none.
    return found or "MONOCHROME2" if _number(dataset, "SamplesPerPixel", 1) == 1 else found


def _bits(dataset: Dataset) -> tuple[int, int, bool]:
    allocated = int(_number(dataset, "BitsAllocated", 16))
    stored = int(_number(dataset, "BitsStored", allocated))
    allocated = min(max(allocated, 1), 64)
    return min(max(stored, 1), allocated), allocated, _number(dataset, "PixelRepresentation", 0) == 1


def _range(dataset: Dataset, bits: int, signed: bool) -> tuple[float, float]:
    """Return the range of values after the modality LUT (PS3.3, C.11.1).

    Raises:
        ValueError: no float can hold it.
    """
    if table := dataset.get("ModalityLUTSequence"):
        descriptor = table[0].get("LUTDescriptor") or (0, 0, 16)
        return 0.0, float(2 ** min(max(int(descriptor[2]), 1), 32) - 1)
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    slope, intercept = rescale(dataset)
    ends = low * slope + intercept, high * slope + intercept
    if not all(map(math.isfinite, ends)):
        raise ValueError("RescaleSlope")
    return min(ends), max(ends)


def scaling(dataset: Dataset) -> float | None:
    """Return what the values of a dose, or of a segmentation by shares, are multiplied by; None for other objects."""
    if dose := _number(dataset, "DoseGridScaling", 0.0):
        return dose
    most = _number(dataset, "MaximumFractionalValue", 0.0)
    shares = str(dataset.get("SegmentationType") or "").strip().upper() == "FRACTIONAL"
    return 1 / most if shares and most > 0 else None


def rescale(dataset: Dataset) -> tuple[float, float]:
    """Return slope and intercept; (1, 0) where the header has not both."""
    if (own := scaling(dataset)) is not None:
        return own, 0.0
    if "RescaleSlope" in dataset and "RescaleIntercept" in dataset:
        return _number(dataset, "RescaleSlope", 1.0), _number(dataset, "RescaleIntercept", 0.0)
    return 1.0, 0.0


def _unit(dataset: Dataset, modality: str) -> str:
    for name in ("DoseUnits", "Units", "RescaleType"):
        if found := words.UNITS.get(_loose_text(dataset, name).strip().upper()):
            return found
    # The standard demands HU of CT (PS3.3, C.8.2.1.1.3) unless the type says otherwise.
    rescaled = "RescaleSlope" in dataset and not dataset.get("RescaleType")
    return "HU" if modality == "CT" and rescaled else ""


def _windows(dataset: Dataset) -> Iterator[Window]:
    centres, widths = (_numbers(dataset, name) for name in ("WindowCenter", "WindowWidth"))
    named = str(dataset.get("VOILUTFunction") or "").strip().upper()
    shape: Shape = "sigmoid" if named == "SIGMOID" else "linear_exact" if named == "LINEAR_EXACT" else "linear"
    for centre, width in zip(centres, widths, strict=False):
        if width >= 1 or (width > 0 and shape != "linear"):  # a narrower one has no meaning in the standard
            yield Window(centre, width, shape)


def _voi_lut(dataset: Dataset) -> VoiLut | None:
    for item in list(dataset.get("VOILUTSequence") or [])[:1]:
        descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
        if descriptor is None or data is None or len(descriptor) != 3:
            return None
        count, first, depth = (int(number) for number in descriptor)
        count = count or 1 << 16
        if isinstance(data, bytes):
            order = "<" if dataset.original_encoding[1] else ">"
            data = struct.unpack_from(f"{order}{len(data) // 2}H", data)
        entries = tuple(int(entry) for entry in (data if hasattr(data, "__len__") else [data]))[:count]
        if depth not in (8, *range(10, 17)) or len(entries) < count:
            return None
        top = 2**depth - 1
        return VoiLut(first, top, tuple(min(entry, top) for entry in entries))
    return None


def _padding(dataset: Dataset) -> tuple[float, float] | None:
    """Return the values after the modality LUT that fill up the frame."""
    if "PixelPaddingValue" not in dataset or dataset.get("ModalityLUTSequence"):
        return None
    first = _number(dataset, "PixelPaddingValue", math.nan)
    last = _number(dataset, "PixelPaddingRangeLimit", first)
    slope, intercept = rescale(dataset)
    ends = first * slope + intercept, last * slope + intercept
    return (min(ends), max(ends)) if all(map(math.isfinite, ends)) else None


def _burned_in(dataset: Dataset) -> BurnedIn:
    said = _loose_text(dataset, "BurnedInAnnotation").strip().upper()
    return "no" if said == "NO" else "yes" if said else "unknown"


def _coding(syntax: str) -> str:
    from pydicom.uid import UID

    uid = UID(syntax)
    if uid.type != "Transfer Syntax":
        return ""
    return uid.name.partition("(")[0].strip().removesuffix("Image Compression").strip(" :,")


# Where in the patient it lies


def _laterality(dataset: Dataset) -> str:
    for name in ("FrameLaterality", "ImageLaterality", "Laterality"):
        if found := words.code(_loose_text(dataset, name), words.LATERALITIES):
            return found if found != "U" else ""
    return ""


def _aspect(dataset: Dataset, spacing: tuple[float, float] | None) -> float:
    ratio = spacing or _pair(dataset, "PixelAspectRatio")  # vertical, horizontal
    return ratio[0] / ratio[1] if ratio is not None and 0.01 <= ratio[0] / ratio[1] <= 100 else 1.0


def _edges(dataset: Dataset) -> tuple[str, str] | None:
    """Return where the right and the lower edge lie."""
    cosines = _loose(dataset, "ImageOrientationPatient")
    if len(cosines) == 6:
        right, lower = letters_of(cosines[:3]), letters_of(cosines[3:])
        return (right, lower) if right and lower else None
    try:
        right, lower = (str(each).strip().upper() for each in dataset.get("PatientOrientation") or ())
    except Exception:  # a damaged value may make pydicom raise anything, and one letter is no pair
        return None
    sound = all(1 <= len(each) <= 3 and set(each) <= set("LRAPHF") for each in (right, lower))
    return (right, lower) if sound else None


def _position(dataset: Dataset) -> float | None:
    """Return where along its normal a slice lies."""
    cosines, place = (_loose(dataset, name) for name in ("ImageOrientationPatient", "ImagePositionPatient"))
    if len(cosines) != 6 or len(place) != 3:
        return None
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    along = place[0] * (b * f - c * e) + place[1] * (c * d - a * f) + place[2] * (a * e - b * d)
    return along if math.isfinite(along) else None


# Values. What the pixels depend on must be readable; of the rest, what cannot be read counts as missing.


def _numbers(dataset: Dataset, name: str) -> list[float]:
    """Return the numbers of a tag that the pixels depend on, none if it is missing or empty.

    Raises:
        ValueError: it holds anything else. (pydicom raises other errors, too.)
    """
    value = dataset.get(name)
    if value is None or value == "":
        return []
    if isinstance(value, str | bytes):
        raise ValueError(name)
    numbers = [float(each) for each in value] if hasattr(value, "__iter__") else [float(value)]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(name)
    return numbers


def _number(dataset: Dataset, name: str, default: float) -> float:
    found = _numbers(dataset, name)
    return found[0] if found else default


def _loose(dataset: Dataset, name: str) -> list[float]:
    """Return the numbers of a tag that says no more than where a picture belongs; none if they cannot be read."""
    try:
        return _numbers(dataset, name)
    except Exception:  # a damaged value may make pydicom raise anything; nothing depends on it
        return []


def _loose_text(dataset: Dataset, name: str) -> str:
    """Return the text of such a tag; empty if it cannot be read."""
    try:
        return str(dataset.get(name) or "")
    except Exception:  # as above
        return ""


def _count(dataset: Dataset, name: str) -> int:
    found = _loose(dataset, name)
    return int(found[0]) if found else 0


def _pair(dataset: Dataset, name: str) -> tuple[float, float] | None:
    found = _loose(dataset, name)
    return (found[0], found[1]) if len(found) == 2 and min(found) > 0 else None
