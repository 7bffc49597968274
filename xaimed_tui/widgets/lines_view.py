"""Many lines of text under a scroll bar, none of them cut: a line too long for the view goes on in the next row."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.cells import chop_cells, set_cell_size
from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.text import safe_text

Look = Literal["plain", "marked", "strong"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a `LinesView`.

    Attributes:
        text: from wherever; it is made safe where it is drawn.
        margin: what stands before it, such as its number.
        look: `marked` for what deserves a look, `strong` for a heading.
    """

    text: str
    margin: str = ""
    look: Look = "plain"


class LinesView(ScrollView, can_focus=True):
    """Lines wrapped at the width of the view; only the rows on the screen are drawn.

    Args:
        lines: what to show.
        prose: break lines at spaces. Otherwise each row is full, so that not even a space is missing (code).
    """

    DEFAULT_CSS = """
    LinesView { overflow-x: hidden; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    LinesView > .lines--margin { color: $text-muted; }
    LinesView > .lines--marked { color: $text-warning; }
    LinesView > .lines--strong { text-style: bold; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--margin", "lines--marked", "lines--strong"}

    GOES_ON = "↳"
    """Stands in the margin of a row that belongs to the line above it."""

    def __init__(self, lines: Iterable[Line], *, prose: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = tuple(lines)
        self._prose = prose
        self._rows: list[tuple[str, str, Look]] = []
        self._margin = self._width = 0

    def show(self, lines: Iterable[Line]) -> None:
        """Show other lines, from the first one on."""
        self._lines = tuple(lines)
        self._wrap()
        self.scroll_home(animate=False)

    def on_resize(self, event: events.Resize) -> None:
        width = self.scrollable_content_region.width
        if width != self._width and width > 0:
            self._width = width
            self._wrap()

    def _wrap(self) -> None:
        self._margin = max((len(line.margin) for line in self._lines), default=0)
        self._rows = [row for line in self._lines for row in self._wrapped(line)]
        self.virtual_size = Size(self._width, len(self._rows))
        self.refresh()

    def _wrapped(self, line: Line) -> Sequence[tuple[str, str, Look]]:
        text = safe_text(line.text, multiline=True).replace("\n", " ")
        width = max(self._width - self._margin - 1, 1)
        pieces = (_prose(text, width) if self._prose else _pieces(text, width)) or [""]
        return [
            ((line.margin if index == 0 else self.GOES_ON).rjust(self._margin)[: self._margin], piece, line.look)
            for index, piece in enumerate(pieces)
        ]

    def render_line(self, y: int) -> Strip:
        index = y + round(self.scroll_y)
        base, width = self.rich_style, self.scrollable_content_region.width
        if index >= len(self._rows):
            return Strip.blank(width, base)
        margin, text, look = self._rows[index]
        beside = base + self.get_component_rich_style("lines--margin", partial=True)
        style = base if look == "plain" else base + self.get_component_rich_style(f"lines--{look}", partial=True)
        if look == "marked":
            beside = style
        lead = f"{margin} " if self._margin else ""
        return Strip([Segment(lead, beside), Segment(set_cell_size(text, max(width - len(lead), 0)), style)], width)


def _prose(text: str, width: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()) + 2) if text.startswith(" ") else ""
    rows = textwrap.wrap(text, width, subsequent_indent=indent[: width // 2], replace_whitespace=False)
    return [piece for row in rows for piece in _pieces(row, width)]  # wide letters take two columns


def _pieces(text: str, width: int) -> list[str]:
    if text.isascii():  # most code, and quicker
        return [text[start : start + width] for start in range(0, len(text), width)]
    return chop_cells(text, width)
