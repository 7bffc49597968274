"""The app's first moments: keys pressed before there is anything but Home, and garbage that waits for a pause."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
from app_driver import make_app, settled
from fakes import FakeEngine
from textual.widgets import ContentSwitcher

from xaimed_tui.app import XAIMedApp
from xaimed_tui.background import garbage
from xaimed_tui.background.garbage import Garbage


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The views are not made before this is set."""
    event = threading.Event()
    usual = XAIMedApp._import_views

    def later(app: XAIMedApp) -> None:
        event.wait(20)
        usual(app)

    monkeypatch.setattr(XAIMedApp, "_import_views", later)
    yield event
    event.set()


def shown(app: XAIMedApp) -> str | None:
    return app.screen_stack[0].query_one(ContentSwitcher).current


@pytest.mark.parametrize(("key", "view"), [("2", "selection"), ("3", "explain"), ("1", "home")])
async def test_a_key_pressed_before_its_view_is_made_has_its_effect_then(
    key: str, view: str, go: threading.Event
) -> None:
    app = make_app(FakeEngine())
    async with app.run_test() as pilot:
        await pilot.press(key)
        assert shown(app) == "home"
        go.set()
        await settled(pilot)
        assert shown(app) == view


async def test_the_demo_asked_for_at_once_opens_when_it_can(go: threading.Event) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test() as pilot:
        await pilot.press("d")
        go.set()
        await settled(pilot)
        assert ("load", "Small CNN") in engine.calls
        assert shown(app) == "explain"


@pytest.fixture
def usual_collecting() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.enable()


@pytest.mark.usefixtures("usual_collecting")
def test_garbage_waits_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = [100.0], []
    monkeypatch.setattr(garbage.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(garbage.gc, "get_count", lambda: (0, 0, 50))
    monkeypatch.setattr(garbage.gc, "collect", lambda: looks.append(now[0]))
    one = Garbage()
    assert not gc.isenabled()
    now[0] = 200.0
    one.tidy()
    assert looks == [], "the libraries are still being imported"
    one.settle()
    assert gc.isenabled()
    one.touched()
    now[0] = 201.0
    one.tidy()
    assert looks == [], "somebody is pressing keys"
    now[0] = 203.0
    one.tidy()
    assert looks == [203.0]


async def test_a_key_or_the_mouse_ends_a_pause() -> None:
    touched = []

    class Told(Garbage):
        def __init__(self) -> None:
            pass

        def settle(self) -> None:
            pass

        def touched(self) -> None:
            touched.append(1)

        def tidy(self) -> None:
            pass

    app = make_app(FakeEngine(), garbage=Told())
    async with app.run_test() as pilot:
        await settled(pilot)
        before = len(touched)
        await pilot.press("2")
        assert len(touched) > before
        before = len(touched)
        await pilot.hover("#task-pane")
        assert len(touched) > before
