"""Keep what a model's code and native libraries print away from the terminal and from `--json`.

They may write to descriptors 1 and 2 past Python. While a command runs, it therefore keeps copies of the descriptors
for itself, and what is written to 1 and 2 goes into a file without a name. At the end the last part of that file is put
into the log, made safe, and a line says so. If native code crashes the program, the file is lost; Python then says on
standard error where the crash happened.
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
from engine.storage.logs import keep_small
from engine.text import safe_text

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MOST = 1 << 16
"""Bytes of one command's output that the log keeps."""

_aside: TextIO | None = None
"""Where a model's code prints while a command runs."""


@contextlib.contextmanager
def own_streams(*, for_good: bool) -> Iterator[None]:
    """Send what is written to descriptors 1 and 2 to the log; `sys.stdout` and `sys.stderr` go where they did before.

    Streams that do not use these descriptors (in tests) are left as they are.

    Args:
        for_good: do not undo this at the end, because the program ends then and libraries may still print while it
            does; see `discard_later_output`.
    """
    global _aside
    try:
        sink: BinaryIO = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it may outlast this
    except OSError:  # no folder for temporary files is writable
        sink = open(os.devnull, "r+b", buffering=0)  # noqa: SIM115, PTH123
    kept: list[tuple[str, int, int, TextIO | None]] = []
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:  # it was closed, and another file may have its number by now
            continue
        copy = os.dup(number)
        mine = isinstance(stream, io.TextIOWrapper) and _number_of(stream) == number
        if mine:
            stream.flush()
            setattr(sys, name, _copied(stream, copy))
        kept.append((name, number, copy, stream if mine else None))
        os.dup2(sink.fileno(), number)
        if for_good and mine and number == 2:  # if native code crashes, what it printed is lost with the file
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
                    with contextlib.suppress(OSError):  # a failed write was reported when it failed
                        getattr(sys, name).close()
                    setattr(sys, name, stream)
                else:
                    os.close(copy)


class _Lossy(io.FileIO):
    """A file that drops what a full disk does not take: no command may fail because its model prints."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Send what Python code prints to the log as well; for the time in which a model's code runs.

    Raises:
        RuntimeError: no command is running.
    """
    if _aside is None:
        raise RuntimeError("no command runs")
    with contextlib.redirect_stdout(_aside), contextlib.redirect_stderr(_aside):
        yield


def discard_later_output() -> None:
    """Discard what models' code prints while the program exits. Call it after the command's last output."""
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
    """Append the end of what was printed to the log, and say so on standard error."""
    if "ctypes" in sys.modules:  # torch imports it, and native code may have printed without flushing
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
            keep_small(log)
        except OSError as error:
            where = f"they are lost, as the log cannot be written ({(error.strerror or str(error)).lower()}): {log}"
        else:
            where = f"they are in the log: {log}"
        print_failure(f"a model's code or a library printed {size:,} bytes; {where}")
