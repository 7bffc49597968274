"""Every view of the app, with names, descriptions and errors that have done harm elsewhere, drawn at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app_driver import make_app, screen_text, settled
from fakes import FakeEngine, make_entry, make_task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nasty_text import NASTY, acts, texts

from engine.errors import BundleError
from xaimed_tui.app import XAIMedApp
from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.explain.save import SaveDialog
from xaimed_tui.screens.failure import FailureScreen
from xaimed_tui.widgets.dialogs import ChooseDialog

if TYPE_CHECKING:
    from textual.pilot import Pilot

pairs = st.lists(st.sampled_from(NASTY), min_size=2, max_size=2, unique=True)
"""Two parts by which names differ, often in nothing that can be seen."""


def rows(app: XAIMedApp) -> str:
    """What is on the screen, if none of it acts."""
    text = screen_text(app)
    assert acts(text, allowed="\n") == set()
    return text


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Press keys one after another, in an app that has settled."""
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


def told_apart(app: XAIMedApp, list_id: str, count: int) -> None:
    """So many rows of a list stand on the screen as different lines."""
    region = app.screen.query_one(f"#{list_id}").region
    assert region.height >= count
    rows(app)
    strips = app.screen._compositor.render_strips()[region.y : region.y + count]
    # The two characters before a label tell the cursor and what is usable.
    shown = [strip.crop(region.x + 3, region.right).text.rstrip() for strip in strips]
    assert len(set(shown)) == count, shown


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(pairs, texts)
async def test_nothing_acts_in_any_view_and_names_that_differ_look_different(parts: list[str], text: str) -> None:
    one, other = (f"a{part}" for part in parts)
    files = tuple(f"{name}.png".replace("/", "").replace("\0", "") for name in (one, other))
    tasks = tuple(
        make_task(
            task,
            [make_entry(task, f"a{name}".replace("/", ""), description=f"{text} {name}") for name in (one, other)],
            f"{name} {text}",
        )
        for task, name in ((one.replace("/", ""), one), (other.replace("/", ""), other))
    )
    engine = FakeEngine(tasks=tasks, names=files, refused={}, classes=(one, other), warnings=(text, one), flat=True)
    engine.failures = {"rise": BundleError(text, subject=one, remedy=other), "save": ValueError(f"{one}{text}")}
    app = make_app(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        rows(app)
        await press(pilot, "2")
        told_apart(app, "tasks", 2)
        told_apart(app, "models", 2)
        await press(pilot, "enter", "enter")
        told_apart(app, "images-list", 2)
        await press(pilot, "e")
        assert app.explain.runs["rise"].state == "failed"
        rows(app)
        for key, screen in (("t", ChooseDialog), ("enter", DetailScreen), ("w", SaveDialog)):
            await press(pilot, key)
            assert isinstance(app.screen, screen)
            rows(app)
            if screen is ChooseDialog:
                told_apart(app, "choices-list", 3)
            if screen is not SaveDialog:
                await press(pilot, "escape")
        await press(pilot, "enter")
        assert isinstance(app.screen, FailureScreen)
        rows(app)
