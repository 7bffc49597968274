"""Lay a saliency map, the counts of the agreement, or the values of cells over a picture of what the network saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from engine.drawing.cells import cell_boxes, draw_cells, draw_count, draw_grid, draw_number, stroke_of
from engine.drawing.colormaps import DEFAULT_COLORMAP
from engine.drawing.colours import OPACITY, RGB, backdrop, blend, colormap, count_colours, to_steps
from engine.drawing.scaling import scale_pixels, scale_steps
from engine.results.cells import CELLS, Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray


def map_over(
    view: NDArray[np.uint8], values: NDArray[np.floating], size: tuple[int, int], *, opacity: float = OPACITY
) -> Image.Image:
    """Lay a map over the view in grey.

    Args:
        view: (h, w, C), C 1 or 3.
        values: (H, W) in [0, 1]; the map's edges are the view's edges.
        size: (height, width) of the picture.
        opacity: of the map.
    """
    heat = colormap(DEFAULT_COLORMAP)[scale_steps(to_steps(values), *size)]
    return Image.fromarray(blend(backdrop(scale_pixels(view, *size)), heat, opacity))


def counts_over(
    view: NDArray[np.uint8],
    counts: NDArray[np.integer],
    shape: tuple[int, ...],
    size: tuple[int, int],
    *,
    methods: int,
    open_cells: Sequence[Cell] = (),
) -> Image.Image:
    """Lay the number of methods that have a cell among their three over the view in grey.

    Args:
        view: (h, w, C), C 1 or 3.
        counts: (3, 3), from 0 to `methods`.
        shape: (H, W) of the maps.
        size: (height, width) of the picture.
        methods: how many are counted.
        open_cells: those whose count may change; it gets a `?`.
    """
    picture = counts_tint(view, counts, shape, size, methods=methods)
    colours = count_colours(max(methods, 1))
    boxes = cell_boxes(shape, picture.size)
    pen = ImageDraw.Draw(picture)
    draw_grid(pen, boxes, picture.size, max(stroke_of(picture) // 2, 1))
    for cell, box in boxes.items():
        count = int(counts[cell])
        draw_count(pen, box, f"{count}?" if cell in open_cells else str(count), colours[count])
    return picture


def signed_over(
    view: NDArray[np.uint8],
    values: NDArray[np.floating],
    shape: tuple[int, ...],
    size: tuple[int, int],
    *,
    colours: Sequence[RGB],
    labels: Mapping[Cell, str],
) -> Image.Image:
    """Lay signed values of the nine cells over the view in grey, in colours and as numbers.

    Args:
        view: (h, w, C), C 1 or 3.
        values: (3, 3).
        shape: (H, W) of the network's input, whose cells these are.
        size: (height, width) of the picture.
        colours: of the nine cells, in reading order.
        labels: text of the outlined cells; an outline is dashed where it has a `?`.
    """
    by_cell = dict(zip(CELLS, colours, strict=True))
    picture = _tint(view, by_cell, shape, size, OPACITY)
    draw_cells(picture, shape, labels)
    pen = ImageDraw.Draw(picture)
    for cell, box in cell_boxes(shape, picture.size).items():
        draw_number(pen, box, f"{values[cell]:+.3f}", by_cell[cell])
    return picture


def counts_tint(
    view: NDArray[np.uint8],
    counts: NDArray[np.integer],
    shape: tuple[int, ...],
    size: tuple[int, int],
    *,
    methods: int,
    opacity: float = OPACITY,
) -> Image.Image:
    """Lay the counts' colours over the view in grey, as `counts_over` does but without lines and numbers."""
    colours = count_colours(max(methods, 1))
    return _tint(view, {cell: colours[int(counts[cell])] for cell in CELLS}, shape, size, opacity)


def _tint(
    view: NDArray[np.uint8], colours: Mapping[Cell, RGB], shape: tuple[int, ...], size: tuple[int, int], opacity: float
) -> Image.Image:
    """Lay a colour for each cell over the view in grey."""
    planes = np.zeros((*size, 3), dtype=np.uint8)
    for cell, (left, top, right, bottom) in cell_boxes(shape, (size[1], size[0])).items():
        planes[top:bottom, left:right] = colours[cell]
    return Image.fromarray(blend(backdrop(scale_pixels(view, *size)), planes, opacity))
