"""When Python looks for objects that only refer to each other: in pauses, not while a key is to have its effect.

A look at all objects stops every thread. With the methods' libraries imported there are a million, nearly all of which
stay for ever; it took 150 to 500 ms every few seconds, and 25 ms of the first paint.
"""

from __future__ import annotations

import gc
import time

PAUSE = 2.0
"""Seconds without a key or the mouse after which it is looked."""

_ENOUGH = 5
"""So many rounds of younger objects (of 7,000 each) must have grown old before it is worth a look."""

_THRESHOLDS = (700, 10, 200)
"""As usual, but for the oldest objects: pauses come before that, unless somebody holds a key down for minutes."""


class Garbage:
    """Looks for nothing while the app starts and the libraries are imported; hardly anything of that can go."""

    def __init__(self) -> None:
        gc.disable()
        self._settled = False
        self._touched = time.monotonic()

    def settle(self) -> None:
        """From now on look at what is made from now on. May be called in any thread."""
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()
        self._settled = True

    def touched(self) -> None:
        """The person has pressed a key or moved the mouse."""
        self._touched = time.monotonic()

    def tidy(self) -> None:
        """Look, if there is a pause; to be called now and then."""
        if self._settled and gc.get_count()[2] >= _ENOUGH and time.monotonic() - self._touched > PAUSE:
            gc.collect()
