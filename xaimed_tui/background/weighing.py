"""The exact cells of one image, fill by fill, in the explaining thread: before LIME and RISE if that is quick."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.errors import Stopped
from xaimed_tui.background import messages
from xaimed_tui.background.explaining import Work

if TYPE_CHECKING:
    import threading

    from textual.message import Message

    from engine.progress import Progress

PATIENCE = 5.0
"""Seconds for which LIME and RISE wait for the exact cells, if the pace says that it takes no longer."""

MEASURED_FOR = 0.25
"""Seconds of passes after which their pace is known."""


@dataclass(eq=False)
class Turn:
    """The stop signal of one turn: a person stops it, or it takes longer than the others should wait.

    Attributes:
        stop: set by a person.
        limited: whether others wait for the end of this turn.
    """

    stop: threading.Event
    limited: bool
    overdue: bool = False
    _begun: float = field(default_factory=lambda: time.monotonic())
    _paced_since: float = 0.0
    _paced_from: int = -1

    def is_set(self) -> bool:
        """Whether to stop before the next pass."""
        return self.overdue or self.stop.is_set()

    def advanced(self, done: int, total: int) -> None:
        """Work out from how far it is when it will be done."""
        now = time.monotonic()
        # While the first layers are prepared, the same count is reported: the pace is counted from its last report on.
        if self._paced_from in (-1, done):
            self._paced_since, self._paced_from = now, done
        took, left = now - self._begun, 0.0
        if (measured := now - self._paced_since) >= MEASURED_FOR:
            left = measured * (total - done) / (done - self._paced_from)
        self.overdue = self.limited and took + left > PATIENCE


@dataclass(eq=False)
class Weighing(Work):
    """The passes under one fill after another, a turn of the lane for each.

    Attributes:
        again: puts this work into the lane for another turn.
        slow: whether the maps are made before it goes on.
        more: whether another turn is to come.
    """

    again: Callable[[], None] = field(kw_only=True)
    slow: bool = False
    more: bool = False

    @property
    def ended(self) -> bool:
        return not self.more

    def make(self) -> Message:
        subject, self.more = self.subject, False
        fills = self.engine.fills(subject.model, subject.settings)
        known = 0 if subject.exact is None else len(subject.exact.fills)
        turn = Turn(self.stop, limited=not self.slow)

        def progress(report: Progress) -> None:
            total = 1 + (report.total - 1) // (known + 1) * len(fills)
            self.advanced(report.done, total)
            turn.advanced(report.done, total)

        self.post(messages.MethodStarted(subject.ticket.number, self.method))
        try:
            found = self.engine.exact_cells(
                subject.model, subject.image, subject.settings, fills[: known + 1], progress, turn
            )
            if found.stopped:
                raise Stopped
        except Stopped:
            if self.stop.is_set() or not turn.overdue:
                raise
            # What was passed is kept with the network: the next turn goes on from there.
            self.slow = self.more = True
            self.again()
            return messages.MethodPostponed(subject.ticket.number, self.method)
        subject.exact, subject.exact_failure = found, ""
        # Before another turn is asked for: an error here ends the work.
        explanation = self.assemble() if subject.maps else None
        if len(found.fills) < len(fills):
            self.more = True
            self.again()
        return messages.ExactFound(subject.ticket.number, self.method, explanation, found, whole=not self.more)

    def stopped(self) -> Message:
        if self.subject.exact is not None:
            self.subject.exact = replace(self.subject.exact, stopped=True)
        self.more = False
        return super().stopped()

    def forget(self, reason: str) -> None:
        self.subject.exact, self.subject.exact_failure, self.more = None, reason, False
