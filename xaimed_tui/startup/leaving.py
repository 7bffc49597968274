"""Leave the app at once: give the terminal back, write what must be written, and wait for no thread."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

RESTORING = 2.0
"""Seconds that giving the terminal back may take: a terminal that nobody reads accepts no more bytes."""

HANGUP_STATUS = 128 + 1
"""The exit status of a program ended by a hang-up, as shells count it."""


_USUAL = (
    b"\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?2048l\x1b[<u"
    b"\x1b[?1049l\x1b[?25h\x1b[?1004l\r\n"
)
"""Resets a terminal: no reports, no bracketed paste, no Kitty keyboard, the normal screen. The driver does the same,
but by way of a thread that a terminal that nobody reads holds up."""


class TerminalBefore:
    """How the terminal was before the app, for when the app itself cannot restore it in time."""

    def __init__(self) -> None:
        self._settings: list[Any] | None = None
        self._output = os.dup(2)  # the app sends what is written there to its log
        try:
            import termios
        except ImportError:  # Windows
            return
        with suppress(termios.error):
            self._settings = termios.tcgetattr(0)

    def restore_settings(self) -> None:
        """Restore what the system knows of the terminal: echo, lines, and keys that send signals."""
        if self._settings is not None:
            import termios

            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._settings)

    def restore_in_haste(self) -> None:
        """Restore the settings and, if the terminal takes bytes now, its screen and modes; for any thread."""
        self.restore_settings()
        with suppress(OSError):
            if select.select([], [self._output], [], 0)[1]:
                os.write(self._output, _USUAL)


class Leaving:
    """Ends the process.

    Threads cannot be waited for: importing torch takes seconds and cannot be interrupted, nor can a pass of a large
    network.

    Args:
        give_back: restores the terminal.
        last_words: what to do after that.
        in_haste: restores the terminal if `give_back` takes too long; it waits for nothing.
    """

    def __init__(
        self, give_back: Callable[[], None], last_words: Callable[[], None], in_haste: Callable[[], None]
    ) -> None:
        self._give_back, self._last_words, self._in_haste = give_back, last_words, in_haste
        self._impatient: threading.Timer | None = None

    def now(self, status: int) -> NoReturn:
        """Leave with an exit status."""
        impatient = self._bound(status)
        try:
            self._give_back()
            # Only the terminal could keep this waiting for ever: the last words have limits of their own. What is
            # being saved may take them longer than the timer waits, and the terminal is restored once only.
            impatient.cancel()
            self._last_words()
        finally:
            os._exit(status)

    def soon(self, status: int, loop: asyncio.AbstractEventLoop, leave_with: Callable[[int], None]) -> None:
        """Have `leave_with` called ahead of all messages that wait; for any thread and signal handler."""
        # The loop itself may be stuck writing to a terminal that nobody reads.
        self._bound(status)
        loop.call_soon_threadsafe(leave_with, status)

    def _bound(self, status: int) -> threading.Timer:
        """Leave without the app if the terminal is not restored in time; the time counts from the first call."""
        if self._impatient is None:
            self._impatient = threading.Timer(RESTORING, self._give_up, (status,))
            self._impatient.daemon = True
            self._impatient.start()
        return self._impatient

    def _give_up(self, status: int) -> None:
        try:
            self._in_haste()
            self._last_words()
        finally:
            os._exit(status)


def leave_before_start() -> None:
    """From now on, until other handlers are set, let signals end the process by way of all `finally` clauses.

    The terminal may have been changed, to ask it what it can do.
    """

    def ended(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    for number in _signals():
        if number != signal.SIGINT:  # it raises KeyboardInterrupt anyway
            signal.signal(number, ended)


def leave_on_signals(leave_soon: Callable[[int], None]) -> None:
    """If a signal ends the process while the loop runs, leave with the status that shells use for it.

    Ctrl+C in the app's own terminal is a key like any other.
    """
    for number in _signals():
        # Not the loop's own handlers: they would wait for a loop that is stuck.
        signal.signal(number, lambda number, _: leave_soon(128 + number))


def _signals() -> list[signal.Signals]:
    """Return the signals that end a program, as far as the system has them."""
    names = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def leave_on_hangup(last_words: Callable[[], None], leave_soon: Callable[[int], None]) -> None:
    """From now on, end the process when the terminal on standard input is gone.

    The signal alone is not enough: it does not come if the terminal is not the process's own, and a program may be
    started with the signal ignored. Without a terminal the app would wait for keys forever. Nor does the signal mean
    that the terminal is gone: anybody may send it, and a terminal that is still there must be given back.

    Args:
        last_words: what to do first; called once, in any thread. It must not take long.
        leave_soon: leaves with a status and gives the terminal back.
    """
    once = threading.Lock()

    def leave() -> None:
        # The signal and the watching thread may both notice; the lock is never given back.
        if not once.acquire(blocking=False):
            return
        try:
            last_words()
        finally:
            os._exit(HANGUP_STATUS)

    def gone(milliseconds: int | None) -> bool:
        poll = select.poll()
        poll.register(0, 0)  # no events asked for: a hang-up is always reported
        return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(milliseconds))

    def watch() -> None:
        while not gone(None):
            pass
        leave()

    def hung_up(*_: object) -> None:
        if hasattr(select, "poll") and not gone(0):
            leave_soon(HANGUP_STATUS)
        else:
            leave()

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, hung_up)
    if hasattr(select, "poll"):
        threading.Thread(target=watch, name="hangup", daemon=True).start()
