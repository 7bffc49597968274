"""Pictures as pixels, by Kitty's graphics protocol with Unicode placeholders.

The picture is sent once, at its own resolution, and the terminal scales it. Where it stands is text: each character is
a placeholder whose colour names the picture and whose two accents count its row and column. So it is moved, cut and
covered like any text, and marks are characters in place of placeholders.
https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PLACEHOLDER = "\U0010eeee"

_CODES = """
0305 030d 030e 0310 0312 033d 033e 033f 0346 034a 034b 034c 0350 0351 0352 0357 035b 0363 0364 0365 0366 0367 0368
0369 036a 036b 036c 036d 036e 036f 0483 0484 0485 0486 0487 0592 0593 0594 0595 0597 0598 0599 059c 059d 059e 059f
05a0 05a1 05a8 05a9 05ab 05ac 05af 05c4 0610 0611 0612 0613 0614 0615 0616 0617 0657 0658 0659 065a 065b 065d 065e
06d6 06d7 06d8 06d9 06da 06db 06dc 06df 06e0 06e1 06e2 06e4 06e7 06e8 06eb 06ec 0730 0732 0733 0735 0736 073a 073d
073f 0740 0741 0743 0745 0747 0749 074a 07eb 07ec 07ed 07ee 07ef 07f0 07f1 07f3 0816 0817 0818 0819 081b 081c 081d
081e 081f 0820 0821 0822 0823 0825 0826 0827 0829 082a 082b 082c 082d 0951 0953 0954 0f82 0f83 0f86 0f87 135d 135e
135f 17dd 193a 1a17 1a75 1a76 1a77 1a78 1a79 1a7a 1a7b 1a7c 1b6b 1b6d 1b6e 1b6f 1b70 1b71 1b72 1b73 1cd0 1cd1 1cd2
1cda 1cdb 1ce0 1dc0 1dc1 1dc3 1dc4 1dc5 1dc6 1dc7 1dc8 1dc9 1dcb 1dcc 1dd1 1dd2 1dd3 1dd4 1dd5 1dd6 1dd7 1dd8 1dd9
1dda 1ddb 1ddc 1ddd 1dde 1ddf 1de0 1de1 1de2 1de3 1de4 1de5 1de6 1dfe 20d0 20d1 20d4 20d5 20d6 20d7 20db 20dc 20e1
20e7 20e9 20f0 2cef 2cf0 2cf1 2de0 2de1 2de2 2de3 2de4 2de5 2de6 2de7 2de8 2de9 2dea 2deb 2dec 2ded 2dee 2def 2df0
2df1 2df2 2df3 2df4 2df5 2df6 2df7 2df8 2df9 2dfa 2dfb 2dfc 2dfd 2dfe 2dff a66f a67c a67d a6f0 a6f1 a8e0 a8e1 a8e2
a8e3 a8e4 a8e5 a8e6 a8e7 a8e8 a8e9 a8ea a8eb a8ec a8ed a8ee a8ef a8f0 a8f1 aab0 aab2 aab3 aab7 aab8 aabe aabf aac1
fe20 fe21 fe22 fe23 fe24 fe25 fe26 10a0f 10a38 1d185 1d186 1d187 1d188 1d189 1d1aa 1d1ab 1d1ac 1d1ad 1d242 1d243
1d244
"""
_ACCENTS = "".join(chr(int(code, 16)) for code in _CODES.split())
"""The accents that count, in the protocol's order: the first stands for 0."""

LARGEST = len(_ACCENTS)
"""Rows and columns that can be counted."""

_CHUNK = 4096
"""Bytes of base64 that one escape sequence may carry."""

_KEPT = 64
"""Pictures that the terminal is asked to keep; more than are on any screen."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A picture for the terminal.

    Attributes:
        number: its name there, 1 to 2^24 - 1: the same for the same picture in the same size.
        sequence: what makes the terminal know it.
    """

    number: int
    sequence: str


def sending(pixels: NDArray[np.uint8], columns: int, rows: int) -> Sending:
    """(h, w, 3) uint8 pixels, as a PNG, to be scaled by the terminal to so many characters."""
    from PIL import Image

    digest = hashlib.blake2b(pixels.tobytes(), digest_size=8)
    digest.update(repr((pixels.shape, columns, rows)).encode())
    number = int.from_bytes(digest.digest(), "big") % (2**24 - 1) + 1
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    data = base64.standard_b64encode(file.getvalue()).decode("ascii")
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    head = f"a=T,U=1,q=2,f=100,i={number},c={columns},r={rows},"
    sequence = "".join(
        f"\x1b_G{head if not index else ''}m={int(index + 1 < len(chunks))};{chunk}\x1b\\"
        for index, chunk in enumerate(chunks)
    )
    return Sending(number, sequence)


def placeholder_rows(number: int, columns: int, rows: int) -> list[list[Segment]]:
    """For every row one segment a character."""
    style = Style(color=Color.from_rgb(number >> 16, number >> 8 & 255, number & 255))
    return [
        [Segment(PLACEHOLDER + _ACCENTS[row] + _ACCENTS[column], style) for column in range(columns)]
        for row in range(rows)
    ]


class KittyTerminal:
    """Which pictures the terminal knows, so that none is sent twice.

    Args:
        write: sends text to the terminal, in order with what is painted.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._known: OrderedDict[int, None] = OrderedDict()

    def show(self, picture: Sending) -> None:
        """Make the terminal know a picture, unless it does."""
        if picture.number in self._known:
            self._known.move_to_end(picture.number)
            return
        self._write(picture.sequence)
        self._known[picture.number] = None
        while len(self._known) > _KEPT:
            self._forget(self._known.popitem(last=False)[0])

    def forget_all(self) -> None:
        """Free the terminal's memory."""
        while self._known:
            self._forget(self._known.popitem()[0])

    def _forget(self, number: int) -> None:
        self._write(f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\")
