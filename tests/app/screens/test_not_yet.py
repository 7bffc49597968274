"""Keys that come before what they need: `e` is remembered until the answer is there, the others say what is missing."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from app_driver import TO_IMAGES, make_app, notices, press, screen_text, settled, told, until
from fakes import FakeEngine

from engine.errors import ImageError
from xaimed_tui.app import XAIMedApp
from xaimed_tui.screens.explain.diagnosis_panel import DiagnosisPanel
from xaimed_tui.widgets import why_not
from xaimed_tui.widgets.why_not import WhyNot

if TYPE_CHECKING:
    from textual.pilot import Pilot

SAID = "as soon as the answer is there"


@pytest.fixture(autouse=True)
def _slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show reasons for so long that a busy machine still sees them."""
    monkeypatch.setattr(why_not, "SHOWN", 60.0)


def plain(text: str) -> str:
    return " ".join(text.split())


def said_on(app: XAIMedApp) -> str:
    """What the panel of the answer says."""
    return plain(str(app.explain.query_one(DiagnosisPanel).render()))


@asynccontextmanager
async def waiting(
    what: str, engine: FakeEngine | None = None, *, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[XAIMedApp, Pilot[int], threading.Event]]:
    """The app on an image while a call of the engine is held back until the event is set."""
    engine = engine or FakeEngine()
    app = make_app(engine)
    gate = engine.hold(what)
    async with app.run_test(size=size) as pilot:
        try:
            for key in TO_IMAGES:
                await pilot.press(key)
            await until(pilot, lambda: engine.waiting[what].is_set() and app.explain.display)
            yield app, pilot, gate
        finally:
            gate.set()


@pytest.mark.parametrize(("size", "held"), [((80, 24), "diagnose"), ((80, 24), "read"), ((160, 50), "diagnose")])
async def test_methods_asked_for_early_run_when_the_answer_is_there(size: tuple[int, int], held: str) -> None:
    async with waiting(held, size=size) as (app, pilot, gate):
        await pilot.press("e")
        await until(pilot, lambda: "The methods run " + SAID in said_on(app))
        await pilot.pause(0.1)
        side = app.explain.side.region
        shown = plain(" ".join(line[side.x : side.right - 1] for line in screen_text(app).splitlines()))
        assert "The methods run " + SAID in shown
        gate.set()
        await until(pilot, lambda: {run.state for run in app.explain.runs.values()} == {"done"})
        await settled(pilot)
        assert SAID not in said_on(app)


async def test_one_method_or_several_can_be_asked_for_early() -> None:
    async with waiting("diagnose") as (app, pilot, gate):
        await pilot.press("g")
        await until(pilot, lambda: "Grad-CAM runs " + SAID in said_on(app))
        await pilot.press("p")
        await until(pilot, lambda: "Grad-CAM and Grad-CAM++ run " + SAID in said_on(app))
        gate.set()
        await until(pilot, lambda: app.explain.runs["gradcam++"].state == "done")
        await settled(pilot)
        states = {method: run.state for method, run in app.explain.runs.items()}
        assert [method for method, state in states.items() if state == "done"] == ["gradcam", "gradcam++"]
        assert {state for method, state in states.items() if not method.startswith("gradcam")} == {"idle"}


@pytest.mark.parametrize("key", ["down", "escape", "s"])
async def test_what_was_asked_for_early_is_forgotten(key: str) -> None:
    async with waiting("diagnose") as (app, pilot, gate):
        await pilot.press("e")
        await until(pilot, lambda: SAID in said_on(app))
        await pilot.press(key)
        await until(pilot, lambda: SAID not in said_on(app))
        if key == "down":
            await pilot.press("up")
        gate.set()
        await until(pilot, lambda: app.explain.scene.diagnosis is not None)
        await settled(pilot)
        assert {run.state for run in app.explain.runs.values()} == {"idle"}
        assert app.explain.display


async def test_what_was_asked_for_early_is_forgotten_when_there_is_no_answer() -> None:
    engine = FakeEngine(failures={"diagnose": ImageError("cannot be used", subject="a", remedy="take another")})
    async with waiting("diagnose", engine) as (app, pilot, gate):
        await pilot.press("e")
        await until(pilot, lambda: SAID in said_on(app))
        gate.set()
        await until(pilot, lambda: app.explain.image_failure is not None)
        await settled(pilot)
        assert not app.explain.asked
        await press(pilot, "e")
        await told(pilot, "There is no answer to explain")


async def test_what_was_asked_of_one_network_is_not_done_with_another() -> None:
    async with waiting("diagnose") as (app, pilot, gate):
        await pilot.press("e")
        await until(pilot, lambda: SAID in said_on(app))
        app.selection.open_task("IHC Stain (demo)")
        await until(pilot, lambda: app.explain.scene.bundle.name == "Small CNN")
        gate.set()
        await until(pilot, lambda: app.explain.scene.diagnosis is not None)
        await settled(pilot)
        assert {run.state for run in app.explain.runs.values()} == {"idle"}


async def test_methods_asked_for_while_the_network_is_loaded_run_on_the_image_in_view(tmp_path: Path) -> None:
    engine = FakeEngine()
    gate = engine.hold("load")
    app = make_app(engine, task="HIS Breast Cancer", model="Paper CNN", folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        try:
            await until(pilot, engine.waiting["load"].is_set)
            await until(pilot, lambda: app.views_made and app.explain.scene.image is not None)
            assert "loading the network" in said_on(app)
            await pilot.press("w")
            await told(pilot, "The network is still being loaded.")
            await pilot.press("e")
            await until(pilot, lambda: SAID in said_on(app))
            reading = engine.hold("read")  # the image is read again for the network
            gate.set()
            await until(pilot, engine.waiting["read"].is_set)
            assert SAID in said_on(app)
            reading.set()
            await until(pilot, lambda: {run.state for run in app.explain.runs.values()} == {"done"})
        finally:
            for held in engine.gates.values():
                held.set()


async def test_on_the_selection_screen_e_says_that_the_network_is_still_being_loaded() -> None:
    engine = FakeEngine()
    gate = engine.hold("load")
    app = make_app(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        try:
            await press(pilot, "2", "e")
            assert "still being loaded" not in notices(app)
            for key in TO_IMAGES:
                await pilot.press(key)
            await until(pilot, engine.waiting["load"].is_set)
            await pilot.press("e")
            await told(pilot, "The network is still being loaded: e works once an image is shown.")
        finally:
            gate.set()


NEED_AN_ANSWER = ("t", "b", "w", "n", "o", "m", "left_square_bracket", "right_square_bracket", "enter")


def forget_said(app: XAIMedApp) -> None:
    """Take back all notices, so that the same reason may be given again."""
    app.clear_notifications()
    for screen in app.screen_stack:
        for node in (screen, *screen.query("*")):
            if isinstance(node, WhyNot):
                node._reason_given = ("", float("-inf"))


async def test_without_a_network_keys_say_that_there_is_none_once() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "3")
        for key in (*NEED_AN_ANSWER, "e", "l", "y"):
            forget_said(app)
            for _ in range(3):
                await pilot.press(key)
            await told(pilot, "There is no network yet: 2 chooses one.")
            await settled(pilot)
            assert notices(app).count("There is no network") == 1, key


async def test_before_the_answer_keys_say_that_it_is_not_there() -> None:
    async with waiting("diagnose") as (app, pilot, _):
        for key in NEED_AN_ANSWER:
            forget_said(app)
            await pilot.press(key)
            await told(pilot, "The network has not answered yet.")


FLOWS = {
    "no map": (
        ("w", "There is nothing to save yet: e makes the maps."),
        ("enter", "There is no map yet: e makes them."),
        ("n", "There is no map yet: e makes them."),
        ("o", "There is no map yet: e makes them."),
        ("s", "No method is at work."),
        ("x", "No method is chosen."),
        ("z tab", "There is no other picture yet."),
        ("o", "This picture has no other view."),
        ("m", "This picture shows no map."),
        ("left_square_bracket", "This picture shows no map over an image."),
        ("0", "The whole picture is shown: + magnifies it."),
        ("minus", "The picture does not get any smaller."),
        ("escape t 9 9 9 enter enter", "No row is left to choose: Esc clears the filter."),
        ("escape escape right right x", "LIME is not at work."),
        ("u", "The exact cells are not known yet: c weighs them."),
        ("z", "There is no picture here yet."),
    ),
    "maps": (
        ("g right enter", "has no map yet: e makes it."),
        ("e e", "All methods have made their maps."),
        ("right_square_bracket " * 9, "The map cannot cover more of the image."),
        ("b enter s", "No method is at work."),
        ("escape g enter u", "The words below tell of every fill."),
        ("right right right o", "The exact cells are numbers."),
        ("right o", "The agreement has no other view."),
        ("e", "The questions are asked about single maps: ← and → choose one."),
        ("left left o right_square_bracket", "The map is shown alone: there is no image below it."),
    ),
}


@pytest.mark.parametrize("flow", FLOWS)
async def test_keys_that_can_do_nothing_say_why(flow: str) -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES)
        for keys, words in FLOWS[flow]:
            forget_said(app)
            await press(pilot, *keys.split())
            await told(pilot, words, seconds=3)


async def test_where_there_are_no_tasks_enter_says_so() -> None:
    app = make_app(FakeEngine(tasks=()))
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "enter")
        await told(pilot, "There is no task here to choose.")
        await press(pilot, "slash")
        await told(pilot, "The list is empty: there is nothing to filter.")


async def test_while_the_tasks_are_read_managing_them_says_so() -> None:
    engine = FakeEngine()
    gate = engine.hold("list_tasks")
    app = make_app(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        try:
            await until(pilot, lambda: app.views_made)
            await pilot.press("2")
            await pilot.press("m")
            await told(pilot, "The tasks are still being read.")
        finally:
            gate.set()
