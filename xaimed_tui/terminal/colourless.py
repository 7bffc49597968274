"""Without colour, really none: Textual would send greys, and true colour to a terminal that says it has none."""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_STANDS_OUT = 2.0
"""Contrast with the background from which on a background says something, and becomes reverse video."""


class Colourless(LineFilter):
    """Leaves bold, underline and the like; what a background of another colour marked is shown in reverse video."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        ground = background.rgb
        return [
            Segment(text, _without(style, ground) if style else style, control) for text, style, control in segments
        ]


@lru_cache(maxsize=4096)
def _without(style: Style, ground: tuple[int, int, int]) -> Style:
    from engine.drawing.colours import contrast  # it brings numpy, for which the first paint would wait

    plain = style.without_color
    if style.bgcolor is None or style.bgcolor.is_default:
        return plain
    red, green, blue = style.bgcolor.get_truecolor()
    return plain + Style(reverse=True) if contrast((red, green, blue), ground) >= _STANDS_OUT else plain
