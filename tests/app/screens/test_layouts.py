"""A key that changes words and colours repaints them; the screen is laid out again only where a size changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text, settled, until
from fakes import FakeEngine
from textual._compositor import Compositor

from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.explain.file_rows import FileRows
from xaimed_tui.widgets.row_list import Row, RowList
from xaimed_tui.widgets.words import FixedWords, Words


@pytest.fixture
def layouts(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often a screen was laid out so far."""
    reflow, count = Compositor.reflow, 0

    def counted(*arguments: object) -> object:
        nonlocal count
        count += 1
        return reflow(*arguments)

    monkeypatch.setattr(Compositor, "reflow", counted)
    return lambda: count


@pytest.mark.parametrize("keys", [("right",), ("left",), ("right", "right", "left")])
async def test_from_picture_to_picture_nothing_is_laid_out(keys: tuple[str, ...], layouts: Callable[[], int]) -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        before, words = layouts(), screen_text(app)
        await press(pilot, *keys)
        assert screen_text(app) != words
        assert layouts() == before


async def test_the_next_image_is_read_and_predicted_without_a_layout(layouts: Callable[[], int]) -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "down", "up")
        before = layouts()
        await press(pilot, "down")
        assert app.explain.scene.diagnosis is not None
        assert layouts() == before


async def test_moving_through_the_cells_of_a_detail_lays_nothing_out(layouts: Callable[[], int]) -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "enter")
        await until(pilot, lambda: isinstance(app.screen, DetailScreen))
        await press(pilot, "down")
        before, words = layouts(), screen_text(app)
        await press(pilot, "down")
        assert screen_text(app) != words
        assert layouts() == before


async def test_a_long_list_that_grows_moves_its_slider_only(tmp_path: Path, layouts: Callable[[], int]) -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES)
        rows = app.explain.images
        rows.set_rows(FileRows(tmp_path, [f"{number:05}.png" for number in range(500)], {}))
        await settled(pilot)
        before = layouts()
        rows.set_rows(FileRows(tmp_path, [f"{number:05}.png" for number in range(5000)], {}))
        await press(pilot, "G")
        assert "04999.png" in screen_text(app)
        assert rows.vertical_scrollbar.window_virtual_size == 5000
        assert layouts() == before
        rows.set_rows([Row(1, "alone")])
        await settled(pilot)
        assert not rows.show_vertical_scrollbar
        assert rows.scroll_y == 0
        assert "alone" in screen_text(app)


async def test_a_long_list_that_becomes_shorter_shows_its_end() -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES)
        rows: RowList = app.explain.images
        rows.set_rows([Row(number, f"row {number}") for number in range(1000)])
        await press(pilot, "G")
        rows.set_rows([Row(number, f"row {number}") for number in range(100)])
        await settled(pilot)
        assert rows.scroll_y == rows.max_scroll_y
        assert "row 99" in screen_text(app)


async def test_words_that_grow_are_laid_out_and_the_same_ones_are_not_said_twice(
    layouts: Callable[[], int],
) -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        growing, fixed = Words(), FixedWords()
        await app.screen.mount(growing, fixed)
        await settled(pilot)
        growing.say("one\ntwo\nthree")
        await settled(pilot)
        assert growing.size.height == 3
        before = layouts()
        growing.say("one\ntwo\nthree")
        fixed.say("other")
        await settled(pilot)
        assert layouts() == before
