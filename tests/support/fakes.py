"""An engine whose every answer is fixed and whose pace the test sets."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from factories import (
    TOPS,
    make_bundle,
    make_diagnosis,
    make_evidence,
    make_exact,
    make_explanation,
    make_image,
    make_map,
    make_pixels,
)

from engine.errors import ImageError, Stopped
from engine.evidence.right import judge_right
from engine.explainers.registry import METHODS
from engine.explainers.settings import Settings
from engine.explanation.explain import Explanation
from engine.images.image import MedicalImage
from engine.images.watching import FolderChange
from engine.library.tasks import ModelEntry, Task
from engine.progress import Progress
from engine.results.cells import cell_slices
from engine.results.diagnosis import Diagnosis
from engine.results.evidence import Evidence
from engine.results.saliency import SaliencyMap
from engine.results.statistics import GridStatistics, grid_statistics
from engine.trust.permission import Review, Standing
from xaimed_tui.background.backend import Engine, SaveWish

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.authoring.check import Advanced
    from engine.bundle.model_bundle import ModelBundle
    from engine.bundle.specs import Fill
    from engine.explanation.evidence import Question
    from engine.images.eye import EyeWindow
    from engine.library.trash import Removed
    from engine.progress import ProgressCallback, StopSignal
    from engine.results.exact_cells import ExactCells
    from xaimed_tui.background.backend import Group, Model
    from xaimed_tui.background.library_changes import Change

CLASSES = ("NO-IDC", "IDC")
NAMES = tuple(f"patch-{number:02d}.png" for number in range(1, 9))
REFUSED = {"patch-04.png": "it has 20x20 pixels, the network needs at least 48x48"}


@dataclass(frozen=True)
class FakeLayer:
    name: str
    channels: int
    height: int
    width: int
    kind: str = "Conv2d"
    also: tuple[str, ...] = ()
    branch: bool = False


@dataclass(frozen=True)
class FakeModel:
    bundle: ModelBundle
    classes: tuple[str, ...] = CLASSES
    device: str = "cpu"
    precision: str = "fp32"
    layers: tuple[FakeLayer, ...] = (FakeLayer("features.0", 16, 48, 48), FakeLayer("features.4", 32, 24, 24))
    default_layer: str = "features.4"


def make_task(name: str, models: Iterable[ModelEntry], description: str = "A question made up for tests.") -> Task:
    return Task(name=name, path=Path("tasks") / name, description=description, models=tuple(models))


def make_entry(
    task: str, name: str, *, reason: str = "", description: str | None = None, picture: Path | None = None
) -> ModelEntry:
    path = Path("tasks") / task / name
    bundle = None if reason else replace(make_bundle(path, classes=CLASSES), samples=Path("/samples"), picture=picture)
    text = description or f"{name}: a network of two convolutions.\n\n  class    F1\n  NO-IDC   0.90\n  IDC      0.75\n"
    return ModelEntry(task, name, path, bundle, reason, text, picture)


def demo_tasks() -> tuple[Task, ...]:
    his, demo = "HIS Breast Cancer", "IHC Stain (demo)"
    return (
        make_task(
            his,
            [
                make_entry(his, "Paper CNN", picture=Path("description.png")),
                make_entry(his, "Wide CNN", reason="weights.pt is missing"),
            ],
            "Is there invasive ductal carcinoma in this patch?\n\nResearch use only.",
        ),
        make_task(demo, [make_entry(demo, "Small CNN")], "Which stain does a small patch show?"),
    )


@dataclass
class FakeEngine(Engine):
    """See the module. `gates` hold a method back until the test opens them; `failures` make a call raise."""

    tasks: tuple[Task, ...] = field(default_factory=demo_tasks)
    names: tuple[str, ...] = NAMES
    refused: Mapping[str, str] = field(default_factory=lambda: dict(REFUSED))
    stacks: tuple[str, ...] = ()
    """Files that hold several images."""
    failures: dict[str, Exception] = field(default_factory=dict)
    gates: dict[str, threading.Event] = field(default_factory=dict)
    waiting: dict[str, threading.Event] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    settled: bool = True
    warnings: tuple[str, ...] = ()
    classes: tuple[str, ...] = CLASSES
    answer: Diagnosis | None = None
    """What the network says about every image; None for the usual answer."""
    exact_fills: tuple[Fill, ...] = ("mean", "blur")
    flat: bool = False
    """Images and maps of few plain colours: their snapshots are small."""
    grey: bool = False
    """Of these images, one channel only."""

    def __init_subclass__(cls) -> None:
        """Refuse a method that the engine has not: it is misspelt, and nothing would ever call it."""
        for name, value in vars(cls).items():
            if inspect.isfunction(value) and not name.startswith("_") and not hasattr(FakeEngine, name):
                raise TypeError(f"{cls.__qualname__}.{name} overrides nothing: the engine has no such method")

    def hold(self, what: str) -> threading.Event:
        """Hold a call back from now on; the event returned lets it go."""
        self.waiting[what] = threading.Event()
        self.gates[what] = threading.Event()
        return self.gates[what]

    def _call(self, what: str, *details: str, stop: StopSignal | None = None) -> None:
        self.calls.append((what, *details))
        if (gate := self.gates.get(what)) is not None:
            self.waiting[what].set()
            while not gate.wait(0.01):
                if stop is not None and stop.is_set():
                    return
        if what in self.failures:
            raise self.failures[what]

    def warm_up(self) -> None:
        self._call("warm_up")

    def warm_methods(self) -> None:
        self._call("warm_methods")

    def list_tasks(self) -> tuple[Task, ...]:
        self._call("list_tasks")
        return self.tasks

    def change_library(self, change: Change) -> str:
        self._call("change_library", str(change))
        return "done"

    def removed(self) -> Sequence[Removed]:
        return ()

    def review(self, path: Path, task: str) -> Review:
        self._call("review", path.name)
        entries = (entry for each in self.tasks if each.name == task for entry in each.models)
        bundle = next(entry.bundle for entry in entries if entry.path == path and entry.bundle is not None)
        return Review(bundle, code={"architecture.py": "import torch\n"}, findings=(), standing=Standing("unapproved"))

    def approve(self, bundle: ModelBundle) -> None:
        self._call("approve", bundle.name)

    def load(self, bundle: ModelBundle) -> Model:
        self._call("load", bundle.name)
        return FakeModel(bundle, classes=self.classes)

    def check(
        self, bundle: ModelBundle, begun: Callable[[str], None], advanced: Advanced, stop: StopSignal
    ) -> tuple[bool, Sequence[str]]:
        begun("gradcam")
        advanced(100.0, 400.0)
        self._call("check", bundle.name, stop=stop)
        return True, (
            f"{bundle.task}/{bundle.name} on cpu",
            "  0.9000  IDC  <- high",
            "A map takes about:",
            "  RISE  1 s",
        )

    def scan_images(self, folder: Path) -> Iterator[Sequence[str]]:
        self._call("list_images", str(folder))
        yield self.names

    def groups(self, folder: Path, names: Sequence[str]) -> Sequence[Group]:
        return super().groups(folder, names)  # reads no file

    def watch_folder(self, folder: Path, stop: threading.Event) -> Iterator[FolderChange]:
        return iter(())

    def why_not_compliant(self, path: Path, bundle: ModelBundle) -> str:
        return self.refused.get(path.name, "")

    def holds_several(self, path: Path) -> bool:
        return path.name in self.stacks

    def read(self, path: Path) -> MedicalImage:
        self._call("read", path.name)
        if path.name in self.stacks:
            raise ImageError("the file holds 20 images", subject=path, remedy="name one", code="stack")
        if path.name == "broken.png":
            raise ImageError("the file is truncated", subject=path.name, remedy="copy it again")
        if path.name == "description.png":
            return make_image(path, pixels=confusion_matrix())
        if self.flat:
            return make_image(path, pixels=flat_pixels()[:, :, :1] if self.grey else flat_pixels())
        turn = sum(path.name.encode()) % 4
        return make_image(path, pixels=np.ascontiguousarray(np.rot90(make_pixels(), turn)))

    def read_small(self, path: Path) -> MedicalImage:
        return self.read(path)

    def view(
        self, image: MedicalImage, bundle: ModelBundle | None, window: EyeWindow | None = None
    ) -> NDArray[np.uint8]:
        view = image.pixels.astype(np.uint8) if window is None else window.shown(image)
        view.setflags(write=False)
        return view

    def whole(self, image: MedicalImage, bundle: ModelBundle, window: EyeWindow | None = None) -> NDArray[np.uint8]:
        return super().whole(image, bundle, window)

    def fed(self, image: MedicalImage, bundle: ModelBundle) -> NDArray[np.uint8]:
        return super().fed(image, bundle)

    def fed_window(self, image: MedicalImage, bundle: ModelBundle | None) -> tuple[EyeWindow, str] | None:
        return super().fed_window(image, bundle)

    def diagnose(self, model: Model, image: MedicalImage) -> Diagnosis:
        self._call("diagnose", image.path.name)
        if self.answer is not None:
            return self.answer
        if len(self.classes) == 2:
            return make_diagnosis((0.1, 0.9), self.classes)
        rest = 0.2 / (len(self.classes) - 1)
        return make_diagnosis([0.8, *[rest] * (len(self.classes) - 1)], self.classes)

    def settings(self, *, target: str | None, layer: str | None) -> Settings:
        return Settings(target=target, layer=layer)

    def explain_method(
        self,
        model: Model,
        image: MedicalImage,
        method: str,
        settings: Settings,
        progress: ProgressCallback,
        stop: StopSignal,
    ) -> SaliencyMap:
        total = {"lime": 1000, "rise": 4000}.get(method, 1)
        target = settings.target or self.classes[-1]
        values = flat_values(method) if self.flat else None
        part = make_map(method, target=target, values=values, samples=total // 2, stopped=True, settled=False)
        if total > 1:
            progress(Progress(method, total // 2, total, part))
        self._call(method, image.path.name, str(settings.target), str(settings.layer), stop=stop)
        if stop.is_set():
            self.stopped.append(method)
            if total == 1:
                raise Stopped(method)
            return part
        progress(Progress(method, total, total))
        made = make_map(method, target=target, values=values, settled=self.settled, warnings=self.warnings)
        return replace(made, parameters={**made.parameters, "layer": settings.layer or "features.4"})

    def fills(self, model: Model, settings: Settings) -> tuple[Fill, ...]:
        return self.exact_fills

    def exact_cells(
        self,
        model: Model,
        image: MedicalImage,
        settings: Settings,
        fills: Sequence[Fill],
        progress: ProgressCallback,
        stop: StopSignal,
    ) -> ExactCells:
        total = 1 + 511 * len(fills)
        progress(Progress("exact", total // 2, total))
        self._call("exact", image.path.name, str(settings.target), " ".join(fills), stop=stop)
        if stop.is_set():
            self.stopped.append("exact")
            raise Stopped("exact")
        progress(Progress("exact", total, total))
        return make_exact(target=settings.target or self.classes[-1], fills=fills)

    def statistics(self, saliency: SaliencyMap) -> GridStatistics:
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
        known = {
            method: replace(evidence.get(method, Evidence()), right=judge_right(exact, grid_statistics(made).top))
            for method, made in maps.items()
        }
        order = {m: maps[m] for m in sorted(maps, key=lambda m: METHODS.index(m) if m in METHODS else len(METHODS))}
        return make_explanation(
            image,
            maps=order,
            diagnosis=diagnosis,
            target=settings.target,
            failures=failures,
            settings=settings,
            bundle=model.bundle,
            exact=exact,
            exact_failure=exact_failure,
            evidence=known,
        )

    def questions(self) -> tuple[Question, ...]:
        return ("stable", "better_than_chance", "of_this_network")

    def seconds_to_ask(self, maps: Mapping[str, SaliencyMap]) -> float:
        return 2.5

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
        self._call("ask", saliency.method, question, stop=stop)
        if stop.is_set():
            self.stopped.append("ask")
            raise Stopped(question)
        return replace(evidence, **{question: getattr(make_evidence(), question)})

    def save(
        self, explanation: Explanation, wish: SaveWish, progress: ProgressCallback, stop: StopSignal
    ) -> tuple[Path, str]:
        self._call("save", str(wish.folder))
        progress(Progress("saving", 0, 1))
        out = wish.folder / explanation.image.path.stem
        out.mkdir(parents=True)
        (out / "explanation.json").write_text("{}", encoding="utf-8")
        return out, ""


def flat_pixels() -> NDArray[np.float32]:
    """A dark square off the middle of a bright field."""
    picture = np.empty((48, 48, 3), dtype=np.float32)
    picture[...] = (214, 178, 196)
    picture[20:40, 12:34] = (116, 62, 120)
    return picture


def flat_values(method: str) -> NDArray[np.float32]:
    """A map with one value a cell."""
    values = np.zeros((48, 48), dtype=np.float32)
    for rank, cell in enumerate(TOPS[method]):
        values[cell_slices(48, 48)[cell]] = 1.0 - 0.2 * rank
    return values


def confusion_matrix() -> NDArray[np.float32]:
    """A small picture of a confusion matrix."""
    picture = np.full((44, 44, 3), 235, dtype=np.float32)
    for (row, column), share in {(0, 0): 0.9, (0, 1): 0.1, (1, 0): 0.26, (1, 1): 0.74}.items():
        colour = np.array([235, 240, 245]) * (1 - share) + np.array([20, 70, 120]) * share
        picture[3 + 20 * row : 21 + 20 * row, 3 + 20 * column : 21 + 20 * column] = colour.round()
    return picture
