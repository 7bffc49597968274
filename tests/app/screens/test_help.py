"""The help tells keys that are there, all keys that are there, and those of what has the focus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from all_screens import SCREENS, here, one_place
from app_driver import TO_IMAGES, make_app, press, screen_text
from textual.binding import Binding

from xaimed_tui.screens.compare.screen import SideBySideScreen
from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.explain.view import ExplainView
from xaimed_tui.screens.explain.zoom import ZoomScreen
from xaimed_tui.screens.help import _GENERAL, _KEYS, HelpScreen, key_named, live_keys, live_rows
from xaimed_tui.screens.home import HomeView
from xaimed_tui.screens.library.selection import SelectionView
from xaimed_tui.widgets.key_table import KeyTable

if TYPE_CHECKING:
    from textual.screen import Screen

    from xaimed_tui.app import XAIMedApp

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
SILENT = {"question_mark", "shift+tab", "pageup", "pagedown", "space", "q", "equals_sign"}
"""Keys that the help need not tell: the help itself, and second names of keys that it tells."""


def told(table: tuple[tuple[str, str], ...]) -> set[str]:
    """The keys that a table of the help names."""
    names = {name for keys, _ in table for name in keys.split() if name != "or"}
    return {key_named(name) for name in names}


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


TYPED_INTO = {"Form", "DescribeDialog", "SaveDialog", "FolderDialog", "Palette"}
"""Screens whose focus is on a line that takes a question mark for text; their last line says all their keys."""


def blocks(app: XAIMedApp) -> dict[str, str]:
    """The parts of the help's keys by their headings."""
    words = str(app.screen.query_one("#help-keys").render())
    return {part.split("\n")[0]: part.partition("\n")[2] for part in words.split("\n\n")}


@pytest.mark.parametrize(
    "name", [name for name, shot in SCREENS.items() if shot.screen not in {*TYPED_INTO, "HelpScreen"}]
)
async def test_every_screen_has_help_that_tells_no_key_that_does_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shot = SCREENS[name]
    with one_place(monkeypatch, tmp_path / "place") as place:
        app = shot.app(place)
        async with app.run_test(size=(120, 40)) as pilot:
            await shot.walk(pilot)
            live = live_keys(app.screen)
            focused = app.screen.focused
            await press(pilot, "question_mark")
            assert isinstance(app.screen, HelpScreen)
            told_now = blocks(app)
            assert "Ctrl+Q" in told_now["Everywhere"]
            assert ("Home, Task" in told_now["Everywhere"]) == ("1" in live)
            own = [kind for kind in type(focused).__mro__ if kind.__module__.startswith("xaimed_tui")]
            if any(kind.__dict__.get("BINDINGS") for kind in own):  # the first block is that of what has the focus
                assert next(iter(told_now)) == next(kind.HELP for kind in own if "HELP" in kind.__dict__)
            for row in told_now["This screen"].splitlines():
                if name in ("explain-answer", "explain-maps", "detail", "zoom", "side-by-side", "selection", "home"):
                    assert {key_named(sign) for sign in row[:12].split()} - {"or"} <= live, row
            await press(pilot, "escape")
            assert here(app) == shot.screen


async def test_keys_that_can_do_nothing_yet_are_not_told() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "3", "question_mark")
        before = blocks(app)["This screen"]
        assert "choose another folder" in before
        for words in ("explain with all", "closely", "overlay", "side by side", "save", "class to explain", "stop all"):
            assert words not in before
        await press(pilot, "escape", *TO_IMAGES, "question_mark")
        answered = blocks(app)["This screen"]
        assert "explain with all" in answered
        assert "class to explain" in answered
        assert "overlay" not in answered
        await press(pilot, "escape", "g", "question_mark")
        assert "overlay" in blocks(app)["This screen"]


def test_of_several_keys_those_that_do_something_are_told() -> None:
    rows = [("s x", "stop"), ("↑ ↓ or j k", "move"), ("n", "numbers")]
    assert live_rows(rows, {"s", "up", "down", "j", "k"}) == [("s", "stop"), ("↑ ↓ or j k", "move")]
    assert live_rows(rows, {"j", "k", "n"}) == [("j k", "move"), ("n", "numbers")]


async def test_where_one_types_a_question_mark_is_text_and_the_last_line_tells_the_keys() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "g", "w", "question_mark")
        assert app.screen.query_one("#save-folder").value.endswith("?")
        assert "Enter save" in screen_text(app)


async def test_the_help_begins_with_the_keys_of_what_has_the_focus() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "g", "enter")
        app.screen.query_one("#image-frame").focus()
        await press(pilot, "question_mark")
        text = screen_text(app)
        assert "cell above" in text
        assert "cell to the right" in text
        assert "h            previous method" in text
        assert "the other methods" not in text  # the arrows are the picture's now
        await press(pilot, "escape")
        app.screen.query_one("#statistics").focus()
        await press(pilot, "question_mark")
        assert "cell above" not in screen_text(app)
        assert "next cell" in screen_text(app)


async def test_the_line_of_keys_names_no_key_that_the_picture_with_the_focus_takes() -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "g", "enter")
        assert "← Previous → Next method" in screen_text(app).splitlines()[-1]
        app.screen.query_one("#image-frame").focus()
        await press(pilot)
        assert "Previous" not in screen_text(app).splitlines()[-1]


@pytest.mark.parametrize("width", [30, 60, 61, 200])
def test_the_words_about_a_key_stand_below_each_other(width: int) -> None:
    about = "load the model and go on; first show its code, if it is not approved"
    table = KeyTable([("Keys", [("Enter", about), ("← ↓ ↑ → or h j k l", about)]), ("None", [])])
    heading, *lines = table.words(width).plain.splitlines()
    assert heading == "Keys"
    assert all(len(line) <= max(width, 31) for line in lines)
    assert all(line[:13] == "Enter        " or not line[:13].strip() for line in lines if line[0] != "←")
    assert " ".join(" ".join(line.split()) for line in lines) == f"Enter {about} ← ↓ ↑ → or h j k l {about}"
