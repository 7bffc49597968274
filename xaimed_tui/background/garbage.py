"""Collect garbage in pauses, not while a key is being handled.

A full collection, of objects that only refer to each other, stops every thread. With the methods' libraries imported
there are a million objects, nearly all of which stay forever. A collection took 150 to 500 ms every few seconds, and
25 ms of the first paint.
"""

from __future__ import annotations

import gc
import time

PAUSE = 2.0
"""Seconds without a key or the mouse before garbage is collected."""

_ENOUGH = 5
"""Rounds of younger objects, of 7,000 each, that must have grown old before a collection is worth it."""

_THRESHOLDS = (700, 10, 200)
"""Python's own, except for the oldest objects: a pause comes first, unless somebody holds a key down for minutes."""


class Garbage:
    """Collects nothing while the app starts and the libraries are imported: hardly any of that can be freed."""

    def __init__(self) -> None:
        gc.disable()
        self._settled = False
        self._touched = time.monotonic()

    def settle(self) -> None:
        """From now on, collect what is made from now on. May be called in any thread."""
        # What exists by now stays for good, so no collection need look at it again.
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()
        self._settled = True

    def touched(self) -> None:
        """The person has pressed a key or moved the mouse."""
        self._touched = time.monotonic()

    def tidy(self) -> None:
        """Collect if there is a pause; to be called now and then."""
        if self._settled and gc.get_count()[2] >= _ENOUGH and time.monotonic() - self._touched > PAUSE:
            gc.collect()
