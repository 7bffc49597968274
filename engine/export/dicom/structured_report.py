"""The answer, the exact cells and the evidence as a DICOM report: TID 1500, in a Comprehensive SR.

It says nothing of the patient: all its text comes from the explanation, which knows nothing of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from engine.explainers.registry import dependence_notes, method_name, silence_notes
from engine.explanation.evidence_words import QUESTION_WORDS, evidence_details
from engine.explanation.exact_words import exact_lines, exact_notes, worth_words
from engine.explanation.words import (
    INTENDED_USE,
    answer_notes,
    cells_in_words,
    chance_words,
    counted_words,
    map_notes,
    target_words,
)
from engine.export.dicom.grid import Box, cell_boxes
from engine.export.dicom.objects import (
    MAKER,
    Made,
    Reference,
    equipment,
    finished,
    known_source,
    new_identifier,
    own_code,
    parameters_of,
    placed,
    quietly,
    source_reference,
    version_of,
)
from engine.images.dicom.windows import used_window
from engine.results.cells import CELL_NAMES, Cell
from engine.results.evidence import Evidence, Verdict
from engine.results.exact_cells import FILL_NAMES
from engine.text import safe_text

if TYPE_CHECKING:
    from pydicom import Dataset

    from engine.explanation.explain import Explanation
    from engine.export.dicom.plan import DicomPlan

MOST_CLASSES = 20
"""The most classes whose probabilities are given."""

_YES, _NO = (CodedConcept.from_code(code) for code in (codes.SCT.Yes, codes.SCT.No))
_VERDICTS: Mapping[Verdict, CodedConcept] = {
    Verdict.YES: _YES,
    Verdict.NO: _NO,
    Verdict.UNKNOWN: own_code("CANNOT-BE-SAID", "Cannot be said"),
    Verdict.NOT_ASKED: own_code("NOT-ASKED", "Not asked"),
}
_NOTE, _WARNING = own_code("NOTE", "Note"), own_code("WARNING", "Warning")
_USE = own_code("INTENDED-USE", "Intended use")
_EVALUATIONS = CodedConcept("C0034375", "UMLS", "Qualitative Evaluations")
_NUMBER = codes.UCUM.NoUnits


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
            _answer(explanation, source),
            *(_method(explanation, method, source, pictures.get(method, ())) for method in explanation.maps),
            *(_cell(explanation, cell, box, source) for cell, box in cell_boxes(explanation).items()),
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


# The answer


def _answer(explanation: Explanation, source: Reference) -> MeasurementsAndQualitativeEvaluations:
    diagnosis, bundle = explanation.diagnosis, explanation.bundle
    order = np.argsort(-diagnosis.probabilities, kind="stable")[:MOST_CLASSES]
    listed = dict.fromkeys((*(int(i) for i in order), diagnosis.index, diagnosis.classes.index(explanation.target)))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked("Answer of the network"),
        finding_type=own_code("ANSWER", "Answer of a network about an image"),
        algorithm_id=AlgorithmIdentification(
            name=safe_text(f"{bundle.task} / {bundle.name}"),
            version=f"bundle digest {bundle.digest}",
            manufacturer=MAKER,
            parameters=list(_given(explanation)),
        ),
        measurements=[
            Measurement(
                name=_named("P", "Probability of", diagnosis.classes[i]),
                value=float(diagnosis.probabilities[i]),
                unit=_NUMBER,
            )
            for i in listed
            if np.isfinite(diagnosis.probabilities[i])
        ],
        qualitative_evaluations=[
            _said_in_codes("PREDICTED", "Predicted class", _named("C", "", diagnosis.predicted)),
            _said_in_codes("EXPLAINED", "Explained class", _named("C", "", explanation.target)),
            _said_in_codes(
                "CONFIDENCE",
                "Confidence",
                own_code(f"CONF-{diagnosis.confidence}".upper(), str(diagnosis.confidence)),
            ),
            _said_in_codes("UNDECIDED", "Undecided", _YES if diagnosis.undecided else _NO),
        ],
        source_images=[SourceImageForMeasurementGroup(source.kind, source.instance, source.frames)],
    )
    group[0].ContentSequence.append(_text(_USE, INTENDED_USE))
    for note in answer_notes(explanation):
        group[0].ContentSequence.append(_text(_WARNING, note))
    return group


def _given(explanation: Explanation) -> Iterator[str]:
    """Yield what the network was given, and where it ran."""
    spec = explanation.bundle.input
    height, width = spec.size
    yield f"input {height} x {width} pixels (rows x columns); channels: {spec.channels}; resized by: {spec.resize}"
    if words := used_window(explanation.image, spec).words:
        yield f"window {words}"
    yield f"hash of the image's pixels {explanation.image.sha256}"
    yield "; ".join(f"{name} {value}" for name, value in explanation.environment.items() if name != "platform")


def _named(letter: str, before: str, name: str) -> CodedConcept:
    """Return the code of a class: the same name always has the same one, whatever the model."""
    code = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12].upper()
    return own_code(f"{letter}-{code}", f"{before} {name}".strip())


# The maps


def _method(
    explanation: Explanation, method: str, source: Reference, pictures: Sequence[Reference]
) -> MeasurementsAndQualitativeEvaluations:
    """Return what is known of a method's map: how it was made, whether to believe it, and what to be careful of."""
    saliency = explanation.maps[method]
    evidence = explanation.evidence.get(method, Evidence())
    raw = (
        ("RAW-MIN", "Lowest saliency, not scaled", saliency.raw_min),
        ("RAW-MAX", "Highest saliency, not scaled", saliency.raw_max),
    )
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(f"Map of {method_name(method)}"),
        finding_type=own_code("SALIENCY-MAP", "Saliency map of a network's answer"),
        algorithm_id=AlgorithmIdentification(
            name=method_name(method),
            version=f"{MAKER} {version_of(explanation)}",
            parameters=[f"{name} = {value}" for name, value in parameters_of(explanation, method).items()],
        ),
        measurements=[
            *(
                Measurement(name=own_code(code, meaning), value=float(value), unit=_NUMBER)
                for code, meaning, value in raw
                if np.isfinite(value)
            ),
            *_judged(explanation, method),
        ],
        qualitative_evaluations=[
            _said_in_codes(
                f"E-{question}".upper().replace("_", "-"),
                f"Evidence: {QUESTION_WORDS[question]}",
                _VERDICTS[verdict],
            )
            for question, verdict in evidence.verdicts.items()
        ],
        source_images=[SourceImageForMeasurementGroup(source.kind, source.instance, source.frames)],
    )
    content = group[0].ContentSequence
    for reference in pictures:
        content.append(_picture(reference))
    content.append(_text(_NOTE, f"Cells: {cells_in_words(explanation.statistics[method])}."))
    if worth := worth_words(explanation, method):
        content.append(_text(_NOTE, f"By the exact cells: {worth}."))
    for question, verdict, why in evidence_details(evidence):
        content.append(_text(_NOTE, f"Evidence, {question}: {verdict}. {why}".strip()))
    for note in map_notes(explanation, method):
        content.append(_text(_WARNING, note))
    return group


def _judged(explanation: Explanation, method: str) -> Iterator[Measurement]:
    """Yield what a map's three cells are worth by the exact cells, under every fill."""
    if explanation.exact is None:
        return
    for fill, one in explanation.exact.judge(explanation.statistics[method].top).items():
        found = (
            ("SHARED", "Cells shared with the exact three, of 3; by chance 1", one.shared),
            ("RANK-KEPT", "Rank of its three cells if kept, of 84; by chance 42.5", one.kept_rank),
            ("RANK-HIDDEN", "Rank of its three cells if hidden, of 84; by chance 42.5", one.hidden_rank),
        )
        for code, meaning, value in found:
            if value is not None:
                rank = int(value) if value == int(value) else float(value)  # ranks may be halves
                yield Measurement(name=own_code(code, meaning), value=rank, unit=_NUMBER, method=_fill(fill))


# The cells


def _cell(
    explanation: Explanation, cell: Cell, box: Box | None, source: Reference
) -> PlanarROIMeasurementsAndQualitativeEvaluations | MeasurementsAndQualitativeEvaluations:
    """Return what is known of a cell, with where it lies on the image if it lies on it."""
    firm = None if explanation.exact is None else explanation.exact.firm
    tracked, kind = _tracked(f"Cell {CELL_NAMES[cell]}"), own_code("CELL", "One of nine cells of what the network sees")
    measured = list(_of_cell(explanation, cell))
    judged = None
    if firm is not None:
        judged = [_said_in_codes("FIRM", "Among the exact three under every fill", _YES if cell in firm else _NO)]
    if box is None:
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracked,
            finding_type=kind,
            measurements=measured,
            qualitative_evaluations=judged,
            source_images=[SourceImageForMeasurementGroup(source.kind, source.instance, source.frames)],
        )
    left, top, right, bottom = box
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracked,
        finding_type=kind,
        measurements=measured,
        qualitative_evaluations=judged,
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]),
            source_image=SourceImageForRegion(source.kind, source.instance, source.frames),
        ),
    )


def _of_cell(explanation: Explanation, cell: Cell) -> Iterator[Measurement]:
    if explanation.exact is not None:
        for fill, found in explanation.exact.fills.items():
            adds = own_code("SHAPLEY", "What the cell adds to the probability (Shapley)")
            yield Measurement(name=adds, value=float(found.shapley[cell]), unit=_NUMBER, method=_fill(fill))
    for method, statistics in explanation.statistics.items():
        by = own_code(f"M-{method}", method_name(method))
        mean = own_code("MEAN-SALIENCY", "Mean saliency of the cell")
        yield Measurement(name=mean, value=float(statistics.mean[cell]), unit=_NUMBER, method=by)
        if cell in statistics.top:
            rank = own_code("RANK", "Rank of the cell among the map's three")
            yield Measurement(name=rank, value=statistics.top.index(cell) + 1, unit=_NUMBER, method=by)
    if explanation.consensus.methods:
        votes = own_code("VOTES", "Methods that have the cell among their three")
        yield Measurement(name=votes, value=int(explanation.consensus.counts[cell]), unit=_NUMBER)


# What is said in sentences


def _said(explanation: Explanation, plan: DicomPlan, pictures: Sequence[Reference]) -> ContainerContentItem:
    """Return the sentences of the report, what it is for first, with all that must not be overlooked."""
    said = ContainerContentItem(name=_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS)
    content = ContentSequence()
    content.append(_text(_USE, INTENDED_USE))
    diagnosis = explanation.diagnosis
    content.append(_text(_NOTE, f"Explained: {target_words(explanation)}; confidence {diagnosis.standing}."))
    more = len(diagnosis.classes) - MOST_CLASSES
    if more > 0:
        content.append(
            _text(
                _NOTE,
                f"The probabilities of the {MOST_CLASSES} most probable classes are given; there are {more} more.",
            )
        )
    for line in exact_lines(explanation):
        content.append(_text(_NOTE, f"Exact cells: {line}"))
    if explanation.exact is not None:
        for note in exact_notes(explanation.exact):
            content.append(_text(_WARNING, f"Exact cells: {note}"))
    content.append(_text(_NOTE, f"Agreement: {counted_words(explanation)}."))
    for line in (*chance_words(explanation), *silence_notes(explanation.maps, explanation.consensus.methods)):
        content.append(_text(_NOTE, f"Agreement: {line}"))
    for line in dependence_notes(explanation.maps):
        content.append(_text(_WARNING, f"Agreement: {line}"))
    for method, reason in explanation.failures.items():
        content.append(_text(_WARNING, f"{method_name(method)} gave no map: {reason}"))
    for line in explanation.assumed:
        content.append(_text(_WARNING, line))
    if plan.no_map:
        content.append(_text(_NOTE, f"There are no Parametric Maps: {plan.no_map}."))
    if any(box is None for box in cell_boxes(explanation).values()):
        content.append(
            _text(_NOTE, "A cell without a region lies beside the image, or nobody knows where it lies on it.")
        )
    for reference in pictures:
        content.append(_picture(reference))
    said.ContentSequence = content  # once it is complete: what is appended later would be lost
    return said


def _text(name: CodedConcept, text: str) -> TextContentItem:
    return TextContentItem(name=name, value=safe_text(text), relationship_type=RelationshipTypeValues.CONTAINS)


def _picture(reference: Reference) -> ImageContentItem:
    return ImageContentItem(
        name=own_code("PICTURE", "Map or overlay of it"),
        referenced_sop_class_uid=reference.kind,
        referenced_sop_instance_uid=reference.instance,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _fill(fill: str) -> CodedConcept:
    return own_code(f"F-{fill}", f"Hidden by {FILL_NAMES.get(fill, fill)}")


def _said_in_codes(code: str, meaning: str, value: CodedConcept) -> QualitativeEvaluation:
    return QualitativeEvaluation(name=own_code(code, meaning), value=value)


def _tracked(words: str) -> TrackingIdentifier:
    return TrackingIdentifier(uid=new_identifier(), identifier=words)
