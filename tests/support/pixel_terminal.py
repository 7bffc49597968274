"""A terminal that shows pixels, for tests: what it is sent, and what is to be seen on it then.

It knows as much of Sixel and of Kitty's protocol as the app uses, and fails on anything else about them.
"""

from __future__ import annotations

import base64
import functools
import io
import re
from collections.abc import Iterable

import numpy as np
from PIL import Image
from rich.cells import cell_len

from xaimed_tui.render.tiles import ACCENTS, PLACEHOLDER

TOKEN = re.compile(
    r"\x1bP(?P<sixel>[0-9;]*q[^\x1b]*)\x1b\\"
    r"|\x1b_G(?P<kitty>[^;\x1b]*)(?:;(?P<data>[^\x1b]*))?\x1b\\"
    r"|\x1b\[(?P<private>[<>=?]?)(?P<numbers>[0-9;:]*)(?P<mode>\$?)(?P<command>[A-Za-z])"
    r"|\x1b\](?:[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|(?P<text>[^\x1b]+)",
    re.DOTALL,
)


@functools.lru_cache(maxsize=64)  # the pictures on a screen are looked at after each key
def decoded_sixel(body: str) -> np.ndarray:
    """(h, w, 3) int of a sequence's body, not writable; -1 where nothing was painted."""
    size = re.match(r'7;1;0q"1;1;(\d+);(\d+)', body)
    assert size is not None, body[:40]
    width, height = int(size[1]), int(size[2])
    pixels = np.full((height, width, 3), -1)
    colours: dict[int, tuple[int, ...]] = {}
    x = y = 0
    colour = None
    for name, parts, again, times, one in re.findall(
        r"#(\d+)((?:;\d+)*)|(!)(\d+)(?=[?-~])|([?-~$-])", body[size.end() :]
    ):
        if name:
            colour = int(name)
            if parts:
                kind, *percent = (int(part) for part in parts[1:].split(";"))
                assert kind == 2
                colours[colour] = tuple(round(part * 255 / 100) for part in percent)
        elif again:
            repeat = int(times)
            continue
        elif one == "$":
            x = 0
        elif one == "-":
            x, y = 0, y + 6
        else:
            bits = ord(one) - 63
            assert x + repeat <= width
            assert bits < 1 << min(6, height - y), "painted below the picture"
            for bit in range(6):
                if bits >> bit & 1:
                    assert colour is not None
                    pixels[y + bit, x : x + repeat] = colours[colour]
            x += repeat
        repeat = 1
    assert len(colours) <= 256
    pixels.flags.writeable = False
    return pixels


@functools.cache
def _single(text: str) -> bool:
    """Whether each character takes one column; a line feed and what goes onto the one before take none."""
    return all(cell_len(character) == 1 for character in text)


class PixelTerminal:
    """See the module.

    Attributes:
        pixels: (rows * cell height, columns * cell width, 3) int: what is seen of Sixel pictures, -1 elsewhere.
        letters: the character at each place; a placeholder as (number, placement) and, with accents, (row, column).
        pictures: of Kitty's protocol, by number.
        placements: (columns, rows) by number and placement.
        styles: the numbers that set the colours and so on of each letter.
        sixels: how many were drawn.
        received: all that came, piece by piece.
    """

    def __init__(self, columns: int, rows: int, cell: tuple[int, int] = (20, 10)) -> None:
        self.columns, self.rows, self.cell = columns, rows, cell
        self.pictures: dict[int, np.ndarray] = {}
        self.placements: dict[tuple[int, int], tuple[int, int]] = {}
        self.sixels = 0
        self.received: list[str] = []
        self._half: tuple[dict[str, str], str] | None = None
        self._style, self._ink = (0, 0), ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Another size; nothing of what stood there is to be relied on."""
        self.columns, self.rows = columns, rows
        self.letters: list[list[object]] = [["x"] * columns for _ in range(rows)]
        self.styles = [[""] * columns for _ in range(rows)]
        self.pixels = np.full((rows * self.cell[0], columns * self.cell[1], 3), 7)
        self._x = self._y = 0

    @property
    def text(self) -> str:
        """What stands there, tiles and pixels left out."""
        return "\n".join("".join(one if isinstance(one, str) else " " for one in row) for row in self.letters)

    def feed(self, text: str) -> None:
        """Receive."""
        self.received.append(text)
        at = 0
        for match in TOKEN.finditer(text):
            assert match.start() == at, repr(text[at : at + 40])
            at = match.end()
            if match["sixel"] is not None:
                self._draw(decoded_sixel(match["sixel"]))
            elif match["kitty"] is not None:
                self._graphics(dict(pair.split("=") for pair in match["kitty"].split(",")), match["data"] or "")
            elif match["command"] is not None and not match["private"]:
                self._control(match["command"], match["numbers"])
            elif match["text"] is not None:
                self._write(match["text"])
        assert at == len(text), repr(text[at : at + 40])

    def seen(self, rows: Iterable[int], columns: Iterable[int]) -> np.ndarray:
        """The pixels of some characters."""
        high, wide = self.cell
        rows, columns = [*rows], [*columns]
        return self.pixels[rows[0] * high : (rows[-1] + 1) * high, columns[0] * wide : (columns[-1] + 1) * wide]

    def tile(self, y: int, x: int) -> tuple[int, ...] | None:
        """(number, placement, row, column) of the placeholder at a place; one without accents goes on from its left."""
        here = self.letters[y][x]
        if not isinstance(here, tuple) or len(here) == 4:
            return here if isinstance(here, tuple) else None
        before = self.tile(y, x - 1) if x else None
        assert before is not None, "nothing to go on from"
        assert before[:2] == here, "another picture to go on from"
        return (*before[:3], before[3] + 1)

    def _control(self, command: str, numbers: str) -> None:
        if command == "H":
            y, x = (int(number) for number in numbers.split(";")) if numbers else (1, 1)
            self._y, self._x = y - 1, x - 1
        elif (command == "J" and numbers == "2") or command == "S":
            self.letters = [[" "] * self.columns for _ in range(self.rows)]
            self.pixels[:] = -1
        elif command == "m" and "58:2" in numbers:
            ink, line = numbers.split(";58:2::")
            red, green, blue = (int(part) for part in ink.removeprefix("38;2;").split(";"))
            first, second, third = (int(part) for part in line.split(":"))
            self._style = red << 16 | green << 8 | blue, first << 16 | second << 8 | third
        elif command == "m":
            self._style, self._ink = (0, 0), "" if numbers == "0" else numbers

    def _write(self, text: str) -> None:
        """Write a run of characters: at once if each takes one column and all are on the screen."""
        end = self._x + len(text)
        if self._y < self.rows and end <= self.columns and PLACEHOLDER not in text and _single(text):
            self.letters[self._y][self._x : end] = text
            self.styles[self._y][self._x : end] = [self._ink] * len(text)
            self.seen([self._y], range(self._x, end))[:] = -1
            self._x = end
            return
        for character in text:
            self._write_one(character)

    def _write_one(self, character: str) -> None:
        if character == "\n":
            raise AssertionError("a line feed may scroll")
        wide = cell_len(character)
        if self._y >= self.rows or self._x + wide > self.columns:  # written for the size before
            self._x += wide
            return
        if character in ACCENTS:
            before = self.letters[self._y][self._x - 1]
            assert isinstance(before, tuple)
            self.letters[self._y][self._x - 1] = (*before, ACCENTS.index(character))
            return
        what: object = self._style if character == PLACEHOLDER else character
        for x in range(self._x, self._x + wide):
            self.letters[self._y][x] = what
            self.styles[self._y][x] = self._ink
        self.seen([self._y], range(self._x, self._x + wide) or [self._x])[:] = -1
        self._x += wide

    def _draw(self, pixels: np.ndarray) -> None:
        self.sixels += 1
        top, left = self._y * self.cell[0], self._x * self.cell[1]
        bottom, right = top + pixels.shape[0], left + pixels.shape[1]
        if right > self.columns * self.cell[1] or bottom > self.rows * self.cell[0]:  # drawn for the size before
            return
        assert bottom <= (self.rows - 1) * self.cell[0], "terminals would scroll"
        assert pixels.shape[0] % self.cell[0] == pixels.shape[1] % self.cell[1] == 0
        assert (pixels >= 0).all(), "holes show what terminals like there"
        assert (self.pixels[top:bottom, left:right] != pixels).any(), "stood there already"
        self.pixels[top:bottom, left:right] = pixels
        for y in range(self._y, bottom // self.cell[0]):
            for x in range(self._x, right // self.cell[1]):
                self.letters[y][x] = None

    def _graphics(self, keys: dict[str, str], data: str) -> None:
        if self._half is not None:
            first, before = self._half
            assert set(keys) == {"m"}
            keys, data = {**first, "m": keys["m"]}, before + data
        assert keys.get("q", "2") == "2"
        self._half = None
        match keys.get("a"):
            case "t" if keys["m"] == "1":
                self._half = keys, data
            case "t":
                assert keys["f"] == "100"
                number = int(keys["i"])
                assert number not in self.pictures, "sent twice"
                picture = Image.open(io.BytesIO(base64.standard_b64decode(data)))
                self.pictures[number] = np.asarray(picture)
            case "p":
                assert keys["U"] == "1"
                number, placement = int(keys["i"]), int(keys["p"])
                assert number in self.pictures
                assert (number, placement) not in self.placements, "placed twice"
                self.placements[number, placement] = int(keys["c"]), int(keys["r"])
            case "d":
                assert keys["d"] == "I"
                number = int(keys["i"])
                assert not any(isinstance(one, tuple) and one[0] == number for row in self.letters for one in row)
                del self.pictures[number]
                for key in [key for key in self.placements if key[0] == number]:
                    del self.placements[key]
            case other:
                raise AssertionError(f"unknown: {other}")
