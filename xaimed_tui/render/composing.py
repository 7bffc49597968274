"""Compose a picture in pixels: image, map, counts and grid lines, but not the marks on them.

The `grain` says how many pixels a character has (rows, columns): half blocks have 2 x 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.drawing.colours import backdrop, blend, colour_values
from engine.drawing.scaling import scale_pixels, scale_values
from engine.results.cells import cell_edges
from xaimed_tui.render.depth import in_colours, stepped_map, stepped_overlay
from xaimed_tui.render.plates import plate_numbers, plates_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.drawing.scaling import Part
    from xaimed_tui.render.placement import Placement
    from xaimed_tui.render.spec import PictureSpec
    from xaimed_tui.terminal.colour_depth import Depth

Grain = tuple[int, int]

HALF_BLOCKS: Grain = (2, 1)

_LARGEST_NATIVE = 1024
"""Pixels a side of the largest picture that the terminal scales itself: more than a box usually shows."""

_GRID_LINE = 0.55
"""Opacity of a grid line, 0 to 1."""
_GRID_FROM = (15, 9)
"""Columns and rows that a picture needs to have grid lines."""
_NEARLY_BLACK = 45
"""Mean of a picture, 0 to 255, below which its grid lines are lighter than the picture."""


def compose(spec: PictureSpec, placement: Placement, grain: Grain = HALF_BLOCKS) -> NDArray[np.uint8]:
    """Return the visible part without marks and grid lines: (grain[0] * rows, grain[1] * columns, 3) uint8."""
    size = size_of(placement, grain)
    if spec.style == "map" and spec.values is not None:
        return colour_values(scale_values(spec.values, *size), spec.colormap)
    if spec.style == "overlay" and spec.values is not None:
        heat = colour_values(scale_values(spec.values, *size), spec.colormap)
        return blend(grey_below(spec, placement, grain), heat, spec.opacity)
    if (numbers := plate_numbers(spec)) is not None:
        y, x = cells_of_pixels(placement, grain)
        planes = _planes(spec, numbers[np.ix_(y, x)])
        return blend(grey_below(spec, placement, grain), planes, spec.opacity)
    return scale_pixels(spec.pixels, *size)


def compose_stepped(spec: PictureSpec, placement: Placement, depth: Depth) -> NDArray[np.uint8]:
    """Do the same for half blocks in 256 or 16 colours."""
    size = size_of(placement, HALF_BLOCKS)
    if spec.style == "map" and spec.values is not None:
        return stepped_map(scale_values(spec.values, *size), spec.colormap, depth)
    if spec.style == "overlay" and spec.values is not None:
        values = scale_values(spec.values, *size)
        return stepped_overlay(grey_below(spec, placement), values, spec.colormap, spec.opacity, depth)
    if spec.style in ("agreement", "exact"):
        return in_colours(grey_below(spec, placement), depth, grey=True)
    return in_colours(scale_pixels(spec.pixels, *size), depth)


def compose_native(spec: PictureSpec) -> NDArray[np.uint8]:
    """Return the whole picture at the image's resolution, at most 1,024 a side, with grid lines: (h, w, 3) uint8."""
    height, width = spec.pixels.shape[:2]
    share = min(_LARGEST_NATIVE / max(height, width), 1.0)
    height, width = max(round(height * share), 1), max(round(width * share), 1)
    pixels = scale_pixels(spec.pixels, height, width)
    rows, columns = cell_edges(height), cell_edges(width)
    if spec.style in ("map", "overlay") and spec.values is not None:
        heat = colour_values(scale_values(spec.values, height, width), spec.colormap)
        pixels = heat if spec.style == "map" else blend(backdrop(pixels), heat, spec.opacity)
    elif (numbers := plate_numbers(spec)) is not None:
        # The inner edges divide the pixels; with `right` a pixel on an edge belongs to the cell that begins there.
        y = np.searchsorted(rows[1:-1], np.arange(height), side="right")
        x = np.searchsorted(columns[1:-1], np.arange(width), side="right")
        pixels = blend(backdrop(pixels), _planes(spec, numbers[np.ix_(y, x)]), spec.opacity)
    if _has_grid(spec) and min(height, width) >= _GRID_FROM[0]:
        thick = max(min(height, width) // 100, 1)
        pixels = _with_lines(pixels, [*rows[1:-1]], [*columns[1:-1]], (thick, thick))
    return pixels


def grey_below(spec: PictureSpec, placement: Placement, grain: Grain = HALF_BLOCKS) -> NDArray[np.uint8]:
    """Return the image in grey. A part has the tones it has in the whole image, so they stay when the part moves."""
    height, width, part = size_of(placement, grain)
    pixels = scale_pixels(spec.pixels, height, width, part)
    if placement.whole is None:
        return backdrop(pixels)
    # The tones of the whole picture, at the size it has without zoom: with it, it may be far larger than the screen.
    return backdrop(pixels, part_of=scale_pixels(spec.pixels, height // spec.zoom, width // spec.zoom))


def cells_of_pixels(placement: Placement, grain: Grain = HALF_BLOCKS) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the cell row of each pixel row and the cell column of each pixel column; cells are whole characters."""
    rows, columns = placement.edges()
    y = np.searchsorted(rows[1:-1], np.arange(grain[0] * placement.rows) // grain[0], side="right")
    x = np.searchsorted(columns[1:-1], np.arange(grain[1] * placement.columns) // grain[1], side="right")
    return y, x


def shows_grid(spec: PictureSpec, placement: Placement) -> bool:
    """Whether lines are drawn between the cells; in small pictures they would hide more than they show."""
    if not _has_grid(spec) or not placement.has_cells:
        return False
    return placement.whole_columns >= _GRID_FROM[0] and placement.whole_rows >= _GRID_FROM[1]


def grid_lines(placement: Placement) -> tuple[list[int], list[int]]:
    """Return the rows and columns of the visible part on which a line between cells lies."""
    rows, columns = placement.edges()
    return (
        [edge for edge in rows[1:-1] if 0 <= edge < placement.rows],
        [edge for edge in columns[1:-1] if 0 <= edge < placement.columns],
    )


def draw_grid(pixels: NDArray[np.uint8], placement: Placement, grain: Grain = HALF_BLOCKS) -> NDArray[np.uint8]:
    """Draw thin lines between the cells: a shade darker than the picture, or lighter if it is nearly black."""
    rows, columns = grid_lines(placement)
    # About as thick in both directions, because a character is about twice as high as it is wide.
    thick = (max(grain[0] // 10, 1), max(grain[1] // 5, 1))
    return _with_lines(pixels, [grain[0] * edge for edge in rows], [grain[1] * edge for edge in columns], thick)


def _with_lines(
    pixels: NDArray[np.uint8], rows: list[int], columns: list[int], thick: tuple[int, int]
) -> NDArray[np.uint8]:
    target = 0.0 if pixels.mean() > _NEARLY_BLACK else 255.0
    lines = np.zeros(pixels.shape[:2], dtype=bool)
    for row in rows:
        lines[row : row + thick[0]] = True
    for column in columns:
        lines[:, column : column + thick[1]] = True
    out = pixels.copy()
    out[lines] = np.rint((1.0 - _GRID_LINE) * pixels[lines] + _GRID_LINE * target)
    return out


def _has_grid(spec: PictureSpec) -> bool:
    return spec.show_grid or spec.style in ("agreement", "exact")


def _planes(spec: PictureSpec, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.asarray(np.array(plates_of(spec), dtype=np.uint8)[numbers])


def size_of(placement: Placement, grain: Grain = HALF_BLOCKS) -> tuple[int, int, Part | None]:
    """Return height and width of the whole picture in pixels, and the visible part of it."""
    part = None
    if placement.whole is not None:
        x, y = placement.offset
        top, left = grain[0] * y, grain[1] * x
        part = top, left, top + grain[0] * placement.rows, left + grain[1] * placement.columns
    return grain[0] * placement.whole_rows, grain[1] * placement.whole_columns, part
