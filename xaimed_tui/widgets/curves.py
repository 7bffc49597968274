"""Deletion and insertion curves in characters: a map's own beside those of maps that know nothing of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from xaimed_tui.widgets.words import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.results.evidence import Curves

OWN, CENTRE, RANDOM = "●", "○", "░"
"""The signs of the map's curve, of that of a blob in the centre, and of the space that the random maps' curves take."""

_STYLES = {OWN: "bold $foreground", CENTRE: "$foreground", RANDOM: "$text-muted"}
_MARGIN = 4
"""Columns for the numbers beside the chart."""


class CurvesChart(Widget):
    """A chart from 0 to 1 in both directions that fills its box, with its title above and its areas below."""

    DEFAULT_CSS = "CurvesChart { width: 1fr; height: 1fr; min-height: 9; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._curves: Curves | None = None
        self._words = ""

    def show(self, curves: Curves | None, words: str = "") -> None:
        """Show curves, or words instead of them."""
        self._curves, self._words = curves, words
        self.refresh()

    def render(self) -> RenderResult:
        if self._curves is None:
            return Content(self._words)
        return Content.assemble(*chart_parts(self._curves, self.size.width, self.size.height))


def chart_parts(curves: Curves, width: int, height: int) -> list[Part]:
    """Return the chart in so many columns and rows: a title, the curves, the axis below them, and the areas."""
    rows, columns = max(height - 4, 3), max(width - _MARGIN - 1, 10)
    grid = _grid(curves, rows, columns)
    verb = "deleted" if curves.kind == "deletion" else "inserted"
    better = "small" if curves.kind == "deletion" else "large"
    parts: list[Part] = [(f"{curves.kind[:1].upper()}{curves.kind[1:]}", "bold $foreground")]
    parts.append(f": probability as pixels are {verb}\n" if width >= 48 else f": a {better} area is good\n")
    for row in range(rows):
        label = {0: "1.0", rows // 2: "0.5", rows - 1: "0.0"}.get(row, "")
        parts.append((f"{label:>3}┤" if label else "   │", "$text-muted"))
        line = "".join(grid[row])
        start = 0
        for column in range(1, columns + 1):
            if column == columns or line[column] != line[start]:
                parts.append((line[start:column], _STYLES.get(line[start], "")))
                start = column
        parts.append("\n")
    axis = f"0 %{'pixels, from the most salient on'.center(columns - 8) if columns >= 44 else ' ' * (columns - 8)}100 %"
    low, high = float(curves.random_areas.min()), float(curves.random_areas.max())
    parts += [("   └" + "─" * columns + "\n", "$text-muted"), (f"    {axis}\n", "$text-muted")]
    parts += [
        (f"{OWN} {curves.area:.2f}", "bold $foreground"),
        (f" {RANDOM} {low:.2f}–{high:.2f}", "$text-muted"),
        (f" {CENTRE} {curves.centre_area:.2f}", "$foreground"),
        f"  area, {better} is good" if width >= 48 else "",
    ]
    return parts


def _grid(curves: Curves, rows: int, columns: int) -> list[list[str]]:
    """Return the characters of the chart, row by row from the top."""
    grid = [[" "] * columns for _ in range(rows)]
    at = np.linspace(0.0, 1.0, columns)
    random = np.stack([np.interp(at, curves.shares, each) for each in curves.random])
    top, bottom = _rows(random.max(axis=0), rows), _rows(random.min(axis=0), rows)
    for column in range(columns):
        for row in range(top[column], bottom[column] + 1):
            grid[row][column] = RANDOM
    for values, sign in ((curves.centre, CENTRE), (curves.probabilities, OWN)):
        places = _rows(np.interp(at, curves.shares, values), rows)
        for column, place in enumerate(places):
            # Where the curve is steep, up to the row of the column before, so that it has no gaps.
            before = places[column - 1] if column else place
            step = 1 if before > place else -1
            for row in range(place, before, step) if before != place else (place,):
                grid[row][column] = sign
    return grid


def _rows(values: NDArray[np.floating], rows: int) -> list[int]:
    """Return the row of each value, 0 at the top for 1."""
    return [int(row) for row in np.clip(np.rint((1.0 - values) * (rows - 1)), 0, rows - 1)]
