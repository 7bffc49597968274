"""What objects made of a DICOM image take over from it: whose it is, its study, and where it lies in the patient."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

CARRIED: Mapping[str, str] = MappingProxyType(
    {
        "PatientName": "PN",
        "PatientID": "LO",
        "IssuerOfPatientID": "LO",
        "PatientBirthDate": "DA",
        "PatientSex": "CS",
        "PatientIdentityRemoved": "CS",
        "DeidentificationMethod": "LO",
        "StudyDate": "DA",
        "StudyTime": "TM",
        "StudyID": "SH",
        "AccessionNumber": "SH",
        "ReferringPhysicianName": "PN",
    }
)
"""The attributes that say whose an image is and which study it belongs to, with their value types. All objects of a
study must have them, or an archive takes one for another patient's. They go nowhere but into DICOM objects."""

WHERE = (
    *("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "SliceThickness"),
    *("ImageOrientationSlide", "TotalPixelMatrixOriginSequence"),
)
"""What else is read of a header for it, beside what every header is read for."""

_LONGEST = 400
"""The most characters of an attribute: a name may have three groups of 64."""
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64


@dataclass(frozen=True, slots=True)
class DicomOrigin:
    """What objects made of an image take over.

    Attributes:
        kind: the SOP class of the image.
        instance: its own identifier; empty if it has none.
        study, series: those that it belongs to; empty if it names none.
        reference: the frame of reference; empty if it has none.
        on_slide: whether it lies on a slide, not in a patient.
        position: of the centre of its first pixel in the patient, in mm; None if it is not known for this frame.
        orientation: the directions of its rows and of its columns in the patient; None if they are not known.
        spacing: the distance of its rows and of its columns in mm; None if it is not known in the patient.
        thickness: of the slice in mm; None if it is not known.
        carried: the attributes of `CARRIED` that it has, by keyword. They are no part of the object's `repr`.
    """

    kind: str
    instance: str
    study: str
    series: str
    reference: str = ""
    on_slide: bool = False
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing: tuple[float, ...] | None = None
    thickness: float | None = None
    carried: Mapping[str, str] = field(default_factory=dict, repr=False)


def origin_of(dataset: Dataset, frames: int) -> DicomOrigin:
    """Return what is taken over from a header that was read with `CARRIED` and `WHERE`, in the decoding process.

    Args:
        dataset: with the functional groups of the frame in their places.
        frames: how many frames there are. Where there are several, only functional groups say where one lies.

    Raises:
        ValueError: an attribute is longer than the standard allows, or cannot be read. (pydicom raises others, too.)
    """
    placed = frames == 1 or _has_group(dataset, "PlanePositionSequence")
    carried = {keyword: text for keyword in CARRIED if (text := _text(dataset, keyword))}
    return DicomOrigin(
        kind=_uid(str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))),
        instance=_uid(_text(dataset, "SOPInstanceUID")),
        study=_uid(_text(dataset, "StudyInstanceUID")),
        series=_uid(_text(dataset, "SeriesInstanceUID")),
        reference=_uid(_text(dataset, "FrameOfReferenceUID")),
        on_slide="ImageOrientationSlide" in dataset or "TotalPixelMatrixOriginSequence" in dataset,
        position=_numbers(dataset.get("ImagePositionPatient"), 3) if placed else None,
        orientation=_numbers(dataset.get("ImageOrientationPatient"), 6),
        spacing=_numbers(dataset.get("PixelSpacing"), 2, above=0.0),
        thickness=next(iter(_numbers([dataset.get("SliceThickness")], 1, above=0.0) or ()), None),
        carried=carried,
    )


def origin_record(origin: DicomOrigin) -> dict[str, object]:
    """Return an origin for JSON."""
    return asdict(origin)


def parse_origin(record: Mapping[str, object]) -> DicomOrigin:
    """Return the origin that a record describes, of which every value is what it should be.

    Raises:
        ValueError: one is not. The error does not quote it.
    """
    texts = {name: record.get(name) for name in ("kind", "instance", "study", "series", "reference")}
    carried = record.get("carried")
    if not isinstance(carried, dict) or not set(carried) <= set(CARRIED):
        raise ValueError("no origin: what is carried")
    if not all(isinstance(text, str) and len(text) <= _LONGEST for text in (*texts.values(), *carried.values())):
        raise ValueError("no origin: a text")
    thickness = record.get("thickness")
    return DicomOrigin(
        **{name: _uid(str(text)) for name, text in texts.items()},
        on_slide=record.get("on_slide") is True,
        position=_numbers(record.get("position"), 3),
        orientation=_numbers(record.get("orientation"), 6),
        spacing=_numbers(record.get("spacing"), 2, above=0.0),
        thickness=None if thickness is None else next(iter(_numbers([thickness], 1, above=0.0) or ()), None),
        carried=MappingProxyType({str(keyword): str(text) for keyword, text in carried.items()}),
    )


def _has_group(dataset: Dataset, name: str) -> bool:
    """Whether a functional group says it: of all frames, or of each."""
    groups = (dataset.get(f"{of}FunctionalGroupsSequence") or [] for of in ("Shared", "PerFrame"))
    return any(name in each[0] for each in groups if len(each))


def _text(dataset: Dataset, keyword: str) -> str:
    """Return an attribute as the text that it is, without what no text may hold; empty if it is missing or empty."""
    from pydicom.multival import MultiValue

    value = dataset.get(keyword)
    if value is None:
        return ""
    text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    text = "".join(character for character in text if unicodedata.category(character) not in ("Cc", "Cs")).rstrip()
    if len(text) > _LONGEST:
        raise ValueError(keyword)
    return text


def _uid(text: str) -> str:
    """Return an identifier as it is, also one that the standard would not allow; empty if it is none."""
    return text if len(text) <= _LONGEST_UID and _UID.fullmatch(text) else ""


def _numbers(given: object, count: int, *, above: float = -math.inf) -> tuple[float, ...] | None:
    """Return that many finite numbers; None if it is anything else."""
    if given is None or isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        return None
    found = list(given)
    try:
        numbers = tuple(float(each) for each in found)
    except (TypeError, ValueError):
        return None
    sound = len(numbers) == count and all(math.isfinite(number) and number > above for number in numbers)
    return numbers if sound else None
