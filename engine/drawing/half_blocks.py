"""Pictures as text for a terminal: two pixels a character in colours, or characters of rising weight without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TextIO

import numpy as np

from engine.drawing.scaling import scale_pixels, scale_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colours = Literal["true", "256", "none"]
"""What a terminal can show: 24 bits a colour, the 256 of xterm, or (with too few for a picture) none."""

Labels = Mapping[tuple[int, int], str]
"""Text on a picture, by the (row, column) of its first character."""

_UPPER = "▀"
_RESET = "\x1b[0m"
_LABEL = "\x1b[0;1;30;107m"
_RAMP = " .:-=+*#%@"
_CUBE = np.array([0, 95, 135, 175, 215, 255])
"""The steps of red, green and blue in xterm's cube of 216 colours, which begins at 16; 24 greys follow."""


def terminal_colours(file: TextIO, environment: Mapping[str, str]) -> Colours | None:
    """Return what the terminal behind a stream can show; None if there is none.

    Args:
        file: where the text will be written.
        environment: its variables `NO_COLOR`, `COLORTERM` and `TERM` count.
    """
    if not file.isatty():
        return None
    term = environment.get("TERM", "")
    try:
        _UPPER.encode(file.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "none"
    if environment.get("NO_COLOR") or term in ("", "dumb"):
        return "none"
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "true"
    return "256" if "256color" in term else "none"


def half_block_lines(pixels: NDArray[np.uint8], colours: Colours, labels: Labels) -> list[str]:
    """Return an RGB picture as lines of half blocks.

    Args:
        pixels: (2 h, w, 3), drawn as h lines of w characters.
        colours: `true` or `256`.
        labels: are written in black on white.
    """
    codes = _codes(pixels, colours)
    lines = []
    for row in range(len(codes) // 2):
        written = _written(labels, row)
        line, last = [], ""
        for column, (upper, lower) in enumerate(zip(codes[2 * row], codes[2 * row + 1], strict=True)):
            style = _LABEL if column in written else f"\x1b[0;38;{upper};48;{lower}m"
            line.append((style if style != last else "") + written.get(column, _UPPER))
            last = style
        lines.append("".join(line) + _RESET)
    return lines


def weight_lines(values: NDArray[np.floating], size: tuple[int, int], labels: Labels) -> list[str]:
    """Return values in [0, 1] as lines of characters, the heavier the higher.

    Args:
        values: (h, w).
        size: (rows, columns) of the lines.
        labels: are written over the picture.
    """
    rows, columns = size
    fine = scale_values(np.asarray(values, dtype=np.float32), 2 * rows, columns)
    steps = np.clip(np.rint((fine[0::2] + fine[1::2]) / 2 * (len(_RAMP) - 1)), 0, len(_RAMP) - 1).astype(int)
    return [
        "".join(_written(labels, row).get(column, _RAMP[step]) for column, step in enumerate(steps[row]))
        for row in range(rows)
    ]


def brightness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how bright the pixels of a (h, w, C) picture are, (h, w) in [0, 1]."""
    height, width = pixels.shape[:2]
    grey: NDArray[np.float32] = scale_pixels(pixels, height, width).astype(np.float32).mean(axis=2) / np.float32(255)
    return grey


def _written(labels: Labels, row: int) -> dict[int, str]:
    """Return the characters of the labels in a row, by column."""
    return {
        first + at: character
        for (own, first), label in labels.items()
        if own == row
        for at, character in enumerate(label)
    }


def _codes(pixels: NDArray[np.uint8], colours: Colours) -> list[list[str]]:
    """Return the end of the escape code for each pixel's colour."""
    if colours == "true":
        return [[f"2;{red};{green};{blue}" for red, green, blue in row] for row in pixels.tolist()]
    numbers = np.abs(pixels[..., None].astype(int) - _CUBE).argmin(axis=-1)
    cube = 16 + numbers @ np.array([36, 6, 1])
    near = _CUBE[numbers]
    mean = pixels.astype(int).mean(axis=2)
    step = np.clip(np.rint((mean - 8) / 10), 0, 23).astype(int)
    grey = (8 + 10 * step)[..., None]
    closer = ((pixels - grey) ** 2).sum(axis=2) < ((pixels - near) ** 2).sum(axis=2)
    return [[f"5;{number}" for number in row] for row in np.where(closer, 232 + step, cube).tolist()]
