"""A picture in a fixed box: a worker draws it for exactly that size, and it is painted once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import get_current_worker

from engine.text import safe_text
from xaimed_tui.terminal.colour_depth import Depth, depth_of
from xaimed_tui.themes import is_stark

if TYPE_CHECKING:
    from textual import events
    from textual.app import RenderResult
    from textual.geometry import Size
    from textual.timer import Timer

    from engine.results.cells import Cell
    from xaimed_tui.render.picture import Rendered as Drawing
    from xaimed_tui.render.spec import PictureSpec
    from xaimed_tui.terminal.query import Pixels

_SETTLE_SECONDS = 0.06
"""Seconds that a box must have kept its size before its picture is drawn."""
_KEPT = 8
"""Drawn pictures that each view keeps, so that going back and forth costs nothing."""

_Key = tuple[str, int, int, Depth, bool, "Pixels | None", bool]


class ImageView(Widget):
    """Shows a `PictureSpec`, or words while there is none. Give it a size; it never asks for one.

    The picture is drawn in a thread, after the first paint of the screen, and again once a new size has settled. The
    same spec a second time repaints nothing; a spec that differs a little repaints only what differs.
    """

    DEFAULT_CSS = """
    ImageView {
        width: 1fr;
        height: 1fr;
        color: $text-muted;
    }
    """

    @dataclass
    class CellHovered(Message):
        """The mouse entered a cell, or left the cells (None)."""

        cell: Cell | None

    @dataclass
    class CellClicked(Message):
        """A cell was clicked."""

        cell: Cell

    @dataclass
    class Rendered(Message):
        """The picture is on the screen, or will be with the next paint."""

    @dataclass
    class _Drawn(Message, bubble=False):
        """The worker's result; kept but not shown if a newer drawing was asked for."""

        number: int
        key: _Key
        image_key: str
        drawn: Drawing

    def __init__(
        self,
        picture: PictureSpec | None = None,
        *,
        placeholder: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._picture = picture
        self._placeholder = placeholder
        self._words: list[Strip] | None = None
        self._drawn: Drawing | None = None
        self._drawn_image = ""
        self._kept: OrderedDict[_Key, Drawing] = OrderedDict()
        self._number = 0  # of the newest drawing asked for
        self._at_work = ""  # key of the image of which a thread is drawing something
        self._wanted = False  # whether something else of it is to be drawn after that
        self._ready = False
        self._settling: Timer | None = None
        self._hovered: Cell | None = None

    # What is shown

    @property
    def picture(self) -> PictureSpec | None:
        """What is shown; None shows the placeholder."""
        return self._picture

    @picture.setter
    def picture(self, picture: PictureSpec | None) -> None:
        if picture is self._picture or (picture is not None and picture == self._picture):
            return
        self._picture = picture
        self._number += 1
        if picture is None or (self._drawn is not None and self._drawn_image != picture.image_key):
            self._forget_drawn()
        self._draw()

    @property
    def placeholder(self) -> str:
        """Words instead of a picture: what is missing, or what is being done. Shown as they are, without markup."""
        return self._placeholder

    @placeholder.setter
    def placeholder(self, words: str) -> None:
        if words == self._placeholder:
            return
        self._placeholder = words
        self._words = None
        if self._drawn is None:
            self.refresh()

    @property
    def rendered(self) -> Drawing | None:
        """The picture as it was last drawn, None while there is none."""
        return self._drawn

    # When it is drawn

    def on_mount(self) -> None:
        """Draw only after the screen was painted: a picture in the first paint is sent three times."""
        self.call_after_refresh(self._get_ready)
        self.watch(self.app, "theme", self._on_theme, init=False)

    def on_resize(self) -> None:
        """Wait until the size has settled."""
        self._words = None
        if self._settling is not None:
            self._settling.stop()
        if self._ready:
            self._settling = self.set_timer(_SETTLE_SECONDS, self._draw)

    def _get_ready(self) -> None:
        self._ready = True
        self._draw()

    def _on_theme(self) -> None:
        self._words = None
        self._draw()

    def draw_again(self) -> None:
        """Draw again, because a character has another size in pixels."""
        self._draw()

    def _draw(self) -> None:
        """Show the picture for the present size: from the cache at once, else by a worker."""
        spec, size = self._picture, self.content_size
        if not self._ready or spec is None or not size.area:
            return
        self._number += 1
        key = (
            spec.key,
            size.width,
            size.height,
            depth_of(self.app),
            self.app.current_theme.dark,
            self.pixels,
            is_stark(self.app.theme),
        )
        if (drawn := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            self._show(drawn, spec.image_key)
            return
        if self._at_work == spec.image_key:
            # One at a time; of the drawings asked for until then, only the last is made. A thread that draws cannot
            # be stopped, and with a key held down a thread for each repeat would leave no time for anything else.
            self._wanted = True
            return
        self._at_work = spec.image_key  # another image does not wait
        # Taken out by the thread: Textual's workers are garbage that stays for a while, and would keep the pixels.
        work = [(self._number, spec, key)]
        self.run_worker(lambda: self._draw_in_thread(*work.pop()), thread=True, group="draw", name="draw picture")

    @property
    def pixels(self) -> Pixels | None:
        """How the terminal shows pixels; None where pictures are drawn as text."""
        return getattr(self.app, "pixels", None)

    def _draw_in_thread(self, number: int, spec: PictureSpec, key: _Key) -> None:
        from xaimed_tui.render.picture import render  # late: Pillow and rich-pixels

        worker = get_current_worker()
        if worker.is_cancelled:
            return
        _, columns, rows, depth, dark, pixels, stark = key
        drawn = render(spec, columns, rows, depth=depth, dark=dark, pixels=pixels, stark=stark)
        if not worker.is_cancelled:
            self.post_message(self._Drawn(number, key, spec.image_key, drawn))

    def on_image_view__drawn(self, message: _Drawn) -> None:
        """Keep what was drawn, show it unless something newer was asked for, and draw that."""
        if message.image_key == self._at_work:
            self._at_work = ""
        self._kept[message.key] = message.drawn
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        if message.number == self._number:
            self._show(message.drawn, message.image_key)
        if self._wanted and not self._at_work:
            self._wanted = False
            self._draw()

    def _show(self, drawn: Drawing, image_key: str) -> None:
        before, self._drawn, self._drawn_image = self._drawn, drawn, image_key
        if before is not drawn:
            self._repaint(before, drawn)
        self.post_message(self.Rendered())

    def _forget_drawn(self) -> None:
        """Never leave another image's picture on the screen."""
        if self._drawn is not None:
            self._drawn = None
            self.refresh()
        if self._hovered is not None:
            self._hovered = None
            self.post_message(self.CellHovered(None))

    def _repaint(self, before: Drawing | None, drawn: Drawing) -> None:
        if before is None or (before.columns, before.rows) != (drawn.columns, drawn.rows):
            self.refresh()
            return
        regions = [
            Region(start, y, end - start, 1)
            for y, (old, new) in enumerate(zip(before.strips, drawn.strips, strict=True))
            for start, end in [_difference(old, new)]
            if end > start
        ]
        if regions:
            self.refresh(*regions)

    # How it is painted

    def render(self) -> RenderResult:
        """Nothing: lines are painted by `render_line`."""
        return ""

    def render_line(self, y: int) -> Strip:
        width = self.content_size.width
        base = self.rich_style
        if self._drawn is not None:
            # After a change of size the old picture, now too wide or too narrow, stays until the new one is drawn.
            return self._drawn.strip(y, base).extend_cell_length(width, base).crop(0, width)
        words = self._word_strips(self.content_size)
        first = max((self.content_size.height - len(words)) // 2, 0)
        return words[y - first].apply_style(base) if 0 <= y - first < len(words) else Strip.blank(width, base)

    def _word_strips(self, size: Size) -> list[Strip]:
        if self._words is None:
            self._words = []
            text = Text(safe_text(self._placeholder, multiline=True), justify="center", end="")
            options = self.app.console.options.update_width(max(size.width, 1))
            for line in self.app.console.render_lines(text, options, pad=True):
                self._words.append(Strip(line).adjust_cell_length(size.width))
        return self._words

    # The mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Say which cell the mouse is over, once for each."""
        self._hover(self._cell_under(event))

    def on_leave(self) -> None:
        """Say that the mouse is no longer over a cell."""
        self._hover(None)

    def on_click(self, event: events.Click) -> None:
        """Say which cell was clicked."""
        if (cell := self._cell_under(event)) is not None:
            self.post_message(self.CellClicked(cell))

    def _cell_under(self, event: events.MouseEvent) -> Cell | None:
        offset = event.get_content_offset(self)
        if offset is None or self._drawn is None:
            return None
        return self._drawn.placement.cell_at(*offset)

    def _hover(self, cell: Cell | None) -> None:
        if cell != self._hovered:
            self._hovered = cell
            self.post_message(self.CellHovered(cell))


def _difference(old: Strip, new: Strip) -> tuple[int, int]:
    """Return the first and one past the last column in which two lines of the same length differ; (0, 0) if none."""
    if old == new:
        return 0, 0
    before, after = _characters(old), _characters(new)
    if len(before) != old.cell_length or len(after) != new.cell_length:  # accents: a column is several characters
        return 0, max(old.cell_length, new.cell_length)
    if len(before) != len(after):
        return 0, max(old.cell_length, new.cell_length)
    places = [x for x, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    return places[0], places[-1] + 1


def _characters(strip: Strip) -> list[tuple[str, object]]:
    return [(character, segment.style) for segment in strip for character in segment.text]
