"""Send pictures as pixels by Kitty's graphics protocol: once, at their own resolution; the terminal scales them.

A picture is sent once, under a number. Each size in which it is shown is a virtual placement of some forty bytes. Text
says where it is shown: placeholders whose colour names the picture, whose underline's colour names the placement, and
whose accents give row and column. A placeholder without accents continues the one at its left. A magnified picture is a
large placement of which only a part is written, so magnifying and moving send no pixels.
https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from xaimed_tui.render.composing import compose_native
from xaimed_tui.render.tiles import ACCENTS, LARGEST, PLACEHOLDER, Places, TilePicture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from xaimed_tui.render.spec import PictureSpec

_CHUNK = 4096
"""Bytes of base64 that one escape sequence may carry."""

_KEPT = 64
"""Pictures that the terminal keeps; those on the screen are kept even if there are more."""

_READY = 32
"""Pictures kept here ready to be sent, so that magnifying and moving need not encode them again."""


@dataclass(frozen=True, slots=True)
class KittyImage:
    """A picture for the terminal.

    Attributes:
        number: its name there, 1 to 2^24 - 1; the same for the same pixels.
        sequence: the escape sequences that send it.
    """

    number: int
    sequence: str


class KittyPicture(TilePicture):
    """A picture in one size, `columns` x `rows` characters, neither above `LARGEST`."""

    def __init__(self, image: KittyImage, columns: int, rows: int) -> None:
        super().__init__()
        self.image, self.columns, self.rows = image, columns, rows

    def key(self, row: int, column: int) -> Hashable:
        """Return what the placeholder says: picture, size, row and column."""
        return self.image.number, self.placement, row, column

    @property
    def placement(self) -> int:
        """The number of this size at the terminal, below 2^24."""
        return self.columns * (LARGEST + 1) + self.rows


def image_of(pixels: NDArray[np.uint8]) -> KittyImage:
    """Encode (h, w, 3) uint8 pixels as a PNG, in as many sequences as it takes."""
    from PIL import Image

    digest = hashlib.blake2b(pixels.tobytes(), digest_size=8)
    digest.update(repr(pixels.shape).encode())
    number = int.from_bytes(digest.digest(), "big") % (2**24 - 1) + 1
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    data = base64.standard_b64encode(file.getvalue()).decode("ascii")
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    # a=t: send without showing; q=2: no answers, which the app would take for keys; f=100: a PNG.
    # m=1: more follows. Only the first sequence carries these keys.
    head = f"a=t,q=2,f=100,i={number},"
    sequence = "".join(
        f"\x1b_G{head if not index else ''}m={int(index + 1 < len(chunks))};{chunk}\x1b\\"
        for index, chunk in enumerate(chunks)
    )
    return KittyImage(number, sequence)


@dataclass(slots=True)
class _Ready:
    images: OrderedDict[str, KittyImage] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)


_ready = _Ready()


def kitty_image(spec: PictureSpec) -> KittyImage:
    """Return the picture of a spec without marks: the same one whatever part is visible and whatever is marked."""
    key = replace(spec, zoom=1, centre=(0.5, 0.5), highlight=None, top=(), ties=(), exact=(), firm=()).key
    with _ready.lock:
        if (image := _ready.images.get(key)) is not None:
            _ready.images.move_to_end(key)
            return image
    # Encoded outside of the lock: two threads may do it twice, but neither waits for the other.
    image = image_of(compose_native(spec))
    with _ready.lock:
        _ready.images[key] = image
        while len(_ready.images) > _READY:
            _ready.images.popitem(last=False)
    return image


class Kitty:
    """Writes what a terminal with Kitty's protocol must be sent, and nothing twice."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, set[int]] = OrderedDict()  # the placements of each picture
        self._accented: set[tuple[int, int]] = set()

    def continues_left(self, y: int, x: int) -> bool:
        """Whether the placeholder there has no accents."""
        return (y, x) not in self._accented

    def paint(self, tiles: Places, standing: Callable[[], Places]) -> str:
        """Return what draws tiles at their places; `standing` returns all tiles on the screen after that."""
        parts: list[str] = []
        pictures: dict[KittyPicture, Places] = {}
        for place, tile in tiles.items():
            assert isinstance(tile.picture, KittyPicture)
            pictures.setdefault(tile.picture, {})[place] = tile
        for picture, its_tiles in pictures.items():
            parts.append(self._introduce(picture))
            parts.append(self._placeholders(picture, its_tiles))
        if len(self._known) > _KEPT:
            seen = {one.picture.image.number for one in standing().values() if isinstance(one.picture, KittyPicture)}
            # The first ones are those that were painted longest ago.
            unseen = [number for number in self._known if number not in seen]
            parts.extend(self._forget(number) for number in unseen[: len(self._known) - _KEPT])
        return "".join(parts)

    def clear(self) -> str:
        """Return what empties the screen."""
        return "\x1b[2J"

    def forget_all(self) -> str:
        """Return what makes the terminal drop all pictures."""
        return "".join(self._forget(number) for number in [*self._known])

    def _introduce(self, picture: KittyPicture) -> str:
        number, placement = picture.image.number, picture.placement
        text = ""
        if number not in self._known:
            self._known[number] = set()
            text = picture.image.sequence
        # `paint` forgets from the other end.
        self._known.move_to_end(number)
        if placement not in self._known[number]:
            self._known[number].add(placement)
            # U=1 makes the placement virtual: it shows where placeholders name it, and nowhere else.
            text += f"\x1b_Ga=p,U=1,q=2,i={number},p={placement},c={picture.columns},r={picture.rows}\x1b\\"
        return text

    def _placeholders(self, picture: KittyPicture, tiles: Places) -> str:
        number, placement = picture.image.number, picture.placement
        style = f"\x1b[38;2;{_bytes(number, ';')};58:2::{_bytes(placement, ':')}m"
        parts = [style]
        after = (-1, -1, -1, -1)
        for (y, x), (_, row, column) in sorted(tiles.items(), key=lambda item: item[0]):
            if (y, x, row, column) == after:  # continues the tile at its left: no cursor movement, no accents
                parts.append(PLACEHOLDER)
                self._accented.discard((y, x))
            else:
                parts.append(f"\x1b[{y + 1};{x + 1}H{PLACEHOLDER}{ACCENTS[row]}{ACCENTS[column]}")
                self._accented.add((y, x))
            after = (y, x + 1, row, column + 1)
        return "".join([*parts, "\x1b[0m"])

    def _forget(self, number: int) -> str:
        del self._known[number]
        # The capital I frees the pixels as well; a small one would delete the placements alone.
        return f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"


def _bytes(number: int, between: str) -> str:
    return between.join(str(part) for part in (number >> 16, number >> 8 & 255, number & 255))
