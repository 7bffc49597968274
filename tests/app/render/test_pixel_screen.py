"""Pictures as pixels in the app: whatever happens on the screen, each character shows what it should, sent once."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from app_driver import TO_IMAGES, press, settled
from fakes import FakeEngine
from pixel_terminal import PixelTerminal, decoded_sixel
from rich.console import Console
from rich.segment import Segment
from textual._compositor import CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

import xaimed_tui.app
from xaimed_tui.app import XAIMedApp
from xaimed_tui.render.kitty import KittyPicture
from xaimed_tui.render.pixel_screen import PixelScreen
from xaimed_tui.render.sixel import SixelPicture
from xaimed_tui.render.tiles import tile_of
from xaimed_tui.terminal.query import Pixels

if TYPE_CHECKING:
    from textual.pilot import Pilot

SIZE = (120, 40)
CELL = (20, 10)
SIXEL, KITTY = Pixels("sixel", CELL), Pixels("kitty", CELL)


class Watched(XAIMedApp):
    """The app, painting on a terminal that shows pixels."""

    CSS_PATH = Path(xaimed_tui.app.__file__).with_name("app.tcss")

    def __init__(self, pixels: Pixels | None, **options: Any) -> None:
        super().__init__(FakeEngine(), clock=lambda: 0.0, pixels=pixels, **options)
        self.terminal = PixelTerminal(*SIZE, CELL)

    def _display(self, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate) and not self._batch_count:
            self.terminal.feed(self.pixel_screen.update(renderable).render_segments(self.console))
        self.post_display_hook()


def drawn(picture: SixelPicture) -> np.ndarray:
    """All of a picture, as a terminal draws it."""
    return decoded_sixel(picture.sequence(picture.whole).removeprefix("\x1bP").removesuffix("\x1b\\"))


def assert_right(app: Watched) -> dict[Hashable, int]:
    """The terminal shows what the app's screen is made of; the tiles there, counted."""
    seen: dict[Hashable, int] = {}
    terminal = app.terminal
    high, wide = terminal.cell
    pictures: dict[Hashable, np.ndarray] = {}
    for y, strip in enumerate(app.screen._compositor.render_strips()):
        x = 0
        for segment in strip:
            tile = tile_of(segment.text)
            if tile is None:
                there = terminal.seen([y], range(x, x + segment.cell_length)) if segment.cell_length else np.array([-1])
                assert (there == -1).all(), f"a picture is left in row {y}, columns from {x}: {segment.text!r}"
                stands = terminal.letters[y][x : x + segment.cell_length]
                assert not any(isinstance(one, tuple) for one in stands)
                if len(segment.text) == segment.cell_length:
                    assert "".join(map(str, stands)) == segment.text, f"row {y}, column {x}"
                    style = strip.render_ansi(segment.style, app.console._color_system) if segment.style else ""
                    assert set(terminal.styles[y][x : x + segment.cell_length]) <= {style}, f"row {y}, column {x}"
            elif isinstance(tile.picture, KittyPicture):
                number, placement = tile.picture.image.number, tile.picture.placement
                assert terminal.tile(y, x) == (number, placement, tile.row, tile.column)
                assert terminal.placements[number, placement] == (tile.picture.columns, tile.picture.rows)
            elif isinstance(tile.picture, SixelPicture):
                if tile.picture not in pictures:
                    pictures[tile.picture] = drawn(tile.picture)
                rows, columns = (
                    slice(tile.row * high, (tile.row + 1) * high),
                    slice(tile.column * wide, (tile.column + 1) * wide),
                )
                wanted = pictures[tile.picture][rows, columns]
                assert np.array_equal(terminal.seen([y], [x]), wanted), f"another picture in row {y}, column {x}"
            if tile is not None:
                seen[tile.picture] = seen.get(tile.picture, 0) + 1
            x += segment.cell_length
    return seen


async def press_and_look(pilot: Pilot[int], app: Watched, *keys: str) -> dict[Hashable, int]:
    """Press keys one after another, and look at the terminal after each."""
    seen: dict[Hashable, int] = {}
    for key in keys:
        await press(pilot, key)
        seen = assert_right(app)
    return seen


@pytest.mark.parametrize("pixels", [SIXEL, KITTY, None], ids=["sixel", "kitty", "half blocks"])
async def test_the_terminal_shows_what_it_should_whatever_is_opened_covered_moved_and_closed(
    pixels: Pixels | None,
) -> None:
    app = Watched(pixels)
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await press(pilot, *TO_IMAGES)
        assert len(assert_right(app)) == (pixels is not None)
        assert len(await press_and_look(pilot, app, "e")) == (6 if pixels else 0)
        await press_and_look(pilot, app, "n", "right", "n", "o", "m", "down", "up", "question_mark", "escape")
        app.notify("words over the pictures\n" * 16, timeout=1000)
        await settled(pilot)
        covered = assert_right(app)
        app.clear_notifications()
        await settled(pilot)
        assert sum(assert_right(app).values()) > sum(covered.values()) or pixels is None
        await press_and_look(pilot, app, "z", "plus", "right", "tab", "escape", "1", "3")
        for size in ((90, 30), SIZE):
            app.terminal.resize(*size)
            await pilot.resize_terminal(*size)
            await settled(pilot)
            await settled(pilot)
            assert bool(assert_right(app)) == (pixels is not None)


async def test_a_terminal_that_keeps_few_pictures_is_painted_anew_and_shows_what_it_should() -> None:
    app = Watched(Pixels("sixel", (17, 9), most=4))
    app.terminal = PixelTerminal(*SIZE, (17, 9))
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, *TO_IMAGES)
        await press_and_look(pilot, app, "e", "n")
        app.explain.wall.go("original")
        await press_and_look(pilot, app, "z")
        assert len(await press_and_look(pilot, app, "v", "plus", "right")) == 2, "what the network was given, beside it"
    assert any("\x1b[40S" in text for text in app.terminal.received[1:])


async def test_to_magnify_and_to_move_sends_kitty_no_pixels_and_each_size_once() -> None:
    app = Watched(KITTY)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, *TO_IMAGES)
        sent, placed = len(app.terminal.pictures), len(app.terminal.placements)
        await press_and_look(pilot, app, "z", "plus", "plus", "right", "down", "minus", "minus", "escape", "z")
        assert len(app.terminal.pictures) == sent
        assert len(app.terminal.placements) == placed + 3  # as large as the screen, twice and three times as large
        assert len(await press_and_look(pilot, app, "v", "plus", "right")) == 2, "what the network was given, beside it"


async def test_what_is_shown_again_is_not_sent_to_kitty_again_and_at_the_end_it_forgets_all() -> None:
    app = Watched(KITTY)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        made = len(app.terminal.pictures)
        await press(pilot, "n", "right", "n", "question_mark", "escape")
        assert len(app.terminal.pictures) == made
        await press(pilot, "down", "up")  # the terminal itself fails where one is sent twice
        assert app.pixel_screen.protocol is not None
        farewell = app.pixel_screen.protocol.forget_all()
        assert farewell.count("a=d,d=I") == len(app.terminal.pictures)


async def test_pointing_at_a_cell_sends_little_more_than_its_outline_by_sixel() -> None:
    app = Watched(SIXEL)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        whole = sum(map(len, app.terminal.received))
        app.terminal.received.clear()
        await press_and_look(pilot, app, "n")
        assert sum(map(len, app.terminal.received)) < whole / 4


async def test_what_stands_on_the_screen_already_costs_nothing_when_all_of_it_is_painted() -> None:
    for pixels in (SIXEL, KITTY, None):
        app = Watched(pixels)
        async with app.run_test(size=SIZE) as pilot:
            await press(pilot, *TO_IMAGES, "e")
            app.screen.refresh()  # lines of which only a part was painted last are written whole once more
            await settled(pilot)
            app.terminal.received.clear()
            app.screen.refresh()
            await settled(pilot)
            assert "".join(app.terminal.received) == ""
            assert_right(app)


async def test_after_the_terminal_was_another_programs_everything_is_sent_again() -> None:
    for pixels in (SIXEL, KITTY):
        app = Watched(pixels)
        async with app.run_test(size=SIZE) as pilot:
            await press(pilot, *TO_IMAGES)
            app.terminal = PixelTerminal(*SIZE, CELL)
            app.app_resume_signal.publish(app)
            await settled(pilot)
            assert assert_right(app)


async def test_a_command_sends_everything_again_when_something_else_has_written_on_the_screen() -> None:
    for pixels in (SIXEL, KITTY, None):
        app = Watched(pixels)
        async with app.run_test(size=SIZE) as pilot:
            await press(pilot, *TO_IMAGES)
            app.terminal = PixelTerminal(*SIZE, CELL)
            again = [one for one in app.get_system_commands(app.screen) if one.title == "Draw the screen again"]
            again[0].callback()
            await settled(pilot)
            assert bool(assert_right(app)) == (pixels is not None)


def test_nothing_that_was_painted_for_another_size_is_taken_to_stand_there() -> None:
    def sent(width: int, height: int) -> str:
        lines = [[Strip([Segment("words")])] for _ in range(height)]
        update = screen.update(LayoutUpdate(lines, Region(0, 0, width, height)))
        return update.render_segments(Console())

    screen = PixelScreen()
    assert sent(5, 3).count("words") == 3
    assert sent(5, 3) == ""
    assert sent(5, 2).count("words") == 2  # the terminal may have had two rows already: the third was on the second


async def test_when_characters_get_another_size_pictures_are_drawn_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Watched(SIXEL)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, *TO_IMAGES)
        monkeypatch.setattr("xaimed_tui.pixel_app.size_of_a_character", lambda: (24, 12))
        app.terminal = PixelTerminal(100, 33, (24, 12))
        await pilot.resize_terminal(100, 33)
        await settled(pilot)
        await settled(pilot)
        assert assert_right(app)


async def test_without_colour_no_pixels_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = Watched(SIXEL)
    assert app.pixel_screen.protocol is None
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, *TO_IMAGES)
        drawn = app.explain.wall.card("original").view.rendered
        assert drawn is not None
        assert drawn.picture is None
