"""Many lines of text with a scroll bar, none of them cut: a line too long for the view continues in the next row."""

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

Emphasis = Literal["plain", "marked", "strong"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a `LinesView`.

    Attributes:
        text: from any source; it is made safe where it is drawn.
        margin: what is shown before it, such as its number.
        emphasis: `marked` for what deserves attention, `strong` for a heading.
    """

    text: str
    margin: str = ""
    emphasis: Emphasis = "plain"


class LinesView(ScrollView, can_focus=True):
    """Lines wrapped at the width of the view; only the rows on the screen are drawn.

    Args:
        lines: what to show.
        prose: break lines at spaces. Otherwise (code) each row is full, so that not even a space is missing.
    """

    DEFAULT_CSS = """
    LinesView { overflow-x: hidden; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    LinesView > .lines--margin { color: $text-muted; }
    LinesView > .lines--marked { color: $text-warning; }
    LinesView > .lines--strong { text-style: bold; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--margin", "lines--marked", "lines--strong"}

    GOES_ON = "↳"
    """In the margin of a row that continues the line above it."""

    def __init__(self, lines: Iterable[Line], *, prose: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = tuple(lines)
        self._prose = prose
        self._rows: list[tuple[str, str, Emphasis]] = []
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

    def _wrapped(self, line: Line) -> Sequence[tuple[str, str, Emphasis]]:
        text = safe_text(line.text, multiline=True).replace("\n", " ")
        width = max(self._width - self._margin - 1, 1)
        pieces = (_prose(text, width) if self._prose else _pieces(text, width)) or [""]
        return [
            ((line.margin if index == 0 else self.GOES_ON).rjust(self._margin)[: self._margin], piece, line.emphasis)
            for index, piece in enumerate(pieces)
        ]

    def render_line(self, y: int) -> Strip:
        index = y + round(self.scroll_y)
        base, width = self.rich_style, self.scrollable_content_region.width
        if index >= len(self._rows):
            return Strip.blank(width, base)
        margin, text, emphasis = self._rows[index]
        side = base + self.get_component_rich_style("lines--margin", partial=True)
        style = base
        if emphasis != "plain":
            style = base + self.get_component_rich_style(f"lines--{emphasis}", partial=True)
        if emphasis == "marked":
            side = style
        lead = f"{margin} " if self._margin else ""
        return Strip([Segment(lead, side), Segment(set_cell_size(text, max(width - len(lead), 0)), style)], width)


def _prose(text: str, width: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()) + 2) if text.startswith(" ") else ""
    rows = textwrap.wrap(text, width, subsequent_indent=indent[: width // 2], replace_whitespace=False)
    return [piece for row in rows for piece in _pieces(row, width)]  # wide letters take two columns


def _pieces(text: str, width: int) -> list[str]:
    if text.isascii():  # most code, and quicker
        return [text[start : start + width] for start in range(0, len(text), width)]
    return chop_cells(text, width)
