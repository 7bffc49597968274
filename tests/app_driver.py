"""Driving the app in tests: starting it, and waiting until nothing moves any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakes import FakeEngine

from xaimed_tui.app import XAIMedApp
from xaimed_tui.widgets.card import Card

if TYPE_CHECKING:
    from textual.pilot import Pilot

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


async def settled(pilot: Pilot[int]) -> None:
    """Wait until no thread works and nothing is drawn any more. (A held-back call would wait for ever.)"""
    quiet = 0
    while quiet < 4:
        await pilot.pause(0.03)
        quiet = (
            0 if any(worker._thread_worker and not worker.is_finished for worker in pilot.app.workers) else quiet + 1
        )


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Press keys one after another, each when the one before has had its effect."""
    await settled(pilot)
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


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
