"""The characters drawn over a picture: cells and counts can be told apart without colour.

A settled cell has a solid heavy outline and its rank (`1`). A cell whose place is not settled has a dashed outline and
a question mark (`3?`, or `?` outside of the three). The cell pointed out has a double outline. Counts are in the middle
of their cells. Letters on the edges say where in the patient these lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.results.cells import CELLS, Cell

if TYPE_CHECKING:
    from xaimed_tui.render.placement import Placement
    from xaimed_tui.render.spec import PictureSpec

Kind = Literal["line", "open line", "pointer", "badge", "open badge", "count"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One character instead of a half block; for a number also its place in `plates_of`, which decides its colour."""

    character: str
    kind: Kind
    plate: int = 0


Marks = dict[tuple[int, int], Mark]
"""Marks by (row, column) of characters within the picture."""

SOLID = "┏━┓┃┗┛"
DASHED = "┏╍┓╏┗┛"
DOUBLE = "╔═╗║╚╝"

_WHOLE_OUTLINE = (12, 6)
"""Columns and rows that a cell needs for a whole outline; of smaller cells only the corners are marked."""
_CORNERS = (5, 3)
"""Columns and rows that a cell needs for corners; a smaller cell has its rank in its middle."""
_LETTERED = (9, 5)
"""Columns and rows that a picture needs for the letters on its edges."""
_ALL_LETTERS = 36
"""Columns from which an edge between two directions has the letters of both."""
_PLATE = (9, 5)
"""Columns and rows that a cell needs for a large plate behind its count."""


def marks_of(spec: PictureSpec, placement: Placement) -> Marks:
    """Return all marks of a picture; none if it is too small to have cells."""
    marks: Marks = {}
    if not placement.has_cells:
        return marks
    if spec.style == "agreement" and spec.counts is not None:
        for cell in CELLS:
            if (box := placement.seen(placement.box(cell))) is not None:
                count = int(spec.counts[cell])
                _number(marks, box, f"{count}?" if cell in spec.ties else str(count), count)
        _exact(marks, spec, placement, "E")
    elif spec.style == "exact" and spec.signed is not None:
        for place, cell in enumerate(CELLS):
            if (box := placement.seen(placement.box(cell))) is not None:
                _number(marks, box, signed_text(float(spec.signed[cell]), box[3] - box[1]), place)
        _exact(marks, spec, placement)
    elif spec.style != "image":
        for cell in spec.ties:
            if cell not in spec.top:
                _outline(marks, placement.box(cell), DASHED, "open line")
                _badge(marks, placement.seen(placement.box(cell)), "?", "open badge")
        for rank, cell in enumerate(spec.top, start=1):
            unsettled = cell in spec.ties
            _outline(marks, placement.box(cell), DASHED if unsettled else SOLID, "open line" if unsettled else "line")
            _badge(
                marks,
                placement.seen(placement.box(cell)),
                f"{rank}?" if unsettled else str(rank),
                "open badge" if unsettled else "badge",
            )
    _where(marks, spec, placement)
    # Last, so that the cell pointed out keeps its outline whatever its rank.
    if spec.highlight is not None:
        _outline(marks, placement.box(spec.highlight), DOUBLE, "pointer")
        _brackets(marks, placement.box(spec.highlight))
    rows, columns = range(placement.rows), range(placement.columns)
    return {place: mark for place, mark in marks.items() if place[0] in rows and place[1] in columns}


def signed_text(value: float, columns: int = 5) -> str:
    """Return a signed number in so many columns: `+0.31`, `+.31`, or its sign alone."""
    text = f"{value:+.2f}"
    if text in ("+0.00", "-0.00"):
        text = " 0.00" if columns > 4 else "0"
    if columns >= 5:
        return text
    return text.replace("0.", ".", 1) if columns == 4 else text[0]


def _exact(marks: Marks, spec: PictureSpec, placement: Placement, prefix: str = "") -> None:
    """Outline the exact three, the firm ones with solid lines and, where there is room, with the word."""
    for rank, cell in enumerate(spec.exact, start=1):
        firm = cell in spec.firm
        box = placement.seen(placement.box(cell))
        if box is None or box[3] - box[1] < _CORNERS[0] or box[2] - box[0] < _CORNERS[1]:
            continue  # a badge would lie on the number, which says more
        _outline(marks, placement.box(cell), SOLID if firm else DASHED, "line" if firm else "open line")
        text = f"{prefix}{rank}"
        if firm and not prefix and box[3] - box[1] >= len(text) + 7:
            text += " firm"
        _badge(marks, box, text, "badge" if firm else "open badge")


def _where(marks: Marks, spec: PictureSpec, placement: Placement) -> None:
    """Say on the edges where in the patient they lie, and in the upper right corner which side of the body this is."""
    columns, rows = placement.columns, placement.rows
    if columns < _LETTERED[0] or rows < _LETTERED[1]:
        return
    most = None if columns >= _ALL_LETTERS else 1
    left, right, upper, lower = (text[:most] for text in spec.edges)
    _write(marks, left, (rows // 2, 0), [(step, 0) for step in _outwards(rows // 2 - 1)])
    _write(marks, right, (rows // 2, columns - len(right)), [(step, 0) for step in _outwards(rows // 2 - 1)])
    for text, row in ((upper, 0), (lower, rows - 1)):
        _write(marks, text, (row, (columns - len(text)) // 2), [(0, step) for step in _outwards(columns // 2 - 4)])
    side = f" {spec.side} " if spec.side else ""
    _write(marks, side, (0, columns - len(side)), [(0, -step) for step in range(columns - len(side))])


def _outwards(most: int) -> list[int]:
    """Return 0, 1, -1, 2, -2 and so on."""
    return sorted(range(-most, most + 1), key=lambda step: (abs(step), -step))


def _write(marks: Marks, text: str, place: tuple[int, int], steps: list[tuple[int, int]]) -> None:
    """Write at the first of these steps from a place where no number is hidden or touched; nowhere if there is none."""
    for down, right in steps:
        row, column = place[0] + down, place[1] + right
        around = [(row, x) for x in range(column - 1, column + len(text) + 1)]
        if all(each not in marks or marks[each].kind in ("line", "open line") for each in around):
            marks.update(((row, column + i), Mark(letter, "open badge")) for i, letter in enumerate(text))
            return


def by_row(marks: Marks) -> dict[int, list[tuple[int, Mark]]]:
    """Return the marks of each row that has any, each with its column."""
    rows: dict[int, list[tuple[int, Mark]]] = {}
    for (row, column), mark in marks.items():
        rows.setdefault(row, []).append((column, mark))
    return rows


def letters(spec: PictureSpec, columns: int) -> str:
    """Return a picture's marks in one line, for boxes too small to draw them: `1bc 2br 3mc`, `100 020 243`."""
    if spec.style == "agreement" and spec.counts is not None:
        rows = [
            "".join(f"{int(count)}{'?' if (y, x) in spec.ties else ''}" for x, count in enumerate(row))
            for y, row in enumerate(spec.counts)
        ]
        return (" " if columns >= len(" ".join(rows)) else "").join(rows)
    if spec.style == "image":
        return ""
    if spec.style == "exact":
        return " ".join(f"{rank}{_letters_of(cell)}" for rank, cell in enumerate(spec.exact, start=1)) or "no cell"
    return " ".join(
        f"{rank}{'?' if cell in spec.ties else ''}{_letters_of(cell)}" for rank, cell in enumerate(spec.top, start=1)
    )


def _letters_of(cell: Cell) -> str:
    return "tmb"[cell[0]] + "lcr"[cell[1]]


def _outline(marks: Marks, box: tuple[int, int, int, int], shape: str, kind: Kind) -> None:
    top, left, bottom, right = box
    columns, rows = right - left, bottom - top
    if columns < _CORNERS[0] or rows < _CORNERS[1]:
        return
    corner_tl, across, corner_tr, down, corner_bl, corner_br = tuple(shape)
    low, far = bottom - 1, right - 1
    if columns >= _WHOLE_OUTLINE[0] and rows >= _WHOLE_OUTLINE[1]:
        horizontal, vertical = [*range(left + 1, far)], [*range(top + 1, low)]
    else:
        arm = (columns - 2) // 4 if columns > 8 else int(columns > 6)
        horizontal = [*range(left + 1, left + 1 + arm), *range(far - arm, far)]
        vertical = []
    for x in horizontal:
        _put(marks, (top, x), across, kind)
        _put(marks, (low, x), across, kind)
    for y in vertical:
        _put(marks, (y, left), down, kind)
        _put(marks, (y, far), down, kind)
    for place, corner in (
        ((top, left), corner_tl),
        ((top, far), corner_tr),
        ((low, left), corner_bl),
        ((low, far), corner_br),
    ):
        _put(marks, place, corner, kind)


def _brackets(marks: Marks, box: tuple[int, int, int, int]) -> None:
    """Mark the cell pointed out where there is no room for an outline: `[1]`."""
    top, left, bottom, right = box
    if right - left >= _CORNERS[0] and bottom - top >= _CORNERS[1]:
        return
    row = top + (bottom - top - 1) // 2
    marks[row, left] = Mark("[", "pointer")
    if right - left > 1:
        marks[row, right - 1] = Mark("]", "pointer")


def _put(marks: Marks, place: tuple[int, int], character: str, kind: Kind) -> None:
    """Draw a line, but not through a rank."""
    if place not in marks or not marks[place].kind.endswith("badge"):
        marks[place] = Mark(character, kind)


def _badge(marks: Marks, box: tuple[int, int, int, int] | None, text: str, kind: Kind) -> None:
    """Put a rank on the cell's upper outline, beside its corner, or in the middle of a cell without an outline.

    If only a part of the cell is visible, the rank is on that part; a cell that is not visible has none.
    """
    if box is None:
        return
    top, left, bottom, right = box
    columns, rows = right - left, bottom - top
    if columns >= _CORNERS[0] and rows >= _CORNERS[1]:
        x, y = left + 1, top
        if columns >= len(text) + 4:
            text = f" {text} "
    else:
        text = text[:columns]
        x, y = left + (columns - len(text)) // 2, top + (rows - 1) // 2
    for i, character in enumerate(text):
        marks[y, x + i] = Mark(character, kind)


def _number(marks: Marks, box: tuple[int, int, int, int], text: str, plate: int) -> None:
    """Put a number on a plate in the middle of its cell, which grows with the cell."""
    top, left, bottom, right = box
    columns, rows = right - left, bottom - top
    wide, high = (5, 3) if columns >= _PLATE[0] and rows >= _PLATE[1] else (3 if columns >= 5 else 1, 1)
    wide = max(wide, min(len(text), columns))
    x, y = left + (columns - wide) // 2, top + (rows - high) // 2
    for row in range(high):
        line = text.center(wide) if row == high // 2 else " " * wide
        for i, character in enumerate(line[:wide]):
            marks[y + row, x + i] = Mark(character, "count", plate)
