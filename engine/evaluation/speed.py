"""How long a forward pass takes, for the description of a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

_PASSES = 50
_BEFORE = 10
"""Passes that are not counted: the first ones are slower."""


def milliseconds(run: Callable[[], object]) -> float:
    """Return the median processor time of 50 runs, in milliseconds.

    With one thread that is the time of an idle machine, whatever else this one is doing.
    """
    seconds = []
    for _ in range(_BEFORE + _PASSES):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return 1000 * median(seconds[_BEFORE:])
