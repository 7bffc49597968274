"""XAIMed's engine: from an image file to saliency maps, without a screen.

The names below are the public API. They are imported on first use, so that `import engine` stays quick and brings in
neither torch nor any other heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Choices": "engine.explainers.registry",
    "Classifier": "engine.network.classifier",
    "Confidence": "engine.results.diagnosis",
    "Consensus": "engine.results.consensus",
    "Declaration": "engine.explainers.registry",
    "Diagnosis": "engine.results.diagnosis",
    "Evidence": "engine.results.evidence",
    "ExactCells": "engine.results.exact_cells",
    "Explanation": "engine.explanation.explain",
    "FidelityCurve": "engine.evidence.fidelity",
    "GridStatistics": "engine.results.statistics",
    "Key": "engine.bundle.keys",
    "MedicalImage": "engine.images.image",
    "METHODS": "engine.explainers.registry",
    "ModelBundle": "engine.bundle.model_bundle",
    "Request": "engine.explainers.base",
    "SaliencyMap": "engine.results.saliency",
    "Settings": "engine.explainers.settings",
    "Task": "engine.library.tasks",
    "Verdict": "engine.results.evidence",
    "XAIMedError": "engine.errors",
    "ask_evidence": "engine.explanation.evidence",
    "explain": "engine.explanation.explain",
    "explain_classes": "engine.explanation.explain",
    "explain_exact": "engine.explanation.exact",
    "fidelity_curve": "engine.evidence.fidelity",
    "find_model": "engine.library.tasks",
    "list_tasks": "engine.library.tasks",
    "method_keys": "engine.explainers.registry",
    "plan_dicom": "engine.export.dicom.plan",
    "read_bundle": "engine.bundle.model_bundle",
    "read_image": "engine.images.image",
    "save_explanation": "engine.export.folder",
    "scaled_map": "engine.explainers.base",
    "task_folders": "engine.storage.places",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from engine.bundle.keys import Key
    from engine.bundle.model_bundle import ModelBundle, read_bundle
    from engine.errors import XAIMedError
    from engine.evidence.fidelity import FidelityCurve, fidelity_curve
    from engine.explainers.base import Request, scaled_map
    from engine.explainers.registry import METHODS, Choices, Declaration, method_keys
    from engine.explainers.settings import Settings
    from engine.explanation.evidence import ask_evidence
    from engine.explanation.exact import explain_exact
    from engine.explanation.explain import Explanation, explain, explain_classes
    from engine.export.dicom.plan import plan_dicom
    from engine.export.folder import save_explanation
    from engine.images.image import MedicalImage, read_image
    from engine.library.tasks import Task, find_model, list_tasks
    from engine.network.classifier import Classifier
    from engine.results.consensus import Consensus
    from engine.results.diagnosis import Confidence, Diagnosis
    from engine.results.evidence import Evidence, Verdict
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from engine.storage.places import task_folders


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
