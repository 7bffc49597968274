"""The engine as the app calls it, and what screens need to know of a loaded network; heavy imports happen late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from engine.errors import ExplanationError, ImageError, Stopped
from engine.storage import places
from xaimed_tui.preferences.settings import AppSettings

if TYPE_CHECKING:
    import threading

    import numpy as np
    from numpy.typing import NDArray

    from engine.authoring.check import Advanced
    from engine.bundle.model_bundle import InputSpec, ModelBundle
    from engine.bundle.specs import Fill
    from engine.explainers.settings import Settings
    from engine.explanation.evidence import Question
    from engine.explanation.explain import Explanation
    from engine.export.report import ReportKind
    from engine.images.eye import EyeWindow
    from engine.images.image import MedicalImage
    from engine.images.watching import FolderChange
    from engine.library.tasks import Task
    from engine.library.trash import Removed
    from engine.network.classifier import Classifier, Precision
    from engine.progress import ProgressCallback, StopSignal
    from engine.results.diagnosis import Diagnosis
    from engine.results.evidence import Evidence
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from engine.trust.permission import Review
    from xaimed_tui.background.library_changes import Change


STACK = "stack"
"""The code (see `engine.errors`) of a file that holds several images, where the path does not say which."""


class Layer(Protocol):
    """A layer that the CAMs can use: its name in the network, and the number and size of its feature maps."""

    @property
    def name(self) -> str: ...
    @property
    def channels(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def also(self) -> tuple[str, ...]: ...
    @property
    def branch(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class SaveWish:
    """What a person wants to be saved, and where.

    Attributes:
        folder: where the folder of results is made.
        reports: the kinds of reports to write, too.
        dicom: whether to write DICOM objects, too.
    """

    folder: Path
    reports: tuple[ReportKind, ...] = ()
    dicom: bool = False


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


class Group(Protocol):
    """Images that belong together: what people are told of them, and their names in order."""

    @property
    def title(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...


class Engine:
    """Everything that the app asks of the engine.

    Every call may be slow, so make it in a thread, never in the app's own. Heavy imports happen on first use, in the
    calling thread.

    Args:
        tasks: the tasks folder to use; None for the usual ones.
        settings: the app's settings, of which those for the device and the methods are used.
    """

    def __init__(self, tasks: Path | None = None, settings: AppSettings | None = None) -> None:
        self._tasks = tasks
        self._settings = settings or AppSettings()

    def warm_up(self) -> None:
        """Start the process that decodes pictures, and import torch, so that the first network need not wait for it."""
        from engine.images.decoding.pool import get_ready

        # First: while torch is imported here, that process starts on its own.
        get_ready()
        import engine.network.classifier  # noqa: F401

    def warm_methods(self) -> None:
        """Import what the methods import late, so that the first map need not wait for it."""
        from engine.explainers.cam_package import import_cam_package

        for name in ("skimage.segmentation", "sklearn.metrics", "lime.lime_base"):
            import_module(name)
        with suppress(ExplanationError):  # the CAMs will report it when they run
            import_cam_package()

    def list_tasks(self) -> tuple[Task, ...]:
        """Return the tasks of the library with their models; see `engine.library.tasks.list_tasks`."""
        from engine.library.tasks import list_tasks

        return list_tasks(places.task_folders(self._tasks))

    def change_library(self, change: Change) -> str:
        """Change the task library; return a sentence that says what was done."""
        return change.make(places.task_folders(self._tasks))

    def removed(self) -> Sequence[Removed]:
        """Return what can be restored, the last removed first; see `engine.library.changes.removed`."""
        from engine.library.changes import removed

        return removed(places.task_folders(self._tasks))

    def review(self, path: Path, task: str) -> Review:
        """Return a model's code for a person to read, without running it; see `engine.trust.permission.review`."""
        from engine.trust.permission import review

        return review(path, task=task)

    def approve(self, bundle: ModelBundle) -> None:
        """Record that a model's code, as it was read, may run; see `engine.trust.permission.approve`."""
        from engine.trust.permission import approve

        approve(bundle)

    def load(self, bundle: ModelBundle) -> Model:
        """Load a network; see `engine.network.classifier.Classifier.load`."""
        from engine.network.classifier import Classifier

        precision = cast("Precision", self._settings.precision)
        return Classifier.load(bundle, device=self._settings.device, precision=precision)

    def check(
        self, bundle: ModelBundle, begun: Callable[[str], None], advanced: Advanced, stop: StopSignal
    ) -> tuple[bool, Sequence[str]]:
        """Try everything a model has to do; return whether all of it works, and a report in lines.

        See `engine.authoring.check.check_model` and `engine.authoring.check_report.check_lines`.

        Args:
            bundle: the model; it is loaded again.
            begun: called with the key of each method when its turn comes.
            advanced: called with how much of the check is done and how much there is, both in samples.
            stop: ends the check early when it is set.
        """
        from engine.authoring.check import check_model
        from engine.authoring.check_report import check_lines

        classifier = _classifier(self.load(bundle))
        check = check_model(classifier, begun=begun, advanced=advanced, stop=stop)
        return check.passed, tuple(check_lines(classifier, check))

    def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
        """Yield the images' names found so far in a folder; the last list is complete. See `engine.images.listing`."""
        from engine.images.listing import scan_images
        from engine.images.nifti.recognising import PLANES

        return scan_images(folder, PLANES, below_empty=True)

    def groups(self, folder: Path, names: Sequence[str]) -> Sequence[Group]:
        """Return which of the images of a folder belong together, as `scan_images` has found them: series, slices.

        See `engine.images.dicom.series.series_of`.
        """
        from engine.images.dicom.series import series_of

        return series_of(folder, names)

    def watch_folder(self, folder: Path, stop: threading.Event) -> Iterator[FolderChange]:
        """Yield the changes of a folder until `stop` is set; see `engine.images.watching.watch_folder`."""
        from engine.images.watching import watch_folder

        return watch_folder(folder, stop)

    def why_not_compliant(self, path: Path, bundle: ModelBundle) -> str:
        """Return why a file cannot be fed to the network; empty if it can. See `engine.images.compliance`."""
        from engine.images.compliance import why_not_compliant

        return why_not_compliant(path, bundle.input)

    def holds_several(self, path: Path) -> bool:
        """Whether a file is refused because it holds several images, and the path does not say which."""
        from engine.images.image import read_header

        try:
            read_header(path)
        except ImageError as error:
            return error.code == STACK
        return False

    def read(self, path: Path) -> MedicalImage:
        """Read and decode an image; see `engine.images.image.read_image`."""
        from engine.images.image import read_image

        return read_image(path)

    def read_small(self, path: Path) -> MedicalImage:
        """Read a picture that describes a model; refuse one larger than a description needs without reading it."""
        from engine.bundle.model_bundle import PICTURE_LIMIT
        from engine.images.image import Limits, read_image

        return read_image(path, limits=Limits(bytes=PICTURE_LIMIT, pixels=PICTURE_LIMIT))

    def view(
        self, image: MedicalImage, bundle: ModelBundle | None, window: EyeWindow | None = None
    ) -> NDArray[np.uint8]:
        """Return what the network sees of the image (all of it without a model), for display: (h, w, C) uint8.

        A grey image may be looked at through another `window` than the network's.
        """
        from engine.images.preprocessing import picture_view

        return picture_view(image, bundle.input if bundle is not None else _whole(image), window)

    def whole(self, image: MedicalImage, bundle: ModelBundle, window: EyeWindow | None = None) -> NDArray[np.uint8]:
        """Return all of an image as `view` returns the part of it that the network sees."""
        from engine.images.preprocessing import picture_view

        return picture_view(image, replace(bundle.input, resize="stretch"), window)

    def fed(self, image: MedicalImage, bundle: ModelBundle) -> NDArray[np.uint8]:
        """Return what the network is given as a picture, (H, W, C); see `engine.images.preprocessing.fed_picture`."""
        from engine.images.preprocessing import fed_picture

        return fed_picture(image, bundle.input)

    def fed_window(self, image: MedicalImage, bundle: ModelBundle | None) -> tuple[EyeWindow, str] | None:
        """Return the window through which the network gets the image, and in words; None for a colour image.

        Without a network it is that in which the image is shown.
        """
        from engine.images.eye import fed_window, fed_words

        spec = bundle.input if bundle is not None else _whole(image)
        window = fed_window(image, spec)
        return None if window is None else (window, fed_words(image, spec))

    def diagnose(self, model: Model, image: MedicalImage) -> Diagnosis:
        """Return the network's answer for an image; refuse one that is not compliant. See `Classifier.diagnose`."""
        from engine.images.compliance import check_compliance

        check_compliance(image, model.bundle.input)
        return _classifier(model).diagnose(image)

    def settings(self, *, target: str | None, layer: str | None) -> Settings:
        """Return the methods' settings: those of the app, with a target class and a layer for the CAMs."""
        from engine.explainers.settings import Settings

        until = cast("Literal['samples', 'certain']", self._settings.until)
        mine = self._settings
        return Settings(
            target=target,
            layer=layer,
            until=until,
            samples=mine.samples,
            parameters=mine.parameters,
            voters=mine.voters,
        )

    def explain_method(
        self,
        model: Model,
        image: MedicalImage,
        method: str,
        settings: Settings,
        progress: ProgressCallback,
        stop: StopSignal,
    ) -> SaliencyMap:
        """Make one method's map; see `engine.explanation.explain.explain_method`."""
        from engine.explanation.explain import explain_method

        return explain_method(_classifier(model), image, method, settings, progress=progress, stop=stop)

    def fills(self, model: Model, settings: Settings) -> tuple[Fill, ...]:
        """Return what hidden cells show for the exact cells, one answer for each; none for no exact cells."""
        from engine.explainers.settings import chosen_fills

        return chosen_fills(model.bundle, settings)

    def exact_cells(
        self,
        model: Model,
        image: MedicalImage,
        settings: Settings,
        fills: Sequence[Fill],
        progress: ProgressCallback,
        stop: StopSignal,
    ) -> ExactCells:
        """Return the exact answer for the nine cells; see `engine.explanation.exact.explain_exact`.

        What was passed for the image before is not passed again, be it for other fills, for another class, or until it
        was stopped.
        """
        from engine.explanation.exact import explain_exact

        return explain_exact(_classifier(model), image, settings, fills=fills, progress=progress, stop=stop)

    def statistics(self, saliency: SaliencyMap) -> GridStatistics:
        """Return the statistics of a map's cells; see `engine.results.statistics.grid_statistics`."""
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
        exact: ExactCells | None,
        exact_failure: str,
        evidence: Mapping[str, Evidence],
    ) -> Explanation:
        """Assemble the explanation from the maps that there are; see `engine.explanation.explain.assemble`."""
        from engine.explanation.explain import assemble

        return assemble(
            _classifier(model),
            image,
            diagnosis,
            maps,
            failures=failures,
            settings=settings,
            exact=exact,
            exact_failure=exact_failure,
            evidence=evidence,
        )

    def questions(self) -> tuple[Question, ...]:
        """Return the questions about a map that may cost passes, in the order in which they are asked."""
        from engine.explanation.evidence import LATER

        return LATER

    def seconds_to_ask(self, maps: Mapping[str, SaliencyMap]) -> float:
        """Return how long the questions about one map may take; see `engine.explanation.evidence.usual_seconds`."""
        from engine.explanation.evidence import usual_seconds

        return usual_seconds(maps)

    def ask(
        self,
        model: Model,
        image: MedicalImage,
        saliency: SaliencyMap,
        evidence: Evidence,
        question: Question,
        settings: Settings,
        seconds: float,
        progress: ProgressCallback,
        stop: StopSignal,
    ) -> Evidence:
        """Ask one question about a map; return the map's evidence with the answer, or why there is none in this time.

        What is measured once for a network and a method has all the time it needs, whatever is left for the map.
        See `engine.explanation.evidence.ask`.
        """
        from engine.explanation.evidence import Deadline, ask, with_answer

        limited = stop if question == "of_this_network" else Deadline(seconds, stop)
        try:
            answer = ask(
                _classifier(model),
                image,
                saliency,
                question,
                settings,
                others=lambda: _beside(image.path),
                progress=progress,
                stop=limited,
            )
        except Stopped:
            if stop.is_set():
                raise
            why = f"not answered in the {seconds:.3g} s left for it"
            return with_answer(evidence, replace(getattr(evidence, question), why=why))
        return with_answer(evidence, answer)

    def save(
        self, explanation: Explanation, wish: SaveWish, progress: ProgressCallback, stop: StopSignal
    ) -> tuple[Path, str]:
        """Save an explanation; return its folder, and why there are no Parametric Maps where they were asked for.

        See `engine.export.folder.save_explanation`.
        """
        from engine.export.dicom.plan import plan_dicom
        from engine.export.folder import save_explanation

        plan = plan_dicom(explanation) if wish.dicom else None
        folder = save_explanation(
            explanation, wish.folder, reports=wish.reports, dicom=plan, progress=progress, stop=stop
        )
        return folder, "" if plan is None else plan.no_map


def _classifier(model: Model) -> Classifier:
    """Return a model that `Engine.load` returned as the classifier that it is."""
    from engine.network.classifier import Classifier

    if not isinstance(model, Classifier):
        raise TypeError(f"{type(model).__name__} is not a classifier of this engine")
    return model


def _beside(path: Path) -> Iterable[MedicalImage]:
    """Return the images that lie beside an image, as far as they can be read; each is read when it is needed."""
    from engine.explanation.measuring import readable
    from engine.images.listing import list_images

    try:
        return readable([other.path for other in list_images(path.parent) if other.path != path])
    except ImageError:  # the folder is gone
        return ()


def _whole(image: MedicalImage) -> InputSpec:
    from engine.bundle.model_bundle import InputSpec

    return InputSpec(size=(image.height, image.width), channels=image.pixels.shape[2])
