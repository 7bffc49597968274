"""The command palette and its matching; and that no key is used that a terminal keeps for itself."""

from __future__ import annotations

import importlib
import pkgutil
import time
from pathlib import Path

import pytest
from app_driver import make_app, press, screen_text, settled
from fakes import FakeEngine, demo_tasks, make_entry, make_task
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.binding import Binding
from textual.command import CommandPalette
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import OptionList

import xaimed_tui
from xaimed_tui.app import XAIMedApp
from xaimed_tui.fuzzy import fuzzy
from xaimed_tui.preferences.remembered import Remembered, StateFile
from xaimed_tui.screens.help import HelpScreen
from xaimed_tui.themes import theme_after
from xaimed_tui.widgets.closing_once import ClosesOnce

BIG = (120, 40)


def ranked(query: str, *texts: str) -> list[str]:
    found = [(fuzzy(query, text)[0], text) for text in texts]
    return [text for score, text in sorted(found, reverse=True) if score > 0]


def test_what_stands_together_beats_what_is_scattered_and_what_lacks_a_letter_is_out() -> None:
    assert ranked("his", "HIS Breast Cancer", "the is", "Light or dark", "Which is") == [
        "HIS Breast Cancer",
        "the is",
        "Which is",
    ]


def test_the_name_at_the_end_of_a_path_counts_more_than_its_folders() -> None:
    assert fuzzy("pat", "/patients/2024/pat.png")[1] == (15, 16, 17)
    assert fuzzy("p24p", "/patients/2024/pat.png")[0] > 0


def test_an_empty_query_matches_everything_and_a_strange_text_nothing() -> None:
    assert fuzzy(" ", "anything") == (1.0, ())
    assert fuzzy("x", "") == (0.0, ())


@given(st.text(max_size=12), st.text(max_size=60))
def test_the_places_found_are_in_the_text_and_in_order(query: str, text: str) -> None:
    score, places = fuzzy(query, text)
    assert list(places) == sorted(set(places))
    assert all(0 <= place < len(text) for place in places)
    assert score > 0 or not places


def test_matching_takes_no_longer_for_letters_that_repeat() -> None:
    begin = time.perf_counter()
    fuzzy("a" * 40 + "b", "a" * 4000)
    assert time.perf_counter() - begin < 0.5  # trying all placements would take years


async def found(
    query: str, *, memory: StateFile | None = None, engine: FakeEngine | None = None
) -> tuple[XAIMedApp, str]:
    """The app after choosing the first command that matches, and what the palette showed."""
    app = make_app(engine or FakeEngine(), memory=memory)
    async with app.run_test(size=BIG) as pilot:
        await settled(pilot)
        await press(pilot, "ctrl+p")
        for letter in query:
            await pilot.press("space" if letter == " " else letter)
        await pilot.pause(0.4)
        await settled(pilot)
        shown = screen_text(app)
        await press(pilot, "enter")
        await pilot.pause(0.2)
        await settled(pilot)
        return app, shown


async def test_a_model_is_loaded_from_the_palette() -> None:
    engine = FakeEngine()
    await found("small cnn", engine=engine)
    assert ("load", "Small CNN") in engine.calls


async def test_a_folder_and_an_image_of_late_are_opened_from_the_palette() -> None:
    memory = StateFile()
    memory.now = Remembered().at(Path("/scans/august"), Path("/scans/august/patch-03.png"))
    memory.now = memory.now.at(Path("/scans/may"), Path("/scans/may/patch-05.png"))
    engine = FakeEngine()
    app, _ = await found("may/patch-05", memory=memory, engine=engine)
    assert ("list_images", "/scans/may") in engine.calls
    assert app.memory.now.image == "/scans/may/patch-05.png"
    app, _ = await found("folder august", memory=memory, engine=engine)
    assert ("list_images", "/scans/august") in engine.calls


async def test_a_theme_is_chosen_from_the_palette() -> None:
    app, _ = await found("theme: nord")
    assert app.theme == "nord"


async def test_names_with_markup_are_shown_as_they_are_and_a_broken_model_says_why() -> None:
    name = "[red]tumour[/] [/x"
    odd = make_task(name, [make_entry(name, "No [bold", reason="[/] is missing")])
    _, shown = await found("no [bo", engine=FakeEngine(tasks=(*demo_tasks(), odd)))
    assert f"Model: {name} / No [bold" in shown
    assert "[/] is missing" in shown


def test_no_key_is_used_that_tmux_or_terminals_keep_for_themselves() -> None:
    for module in pkgutil.walk_packages(xaimed_tui.__path__, "xaimed_tui."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kept = {
        "ctrl+b",
        "ctrl+enter",
        "ctrl+j",
        "ctrl+m",
        "ctrl+i",
        "ctrl+h",
        "ctrl+a",
        "ctrl+left_square_bracket",
    }
    used: dict[str, str] = {}
    classes = [DOMNode]
    while classes:
        classes += (one := classes.pop()).__subclasses__()
        if one.__module__.startswith("xaimed_tui"):
            for binding in one.__dict__.get("BINDINGS", ()):
                keys = binding.key if isinstance(binding, Binding) else binding[0]
                used.update({key.strip(): one.__name__ for key in keys.split(",")})
    assert len(used) > 20
    assert not kept & used.keys()
    assert used["ctrl+z"] == "XAIMedApp", "it suspends, as in every program"


@pytest.mark.parametrize(("keys", "offered"), [(("2",), True), (("2", "right"), True)])
async def test_choose_is_offered_where_there_is_something_to_choose(keys: tuple[str, ...], offered: bool) -> None:
    for tasks, wanted in ((demo_tasks(), offered), ((), False)):
        app = make_app(FakeEngine(tasks=tasks))
        async with app.run_test(size=BIG) as pilot:
            await press(pilot, *keys)
            assert app.selection.check_action("choose", ()) is wanted
            assert ("Choose" in screen_text(app).splitlines()[-1]) is wanted
            assert ("/ Filter" in screen_text(app).splitlines()[-1]) is wanted


@pytest.mark.parametrize(
    "keys", [("pageup",), ("pagedown",), ("pageup", "pagedown", "up", "down", "pageup"), ("ctrl+end", "pageup")]
)
async def test_keys_before_the_palette_is_laid_out_do_no_harm(keys: tuple[str, ...]) -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=BIG) as pilot:
        await settled(pilot)
        for key in ("ctrl+p", *keys):
            app._driver.send_message(events.Key(key, None))  # type: ignore[union-attr]
        await pilot.pause(0.5)
        assert isinstance(app.screen, CommandPalette)
        await press(pilot, "escape")
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize("query", ["", "next theme"])
async def test_enter_twice_in_one_read_runs_a_command_once(query: str) -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "2", "ctrl+p")
        for letter in query:
            await pilot.press("space" if letter == " " else letter)
        await pilot.pause(0.4)
        await settled(pilot)
        before = app.theme
        for _ in range(3):
            app._driver.send_message(events.Key("enter", "\r"))  # type: ignore[union-attr]
        await pilot.pause(0.3)
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert app.theme == (theme_after(before) if query else before)


async def test_a_click_on_a_row_that_is_gone_chooses_nothing() -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "ctrl+p")
        await pilot.pause(0.4)
        rows = app.screen.query_one(OptionList)
        last = rows.option_count - 1
        assert last > 1
        place = next(y for y in range(rows.region.y, rows.region.bottom) if _row_at(app, rows.region.x + 3, y) == 1)
        rows.set_options(list(rows.options)[:1])
        await pilot.click(offset=(rows.region.x + 3, place))
        await settled(pilot)
        assert isinstance(app.screen, CommandPalette)


def _row_at(app: XAIMedApp, x: int, y: int) -> object:
    return app.screen.get_style_at(x, y).meta.get("option")


def test_all_screens_close_once() -> None:
    for module in pkgutil.walk_packages(xaimed_tui.__path__, "xaimed_tui."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds = [Screen]
    for kind in kinds:
        kinds += [one for one in kind.__subclasses__() if one not in kinds]
    own = [kind for kind in kinds if kind.__module__.startswith("xaimed_tui.")]
    assert len(own) > 10
    assert not [kind.__name__ for kind in own if not issubclass(kind, ClosesOnce)]


async def test_a_dialog_closed_twice_takes_nothing_else_away_and_one_that_is_covered_closes_later() -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "question_mark", "ctrl+l")
        below = app.screen
        assert isinstance(below, HelpScreen)
        app.action_log()
        await settled(pilot)
        below.dismiss(None)
        await settled(pilot)
        assert len(app.screen_stack) == 3, "another screen covers it"
        await press(pilot, "escape")
        assert len(app.screen_stack) == 1, "both are closed"
        below.dismiss(None)
        await settled(pilot)
        assert len(app.screen_stack) == 1


async def test_a_click_beyond_the_screen_does_no_harm() -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=(60, 20)) as pilot:
        await press(pilot, "ctrl+p")
        x, y = 100, 50  # where the screen was before it became smaller
        click = events.Click(app.screen, x, y, 0, 0, 1, False, False, False, screen_x=x, screen_y=y)
        app.screen.post_message(click)
        await settled(pilot)
        assert isinstance(app.screen, CommandPalette)
        await pilot.click(offset=(1, 18))
        await settled(pilot)
        assert len(app.screen_stack) == 1, "a click beside it closes it"
