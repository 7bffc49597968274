"""The names of the colormaps, without numpy, so that who only names one need not wait for it."""

from __future__ import annotations

COLORMAPS: tuple[str, ...] = ("viridis", "cividis", "magma", "grey")
"""The colormaps to choose from; in each, luminance rises from 0 to 1 (but for the rounding to 8 bits)."""

DEFAULT_COLORMAP = "viridis"
