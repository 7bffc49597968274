"""After every change of size the selected row is in view, in every list."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_driver import TO_IMAGES, make_app, press, settled, until
from fakes import FakeEngine, make_entry, make_task
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import DataTable

from xaimed_tui.app import XAIMedApp
from xaimed_tui.widgets.row_list import RowList

SIZES = [(160, 50), (80, 24), (120, 40), (60, 14), (100, 30), (80, 24)]


def seen(app: XAIMedApp, rows: Widget, row: int) -> bool:
    """Whether a line of a list stands on the screen."""
    region, clip = app.screen.find_widget(rows).region, app.screen.find_widget(rows).visible_region
    line = Region(region.x, region.y + row - round(rows.scroll_y), 1, 1)
    return clip.overlaps(line) and app.screen.region.overlaps(line)


def place_of(rows: RowList) -> int:
    assert rows.current is not None
    return [row.key for row in rows.shown].index(rows.current.key)


NAMES = tuple(f"scan-{number:02d}.png" for number in range(1, 61))


@pytest.mark.parametrize("steps", [29, 59])
async def test_the_selected_image_stays_in_view(steps: int) -> None:
    app = make_app(FakeEngine(names=NAMES))
    async with app.run_test(size=SIZES[0]) as pilot:
        await press(pilot, *TO_IMAGES)
        rows = app.explain.images
        rows.go_to(Path("/samples") / NAMES[steps])
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await settled(pilot)
            assert rows.current is not None
            assert rows.current.label == NAMES[steps]
            assert seen(app, rows, place_of(rows)), size


async def test_the_selected_image_is_in_view_after_the_size_changed_behind_another_view() -> None:
    app = make_app(FakeEngine(names=NAMES))
    async with app.run_test(size=SIZES[0]) as pilot:
        await press(pilot, *TO_IMAGES)
        app.explain.images.go_to(Path("/samples") / NAMES[29])
        await press(pilot, "1")
        await pilot.resize_terminal(80, 24)
        await press(pilot, "3")
        assert seen(app, app.explain.images, 29)


async def test_the_selected_image_is_in_view_after_filtering_and_after_another_folder(tmp_path: Path) -> None:
    app = make_app(FakeEngine(names=NAMES))
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, *TO_IMAGES, "end", "slash", *"scan-5", "enter", "end")
        rows = app.explain.images
        assert seen(app, rows, place_of(rows))
        await press(pilot, "escape")
        assert seen(app, rows, place_of(rows))
        app.open_folder(tmp_path, tmp_path / NAMES[41])
        await settled(pilot)
        await until(pilot, lambda: rows.current is not None and rows.current.label == NAMES[41])
        await until(pilot, lambda: seen(app, rows, place_of(rows)))


async def test_the_selected_task_and_model_stay_in_view() -> None:
    tasks = [make_task(f"Task {one}", [make_entry(f"Task {one}", f"M{n}") for n in range(40)]) for one in range(30)]
    app = make_app(FakeEngine(tasks=tuple(tasks)))
    async with app.run_test(size=SIZES[0]) as pilot:
        await press(pilot, "2", "end", "enter", "end")
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await settled(pilot)
            for rows in (app.selection.tasks, app.selection.models):
                assert seen(app, rows, place_of(rows)), (size, rows)


@pytest.mark.parametrize("way", [("y",), ("t",), ("b",)])
async def test_the_selected_row_of_a_dialog_stays_in_view(way: tuple[str, ...]) -> None:
    app = make_app(FakeEngine(classes=tuple(f"class {number}" for number in range(40))))
    async with app.run_test(size=SIZES[0]) as pilot:
        await press(pilot, *TO_IMAGES, *way, "end")
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await settled(pilot)
            rows = app.screen.query_one(RowList)
            assert seen(app, rows, place_of(rows)), size


@pytest.mark.parametrize("way", [("enter",), ("right", "enter"), ("b", "enter")])
async def test_the_selected_cell_stays_in_view(way: tuple[str, ...]) -> None:
    app = make_app()
    async with app.run_test(size=SIZES[0]) as pilot:
        await press(pilot, *TO_IMAGES, "e", *way, *["down"] * 8)
        table = app.screen.query_one(DataTable)
        assert table.cursor_row == 8
        for size in [size for size in SIZES if size[1] >= 24]:
            await pilot.resize_terminal(*size)
            await settled(pilot)
            assert seen(app, table, table.cursor_row + table.header_height), size
