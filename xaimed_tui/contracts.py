"""What the app asks of the engine, and what its screens need to know of a loaded network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle import ModelBundle
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

    def check(self, bundle: ModelBundle, begun: Callable[[str], None], stop: StopSignal) -> tuple[bool, Sequence[str]]:
        """Whether everything of a model works, and how it fared, in lines; `begun` is given each method's key."""

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
