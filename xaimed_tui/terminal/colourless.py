"""Send no colour at all: Textual would still send greys, and true colour to a terminal that says it has none."""

from __future__ import annotations

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_STANDS_OUT = 2.0
"""Contrast with the screen from which a text's own background means something: it becomes reverse video."""


class Colourless(LineFilter):
    """Keeps bold, underline and the like; text marked by a background colour is shown in reverse video."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        ground = background.rgb
        return [
            Segment(text, _without(style, ground) if style else style, control) for text, style, control in segments
        ]


@lru_cache(maxsize=4096)
def _without(style: Style, ground: tuple[int, int, int]) -> Style:
    from engine.drawing.colours import contrast  # late: it imports numpy, which would delay the first paint

    plain = style.without_color
    if style.bgcolor is None or style.bgcolor.is_default:
        return plain
    red, green, blue = style.bgcolor.get_truecolor()
    return plain + Style(reverse=True) if contrast((red, green, blue), ground) >= _STANDS_OUT else plain
