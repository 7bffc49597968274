"""Reads files from outside without falling into a trap: a pipe that blocks, a device, a file without end."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 20
_DIGITS = re.compile(r"([0-9]+)")


class UnusableFileError(Exception):
    """A file that cannot be read. Callers turn it into an error of their own family, with the file's role.

    Args:
        cause: what is wrong, as a clause: `the file is empty`.
        remedy: what to do about it, or None.
        code: what kind of failure this is, as in `XAIMedError`.
    """

    def __init__(self, cause: str, remedy: str | None = None, code: str = "unreadable") -> None:
        self.cause = cause
        self.remedy = remedy
        self.code = code
        super().__init__(cause)


def check_regular(path: Path) -> os.stat_result:
    """Return the file's state, with links followed. It is not opened, so a pipe or a device cannot block.

    Raises:
        UnusableFileError: the file does not exist, is not reachable, or is not a regular file.
    """
    try:
        state = path.stat()
    # ValueError: a path may contain a NUL byte.
    except (OSError, ValueError) as error:
        raise UnusableFileError(*_explained(error)) from error
    if not stat.S_ISREG(state.st_mode):
        raise UnusableFileError(*_kind(state.st_mode))
    return state


def open_regular(path: Path) -> int:
    """Return a descriptor for reading a regular file; it is checked before it is opened and, against a swap, after.

    Raises:
        UnusableFileError: the file does not exist, is not readable, or is not a regular file.
    """
    check_regular(path)
    try:
        # Without O_NONBLOCK, opening a pipe that took the file's place would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise UnusableFileError(*_explained(error)) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise UnusableFileError(*_kind(mode))
    return descriptor


def read_piece(file: BinaryIO, place: int, length: int) -> bytes:
    """Return up to `length` bytes of an open file, from byte `place` on; fewer at its end only, or on a slow network.

    Raises:
        UnusableFileError: the system cannot read them.
    """
    try:
        file.seek(place)
        return file.read(length)
    except OSError as error:
        raise UnusableFileError(*_explained(error)) from error


def chunks_of(path: Path) -> Iterator[bytes]:
    """Yield the content of a regular file, piece by piece.

    Raises:
        UnusableFileError: the file does not exist, is not readable, or is not a regular file.
    """
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        while True:
            try:
                piece = file.read(_CHUNK)
            except OSError as error:
                raise UnusableFileError(*_explained(error)) from error
            if not piece:
                return
            yield piece


def read_limited(path: Path, limit: int, *, cut: bool = False) -> bytes:
    """Return the content of a regular file, which is read once.

    Args:
        path: the file; links are followed.
        limit: the most bytes it may have.
        cut: return the first `limit` bytes of a longer file instead of refusing it.

    Raises:
        UnusableFileError: the file does not exist, is not readable, not a regular file, or longer than `limit`.
    """
    size = check_regular(path).st_size
    if size > limit and not cut:
        raise UnusableFileError(f"the file has {size:,} bytes; at most {limit:,} are read", code="too-large")
    pieces: list[bytes] = []
    length = 0
    for piece in chunks_of(path):
        pieces.append(piece)
        length += len(piece)
        if length > limit:  # it has grown since its size was checked, or is to be cut
            if not cut:
                raise UnusableFileError(f"the file has more than {limit:,} bytes", code="too-large")
            break
    return b"".join(pieces)[:limit]


def natural_key(name: str) -> tuple[str, str]:
    """Return a sort key that puts `image2` before `image10` and ignores case unless nothing else differs."""
    parts = _DIGITS.split(name.casefold())
    for i in range(1, len(parts), 2):
        digits = parts[i].lstrip("0")
        parts[i] = f"\0{chr(len(digits) + 1)}{digits}"  # longer numbers are larger; strings compare faster than tuples
    return "".join(parts), name


def _explained(error: OSError | ValueError) -> tuple[str, str | None, str]:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "there is no such file", "check the path", "missing"
        case PermissionError():
            return "you have no permission to read it", "ask for permission to read it", "unreadable"
        case ValueError():
            return "this is not a valid path", "check the path", "missing"
        case _:
            reason = (error.strerror or str(error)).lower()
            return f"it cannot be read: {reason}", "copy it to another place", "unreadable"


def _kind(mode: int) -> tuple[str, str, str]:
    if stat.S_ISDIR(mode):
        return "this is a folder, not a file", "name a file in it", "not-a-file"
    kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
    return f"this is {kind}, not a regular file", "name a regular file", "not-a-file"
