"""A file of which the program sends only the pieces that are read: a header is a small part of most pictures."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

PIECE = 1 << 14
"""Bytes that are sent with a request, and that are fetched at a time for smaller reads."""

MOST = 1 << 20
"""The most bytes that are fetched at a time."""


class FetchedFile(io.BufferedIOBase):
    """A binary file, open for reading.

    Args:
        size: of the whole file, in bytes.
        start: its first bytes.
        fetch: returns up to so many bytes (the second argument) from a place on (the first); none at the file's end.
    """

    def __init__(self, size: int, start: bytes, fetch: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size, self._fetch = size, fetch
        self._place = 0
        self._start = start
        self._last, self._last_place = b"", 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, or all that are left (None or -1); fewer only at the file's end."""
        left = max(self._size - self._place, 0)
        left = left if size is None or size < 0 else min(size, left)
        found = []
        while left > 0:
            piece = self._known(left) or self._fetched(left)
            if not piece:  # the file has become shorter
                break
            found.append(piece)
            self._place += len(piece)
            left -= len(piece)
        return found[0] if len(found) == 1 else b"".join(found)

    def _known(self, most: int) -> bytes:
        """Return what is here already of the next bytes."""
        if self._place < len(self._start):
            return self._start[self._place : self._place + most]
        begin = self._place - self._last_place
        return self._last[begin : begin + most] if begin >= 0 else b""

    def _fetched(self, most: int) -> bytes:
        self._last_place = self._place
        self._last = self._fetch(self._place, min(max(most, PIECE), MOST))
        return self._last[:most]

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to another place in the file, as `io.BytesIO` does; returns where that is, in bytes.

        Raises:
            OverflowError: no file could have it.
            ValueError: it lies before the file's beginning.
        """
        if whence == os.SEEK_SET and offset < 0:
            raise ValueError(f"negative seek value {offset}")
        place = max(offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence], 0)
        if place > sys.maxsize:
            raise OverflowError("no file has so many bytes")
        self._place = place
        return place

    def tell(self) -> int:
        """Where the next byte is read, counted from the file's beginning."""
        return self._place

    def readable(self) -> bool:
        """True; decoders ask, and `io.BufferedIOBase` would say no."""
        return True

    def seekable(self) -> bool:
        """True; decoders ask, and `io.BufferedIOBase` would say no."""
        return True
