"""What is offered does something: keys and commands that would change nothing are neither shown nor told."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_driver import TO_IMAGES, make_app, notices, press, screen_text, settled, told, until
from factories import make_model
from fakes import FakeEngine, demo_tasks, make_entry, make_task
from PIL import Image

from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.palette import of_here
from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.explain.pannable_view import ZOOMS
from xaimed_tui.screens.explain.zoom import ZoomScreen

SMALL = (80, 24)
BIG = (160, 50)


def offers(app: XAIMedApp, key: str) -> bool:
    active = app.screen.active_bindings.get(key)
    return active is not None and active.enabled


async def test_in_the_detail_every_press_of_the_view_key_shows_something_else() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "o", "o", "enter")
        assert app.look.display == "cells"  # which the detail shows beside the map
        words = []
        for _ in range(4):
            words.append(str(app.screen.query_one("#map-frame .name").render()))
            await press(pilot, "o")
        assert words == ["Grad-CAM on the image", "Grad-CAM alone"] * 2


@pytest.mark.parametrize("key", ["left_square_bracket", "right_square_bracket"])
@pytest.mark.parametrize(("way", "screen"), [((), None), (("enter",), DetailScreen), (("z",), ZoomScreen)])
async def test_opacity_is_offered_as_far_as_it_goes(key: str, way: tuple[str, ...], screen: type | None) -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", *way)
        assert screen is None or isinstance(app.screen, screen)
        assert offers(app, key)
        for _ in range(8):
            await pilot.press(key)
        await settled(pilot)
        assert not offers(app, key)
        assert offers(app, "left_square_bracket" if key.startswith("right") else "right_square_bracket")


async def test_in_the_zoom_only_what_changes_the_picture_is_offered() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "z")
        assert not offers(app, "tab")
        assert offers(app, "plus")
        for _ in ZOOMS:
            await pilot.press("plus")
        await settled(pilot)
        assert not offers(app, "plus")
        assert offers(app, "minus")
        await press(pilot, "escape", "g", "z")
        assert offers(app, "tab")


async def test_where_one_picture_has_room_explaining_shows_the_first_map() -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        assert app.explain.wall.active == "lime"
        await press(pilot, "right", "down", "e")  # whoever looks at another one goes on looking at it
        assert app.explain.wall.active == "rise"


async def test_who_has_had_a_cell_pointed_out_is_back_at_the_images() -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        for leaving in ("n", "escape"):
            await press(pilot, *(TO_IMAGES if leaving == "n" else ()), "g", "n", "down", leaving)
            assert app.explain.images.has_focus
        app.explain.wall.focus()
        await press(pilot, "n", "n")
        assert app.explain.wall.has_focus


async def test_an_empty_task_says_how_a_model_is_added() -> None:
    app = make_app(FakeEngine(tasks=(make_task("Lungs", []),)))
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, "2")
        assert "this task has no models; m adds one" in screen_text(app)


async def test_a_model_asked_for_beside_a_folder_that_may_not_run_says_why_it_does_not(tmp_path: Path) -> None:
    make_model(tmp_path / "tasks" / "Lungs" / "CNN")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (48, 48)).save(tmp_path / "images" / "a.png")
    app = XAIMedApp(Engine(tmp_path / "tasks"), task="Lungs", model="CNN", folder=tmp_path / "images")
    async with app.run_test(size=BIG) as pilot:
        await told(pilot, "Lungs/CNN was not loaded: ")
        (notice,) = notices(app).splitlines()
        assert notice.startswith("Lungs/CNN was not loaded: ")
        assert "not approved" in notice
        assert app.explain.display


@pytest.mark.parametrize("name", ["漢字の名前" * 12, "🫁" * 40, "plain", "long " * 40])
async def test_the_line_at_the_top_keeps_the_state_whole_beside_any_name(name: str) -> None:
    app = make_app(FakeEngine(tasks=(*demo_tasks(), make_task("A", [make_entry("A", name)]))))
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, "2")
        app.selection.open_task("A", name)
        await settled(pilot)
        assert screen_text(app).splitlines()[0].endswith("ready on cpu ")


@pytest.mark.parametrize(
    ("way", "words"),
    [(("2",), "#model-scroll"), (("2",), "#facts-scroll"), ((*TO_IMAGES, "r", "enter"), "#facts")],
)
async def test_words_that_have_the_focus_are_scrolled_by_keys_where_a_pane_around_them_has_the_bar(
    way: tuple[str, ...], words: str
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, *way)
        app.screen.query_one(words).focus()
        await press(pilot, "end")
        last = screen_text(app)
        await press(pilot, "home")
        first = screen_text(app)
        assert first != last
        for key, back in (("j", "k"), ("down", "up"), ("pagedown", "pageup")):
            await press(pilot, key)
            assert screen_text(app) != first
            await press(pilot, back)
            assert screen_text(app) == first


async def test_the_folder_is_named_anew_where_the_list_becomes_narrower(tmp_path: Path) -> None:
    folder = tmp_path / "a folder whose name is long" / "scans of may"
    app = make_app(task="IHC Stain (demo)", folder=folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.resize_terminal(*SMALL)
        await settled(pilot)
        assert screen_text(app).splitlines()[1].split("▕")[0].rstrip().endswith("scans of may")


async def test_the_words_about_the_demo_are_left_out_where_they_would_lie_over_it() -> None:
    app = make_app()
    async with app.run_test(size=(40, 12)) as pilot:
        await press(pilot, "d")
        assert not notices(app)


def commands(app: XAIMedApp) -> set[str]:
    return {command.title for command in of_here(app.screen)}


async def test_the_palette_has_the_commands_of_each_screen_that_can_do_something_now() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot)
        assert commands(app) == set()
        await press(pilot, "2")
        assert "Read the task folders again" in commands(app)
        await press(pilot, "enter", "enter")
        assert {"Explain with all methods", "Explain with LIME", "Zoom"} <= commands(app)
        assert not {"Save", "Stop all methods", "Look closely at the picture chosen"} & commands(app)
        await press(pilot, "e")
        assert {"Save", "Explain with LIME", "Let the map cover less of the image"} <= commands(app)
        assert not {"Explain with all methods", "Stop all methods"} & commands(app)
        await press(pilot, "right", "right", "enter")
        assert {"Copy the numbers as CSV", "Overlay, map alone, or cells"} <= commands(app)
        await press(pilot, "escape", "z")
        assert {"Larger", "Next picture"} <= commands(app)
        assert "Smaller" not in commands(app)
        await press(pilot, "escape", "b", "enter")
        assert commands(app) == set()  # nothing is at work that could be stopped


async def test_a_command_of_a_view_is_run_from_the_palette() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "ctrl+p", *"rise")
        await pilot.pause(0.4)
        await press(pilot, "enter")
        await until(pilot, lambda: app.explain.runs["rise"].state == "done")
        await press(pilot, "enter", "ctrl+p", *"ascsv")
        await pilot.pause(0.4)
        await press(pilot, "enter")
        await until(pilot, lambda: "mean" in app.clipboard)


async def test_rows_are_offered_where_there_are_some() -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, *TO_IMAGES, "g")
        app.explain.wall.focus()
        await press(pilot)
        assert not offers(app, "down")
        await press(pilot, "n")
        assert offers(app, "down")
        await press(pilot, "n")
        await pilot.resize_terminal(*BIG)
        await settled(pilot)
        assert offers(app, "down")


async def test_a_card_offers_its_method_once_there_is_an_answer_to_explain() -> None:
    app = make_app(FakeEngine(names=("a.png", "broken.png")))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert "l ▶" in screen_text(app)
        await press(pilot, "end")
        assert "▶" not in screen_text(app)
