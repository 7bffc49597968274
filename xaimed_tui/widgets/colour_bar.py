"""The key to a heat map: which colour stands for which value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from engine.drawing.colormaps import DEFAULT_COLORMAP
from engine.drawing.colours import colormap, text_on
from xaimed_tui.render.depth import stepped_map
from xaimed_tui.terminal.colour_depth import Depth, depth_of
from xaimed_tui.themes import is_stark

if TYPE_CHECKING:
    from textual.app import RenderResult

_RAMP = " .:-=+*#%@"

_TICKS = ((0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"))
"""Values between the ends whose numbers are written on the bar if it is long enough."""

_ROOM_FOR_TICKS = 30
"""Characters that a bar needs to have numbers on it."""


class ColourBar(Widget):
    """One line: the colours from 0 to 1 with numbers; glyphs of rising weight if there is no colour.

    A worker loads the table of colours, because importing matplotlib takes a quarter of a second.
    """

    DEFAULT_CSS = """
    ColourBar {
        width: 1fr;
        height: 1;
        color: $text-muted;
    }
    """

    def __init__(self, colormap: str = DEFAULT_COLORMAP, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._wanted = False
        self._colormap = colormap
        self._loaded = ""

    @property
    def colormap(self) -> str:
        """Name of the colormap shown."""
        return self._colormap

    @colormap.setter
    def colormap(self, name: str) -> None:
        if name != self._colormap:
            self._colormap = name
            if self._wanted:
                self._load()

    def on_show(self) -> None:
        """Load the colours when they are first seen: matplotlib would slow down the start."""
        self._wanted = True
        self._load()

    def _load(self) -> None:
        name = self._colormap
        self.run_worker(
            lambda: self._load_in_thread(name), thread=True, exclusive=True, group="colours", name="load colormap"
        )

    def _load_in_thread(self, name: str) -> None:
        colormap(name)
        self.app.call_from_thread(self._show, name)

    def _show(self, name: str) -> None:
        # While the thread was at work, another colormap may have been chosen.
        if name == self._colormap:
            self._loaded = name
            self.refresh()

    def render(self) -> RenderResult:
        """Nothing: the line is painted by `render_line`."""
        return ""

    def render_line(self, y: int) -> Strip:
        """The bar, on the first line."""
        width, base = self.content_size.width, self.rich_style
        steps = width - len("0 ") - len(" 1")
        if y or steps < 2:
            return Strip([Segment("0-1"[:width], base)] if not y else []).adjust_cell_length(width, base)
        segments = [Segment("0 ", base)]
        depth = depth_of(self.app)
        if depth == "none":
            ramp = [_RAMP[round(i * (len(_RAMP) - 1) / (steps - 1))] for i in range(steps)]
            for place, character, _ in _ticks(steps):
                ramp[place] = character
            segments.append(Segment("".join(ramp), base))
        elif self._loaded:
            bar = _gradient(self._loaded, steps, depth)
            # On the plain background: no colour of a map guarantees a contrast of 7:1.
            if is_stark(self.app.theme):
                for place, character, _ in _ticks(steps):
                    bar[place] = Segment(character, base)
            segments.extend(bar)
        else:
            segments.append(Segment(" " * steps, base))
        return Strip([*segments, Segment(" 1", base)], width)


def _gradient(name: str, steps: int, depth: Depth) -> list[Segment]:
    """Return half blocks: two steps of the colormap for each character."""
    table = colormap(name)
    if depth != "true":
        table = stepped_map(np.linspace(0, 1, len(table), dtype=np.float32)[None, :], name, depth)[0]
    colours = [
        Color.from_rgb(*(int(part) for part in table[round(i * 255 / (2 * steps - 1))])) for i in range(2 * steps)
    ]
    bar = [Segment("▌", Style(color=colours[2 * i], bgcolor=colours[2 * i + 1])) for i in range(steps)]
    for place, character, value in _ticks(steps):
        red, green, blue = (int(part) for part in table[round(255 * value)])
        ink = Color.from_rgb(*text_on((red, green, blue)))
        bar[place] = Segment(character, Style(color=ink, bgcolor=colours[2 * place]))
    return bar


def _ticks(steps: int) -> list[tuple[int, str, float]]:
    """Return (place, character, value) of the numbers on a bar of so many characters, each centred on its value."""
    if steps < _ROOM_FOR_TICKS:
        return []
    return [
        (round(value * (steps - 1)) - len(text) // 2 + i, character, value)
        for value, text in _TICKS
        for i, character in enumerate(text)
    ]
