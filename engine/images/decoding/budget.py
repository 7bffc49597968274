"""A file that stops a decoder which would otherwise read it without end.

Bytes and pixels are limited before anything is decoded, but a small file can still keep a decoder busy: with thousands
of scans of a progressive JPEG, millions of empty chunks, or runs of one pixel. Each of them makes the decoder ask for
more bytes, and there it is stopped. What a decoder does between two reads is bounded by the other limits.
"""

from __future__ import annotations

import io
import time
from typing import BinaryIO

PIECE = 4096
"""Bytes that a decoder should read at a time, few enough to stop it early: a scan of a JPEG may have less than 100."""

READING_HEADER, DECODING = "reading its header", "decoding it"

_MOST_READ = 16
"""How many times a file's bytes may be read, on average; decoders need up to three."""


class TooMuchWorkError(Exception):
    """A decoder took too long or read too much. Each further read raises it again, in case a decoder swallows it."""


class WatchedFile(io.BufferedIOBase):
    """A binary file open for reading, with a limit on the work done with it.

    Time is this thread's processor time, so that a busy machine accepts whatever an idle one does.

    Attributes:
        size: how many bytes there are.

    Args:
        file: where the bytes come from.
        size: how many there are.
        seconds: the processor time allowed from now on.
        work: what takes that time, as a message begins.
    """

    def __init__(self, file: BinaryIO, size: int, seconds: float, work: str = DECODING) -> None:
        super().__init__()
        self.size = size
        self._file = file
        self.allow(seconds, work)
        # 64 KiB more for every file, because the header of a tiny one may be read more often than that.
        self._left = _MOST_READ * (size + (1 << 16))

    def allow(self, seconds: float, work: str = DECODING) -> None:
        """Allow so much processor time from now on, whatever is left of the last; see the class for the arguments."""
        self._seconds, self._work = seconds, work
        self._end = time.thread_time() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, or all that are left (None or -1).

        Raises:
            TooMuchWorkError: the limit is reached.
        """
        if time.thread_time() > self._end:
            raise TooMuchWorkError(f"{self._work} takes longer than {self._seconds:g} s")
        data = self._file.read(-1 if size is None else size)
        self._left -= len(data)
        if self._left < 0:
            raise TooMuchWorkError("it makes its decoder read the same bytes again and again")
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to another place in the file, which costs nothing of the limits; returns where that is, in bytes."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte is read, counted from the file's beginning."""
        return self._file.tell()

    def readable(self) -> bool:
        """True; decoders ask, and `io.BufferedIOBase` would say no."""
        return True

    def seekable(self) -> bool:
        """True; decoders ask, and `io.BufferedIOBase` would say no."""
        return True
