"""Keys that arrive together, as over a slow line, have the effects they have one by one."""

from __future__ import annotations

import asyncio

import pytest
from app_driver import TO_IMAGES, make_app, press, settled, until
from fakes import FakeEngine
from textual import events
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher, Input

from xaimed_tui.screens.explain.folder_dialog import FolderDialog


def at_once(pilot: Pilot[int], *keys: str) -> None:
    """All keys in one go."""
    for key in keys:
        name = {"/": "slash", "?": "question_mark"}.get(key, key)
        character = key if len(key) == 1 else None
        pilot.app._driver.send_message(events.Key(name, character))


async def test_what_is_typed_right_after_the_line_was_emptied_stays() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "f")
        assert isinstance(app.screen, FolderDialog)
        at_once(pilot, "ctrl+u", *"/tmp/somewhere")
        await settled(pilot)
        assert app.screen.query_one(Input).value == "/tmp/somewhere"


@pytest.mark.parametrize("view", ["images", "models"])
async def test_letters_right_after_the_slash_filter_and_are_no_keys(view: str) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *(TO_IMAGES if view == "images" else ("2", "enter")))
        at_once(pilot, "/", *"prelm3?")
        await settled(pilot)
        line = app.focused
        assert isinstance(line, Input)
        assert line.value == "prelm3?"
        assert len(app.screen_stack) == 1, "no m, no ?"
        assert "explain" not in [call[0] for call in engine.calls]
        at_once(pilot, "escape", "1")
        await settled(pilot)
        assert app.screen.query_one(ContentSwitcher).current == "home"


async def test_keys_go_on_when_the_one_that_had_the_focus_is_gone() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "f")
        at_once(pilot, "escape", "1", "2", "down", "1")
        await settled(pilot)
        await until(pilot, lambda: app.screen.query_one(ContentSwitcher).current == "home")


async def test_a_key_that_is_never_done_with_does_not_stop_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xaimed_tui.terminal.ordered_keys.PATIENCE", 0.1)
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        app._under_way = True  # as if its message were lost
        at_once(pilot, "2")
        await asyncio.sleep(0.2)
        await until(pilot, lambda: app.screen.query_one(ContentSwitcher).current == "selection")
