"""The help tells keys that are there, all keys that are there, and those of what has the focus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text
from textual.binding import Binding

from xaimed_tui.screens.detail import DetailScreen
from xaimed_tui.screens.explain import ExplainView
from xaimed_tui.screens.help import _GENERAL, _KEYS
from xaimed_tui.screens.home import HomeView
from xaimed_tui.screens.selection import SelectionView
from xaimed_tui.screens.side_by_side import SideBySideScreen
from xaimed_tui.screens.zoom import ZoomScreen

if TYPE_CHECKING:
    from textual.screen import Screen

WAYS = {
    "home": (),
    "selection": ("2",),
    "explain": TO_IMAGES,
    "detail": (*TO_IMAGES, "g", "enter"),
    "side-by-side": (*TO_IMAGES, "g", "b", "enter"),
    "zoom": (*TO_IMAGES, "g", "z"),
}
VIEWS = {
    "home": HomeView,
    "selection": SelectionView,
    "explain": ExplainView,
    "detail": DetailScreen,
    "side-by-side": SideBySideScreen,
    "zoom": ZoomScreen,
}
SIGNS = {
    **{"↑": "up", "↓": "down", "←": "left", "→": "right", "Enter": "enter", "Esc": "escape", "Tab": "tab"},
    **{"/": "slash", "[": "left_square_bracket", "]": "right_square_bracket", "+": "plus", "-": "minus"},
}
SILENT = {"question_mark", "shift+tab", "pageup", "pagedown", "space", "q", "equals_sign"}
"""Keys that the help need not tell: the help itself, and second names of keys that it tells."""


def told(table: tuple[tuple[str, str], ...]) -> set[str]:
    """The keys that a table of the help names."""
    names = {name for keys, _ in table for name in keys.split() if name != "or"}
    return {SIGNS.get(name, name.lower() if name.startswith("Ctrl") else name) for name in names}


def bound(screen: Screen[object]) -> set[str]:
    return {key for _, bindings in screen._binding_chain for key in bindings.key_to_bindings}


@pytest.mark.parametrize("view", WAYS)
async def test_every_key_that_the_help_names_does_something_there_and_none_is_left_out(view: str) -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *WAYS[view])
        named, there = told(_KEYS[view]), bound(app.screen)
        assert named <= there, f"the help names keys that do nothing: {named - there}"
        own = {binding.key for binding in Binding.make_bindings(VIEWS[view].BINDINGS)}
        plug_ins = {key for key in own if key.isdigit() and key > "4"}
        left_out = own - named - told(_GENERAL) - SILENT - plug_ins - {"h", "l"}
        assert not left_out, f"keys that the help does not name: {left_out}"
        await press(pilot, "question_mark")
        words = " ".join(screen_text(app).split())
        for _, what in _KEYS[view][:3]:
            assert " ".join(what.split()[:5]) in words


async def test_the_help_begins_with_the_keys_of_what_has_the_focus() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "g", "enter")
        app.screen.query_one("#image-frame").focus()
        await press(pilot, "question_mark")
        text = screen_text(app)
        assert "cell above" in text
        assert "cell to the right" in text
        await press(pilot, "escape")
        app.screen.query_one("#statistics").focus()
        await press(pilot, "question_mark")
        assert "cell above" not in screen_text(app)
        assert "next cell" in screen_text(app)
