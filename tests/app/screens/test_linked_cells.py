"""One cell, pointed out in every picture at once: from the table, by keys on a picture, by the mouse."""

from __future__ import annotations

import pytest
from app_driver import TO_IMAGES, caption_of, make_app, press, settled
from factories import make_map

from engine.results.cells import CELLS
from engine.results.statistics import grid_statistics
from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.detail.statistics_table import StatisticsTable
from xaimed_tui.widgets.captions import cell_caption
from xaimed_tui.widgets.cell_keys import neighbour
from xaimed_tui.widgets.image_view import ImageView


def pointed(app) -> set[object]:
    """What cell the pictures of the detail point out."""
    return {view.picture.highlight for view in app.screen.query(ImageView)}


async def move_mouse_to(pilot, view: ImageView, cell: tuple[int, int]) -> None:
    placement = view.rendered.placement
    top, left, bottom, right = placement.box(cell)
    await pilot.hover(view, offset=(placement.left + (left + right) // 2, placement.top + (top + bottom) // 2))
    await settled(pilot)


async def test_moving_the_mouse_over_a_picture_selects_the_row_and_both_pictures_follow() -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "enter")
        for cell in ((2, 1), (0, 2)):
            await move_mouse_to(pilot, app.screen.query_one("#map", ImageView), cell)
            assert app.screen.query_one(StatisticsTable).cursor_row == CELLS.index(cell)
            assert pointed(app) == {cell}


async def test_arrows_on_a_picture_move_through_its_cells_and_the_table_follows() -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e", "right", "right", "enter")
        app.screen.query_one("#image-frame").focus()
        await press(pilot, "down", "right", "right", "right")
        assert pointed(app) == {(1, 2)}
        assert app.screen.query_one(StatisticsTable).cursor_row == 5
        await press(pilot, "up", "left", "j", "k")
        assert pointed(app) == {(0, 1)}
        assert isinstance(app.screen, DetailScreen)
        assert "LIME" in str(app.screen.query_one("#title").render())  # arrows did not change the method


async def test_one_cell_is_pointed_out_on_all_cards_with_its_numbers() -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e", "n", "down", "down", "right")
        assert {card.view.picture.highlight for card in app.explain.wall} == {(2, 1)}
        statistics = app.explain.explanation.statistics["lime"]
        caption = caption_of(app.explain.wall.card("lime"))
        assert caption.startswith("bottom · 2nd of 9")
        assert f"mean {statistics.mean[2, 1]:.3f} ± " in caption
        assert caption_of(app.explain.wall.card("agreement")) == "bottom: 4 of 4\nLIME, RISE, Grad-CAM, Grad-CAM++"
        await press(pilot, "escape")
        assert {card.view.picture.highlight for card in app.explain.wall} == {None}
        assert "of 84" in caption_of(app.explain.wall.card("lime"))
        assert app.explain.images.has_focus  # Esc took the cell away, and what n had taken is given back


async def test_the_mouse_points_at_cells_of_the_wall_only_while_one_is_pointed_out() -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        view = app.explain.wall.card("rise").view
        await move_mouse_to(pilot, view, (1, 1))
        assert {card.view.picture.highlight for card in app.explain.wall} == {None}
        await press(pilot, "n")
        await move_mouse_to(pilot, view, (2, 2))
        assert {card.view.picture.highlight for card in app.explain.wall} == {(2, 2)}
        await press(pilot, "n")
        assert {card.view.picture.highlight for card in app.explain.wall} == {None}


async def test_the_cell_pointed_out_stays_so_on_the_next_image() -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e", "n", "down")
        app.explain.images.focus()
        await press(pilot, "j", "g")
        assert app.explain.wall.card("gradcam").view.picture.highlight == (1, 0)


def test_an_unsettled_cell_is_said_to_be_not_certain() -> None:
    made = make_map("rise", settled=False)
    statistics = grid_statistics(made)
    assert "?, not certain" in str(cell_caption(made, statistics, statistics.ties[0]))


def test_a_constant_map_has_no_ranks() -> None:
    made = make_map("gradcam", constant=True)
    assert "constant map" in str(cell_caption(made, grid_statistics(made), (0, 0)))


@pytest.mark.parametrize(
    ("cell", "step", "result"),
    [(None, (1, 0), (1, 1)), ((0, 0), (-1, 0), (0, 0)), ((0, 0), (1, 0), (1, 0)), ((2, 2), (0, 1), (2, 2))],
)
def test_moving_stops_at_the_edge_of_the_grid(
    cell: tuple[int, int] | None, step: tuple[int, int], result: tuple[int, int]
) -> None:
    assert neighbour(cell, *step) == result
