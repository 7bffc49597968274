"""Every key that a screen or widget declares is pressed in a flow, does what is declared, and changes something."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from all_screens import MAPS, SCREENS, Shot, engine, failing, in_folder, one_place, unapproved
from app_driver import TO_IMAGES, make_app, press, settled, until
from factories import make_diagnosis
from fakes import FakeEngine
from textual.binding import Binding
from textual.dom import DOMNode

import xaimed_tui
from engine.errors import BundleError
from xaimed_tui.app import XAIMedApp
from xaimed_tui.wording import method_bindings

if TYPE_CHECKING:
    from textual.pilot import Pilot

Size = tuple[int, int]


@dataclass(frozen=True)
class Flow:
    """What a person does, from Home on.

    Attributes:
        keys: `Class:key` for a key that this class declares, which must run its action and change something;
            `key` for one that leads on.
        shot: makes the app.
        size: of the terminal.
    """

    keys: str
    shot: Shot = SCREENS["home"]
    size: Size = (120, 40)


def app_on(make: Any) -> Shot:
    return Shot((), "HomeView", "", make)


def doubtful(_: Path) -> XAIMedApp:
    """An app whose answers have more warnings than there is room for beside them."""
    return make_app(FakeEngine(answer=make_diagnosis(warnings=("One thing is doubtful. " * 9, "Another is, too."))))


def grey(_: Path) -> XAIMedApp:
    """An app on grey images."""
    return make_app(engine(grey=True))


BROKEN = failing("load", BundleError("weights.pt is missing", subject="Paper CNN", remedy="copy it"))
IMAGES = " ".join(TO_IMAGES)
WALL = " ".join(MAPS)

FLOWS = {
    "home": Flow(
        "HomeView:j HomeView:k HomeView:down HomeView:up HomeView:pagedown HomeView:pageup HomeView:space "
        "HomeView:enter XAIMedApp:1 HomeView:d",
        size=(80, 24),
    ),
    "everywhere": Flow(
        "XAIMedApp:2 XAIMedApp:3 XAIMedApp:1 XAIMedApp:ctrl+t XAIMedApp:ctrl+z XAIMedApp:ctrl+l escape 2 "
        "XAIMedApp:question_mark "
        "HelpScreen:j HelpScreen:k HelpScreen:q question_mark HelpScreen:question_mark question_mark HelpScreen:escape "
        "XAIMedApp:d",
        size=(80, 24),
    ),
    "selection": Flow(
        "2 RowList:down RowList:up RowList:j RowList:k RowList:end RowList:home RowList:G RowList:pageup "
        "RowList:pagedown home RowList:slash i FilteredList:escape SelectionView:right SelectionView:left "
        "SelectionView:right SelectionView:h SelectionView:enter SelectionView:escape SelectionView:ctrl+r"
    ),
    "words": Flow(
        "2 tab tab tab ScrolledWords:end ScrolledWords:home ScrolledWords:down ScrolledWords:up ScrolledWords:j "
        "ScrolledWords:k ScrolledWords:pagedown ScrolledWords:pageup",
        size=(80, 24),
    ),
    "manage": Flow(
        "2 SelectionView:m ChooseDialog:question_mark escape ChooseDialog:escape m ChooseDialog:enter _Changing:escape "
        "m down enter x DescribeDialog:ctrl+s m down down enter ConfirmDialog:question_mark escape _Changing:escape"
    ),
    "images": Flow(
        f"{IMAGES} ExplainView:l down ExplainView:r down ExplainView:g down ExplainView:p down ExplainView:h down "
        "ExplainView:e ExplainView:c ExplainView:u ExplainView:right ExplainView:left ExplainView:o ExplainView:m "
        "ExplainView:left_square_bracket "
        "ExplainView:right_square_bracket ExplainView:n Wall:down Wall:up ExplainView:n ExplainView:z escape "
        "ExplainView:t escape ExplainView:y escape ExplainView:b escape ExplainView:w SaveDialog:escape ExplainView:w "
        "tab Tick:space SaveDialog:enter ExplainView:f "
        "escape right ExplainView:enter escape ExplainView:escape"
    ),
    "doubts": Flow(f"{IMAGES} ExplainView:i escape", app_on(doubtful), (80, 24)),
    "zoom": Flow(
        f"{WALL} z ZoomScreen:plus ZoomScreen:equals_sign ZoomScreen:right ZoomScreen:left ZoomScreen:l ZoomScreen:h "
        "ZoomScreen:down ZoomScreen:up ZoomScreen:j ZoomScreen:k ZoomScreen:minus ZoomScreen:0 ZoomScreen:tab "
        "ZoomScreen:shift+tab ZoomScreen:m ZoomScreen:left_square_bracket "
        "ZoomScreen:right_square_bracket ZoomScreen:o tab tab ZoomScreen:u "
        "ZoomScreen:question_mark escape ZoomScreen:z z ZoomScreen:escape"
    ),
    "window": Flow(
        f"{IMAGES} ExplainView:v v z ZoomScreen:full_stop ZoomScreen:shift+up ZoomScreen:comma ZoomScreen:shift+down "
        "ZoomScreen:less_than_sign ZoomScreen:shift+left ZoomScreen:greater_than_sign ZoomScreen:shift+right "
        "full_stop ZoomScreen:w ZoomScreen:v",
        app_on(grey),
    ),
    "detail": Flow(
        f"{WALL} enter DetailScreen:right DetailScreen:left DetailScreen:l DetailScreen:h DetailScreen:o "
        "DetailScreen:o DetailScreen:m DetailScreen:left_square_bracket DetailScreen:right_square_bracket "
        "DetailScreen:c DetailScreen:v DetailScreen:question_mark escape CellTable:down CellTable:up CellTable:j "
        "CellTable:k DetailScreen:tab tab CellFrame:down CellFrame:up CellFrame:j CellFrame:k CellFrame:right "
        "CellFrame:left CellFrame:h CellFrame:l DetailScreen:e EvidenceScreen:question_mark escape EvidenceScreen:c "
        "EvidenceScreen:e e EvidenceScreen:escape h DetailScreen:u DetailScreen:escape"
    ),
    "side-by-side": Flow(
        f"{WALL} b enter SideBySideScreen:right SideBySideScreen:left SideBySideScreen:l SideBySideScreen:h "
        "SideBySideScreen:question_mark escape SideBySideScreen:tab SideBySideScreen:escape"
    ),
    "failure": Flow(
        f"{IMAGES} FailureScreen:question_mark escape FailureScreen:c FailureScreen:l LinesScreen:k LinesScreen:j "
        "LinesScreen:c LinesScreen:question_mark escape LinesScreen:q l LinesScreen:escape FailureScreen:escape enter "
        "FailureScreen:enter enter FailureScreen:q",
        app_on(BROKEN),
        size=(80, 24),
    ),
    "trust": Flow(
        "2 enter enter TrustScreen:question_mark escape TrustScreen:escape enter TrustScreen:A", app_on(unapproved)
    ),
    "folder": Flow(
        "f tab tab FolderTree:j FolderTree:k FolderDialog:slash FolderDialog:escape f a down FolderDialog:enter",
        app_on(in_folder),
    ),
}


class Fired:
    """What keys have set off: the node whose binding it was, and the action."""

    def __init__(self, app: XAIMedApp) -> None:
        self.fired: list[tuple[object, str]] = []
        run = app.run_action

        async def run_action(action: str, default_namespace: Any = None, namespaces: Any = None) -> bool:
            done = await run(action, default_namespace, namespaces)
            if done:
                self.fired.append((default_namespace, action))
            return done

        app.run_action = run_action  # type: ignore[method-assign, assignment]

    def was(self, owner: str, key: str) -> bool:
        """Whether the last key did what a class declares for it."""
        for node, action in self.fired:
            kind = next((each for each in type(node).__mro__ if each.__name__ == owner), None)
            if kind is not None and action in {a for k, a in declared_by(kind) if k == key}:
                return True
        return False


def declared_by(kind: type) -> Iterator[tuple[str, str]]:
    """Keys and actions that a class declares itself."""
    for binding in Binding.make_bindings(kind.__dict__.get("BINDINGS", ())):
        yield binding.key, binding.action
    if kind.__name__ == "ExplainView":
        yield from ((key, f"explain('{method}')") for key, method in method_bindings().items())


def everything_declared() -> set[str]:
    """`Class:key` for all keys of all classes of the app."""
    kinds = {
        kind
        for module in pkgutil.walk_packages(xaimed_tui.__path__, "xaimed_tui.")
        if not module.name.endswith("__main__")
        for kind in vars(importlib.import_module(module.name)).values()
        if isinstance(kind, type) and issubclass(kind, DOMNode) and kind.__module__ == module.name
    }
    return {f"{kind.__name__}:{key}" for kind in kinds for key, _ in declared_by(kind)}


def state(app: XAIMedApp) -> tuple[object, ...]:
    """Everything that a key can change for a person."""
    fake = app.jobs._engine
    strips = app.screen._compositor.render_strips()[: app.size.height]
    return (
        [[(segment.text, segment.style) for segment in strip] for strip in strips],
        [id(screen) for screen in app.screen_stack],
        app.screen.focused,
        app.clipboard,
        len(app._notifications),
        len(fake.calls) if isinstance(fake, FakeEngine) else 0,
    )


async def go(pilot: Pilot[int], app: XAIMedApp, keys: str) -> None:
    """Press keys as a flow has them."""
    fired = Fired(app)
    await settled(pilot)
    for step in keys.split():
        owner, _, key = step.rpartition(":")
        before = state(app) if owner else ()
        fired.fired.clear()
        await pilot.press(key)
        await settled(pilot)
        if owner:
            assert fired.was(owner, key), f"{step} did not run its action, but {fired.fired}"
            assert state(app) != before, f"{step} changed nothing"


@pytest.mark.parametrize("name", FLOWS)
async def test_keys_do_what_is_declared(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flow = FLOWS[name]
    with one_place(monkeypatch, tmp_path / "place") as place:
        (place / "xaimed.log").write_text("made up\n" * 200, encoding="utf-8")
        app = flow.shot.app(place)
        async with app.run_test(size=flow.size) as pilot:
            await go(pilot, app, flow.keys)


STOPPING = {"ExplainView:s": "all of them", "ExplainView:x": "the one", "SideBySideScreen:s": "both sides'"}
"""Keys that stop methods at work."""


@pytest.mark.parametrize("step", STOPPING)
async def test_keys_that_stop_methods_do(step: str) -> None:
    fake = engine()
    app = make_app(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, *(("g", "b") if step.startswith("Side") else ("right",)))
        fake.hold("lime")
        await pilot.press("enter" if step.startswith("Side") else "l")
        await until(pilot, fake.waiting["lime"].is_set)
        fired = Fired(app)
        key = step.partition(":")[2]
        await until(pilot, lambda: app.screen.active_bindings[key].enabled)
        await pilot.press(key)
        await until(pilot, lambda: fake.stopped)
        await until(pilot, lambda: fired.was(step.partition(":")[0], key))
        assert {*fake.stopped} == {"lime"}


LEAVING = ("XAIMedApp:ctrl+q", "HomeView:q")
"""Keys that end the app."""


@pytest.mark.parametrize("step", LEAVING)
async def test_keys_that_leave_do(step: str) -> None:
    app = make_app(engine())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        fired = Fired(app)
        await pilot.press(step.partition(":")[2])
        await until(pilot, lambda: app._exit)
    assert fired.was(*step.split(":"))
    assert app.return_value == 0


def test_every_key_that_is_declared_is_pressed_in_a_flow() -> None:
    pressed = {step for flow in FLOWS.values() for step in flow.keys.split() if ":" in step}
    assert everything_declared() - pressed - {*STOPPING} - {*LEAVING} == set()
    assert pressed <= everything_declared()
