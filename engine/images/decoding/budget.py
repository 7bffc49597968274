"""A file that decoders read through, and that breaks off those which never come to an end.

Bytes and pixels are limited before anything is decoded, but a small file can keep a decoder busy all the same:
thousands of scans of a progressive JPEG, millions of empty chunks, runs of one pixel. All of them come back for more
bytes, and that is where they are stopped. What a decoder does between two reads is bounded by the other limits.
"""

from __future__ import annotations

import io
import time
from typing import BinaryIO

PIECE = 4096
"""Bytes that a decoder should take at a time, so that it is stopped in time: a JPEG's scan may have less than 100."""

_MOST_READ = 16
"""How often a file's bytes may be read over, on average; decoders read them up to three times."""


class TooMuchWorkError(Exception):
    """A decoder took too long or read too much. It comes again at every further read, should a decoder swallow it."""


class WatchedFile(io.BufferedIOBase):
    """A binary file open for reading, with a limit on the work done with it.

    Time is that of this thread on the processor, so that a busy machine refuses nothing that an idle one takes.

    Args:
        file: where the bytes come from.
        size: how many there are.
        seconds: the processor's time from now on.
    """

    def __init__(self, file: BinaryIO, size: int, seconds: float) -> None:
        super().__init__()
        self._file, self._seconds = file, seconds
        self._end = time.thread_time() + seconds
        self._left = _MOST_READ * (size + (1 << 16))

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's.

        Raises:
            TooMuchWorkError: the limit is reached.
        """
        if time.thread_time() > self._end:
            raise TooMuchWorkError(f"decoding it takes longer than {self._seconds:g} s")
        data = self._file.read(-1 if size is None else size)
        self._left -= len(data)
        if self._left < 0:
            raise TooMuchWorkError("it makes its decoder read the same bytes again and again")
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As any file's."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As any file's."""
        return self._file.tell()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True
