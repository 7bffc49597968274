"""Letters on a picture's edges, as viewers of scans have them: where in the patient they lie, and which side it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import ImageDraw

from engine.drawing.cells import letters_of
from engine.drawing.colours import BLACK, WHITE
from engine.drawing.lettering import font

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont

_ROOM = 5
"""Letters that a picture must have room for one above the other: in a smaller one they would hide what it shows."""

_BETWEEN = 0.605
"""How far down the letters of the left and right edges stand where the middles of the cells have numbers: between the
number of the middle cell and the rank of the cell below it."""


def draw_edges(
    picture: Image.Image, edges: tuple[str, str, str, str] | None, side: str = "", *, numbered: bool = False
) -> None:
    """Write letters on a picture, white with a black outline, so that they are seen on any ground.

    A picture without letters and side is left as it is, as is one that is too small for them.

    Args:
        picture: RGB; it is drawn on.
        edges: where in the patient the left, right, upper and lower edges lie, as `("R", "L", "A", "P")`; None if that
            is not known. Of several letters the first ones are written that there is room for.
        side: a word for the side of the body that it shows; may be empty.
        numbered: whether there is a number in the middle of every cell.
    """
    unit = letters_of(picture)
    width, height = picture.size
    if min(width, height) < _ROOM * unit or not (edges or side):
        return
    face, pen = font(unit, bold=True), ImageDraw.Draw(picture)
    pad = unit // 4 + _stroke(unit)
    middle = round(height * (_BETWEEN if numbered else 0.5))
    left, right, upper, lower = edges or ("", "", "", "")
    places = [
        (left, (pad, middle), "lm"),
        (right, (width - pad, middle), "rm"),
        (upper, (width // 2, pad), "mt"),
        (lower, (width // 2, height - pad), "mb"),
    ]
    if side:
        # The rank of the cell in the upper right corner begins a third of the width from it.
        above = face.getlength(side) + pad <= width / 3 - 3 * unit
        places.append((side, (width - pad, pad if above else height - pad), "rt" if above else "rb"))
    for text, place, anchor in places:
        written = text if text == side else _fitting(text, face, width // 6)
        pen.text(place, written, WHITE, face, anchor, stroke_width=_stroke(unit), stroke_fill=BLACK)


def _stroke(unit: int) -> int:
    return max(unit // 8, 2)


def _fitting(letters: str, face: FreeTypeFont, room: int) -> str:
    """Return the first of these letters, the strongest directions, as many as there is room for, but one at least."""
    return next((letters[:n] for n in range(len(letters), 1, -1) if face.getlength(letters[:n]) <= room), letters[:1])
