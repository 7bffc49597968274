"""Driving the app in tests: starting it, and waiting until nothing moves any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakes import FakeEngine
from painting import paint_what_changed

from xaimed_tui.app import XAIMedApp
from xaimed_tui.screens.explain.card import Card

if TYPE_CHECKING:
    from textual.app import App
    from textual.pilot import Pilot
    from textual.timer import Timer

TO_IMAGES = ("2", "enter", "enter")
"""Keys from Home to the sample images of the first task's first model."""


def make_app(engine: FakeEngine | None = None, **options: Any) -> XAIMedApp:
    """The app on a fake engine, its clock standing still."""
    return XAIMedApp(engine or FakeEngine(), clock=lambda: 0.0, **options)


async def until(pilot: Pilot[int], what: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait until something holds; fail if it never does."""
    for _ in range(round(seconds / 0.02)):
        if what():
            return
        await pilot.pause(0.02)
    raise AssertionError("it never came to that")


async def settled(pilot: Pilot[int], *, look: bool = True) -> None:
    """Wait until no thread works, no message waits and all is drawn. (A held-back call would wait for ever.)"""
    quiet = 0
    while quiet < 3:
        await asyncio.sleep(0.01)
        quiet = quiet + 1 if at_rest(pilot.app) and not (look and paint_what_changed(pilot.app)) else 0


SOON = 0.15
"""Seconds of the longest delay that is waited for: the app's own are shorter, but for those that nobody sees."""


def at_rest(app: App[int]) -> bool:
    """Whether nothing is under way: each widget waits for a message, nobody works, no delay runs, all is drawn."""
    if app._exit or app._exception is not None:
        return True
    if any(not worker.is_finished and worker.name != "_loader" for worker in app.workers):  # a tree's waits for ever
        return False
    screen = app.screen
    if screen._layout_required or screen._scroll_required or screen._repaint_required or screen._recompose_required:
        return False
    if screen._dirty_widgets or screen._callbacks or app._animator._animations or app._animator._scheduled:
        return False
    return all(
        pump._message_queue.empty()
        and pump._message_queue.ready_event._waiters  # it waits for the next message
        and not any(one._repeat == 0 and one._interval <= SOON and _runs(one) for one in pump._timers)
        for pump in (app, *app._registry)
    )


def _runs(timer: Timer) -> bool:
    return timer._task is not None and not timer._task.done() and timer._active.is_set()


async def press(pilot: Pilot[int], *keys: str, look: bool = True) -> None:
    """Press keys one after another, each when the one before has had its effect; look when the last has had its own."""
    await settled(pilot, look=look and not keys)
    for number, key in enumerate(keys, start=1):
        await pilot.press(key)
        await settled(pilot, look=look and number == len(keys))


async def press_until_held(pilot: Pilot[int], key: str, engine: FakeEngine, what: str) -> None:
    """Press a key, and wait until the call that is held back is reached."""
    await pilot.press(key)
    await until(pilot, engine.waiting[what].is_set)


@dataclass(frozen=True, slots=True)
class Held:
    """The app while a method waits until its gate is set."""

    app: XAIMedApp
    pilot: Pilot[int]
    engine: FakeEngine
    gate: threading.Event


@asynccontextmanager
async def held(method: str, *keys: str) -> AsyncIterator[Held]:
    """The app on an image after these keys, the last of which starts a method that is held back."""
    engine = FakeEngine()
    gate = engine.hold(method)
    app = make_app(engine)
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, *keys[:-1])
        await press_until_held(pilot, keys[-1], engine, method)
        yield Held(app, pilot, engine, gate)


def notices(app: XAIMedApp) -> str:
    """What the app has said in passing and not taken back yet, one notice a line."""
    return "\n".join(notice.message for notice in app._notifications)


async def told(pilot: Pilot[int], words: str, *, seconds: float = 10.0) -> None:
    """Wait until the app says words in passing: a notice is a message of its own and may come after what is drawn."""
    app = pilot.app
    assert isinstance(app, XAIMedApp)
    await until(pilot, lambda: words in notices(app), seconds=seconds)


def screen_text(app: XAIMedApp) -> str:
    """Everything that stands on the screen, as lines of text."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text[:width] for strip in strips[:height])


def caption_of(card: Card) -> str:
    """The words below a picture."""
    return str(card.query_one(".caption").render())


def home_of_results(tmp_path: Path) -> Path:
    """A folder to save in."""
    return tmp_path / "results"
