"""Where a picture lies in its box, and where its nine cells are, counted in characters.

A character is assumed to be twice as high as it is wide unless its size is known. If a picture is magnified beyond its
box, only a part of it is visible; its cells are counted from the corner of that part, and may begin before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.results.cells import GRID, Cell, cell_edges

if TYPE_CHECKING:
    from xaimed_tui.render.spec import PictureSpec
    from xaimed_tui.terminal.query import Pixels

_FITS_WELL = 0.8
"""An image is enlarged by a whole number if that fills at least this share of the side that could be filled."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture's place in a box of characters.

    Attributes:
        left, top: characters left of and above the picture.
        columns, rows: characters that the picture covers.
        whole: columns and rows of the whole picture; None if all of it is visible.
        offset: columns and rows of the whole picture left of and above the visible part.
    """

    left: int
    top: int
    columns: int
    rows: int
    whole: tuple[int, int] | None = None
    offset: tuple[int, int] = (0, 0)

    @property
    def whole_columns(self) -> int:
        return self.whole[0] if self.whole else self.columns

    @property
    def whole_rows(self) -> int:
        return self.whole[1] if self.whole else self.rows

    @property
    def has_cells(self) -> bool:
        """Whether every cell of the grid is at least one character."""
        return self.whole_columns >= GRID and self.whole_rows >= GRID

    def edges(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the row edges and column edges of the cells, in characters from the corner of the visible part."""
        x, y = self.offset
        rows, columns = cell_edges(self.whole_rows), cell_edges(self.whole_columns)
        return tuple(row - y for row in rows), tuple(column - x for column in columns)

    def box(self, cell: Cell) -> tuple[int, int, int, int]:
        """Return (top, left, bottom, right) of a cell in characters from the visible part's corner, last two exclusive.

        A cell of a magnified picture may lie outside.
        """
        rows, columns = self.edges()
        return rows[cell[0]], columns[cell[1]], rows[cell[0] + 1], columns[cell[1] + 1]

    def seen(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
        """Return the visible part of a box like that of a cell; None if none of it is visible."""
        top, left, bottom, right = max(box[0], 0), max(box[1], 0), min(box[2], self.rows), min(box[3], self.columns)
        return (top, left, bottom, right) if top < bottom and left < right else None

    def cell_at(self, x: int, y: int) -> Cell | None:
        """Return the cell under a character of the box; None beside the picture."""
        x, y = x - self.left, y - self.top
        if not self.has_cells or not (0 <= x < self.columns and 0 <= y < self.rows):
            return None
        rows, columns = self.edges()
        return (
            next(i for i in range(GRID) if y < rows[i + 1]),
            next(i for i in range(GRID) if x < columns[i + 1]),
        )


def place(
    height: float,
    width: int,
    columns: int,
    rows: int,
    *,
    zoom: int = 1,
    centre: tuple[float, float] = (0.5, 0.5),
    aspect: float = 2.0,
    evenly: bool = True,
) -> Placement:
    """Return the largest place for an image of height x width in a box of columns x rows characters, centred.

    The aspect ratio is kept except for rounding to whole characters. From twice its size on, an image is enlarged by a
    whole number if that fills the box well.

    Args:
        height, width: of the image, in widths of a pixel.
        columns, rows: of the box, in characters.
        zoom: how many times larger than the largest fit the picture is drawn, at least 1.
        centre: the point (x, y) of the picture, each in [0, 1], to put in the middle as far as that leaves none of the
            box empty.
        aspect: height of a character divided by its width.
        evenly: whether it may be enlarged by a whole number instead of filling the box.
    """
    # In widths of a character for each pixel of the image; a row is `aspect` widths high.
    scale = min(columns / width, aspect * rows / height)
    if evenly and scale >= 2 and int(scale) / scale >= _FITS_WELL:
        scale = int(scale)
    wide = min(max(round(width * scale), 1), columns)
    high = min(max(round(height * scale / aspect), 1), rows)
    if zoom <= 1:
        return Placement((columns - wide) // 2, (rows - high) // 2, wide, high)
    whole = (wide * zoom, high * zoom)
    wide, high = min(columns, whole[0]), min(rows, whole[1])
    offset = (_offset(centre[0], whole[0], wide), _offset(centre[1], whole[1], high))
    return Placement((columns - wide) // 2, (rows - high) // 2, wide, high, whole, offset)


def placement_of(spec: PictureSpec, columns: int, rows: int, pixels: Pixels | None) -> Placement:
    """Return the place of a picture in a box of characters, in its true shape; see `place`.

    Args:
        spec: the picture, with its zoom and the point in its middle.
        columns, rows: of the box.
        pixels: how the terminal shows pixels; None for a picture drawn as text.
    """
    height, width = spec.pixels.shape[:2]
    aspect = 2.0 if pixels is None else pixels.aspect
    return place(
        height * spec.aspect,
        width,
        columns,
        rows,
        zoom=spec.zoom,
        centre=spec.centre,
        aspect=aspect,
        evenly=spec.evenly,
    )


def _offset(centre: float, whole: int, seen: int) -> int:
    return min(max(round(centre * whole - seen / 2), 0), whole - seen)
