"""How pictures are shown: the same for all images until the person changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.drawing.colormaps import COLORMAPS, DEFAULT_COLORMAP

if TYPE_CHECKING:
    from xaimed_tui.preferences.remembered import Remembered

Display = Literal["overlay", "map", "cells"]
DISPLAYS: tuple[Display, ...] = ("overlay", "map", "cells")

OPACITIES = (0.0, 0.15, 0.3, 0.45, 0.55, 0.7, 0.85, 1.0)
"""The opacities that the keys step through."""


@dataclass
class Look:
    """How all pictures are shown.

    Attributes:
        display: the map laid over the image, the map alone, or the image with its cells marked.
        colormap: one of `engine.drawing.colormaps.COLORMAPS`.
        opacity: how much of the image a map or the counts cover, 0 to 1.
        fill: the way to hide cells for which the exact cells are shown; empty for the first one.
    """

    display: Display = "overlay"
    colormap: str = DEFAULT_COLORMAP
    opacity: float = 0.55
    fill: str = ""

    @classmethod
    def first(cls, last: Remembered, *, colormap: str | None = None, opacity: int | None = None) -> Look:
        """Return how pictures are shown when the app starts.

        Args:
            last: what was used last.
            colormap, opacity (in percent): the settings, if given; they win.
        """
        look = cls()
        # Only the types of what is remembered were checked, so it may name a display that there is not.
        look.display = next((one for one in DISPLAYS if one == last.display), look.display)
        look.colormap = next((one for one in (colormap, last.colormap) if one in COLORMAPS), look.colormap)
        percent = last.opacity if opacity is None else opacity
        if percent is not None and 0 <= percent <= 100:
            look.opacity = percent / 100
        return look

    def display_among(self, displays: Sequence[Display]) -> Display:
        """Return the display, or the first of these `displays` if it is not among them."""
        return self.display if self.display in displays else displays[0]

    def next_display(self, displays: Sequence[Display] = DISPLAYS) -> None:
        """Go on to the next of these displays: overlay, map, cells, and again."""
        self.display = displays[(displays.index(self.display_among(displays)) + 1) % len(displays)]

    def next_colormap(self) -> None:
        self.colormap = COLORMAPS[(COLORMAPS.index(self.colormap) + 1) % len(COLORMAPS)]

    def next_fill(self, fills: Sequence[str]) -> None:
        """Go on to the next of these fills."""
        place = fills.index(self.fill) if self.fill in fills else 0
        self.fill = fills[(place + 1) % len(fills)]

    def opacity_after(self, step: int) -> float:
        """Return the next opacity up (1) or down (-1); the last one at either end."""
        if step > 0:
            return min((one for one in OPACITIES if one > self.opacity), default=OPACITIES[-1])
        return max((one for one in OPACITIES if one < self.opacity), default=OPACITIES[0])

    def step_opacity(self, step: int) -> None:
        """Cover more of the image (1), or less (-1)."""
        self.opacity = self.opacity_after(step)
