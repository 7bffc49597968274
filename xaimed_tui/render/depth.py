"""Draw maps in few colours: in steps with outlines, because a gradient would show bands."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from engine.drawing.colours import RGB, colormap, luminance
from xaimed_tui.terminal.colour_depth import Depth

if TYPE_CHECKING:
    from numpy.typing import NDArray


_STEPS = 8
"""Steps of a colormap in 256 colours."""

_BLUE, _GREY, _SILVER, _YELLOW = (0, 0, 170), (85, 85, 85), (170, 170, 170), (255, 255, 85)
_SIXTEEN: dict[str, tuple[RGB, ...]] = {
    "viridis": (_BLUE, (85, 85, 255), (0, 170, 170), (85, 255, 85), _YELLOW),
    "cividis": (_BLUE, _GREY, _SILVER, _YELLOW),
    "magma": ((0, 0, 0), (170, 0, 0), (255, 85, 85), _YELLOW),
    "grey": ((0, 0, 0), _GREY, _SILVER, (255, 255, 255)),
}
"""Some of the 16 colours for each colormap, by rising luminance, with the values that Rich gives them."""

_LEVELS = (0, 95, 135, 175, 215, 255)


@lru_cache(maxsize=16)
def step_colours(name: str, depth: Depth) -> tuple[RGB, ...]:
    """Return the colours of a colormap's equal steps, dark to bright; the terminal has every one of them."""
    if depth == "16":
        return _SIXTEEN[name]
    table = colormap(name)
    steps: list[RGB] = []
    for value in np.linspace(8, 250, _STEPS):
        wanted = table[round(float(value))].astype(int)
        # The nearest colour may be darker than the step before it; a higher value must never look lower.
        rising = [one for one in _fixed() if not steps or luminance(one) > luminance(steps[-1])]
        steps.append(min(rising, key=lambda one: sum((a - int(b)) ** 2 for a, b in zip(one, wanted, strict=True))))
    return tuple(steps)


@lru_cache(maxsize=1)
def _fixed() -> tuple[RGB, ...]:
    """The colours 16 to 255 of xterm: a cube of 6 x 6 x 6, and 24 tones of grey."""
    cube = [(r, g, b) for r in _LEVELS for g in _LEVELS for b in _LEVELS]
    return (*cube, *((8 + 10 * i,) * 3 for i in range(24)))


def to_step(values: NDArray[np.float32], steps: int) -> NDArray[np.intp]:
    """Return the step that each value in [0, 1] belongs to, 0 to `steps` - 1."""
    return np.clip((values * steps).astype(np.intp), 0, steps - 1)


def stepped_map(values: NDArray[np.float32], name: str, depth: Depth) -> NDArray[np.uint8]:
    """Return a map with each step in its own colour: (H, W, 3) uint8."""
    colours = np.array(step_colours(name, depth), dtype=np.uint8)
    return np.asarray(colours[to_step(values, len(colours))])


def stepped_overlay(
    below: NDArray[np.uint8], values: NDArray[np.float32], name: str, opacity: float, depth: Depth
) -> NDArray[np.uint8]:
    """Return a grey image with an outline around each step of the map; the highest steps are filled: (H, W, 3) uint8.

    Few colours cannot be mixed: a colour blended with grey would look like the colour of another value.
    Steps above 1 - opacity^2 are filled: all at an opacity of 1, none at 0.
    """
    colours = np.array(step_colours(name, depth), dtype=np.uint8)
    step = to_step(values, len(colours))
    # A step is outlined where a neighbour is lower; `edge` keeps the border of the picture from counting as one.
    padded = np.pad(step, 1, mode="edge")
    lowest = np.minimum.reduce([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    shown = (step > lowest) | (step / len(colours) >= 1.0 - opacity**2)
    # The outlines go, too: only the image is left.
    if opacity == 0.0:
        shown[:] = False
    out = in_colours(below, depth, grey=True).copy()
    out[shown] = colours[step[shown]]
    return out


def in_colours(pixels: NDArray[np.uint8], depth: Depth, *, grey: bool = False) -> NDArray[np.uint8]:
    """Return an image in the terminal's colours, each pixel's error passed on to its neighbours: (H, W, 3) uint8.

    In 16 colours every image is drawn in their four greys: no tissue has the other colours.
    """
    from PIL import Image

    picture = Image.fromarray(pixels)
    if depth == "16":
        picture, palette = picture.convert("L").convert("RGB"), _SIXTEEN["grey"]
    elif grey:
        palette = tuple(one for one in _fixed() if one[0] == one[1] == one[2])
    else:
        palette = _fixed()
    table = Image.new("P", (1, 1))
    table.putpalette([part for colour in palette for part in colour])
    return np.asarray(picture.quantize(palette=table, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))


def count_steps(methods: int, name: str, depth: Depth) -> tuple[RGB, ...]:
    """Return the colours of the counts 0 to `methods`, dark to bright; some may be equal."""
    colours = step_colours(name, depth)
    places = np.rint(np.linspace(0, len(colours) - 1, methods + 1)).astype(int)
    return tuple(colours[place] for place in places)
