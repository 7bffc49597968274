"""What all DICOM objects of an explanation have in common: who made them, what they refer to, and whose they are.

highdicom is told nothing that names a patient, so nothing of it can stand in what highdicom or pydicom say. What is
taken over of it is put into an object at the very end, as the image's file has it.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, TypedDict

from highdicom import AlgorithmIdentificationSequence
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom import Dataset, config
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, generate_uid

from engine.explainers.registry import method_name
from engine.explanation.words import INTENDED_USE
from engine.images.dicom.origin import CARRIED, DicomOrigin
from engine.text import safe_text

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.export.dicom.plan import Place

UNICODE = "ISO_IR 192"
MAKER = "XAIMed"
OWN_CODES = "99XAIMED"
"""The scheme of the codes that the standard has none for."""

_CODE = 16
"""The most characters of a code."""

_SHORT = 64
"""The most characters of the standard's short texts (LO), among them the meaning of a code."""
_LONG = 1024
"""The same of its longer texts (ST)."""
_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
"""What an object has in any case, if only empty."""
_REMOVED = "YES"


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that another one refers to.

    Attributes:
        kind: its SOP class.
        instance: its identifier.
        series: that it belongs to.
        frame: which frame is meant, from 1; None for an object that has one only.
    """

    kind: str
    instance: str
    series: str
    frame: int | None = None

    @property
    def frames(self) -> list[int] | None:
        """The frame as a list, as highdicom takes it."""
        return None if self.frame is None else [self.frame]


@dataclass(frozen=True, slots=True)
class Made:
    """An object that was made.

    Attributes:
        reference: what another object refers to it by.
        content: its file.
    """

    reference: Reference
    content: bytes


class Equipment(TypedDict):
    """Who made an object, as highdicom takes it."""

    manufacturer: str
    manufacturer_model_name: str
    software_versions: str
    device_serial_number: str
    specific_character_set: str
    coding_schemes: list[CodingSchemeIdentificationItem]


class Placed(TypedDict):
    """Where an object goes, as highdicom takes it."""

    series_instance_uid: str
    series_number: int
    sop_instance_uid: str
    instance_number: int
    series_description: str


def own_code(value: str, meaning: str) -> CodedConcept:
    """Return a code of XAIMed's own scheme; a value that is too long for one ends in the first digits of its hash."""
    if len(value) > _CODE:
        value = value[: _CODE - 8] + hashlib.sha256(value.encode()).hexdigest()[:8].upper()
    return CodedConcept(value, OWN_CODES, short(meaning))


def short(text: str) -> str:
    """Return a text as the standard's short ones may be: safe, in one line, and cut where it is too long."""
    return safe_text(text, limit=_SHORT).replace("\\", "/")


def source_reference(explanation: Explanation, origin: DicomOrigin) -> Reference:
    """Return what objects refer to the explained image by; of a file with several frames the one that was explained."""
    facts = explanation.image.dicom
    frame = facts.frame if facts is not None and facts.frames > 1 else None
    return Reference(origin.kind, origin.instance, origin.series, frame)


def known_source(explanation: Explanation, origin: DicomOrigin) -> Dataset:
    """Return what highdicom needs to know of the source: where it lies and what it is called, not whose it is.

    To highdicom it is a CT image of one frame, whatever it is: `refer` says afterwards what is referred to.
    """
    made = Dataset()
    made.SOPClassUID = CTImageStorage
    made.SOPInstanceUID, made.StudyInstanceUID = origin.instance, origin.study
    made.SeriesInstanceUID = origin.series
    made.Rows, made.Columns = explanation.image.height, explanation.image.width
    for keyword in _EMPTY:
        setattr(made, keyword, None)
    if origin.reference:
        made.FrameOfReferenceUID = origin.reference
    if origin.position is not None and origin.orientation is not None and origin.spacing is not None:
        made.ImagePositionPatient = list(origin.position)
        made.ImageOrientationPatient = list(origin.orientation)
        made.PixelSpacing, made.SliceThickness = list(origin.spacing), origin.thickness
    return made


def refer(items: list[Dataset], source: Reference) -> None:
    """Let items that refer to an object refer to the source image, and to the one frame."""
    for item in items:
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.kind, source.instance
        if source.frame is not None:
            item.ReferencedFrameNumber = source.frame


def new_identifier() -> str:
    """Return an identifier that no other object has."""
    return str(generate_uid(prefix=None))


def equipment(explanation: Explanation) -> Equipment:
    """Return who made an object, as highdicom takes it. The model's digest stands in place of a serial number."""
    return {
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": short(f"{MAKER} {version_of(explanation)}"),
        "device_serial_number": explanation.bundle.digest[:_SHORT],
        "specific_character_set": UNICODE,
        "coding_schemes": [own_scheme()],
    }


def side(explanation: Explanation) -> str:
    """Return which of a pair of body parts an image shows: `L`, `R`, or empty where it is not known."""
    facts = explanation.image.dicom
    return facts.laterality if facts is not None and facts.laterality in ("L", "R") else ""


def placed(place: Place, description: str) -> Placed:
    """Return where an object goes, as highdicom takes it."""
    return {
        "series_instance_uid": place.series,
        "series_number": place.series_number,
        "sop_instance_uid": new_identifier(),
        "instance_number": place.number,
        "series_description": short(description),
    }


def version_of(explanation: Explanation) -> str:
    """Return the version of XAIMed that made an explanation."""
    return explanation.environment.get("xaimed", "")


def parameters_of(explanation: Explanation, method: str) -> Mapping[str, str]:
    """Return all that identifies how a method's map was made, by name."""
    saliency, bundle = explanation.maps[method], explanation.bundle
    found: dict[str, object] = {
        "class": saliency.target,
        "model": f"{bundle.task} / {bundle.name}",
        "bundle digest": bundle.digest,
        **saliency.parameters,
        "samples": saliency.samples,
    }
    if saliency.seed is not None:
        found["seed"] = saliency.seed
    return {name: safe_text(value) for name, value in found.items()}


def algorithm_of(explanation: Explanation, method: str) -> AlgorithmIdentificationSequence:
    """Return the identification of a method: its name, version and parameters, with the model's digest."""
    return AlgorithmIdentificationSequence(
        name=short(method_name(method)),
        family=codes.cid7162.ArtificialIntelligence,
        version=short(f"{MAKER} {version_of(explanation)}"),
        source=MAKER,
        parameters=dict(parameters_of(explanation, method)),
    )


def derivation_of(explanation: Explanation, method: str) -> str:
    """Return in words how an object was made of the image."""
    listed = "; ".join(f"{name} {value}" for name, value in parameters_of(explanation, method).items())
    said = f"{INTENDED_USE} {method_name(method)} by {MAKER} {version_of(explanation)}: {listed}"
    return safe_text(said, limit=_LONG).replace("\\", "/")


def own_scheme() -> CodingSchemeIdentificationItem:
    """Return what says whose codes those of `OWN_CODES` are."""
    return CodingSchemeIdentificationItem(OWN_CODES, name="XAIMed's own codes", responsible_organization=MAKER)


@contextmanager
def quietly() -> Iterator[None]:
    """Drop what highdicom and pydicom warn of: it may quote identifiers of the study, or what is taken over."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def finished(made: Dataset, origin: DicomOrigin) -> bytes:
    """Put into an object whose it is, and return its file."""
    carried = dict(origin.carried)
    # The standard demands the method then; a source may give it as codes alone.
    if carried.get("PatientIdentityRemoved") == _REMOVED:
        carried.setdefault("DeidentificationMethod", "As the source image was")
    else:
        carried.pop("PatientIdentityRemoved", None)
        carried.pop("DeidentificationMethod", None)
    for keyword, text in carried.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None  # of the standard
        made.add(DataElement(tag, CARRIED[keyword], text, validation_mode=config.IGNORE))
    buffer = BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
