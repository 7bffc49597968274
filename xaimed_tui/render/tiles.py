"""Pictures of pixels made of characters: each character stands for one tile of one picture.

Textual lays out, cuts, covers and paints characters. So a picture of pixels is made of characters too. Each names its
picture, and its row and column in it; `pixel_screen.py` replaces it by what the terminal understands. All of that is in
the text, because Textual blends styles under a dialog and drops their metadata. Each tile is a segment of its own,
because Rich may cut longer segments between a letter and its accents.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import NamedTuple
from weakref import WeakValueDictionary

from rich.segment import Segment

PLACEHOLDER = "\U0010eeee"
"""The Unicode placeholder of Kitty's protocol: a private character, one column wide."""

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
ACCENTS = "".join(chr(int(code, 16)) for code in _CODES.split())
"""The accents that stand for numbers, in the order of Kitty's protocol: the first is 0."""

LARGEST = len(ACCENTS)
"""How many rows or columns the accents can count."""

_NUMBERS = {accent: number for number, accent in enumerate(ACCENTS)}


class _Names:
    """Names of the pictures still in use. Works in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._pictures: WeakValueDictionary[int, TilePicture] = WeakValueDictionary()

    def give(self, picture: TilePicture) -> int:
        with self._lock:
            while True:  # there are 88,209 names
                self._last = (self._last + 1) % LARGEST**2
                if self._last not in self._pictures:
                    self._pictures[self._last] = picture
                    return self._last

    def find(self, name: int) -> TilePicture | None:
        return self._pictures.get(name)


_names = _Names()


class TilePicture(ABC):
    """A picture that is shown as pixels."""

    def __init__(self) -> None:
        self.name = _names.give(self)

    @abstractmethod
    def key(self, row: int, column: int) -> Hashable:
        """Return the same key for tiles that look the same on the terminal."""


class Tile(NamedTuple):
    """A character's place in its picture."""

    picture: TilePicture
    row: int
    column: int


Places = dict[tuple[int, int], Tile]
"""Tiles by (row, column) of the screen."""


def tile_rows(picture: TilePicture, columns: int, rows: int, offset: tuple[int, int] = (0, 0)) -> list[list[Segment]]:
    """Return the rows, with one segment a character.

    Args:
        picture: keep it while the rows are shown; the tiles of a picture that is gone are blank.
        columns, rows: the visible part of the picture.
        offset: column and row of the picture that the first tile shows; no column or row may reach `LARGEST`.
    """
    name = ACCENTS[picture.name // LARGEST] + ACCENTS[picture.name % LARGEST]
    left, top = offset
    return [
        [Segment(PLACEHOLDER + ACCENTS[row] + ACCENTS[column] + name) for column in range(left, left + columns)]
        for row in range(top, top + rows)
    ]


def tile_of(text: str) -> Tile | None:
    """Return the tile that a segment's text stands for; None if there is none, or if its picture is gone."""
    # The placeholder, its row and column, and two digits of the picture's name.
    if len(text) != 5 or text[0] != PLACEHOLDER:
        return None
    row, column, high, low = (_NUMBERS.get(accent, -1) for accent in text[1:])
    if min(row, column, high, low) < 0:
        return None
    picture = _names.find(high * LARGEST + low)
    return None if picture is None else Tile(picture, row, column)
