"""How many messages of a kind may come from the terminal: more than a person makes are left out."""

from __future__ import annotations

import time
from collections.abc import Callable


class Rate:
    """Lets so many pass at once, and so many a second after that.

    Args:
        at_once: how many may come together, as after a pause of the line.
        a_second: how many may go on coming.
        clock: seconds that go on.
    """

    def __init__(self, at_once: int, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._left_out = 0
        self._most, self._a_second, self._clock = float(at_once), a_second, clock
        self._free, self._then = float(at_once), clock()

    def passes(self) -> bool:
        """Whether one more may pass now."""
        self._refill()
        if self._free < 1.0:
            self._left_out += 1
            return False
        self._free -= 1.0
        return True

    def left_out(self) -> int:
        """Return how many have not passed since this was last asked; 0 until it has been quiet for a while."""
        self._refill()
        if self._free < self._most / 2:
            return 0
        count, self._left_out = self._left_out, 0
        return count

    def _refill(self) -> None:
        now = self._clock()
        self._free = min(self._most, self._free + (now - self._then) * self._a_second)
        self._then = now
