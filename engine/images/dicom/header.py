"""Makes of an opened DICOM header what `facts` keeps, and nothing else."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ImageError
from engine.images.dicom import words
from engine.images.dicom.facts import BurnedIn, DicomFacts, Shape, VoiLut, Window
from engine.images.dicom.opening import AGAIN, OpenedDicom, bytes_left, has_pixels, is_directory
from engine.images.dicom.tags import loose_numbers, loose_text, number, numbers, positive_pair, whole_number
from engine.images.scan import letters_of

if TYPE_CHECKING:
    from pydicom import Dataset


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
    rows, columns = (int(number(dataset, name, 0)) for name in ("Rows", "Columns"))
    if not has_pixels(opened.file):
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
    modality = words.code(loose_text(dataset, "Modality"), words.MODALITIES)
    photometric = _photometric(dataset)
    bits, allocated, signed = _bits(dataset)
    # Each would become an image of its own. A compressed one takes at least the 8 bytes that say its length.
    if opened.frames > 1 and opened.frames > 8 * bytes_left(opened.file) // min(rows * columns * allocated, 64):
        raise ImageError(
            "its header promises more frames than the file can hold", subject=path, remedy=AGAIN, code="damaged"
        )
    spacing = positive_pair(dataset, "PixelSpacing") or positive_pair(dataset, "ImagerPixelSpacing")
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
        body_part=words.code(loose_text(dataset, "BodyPartExamined"), words.BODY_PARTS),
        view=words.code(loose_text(dataset, "ViewPosition"), words.VIEWS),
        laterality=_laterality(dataset),
        spacing=spacing,
        aspect=_aspect(dataset, spacing),
        edges=_edges(dataset),
        burned_in=_burned_in(dataset),
        series=hashlib.sha256(loose_text(dataset, "SeriesInstanceUID").encode()).hexdigest()[:16],
        series_number=whole_number(dataset, "SeriesNumber"),
        instance_number=whole_number(dataset, "InstanceNumber"),
        position=_position(dataset),
        description=words.description(loose_text(dataset, "SeriesDescription")),
    )


def no_frame(frame: int, frames: int, path: Path) -> ImageError:
    """Return the error for the number of a frame that a file does not have."""
    holds, remedy = (
        ("one frame", "name frame 1") if frames == 1 else (f"{frames:,} frames", f"name one from 1 to {frames:,}")
    )
    return ImageError(f"it has {holds}, and no frame {frame:,}", subject=path, remedy=remedy, code="frame")


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
    return found or "MONOCHROME2" if number(dataset, "SamplesPerPixel", 1) == 1 else found


def _bits(dataset: Dataset) -> tuple[int, int, bool]:
    allocated = int(number(dataset, "BitsAllocated", 16))
    stored = int(number(dataset, "BitsStored", allocated))
    allocated = min(max(allocated, 1), 64)
    return min(max(stored, 1), allocated), allocated, number(dataset, "PixelRepresentation", 0) == 1


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
    if dose := number(dataset, "DoseGridScaling", 0.0):
        return dose
    most = number(dataset, "MaximumFractionalValue", 0.0)
    shares = str(dataset.get("SegmentationType") or "").strip().upper() == "FRACTIONAL"
    return 1 / most if shares and most > 0 else None


def rescale(dataset: Dataset) -> tuple[float, float]:
    """Return slope and intercept; (1, 0) where the header has not both."""
    if (own := scaling(dataset)) is not None:
        return own, 0.0
    if "RescaleSlope" in dataset and "RescaleIntercept" in dataset:
        return number(dataset, "RescaleSlope", 1.0), number(dataset, "RescaleIntercept", 0.0)
    return 1.0, 0.0


def _unit(dataset: Dataset, modality: str) -> str:
    for name in ("DoseUnits", "Units", "RescaleType"):
        if found := words.UNITS.get(loose_text(dataset, name).strip().upper()):
            return found
    # The standard demands HU of CT (PS3.3, C.8.2.1.1.3) unless the type says otherwise.
    rescaled = "RescaleSlope" in dataset and not dataset.get("RescaleType")
    return "HU" if modality == "CT" and rescaled else ""


def _windows(dataset: Dataset) -> Iterator[Window]:
    centres, widths = (numbers(dataset, name) for name in ("WindowCenter", "WindowWidth"))
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
        count, first, depth = (int(each) for each in descriptor)
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
    first = number(dataset, "PixelPaddingValue", math.nan)
    last = number(dataset, "PixelPaddingRangeLimit", first)
    slope, intercept = rescale(dataset)
    ends = first * slope + intercept, last * slope + intercept
    return (min(ends), max(ends)) if all(map(math.isfinite, ends)) else None


def _burned_in(dataset: Dataset) -> BurnedIn:
    said = loose_text(dataset, "BurnedInAnnotation").strip().upper()
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
        if found := words.code(loose_text(dataset, name), words.LATERALITIES):
            return found if found != "U" else ""
    return ""


def _aspect(dataset: Dataset, spacing: tuple[float, float] | None) -> float:
    ratio = spacing or positive_pair(dataset, "PixelAspectRatio")  # vertical, horizontal
    return ratio[0] / ratio[1] if ratio is not None and 0.01 <= ratio[0] / ratio[1] <= 100 else 1.0


def _edges(dataset: Dataset) -> tuple[str, str] | None:
    """Return where the right and the lower edge lie."""
    cosines = loose_numbers(dataset, "ImageOrientationPatient")
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
    cosines, place = (loose_numbers(dataset, name) for name in ("ImageOrientationPatient", "ImagePositionPatient"))
    if len(cosines) != 6 or len(place) != 3:
        return None
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    along = place[0] * (b * f - c * e) + place[1] * (c * d - a * f) + place[2] * (a * e - b * d)
    return along if math.isfinite(along) else None
