"""Background work in order: lanes, which are one thread each, and tickets, which allow a job to go on."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.app import App
    from textual.message import Message
    from textual.widget import Widget

log = logging.getLogger("xaimed.jobs")


@dataclass(eq=False)
class Ticket:
    """Allows a job to go on and to report.

    Attributes:
        number: a higher one for each new ticket.
        withdrawn: set when the job is to stop; its messages are not sent any more.
    """

    number: int
    withdrawn: threading.Event = field(default_factory=threading.Event)

    def post(self, target: Widget | App[int], message: Message) -> None:
        """Send a message to the widget that asked, unless the ticket is withdrawn."""
        if not self.withdrawn.is_set():
            target.post_message(message)


class Lane:
    """One background thread that does jobs one after another, those of lower rank first."""

    def __init__(self, app: App[int], name: str) -> None:
        self._app = app
        self._name = name
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._working = False

    def put(self, job: Callable[[], None], *, rank: int = 0, drop_waiting: bool = False) -> None:
        """Add a job; `drop_waiting` first drops the jobs that have not begun."""
        with self._lock:
            if drop_waiting:
                self._waiting.clear()
            self._waiting.append((rank, next(self._numbers), job))
            if self._working:
                return
            # Set here, not by the thread: another job may come before the thread begins.
            self._working = True
        self._app.run_worker(self._work, name=self._name, group=self._name, thread=True, exit_on_error=False)

    @property
    def working(self) -> bool:
        """Whether there are jobs left to do."""
        with self._lock:
            return self._working

    def _work(self) -> None:
        while True:
            with self._lock:
                # Looked at and noted under one lock: a job put in between would wait for a thread that has ended.
                if not self._waiting:
                    self._working = False
                    return
                # Without the job itself, as functions have no order; the number keeps the order within a rank.
                first = min(self._waiting, key=lambda entry: entry[:2])
                self._waiting.remove(first)
            try:
                first[2]()
            except BaseException:
                # `_guarded` reports what jobs raise; this keeps the lane alive if the report itself failed.
                log.exception("the lane %s lost a job", self._name)
