"""Draw a `PictureSpec` as lines of half blocks, of tiles of pixels, or of glyphs. Works in any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from engine.drawing.colours import RGB, text_on
from xaimed_tui.render.composing import compose, compose_stepped, draw_grid, shows_grid
from xaimed_tui.render.glyphs import glyph_lines
from xaimed_tui.render.halfblocks import FrugalRenderer
from xaimed_tui.render.kitty import KittyPicture, kitty_image
from xaimed_tui.render.marks import Mark, Marks, by_row, letters, marks_of
from xaimed_tui.render.placement import Placement, placement_of
from xaimed_tui.render.plates import plates_of
from xaimed_tui.render.sixel import sixel_picture
from xaimed_tui.render.tiles import LARGEST, TilePicture, tile_rows
from xaimed_tui.terminal.colour_depth import Depth
from xaimed_tui.terminal.query import Pixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from xaimed_tui.render.spec import PictureSpec

_BAND = 0.35
"""Share of the picture's brightness behind an outline: dark enough for a white line on any tissue."""
_LINE = Style(color=Color.from_rgb(255, 255, 255), bold=True)
_POINTER = Style(color=Color.from_rgb(255, 225, 60), bold=True)
_BADGE = Style(color=Color.from_rgb(0, 0, 0), bgcolor=Color.from_rgb(255, 255, 255), bold=True)
_OPEN_BADGE = Style(color=Color.from_rgb(255, 255, 255), bgcolor=Color.from_rgb(0, 0, 0), bold=True)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A drawn picture.

    Attributes:
        lines: one strip of `placement.columns` characters for each of `placement.rows` rows.
        columns, rows: the box it was drawn for, in characters.
        placement: where in that box the lines belong.
        colour: whether the lines have colours of their own.
        picture: the picture whose tiles the lines are; None for text.
    """

    lines: tuple[Strip, ...]
    columns: int
    rows: int
    placement: Placement
    colour: bool
    picture: TilePicture | None = None

    def strip(self, y: int, base: Style | None = None) -> Strip:
        """Return row `y` of the box, exactly `columns` characters wide; `base` is the style beside the picture."""
        row = y - self.placement.top
        if not 0 <= row < len(self.lines):
            return Strip.blank(self.columns, base)
        line = self.lines[row]
        if base is not None and not self.colour:
            line = line.apply_style(base)
        right = self.columns - self.placement.left - self.placement.columns
        return Strip.join([Strip.blank(self.placement.left, base), line, Strip.blank(right, base)])

    @property
    def strips(self) -> tuple[Strip, ...]:
        """All rows of the box."""
        return tuple(self.strip(y) for y in range(self.rows))

    @property
    def text(self) -> str:
        """The characters alone, row by row."""
        return "\n".join(strip.text for strip in self.strips)


def render(
    spec: PictureSpec,
    columns: int,
    rows: int,
    *,
    depth: Depth = "true",
    dark: bool = True,
    pixels: Pixels | None = None,
    stark: bool = False,
) -> Rendered:
    """Draw a picture into a box, centred, with its aspect ratio kept.

    Args:
        spec: what to draw.
        columns, rows: the box in characters, at least 1 x 1.
        depth: the colours there are; without any, glyphs of rising weight are drawn.
        dark: whether the background is dark; decides what a heavy glyph means for an image without colour.
        pixels: how the terminal shows pixels, if that is wanted. Not used without colour, nor if there are more rows or
            columns than `LARGEST`: then half blocks are drawn.
        stark: draw lines and digits on black, whatever lies below: that gives 7:1, which no colour of a map guarantees.
    """
    placement = placement_of(spec, columns, rows, None if depth == "none" else pixels)
    if not placement.has_cells and (text := letters(spec, columns)):
        # One line of letters in the middle stands for the picture.
        placement = Placement(0, (rows - 1) // 2, columns, 1)
        line = Strip([Segment(text[:columns].ljust(columns))], columns)
        return Rendered((line,), columns, rows, placement, colour=False)
    marks = marks_of(spec, placement)
    picture = None
    if depth == "none":
        lines = glyph_lines(spec, placement, marks, dark=dark)
    elif (
        pixels is not None
        and pixels.protocol == "kitty"
        and max(placement.whole_columns, placement.whole_rows) <= LARGEST
    ):
        picture, lines = _kitty(spec, placement, marks, stark=stark)
    elif pixels is not None and pixels.protocol == "sixel" and max(placement.columns, placement.rows) <= LARGEST:
        picture, lines = _sixel(spec, placement, marks, pixels, stark=stark)
    else:
        lines = _half_blocks(spec, placement, marks, depth, stark=stark)
    return Rendered(tuple(lines), columns, rows, placement, colour=depth != "none", picture=picture)


def _half_blocks(spec: PictureSpec, placement: Placement, marks: Marks, depth: Depth, *, stark: bool) -> list[Strip]:
    pixels = compose(spec, placement) if depth == "true" else compose_stepped(spec, placement, depth)
    if shows_grid(spec, placement):
        pixels = draw_grid(pixels, placement)
    plates = plates_of(spec, depth)
    marked = by_row(marks)
    lines = []
    for row, segments in enumerate(_rows(FrugalRenderer().render(Image.fromarray(pixels)))):
        if row in marked:
            characters = _characters(segments)
            for column, mark in marked[row]:
                characters[column] = _marked(mark, pixels[2 * row : 2 * row + 2, column], plates, stark=stark)
            segments = [*Segment.simplify(characters)]
        lines.append(Strip(segments, placement.columns))
    return lines


def _kitty(spec: PictureSpec, placement: Placement, marks: Marks, *, stark: bool) -> tuple[TilePicture, list[Strip]]:
    """Draw the picture at its own resolution, for the terminal to scale, with the marks on it as text."""
    picture = KittyPicture(kitty_image(spec), placement.whole_columns, placement.whole_rows)
    plates = plates_of(spec)
    marked = by_row(marks)
    # Only for the colours behind the marks, for which half blocks are fine enough.
    small = compose(spec, placement) if marks else None
    lines = []
    tiles = tile_rows(picture, placement.columns, placement.rows, placement.offset)
    for row, characters in enumerate(tiles):
        for column, mark in marked.get(row, ()):
            assert small is not None
            characters[column] = _marked(mark, small[2 * row : 2 * row + 2, column], plates, stark=stark)
        lines.append(Strip(characters, placement.columns))
    return picture, lines


def _sixel(
    spec: PictureSpec, placement: Placement, marks: Marks, pixels: Pixels, *, stark: bool
) -> tuple[TilePicture, list[Strip]]:
    """Draw the picture in the terminal's own pixels, marks included."""
    picture = sixel_picture(spec, placement, marks, pixels, stark=stark)
    return picture, [Strip(row, placement.columns) for row in tile_rows(picture, placement.columns, placement.rows)]


def _rows(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Yield rows of segments from a renderer that ends each row with a line feed."""
    row: list[Segment] = []
    for segment in segments:
        if segment.text == "\n":
            yield row
            row = []
        else:
            row.append(segment)


def _characters(segments: list[Segment]) -> list[Segment]:
    return [Segment(character, segment.style) for segment in segments for character in segment.text]


def _marked(mark: Mark, below: NDArray[np.uint8], plates: tuple[RGB, ...], *, stark: bool) -> Segment:
    """Return a mark's character on (2, 3) pixels of the picture; counts lie on a plate with its own colour."""
    if mark.kind == "count" and (mark.character == " " or not stark):
        plate = plates[mark.plate]
        return Segment(mark.character, Style(color=_rich(text_on(plate)), bgcolor=_rich(plate), bold=True))
    if mark.kind == "badge":
        return Segment(mark.character, _BADGE)
    if mark.kind in ("open badge", "count"):
        return Segment(mark.character, _OPEN_BADGE)
    share = 0.0 if stark else _BAND
    red, green, blue = (int(part) for part in below.mean(axis=0))
    band = Style(bgcolor=_rich((int(red * share), int(green * share), int(blue * share))))
    return Segment(mark.character, band + (_POINTER if mark.kind == "pointer" else _LINE))


def _rich(colour: RGB) -> Color:
    return Color.from_rgb(*colour)
