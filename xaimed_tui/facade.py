"""The engine as the app sees it: a protocol, and the real one, which imports everything heavy late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

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


class Layer(Protocol):
    """A layer at which the CAMs can look: its name in the network, and the size of its feature maps."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def height(self) -> int: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102


class Model(Protocol):
    """What the screens need to know of a loaded network."""

    @property
    def bundle(self) -> ModelBundle: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def device(self) -> str: ...  # noqa: D102
    @property
    def precision(self) -> str: ...  # noqa: D102
    @property
    def layers(self) -> tuple[Layer, ...]: ...  # noqa: D102
    @property
    def default_layer(self) -> str: ...  # noqa: D102


class Engine(Protocol):
    """Everything that the app asks of the engine. All of it may be slow and is called in threads only."""

    def warm_up(self) -> None:
        """Import what loading a network needs."""

    def warm_methods(self) -> None:
        """Import what the methods need."""

    def list_tasks(self) -> tuple[Task, ...]:
        """The task library."""

    def change_library(self, change: Change) -> str:
        """Change the task library; returns a sentence that says what was done."""

    def removed(self) -> Sequence[Removed]:
        """What can be restored, the last removed first."""

    def review(self, path: Path, task: str) -> Review:
        """A model's code, for a person to look at; nothing of it is run."""

    def approve(self, bundle: ModelBundle) -> None:
        """Keep that the code of a model, as it was read, may run."""

    def load(self, bundle: ModelBundle) -> Model:
        """A network, ready to answer."""

    def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
        """The names of the images in a folder, as far as found; the last is whole."""

    def watch_folder(self, folder: Path, stop: threading.Event) -> Iterator[FolderChange]:
        """What happens to a folder until `stop` is set."""

    def why_not_compliant(self, path: Path, bundle: ModelBundle) -> str:
        """Why a file cannot be fed to the network; empty if it can."""

    def read(self, path: Path) -> MedicalImage:
        """A decoded image."""

    def read_small(self, path: Path) -> MedicalImage:
        """A decoded picture that describes a model; larger ones than a description needs are refused unread."""

    def view(self, image: MedicalImage, bundle: ModelBundle | None) -> NDArray[np.uint8]:
        """(h, w, C) uint8: the part of the image that the network sees, for people."""

    def diagnose(self, model: Model, image: MedicalImage) -> Diagnosis:
        """The network's answer."""

    def settings(self, *, target: str | None, layer: str | None) -> Settings:
        """What the app asks of the methods."""

    def explain_method(
        self,
        model: Model,
        image: MedicalImage,
        method: str,
        settings: Settings,
        progress: ProgressCallback,
        stop: StopSignal,
    ) -> SaliencyMap:
        """One method's map."""

    def statistics(self, saliency: SaliencyMap) -> GridStatistics:
        """A map's cells."""

    def assemble(
        self,
        model: Model,
        image: MedicalImage,
        diagnosis: Diagnosis,
        maps: Mapping[str, SaliencyMap],
        failures: Mapping[str, str],
        settings: Settings,
    ) -> Explanation:
        """The whole answer from the maps there are."""

    def save(self, explanation: Explanation, folder: Path) -> Path:
        """Write an explanation; returns its folder."""


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
        import skimage.segmentation  # noqa: F401

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


def log_file() -> Path:
    """Where the app writes what went wrong."""
    return places.state() / "xaimed.log"
