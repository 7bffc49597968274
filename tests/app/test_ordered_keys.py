"""Keys that arrive together, as over a slow line, have the effects they have one by one."""

from __future__ import annotations

import asyncio

import pytest
from app_driver import TO_IMAGES, make_app, press, settled, until
from fakes import FakeEngine
from textual import events
from textual.pilot import Pilot
from textual.widgets import ContentSwitcher, Input

from xaimed_tui.preferences.look import DISPLAYS
from xaimed_tui.screens.explain.folder_dialog import FolderDialog
from xaimed_tui.screens.explain.view import ExplainView
from xaimed_tui.terminal.ordered_keys import MOST_KEYS, MOST_TEXT, KeyDone, OrderedKeys
from xaimed_tui.themes import theme_after


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


async def test_keys_go_on_when_one_is_never_done_with_and_so_many_wait_that_the_next_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual, lost = OrderedKeys.on_key_done, []

    def lose_the_second(self: OrderedKeys, message: KeyDone) -> None:
        if message.number == 2 and not lost:
            lost.append(message)  # as if the widget had been removed
        else:
            usual(self, message)

    monkeypatch.setattr("xaimed_tui.terminal.ordered_keys.PATIENCE", 0.1)
    monkeypatch.setattr(OrderedKeys, "on_key_done", lose_the_second)
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        at_once(pilot, *(["up", "down"] * MOST_KEYS))
        await until(pilot, lambda: bool(lost))
        await until(pilot, lambda: not app._next_keys)
        await press(pilot, "2")
        assert app.screen.query_one(ContentSwitcher).current == "selection"


def counted(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> list[int]:
    """One entry for every call of a method."""
    calls: list[int] = []
    usual = getattr(kind, name)

    def noted(self: object) -> None:
        calls.append(1)
        usual(self)

    monkeypatch.setattr(kind, name, noted)
    return calls


async def test_repeats_of_a_key_that_only_draws_all_count_and_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        draws = counted(monkeypatch, ExplainView, "look_changed")
        displays = {app.look.display}
        for _ in range(2):
            await press(pilot, "o")
            displays.add(app.look.display)
        assert len(displays) == 3
        draws.clear()
        before = app.look.display
        at_once(pilot, *["o"] * 61)
        await settled(pilot)
        assert len(draws) <= 3, "the first may come alone"
        shown = app.explain.wall.card("lime").view.picture
        assert shown is not None
        await press(pilot, "o", "o")
        assert app.look.display == before, "63 are 21 times around"
        assert shown.style != before


async def test_repeats_at_the_end_of_a_scale_are_drawn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        at_once(pilot, *["right_square_bracket"] * 40)
        await settled(pilot)
        picture = app.explain.wall.card("lime").view.picture
        assert picture is not None
        assert picture.opacity == app.look.opacity == 1.0


async def test_another_key_between_repeats_has_its_effect_in_its_place() -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        colours, display, displays = app.look.colormap, app.look.display, list(DISPLAYS)
        at_once(pilot, "o", "o", "m", *["down"] * 3)
        await settled(pilot)
        assert app.look.colormap != colours
        assert app.look.display == displays[(displays.index(display) + 2) % len(displays)]
        assert app.explain.images.current is not None
        assert app.explain.images.current.label == "patch-05.png", "three rows down, the unusable one being last"


async def test_ctrl_t_repeated_ends_at_the_theme_that_single_presses_reach() -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        expected = app.theme
        for _ in range(7):
            expected = theme_after(expected)
        at_once(pilot, *["ctrl+t"] * 7)
        await settled(pilot)
        assert app.theme == expected


async def test_more_keys_than_anyone_presses_are_left_out_and_held_keys_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = make_app()
    left_out: list[int] = []
    monkeypatch.setattr(app, "keys_left_out", left_out.append)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "f")
        at_once(pilot, "ctrl+u", *"ab" * 40, *["c"] * 200)
        await settled(pilot)
        assert isinstance(app.screen, FolderDialog)
        assert app.screen.query_one(Input).value == "ab" * 40 + "c" * 200
        assert left_out == []
        at_once(pilot, "ctrl+u", *"ab" * 500)
        await settled(pilot)
        await until(pilot, lambda: bool(left_out))
        value = app.screen.query_one(Input).value
        assert left_out == [1000 - len(value)]
        assert MOST_TEXT - 2 < len(value) < MOST_TEXT + 10
        left_out.clear()
        at_once(pilot, *["left", "right"] * 200)
        await settled(pilot)
        await until(pilot, lambda: bool(left_out))
        assert 350 < left_out[0] < 400
