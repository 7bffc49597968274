"""Pictures as pixels by Kitty's protocol: what is sent, once, and what stands on the screen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factories import make_pixels, make_values
from pixel_terminal import PixelTerminal
from rich.console import Console
from rich.segment import Segment
from textual.strip import Strip

from xaimed_tui.render.kitty import Kitty, KittyImage, KittyPicture, image_of, kitty_image
from xaimed_tui.render.picture import Rendered, render
from xaimed_tui.render.pixel_screen import PixelScreen
from xaimed_tui.render.spec import PictureSpec
from xaimed_tui.render.tiles import LARGEST, PLACEHOLDER, tile_of, tile_rows
from xaimed_tui.terminal.query import Pixels

TOP = ((2, 1), (2, 2), (1, 1))
KITTY = Pixels("kitty", (20, 10))


def make_spec(style: str = "image", **kwargs: object) -> PictureSpec:
    pixels = make_pixels(50, 50).astype(np.uint8)
    return PictureSpec(pixels, values=make_values(TOP), style=style, **kwargs)  # type: ignore[arg-type]


def shown(*pictures: Rendered, screen: PixelScreen | None = None) -> PixelTerminal:
    """A terminal on which pictures were painted one after another, at its upper left corner."""
    terminal = PixelTerminal(120, 40)
    screen = screen or PixelScreen(Kitty())
    for picture in pictures:
        terminal.feed(screen.written([(y, 0, strip) for y, strip in enumerate(picture.strips)], Console()))
    return terminal


def test_the_image_is_sent_at_its_own_resolution_to_be_scaled_by_the_terminal() -> None:
    spec = make_spec()
    terminal = shown(render(spec, 40, 20, pixels=KITTY))
    assert [np.array_equal(pixels, spec.pixels) for pixels in terminal.pictures.values()] == [True]
    assert [*terminal.placements.values()] == [(40, 20)]


def test_every_character_names_the_picture_its_size_its_row_and_its_column() -> None:
    terminal = shown(render(make_spec(), 40, 20, pixels=KITTY))
    ((number, placement),) = terminal.placements
    for y in range(20):
        for x in range(40):
            assert terminal.tile(y, x) == (number, placement, y, x)


def test_the_same_picture_in_another_size_is_placed_and_not_sent() -> None:
    terminal = shown(*(render(make_spec(), *size, pixels=KITTY) for size in ((40, 20), (30, 15), (40, 20))))
    assert len(terminal.pictures) == 1  # the terminal itself fails where one is sent or placed twice
    assert sorted(terminal.placements.values()) == [(30, 15), (40, 20)]


def test_of_a_magnified_picture_the_part_that_is_seen_is_written() -> None:
    terminal = shown(render(make_spec(), 40, 20, pixels=KITTY), render(make_spec(zoom=3), 40, 20, pixels=KITTY))
    assert len(terminal.pictures) == 1
    assert sorted(terminal.placements.values()) == [(40, 20), (120, 60)]
    corner = terminal.tile(0, 0)
    assert corner is not None
    assert corner[2:] == (20, 40)  # the middle third of rows and columns


@pytest.mark.parametrize(("cell", "size"), [((20, 10), (40, 20)), ((24, 10), (40, 17)), ((15, 10), (30, 20))])
def test_the_picture_keeps_its_proportions_in_characters_of_any_shape(
    cell: tuple[int, int], size: tuple[int, int]
) -> None:
    """The terminal would leave a border around it otherwise, and marks would stand beside their cells."""
    placement = render(make_spec(), 40, 20, pixels=Pixels("kitty", cell)).placement
    assert (placement.columns, placement.rows) == size


def test_marks_are_text_in_place_of_the_picture() -> None:
    drawn = render(make_spec("overlay", top=TOP), 48, 24, pixels=KITTY)
    line = "".join("." if tile_of(segment.text) else segment.text for segment in drawn.strips[16])
    assert line[16:32] == "┏ 1 ━━━━━━━━━━━┓"
    assert len(line) == 48


def test_whatever_is_marked_the_picture_is_the_same() -> None:
    assert kitty_image(make_spec("overlay")) is kitty_image(make_spec("overlay", top=TOP, highlight=(0, 0), zoom=2))
    assert kitty_image(make_spec("overlay")) is not kitty_image(make_spec("overlay", opacity=0.3))


def test_counts_have_the_grid_lines_that_they_have_as_half_blocks() -> None:
    counts = np.zeros((3, 3), dtype=np.int64)
    flat = PictureSpec(np.full((60, 60, 3), 200, dtype=np.uint8), style="agreement", counts=counts, opacity=0.0)
    terminal = shown(render(flat, 40, 20, pixels=KITTY))
    (pixels,) = terminal.pictures.values()
    assert np.unique(np.flatnonzero((pixels != pixels[0, 0]).all(axis=2).all(axis=1))).tolist() == [20, 40]


@pytest.mark.parametrize(
    ("change", "size"),
    [({"zoom": 8}, (40, 20)), ({}, (2 * LARGEST + 10, LARGEST + 5))],
)
def test_where_there_is_more_than_can_be_counted_half_blocks_are_drawn(
    change: dict[str, int], size: tuple[int, int]
) -> None:
    drawn = render(replace(make_spec(), **change), *size, pixels=KITTY)  # type: ignore[arg-type]
    assert drawn.picture is None
    assert PLACEHOLDER not in drawn.text


def test_without_colour_there_are_no_pixels() -> None:
    assert render(make_spec(), 40, 20, depth="none", pixels=KITTY).picture is None


def test_of_what_is_not_on_the_screen_the_oldest_is_forgotten() -> None:
    screen, terminal = PixelScreen(Kitty()), PixelTerminal(120, 40)
    images = [image_of(np.full((2, 2, 3), tone, dtype=np.uint8)) for tone in range(80)]
    kept = [KittyPicture(image, 1, 1) for image in images]
    for index, picture in enumerate(kept):  # the first stays on the screen, the others take each other's place
        (segments,) = tile_rows(picture, 1, 1)
        terminal.feed(screen.written([(min(index, 1), 0, Strip(segments, 1))], Console()))
    assert images[0].number in terminal.pictures
    assert images[1].number not in terminal.pictures
    assert len(terminal.pictures) == 64
    terminal.letters = [[" "] * 120 for _ in range(40)]
    assert screen.protocol is not None
    terminal.feed(screen.protocol.forget_all())
    assert not terminal.pictures


def test_what_goes_on_from_a_character_that_is_written_over_is_told_where_it_is() -> None:
    screen, terminal, drawn = PixelScreen(Kitty()), PixelTerminal(120, 40), render(make_spec(), 40, 20, pixels=KITTY)
    terminal.feed(screen.written([(y, 0, strip) for y, strip in enumerate(drawn.strips)], Console()))
    terminal.feed(screen.written([(3, 10, Strip([Segment("words")], 5))], Console()))
    ((number, placement),) = terminal.placements
    assert [terminal.tile(3, x) for x in (9, 12, 15, 16)] == [
        (number, placement, 3, 9),
        None,
        (number, placement, 3, 15),
        (number, placement, 3, 16),
    ]
    assert len(terminal.received[1]) < 100


def test_tiles_of_a_picture_that_is_gone_are_blank() -> None:
    (segments,) = tile_rows(KittyPicture(KittyImage(5, ""), 2, 1), 2, 1)
    terminal = PixelTerminal(120, 40)
    terminal.feed(PixelScreen(Kitty()).written([(0, 0, Strip(segments, 2))], Console()))
    assert terminal.letters[0][:3] == [" ", " ", "x"]
