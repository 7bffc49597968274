"""Keys that point out a cell of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from engine.results.cells import GRID, Cell


def neighbour(cell: Cell | None, rows: int, columns: int) -> Cell:
    """Return the cell so many rows and columns further, within the grid; the centre if `cell` is None."""
    if cell is None:
        return GRID // 2, GRID // 2
    row, column = cell[0] + rows, cell[1] + columns
    return min(max(row, 0), GRID - 1), min(max(column, 0), GRID - 1)


class CellFrame(Vertical, can_focus=True):
    """A frame around a picture: while it has the focus, arrows move through the picture's cells."""

    HELP = "A picture: arrows move through its cells; the table follows"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "point(-1, 0)", "Cell above", show=False),
        Binding("down,j", "point(1, 0)", "Cell below", show=False),
        Binding("left", "point(0, -1)", "Cell to the left", show=False),
        Binding("right", "point(0, 1)", "Cell to the right", show=False),
        Binding("h", "screen.method(-1)", "Previous method", show=False),  # without the arrows of the key line
        Binding("l", "screen.method(1)", "Next method", show=False),
    ]

    @dataclass
    class Pointed(Message):
        """The person moved by so many rows and columns."""

        rows: int
        columns: int

    def action_point(self, rows: int, columns: int) -> None:
        """Ask for the neighbouring cell."""
        self.post_message(self.Pointed(rows, columns))
