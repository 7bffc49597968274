"""The names of the colormaps. This module does not import numpy, so that reading the names takes no time."""

from __future__ import annotations

COLORMAPS: tuple[str, ...] = ("viridis", "cividis", "magma", "grey")
"""The available colormaps; in each, luminance rises from 0 to 1 (except for rounding to 8 bits)."""

DEFAULT_COLORMAP = "viridis"
