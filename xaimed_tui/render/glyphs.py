"""Draw pictures without colour, in characters of rising weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from engine.drawing.colours import signed_steps
from engine.drawing.scaling import scale_values
from xaimed_tui.render.composing import cells_of_pixels, grey_below, grid_lines, shows_grid, size_of
from xaimed_tui.render.marks import by_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xaimed_tui.render.marks import Marks
    from xaimed_tui.render.placement import Placement
    from xaimed_tui.render.spec import PictureSpec

_RAMP = " .:-=+*#%@"
_SHADES = " ░▒▓█"
_STYLES = {
    "line": Style(bold=True),
    "open line": Style(),
    "pointer": Style(bold=True),
    "badge": Style(reverse=True, bold=True),
    "open badge": Style(bold=True),
    "count": Style(bold=True),
}


def glyph_lines(spec: PictureSpec, placement: Placement, marks: Marks, *, dark: bool) -> list[Strip]:
    """Return lines of characters, heavier where a map or a count is higher, or where an image is brighter."""
    rows, columns = placement.rows, placement.columns
    steps: NDArray[np.floating]
    if spec.style in ("map", "overlay") and spec.values is not None:
        values = scale_values(spec.values, *size_of(placement))
        # `size_of` counts half blocks, of which a glyph stands for two.
        steps, ramp = (values[0::2] + values[1::2]) / 2, _RAMP
    elif spec.style == "agreement" and spec.counts is not None:
        down, across = cells_of_pixels(placement)
        steps, ramp = spec.counts[np.ix_(down[::2], across)] / max(spec.methods, 1), _SHADES
    elif spec.style == "exact" and spec.signed is not None:
        down, across = cells_of_pixels(placement)
        steps, ramp = signed_steps(spec.signed)[np.ix_(down[::2], across)], _SHADES
    else:
        light = grey_below(spec, placement)[:, :, 0] / 255.0
        steps, ramp = (light[0::2] + light[1::2]) / 2, _RAMP
        steps = steps if dark else 1.0 - steps  # on a light background a heavy character looks dark
    marked = by_row(marks)
    places = np.clip(np.rint(steps * (len(ramp) - 1)), 0, len(ramp) - 1).astype(int)
    grid: tuple[list[int], list[int]] = grid_lines(placement) if shows_grid(spec, placement) else ([], [])
    lines = []
    for row in range(rows):
        segments = [Segment(ramp[places[row, column]]) for column in range(columns)]
        if row in grid[0]:
            segments = [Segment("─")] * columns
        for column in grid[1]:
            segments[column] = Segment("┼" if row in grid[0] else "│")
        for column, mark in marked.get(row, ()):
            segments[column] = Segment(mark.character, _STYLES[mark.kind])
        lines.append(Strip(Segment.simplify(segments), columns))
    return lines
