"""Have the system end this process if its work takes too long, or if the program it works for has ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from types import TracebackType


class EndedIfItHangs:
    """A context in which the system ends this process if it computes for too long, or once the program has ended.

    Both use signals that end a process by default, so no decoder can hold them up. (Windows has no such signals.)

    Args:
        requests: descriptor of the pipe from the program.

    Raises:
        BrokenPipeError: the program has ended.
    """

    def __init__(self, requests: int) -> None:
        self._requests = requests

    def __enter__(self) -> EndedIfItHangs:
        self._notice()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, 0)
        self._ignore()

    def after(self, seconds: float) -> None:
        """Allow so many seconds of processor time from now on."""
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, seconds)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Expect something from the program, which would otherwise mean its end.

        Raises:
            BrokenPipeError: the program has ended.
        """
        self._ignore()
        yield
        self._notice()

    if sys.platform == "win32":

        def _notice(self) -> None:
            pass

        def _ignore(self) -> None:
            pass

    else:

        def _notice(self) -> None:
            """Let SIGIO end this process if the program ends: for the time being, it sends nothing."""
            import fcntl

            flags = fcntl.fcntl(self._requests, fcntl.F_GETFL)
            fcntl.fcntl(self._requests, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(self._requests, fcntl.F_SETFL, flags | os.O_ASYNC)
            gone = select.poll()  # the program may have ended before that
            gone.register(self._requests, select.POLLHUP)
            if gone.poll(0):
                raise BrokenPipeError

        def _ignore(self) -> None:
            import fcntl

            flags = fcntl.fcntl(self._requests, fcntl.F_GETFL)
            fcntl.fcntl(self._requests, fcntl.F_SETFL, flags & ~os.O_ASYNC)
