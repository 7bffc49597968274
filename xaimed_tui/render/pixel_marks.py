"""Draw marks in pixels: the same characters in the same places as on half blocks, as thin lines and letters."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from engine.drawing.colours import RGB, text_on
from engine.drawing.lettering import font

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFont import FreeTypeFont

    from xaimed_tui.render.marks import Marks

INKS: tuple[RGB, ...] = ((0, 0, 0), (255, 255, 255), (255, 225, 60))
"""The colours that marks are drawn in."""
_BLACK, _WHITE, _YELLOW = range(3)

_ARMS = {
    "━": "lr", "╍": "lr", "═": "lr",
    "┃": "ud", "╏": "ud", "║": "ud",
    "┏": "rd", "┓": "ld", "┗": "ru", "┛": "lu",
    "╔": "rd", "╗": "ld", "╚": "ru", "╝": "lu",
}  # fmt: skip
"""Where a line goes from the middle of its character: left, right, up, down."""
_ROOM_FOR_BOLD = 8
"""Width of a character, in pixels, from which its letters are bold."""
_DASHED = "╍╏"
_DOUBLE = "═║╔╗╚╝"


def draw_marks(
    indices: NDArray[np.uint8],
    marks: Marks,
    cell: tuple[int, int],
    plates: tuple[RGB, ...] = (),
    *,
    stark: bool = False,
) -> NDArray[np.uint8]:
    """Return a copy of the pixels with the marks on it: (h, w) uint8.

    Args:
        indices: (h, w) uint8, each pixel's place in a palette that begins with `INKS` and `plates`.
        marks: by row and column of characters.
        cell: height and width of a character in pixels.
        plates: the colours behind the numbers, by `Mark.plate`.
        stark: whether numbers are white on black in the middle of their plates.
    """
    out = indices.copy()
    high, wide = cell
    for (row, column), mark in marks.items():
        part = out[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        ink = _YELLOW if mark.kind == "pointer" else _WHITE
        if mark.kind == "count" and (mark.character == " " or not stark):
            part[:] = len(INKS) + mark.plate
            ink = _BLACK if text_on(plates[mark.plate]) == INKS[_BLACK] else _WHITE
        elif mark.kind == "badge":
            part[:], ink = _WHITE, _BLACK
        elif mark.kind in ("open badge", "count"):
            part[:] = _BLACK
        if mark.character in _ARMS:
            line, ground = _line(mark.character, cell)
            part[ground] = _BLACK
            part[line] = ink
        else:
            if mark.kind == "pointer":
                part[:] = _BLACK
            part[_letter(mark.character, cell)] = ink
    return out


@lru_cache(maxsize=64)
def _line(character: str, cell: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a line's own pixels, and those of the line with the dark border that makes it visible on any tissue."""
    high, wide = cell
    arms, unit = _ARMS[character], max(round(wide / 10), 1)
    ground = _strokes(arms, cell, 7 * unit if character in _DOUBLE else 4 * unit)
    if character in _DOUBLE:
        # A double line is a thick one without its middle.
        return _strokes(arms, cell, 5 * unit) & ~_strokes(arms, cell, unit), ground
    line = _strokes(arms, cell, 2 * unit)
    if character in _DASHED:
        # Two dashes and two gaps in each character.
        across = np.arange(wide) * 4 // wide % 2 == 0
        down = np.arange(high) * 4 // high % 2 == 0
        line &= across[None, :] if arms == "lr" else down[:, None]
    return line, ground


def _strokes(arms: str, cell: tuple[int, int], thick: int) -> NDArray[np.bool_]:
    """Return strokes from the middle to the sides."""
    high, wide = cell
    top, left = max((high - thick) // 2, 0), max((wide - thick) // 2, 0)
    out = np.zeros(cell, dtype=bool)
    for arm in arms:
        match arm:
            case "l":
                out[top : top + thick, : left + thick] = True
            case "r":
                out[top : top + thick, left:] = True
            case "u":
                out[: top + thick, left : left + thick] = True
            case "d":
                out[top:, left : left + thick] = True
    return out


@lru_cache(maxsize=8)
def _face(cell: tuple[int, int]) -> FreeTypeFont:
    """Return the largest font whose letters fit into a character with all their strokes."""
    high, wide = cell
    for size in range(round(high * 0.75), 5, -1):
        face = font(size, bold=wide >= _ROOM_FOR_BOLD)
        left, top, right, bottom = face.getbbox("0")
        if right - left <= wide and bottom - top <= high and face.getlength("0") <= wide + 0.5:
            return face
    return font(5)


@lru_cache(maxsize=256)
def _letter(character: str, cell: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of a letter in the middle of its character."""
    high, wide = cell
    # In mode 1 Pillow draws no shades between ink and ground, which the palette does not have.
    sheet = Image.new("1", (wide, high))
    ImageDraw.Draw(sheet).text((wide / 2, high / 2), character, fill=1, font=_face(cell), anchor="mm")
    return np.asarray(sheet)
