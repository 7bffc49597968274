"""Leaving when the terminal is gone: its window was closed, or the connection to it was lost."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable

STATUS = 128 + 1
"""The exit status of a program that a hang-up ended, as shells count it."""


def leave_on_hangup(last_words: Callable[[], None]) -> None:
    """From now on, end the process when the terminal on standard input is gone.

    The signal alone is not enough: it does not come where the terminal was not the process's own, and it is ignored
    where the program was started so. Without a terminal the app would wait for keys for ever.

    Args:
        last_words: what is still to be done; called once, in any thread. It must not take long.
    """
    once = threading.Lock()

    def leave() -> None:
        if not once.acquire(blocking=False):
            return
        try:
            last_words()
        finally:
            os._exit(STATUS)

    def watch() -> None:
        poll = select.poll()
        poll.register(0, 0)  # a hang-up is reported unasked
        while not any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll()):
            pass
        leave()

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: leave())
    if hasattr(select, "poll"):
        threading.Thread(target=watch, name="hangup", daemon=True).start()
