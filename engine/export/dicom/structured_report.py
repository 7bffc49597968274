"""The answer, the exact cells and the evidence as a DICOM report: TID 1500, in a Comprehensive SR.

It says nothing of the patient: all its text comes from the explanation, which knows nothing of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from highdicom.sr import (
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
)
from pydicom.sr.codedict import codes

from engine.explainers.registry import dependence_notes, method_name, silence_notes
from engine.explanation.exact_words import exact_lines, exact_notes
from engine.explanation.words import (
    INTENDED_USE,
    chance_words,
    counted_words,
    target_words,
)
from engine.export.dicom.grid import cell_boxes
from engine.export.dicom.measurement_groups import (
    MOST_CLASSES,
    NOTE,
    USE,
    WARNING,
    answer_group,
    cell_group,
    method_group,
    picture_item,
    text_item,
)
from engine.export.dicom.objects import (
    MAKER,
    Made,
    Reference,
    equipment,
    finished,
    known_source,
    placed,
    quietly,
    source_reference,
)
from engine.text import safe_text

if TYPE_CHECKING:
    from pydicom import Dataset

    from engine.explanation.explain import Explanation
    from engine.export.dicom.plan import DicomPlan

_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")


def structured_report(explanation: Explanation, plan: DicomPlan, pictures: Mapping[str, Sequence[Reference]]) -> Made:
    """Return the report of an explanation.

    Args:
        explanation: of an image that came as DICOM.
        plan: what it takes over.
        pictures: the Parametric Map and the Secondary Captures that were made, by method; "" for those of all.
    """
    facts, origin = explanation.image.dicom, plan.origin
    if facts is None:
        raise ValueError("the image did not come as DICOM")
    source = source_reference(explanation, origin)
    place = plan.series.next_place(origin, facts.series_number, "report")
    with quietly():
        groups = [
            answer_group(explanation, source),
            *(method_group(explanation, method, source, pictures.get(method, ())) for method in explanation.maps),
            *(cell_group(explanation, cell, box, source) for cell, box in cell_boxes(explanation).items()),
        ]
        report = MeasurementReport(
            observation_context=ObservationContext(observer_device_context=_observer(explanation)),
            procedure_reported=codes.SCT.ImagingProcedure,
            imaging_measurements=groups,
        )
        report[0].ContentSequence.append(_said(explanation, plan, pictures.get("", ())))
        made = ComprehensiveSR(
            evidence=list(_evidence(explanation, plan, source, pictures)),
            content=report,
            is_complete=True,
            **placed(place, "XAIMed report (research use only)"),
            **equipment(explanation),
        )
        content = finished(made, origin)
    return Made(Reference(str(made.SOPClassUID), str(made.SOPInstanceUID), place.series), content)


def _observer(explanation: Explanation) -> ObserverContext:
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=_steady_identifier(explanation.bundle.digest),
            name=MAKER,
            manufacturer_name=MAKER,
            model_name=safe_text(f"{explanation.bundle.task} / {explanation.bundle.name}"),
            serial_number=explanation.bundle.digest,
        ),
    )


def _steady_identifier(text: str) -> str:
    """Return the identifier that always belongs to a text (a UUID of its hash, as PS3.5, B.2 allows)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def _evidence(
    explanation: Explanation, plan: DicomPlan, source: Reference, pictures: Mapping[str, Sequence[Reference]]
) -> Iterator[Dataset]:
    """Yield what the report refers to, as highdicom wants it: its own pictures first, whose kind it knows."""
    made = [each for several in pictures.values() for each in several]
    for reference in (*made, source):
        known = known_source(explanation, plan.origin)
        known.SOPClassUID, known.SOPInstanceUID = reference.kind, reference.instance
        known.SeriesInstanceUID = reference.series
        yield known


# What is said in sentences


def _said(explanation: Explanation, plan: DicomPlan, pictures: Sequence[Reference]) -> ContainerContentItem:
    """Return the sentences of the report, what it is for first, with all that must not be overlooked."""
    said = ContainerContentItem(name=_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS)
    content = ContentSequence()
    content.append(text_item(USE, INTENDED_USE))
    diagnosis = explanation.diagnosis
    content.append(text_item(NOTE, f"Explained: {target_words(explanation)}; confidence {diagnosis.standing}."))
    more = len(diagnosis.classes) - MOST_CLASSES
    if more > 0:
        content.append(
            text_item(
                NOTE,
                f"The probabilities of the {MOST_CLASSES} most probable classes are given; there are {more} more.",
            )
        )
    for line in exact_lines(explanation):
        content.append(text_item(NOTE, f"Exact cells: {line}"))
    if explanation.exact is not None:
        for note in exact_notes(explanation.exact):
            content.append(text_item(WARNING, f"Exact cells: {note}"))
    content.append(text_item(NOTE, f"Agreement: {counted_words(explanation)}."))
    for line in (*chance_words(explanation), *silence_notes(explanation.maps, explanation.consensus.methods)):
        content.append(text_item(NOTE, f"Agreement: {line}"))
    for line in dependence_notes(explanation.maps):
        content.append(text_item(WARNING, f"Agreement: {line}"))
    for method, reason in explanation.failures.items():
        content.append(text_item(WARNING, f"{method_name(method)} gave no map: {reason}"))
    for line in explanation.assumed:
        content.append(text_item(WARNING, line))
    if plan.no_map:
        content.append(text_item(NOTE, f"There are no Parametric Maps: {plan.no_map}."))
    if any(box is None for box in cell_boxes(explanation).values()):
        content.append(
            text_item(NOTE, "A cell without a region lies beside the image, or nobody knows where it lies on it.")
        )
    for reference in pictures:
        content.append(picture_item(reference))
    said.ContentSequence = content  # once it is complete: what is appended later would be lost
    return said
