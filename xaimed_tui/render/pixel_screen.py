"""Send the terminal only what it does not show already, and turn tiles into pixels as they are painted.

Textual's compositor decides what each character shows: a piece of text, or a tile of a picture. It may do so several
times for one change, and for the whole screen. This module writes the change, but what the screen shows already costs
nothing, for example when a dialog opens. Text is compared in the pieces in which widgets are painted, tiles one by one;
new tiles go to the protocol. So each character shows what it should, whatever moves, covers or scrolls a picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from xaimed_tui.render.tiles import PLACEHOLDER, Places, Tile, tile_of
from xaimed_tui.terminal.textual_private import ChopsUpdate, CompositorUpdate, LayoutUpdate

if TYPE_CHECKING:
    from rich.console import Console
    from textual.geometry import Size
    from textual.strip import Strip

# Written as what is settled: `re` takes 11 ms to compile the long ranges of the others, before the first paint.
_DISPUTED = re.compile("[^\0-\u02ff\u0370-\u0482\u2000-\u25ff]")
"""Characters of scripts, symbols and emoji whose width depends on the terminal, its font and its version of Unicode."""


class PixelProtocol(Protocol):
    """How tiles get onto a terminal."""

    def continues_left(self, y: int, x: int) -> bool:
        """Whether a tile needs the one at its left, and must be painted again when that one is gone."""
        ...

    def paint(self, tiles: Places, standing: Callable[[], Places]) -> str:
        """Return what draws tiles at their places; `standing` returns all tiles on the screen after that."""
        ...

    def clear(self) -> str:
        """Return what empties the screen."""
        ...

    def forget_all(self) -> str:
        """Return what makes the terminal drop all pictures."""
        ...


class PixelScreen:
    """What a screen shows, and what must be sent to change it.

    Args:
        protocol: how tiles get there; None if there are no tiles.
    """

    def __init__(self, protocol: PixelProtocol | None = None) -> None:
        self.protocol = protocol
        self._texts: dict[int, dict[int, tuple[int, str]]] = {}  # by row and first column: the end, and what wrote it
        self._standing: dict[int, dict[int, tuple[Hashable, Tile]]] = {}
        self._cleared = True
        self._size: Size | None = None

    def update(self, update: CompositorUpdate) -> CompositorUpdate:
        """Return the update without what the screen shows already, and with pixels instead of tiles."""
        if isinstance(update, LayoutUpdate) and update.region.size != self._size:
            # What was last written for the old size may have arrived after the terminal changed, in the wrong place.
            if self._size is not None:
                self.forget()
            self._size = update.region.size
        return _PixelUpdate(self, update) if isinstance(update, LayoutUpdate | ChopsUpdate) else update

    def forget(self, *, pictures: bool = False) -> None:
        """Forget what the screen shows, for example after a change of size: all of it will be painted again.

        Args:
            pictures: whether the terminal may also have lost the pictures that it was to keep.
        """
        self._standing.clear()
        self._texts.clear()
        if self.protocol is not None:
            self._cleared = False
            if pictures:
                # Its sequences are not sent: the pictures will be sent again under the same numbers.
                self.protocol.forget_all()

    def standing(self) -> Places:
        """Return all tiles on the screen."""
        return {(y, x): tile for y, row in self._standing.items() for x, (_, tile) in row.items()}

    def written(self, pieces: Iterable[tuple[int, int, Strip]], console: Console) -> str:
        """Return what writes lines at their places (y, x)."""
        parts: list[str] = []
        if not self._cleared and self.protocol is not None:
            parts.append(self.protocol.clear())
            self._cleared = True
        wanted: Places = {}
        right_of_written: list[tuple[int, int]] = []
        cursor: tuple[int, int] | None = None
        for y, x, strip in pieces:
            for text, length, tile_text in _parts(strip, console):
                if tile_text is None:
                    if self._take_place(y, x, x + length, text):
                        if cursor != (y, x):
                            parts.append(f"\x1b[{y + 1};{x + 1}H")
                        end = x + length
                        if _DISPUTED.search(text):
                            # The terminal may end it before or after `end`: leave nothing old in a gap, put back what
                            # it may have covered, and do not rely on where the cursor is.
                            parts.append(f"{' ' * length}\x1b[{y + 1};{x + 1}H{text}")
                            if (right := self._texts[y].get(end)) is not None:
                                parts.append(f"\x1b[{y + 1};{end + 1}H{right[1]}")
                            cursor = None
                        else:
                            parts.append(text)
                            cursor = (y, end)
                        right_of_written.append((y, end))
                elif (tile := tile_of(tile_text)) is not None:
                    key, row = tile.picture.key(tile.row, tile.column), self._standing.setdefault(y, {})
                    if x not in row or row[x][0] != key:
                        self._forget_texts(y, x, x + 1)
                        wanted[y, x] = tile
                        right_of_written.append((y, x + 1))
                    # Noted even if it looks the same: `standing` must name the picture that is shown now.
                    row[x] = key, tile
                x += length
        if self.protocol is not None:
            # A tile that continued the one at its left has lost it, and needs its own row and column.
            for y, x in right_of_written:
                if (stands := self._standing.get(y, {}).get(x)) is not None and self.protocol.continues_left(y, x):
                    wanted.setdefault((y, x), stands[1])
            if wanted:
                parts.append(self.protocol.paint(wanted, self.standing))
        return "".join(parts)

    def _take_place(self, y: int, start: int, end: int, text: str) -> bool:
        """Note text from column `start` to `end`; return whether it must be written because it is not there yet."""
        texts = self._texts.setdefault(y, {})
        if texts.get(start) == (end, text):
            return False
        self._forget_texts(y, start, end)
        texts[start] = end, text
        if row := self._standing.get(y):
            for column in range(start, end):
                row.pop(column, None)
        return True

    def _forget_texts(self, y: int, start: int, end: int) -> None:
        """Forget the texts that something else overwrites."""
        texts = self._texts.get(y, {})
        for first in [first for first, (last, _) in texts.items() if first < end and last > start]:
            del texts[first]


def _parts(strip: Strip, console: Console) -> Iterator[tuple[str, int, str | None]]:
    """Yield a line's parts: (what writes it, columns, None) for text, ("", 1, its text) for a tile."""
    if PLACEHOLDER not in strip.text:
        yield strip.render(console), strip.cell_length, None
        return
    for segment in strip:
        if segment.text.startswith(PLACEHOLDER):
            # A blank, because a placeholder whose picture is gone would show as a stray sign.
            yield (" ", 1, None) if tile_of(segment.text) is None else ("", 1, segment.text)
        elif segment.text:
            piece = type(strip)([segment])
            yield piece.render(console), piece.cell_length, None


class _PixelUpdate(CompositorUpdate):
    """An update of the compositor, written for a terminal that shows pixels."""

    def __init__(self, screen: PixelScreen, update: LayoutUpdate | ChopsUpdate) -> None:
        self._screen, self._update = screen, update

    def render_segments(self, console: Console) -> str:
        return self._screen.written(_pieces(self._update), console)


def _pieces(update: LayoutUpdate | ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield the (y, x, line) that an update paints."""
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in line:
                yield y, x, strip
                x += strip.cell_length
        return
    for y, first, last in update.spans:
        for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            start, stop = max(x, first), min(end, last)
            if chop is not None and start < stop:
                yield y, start, chop.crop(start - x, stop - x)
