"""Kill a process that does not answer in time: reads and writes of a pipe have no timeout."""

from __future__ import annotations

import contextlib
import math
import subprocess
import threading
import time
from collections.abc import Iterator


class Deadline:
    """Kills a process at a deadline.

    The thread that does so sleeps through most deadlines: starting one for each picture took as long as the header.

    Attributes:
        missed: whether the process was killed.

    Args:
        process: the process.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.missed = False
        self._process = process
        self._changed = threading.Condition()
        self._at = self._wakes = math.inf
        self._watcher: threading.Thread | None = None
        self._over = False

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Kill the process if the body takes longer. After it, `missed` no longer changes."""
        with self._changed:
            self._at = time.monotonic() + seconds
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="watching the decoder", daemon=True)
                self._watcher.start()
            elif self._at < self._wakes:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._at = math.inf

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Within `within`, let the body take its time: it is not the process that works."""
        with self._changed:
            left = self._at - time.monotonic()
            self._at = math.inf
        try:
            yield
        finally:
            with self._changed:
                self._at = time.monotonic() + left
                if self._at < self._wakes:
                    self._changed.notify()

    def end(self) -> None:
        """Kill nothing any more."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._over:
                left = self._at - time.monotonic()
                if left > 0:
                    self._wakes = self._at
                    self._changed.wait(None if math.isinf(left) else left)
                    self._wakes = -math.inf  # awake: it looks at the deadline before it sleeps again
                else:
                    self.missed, self._at = True, math.inf
                    self._process.kill()
