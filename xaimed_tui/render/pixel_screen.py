"""What stands on the terminal: nothing is sent that stands there already, and tiles become pixels as they are painted.

Textual's compositor decides what is to be seen in each character: which text, or of which picture which tile. It may do
so several times for one change, and for all of the screen. Here that is written, but what stands there already, as when
a dialog opens beside it, costs nothing. Text is compared in the pieces that widgets are painted in, tiles one by one;
new tiles go to the protocol. So whatever moves, covers or scrolls a picture, each character shows what it should.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from xaimed_tui.render.tiles import PLACEHOLDER, Places, Tile, tile_of
from xaimed_tui.terminal.textual_private import ChopsUpdate, CompositorUpdate, LayoutUpdate

if TYPE_CHECKING:
    from rich.console import Console
    from textual.geometry import Size
    from textual.strip import Strip


class PixelProtocol(Protocol):
    """How tiles get onto a terminal."""

    def leans(self, y: int, x: int) -> bool:
        """Whether the tile at a place needs the one at its left, and must be painted again when that has gone."""
        ...

    def paint(self, tiles: Places, standing: Callable[[], Places]) -> str:
        """What shows tiles at their places; `standing` gives all that are on the screen then."""
        ...

    def clear(self) -> str:
        """What empties the screen."""
        ...

    def forget_all(self) -> str:
        """What leaves nothing of the pictures at the terminal."""
        ...


class PixelScreen:
    """What stands on a screen, and what must be sent so that something else does.

    Args:
        protocol: how tiles get there; None where there are none.
    """

    def __init__(self, protocol: PixelProtocol | None = None) -> None:
        self.protocol = protocol
        self._texts: dict[int, dict[int, tuple[int, str]]] = {}  # by row and first column: the end, and what wrote it
        self._standing: dict[int, dict[int, tuple[Hashable, Tile]]] = {}
        self._cleared = True
        self._size: Size | None = None

    def update(self, update: CompositorUpdate) -> CompositorUpdate:
        """The same update without what stands there, and with pixels in the place of tiles."""
        if isinstance(update, LayoutUpdate) and update.region.size != self._size:
            # What was last written for another size may have come when the terminal had this one, and lie elsewhere.
            if self._size is not None:
                self.forget()
            self._size = update.region.size
        return _PixelUpdate(self, update) if isinstance(update, LayoutUpdate | ChopsUpdate) else update

    def forget(self, *, pictures: bool = False) -> None:
        """What stands on the screen is not known any more, as after another size: all of it will be painted again.

        Args:
            pictures: whether the terminal may have lost the pictures that it was to keep, too.
        """
        self._standing.clear()
        self._texts.clear()
        if self.protocol is not None:
            self._cleared = False
            if pictures:
                self.protocol.forget_all()

    def standing(self) -> Places:
        """All tiles on the screen."""
        return {(y, x): tile for y, row in self._standing.items() for x, (_, tile) in row.items()}

    def written(self, pieces: Iterable[tuple[int, int, Strip]], console: Console) -> str:
        """What writes lines at their places (y, x)."""
        parts: list[str] = []
        if not self._cleared and self.protocol is not None:
            parts.append(self.protocol.clear())
            self._cleared = True
        wanted: Places = {}
        beside: list[tuple[int, int]] = []
        at: tuple[int, int] | None = None
        for y, x, strip in pieces:
            for text, length, tile_text in _runs(strip, console):
                if tile_text is None:
                    if self._take_place(y, x, x + length, text):
                        if at != (y, x):
                            parts.append(f"\x1b[{y + 1};{x + 1}H")
                        parts.append(text)
                        at = (y, x + length)
                        beside.append(at)
                elif (tile := tile_of(tile_text)) is not None:
                    key, row = tile.picture.key(tile.row, tile.column), self._standing.setdefault(y, {})
                    if x not in row or row[x][0] != key:
                        self._forget_texts(y, x, x + 1)
                        wanted[y, x] = tile
                        beside.append((y, x + 1))
                    row[x] = key, tile
                x += length
        if self.protocol is not None:
            for y, x in beside:
                if (stands := self._standing.get(y, {}).get(x)) is not None and self.protocol.leans(y, x):
                    wanted.setdefault((y, x), stands[1])
            if wanted:
                parts.append(self.protocol.paint(wanted, self.standing))
        return "".join(parts)

    def _take_place(self, y: int, start: int, end: int, text: str) -> bool:
        """Whether text has to be written from column `start` to `end`, since it does not stand there."""
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
        """Something else is written there."""
        texts = self._texts.get(y, {})
        for first in [first for first, (last, _) in texts.items() if first < end and last > start]:
            del texts[first]


def _runs(strip: Strip, console: Console) -> Iterator[tuple[str, int, str | None]]:
    """Pieces of a line: (what writes it, columns, None) of text, ("", 1, its text) of a tile."""
    if PLACEHOLDER not in strip.text:
        yield strip.render(console), strip.cell_length, None
        return
    for segment in strip:
        if segment.text.startswith(PLACEHOLDER):
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
    """The (y, x, line) that an update paints."""
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
