"""The log file: nothing in it acts on a reader's terminal, even after native libraries have written to it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from engine.storage import places
from engine.text import safe_text

_PIECE = 1 << 20
_ODD = re.compile(rb"[^\n\t -~]")
_ACTS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that act on a terminal or hide: control, format, surrogate, private, unassigned, separators."""


def size_of(log: Path) -> int:
    """Return the size of the log in bytes; 0 if there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def make_plain(log: Path, since: int) -> None:
    """Replace by `?` each byte after the first `since` that acts on a terminal, hides, or is not text.

    Log records have no such bytes, but what libraries write to descriptors may. The file keeps its length, so that
    another program may write to it at the same time.
    """
    with contextlib.suppress(OSError), log.open("r+b", buffering=0) as file:
        file.seek(since)
        while piece := file.read(_PIECE):
            # The search spares plain ASCII, which is nearly all of a log, the decoding.
            if _ODD.search(piece) and (plain := _plain(piece)) != piece:
                file.seek(-len(piece), os.SEEK_CUR)
                file.write(plain)


def _plain(piece: bytes) -> bytes:
    """Return the piece made plain, with the same number of bytes."""
    characters = piece.decode("utf-8", "surrogateescape")
    kept = (c if c in "\n\t" or unicodedata.category(c) not in _ACTS else "?" * _length(c) for c in characters)
    return "".join(kept).encode("utf-8")


def _length(character: str) -> int:
    return len(character.encode("utf-8", "surrogateescape"))


class SafeFormatter(logging.Formatter):
    """Formats log records so that nothing in them can act on a reader's terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, with its line breaks."""
        return safe_text(super().format(record), multiline=True)


def open_log() -> str:
    """Send the program's log to its file in the state directory; return a safe line if that fails, else nothing."""
    try:
        places.log_file().parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(places.log_file(), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        # Without any handler logging would print to standard error, over the screen.
        logging.getLogger().addHandler(logging.NullHandler())
        reason = (error.strerror or str(error)).lower()
        return safe_text(f"{places.log_file()} cannot be written ({reason}): errors are not logged.", limit=400)
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return ""


@contextmanager
def native_output_in_log() -> Iterator[None]:
    """While the app runs, send what native libraries write to descriptors 1 and 2 to the log, not to the screen.

    Textual draws on `sys.__stderr__` and asks `sys.__stdout__` for the terminal's size: both get a copy of the
    terminal's own descriptor.
    """
    try:
        # Appending, because the handler of the log writes to the same file by a descriptor of its own.
        sink = os.open(places.log_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        sink = os.open(os.devnull, os.O_WRONLY)
    streams: tuple[tuple[str, int], ...] = (("__stdout__", 1), ("__stderr__", 2))
    kept: list[tuple[str, int, int, TextIO | None, TextIO]] = []
    try:
        for name, number in streams:
            old = getattr(sys, name)
            if old is not None:
                # What is still buffered belongs on the terminal, not in the log.
                old.flush()
            copy = os.dup(number)
            # Another copy, as the stream closes the one it has; the first one restores the descriptor in the end.
            new = os.fdopen(os.dup(copy), "w", encoding="utf-8", errors="backslashreplace")
            kept.append((name, number, copy, old, new))
            setattr(sys, name, new)
            os.dup2(sink, number)
        yield
    finally:
        for name, number, copy, before, stream in kept:
            stream.flush()
            os.dup2(copy, number)
            os.close(copy)
            setattr(sys, name, before)
        os.close(sink)
