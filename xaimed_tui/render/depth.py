"""How many colours a terminal has, and maps drawn in few of them: steps with outlines, where a gradient would band."""

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
"""For each colormap some of the 16 colours, by rising luminance, as Rich knows them."""

_LEVELS = (0, 95, 135, 175, 215, 255)


@lru_cache(maxsize=16)
def step_colours(name: str, depth: Depth) -> tuple[RGB, ...]:
    """The colours of a colormap's equal steps, dark to bright; every one is a colour that the terminal has."""
    if depth == "16":
        return _SIXTEEN[name]
    table = colormap(name)
    steps: list[RGB] = []
    for value in np.linspace(8, 250, _STEPS):
        wanted = table[round(float(value))].astype(int)
        rising = [one for one in _fixed() if not steps or luminance(one) > luminance(steps[-1])]
        steps.append(min(rising, key=lambda one: sum((a - int(b)) ** 2 for a, b in zip(one, wanted, strict=True))))
    return tuple(steps)


@lru_cache(maxsize=1)
def _fixed() -> tuple[RGB, ...]:
    """The colours 16 to 255 of xterm: a cube of 6 x 6 x 6, and 24 tones of grey."""
    cube = [(r, g, b) for r in _LEVELS for g in _LEVELS for b in _LEVELS]
    return (*cube, *((8 + 10 * i,) * 3 for i in range(24)))


def to_step(values: NDArray[np.float32], steps: int) -> NDArray[np.intp]:
    """For values in [0, 1] the step they belong to, 0 to `steps` - 1."""
    return np.clip((values * steps).astype(np.intp), 0, steps - 1)


def stepped_map(values: NDArray[np.float32], name: str, depth: Depth) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: every step in its own colour."""
    colours = np.array(step_colours(name, depth), dtype=np.uint8)
    return np.asarray(colours[to_step(values, len(colours))])


def stepped_overlay(
    below: NDArray[np.uint8], values: NDArray[np.float32], name: str, opacity: float, depth: Depth
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: a grey image with an outline around every step of the map; the highest steps are filled.

    Half covered by a colour that stands for a value, a tone would stand for another one: few colours cannot be mixed.
    What lies above 1 - opacity^2 is filled: all of it at an opacity of 1, none at 0.
    """
    colours = np.array(step_colours(name, depth), dtype=np.uint8)
    step = to_step(values, len(colours))
    padded = np.pad(step, 1, mode="edge")
    lowest = np.minimum.reduce([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    shown = (step > lowest) | (step / len(colours) >= 1.0 - opacity**2)
    if opacity == 0.0:
        shown[:] = False
    out = in_colours(below, depth, grey=True).copy()
    out[shown] = colours[step[shown]]
    return out


def in_colours(pixels: NDArray[np.uint8], depth: Depth, *, grey: bool = False) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: an image in colours that the terminal has, the rest of each pixel left to its neighbours.

    In 16 colours every image is drawn in their four tones of grey: their hues are none that a tissue has.
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
    """Colours of the counts 0 to `methods`, dark to bright; where there are too few the digits alone tell them."""
    colours = step_colours(name, depth)
    places = np.rint(np.linspace(0, len(colours) - 1, methods + 1)).astype(int)
    return tuple(colours[place] for place in places)
