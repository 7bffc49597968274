"""While a command runs, descriptors 1 and 2 are nobody's way to the terminal but its own.

A model's code and native libraries may write to them past Python. That must not act on the terminal, nor get into
`--json`: the command keeps copies of the descriptors for itself, and what is written to 1 and 2 goes into a file
without a name. In the end its last part is put into the log, made safe, and a line says so. Should native code end the
program, that is lost; Python then says on standard error where that happened.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, TextIO

from engine.cli.console import print_failure
from engine.storage import places
from engine.text import safe_text

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MOST = 1 << 16
"""Bytes of one command's output that the log keeps."""

_aside: TextIO | None = None
"""Where a model's code prints while a command runs."""


@contextlib.contextmanager
def own_streams(*, for_good: bool) -> Iterator[None]:
    """Let what is written to descriptors 1 and 2 go to the log; `sys.stdout` and `sys.stderr` go where they went.

    Streams that are no longer those of the descriptors (in tests) are left as they are.

    Args:
        for_good: leave it so, as the program ends afterwards, and libraries may have last words; see `let_go`.
    """
    global _aside
    try:
        sink: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it may outlast this
    except OSError:  # no place for it
        sink = open(os.devnull, "r+b", buffering=0)  # noqa: SIM115, PTH123
    kept: list[tuple[str, int, int, TextIO | None]] = []
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:  # it was closed, and the number may be another file's by now
            continue
        copy = os.dup(number)
        mine = isinstance(stream, io.TextIOWrapper) and _number_of(stream) == number
        if mine:
            stream.flush()
            setattr(sys, name, _copied(stream, copy))
        kept.append((name, number, copy, stream if mine else None))
        os.dup2(sink.fileno(), number)
        if for_good and mine and number == 2:  # the last words of native code that crashes are lost with the file
            faulthandler.enable(sys.stderr, all_threads=False)
    raw = io.BufferedWriter(_Lossy(os.dup(sink.fileno()), "w"))
    _aside = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        yield
    finally:
        _report(sink)
        if not for_good:
            _aside.close()
            _aside = None
            sink.close()
            for name, number, copy, stream in kept:
                os.dup2(copy, number)
                if stream is not None:
                    with contextlib.suppress(OSError):  # what could not be written was reported where it was
                        getattr(sys, name).close()
                    setattr(sys, name, stream)
                else:
                    os.close(copy)


class _Lossy(io.FileIO):
    """What a full disk does not take is lost: no model that prints must fail for it, nor its command."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """While a model's code runs, what it prints goes where all else goes that is not the command's own."""
    if _aside is None:
        raise RuntimeError("no command runs")
    with contextlib.redirect_stdout(_aside), contextlib.redirect_stderr(_aside):
        yield


def let_go() -> None:
    """The last word is said: what models' code prints while the program ends is nobody's."""
    if _aside is not None:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or its reader has gone
            sys.stdout.flush()
        sys.stdout = sys.stderr = _aside


def _number_of(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _copied(stream: TextIO, descriptor: int) -> TextIO:
    copy = os.fdopen(descriptor, "w", encoding=stream.encoding, errors=stream.errors)
    copy.reconfigure(line_buffering=getattr(stream, "line_buffering", False))
    return copy


def _report(sink: BinaryIO) -> None:
    """Put the end of what was written into the log, and say so on standard error."""
    if "ctypes" in sys.modules:  # it is with torch: native code may have printed without flushing
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).fflush(None)
    with contextlib.suppress(OSError, ValueError):
        if _aside is not None:
            _aside.flush()
        size = os.fstat(sink.fileno()).st_size
        if not size:
            return
        sink.seek(max(size - _MOST, 0))
        words = safe_text(sink.read(_MOST).decode("utf-8", "backslashreplace").rstrip("\n"), multiline=True)
        log = places.log_file()
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                cut = f", the last {_MOST:,} of them" if size > _MOST else ""
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {size:,} bytes were printed{cut}:\n{words}\n")
        except OSError as error:
            where = f"it is lost, as the log cannot be written ({(error.strerror or str(error)).lower()}): {log}"
        else:
            where = f"it is in the log: {log}"
        print_failure(f"a model's code or a library printed {size:,} bytes; {where}")
