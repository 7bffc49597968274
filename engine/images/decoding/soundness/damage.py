"""The error for data that is damaged, and what the checks of several formats share."""

from __future__ import annotations

import time

from engine.images.decoding.budget import TooMuchWorkError


class DamageError(Exception):
    """A picture's data is damaged, cut or incomplete; the text says what shows it, as a clause without a full stop."""


class Deadline:
    """Limits a check that runs step by step.

    Args:
        seconds: this thread's processor time that is allowed from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.thread_time() + seconds

    def check(self) -> None:
        """Do nothing, unless the time is over.

        Raises:
            TooMuchWorkError: it is over.
        """
        if time.thread_time() > self._end:
            raise TooMuchWorkError(f"checking it takes longer than {self._seconds:g} s")
