"""The engine as the app calls it, and what screens need to know of a loaded network; heavy imports come late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from engine.errors import ExplanationError
from engine.storage import places
from xaimed_tui.preferences.settings import AppSettings

if TYPE_CHECKING:
    import threading

    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle.model_bundle import InputSpec, ModelBundle
    from engine.explainers.settings import Settings
    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage
    from engine.images.watching import FolderChange
    from engine.library.tasks import Task
    from engine.library.trash import Removed
    from engine.network.classifier import Classifier, Precision
    from engine.progress import ProgressCallback, StopSignal
    from engine.results.diagnosis import Diagnosis
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from engine.trust.permission import Review
    from xaimed_tui.background.library_changes import Change


class Layer(Protocol):
    """A layer at which the CAMs can look: its name in the network, and the size of its feature maps."""

    @property
    def name(self) -> str: ...
    @property
    def channels(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...


class Model(Protocol):
    """What the screens need to know of a loaded network."""

    @property
    def bundle(self) -> ModelBundle: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def layers(self) -> tuple[Layer, ...]: ...
    @property
    def default_layer(self) -> str: ...


class Engine:
    """Everything that the app asks of the engine.

    Every call may be slow: call it in a thread, never in the app's own. Heavy imports happen on first use, in the
    thread that calls.

    Args:
        tasks: the task folder to use; None for the usual ones.
        settings: what the app's settings say about devices and methods.
    """

    def __init__(self, tasks: Path | None = None, settings: AppSettings | None = None) -> None:
        self._tasks = tasks
        self._settings = settings or AppSettings()

    def warm_up(self) -> None:
        """Import torch, so that the first network loads without it; start what decodes pictures, beside it."""
        from engine.images.decoding.client import get_ready

        get_ready()
        import engine.network.classifier  # noqa: F401

    def warm_methods(self) -> None:
        """Import what the methods import late, so that the first map need not wait for it."""
        from engine.explainers.cam_package import import_cam_package

        for name in ("skimage.segmentation", "sklearn.metrics", "lime.lime_base"):
            import_module(name)
        with suppress(ExplanationError):  # the CAMs will say it
            import_cam_package()

    def list_tasks(self) -> tuple[Task, ...]:
        """The tasks of the library with their models; see `engine.library.tasks.list_tasks`."""
        from engine.library.tasks import list_tasks

        return list_tasks(places.task_folders(self._tasks))

    def change_library(self, change: Change) -> str:
        """Change the task library; returns a sentence that says what was done."""
        return change.make(places.task_folders(self._tasks))

    def removed(self) -> Sequence[Removed]:
        """The tasks and models that can be restored, the last removed first; see `engine.library.changes.removed`."""
        from engine.library.changes import removed

        return removed(places.task_folders(self._tasks))

    def review(self, path: Path, task: str) -> Review:
        """A model's code, for a person to look at; nothing of it is run. See `engine.trust.permission.review`."""
        from engine.trust.permission import review

        return review(path, task=task)

    def approve(self, bundle: ModelBundle) -> None:
        """Keep that the code of a model, as it was read, may run; see `engine.trust.permission.approve`."""
        from engine.trust.permission import approve

        approve(bundle)

    def load(self, bundle: ModelBundle) -> Model:
        """A network, ready to answer; see `engine.network.classifier.Classifier.load`."""
        from engine.network.classifier import Classifier

        precision = cast("Precision", self._settings.precision)
        return Classifier.load(bundle, device=self._settings.device, precision=precision)

    def check(self, bundle: ModelBundle, begun: Callable[[str], None], stop: StopSignal) -> tuple[bool, Sequence[str]]:
        """Whether everything of a model works, and how it fared, in lines.

        See `engine.authoring.check.check_model` and `engine.authoring.check_report.check_lines`.

        Args:
            bundle: the model; it is loaded anew.
            begun: called with the key of each method when its turn comes.
            stop: ends the check early when it is set.
        """
        from engine.authoring.check import check_model
        from engine.authoring.check_report import check_lines

        classifier = _classifier(self.load(bundle))
        check = check_model(classifier, begun=begun, stop=stop)
        return check.passed, tuple(check_lines(classifier, check))

    def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
        """The names of the images in a folder, as far as found; the last list is whole. See `engine.images.listing`."""
        from engine.images.listing import scan_images

        return scan_images(folder)

    def watch_folder(self, folder: Path, stop: threading.Event) -> Iterator[FolderChange]:
        """What happens to a folder until `stop` is set; see `engine.images.watching.watch_folder`."""
        from engine.images.watching import watch_folder

        return watch_folder(folder, stop)

    def why_not_compliant(self, path: Path, bundle: ModelBundle) -> str:
        """Why a file cannot be fed to the network, empty if it can; see `engine.images.compliance`."""
        from engine.images.compliance import why_not_compliant

        return why_not_compliant(path, bundle.input)

    def read(self, path: Path) -> MedicalImage:
        """A decoded image; see `engine.images.image.read_image`."""
        from engine.images.image import read_image

        return read_image(path)

    def read_small(self, path: Path) -> MedicalImage:
        """A decoded picture that describes a model; one larger than a description needs is refused unread."""
        from engine.bundle.model_bundle import PICTURE_LIMIT
        from engine.images.image import Limits, read_image

        return read_image(path, limits=Limits(bytes=PICTURE_LIMIT, pixels=PICTURE_LIMIT))

    def view(self, image: MedicalImage, bundle: ModelBundle | None) -> NDArray[np.uint8]:
        """(h, w, C) uint8: the part of the image that the network sees, for people; without a model the whole image."""
        from engine.images.preprocessing import picture_view

        return picture_view(image, bundle.input if bundle is not None else _whole(image))

    def diagnose(self, model: Model, image: MedicalImage) -> Diagnosis:
        """The network's answer to an image; refuses an image that is not compliant. See `Classifier.diagnose`."""
        from engine.images.compliance import check_compliance

        check_compliance(image, model.bundle.input)
        return _classifier(model).diagnose(image)

    def settings(self, *, target: str | None, layer: str | None) -> Settings:
        """What the app asks of the methods, by its settings, for a target class and a layer of the CAMs."""
        from engine.explainers.settings import Settings

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
        """One method's map; see `engine.explanation.explain.explain_method`."""
        from engine.explanation.explain import explain_method

        return explain_method(_classifier(model), image, method, settings, progress=progress, stop=stop)

    def statistics(self, saliency: SaliencyMap) -> GridStatistics:
        """What a map says in each cell; see `engine.results.statistics.grid_statistics`."""
        from engine.results.statistics import grid_statistics

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
        """The whole explanation from the maps there are; see `engine.explanation.explain.assemble`."""
        from engine.explanation.explain import assemble

        return assemble(_classifier(model), image, diagnosis, maps, failures=failures, settings=settings)

    def save(self, explanation: Explanation, folder: Path) -> Path:
        """Write an explanation; returns its folder. See `engine.export.folder.save_explanation`."""
        from engine.export.folder import save_explanation

        return save_explanation(explanation, folder)


def _classifier(model: Model) -> Classifier:
    """The engine's classifier behind a model that `Engine.load` returned."""
    from engine.network.classifier import Classifier

    if not isinstance(model, Classifier):
        raise TypeError(f"{type(model).__name__} is not a classifier of this engine")
    return model


def _whole(image: MedicalImage) -> InputSpec:
    from engine.bundle.model_bundle import InputSpec

    return InputSpec(size=(image.height, image.width), channels=image.pixels.shape[2])
