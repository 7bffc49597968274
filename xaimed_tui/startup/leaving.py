"""Leave the app at once: give the terminal back, write what must be written, and wait for no thread."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

RESTORING = 2.0
"""Seconds that giving the terminal back may take: a terminal that nobody reads accepts no more bytes."""

HANGUP_STATUS = 128 + 1
"""The exit status of a program ended by a hang-up, as shells count it."""


def leave(status: int, give_back: Callable[[], None], last_words: Callable[[], None]) -> NoReturn:
    """End the process.

    Threads cannot be waited for: importing torch takes seconds and cannot be interrupted, nor can a pass of a large
    network.

    Args:
        status: the exit status.
        give_back: restores the terminal.
        last_words: what to do after that.
    """
    impatient = _after(RESTORING, status, last_words)
    try:
        give_back()
        # Only the terminal could keep this waiting for ever: the last words have limits of their own.
        impatient.cancel()
        last_words()
    finally:
        os._exit(status)


def leave_on_signals(
    loop: asyncio.AbstractEventLoop, leave_with: Callable[[int], None], last_words: Callable[[], None]
) -> None:
    """If SIGTERM or SIGINT ends the process while the loop runs, leave with the status that shells use for it.

    Ctrl+C in the app's own terminal is a key like any other.
    """

    def ended(number: int, _: object) -> None:
        # The loop itself may be stuck writing to a terminal that nobody reads.
        _after(2 * RESTORING, 128 + number, last_words)
        loop.call_soon_threadsafe(leave_with, 128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        # Not the loop's own handlers: they would wait for a loop that is stuck.
        signal.signal(number, ended)


def _after(seconds: float, status: int, last_words: Callable[[], None]) -> threading.Timer:
    def give_up() -> None:
        try:
            last_words()
        finally:
            os._exit(status)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    return timer


def leave_on_hangup(last_words: Callable[[], None]) -> None:
    """From now on, end the process when the terminal on standard input is gone.

    The signal alone is not enough: it does not come if the terminal is not the process's own, and a program may be
    started with the signal ignored. Without a terminal the app would wait for keys forever.

    Args:
        last_words: what to do first; called once, in any thread. It must not take long.
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

    def watch() -> None:
        poll = select.poll()
        poll.register(0, 0)  # no events asked for: a hang-up is always reported
        while not any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll()):
            pass
        leave()

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: leave())
    if hasattr(select, "poll"):
        threading.Thread(target=watch, name="hangup", daemon=True).start()
