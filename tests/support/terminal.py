"""A program on a pseudo terminal: what it writes, keys, sizes, and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def homes(place: Path) -> dict[str, str]:
    """An environment in which all that the app keeps lies in a folder."""
    return {f"XDG_{name}_HOME": str(place / name.lower()) for name in ("CACHE", "DATA", "STATE", "CONFIG")}


class Terminal:
    """A process on a pseudo terminal of 120x40.

    Attributes:
        bytes: what it has written so far.
        pid, descriptor: the process, and the terminal's end of the line.
    """

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.bytes = b""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            try:
                size = {"COLUMNS": "120", "LINES": "40"} if environment is None else {}
                os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", **size, **(environment or {})})
                os.chdir(folder)
                os.execv(arguments[0], list(arguments))
            finally:
                os._exit(127)

    @classmethod
    def python(cls, code: str, folder: Path, environment: Mapping[str, str] | None = None) -> Terminal:
        """Python code on a terminal."""
        return cls([sys.executable, "-c", code], folder, environment)

    def read_until(self, what: bytes, *, seconds: float = 30.0, since: int = 0) -> float:
        """Wait until something was written after the first `since` bytes; the time (`perf_counter`) it was seen at."""
        end = time.monotonic() + seconds
        while self.bytes.find(what, since) < 0:
            assert time.monotonic() < end, f"{what!r} never came: {self.bytes[-2000:]!r}"
            if not self.read(0.1):
                assert what in self.bytes, f"ended without {what!r}: {self.bytes[-2000:]!r}"
        return time.perf_counter()

    def read(self, seconds: float) -> bool:
        """Read what is there, waiting so long for it; False once the program has closed the terminal."""
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return True
        try:
            got = os.read(self.descriptor, 65536)
        except OSError:
            return False
        self.bytes += got
        return bool(got)

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self.descriptor, keys)

    def resize(self, columns: int, rows: int) -> None:
        """Another size; the program is told by SIGWINCH, as by any terminal."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """The terminal is gone, as after `kill -9`."""
        os.close(self.descriptor)

    def wait(self, *, seconds: float = 30.0) -> tuple[int, float]:
        """Exit status and the seconds it took from now."""
        begin = time.monotonic()
        open_ = True
        while time.monotonic() - begin < seconds:
            if open_:
                try:
                    open_ = self.read(0.02)
                except (OSError, ValueError):  # hung up
                    open_ = False
            else:
                time.sleep(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                took = time.monotonic() - begin
                if open_:
                    self._read_the_rest()
                return os.waitstatus_to_exitcode(status), took
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it did not end")

    def _read_the_rest(self) -> None:
        """Read what the program wrote before it ended: one read gives up to 4,095 bytes, and the system holds more."""
        end = time.monotonic() + 2.0  # a program that it started may keep the terminal open
        with contextlib.suppress(OSError, ValueError):  # hung up
            while self.read(max(end - time.monotonic(), 0.0)) and time.monotonic() < end:
                pass
