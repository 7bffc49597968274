"""Make `explanation.json`: the answer, and everything needed to reproduce it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.explanation.words import INTENDED_USE
from engine.export.evidence_record import evidence_record
from engine.export.numbers import Json
from engine.export.numbers import as_number as _number
from engine.export.numbers import as_numbers as _numbers
from engine.images.bits import bits_of, viewing
from engine.images.dicom.windows import used_window
from engine.results.exact_cells import Judged
from engine.text import path_record, safe_text

if TYPE_CHECKING:
    from engine.bundle.specs import InMemory
    from engine.explainers.settings import Settings
    from engine.explanation.explain import Explanation
    from engine.results.cells import Cell
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics

__all__ = ["SCHEMA", "Json", "explanation_record", "record_bytes"]

SCHEMA = 2
"""Version of `explanation.json`, which `engine/export/schemas/explanation.json` describes; 0.1.0 wrote none."""


def explanation_record(
    explanation: Explanation, *, created: datetime | None = None, full_paths: bool = False
) -> dict[str, Json]:
    """Return the JSON object of `explanation.json`; numbers that are not finite become null.

    Args:
        explanation: what to record.
        created: the time to record; None for now.
        full_paths: record where the image's file lies. Otherwise only its name, since folders carry patients' names.
    """
    diagnosis, bundle = explanation.diagnosis, explanation.bundle
    record: dict[str, Json] = {
        "schema": SCHEMA,
        "classes": list(diagnosis.classes),
        "probabilities": _numbers(diagnosis.probabilities),
        "logits": _numbers(diagnosis.logits),
        "multilabel": diagnosis.multilabel,
        "predicted": diagnosis.predicted,
        "confidence": str(diagnosis.confidence),
        "confidences": [str(confidence) for confidence in diagnosis.confidences],
        "undecided": diagnosis.undecided,
        "undecided_classes": list(diagnosis.undecided_classes),
        "threshold": _number(diagnosis.threshold) if diagnosis.has_threshold else None,
        "temperature": _number(bundle.output.temperature),
        "warnings": list(diagnosis.warnings),
        "warning_codes": list(diagnosis.warning_codes),
        "target": explanation.target,
        "agreement": [[int(count) for count in row] for row in explanation.consensus.counts],
        "agreement_unsettled": _cells(explanation.consensus.unsettled),
        "agreement_chance": _numbers(explanation.consensus.chance),
        "voters": list(explanation.consensus.methods),
        "opinions": [[int(count) for count in row] for row in explanation.consensus.opinions],
        "opinions_chance": _numbers(explanation.consensus.opinions_chance),
        "opinion_groups": [list(group) for group in explanation.consensus.groups],
        "methods": {
            method: {
                **_method(saliency, explanation.statistics[method]),
                "exact": _judged(explanation.exact, explanation.statistics[method]),
                "evidence": evidence_record(explanation.evidence.get(method)),
            }
            for method, saliency in explanation.maps.items()
        },
        "exact": None if explanation.exact is None else exact_record(explanation.exact),
        "failures": {
            **explanation.failures,
            **({"exact": explanation.exact_failure} if explanation.exact_failure else {}),
        },
        "correlation": [
            {"methods": [first, second], "spearman": _number(value)}
            for (first, second), value in explanation.consensus.correlation.items()
        ],
        "image": _image(explanation, full_paths=full_paths),
        "model": {
            "task": bundle.task,
            "name": bundle.name,
            "digest": bundle.digest,
            "assumed": list(explanation.assumed),
            "in_memory": _in_memory(bundle.in_memory),
        },
        "settings": _settings(explanation.settings),
        "environment": dict(explanation.environment),
        "created": (created or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
        "intended_use": INTENDED_USE,
    }
    return record


def record_bytes(record: Mapping[str, Json]) -> bytes:
    """Encode a record as ASCII, indented by two spaces, with a final line feed."""
    return (json.dumps(record, ensure_ascii=True, allow_nan=False, indent=2) + "\n").encode("ascii")


def _method(saliency: SaliencyMap, statistics: GridStatistics) -> dict[str, Json]:
    errors = saliency.cell_errors
    return {
        "parameters": {key: _parameter(value) for key, value in saliency.parameters.items()},
        "seed": None if saliency.seed is None else int(saliency.seed),
        "samples": int(saliency.samples),
        "seconds": _number(saliency.seconds),
        "top": _cells(statistics.top),
        "named": _cells(statistics.named),
        "certain": statistics.certain,
        "ties": _cells(statistics.ties),
        "stopped": saliency.stopped,
        "raw_min": _number(saliency.raw_min),
        "raw_max": _number(saliency.raw_max),
        "blank": None if saliency.blank is None else _number(saliency.blank),
        "cell_means": [_numbers(row) for row in statistics.mean],
        "cell_standard_errors": None if errors is None else [_numbers(row) for row in errors],
        "warnings": list(saliency.warnings),
        "warning_codes": list(saliency.warning_codes),
    }


def exact_record(exact: ExactCells) -> dict[str, Json]:
    """Return the JSON object of the exact cells; rows, columns and the nine cells are in reading order."""
    return {
        "value": "probability",
        "passes": exact.passes,
        "seconds": _number(exact.seconds),
        "stopped": exact.stopped,
        "parameters": {key: _parameter(value) for key, value in exact.parameters.items()},
        "warnings": list(exact.warnings),
        "warning_codes": list(exact.warning_codes),
        "firm": None if exact.firm is None else _cells(exact.firm),
        "fills": {
            fill: {
                "hidden": found.hidden,
                "matters": found.matters,
                "shapley": [_numbers(row) for row in found.shapley],
                "supporting": found.supporting,
                "top": _cells(found.top),
                "best_kept": _cells(found.best_kept),
                "best_hidden": _cells(found.best_hidden),
                "all": _number(found.all_shown),
                "none": _number(found.none_shown),
                "range": _number(found.range),
                "interactions": [_numbers(row) for row in found.interactions],
            }
            for fill, found in exact.fills.items()
        },
    }


def _judged(exact: ExactCells | None, statistics: GridStatistics) -> Json:
    """Return what a map's three cells are worth under every fill; None without exact cells."""
    if exact is None:
        return None
    judged = exact.judge(statistics.top)
    nothing = Judged(0, None, None)  # of a constant map, which marks no cell
    return {
        fill: {"shared": one.shared, "kept_rank": one.kept_rank, "hidden_rank": one.hidden_rank}
        for fill, one in ((fill, judged.get(fill, nothing)) for fill in exact.fills)
    }


def _cells(cells: Iterable[Cell]) -> list[Json]:
    return [[row, column] for row, column in cells]


def _image(explanation: Explanation, *, full_paths: bool) -> dict[str, Json]:
    image, bits = explanation.image, bits_of(explanation.image, explanation.bundle.input)
    facts: dict[str, Json] = {name: fact for name, fact in image.metadata.items() if name != "viewing"}
    if image.scan is not None:
        if words := used_window(image, explanation.bundle.input).words:
            facts["window"] = words
    elif shown := viewing(bits.used):  # the bundle may have declared the bits
        facts["viewing"] = shown
    return {
        "name": safe_text(image.path.name),
        **path_record(image.path if full_paths else image.path.name),
        "sha256": image.sha256,
        "size": [image.height, image.width],
        "bit_depth": image.bit_depth,
        "bits_used": bits.used,
        "bits_source": bits.source,
        "colour": image.colour,
        "metadata": facts,
    }


def _in_memory(given: InMemory | None) -> Json:
    if given is None:
        return None
    return {
        "network": given.network,
        "preprocessing": given.preprocessing,
        "declared": {name: _declared(value) for name, value in given.declared.items()},
        "approval": "not applicable",
    }


def _declared(value: object) -> Json:
    if isinstance(value, tuple):
        return [_declared(each) for each in value]
    if value is None or isinstance(value, str | int | float):
        return _parameter(value)
    raise TypeError(f"a declared value cannot be recorded: {value!r}")


def _settings(settings: Settings) -> dict[str, Json]:
    parameters: dict[str, Json] = {
        method: {name: _parameter(value) for name, value in values.items()}
        for method, values in settings.parameters.items()
    }
    return {
        "methods": list(settings.methods),
        "target": settings.target,
        "samples": {method: int(samples) for method, samples in settings.samples.items()},
        "until": settings.until,
        "estimator": settings.estimator,
        "layer": settings.layer,
        "seed": settings.seed,
        "voters": settings.voters,
        "exact_fills": None if settings.exact_fills is None else list(settings.exact_fills),
        **({"parameters": parameters} if parameters else {}),
    }


def _parameter(value: str | int | float | bool | None) -> Json:
    return _number(value) if isinstance(value, float) else value
