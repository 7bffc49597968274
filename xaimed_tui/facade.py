"""The engine behind the app (see `contracts.py`); everything heavy is imported on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from engine import places
from xaimed_tui.settings import AppSettings

if TYPE_CHECKING:
    import threading

    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle import InputSpec, ModelBundle
    from engine.classifier import Classifier, Precision
    from engine.diagnosis import Diagnosis
    from engine.explanation import Explanation, Settings
    from engine.grid import GridStatistics
    from engine.images.raster import MedicalImage
    from engine.images.watching import FolderChange
    from engine.progress import ProgressCallback, StopSignal
    from engine.saliency import SaliencyMap
    from engine.tasks import Task
    from engine.trash import Removed
    from engine.trust import Review
    from xaimed_tui.changes import Change
    from xaimed_tui.contracts import Model


class RealEngine:
    """The engine itself. Its heavy imports happen on first use, in the thread that calls."""

    def __init__(self, tasks: Path | None = None, settings: AppSettings | None = None) -> None:
        self._tasks = tasks
        self._settings = settings or AppSettings()

    def warm_up(self) -> None:
        """Import torch, so that the first network loads without it; start what decodes pictures, beside it."""
        from engine.images.apart import get_ready

        get_ready()
        import engine.classifier  # noqa: F401

    def warm_methods(self) -> None:
        """Import what the methods import late, so that the first map need not wait for it."""
        for name in ("skimage.segmentation", "sklearn.metrics", "lime.lime_base", "pytorch_grad_cam"):
            import_module(name)

    def list_tasks(self) -> tuple[Task, ...]:
        """See `engine.tasks.list_tasks`."""
        from engine.tasks import list_tasks

        return list_tasks(places.task_folders(self._tasks))

    def change_library(self, change: Change) -> str:
        """See `xaimed_tui.changes`."""
        return change.make(places.task_folders(self._tasks))

    def removed(self) -> Sequence[Removed]:
        """See `engine.library.removed`."""
        from engine.library import removed

        return removed(places.task_folders(self._tasks))

    def review(self, path: Path, task: str) -> Review:
        """See `engine.trust.review`."""
        from engine.trust import review

        return review(path, task=task)

    def approve(self, bundle: ModelBundle) -> None:
        """See `engine.trust.approve`."""
        from engine.trust import approve

        approve(bundle)

    def load(self, bundle: ModelBundle) -> Model:
        """See `engine.classifier.Classifier.load`."""
        from engine.classifier import Classifier

        precision = cast("Precision", self._settings.precision)
        return Classifier.load(bundle, device=self._settings.device, precision=precision)

    def check(self, bundle: ModelBundle, begun: Callable[[str], None], stop: StopSignal) -> tuple[bool, Sequence[str]]:
        """See `engine.check.check_model` and `engine.report.check_lines`."""
        from engine.check import check_model
        from engine.report import check_lines

        classifier = _classifier(self.load(bundle))
        check = check_model(classifier, begun=begun, stop=stop)
        return check.passed, tuple(check_lines(classifier, check))

    def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
        """See `engine.images.folder.scan_images`."""
        from engine.images.folder import scan_images

        return scan_images(folder)

    def watch_folder(self, folder: Path, stop: threading.Event) -> Iterator[FolderChange]:
        """See `engine.images.watching.watch_folder`."""
        from engine.images.watching import watch_folder

        return watch_folder(folder, stop)

    def why_not_compliant(self, path: Path, bundle: ModelBundle) -> str:
        """See `engine.images.compliance.why_not_compliant`."""
        from engine.images.compliance import why_not_compliant

        return why_not_compliant(path, bundle.input)

    def read(self, path: Path) -> MedicalImage:
        """See `engine.images.raster.read_image`."""
        from engine.images.raster import read_image

        return read_image(path)

    def read_small(self, path: Path) -> MedicalImage:
        """See `engine.images.raster.read_image`."""
        from engine.bundle import PICTURE_LIMIT
        from engine.images.raster import Limits, read_image

        return read_image(path, limits=Limits(bytes=PICTURE_LIMIT, pixels=PICTURE_LIMIT))

    def view(self, image: MedicalImage, bundle: ModelBundle | None) -> NDArray[np.uint8]:
        """See `engine.images.view.picture_view`; without a model the whole image."""
        from engine.images.view import picture_view

        return picture_view(image, bundle.input if bundle is not None else _whole(image))

    def diagnose(self, model: Model, image: MedicalImage) -> Diagnosis:
        """See `engine.classifier.Classifier.diagnose`; refuses an image that is not compliant."""
        from engine.images.compliance import check_compliance

        check_compliance(image, model.bundle.input)
        return _classifier(model).diagnose(image)

    def settings(self, *, target: str | None, layer: str | None) -> Settings:
        """What the app's settings say."""
        from engine.explanation import Settings

        until = cast("Literal['samples', 'certain']", self._settings.until)
        return Settings(target=target, layer=layer, until=until, samples=self._settings.samples)

    def explain_method(
        self,
        model: Model,
        image: MedicalImage,
        method: str,
        settings: Settings,
        progress: ProgressCallback,
        stop: StopSignal,
    ) -> SaliencyMap:
        """See `engine.explanation.explain_method`."""
        from engine.explanation import explain_method

        return explain_method(_classifier(model), image, method, settings, progress=progress, stop=stop)

    def statistics(self, saliency: SaliencyMap) -> GridStatistics:
        """See `engine.grid.grid_statistics`."""
        from engine.grid import grid_statistics

        return grid_statistics(saliency)

    def assemble(
        self,
        model: Model,
        image: MedicalImage,
        diagnosis: Diagnosis,
        maps: Mapping[str, SaliencyMap],
        failures: Mapping[str, str],
        settings: Settings,
    ) -> Explanation:
        """See `engine.explanation.assemble`."""
        from engine.explanation import assemble

        return assemble(_classifier(model), image, diagnosis, maps, failures=failures, settings=settings)

    def save(self, explanation: Explanation, folder: Path) -> Path:
        """See `engine.export.folder.save_explanation`."""
        from engine.export.folder import save_explanation

        return save_explanation(explanation, folder)


def _classifier(model: Model) -> Classifier:
    """The engine's classifier behind a model that `RealEngine.load` returned."""
    from engine.classifier import Classifier

    if not isinstance(model, Classifier):
        raise TypeError(f"{type(model).__name__} is not a classifier of this engine")
    return model


def _whole(image: MedicalImage) -> InputSpec:
    from engine.bundle import InputSpec

    return InputSpec(size=(image.height, image.width), channels=image.pixels.shape[2])
