"""Where a picture lies in its box, and where its nine cells are, counted in characters.

A character is taken to be one pixel wide and two pixels high, as half blocks make it.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.cells import GRID, Cell, cell_edges

_FITS_WELL = 0.8
"""A whole-number enlargement is taken if it fills at least this share of the side that could be filled."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture's place in a box of characters.

    Attributes:
        left, top: characters left of and above the picture.
        columns, rows: characters that the picture covers; it has `columns` x `2 * rows` pixels.
    """

    left: int
    top: int
    columns: int
    rows: int

    @property
    def has_cells(self) -> bool:
        """Whether every cell of the grid is at least one character."""
        return self.columns >= GRID and self.rows >= GRID

    def edges(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The row edges and column edges of the cells within the picture, in characters."""
        return cell_edges(self.rows), cell_edges(self.columns)

    def box(self, cell: Cell) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of a cell within the picture, in characters, the last two exclusive."""
        rows, columns = self.edges()
        return rows[cell[0]], columns[cell[1]], rows[cell[0] + 1], columns[cell[1] + 1]

    def cell_at(self, x: int, y: int) -> Cell | None:
        """The cell under a character of the box, or None beside the picture."""
        x, y = x - self.left, y - self.top
        if not self.has_cells or not (0 <= x < self.columns and 0 <= y < self.rows):
            return None
        rows, columns = self.edges()
        return (
            next(i for i in range(GRID) if y < rows[i + 1]),
            next(i for i in range(GRID) if x < columns[i + 1]),
        )


def place(height: int, width: int, columns: int, rows: int) -> Placement:
    """The largest place for an image of height x width pixels in a box of columns x rows characters, centred.

    The aspect ratio is kept, but for the rounding to whole characters. From twice its size on, an image is enlarged by
    a whole number where that fills the box well.
    """
    scale = min(columns / width, 2 * rows / height)
    if scale >= 2 and int(scale) / scale >= _FITS_WELL:
        scale = int(scale)
    wide = min(max(round(width * scale), 1), columns)
    high = min(max(round(height * scale / 2), 1), rows)
    return Placement((columns - wide) // 2, (rows - high) // 2, wide, high)
