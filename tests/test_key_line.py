"""The line of keys at the bottom: on every screen at 80x24 each key is there whole or not at all, and help is there."""

from __future__ import annotations

import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text, settled, until
from fakes import FakeEngine
from textual.widgets._footer import FooterKey

from xaimed_tui.app import XAIMedApp


def keys_shown(app: XAIMedApp) -> list[str]:
    """The labels in the line; each must stand whole in the last row of the screen."""
    shown = [key for key in app.screen.query(FooterKey) if key.region.width]
    assert all(key.region.right <= app.size.width for key in shown)
    last = screen_text(app).splitlines()[-1]
    labels = [f"{key.key_display} {key.description}" for key in shown]
    assert " ".join(labels) == last.strip()
    return labels


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
