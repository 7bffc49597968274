"""Pictures in a terminal's own pixels, for Sixel: scaled, marked, and in few enough colours.

Sixel has no stored pictures: what was covered and is seen again must be sent again. It is sent in the fewest rectangles
that hold nothing else, and only where it differs from what stands there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from engine.export.colors import count_colours
from xaimed_tui.render.composing import Grain, compose, draw_grid, shows_grid
from xaimed_tui.render.pixel_marks import INKS, draw_marks
from xaimed_tui.render.sixel import percent, sixel
from xaimed_tui.render.tiles import TilePicture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xaimed_tui.render.marks import Marks
    from xaimed_tui.render.placement import Placement
    from xaimed_tui.render.spec import PictureSpec
    from xaimed_tui.render.tiles import Placed
    from xaimed_tui.terminal import Pixels

_MOST_POINTS = 40_000
"""Points in which a picture is drawn, where its own pixels are not larger: some six bytes each, yet 25 times as many as
half blocks would show."""

_SHARP_FROM = 4
"""Enlargement from which on an image's pixels stay squares of one colour, see `engine.export.scaling`."""

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in tiles, the last two exclusive."""


class SixelPicture(TilePicture):
    """Pixels for `rows` x `columns` characters of `cell` (height, width) pixels.

    Args:
        indices: (rows * cell[0], columns * cell[1]) uint8, places in the palette.
        palette: (n, 3) uint8 in percent.
        cell: of a character.

    Attributes:
        whole: the box of all its tiles.
    """

    def __init__(self, indices: NDArray[np.uint8], palette: NDArray[np.uint8], cell: tuple[int, int]) -> None:
        super().__init__()
        self._indices, self._palette, self.cell = indices, palette, cell
        rows, columns = indices.shape[0] // cell[0], indices.shape[1] // cell[1]
        tiles = palette[indices].reshape(rows, cell[0], columns, cell[1], 3).swapaxes(1, 2)
        self._keys = [[hash(tiles[row, column].tobytes()) for column in range(columns)] for row in range(rows)]
        self.whole: Box = (0, 0, rows, columns)
        self._sent_whole = self._encoded(self.whole)

    def key(self, row: int, column: int) -> Hashable:
        """A digest of the tile's pixels."""
        return self._keys[row][column]

    def sequence(self, box: Box) -> str:
        """What draws some of the tiles from the cursor on."""
        return self._sent_whole if box == self.whole else self._encoded(box)

    def _encoded(self, box: Box) -> str:
        high, wide = self.cell
        top, left, bottom, right = box
        return sixel(self._indices[top * high : bottom * high, left * wide : right * wide], self._palette)


def sixel_picture(
    spec: PictureSpec, placement: Placement, marks: Marks, pixels: Pixels, *, stark: bool = False
) -> SixelPicture:
    """What is seen of a picture, with its marks; `stark` as in `render`."""
    cell = pixels.cell
    if cell is None:
        raise ValueError("Sixel needs the size of a character in pixels")
    grain = _grain(spec, placement, cell)
    points = compose(spec, placement, grain)
    if shows_grid(spec, placement):
        points = draw_grid(points, placement, grain)
    plates = count_colours(spec.methods, spec.colormap) if spec.style == "agreement" else ()
    inks = np.array([*INKS, *plates], dtype=np.uint8)
    small, palette = _in_palette(points, pixels.colours - len(inks))
    indices = small[np.ix_(_nearest(grain[0], cell[0], placement.rows), _nearest(grain[1], cell[1], placement.columns))]
    indices = draw_marks(indices + np.uint8(len(inks)), marks, cell, plates, stark=stark)
    return SixelPicture(indices, percent(np.concatenate([inks, palette])), cell)


def _grain(spec: PictureSpec, placement: Placement, cell: tuple[int, int]) -> Grain:
    """Points of a character: its pixels, unless these would be too many points of different colours."""
    height, width = spec.pixels.shape[:2]
    if min(placement.whole_rows * cell[0] / height, placement.whole_columns * cell[1] / width) >= _SHARP_FROM:
        return cell
    pixels = placement.rows * cell[0] * placement.columns * cell[1]
    side = max(math.sqrt(pixels / _MOST_POINTS), 1.0)
    return max(math.floor(cell[0] / side), 2), max(math.floor(cell[1] / side), 1)


def _nearest(points: int, pixels: int, characters: int) -> NDArray[np.intp]:
    """For every pixel the point it shows."""
    return np.arange(pixels * characters) * points // pixels


def _in_palette(points: NDArray[np.uint8], most: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(h, w) uint8 places in a palette, and the palette (n, 3): the picture's own colours if they are few enough."""
    from PIL import Image

    picture = Image.fromarray(points)
    if (own := picture.getcolors(most)) is not None:
        palette = np.array(sorted(colour for _, colour in own), dtype=np.uint8)
        return np.searchsorted(_packed(palette), _packed(points)).astype(np.uint8), palette
    picture = picture.quantize(most, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
    palette = np.array(picture.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return np.asarray(picture), palette[:most]


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Colours (..., 3) as one number each, in the order of the triples."""
    return np.asarray(colours.astype(np.int64) @ np.array([65536, 256, 1]))


class SixelTerminal:
    """What a terminal that knows Sixel is sent.

    Args:
        last_row: gives the screen's last row. A picture there makes terminals scroll, so it stays empty.
        cell: gives the size of a character. A picture drawn for another would reach beyond its place: it stays empty.
        repaint: has all of the screen painted again, soon.
        most: pictures that the terminal keeps, see `Pixels`. XTerm keeps 16 until they have scrolled off the screen,
            those counted that nothing is left of, and then forgets the one that is highest up. So when there are more,
            all is scrolled off and painted again.
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

    def leans(self, y: int, x: int) -> bool:
        """No tile does."""
        return False

    def paint(
        self, placed: Iterable[tuple[TilePicture, list[Placed]]], standing: Callable[[], Collection[Hashable]]
    ) -> str:
        """What shows tiles at their places."""
        parts: list[str] = []
        last, cell = self._last_row(), self._cell()
        for picture, tiles in placed:
            assert isinstance(picture, SixelPicture)
            origins: dict[tuple[int, int], set[tuple[int, int]]] = {}
            for tile in tiles:
                if tile.y < last and picture.cell == cell:
                    origins.setdefault((tile.y - tile.row, tile.x - tile.column), set()).add((tile.row, tile.column))
                else:
                    parts.append(f"\x1b[{tile.y + 1};{tile.x + 1}H ")
            for (top, left), places in origins.items():
                for box in rectangles(places):
                    parts.append(f"\x1b[{top + box[0] + 1};{left + box[1] + 1}H{picture.sequence(box)}")
                    self._kept += 1
        if 0 < self._most < self._kept:
            self._repaint()
        return "".join(parts)

    def clear(self) -> str:
        """What empties the screen."""
        self._kept = 0
        return f"\x1b[{self._last_row() + 1}S" if self._most else "\x1b[2J"

    def forget_all(self) -> str:
        """Nothing: pixels go with the characters that they stand on."""
        return ""


def rectangles(places: set[tuple[int, int]]) -> list[Box]:
    """Boxes that hold exactly these (row, column): runs of columns, joined where rows have the same ones."""
    rows: dict[int, list[int]] = {}
    for row, column in sorted(places):
        rows.setdefault(row, []).append(column)
    done: list[Box] = []
    growing: dict[tuple[int, int], int] = {}  # the row in which a run of columns began
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
