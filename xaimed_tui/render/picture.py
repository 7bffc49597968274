"""Draws a `PictureSpec` as lines of half blocks, or of glyphs where there is no colour. Runs in any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from engine.cells import cell_edges
from engine.export.colors import RGB, backdrop, blend, colour_values, count_colours, text_on
from engine.export.scaling import scale_pixels, scale_values
from xaimed_tui.render.depth import count_steps, in_colours, stepped_map, stepped_overlay
from xaimed_tui.render.halfblocks import FrugalRenderer
from xaimed_tui.render.kitty import LARGEST, Sending, placeholder_rows, sending
from xaimed_tui.render.marks import Mark, Marks, letters, marks_of
from xaimed_tui.render.placement import Placement, place
from xaimed_tui.render.terminal_colours import Depth

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from xaimed_tui.render.spec import PictureSpec

_LARGEST_SENT = 1024
"""Pixels a side of the largest picture sent: more than a terminal of usual size shows in a box."""

_RAMP = " .:-=+*#%@"
_SHADES = " ░▒▓█"
_BAND = 0.35
"""How much of the picture stays behind an outline: dark enough for a white line on any tissue."""
_GRID_LINE = 0.55
"""How strong a grid line is."""
_GRID_FROM = (15, 9)
"""Columns and rows from which on a picture has grid lines."""
_NEARLY_BLACK = 45
"""Mean of a picture, 0 to 255, below which grid lines are lighter than it."""
_LINE = Style(color=Color.from_rgb(255, 255, 255), bold=True)
_POINTER = Style(color=Color.from_rgb(255, 225, 60), bold=True)
_BADGE = Style(color=Color.from_rgb(0, 0, 0), bgcolor=Color.from_rgb(255, 255, 255), bold=True)
_OPEN_BADGE = Style(color=Color.from_rgb(255, 255, 255), bgcolor=Color.from_rgb(0, 0, 0), bold=True)
_PLAIN_STYLES = {
    "line": Style(bold=True),
    "open line": Style(),
    "pointer": Style(bold=True),
    "badge": Style(reverse=True, bold=True),
    "open badge": Style(bold=True),
    "count": Style(bold=True),
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A drawn picture.

    Attributes:
        lines: one strip of `placement.columns` characters for each of `placement.rows` rows.
        columns, rows: the box it was drawn for, in characters.
        placement: where in that box the lines belong.
        colour: whether the lines bring their own colours.
        sending: what the terminal must know before the lines mean anything; None for text.
    """

    lines: tuple[Strip, ...]
    columns: int
    rows: int
    placement: Placement
    colour: bool
    sending: Sending | None = None

    def strip(self, y: int, base: Style | None = None) -> Strip:
        """Row `y` of the box, exactly `columns` characters wide; what the picture leaves free has the style `base`."""
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
    pixels: bool = False,
    stark: bool = False,
) -> Rendered:
    """Draw a picture into a box, centred, with its aspect ratio kept.

    Args:
        spec: what to draw.
        columns, rows: the box in characters, at least 1 x 1.
        depth: the colours there are; without any, glyphs of rising weight are drawn instead of half blocks.
        pixels: send the picture itself, by Kitty's protocol; but not a magnified one, nor one in a box too large for
            the protocol, nor in few colours.
        dark: whether the background is dark; decides what a heavy glyph means for an image without colour.
        stark: draw lines and digits on black, whatever lies below: they have 7:1 then, which no colour of a map grants.
    """
    height, width = spec.pixels.shape[:2]
    placement = place(height, width, columns, rows, zoom=spec.zoom, centre=spec.centre)
    if not placement.has_cells and (text := letters(spec, columns)):
        placement = Placement(0, (rows - 1) // 2, columns, 1)
        line = Strip([Segment(text[:columns].ljust(columns))], columns)
        return Rendered((line,), columns, rows, placement, colour=False)
    marks = marks_of(spec, placement)
    if depth == "none":
        lines = _glyphs(spec, placement, marks, dark=dark)
    elif pixels and depth == "true" and max(placement.columns, placement.rows) <= LARGEST and spec.zoom == 1:
        return _sent(spec, placement, marks, columns, rows, stark=stark)
    else:
        lines = _half_blocks(spec, placement, marks, depth, stark=stark)
    return Rendered(tuple(lines), columns, rows, placement, colour=depth != "none")


def compose(spec: PictureSpec, placement: Placement) -> NDArray[np.uint8]:
    """(2 * rows, columns, 3) uint8: what is seen of the picture, without its marks."""
    height, width, part = 2 * placement.whole_rows, placement.whole_columns, placement.part
    if spec.style == "map" and spec.values is not None:
        return colour_values(scale_values(spec.values, height, width, part), spec.colormap)
    if spec.style == "overlay" and spec.values is not None:
        heat = colour_values(scale_values(spec.values, height, width, part), spec.colormap)
        return blend(_backdrop(spec, placement), heat, spec.opacity)
    if spec.style == "agreement" and spec.counts is not None:
        planes = _count_planes(spec.counts, count_colours(spec.methods, spec.colormap), placement)
        return blend(_backdrop(spec, placement), planes, spec.opacity)
    return scale_pixels(spec.pixels, height, width, part)


def _stepped(spec: PictureSpec, placement: Placement, depth: Depth) -> NDArray[np.uint8]:
    """The same as `compose`, in few colours."""
    height, width, part = 2 * placement.whole_rows, placement.whole_columns, placement.part
    if spec.style == "map" and spec.values is not None:
        return stepped_map(scale_values(spec.values, height, width, part), spec.colormap, depth)
    if spec.style == "overlay" and spec.values is not None:
        values = scale_values(spec.values, height, width, part)
        return stepped_overlay(_backdrop(spec, placement), values, spec.colormap, spec.opacity, depth)
    if spec.style == "agreement":
        return in_colours(_backdrop(spec, placement), depth, grey=True)
    return in_colours(scale_pixels(spec.pixels, height, width, part), depth)


def _backdrop(spec: PictureSpec, placement: Placement) -> NDArray[np.uint8]:
    """The image in grey; a part of it in the tones that it has in the whole, so that they stay when it is moved."""
    pixels = scale_pixels(spec.pixels, 2 * placement.whole_rows, placement.whole_columns, placement.part)
    if placement.whole is None:
        return backdrop(pixels)
    whole = scale_pixels(spec.pixels, 2 * placement.whole_rows // spec.zoom, placement.whole_columns // spec.zoom)
    return backdrop(pixels, part_of=whole)


def _thirds(placement: Placement) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For every pixel row and column the row and column of its cell, split where the characters are split."""
    rows, columns = placement.edges()
    y = np.searchsorted(rows[1:-1], np.arange(2 * placement.rows) // 2, side="right")
    x = np.searchsorted(columns[1:-1], np.arange(placement.columns), side="right")
    return y, x


def _count_planes(counts: NDArray[np.int64], colours: tuple[RGB, ...], placement: Placement) -> NDArray[np.uint8]:
    y, x = _thirds(placement)
    return np.asarray(np.array(colours, dtype=np.uint8)[counts[np.ix_(y, x)]])


def _shows_grid(spec: PictureSpec, placement: Placement) -> bool:
    """In small pictures lines would hide more than they show."""
    if not (spec.show_grid or spec.style == "agreement") or not placement.has_cells:
        return False
    return placement.whole_columns >= _GRID_FROM[0] and placement.whole_rows >= _GRID_FROM[1]


def _grid_lines(placement: Placement) -> tuple[list[int], list[int]]:
    """Rows and columns of what is seen on which a line between cells lies."""
    rows, columns = placement.edges()
    return (
        [edge for edge in rows[1:-1] if 0 <= edge < placement.rows],
        [edge for edge in columns[1:-1] if 0 <= edge < placement.columns],
    )


def _draw_grid(pixels: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """Thin lines between the cells: a shade darker than the picture, or lighter if the picture is nearly black."""
    target = 0.0 if pixels.mean() > _NEARLY_BLACK else 255.0
    rows, columns = _grid_lines(placement)
    lines = np.zeros(pixels.shape[:2], dtype=bool)
    lines[[2 * edge for edge in rows]] = True
    lines[:, columns] = True
    out = pixels.copy()
    out[lines] = np.rint((1.0 - _GRID_LINE) * pixels[lines] + _GRID_LINE * target)
    return out


def _half_blocks(spec: PictureSpec, placement: Placement, marks: Marks, depth: Depth, *, stark: bool) -> list[Strip]:
    pixels = compose(spec, placement) if depth == "true" else _stepped(spec, placement, depth)
    if _shows_grid(spec, placement):
        pixels = _draw_grid(pixels, placement)
    plates: tuple[RGB, ...] = ()
    if spec.style == "agreement":
        few = depth != "true"
        plates = count_steps(spec.methods, spec.colormap, depth) if few else count_colours(spec.methods, spec.colormap)
    marked = _by_row(marks)
    lines = []
    for row, segments in enumerate(_rows(FrugalRenderer().render(Image.fromarray(pixels)))):
        if row in marked:
            characters = _characters(segments)
            for column, mark in marked[row]:
                characters[column] = _marked(mark, pixels[2 * row : 2 * row + 2, column], plates, stark=stark)
            segments = [*Segment.simplify(characters)]
        lines.append(Strip(segments, placement.columns))
    return lines


def _sent(spec: PictureSpec, placement: Placement, marks: Marks, columns: int, rows: int, *, stark: bool) -> Rendered:
    """The picture at its own resolution; the marks on it as text."""
    native = _native(spec)
    picture = sending(native, placement.columns, placement.rows)
    plates = count_colours(spec.methods, spec.colormap) if spec.style == "agreement" else ()
    marked = _by_row(marks)
    small = compose(spec, placement) if marks else None
    lines = []
    for row, characters in enumerate(placeholder_rows(picture.number, placement.columns, placement.rows)):
        for column, mark in marked.get(row, ()):
            assert small is not None
            characters[column] = _marked(mark, small[2 * row : 2 * row + 2, column], plates, stark=stark)
        lines.append(Strip(Segment.simplify(characters), placement.columns))
    return Rendered(tuple(lines), columns, rows, placement, colour=True, sending=picture)


def _native(spec: PictureSpec) -> NDArray[np.uint8]:
    """(h, w, 3) uint8: the picture without marks at the image's own resolution, but at most `_LARGEST_SENT` a side."""
    height, width = spec.pixels.shape[:2]
    share = min(_LARGEST_SENT / max(height, width), 1.0)
    height, width = max(round(height * share), 1), max(round(width * share), 1)
    pixels = scale_pixels(spec.pixels, height, width)
    if spec.style in ("map", "overlay") and spec.values is not None:
        heat = colour_values(scale_values(spec.values, height, width), spec.colormap)
        return heat if spec.style == "map" else blend(backdrop(pixels), heat, spec.opacity)
    if spec.style == "agreement" and spec.counts is not None:
        y = np.searchsorted(cell_edges(height)[1:-1], np.arange(height), side="right")
        x = np.searchsorted(cell_edges(width)[1:-1], np.arange(width), side="right")
        colours = np.array(count_colours(spec.methods, spec.colormap), dtype=np.uint8)
        return blend(backdrop(pixels), colours[spec.counts[np.ix_(y, x)]], spec.opacity)
    return pixels


def _rows(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Rows of segments, from a renderer that ends each with a line feed."""
    row: list[Segment] = []
    for segment in segments:
        if segment.text == "\n":
            yield row
            row = []
        else:
            row.append(segment)


def _characters(segments: list[Segment]) -> list[Segment]:
    return [Segment(character, segment.style) for segment in segments for character in segment.text]


def _by_row(marks: Marks) -> dict[int, list[tuple[int, Mark]]]:
    rows: dict[int, list[tuple[int, Mark]]] = {}
    for (row, column), mark in marks.items():
        rows.setdefault(row, []).append((column, mark))
    return rows


def _marked(mark: Mark, below: NDArray[np.uint8], plates: tuple[RGB, ...], *, stark: bool) -> Segment:
    """A mark's character on (2, 3) pixels of the picture; counts lie on a plate of a colour of their own."""
    if mark.kind == "count" and (mark.character == " " or not stark):
        plate = plates[mark.count]
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


def _glyphs(spec: PictureSpec, placement: Placement, marks: Marks, *, dark: bool) -> list[Strip]:
    """Characters of rising weight: of the saliency for maps and overlays, of the light for images."""
    rows, columns = placement.rows, placement.columns
    steps: NDArray[np.floating]
    if spec.style in ("map", "overlay") and spec.values is not None:
        values = scale_values(spec.values, 2 * placement.whole_rows, placement.whole_columns, placement.part)
        steps, ramp = (values[0::2] + values[1::2]) / 2, _RAMP
    elif spec.style == "agreement" and spec.counts is not None:
        down, across = _thirds(placement)
        steps, ramp = spec.counts[np.ix_(down[::2], across)] / max(spec.methods, 1), _SHADES
    else:
        light = _backdrop(spec, placement)[:, :, 0] / 255.0
        steps, ramp = (light[0::2] + light[1::2]) / 2, _RAMP
        steps = steps if dark else 1.0 - steps
    marked = _by_row(marks)
    places = np.clip(np.rint(steps * (len(ramp) - 1)), 0, len(ramp) - 1).astype(int)
    grid: tuple[list[int], list[int]] = _grid_lines(placement) if _shows_grid(spec, placement) else ([], [])
    lines = []
    for row in range(rows):
        segments = [Segment(ramp[places[row, column]]) for column in range(columns)]
        if row in grid[0]:
            segments = [Segment("─")] * columns
        for column in grid[1]:
            segments[column] = Segment("┼" if row in grid[0] else "│")
        for column, mark in marked.get(row, ()):
            segments[column] = Segment(mark.character, _PLAIN_STYLES[mark.kind])
        lines.append(Strip(Segment.simplify(segments), columns))
    return lines
