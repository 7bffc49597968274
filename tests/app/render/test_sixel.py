"""Pictures as pixels by Sixel: encoded in few bytes, marked, and sent only where they are to be seen."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from factories import make_pixels, make_values
from hypothesis import given, settings
from hypothesis import strategies as st
from pixel_terminal import PixelTerminal, decoded_sixel
from rich.console import Console

from engine.drawing.colours import count_colours
from engine.results.cells import CELLS
from xaimed_tui.render.marks import Mark
from xaimed_tui.render.picture import Rendered, render
from xaimed_tui.render.pixel_marks import draw_marks
from xaimed_tui.render.pixel_screen import PixelScreen
from xaimed_tui.render.sixel import SixelPicture, percent, sixel
from xaimed_tui.render.sixel_terminal import SixelTerminal, rectangles
from xaimed_tui.render.spec import PictureSpec
from xaimed_tui.terminal.query import Pixels

TOP = ((2, 1), (2, 2), (1, 1))
SIXEL = Pixels("sixel", (20, 10))


def make_spec(style: str = "image", side: int = 50, **kwargs: object) -> PictureSpec:
    pixels = make_pixels(side, side).astype(np.uint8)
    return PictureSpec(pixels, values=make_values(TOP), style=style, **kwargs)  # type: ignore[arg-type]


def pixels_of(drawn: Rendered) -> np.ndarray:
    """All of a picture as a terminal draws it."""
    assert isinstance(drawn.picture, SixelPicture)
    return body(drawn.picture.sequence(drawn.picture.whole))


def body(sequence: str) -> np.ndarray:
    match = re.fullmatch(r"\x1bP([0-9;]*q[^\x1b]*)\x1b\\", sequence)
    assert match is not None
    return decoded_sixel(match[1])


def make_screen(rows: int = 40, most: int = 0, cell: tuple[int, int] = (20, 10)) -> tuple[PixelScreen, list[str]]:
    """A screen on a terminal that knows Sixel, and how often it wanted to be painted anew."""
    wishes: list[str] = []
    protocol = SixelTerminal(lambda: rows - 1, lambda: cell, lambda: wishes.append("repaint"), most=most)
    return PixelScreen(protocol), wishes


def paint(screen: PixelScreen, drawn: Rendered, *, rows: range | None = None) -> str:
    strips = drawn.strips
    return screen.written([(y, 0, strips[y]) for y in rows or range(len(strips))], Console())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 256), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_what_is_encoded_is_what_is_decoded(height: int, width: int, colours: int, seed: int, larger: int) -> None:
    random = np.random.default_rng(seed)
    indices = random.integers(0, colours, (height, width)).astype(np.uint8)
    indices = indices.repeat(larger, axis=0).repeat(larger, axis=1)
    palette = random.integers(0, 101, (colours, 3)).astype(np.uint8)
    expected = np.rint(palette[indices].astype(int) * 255 / 100)
    assert np.array_equal(body(sixel(indices, palette)), expected)


def test_a_pixel_costs_once_a_band_however_large_it_is() -> None:
    random = np.random.default_rng(1)
    small = random.integers(0, 16, (10, 10)).astype(np.uint8)
    palette = percent(random.integers(0, 256, (16, 3)).astype(np.uint8))
    large = len(sixel(small.repeat(6, axis=0).repeat(20, axis=1), palette))
    assert large < 10 * 10 * 8 + 16 * 16 + 30


@given(st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8))))
def test_rectangles_hold_exactly_what_they_are_to_hold(places: set[tuple[int, int]]) -> None:
    held = [
        (row, column)
        for top, left, bottom, right in rectangles(places)
        for row in range(top, bottom)
        for column in range(left, right)
    ]
    assert sorted(held) == sorted(places)


def test_a_whole_picture_and_one_with_a_hole_take_few_rectangles() -> None:
    whole = {(row, column) for row in range(20) for column in range(40)}
    hole = {(row, column) for row in range(5, 10) for column in range(10, 20)}
    assert rectangles(whole) == [(0, 0, 20, 40)]
    assert len(rectangles(whole - hole)) == 4


def test_an_image_is_enlarged_in_squares_of_its_own_colours() -> None:
    spec = PictureSpec(np.array([[[0], [255]], [[51], [204]]], dtype=np.uint8))
    pixels = pixels_of(render(spec, 4, 2, pixels=SIXEL))
    assert pixels.shape == (40, 40, 3)
    assert np.array_equal(pixels[:, :, 0], np.array([[0, 255], [51, 204]]).repeat(20, axis=0).repeat(20, axis=1))


def test_a_picture_has_no_more_colours_than_the_terminal_has() -> None:
    for style in ("image", "overlay", "agreement"):
        spec = make_spec(style, counts=np.arange(9).reshape(3, 3) % 5)
        drawn = render(spec, 40, 20, pixels=replace(SIXEL, colours=64))
        assert isinstance(drawn.picture, SixelPicture)
        assert len(set(re.findall(r"#(\d+)", drawn.picture.sequence(drawn.picture.whole)))) <= 64


def test_a_picture_of_few_colours_keeps_each_of_them() -> None:
    values = np.linspace(0, 1, 48 * 48, dtype=np.float32).reshape(48, 48)
    spec = replace(make_spec("map"), values=values)
    seen = {tuple(one) for one in pixels_of(render(spec, 40, 20, pixels=SIXEL)).reshape(-1, 3)}
    assert len(seen) > 150
    assert (69, 0, 84) in seen  # (68, 1, 84), the darkest of the colormap, in whole percent


def test_large_images_are_drawn_in_coarser_points_for_fewer_bytes() -> None:
    random = np.random.default_rng(2).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    drawn = render(PictureSpec(random), 100, 50, pixels=SIXEL)
    assert isinstance(drawn.picture, SixelPicture)
    assert len(drawn.picture.sequence(drawn.picture.whole)) < 450_000


def test_cells_are_marked_by_solid_and_dashed_outlines_in_their_places() -> None:
    spec = PictureSpec(np.full((48, 48, 3), 100, dtype=np.uint8), style="cells", top=TOP, ties=((1, 1),))
    drawn = render(spec, 48, 24, pixels=SIXEL)
    pixels = pixels_of(drawn)
    ground = (pixels == pixels[0, 0]).all(axis=2)
    for cell in CELLS:
        top, left, bottom, right = (
            side * size for side, size in zip(drawn.placement.box(cell), (20, 10, 20, 10), strict=True)
        )
        assert ground[top:bottom, left:right].all() == (cell not in TOP)
        if cell in TOP:
            across = (pixels[bottom - 10, left + 10 : right - 10] == 255).all(axis=1)
            assert across.all() == (cell != (1, 1))
            assert across.mean() > 0.3


def test_ranks_and_counts_are_letters_on_plates() -> None:
    counts = np.array([[1, 0, 0], [0, 2, 0], [2, 4, 3]])
    drawn = render(make_spec("agreement", counts=counts, ties=((0, 0),)), 48, 24, pixels=SIXEL)
    pixels = pixels_of(drawn)
    plates = np.rint(percent(np.array(count_colours(4, "viridis"), dtype=np.uint8)) * 2.55)
    for cell in CELLS:
        top, left, bottom, right = drawn.placement.box(cell)
        row, column = (top + bottom) // 2 - 1, (left + right) // 2
        part = pixels[row * 20 - 20 : row * 20 + 40, column * 10 - 20 : column * 10 + 20].reshape(-1, 3)
        on_plate = (np.abs(part - plates[counts[cell]]) <= 1).all(axis=1)
        assert on_plate.mean() > 0.6
        assert set(map(tuple, part[~on_plate].tolist())) <= {(0, 0, 0), (255, 255, 255)}


@pytest.mark.parametrize("cell", [(10, 5), (12, 6), (15, 8), (20, 10), (32, 16)])
def test_digits_are_whole_in_characters_of_any_size(cell: tuple[int, int]) -> None:
    def shape(digit: str) -> np.ndarray:
        room = np.zeros(cell, dtype=np.uint8)
        return draw_marks(room, {(0, 0): Mark(digit, "badge")}, cell) == 0

    assert len({shape(digit).tobytes() for digit in "0123456789?"}) == 11
    zero = shape("0")
    assert np.array_equal(zero[:, zero.any(axis=0)], zero[:, zero.any(axis=0)][:, ::-1])  # as wide at its right as left


def test_what_is_covered_and_seen_again_is_sent_again_alone() -> None:
    screen, _ = make_screen()
    terminal, drawn = PixelTerminal(120, 40), render(make_spec(), 40, 20, pixels=SIXEL)
    terminal.feed(paint(screen, drawn))
    assert np.array_equal(terminal.seen(range(20), range(40)), pixels_of(drawn))
    terminal.feed(screen.written([(5, 10, drawn.strips[0].blank(8))], Console()))
    assert (terminal.seen([5], range(10, 18)) == -1).all()
    again = paint(screen, drawn)
    terminal.feed(again)
    assert np.array_equal(terminal.seen(range(20), range(40)), pixels_of(drawn))
    assert re.findall(r'"1;1;(\d+);(\d+)', again) == [("80", "20")]


def test_a_picture_that_differs_in_many_places_is_sent_as_one() -> None:
    screen, _ = make_screen()
    pixels = np.full((40, 40, 3), 60, dtype=np.uint8)
    spotted = pixels.copy()
    spotted[::5, ::5] = 200
    paint(screen, render(PictureSpec(pixels), 40, 20, pixels=SIXEL))
    assert paint(screen, render(PictureSpec(spotted), 40, 20, pixels=SIXEL)).count("\x1bP") == 1


def test_the_last_row_of_the_screen_stays_empty_as_terminals_would_scroll() -> None:
    screen, _ = make_screen(rows=20)
    terminal = PixelTerminal(120, 20)
    terminal.feed(paint(screen, render(make_spec(), 40, 20, pixels=SIXEL)))
    assert (terminal.seen(range(19), range(40)) >= 0).all()
    assert (terminal.seen([19], range(40)) == -1).all()


def test_a_picture_drawn_for_characters_of_another_size_is_not_shown() -> None:
    screen, _ = make_screen(cell=(16, 8))
    terminal = PixelTerminal(120, 40, (16, 8))
    terminal.feed(paint(screen, render(make_spec(), 40, 20, pixels=SIXEL)))
    assert terminal.sixels == 0
    assert (terminal.seen(range(20), range(40)) == -1).all()


def test_when_xterm_would_forget_pictures_all_is_scrolled_off_and_painted_anew() -> None:
    screen, wishes = make_screen(most=16)
    drawn = [render(make_spec(opacity=0.1 * index, style="overlay"), 40, 20, pixels=SIXEL) for index in range(10)]
    for index in range(16):
        assert "\x1bP" in paint(screen, drawn[index % 10])
    assert wishes == []
    paint(screen, drawn[9])
    assert wishes == ["repaint"]
    screen.forget()
    assert paint(screen, drawn[0]).startswith("\x1b[40S")
    assert wishes == ["repaint"]


def test_where_more_is_shown_at_once_than_xterm_keeps_it_is_not_painted_anew_for_ever() -> None:
    screen, wishes = make_screen(rows=80, most=2)
    drawn = [render(make_spec(opacity=0.1 * index, style="overlay"), 40, 20, pixels=SIXEL) for index in range(3)]

    def paint_all() -> None:
        pieces = [(20 * index + y, 0, strip) for index, one in enumerate(drawn) for y, strip in enumerate(one.strips)]
        screen.written(pieces, Console())

    paint_all()
    assert wishes == ["repaint"]
    screen.forget()
    paint_all()
    assert wishes == ["repaint"], "again would be no other"
    assert "\x1bP" in paint(screen, drawn[1])
    assert len(wishes) == 2, "another picture has come since"


def test_without_the_size_of_a_character_there_is_no_sixel() -> None:
    with pytest.raises(ValueError, match="size of a character"):
        render(make_spec(), 40, 20, pixels=Pixels("sixel"))
