"""Colours that are told apart by luminance alone: a heat map must be readable in grey and with colour blindness."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from engine.drawing.colormaps import COLORMAPS, DEFAULT_COLORMAP

if TYPE_CHECKING:
    from numpy.typing import NDArray

RGB = tuple[int, int, int]
"""Red, green and blue in 0..255 (sRGB)."""

BLACK: RGB = (0, 0, 0)
WHITE: RGB = (255, 255, 255)

OPACITY = 0.55
"""Of a map's colours over the grey image."""

_COUNT_RANGE = (40, 250)
"""The counts use this part of the table: at its ends, neither a digit nor the tissue below would be visible."""

_BACKDROP = (50.0, 225.0)
"""Tones between which `backdrop` spreads an image's 1st to 99th percentile."""


@lru_cache(maxsize=len(COLORMAPS))
def colormap(name: str) -> NDArray[np.uint8]:
    """Return the colours of 0 to 1, (256, 3) uint8, read-only, from matplotlib; `grey` goes from black to white.

    Raises:
        ValueError: not one of `COLORMAPS`.
    """
    if name not in COLORMAPS:
        raise ValueError(f"{name!r} is not one of the colormaps {', '.join(COLORMAPS)}")
    table: NDArray[np.uint8]
    if name == "grey":
        table = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    else:
        import matplotlib  # late: a quarter of a second

        table = np.asarray(matplotlib.colormaps[name](np.arange(256), bytes=True), dtype=np.uint8)[:, :3].copy()
    table.setflags(write=False)
    return table


def colour_values(values: NDArray[np.floating], name: str = DEFAULT_COLORMAP) -> NDArray[np.uint8]:
    """Return the colours of (H, W) values, (H, W, 3) uint8; values outside [0, 1] are clipped."""
    return np.asarray(colormap(name)[to_steps(values)])


def to_steps(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Round values in [0, 1] to the 256 steps of a colormap; values outside are clipped."""
    return np.asarray(np.clip(np.rint(np.asarray(values) * 255.0), 0, 255), dtype=np.uint8)


def count_colours(methods: int = 4, name: str = DEFAULT_COLORMAP) -> tuple[RGB, ...]:
    """Return the colours of the counts 0 to `methods`, dark to bright; luminance rises with every step."""
    table = colormap(name)
    places = np.rint(np.linspace(*_COUNT_RANGE, methods + 1)).astype(int)
    return tuple((int(r), int(g), int(b)) for r, g, b in table[places])


def signed_steps(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return where signed values lie on a colormap, in [0, 1]: 0 in its middle, the value furthest from 0 at an end."""
    most = float(np.abs(values).max())
    return 0.5 + np.asarray(values, dtype=np.float64) / (2.0 * most) if most > 0.0 else np.full(values.shape, 0.5)


def signed_colours(values: NDArray[np.floating], name: str = DEFAULT_COLORMAP) -> tuple[RGB, ...]:
    """Return a colour for each of the values in reading order: darker than the middle below 0, brighter above it."""
    low, high = _COUNT_RANGE
    places = np.rint(low + signed_steps(values).ravel() * (high - low)).astype(int)
    return tuple((int(r), int(g), int(b)) for r, g, b in colormap(name)[places])


def signed_scale() -> NDArray[np.uint8]:
    """Return the colours of signed values, lowest to highest, (255, 3): an odd number, so that 0 has one."""
    return np.array(signed_colours(np.linspace(-1.0, 1.0, 255)), dtype=np.uint8)


def luminance(colour: RGB) -> float:
    """Return the relative luminance in [0, 1] (WCAG 2, sRGB)."""
    parts = [part / 255.0 for part in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: RGB, second: RGB) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def text_on(background: RGB) -> RGB:
    """Return black or white, whichever has more contrast on a background (at least 4.5 to 1 on every colour)."""
    return BLACK if contrast(BLACK, background) >= contrast(WHITE, background) else WHITE


def to_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (h, w, 1) or (h, w, 3) pixels without hue: Rec. 601 luma, (h, w, 3) uint8."""
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    luma = np.rint(pixels[:, :, :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32))
    return np.repeat(luma.astype(np.uint8)[:, :, None], 3, axis=2)


def backdrop(pixels: NDArray[np.uint8], *, part_of: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Return the grey backdrop of a heat map, (h, w, 3) uint8: no hue, contrast spread over the middle tones.

    A dark scan would swallow the colours on it and a pale one would wash them out. So the 1st and 99th percentile are
    moved to fixed tones; the contrast grows at most threefold. The backdrop shows where things are, not how bright they
    are. If `part_of` is given, the percentiles are taken from it, so that a part of a picture has the same tones as in
    the whole.
    """
    grey = to_grey(pixels)
    low, high = np.percentile((grey if part_of is None else to_grey(part_of))[:, :, 0], (1, 99))
    gain = min((_BACKDROP[1] - _BACKDROP[0]) / max(high - low, 1.0), 3.0)
    tones = sum(_BACKDROP) / 2 + gain * (np.arange(256) - (low + high) / 2)
    return np.asarray(np.rint(tones.clip(0, 255)).astype(np.uint8)[grey])


def blend(below: NDArray[np.uint8], above: NDArray[np.uint8], opacity: float) -> NDArray[np.uint8]:
    """Lay one picture over another of the same shape; an opacity of 1 shows only the one above."""
    from PIL import Image  # late: not before the first picture

    return np.asarray(Image.blend(Image.fromarray(below), Image.fromarray(above), opacity))
