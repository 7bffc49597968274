"""The groups of a report: the answer, every map and every cell, each with its measurements and what is said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from engine.explainers.registry import method_name
from engine.explanation.evidence_words import QUESTION_WORDS, evidence_details
from engine.explanation.exact_words import worth_words
from engine.explanation.words import (
    INTENDED_USE,
    answer_notes,
    cells_in_words,
    map_notes,
)
from engine.export.dicom.grid import Box
from engine.export.dicom.objects import (
    MAKER,
    Reference,
    new_identifier,
    own_code,
    parameters_of,
    version_of,
)
from engine.images.dicom.windows import used_window
from engine.results.cells import CELL_NAMES, Cell
from engine.results.evidence import Evidence, Verdict
from engine.results.exact_cells import FILL_NAMES
from engine.text import safe_text

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation

MOST_CLASSES = 20
"""The most classes whose probabilities are given."""

_YES, _NO = (CodedConcept.from_code(code) for code in (codes.SCT.Yes, codes.SCT.No))
_VERDICTS: Mapping[Verdict, CodedConcept] = {
    Verdict.YES: _YES,
    Verdict.NO: _NO,
    Verdict.UNKNOWN: own_code("CANNOT-BE-SAID", "Cannot be said"),
    Verdict.NOT_ASKED: own_code("NOT-ASKED", "Not asked"),
}
NOTE, WARNING = own_code("NOTE", "Note"), own_code("WARNING", "Warning")
USE = own_code("INTENDED-USE", "Intended use")
"""What the sentences of a report are, with `NOTE` and `WARNING`."""

_NUMBER = codes.UCUM.NoUnits


# The answer


def answer_group(explanation: Explanation, source: Reference) -> MeasurementsAndQualitativeEvaluations:
    """Return what the network says of the image, how it was asked, and what must not be overlooked about it."""
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
    group[0].ContentSequence.append(text_item(USE, INTENDED_USE))
    for note in answer_notes(explanation):
        group[0].ContentSequence.append(text_item(WARNING, note))
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


def method_group(
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
        content.append(picture_item(reference))
    content.append(text_item(NOTE, f"Cells: {cells_in_words(explanation.statistics[method])}."))
    if worth := worth_words(explanation, method):
        content.append(text_item(NOTE, f"By the exact cells: {worth}."))
    for question, verdict, why in evidence_details(evidence):
        content.append(text_item(NOTE, f"Evidence, {question}: {verdict}. {why}".strip()))
    for note in map_notes(explanation, method):
        content.append(text_item(WARNING, note))
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


def cell_group(
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


def text_item(name: CodedConcept, text: str) -> TextContentItem:
    """Return a sentence."""
    return TextContentItem(name=name, value=safe_text(text), relationship_type=RelationshipTypeValues.CONTAINS)


def picture_item(reference: Reference) -> ImageContentItem:
    """Return a reference to a map or an overlay."""
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
