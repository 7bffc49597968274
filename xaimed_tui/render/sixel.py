"""Encode pixels as Sixel, which most terminals that can show pixels understand.

Six rows of pixels make a band. Each row is painted down to the end of its band, and the next one over it where it
differs. So a square of one colour costs one row in each band. https://vt100.net/docs/vt3xx-gp/chapter14.html
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from xaimed_tui.render.composing import Grain, compose, draw_grid, shows_grid
from xaimed_tui.render.pixel_marks import INKS, draw_marks
from xaimed_tui.render.plates import plates_of
from xaimed_tui.render.tiles import TilePicture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xaimed_tui.render.marks import Marks
    from xaimed_tui.render.placement import Placement
    from xaimed_tui.render.spec import PictureSpec
    from xaimed_tui.terminal.query import Pixels

_BAND = 6
_SKIP = -1


_MOST_POINTS = 40_000
"""Most points in which a picture is drawn unless its own pixels are larger: some six bytes each, but 25 times as many
as half blocks show."""

_SHARP_FROM = 4
"""Enlargement from which an image's pixels stay squares of one colour, see `engine.drawing.scaling`."""

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in tiles, the last two exclusive."""


def percent(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert colours to Sixel's range, 0 to 100 for each component."""
    # Half the divisor more rounds to the nearest.
    return ((colours.astype(int) * 100 + 127) // 255).astype(np.uint8)


def sixel(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> str:
    """Return the sequence that draws pixels from the cursor on, to the right and down.

    Args:
        indices: (h, w) uint8, the place of each pixel's colour in the palette.
        palette: (n, 3) uint8 in percent, at most 256 colours.
    """
    height, width = indices.shape
    used = np.unique(indices)
    names = np.zeros(256, dtype=np.intp)
    names[used] = np.arange(len(used))
    # 7;1: square pixels, and those not painted stay as they are; then the size, for terminals that make room first.
    parts = [f'\x1bP7;1;0q"1;1;{width};{height}']
    parts += [f"#{name};2;{red};{green};{blue}" for name, (red, green, blue) in enumerate(palette[used].tolist())]
    rows = names[indices]
    for top in range(0, height, _BAND):
        band = rows[top : top + _BAND]
        colour = _SKIP
        for row in range(len(band)):
            line = band[row]
            if row:
                line = np.where(line != band[row - 1], line, _SKIP)
                if (line == _SKIP).all():
                    continue
                parts.append("$")
            # This row and those below it in the band. A sixel is 63 plus one bit a row, the lowest for the topmost row.
            bits = (1 << len(band)) - (1 << row)
            text, colour = _painted(line, chr(63 + bits), colour)
            parts.append(text)
        parts.append("-")
    # The end takes the place of the last `-`, which would move the cursor down another band.
    parts[-1] = "\x1b\\"
    return "".join(parts)


def _painted(line: NDArray[np.intp], character: str, colour: int) -> tuple[str, int]:
    """Return a row's colours from left to right, and the colour that is selected after them."""
    starts = [0, *(np.flatnonzero(line[1:] != line[:-1]) + 1).tolist()]
    names = line[starts].tolist()
    if names[-1] == _SKIP:  # nothing to paint up to the end of the row: nothing to skip either
        end = starts.pop()
        names.pop()
    else:
        end = len(line)
    parts = []
    for name, start, stop in zip(names, starts, [*starts[1:], end], strict=True):
        if name == _SKIP:
            parts.append(_repeated("?", stop - start))
            continue
        if name != colour:
            parts.append(f"#{name}")
            colour = name
        parts.append(_repeated(character, stop - start))
    return "".join(parts), colour


def _repeated(character: str, times: int) -> str:
    # `!4x` is shorter than `xxxx`, but `!3x` is as long as `xxx`.
    return f"!{times}{character}" if times > 3 else character * times


class SixelPicture(TilePicture):
    """Pixels for `rows` x `columns` characters of `cell` (height, width) pixels.

    Args:
        indices: (rows * cell[0], columns * cell[1]) uint8, places in the palette.
        palette: (n, 3) uint8 in percent.
        cell: height and width of a character in pixels.

    Attributes:
        whole: the box that holds all tiles.
    """

    def __init__(self, indices: NDArray[np.uint8], palette: NDArray[np.uint8], cell: tuple[int, int]) -> None:
        super().__init__()
        self._indices, self._palette, self.cell = indices, palette, cell
        rows, columns = indices.shape[0] // cell[0], indices.shape[1] // cell[1]
        tiles = palette[indices].reshape(rows, cell[0], columns, cell[1], 3).swapaxes(1, 2)
        self._keys = [[hash(tiles[row, column].tobytes()) for column in range(columns)] for row in range(rows)]
        self.whole: Box = (0, 0, rows, columns)
        self._whole_sequence = self._encoded(self.whole)  # now, in the worker, rather than while the screen is painted

    def key(self, row: int, column: int) -> Hashable:
        """Return a digest of the tile's pixels."""
        return self._keys[row][column]

    def sequence(self, box: Box) -> str:
        """Return what draws some of the tiles from the cursor on."""
        return self._whole_sequence if box == self.whole else self._encoded(box)

    def _encoded(self, box: Box) -> str:
        high, wide = self.cell
        top, left, bottom, right = box
        return sixel(self._indices[top * high : bottom * high, left * wide : right * wide], self._palette)


def sixel_picture(
    spec: PictureSpec, placement: Placement, marks: Marks, pixels: Pixels, *, stark: bool = False
) -> SixelPicture:
    """Draw the visible part of a picture with its marks; `stark` as in `render`."""
    cell = pixels.cell
    if cell is None:
        raise ValueError("Sixel needs the size of a character in pixels")
    grain = _grain(spec, placement, cell)
    points = compose(spec, placement, grain)
    if shows_grid(spec, placement):
        points = draw_grid(points, placement, grain)
    plates = plates_of(spec)
    inks = np.array([*INKS, *plates], dtype=np.uint8)
    small, palette = _in_palette(points, pixels.colours - len(inks))
    indices = small[np.ix_(_nearest(grain[0], cell[0], placement.rows), _nearest(grain[1], cell[1], placement.columns))]
    indices = draw_marks(indices + np.uint8(len(inks)), marks, cell, plates, stark=stark)
    return SixelPicture(indices, percent(np.concatenate([inks, palette])), cell)


def _grain(spec: PictureSpec, placement: Placement, cell: tuple[int, int]) -> Grain:
    """Return the points of a character: its pixels, unless these would be too many points of different colours."""
    height, width = spec.pixels.shape[:2]
    if min(placement.whole_rows * cell[0] / height, placement.whole_columns * cell[1] / width) >= _SHARP_FROM:
        return cell
    pixels = placement.rows * cell[0] * placement.columns * cell[1]
    # A root, because the number of points shrinks with both sides.
    side = max(math.sqrt(pixels / _MOST_POINTS), 1.0)
    return max(math.floor(cell[0] / side), 2), max(math.floor(cell[1] / side), 1)


def _nearest(points: int, pixels: int, characters: int) -> NDArray[np.intp]:
    """Return the point that each pixel shows."""
    return np.arange(pixels * characters) * points // pixels


def _in_palette(points: NDArray[np.uint8], most: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (h, w) uint8 places in a palette and the palette (n, 3): the picture's own colours if few enough."""
    from PIL import Image

    picture = Image.fromarray(points)
    # Pillow returns None if there are more colours than that.
    if (own := picture.getcolors(most)) is not None:
        palette = np.array(sorted(colour for _, colour in own), dtype=np.uint8)
        return np.searchsorted(_packed(palette), _packed(points)).astype(np.uint8), palette
    picture = picture.quantize(most, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
    palette = np.array(picture.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return np.asarray(picture), palette[:most]


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return colours (..., 3) as one number each, which sort as the triples do."""
    return np.asarray(colours.astype(np.int64) @ np.array([65536, 256, 1]))
