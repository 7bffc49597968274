"""The log file: nothing in it acts on a reader's terminal, even after native libraries have written to it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from engine.storage import places
from engine.storage.logs import MOST_BYTES, keep_small
from engine.text import safe_text

_PIECE = 1 << 20
_NUMBER = re.compile(r"[0-9]+")
_IN_FULL, _MOST_KINDS = 3, 500
"""How many equal records are logged in full, and how many kinds are told apart."""
_LOOK_SECONDS = 5.0
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
    another program may write to it at the same time. If the log was started over since, all of it is made plain.
    """
    with contextlib.suppress(OSError), log.open("r+b", buffering=0) as file:
        file.seek(since if since <= os.fstat(file.fileno()).st_size else 0)
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


class Repeats(logging.Filter):
    """Lets the first few of equal records through, then only each tenfold, with their number.

    Records that differ in nothing but numbers count as equal: a damaged picture may warn of each of its parts.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, int, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record; one that stands for others says for how many."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # the handler will say that its arguments do not fit
            return True
        key = (record.name, record.levelno, _NUMBER.sub("0", text[:300]))
        times = self._seen.pop(key, 0) + 1
        self._seen[key] = times  # last, so that the first in the dictionary is the one longest not met
        if len(self._seen) > _MOST_KINDS:
            del self._seen[next(iter(self._seen))]
        if times <= _IN_FULL:
            return True
        if str(times).strip("0") != "1":
            return False
        record.msg, record.args = f"{text} (and its like, {times:,} times so far)", ()
        return True


class BoundedFile(logging.FileHandler):
    """A log file that is started over when it is too long; see `engine.storage.logs`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        super().emit(record)
        if self.stream is not None and os.fstat(self.stream.fileno()).st_size > MOST_BYTES:
            keep_small(Path(self.baseFilename))


def open_log() -> str:
    """Send the program's log to its file in the state directory; return a safe line if that fails, else nothing."""
    try:
        places.log_file().parent.mkdir(parents=True, exist_ok=True)
        handler = BoundedFile(places.log_file(), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        # Without any handler logging would print to standard error, over the screen.
        logging.getLogger().addHandler(logging.NullHandler())
        reason = (error.strerror or str(error)).lower()
        return safe_text(f"{places.log_file()} cannot be written ({reason}): errors are not logged.", limit=400)
    handler.addFilter(Repeats())
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return ""


@contextmanager
def _kept_small(log: Path) -> Iterator[None]:
    """Look at the log's size now and then: native libraries write to it past the handler."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_SECONDS):
            if keep_small(log):
                make_plain(log.with_name(f"{log.name}.1"), 0)

    threading.Thread(target=look, name="keeping the log small", daemon=True).start()
    try:
        yield
    finally:
        done.set()


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
        with _kept_small(places.log_file()):
            yield
    finally:
        for name, number, copy, before, stream in kept:
            stream.flush()
            os.dup2(copy, number)
            os.close(copy)
            setattr(sys, name, before)
        os.close(sink)
