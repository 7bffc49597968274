"""The line of keys at the bottom: on every screen at 80x24 each key is there whole or not at all, and help is there."""

from __future__ import annotations

import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text, settled, until
from fakes import FakeEngine

from xaimed_tui.app import XAIMedApp
from xaimed_tui.screens.help import HelpScreen
from xaimed_tui.widgets.key_line import HELP, KeyLine


def keys_shown(app: XAIMedApp) -> list[str]:
    """The labels in the line; each must stand whole in the last row of the screen."""
    labels = [f"{key.label} {key.description}" for key in app.screen.query_one(KeyLine).shown]
    assert " ".join(labels) == screen_text(app).splitlines()[-1].strip()
    return labels


async def test_a_click_on_a_key_presses_it_and_one_between_two_keys_presses_none() -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        line, last = app.screen.query_one(KeyLine), screen_text(app).splitlines()[-1]
        assert line.shown[-1].key == HELP
        await pilot.click(KeyLine, offset=(last.index("? Help") - 1, 0))
        await settled(pilot)
        assert not isinstance(app.screen, HelpScreen)
        await pilot.click(KeyLine, offset=(last.index("? Help") + 3, 0))
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


async def test_the_key_under_the_mouse_is_marked() -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        plain = styles_of_last_line(app)
        column = screen_text(app).splitlines()[-1].index("? Help")
        await pilot.hover(KeyLine, offset=(column, 0))
        await until(pilot, lambda: styles_of_last_line(app) != plain)
        await pilot.hover(KeyLine, offset=(79, 0))
        await until(pilot, lambda: styles_of_last_line(app) == plain)


def styles_of_last_line(app: XAIMedApp) -> list[str]:
    """The styles of the line's pieces, as painted."""
    return [str(segment.style) for segment in app.screen.query_one(KeyLine).render_line(0)]


@pytest.mark.parametrize(
    ("keys", "needed"),
    [
        ((), ["d Open the demo", "? Help"]),
        (("2",), ["⏎ Choose", "? Help"]),
        (TO_IMAGES, ["e Explain", "f Folder", "z Zoom", "t Class", "? Help"]),
        ((*TO_IMAGES, "e"), ["⏎ Detail", "w Save", "o View", "n Numbers", "? Help"]),
        ((*TO_IMAGES, "e", "enter"), ["esc Back", "c Copy", "? Help"]),
        ((*TO_IMAGES, "e", "z"), ["Esc Back", "+ Larger", "? Help"]),
    ],
)
async def test_no_key_is_cut_at_80_columns(keys: tuple[str, ...], needed: list[str]) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, *keys)
        await settled(pilot)
        assert set(needed) <= set(keys_shown(app))


async def test_while_methods_run_stopping_them_comes_first() -> None:
    engine = FakeEngine()
    engine.hold("rise")
    app = make_app(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, *TO_IMAGES)
        await pilot.press("r")
        await until(pilot, lambda: app.explain.wall.busy)
        await until(pilot, lambda: "s Stop all" in keys_shown(app))
        assert "? Help" in keys_shown(app)
        await pilot.press("s")


async def test_a_wider_terminal_shows_more_keys() -> None:
    app = make_app()
    async with app.run_test(size=(50, 24)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        few = keys_shown(app)
        await pilot.resize_terminal(160, 40)
        await settled(pilot)
        many = keys_shown(app)
        assert few[-1] == many[-1] == "? Help"
        assert few[:-1] == many[: len(few) - 1]
        assert len(many) > len(few)
        await pilot.resize_terminal(50, 24)
        await settled(pilot)
        assert keys_shown(app) == few
