"""Every screen of the app and the states it can be in, with the way there from Home.

What is listed here is drawn by `test_app_snapshots.py` and looked through by `test_contrast.py`. Pictures and maps have
few colours, so that a snapshot stays small.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app_driver import TO_IMAGES, make_app, press, press_until_held, screen_text, settled, until
from factories import make_model
from fakes import FakeEngine
from textual.widgets import ContentSwitcher, Input, TextArea

from engine.errors import (
    BundleError,
    ExplanationError,
    ExportError,
    LibraryError,
    NotFiniteError,
    OutOfMemoryError,
    XAIMedError,
)
from engine.library.trash import Removed
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine

if TYPE_CHECKING:
    import pytest
    from textual.pilot import Pilot

Size = tuple[int, int]


class Managed(FakeEngine):
    """Something was removed that can be restored."""

    def removed(self) -> tuple[Removed, ...]:
        return (
            Removed("HIS Breast Cancer", "Old CNN", "20260131T235959.123456Z", Path("/tasks/.trash/1.model")),
            Removed("IHC Stain (demo)", None, "20260130T120000.000000Z", None),
        )


def engine(**options: Any) -> FakeEngine:
    return Managed(flat=True, **options)


def on_fake(**options: Any) -> Callable[[Path], XAIMedApp]:
    """An app on an engine with these options."""
    return lambda place: make_app(engine(**options))


def failing(what: str, error: Exception) -> Callable[[Path], XAIMedApp]:
    """An app on an engine of which one call fails."""
    return lambda place: make_app(engine(failures={what: error}))


def in_folder(place: Path) -> XAIMedApp:
    """An app that was given a folder with folders in it."""
    return make_app(engine(), folder=place / "scans")


def unapproved(place: Path) -> XAIMedApp:
    """An app on the real engine, with one model whose code nobody has approved."""
    make_model(place / "tasks" / "Lungs" / "CNN")
    return XAIMedApp(Engine(place / "tasks"), clock=lambda: 0.0)


@dataclass(frozen=True)
class Shot:
    """A screen in a state.

    Attributes:
        keys: from Home to it.
        screen: name of the class of the screen, or of the view, that they lead to.
        shows: words that stand there; they tell the state from others of the same screen.
        app: makes the app, given a folder.
        held: a method of the engine that is held back when the last key is pressed.
        typed: what is in the line of the dialog in the end.
        size: of the terminal, where it matters.
        completed: whether a thread completes the line of the dialog. It is taken out again: it comes when it comes.
    """

    keys: tuple[str, ...]
    screen: str
    shows: str
    app: Callable[[Path], XAIMedApp] = field(default_factory=on_fake)
    held: str = ""
    typed: str = ""
    size: Size | None = None
    completed: bool = False

    @property
    def shows_guide(self) -> bool:
        """Whether the guide can be seen there, or Home behind it."""
        return self.keys[:1] not in (("2",), ("3",)) or self.screen == "HelpScreen"

    async def walk(self, pilot: Pilot[int], theme: str | None = None) -> None:
        """Go there, in a theme, and see that it is there."""
        app = pilot.app
        assert isinstance(app, XAIMedApp)
        await settled(pilot, look=False)
        if theme is not None:
            app.theme = theme
        if self.held:
            await press(pilot, *self.keys[:-1])
            await self._begin(pilot, app)
        else:
            await self._go(pilot, app)
        if self.typed:
            app.screen.query_one(Input).value = self.typed
            await settled(pilot)
            await press(pilot, "enter")
        if self.completed:
            app.screen.query_one(Input)._suggestion = ""
            await settled(pilot)
        if isinstance(app.focused, Input | TextArea):  # its cursor blinks, by the clock
            app.focused._pause_blink(visible=True)
            await settled(pilot)
        assert here(app) == self.screen
        # Not an assertion: what a tree of folders lists comes from a thread that never ends.
        await until(pilot, lambda: self.shows in " ".join(screen_text(app).split()))

    async def _go(self, pilot: Pilot[int], app: XAIMedApp) -> None:
        """Press the keys; `card:rise` goes to that picture, which lies elsewhere at another size."""
        for key in self.keys:
            if key.startswith("card:"):
                app.explain.wall.go(key.removeprefix("card:"))
            else:
                await press(pilot, key, look=False)

    async def _begin(self, pilot: Pilot[int], app: XAIMedApp) -> None:
        fake = app.jobs._engine
        assert isinstance(fake, FakeEngine)
        fake.hold(self.held)
        await press_until_held(pilot, self.keys[-1], fake, self.held)
        await until(pilot, lambda: app.explain.runs[self.held].map is not None)
        views = [app.explain.wall.card(key).view for key in (self.held, "agreement", "gradcam++")]
        await until(pilot, lambda: all(view.rendered for view in views))
        await pilot.pause(0.2)


def here(app: XAIMedApp) -> str:
    """Class of the screen that is shown, or of the view of the lowest screen."""
    if app.screen is not app.screen_stack[0]:
        return type(app.screen).__name__
    switcher = app.screen.query_one(ContentSwitcher)
    assert switcher.current is not None
    return type(switcher.get_child_by_id(switcher.current)).__name__


@contextmanager
def one_place(monkeypatch: pytest.MonkeyPatch, place: Path) -> Iterator[Path]:
    """A folder to be in, with two folders of images and a log, and no other places on the screens."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "scans" / "may").mkdir(parents=True)
    (place / "scans" / "june").mkdir()
    (place / "xaimed-results" / "patch-01").mkdir(parents=True)
    (place / "xaimed.log").write_text("2026-01-02 03:04:05 WARNING xaimed: made up\n" * 3, encoding="utf-8")
    monkeypatch.chdir(place)
    monkeypatch.setattr("xaimed_tui.background.failure.log_file", lambda: Path("/state/xaimed/xaimed.log"))
    monkeypatch.setattr("xaimed_tui.screens.failure.log_file", lambda: place / "xaimed.log")
    yield place
    shutil.rmtree(place, ignore_errors=True)


MAPS = (*TO_IMAGES, "right", "e")
"""To the maps of the first image, LIME's the active one."""

MEMORY: XAIMedError = OutOfMemoryError("there is not enough memory", subject="Paper CNN", remedy="end other programs")

SCREENS: dict[str, Shot] = {
    "home": Shot((), "HomeView", "What next"),
    "selection": Shot(("2",), "SelectionView", "Is there invasive"),
    "manage": Shot(("2", "m"), "ChooseDialog", "Add a model to HIS Breast Cancer"),
    "add-task": Shot(("2", "m", "enter"), "Form", "what is decided: text, or a text file"),
    "add-model": Shot(("2", "m", "down", "down", "down", "enter"), "Form", "weights: a checkpoint"),
    "model": Shot(("2", "m", "down", "down", "down", "down", "enter"), "ModelScreen", "All about Paper CNN"),
    "check": Shot(("2", "m", "down", "down", "down", "down", "down", "enter"), "CheckScreen", "Everything works."),
    "describe": Shot(("2", "m", "down", "enter"), "DescribeDialog", "People see this text."),
    "remove": Shot(("2", "m", "down", "down", "enter"), "ConfirmDialog", "with its 2 models"),
    "restore": Shot(("2", "m", "end", "enter"), "ChooseDialog", "hidden 2026-01-30 12:00 UTC"),
    "trust": Shot(("2", "enter", "enter"), "TrustScreen", "Code that wants to run", unapproved),
    "explain-empty": Shot(("3",), "ExplainView", "No network yet."),
    "explain-answer": Shot(TO_IMAGES, "ExplainView", "high confidence"),
    "explain-maps": Shot(MAPS, "ExplainView", "(chance 1)"),
    "explain-numbers": Shot((*TO_IMAGES, "e", "n", "down"), "ExplainView", "patch-01.png"),
    "zoom": Shot((*MAPS, "card:lime", "z"), "ZoomScreen", "LIME of patch-01.png overlay"),
    "detail": Shot((*MAPS, "card:rise", "enter", "j", "j"), "DetailScreen", "RISE of patch-01.png"),
    "detail-agreement": Shot((*MAPS, "card:agreement", "enter"), "DetailScreen", "Agreement of patch-01.png"),
    "detail-exact": Shot((*MAPS, "card:exact", "enter", "u"), "DetailScreen", "Exact cells of patch-01.png"),
    "evidence": Shot((*MAPS, "card:lime", "enter", "e"), "EvidenceScreen", "Can LIME be believed?"),
    "side-by-side": Shot((*MAPS, "card:lime", "b", "enter", "j"), "SideBySideScreen", "3 of 3 cells shared, ρ 1.00"),
    "choose-class": Shot((*TO_IMAGES, "t"), "ChooseDialog", "The maps show what speaks for this class."),
    "choose-layer": Shot((*TO_IMAGES, "y"), "ChooseDialog", "HiResCAM look here"),
    "choose-beside": Shot((*TO_IMAGES, "b"), "ChooseDialog", "model Small CNN"),
    "save": Shot((*TO_IMAGES, "g", "w"), "SaveDialog", "patch-01 already exists and stays as it is.", completed=True),
    "folder": Shot(("f",), "FolderDialog", "└── ▸ xaimed-results", in_folder, completed=True),
    "help": Shot(("3", "question_mark"), "HelpScreen", "Help"),
    "palette": Shot(("ctrl+p",), "Palette", "Open the demo"),
    "failure": Shot(TO_IMAGES, "FailureScreen", "Out of memory", failing("load", MEMORY)),
    "log": Shot(("ctrl+l",), "LogScreen", "WARNING xaimed: made up"),
}
"""Every screen and dialog: at all sizes and in the light theme."""

STATES: dict[str, Shot] = {
    "demo": Shot(("d",), "ExplainView", "IHC Stain (demo) / Small CNN"),
    "selection-unusable": Shot(("2", "enter", "down"), "SelectionView", "Cannot be used: weights.pt is missing"),
    "selection-not-approved": Shot(("2", "enter"), "SelectionView", "Not approved.", unapproved),
    "selection-no-tasks": Shot(("2",), "SelectionView", "There are no tasks", on_fake(tasks=())),
    "selection-filtered": Shot(("2", "slash", "z", "q"), "SelectionView", "zq"),
    "add-task-refused": Shot(
        ("2", "m", "enter", "L", "enter"),
        "Form",
        "there is a task of that name already",
        failing("change_library", LibraryError("there is a task of that name already", subject="L", remedy="x")),
    ),
    "explain-uncertain": Shot(
        (*TO_IMAGES, "e", "o", "o"),
        "ExplainView",
        "! The superpixels are few.",
        on_fake(settled=False, warnings=("The superpixels are few.",)),
        size=(160, 50),
    ),
    "explain-numbers-uncertain": Shot(
        (*TO_IMAGES, "e", "n"), "ExplainView", "?, not certain", on_fake(settled=False), size=(160, 50)
    ),
    "explain-narrow": Shot((*TO_IMAGES, "e"), "ExplainView", "Agreement", size=(100, 50)),
    "explain-at-work": Shot((*TO_IMAGES, "e"), "ExplainView", "500/1,000", held="lime", size=(120, 40)),
    "explain-not-compliant": Shot((*TO_IMAGES, "end"), "ExplainView", "it has 20x20 pixels,"),
    "explain-unreadable": Shot(TO_IMAGES, "ExplainView", "the file is truncated", on_fake(names=("broken.png",))),
    "explain-failed": Shot(
        (*TO_IMAGES, "r"), "ExplainView", "failed: ", failing("rise", ExplanationError("no memory")), size=(120, 40)
    ),
    "zoom-magnified": Shot((*MAPS, "z", "plus", "plus"), "ZoomScreen", "3x"),
    "detail-uncertain": Shot(
        (*MAPS, "enter"),
        "DetailScreen",
        "Not certain which of these",
        on_fake(settled=False, warnings=("The superpixels are few.",)),
        size=(120, 40),
    ),
    "side-by-side-uncertain": Shot(
        (*MAPS, "b", "enter", "tab", "tab", "down"),
        "SideBySideScreen",
        "3 of 3 cells shared?, not certain",
        on_fake(settled=False),
    ),
    "side-by-side-agreement": Shot(
        (*MAPS, "card:lime", "b", "enter", "left"), "SideBySideScreen", "Agreement (6 of 6) on patch-01.png"
    ),
    "save-refused": Shot((*TO_IMAGES, "g", "w"), "SaveDialog", "is not a folder", typed="xaimed.log"),
    "folder-refused": Shot(("f",), "FolderDialog", "is not a folder", in_folder, typed="/nowhere/at/all"),
    "palette-search": Shot(("ctrl+p", "t", "h", "e", "m", "e"), "Palette", "Next theme"),
    "failure-model": Shot(
        TO_IMAGES,
        "FailureScreen",
        "The model cannot be used",
        failing("load", BundleError("weights.pt lacks the key fc.weight", subject="Paper CNN", remedy="copy it")),
    ),
    "failure-map": Shot(
        (*TO_IMAGES, "r", "enter"),
        "FailureScreen",
        "The network gave no numbers",
        failing("rise", NotFiniteError("no valid map: NaN", subject="patch-01.png", remedy="try fp32")),
    ),
    "failure-image": Shot(
        (*TO_IMAGES, "enter"), "FailureScreen", "The image cannot be read", on_fake(names=("broken.png",))
    ),
    "failure-saving": Shot(
        (*TO_IMAGES, "g", "w", "enter"),
        "FailureScreen",
        "Nothing was saved",
        failing("save", ExportError("the disk is full", subject="xaimed-results", remedy="make room")),
    ),
    "failure-fault": Shot(
        TO_IMAGES, "FailureScreen", "A fault in the program", failing("load", RuntimeError("something made up"))
    ),
}
"""What screens look like in other states: at one size."""
