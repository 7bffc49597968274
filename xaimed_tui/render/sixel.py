"""Pixels as Sixel, which most terminals that show pixels at all understand.

Six rows of pixels make a band. Each row is painted down to the end of its band and the next one over it where it
differs, so a square of one colour costs what one row of it costs, once a band. https://vt100.net/docs/vt3xx-gp/chapter14.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BAND = 6
_SKIP = -1


def percent(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours as Sixel knows them, 0 to 100 for each component."""
    return ((colours.astype(int) * 100 + 127) // 255).astype(np.uint8)


def sixel(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> str:
    """The sequence that draws pixels from the cursor on, to the right and down.

    Args:
        indices: (h, w) uint8, for every pixel its colour's place in the palette.
        palette: (n, 3) uint8 in percent, at most 256 colours.
    """
    height, width = indices.shape
    used = np.unique(indices)
    names = np.zeros(256, dtype=np.intp)
    names[used] = np.arange(len(used))
    # 7;1: square pixels, and none but those that are painted; then their number, for those who make room first.
    parts = [f'\x1bP7;1;0q"1;1;{width};{height}']
    parts += [f"#{name};2;{red};{green};{blue}" for name, (red, green, blue) in enumerate(palette[used].tolist())]
    rows = names[indices]
    for top in range(0, height, _BAND):
        band = rows[top : top + _BAND]
        colour = _SKIP
        for row in range(len(band)):
            line = band[row]
            if row:
                line = np.where(line != band[row - 1], line, _SKIP)
                if (line == _SKIP).all():
                    continue
                parts.append("$")
            bits = (1 << len(band)) - (1 << row)
            text, colour = _painted(line, chr(63 + bits), colour)
            parts.append(text)
        parts.append("-")
    parts[-1] = "\x1b\\"
    return "".join(parts)


def _painted(line: NDArray[np.intp], character: str, colour: int) -> tuple[str, int]:
    """A row's colours from left to right, and the colour that is selected then."""
    starts = [0, *(np.flatnonzero(line[1:] != line[:-1]) + 1).tolist()]
    names = line[starts].tolist()
    if names[-1] == _SKIP:
        end = starts.pop()
        names.pop()
    else:
        end = len(line)
    parts = []
    for name, start, stop in zip(names, starts, [*starts[1:], end], strict=True):
        if name == _SKIP:
            parts.append(_repeated("?", stop - start))
            continue
        if name != colour:
            parts.append(f"#{name}")
            colour = name
        parts.append(_repeated(character, stop - start))
    return "".join(parts), colour


def _repeated(character: str, times: int) -> str:
    return f"!{times}{character}" if times > 3 else character * times
