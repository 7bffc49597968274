"""Tells pasted text from keys, by bytes, before anything in them is taken for a key or for a report of the terminal.

Terminals put marks around what is pasted. Between them everything is text, whatever it looks like: an escape sequence
in it is no key, and none of it is parsed. Some terminals set no marks, or lose the last one. So a paste ends by itself
after a while, and much text that comes at once counts as pasted: nobody types so quickly, and as keys it would do a
hundred things that nobody wants.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.text import safe_text

BEGIN, END = b"\x1b[200~", b"\x1b[201~"

MOST = 1_000_000
"""Bytes that are kept of one paste."""

PATIENCE = 2.0
"""Seconds without input after which a paste ends whose last mark does not come."""

LONGEST = 20.0
"""Seconds after which a paste ends in any case; what still comes of it is dropped."""

AT_ONCE = 100
"""Characters that nobody types between two reads, not even over a slow line."""

_FEW = 3
"""Different characters among them at most if keys were held down: their repeats come together after a pause."""

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~]|[ -~])?")
"""What a key or the mouse sends, letters aside."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """Text that was pasted.

    Attributes:
        text: as it came; see `without_controls`.
        cut: whether more of it came than is kept.
        marked: whether the terminal marked it as pasted.
    """

    text: str
    cut: bool
    marked: bool


@dataclass(frozen=True, slots=True)
class HalfMark:
    """What was passed on before was the beginning of a paste's mark, and must be forgotten."""


class Pastes:
    """Splits input into bytes that were typed and texts that were pasted.

    Attributes:
        pasting: whether a paste has begun and not ended.
        marked: whether it began with a mark.

    Args:
        clock: seconds that go on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.pasting = self.marked = False
        self._clock = clock
        self._text = bytearray()
        self._cut = self._dropping = False
        self._begun = self._heard = 0.0
        self._held = b""  # of a paste: it may be the beginning of a mark
        self._passed = b""  # of what was typed, likewise

    def split(self, got: bytes) -> Iterator[bytes | Pasted | HalfMark]:
        """Yield what input consists of.

        Args:
            got: what was read; empty if nothing has come for a while (a tenth of a second).
        """
        now = self._clock()
        if self.pasting and not self._dropping and now - self._begun > LONGEST:
            self._cut = True
            yield self._pasted()
            self._dropping = True
        if not got and self.pasting and (not self.marked or now - self._heard > PATIENCE):
            yield from self._ended(self._held)
        self._heard = now if got else self._heard
        while got:
            if self.pasting:
                data = self._held + got
                mark = END if self.marked else BEGIN
                place = data.find(mark)
                if place < 0:
                    self._held = _beginning_of(mark, data)
                    self._keep(data[: len(data) - len(self._held)])
                    return
                marked = self.marked
                yield from self._ended(data[:place])
                got = data[place + len(mark) :]
                if not marked:
                    self._begin(now, marked=True)
                continue
            data = self._passed + got
            place = data.find(BEGIN)
            typed = got if place < 0 else data[len(self._passed) : place]
            if _is_flood(typed):
                self._begin(now, marked=False)
                continue
            if typed:
                yield typed
            if place < 0:
                self._passed = data[1 - len(BEGIN) :]
                return
            if place < len(self._passed):
                yield HalfMark()
            self._begin(now, marked=True)
            got = data[place + len(BEGIN) :]

    def _begin(self, now: float, *, marked: bool) -> None:
        self.pasting, self.marked = True, marked
        self._cut = self._dropping = False
        self._begun = now
        self._held = self._passed = b""

    def _keep(self, data: bytes) -> None:
        if self._dropping:
            return
        room = MOST - len(self._text)
        self._text += data[:room]
        self._cut = self._cut or len(data) > room

    def _ended(self, last: bytes) -> Iterator[Pasted]:
        self._keep(last)
        if not self._dropping:
            yield self._pasted()
        self.pasting = self._dropping = False
        self._held = b""

    def _pasted(self) -> Pasted:
        pasted = Pasted(self._text.decode("utf-8", "replace"), self._cut, self.marked)
        self._text.clear()
        return pasted


def without_controls(text: str) -> str:
    """Return pasted text without what could act on a terminal or is not seen; tabs become blanks, line breaks stay."""
    text = text.expandtabs(4)
    unsafe = (c for c in set(text) if c not in "\r\n" and safe_text(c) != c)
    return text.translate(dict.fromkeys(map(ord, unsafe)))


def _beginning_of(mark: bytes, data: bytes) -> bytes:
    """Return the end of some data that may be the beginning of a mark, without the whole mark."""
    return next((mark[:n] for n in range(len(mark) - 1, 0, -1) if data.endswith(mark[:n])), b"")


def _is_flood(typed: bytes) -> bool:
    if len(typed) < AT_ONCE:
        return False
    text = _SEQUENCE.sub(b"", typed)
    return len(text) >= AT_ONCE and len(set(text)) > _FEW
