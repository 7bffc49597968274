"""A table of keys and what they do; the words of a row stay in their column, however narrow the table is."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from textual.app import RenderResult
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from xaimed_tui.widgets.words import Part

Block = tuple[str, Sequence[tuple[str, str]]]
"""A heading, and keys with what they do."""

KEYS = 12
"""Columns for the keys; longer keys push their words to the right."""


class KeyTable(Widget):
    """Blocks of keys; those without rows are left out."""

    DEFAULT_CSS = "KeyTable { height: auto; width: 100%; }"

    def __init__(self, blocks: Sequence[Block], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._blocks = [block for block in blocks if block[1]]

    def words(self, width: int) -> Content:
        """Return the table in so many columns."""
        parts: list[Part] = []
        for heading, rows in self._blocks:
            parts.append((f"{heading}\n", "bold"))
            for keys, what in rows:
                first = max(len(keys), KEYS) + 1
                # Blanks stand for the columns that long keys take of the first line while the words are wrapped.
                lead = " " * (first - KEYS - 1)
                lines = textwrap.wrap(lead + what, max(width - KEYS - 1, 10)) or [""]
                parts.append((f"{keys:<{KEYS}} ", "bold $primary"))
                parts.append("\n".join([lines[0].removeprefix(lead), *(" " * (KEYS + 1) + line for line in lines[1:])]))
                parts.append("\n")
            parts.append("\n")
        return Content.assemble(*parts).rstrip()

    def render(self) -> RenderResult:
        """Return the table in the columns there are."""
        return self.words(self.content_size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.words(width).plain.count("\n") + 1
