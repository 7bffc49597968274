"""XAIMed's engine: from an image file to saliency maps, without a screen.

The names below are the public API. They are imported on first use, so that `import engine` stays quick and brings in
neither torch nor any other heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Classifier": "engine.classifier",
    "Confidence": "engine.diagnosis",
    "Consensus": "engine.consensus",
    "Diagnosis": "engine.diagnosis",
    "Explanation": "engine.explanation",
    "FidelityCurve": "engine.fidelity",
    "GridStatistics": "engine.grid",
    "MedicalImage": "engine.images.raster",
    "METHODS": "engine.methods",
    "ModelBundle": "engine.bundle",
    "SaliencyMap": "engine.saliency",
    "Settings": "engine.explanation",
    "Task": "engine.tasks",
    "XAIMedError": "engine.errors",
    "explain": "engine.explanation",
    "fidelity_curve": "engine.fidelity",
    "find_model": "engine.tasks",
    "list_tasks": "engine.tasks",
    "method_keys": "engine.methods",
    "read_bundle": "engine.bundle",
    "read_image": "engine.images.raster",
    "save_explanation": "engine.export.folder",
}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from engine.bundle import ModelBundle, read_bundle
    from engine.classifier import Classifier
    from engine.consensus import Consensus
    from engine.diagnosis import Confidence, Diagnosis
    from engine.errors import XAIMedError
    from engine.explanation import Explanation, Settings, explain
    from engine.export.folder import save_explanation
    from engine.fidelity import FidelityCurve, fidelity_curve
    from engine.grid import GridStatistics
    from engine.images.raster import MedicalImage, read_image
    from engine.methods import METHODS, method_keys
    from engine.saliency import SaliencyMap
    from engine.tasks import Task, find_model, list_tasks


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
