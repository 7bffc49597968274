"""One picture fills the screen: magnifying, moving, and how pictures are shown on every image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text, settled
from factories import make_pixels, make_values
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.events import MouseDown, MouseMove, MouseScrollUp, MouseUp

from engine.drawing.colormaps import COLORMAPS
from engine.drawing.scaling import scale_pixels
from xaimed_tui.preferences.look import Look
from xaimed_tui.preferences.settings import load_settings
from xaimed_tui.render.picture import compose, render
from xaimed_tui.render.placement import place
from xaimed_tui.render.spec import PictureSpec
from xaimed_tui.screens.explain.zoom import ZoomScreen

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from xaimed_tui.screens.explain.pannable_view import PannableView

TOP = ((2, 1), (2, 2), (1, 1))


def make_spec(style: str = "overlay", **kwargs: object) -> PictureSpec:
    pixels = make_pixels(48, 48).astype(np.uint8)
    return PictureSpec(pixels, values=make_values(TOP), style=style, top=TOP, **kwargs)  # type: ignore[arg-type]


def on_border(sample: int, pixels: int, samples: int) -> bool:
    """Whether a sample's middle lies exactly between two pixels."""
    return (2 * sample + 1) * pixels % (2 * samples) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 90), st.integers(1, 90), st.data())
def test_a_part_of_a_scaled_picture_is_what_the_whole_has_there(
    height: int, width: int, rows: int, columns: int, data: st.DataObject
) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    part = (top, left, data.draw(st.integers(top + 1, rows)), data.draw(st.integers(left + 1, columns)))
    whole = scale_pixels(pixels, rows, columns)[part[0] : part[2], part[1] : part[3]].astype(int)
    made = scale_pixels(pixels, rows, columns, part).astype(int)
    assert made.shape == whole.shape
    if rows <= height and columns <= width:
        assert np.array_equal(made, whole)
    elif rows >= 4 * height and columns >= 4 * width:  # a sample on the border of two pixels may fall to either
        for y, x in np.argwhere((made != whole).any(axis=2)):
            assert on_border(top + int(y), height, rows) or on_border(left + int(x), width, columns)
    else:  # averages of at least 4 x 4 samples, of which those on the border of two pixels may fall to either
        assert np.abs(made - whole).max() <= 2 * 255 / 4
        assert np.abs(made - whole).mean() <= 255 / 16


@given(
    *(st.integers(1, 300) for _ in range(4)),
    st.integers(1, 32),
    st.tuples(st.floats(-1, 2), st.floats(-1, 2)),
)
def test_a_magnified_picture_fills_its_box_as_far_as_it_can_and_shows_nothing_beyond_its_edges(
    height: int, width: int, columns: int, rows: int, zoom: int, centre: tuple[float, float]
) -> None:
    fits, large = place(height, width, columns, rows), place(height, width, columns, rows, zoom=zoom, centre=centre)
    assert large.columns == min(columns, fits.columns * zoom)
    assert large.rows == min(rows, fits.rows * zoom)
    assert 0 <= large.offset[0] <= large.whole_columns - large.columns
    assert 0 <= large.offset[1] <= large.whole_rows - large.rows


def test_a_magnified_picture_is_the_part_around_its_middle_in_the_tones_of_the_whole() -> None:
    spec = make_spec(zoom=3, centre=(0.75, 0.25))
    placement = place(48, 48, 48, 24, zoom=3, centre=(0.75, 0.25))
    assert (placement.offset, placement.whole) == ((84, 6), (144, 72))
    small = compose(make_spec(), place(48, 48, 48, 24))
    large = np.repeat(np.repeat(small, 3, axis=0), 3, axis=1)
    assert np.abs(compose(spec, placement).astype(int) - large[12:60, 84:132]).max() <= 2


def test_cells_of_a_magnified_picture_keep_their_ranks_in_sight() -> None:
    drawn = render(make_spec(zoom=4, centre=(0.5, 0.9)), 48, 24)
    lines = drawn.text.split("\n")
    assert lines[0][:8].strip("▄ ") == "1"  # the cell fills all that is seen: no outline but its rank
    assert not set(drawn.text) & set("┏┛")
    assert drawn.placement.cell_at(20, 10) == (2, 1)
    across = render(make_spec(zoom=2, centre=(2 / 3, 0.9)), 48, 24)
    assert {"1", "2"} <= set(across.text)  # the border between two of them lies in the middle
    assert (across.placement.cell_at(20, 20), across.placement.cell_at(28, 20)) == ((2, 1), (2, 2))


def test_a_zoom_below_one_is_refused_and_each_zoom_and_place_is_a_picture_of_its_own() -> None:
    with pytest.raises(ValueError, match="zoom"):
        make_spec(zoom=0)
    specs = [make_spec(), make_spec(zoom=2), make_spec(zoom=2, centre=(0.25, 0.5))]
    assert len({spec.key for spec in specs}) == 3


def test_opacity_goes_up_and_down_by_steps_and_stops_at_its_ends() -> None:
    look = Look()
    for _ in range(10):
        look.step_opacity(1)
    assert look.opacity == 1.0
    for _ in range(10):
        look.step_opacity(-1)
    assert look.opacity == 0.0
    look.opacity = 0.6  # as a person may have set it
    look.step_opacity(1)
    assert look.opacity == 0.7


async def open_zoom(pilot: Pilot[int], *keys: str) -> PannableView:
    await press(pilot, *TO_IMAGES, "right", "e", "z", *keys)
    assert isinstance(pilot.app.screen, ZoomScreen)
    return pilot.app.screen.view


async def test_z_lets_the_picture_fill_the_screen_and_plus_and_the_arrows_move_over_it() -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        view = await open_zoom(pilot)
        assert "LIME" in screen_text(app)
        assert view.rendered is not None
        assert view.rendered.placement.rows == 27  # all but the title, the key to the colours and the footer
        await press(pilot, "plus", "plus")
        assert "3x" in screen_text(app)
        assert view.rendered.placement.columns == 100
        middle = view.rendered.placement.offset
        await press(pilot, "right", "down", "l", "j")
        assert view.rendered.placement.offset == (min(middle[0] + 50, 162 - 100), middle[1] + 12)
        await press(pilot, *["left"] * 9, *["k"] * 12)
        assert view.rendered.placement.offset == (0, 0)
        await press(pilot, "right")
        assert view.rendered.placement.offset == (25, 0)  # the steps beyond the edge need not be taken back
        await press(pilot, "0")
        assert view.rendered.placement.whole is None
        await press(pilot, "minus")
        assert view.zoom == 1
        await press(pilot, "tab")
        assert "RISE" in screen_text(app)
        await press(pilot, "escape")
        assert app.explain.wall.active == "rise"


async def test_the_mouse_drags_the_picture_and_its_wheel_magnifies_around_the_pointer() -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        view = await open_zoom(pilot)

        async def mouse(kind: type, x: int, y: int, dx: int = 0, dy: int = 0) -> None:
            pilot.app.screen.post_message(kind(view, x, y, dx, dy, 1, False, False, False, screen_x=x, screen_y=y))
            await pilot.pause()

        before = place_under(view, 45, 12)
        await mouse(MouseScrollUp, 45, 13)
        await mouse(MouseScrollUp, 45, 13)
        await settled(pilot)
        assert view.zoom == 3
        assert place_under(view, 45, 12) == pytest.approx(before, abs=0.02)
        offset = view.rendered.placement.offset  # type: ignore[union-attr]
        await mouse(MouseDown, 50, 15)
        await mouse(MouseMove, 53, 14, 3, -1)
        await mouse(MouseUp, 53, 14)
        await settled(pilot)
        assert view.rendered.placement.offset == (offset[0] - 3, offset[1] + 1)  # type: ignore[union-attr]
        await mouse(MouseMove, 60, 14, 7, 0)
        await settled(pilot)
        assert view.rendered.placement.offset == (offset[0] - 3, offset[1] + 1)  # type: ignore[union-attr]


def place_under(view: PannableView, x: int, y: int) -> tuple[float, float]:
    """Where in the picture, from 0 to 1, a character lies."""
    place = view.rendered.placement  # type: ignore[union-attr]
    return (
        (x - place.left + place.offset[0] + 0.5) / place.whole_columns,
        (y - place.top + place.offset[1] + 0.5) / place.whole_rows,
    )


async def test_how_pictures_are_shown_stays_from_screen_to_screen_and_from_image_to_image() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        view = await open_zoom(pilot, "m", "m", "right_square_bracket")
        assert view.picture is not None
        assert (view.picture.colormap, view.picture.opacity) == ("magma", 0.7)
        await press(pilot, "z")
        card = app.explain.wall.card("lime").view
        assert card.picture is not None
        assert (card.picture.colormap, card.picture.style) == ("magma", "overlay")
        await press(pilot, "enter", "left_square_bracket", "o")
        assert app.screen.check_action("opacity", (1,)) is False  # a map alone covers everything anyway
        shown = app.screen.query_one("#map").picture  # type: ignore[attr-defined]
        assert (shown.colormap, shown.style, shown.opacity) == ("magma", "map", 0.55)
        await press(pilot, "escape", "escape", "down", "e")
        again = app.explain.wall.card("lime").view.picture
        assert again is not None
        assert (again.colormap, again.style, again.opacity) == ("magma", "map", 0.55)


async def test_a_map_that_becomes_sharper_does_so_on_the_whole_screen_too() -> None:
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        view = await open_zoom(pilot, "plus")
        assert view.picture is not None
        sharper = replace(app.explain.wall.card("lime").view.picture, values=make_values(((0, 0), (0, 1), (0, 2))))  # type: ignore[type-var]
        app.explain.wall.card("lime").view.picture = sharper
        await pilot.pause(0.4)
        await settled(pilot)
        assert view.picture.values is sharper.values
        assert view.picture.zoom == 2


async def test_colours_and_opacity_of_the_settings_are_those_that_pictures_begin_with() -> None:
    for name in COLORMAPS:
        settings = load_settings({"colormap": name, "opacity": 30})[0]
        app = make_app(settings=settings)
        async with app.run_test(size=(100, 30)) as pilot:
            await press(pilot)
            assert app.explain.look == Look(colormap=name, opacity=0.3)
    refused, problems = load_settings({})
    assert (refused.colormap, problems) == (None, ())
