"""Write pictures to a terminal that knows Sixel.

Sixel stores no pictures: a part that was covered must be sent again when it is uncovered. Only what differs from what
the screen shows is sent, in the fewest rectangles that hold nothing else; or the whole visible part, if that is less.
"""

from __future__ import annotations

from collections.abc import Callable

from xaimed_tui.render.sixel import Box, SixelPicture
from xaimed_tui.render.tiles import Places, Tile

_Spot = tuple[SixelPicture, int, int]
"""A picture, and the row and column of the screen where its first tile lies or would lie."""

_MOST_PIECES = 12
"""Most rectangles in which parts of a picture are sent, as each lists its colours; beyond that, its whole visible part
is sent."""


class SixelTerminal:
    """Writes what a terminal that knows Sixel must be sent.

    Args:
        last_row: returns the screen's last row. A picture there makes terminals scroll, so the row stays empty.
        cell: returns the size of a character. A picture drawn for another size would reach beyond its place, which
            stays empty.
        repaint: has the whole screen painted again soon.
        most: pictures that the terminal keeps, see `Pixels`. XTerm keeps 16 until they scroll off the screen, even
            those of which nothing is left; then it forgets the topmost one. So when there are more, everything is
            scrolled off and painted again.
    """

    def __init__(
        self,
        last_row: Callable[[], int],
        cell: Callable[[], tuple[int, int] | None],
        repaint: Callable[[], object],
        *,
        most: int = 0,
    ) -> None:
        self._last_row, self._cell, self._repaint, self._most = last_row, cell, repaint, most
        self._kept = 0
        self._cleared = False

    def continues_left(self, y: int, x: int) -> bool:
        """No tile does."""
        return False

    def paint(self, tiles: Places, standing: Callable[[], Places]) -> str:
        """Return what draws tiles at their places; `standing` returns all tiles on the screen after that."""
        parts: list[str] = []
        last, cell = self._last_row(), self._cell()
        shown: dict[_Spot, set[tuple[int, int]]] = {}
        for (y, x), tile in tiles.items():
            spot = _spot(y, x, tile)
            if y < last and spot[0].cell == cell:
                shown.setdefault(spot, set()).add((tile.row, tile.column))
            else:
                parts.append(f"\x1b[{y + 1};{x + 1}H ")
        everywhere: dict[_Spot, list[Tile]] = {}
        for (y, x), tile in standing().items() if shown else ():
            if y < last:
                everywhere.setdefault(_spot(y, x, tile), []).append(tile)
        for spot, places in shown.items():
            picture, top, left = spot
            boxes = rectangles(places)
            sequences = [picture.sequence(box) for box in boxes[:_MOST_PIECES]]
            if len(boxes) > 1:
                visible = rectangles({(one.row, one.column) for one in everywhere.get(spot, ())})
                all_again = [picture.sequence(box) for box in visible]
                if len(boxes) > _MOST_PIECES or sum(map(len, all_again)) < sum(map(len, sequences)):
                    boxes, sequences = visible, all_again
            for box, sequence in zip(boxes, sequences, strict=True):
                parts.append(f"\x1b[{top + box[0] + 1};{left + box[1] + 1}H{sequence}")
            self._kept += len(boxes)
        if 0 < self._most < self._kept and not self._cleared:
            self._repaint()
        self._cleared = False
        return "".join(parts)

    def clear(self) -> str:
        """Return what empties the screen."""
        # If the next paint alone is more than the terminal keeps, painting it again would not help.
        self._kept, self._cleared = 0, True
        # Scrolled off where the terminal keeps pictures: erased ones would still be kept.
        return f"\x1b[{self._last_row() + 1}S" if self._most else "\x1b[2J"

    def forget_all(self) -> str:
        """Return nothing: pixels go with the characters they stand on."""
        return ""


def _spot(y: int, x: int, tile: Tile) -> _Spot:
    assert isinstance(tile.picture, SixelPicture)
    return tile.picture, y - tile.row, x - tile.column


def rectangles(places: set[tuple[int, int]]) -> list[Box]:
    """Return boxes that hold exactly these (row, column): runs of columns, joined over rows with the same runs."""
    rows: dict[int, list[int]] = {}
    for row, column in sorted(places):
        rows.setdefault(row, []).append(column)
    done: list[Box] = []
    growing: dict[tuple[int, int], int] = {}  # the row in which a run of columns began
    # One empty row more, in which the runs of the last row end.
    for row in range(min(rows, default=0), max(rows, default=-1) + 2):
        runs = _runs(rows.get(row, []))
        done.extend((growing.pop(run), run[0], row, run[1]) for run in [one for one in growing if one not in runs])
        for run in runs:
            growing.setdefault(run, row)
    return done


def _runs(columns: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for column in columns:
        if runs and runs[-1][1] == column:
            runs[-1] = runs[-1][0], column + 1
        else:
            runs.append((column, column + 1))
    return runs
