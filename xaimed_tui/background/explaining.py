"""One method at work on one image, in the explaining thread."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.errors import Stopped, XAIMedError
from xaimed_tui.background import messages
from xaimed_tui.background.backend import Engine, Model
from xaimed_tui.background.failure import Failure, failure_of, fault_line
from xaimed_tui.background.lanes import Ticket

if TYPE_CHECKING:
    from textual.app import App
    from textual.message import Message
    from textual.widget import Widget

    from engine.explainers.settings import Settings
    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage
    from engine.progress import Progress
    from engine.results.diagnosis import Diagnosis
    from engine.results.saliency import SaliencyMap

log = logging.getLogger("xaimed.jobs")

PROGRESS_EVERY = 1 / 5
"""Seconds between two progress messages of a method."""

PREVIEW_EVERY = 1 / 4
"""Seconds between two intermediate maps of a method."""


@dataclass(eq=False)
class Subject:
    """One image with the network's answer: what the methods explain.

    Only the explaining thread writes its maps.
    """

    ticket: Ticket
    model: Model
    image: MedicalImage
    diagnosis: Diagnosis
    settings: Settings
    maps: dict[str, SaliencyMap] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    stops: dict[str, threading.Event] = field(default_factory=dict)


@dataclass(eq=False)
class Explaining:
    """The making of one map; what happens to it is told to `target` in messages."""

    engine: Engine
    app: App[int]
    target: Widget
    subject: Subject
    method: str
    stop: threading.Event
    progress_at: float = 0.0
    preview_at: float = 0.0

    def run(self) -> None:
        """Make the map and report how it ended."""
        subject = self.subject
        ending: messages.MethodEnded
        try:
            ending = self._make()
        except Stopped:
            ending = messages.MethodStopped(subject.ticket.number, self.method, self._others())
        except XAIMedError as error:
            log.warning("%s: %s", self.method, error)
            ending = self._failed(error.message, failure_of("method", error))
        except Exception as error:  # of the network's code or a plug-in's, which may raise anything
            log.exception("method %s failed", self.method)
            failure = failure_of("method", error)
            ending = self._failed(fault_line(error), failure)
            self.app.post_message(messages.FaultFound(failure))
        # Before the message: its receiver may start the method again at once.
        subject.stops.pop(self.method, None)
        self._post(ending)

    def _make(self) -> messages.MapFinished:
        subject, method = self.subject, self.method
        # It may have been stopped while it waited in the lane.
        if self.stop.is_set():
            raise Stopped
        self._post(messages.MethodStarted(subject.ticket.number, method))
        made = self.engine.explain_method(
            subject.model, subject.image, method, subject.settings, self._progress, self.stop
        )
        subject.maps[method] = made
        # It may have failed before; only the last attempt counts.
        subject.failures.pop(method, None)
        return messages.MapFinished(subject.ticket.number, method, self._assemble())

    def _assemble(self) -> Explanation:
        subject = self.subject
        settings = replace(subject.settings, methods=tuple(subject.maps))
        return self.engine.assemble(
            subject.model, subject.image, subject.diagnosis, subject.maps, subject.failures, settings
        )

    def _others(self) -> Explanation | None:
        """Return the explanation without this map; None if there is none.

        An error in putting it together is reported on its own, so that this method still ends.
        """
        if not self.subject.maps or self.subject.ticket.withdrawn.is_set():
            return None
        try:
            return self._assemble()
        except Exception as error:  # as the docstring says
            log.exception("what was made before %s cannot be put together", self.method)
            self.app.post_message(messages.FaultFound(failure_of("method", error)))
            return None

    def _failed(self, reason: str, failure: Failure) -> messages.MethodFailed:
        self.subject.failures[self.method] = reason
        self.subject.maps.pop(self.method, None)
        return messages.MethodFailed(self.subject.ticket.number, self.method, self._others(), reason, failure)

    def _progress(self, progress: Progress) -> None:
        now, ticket = time.monotonic(), self.subject.ticket.number
        if progress.preview is not None and now - self.preview_at >= PREVIEW_EVERY:
            self.preview_at = now
            statistics = self.engine.statistics(progress.preview)
            self._post(messages.MapSharpened(ticket, self.method, progress.preview, statistics))
        # The last one is never held back: else the bar would stop short of its end.
        if now - self.progress_at >= PROGRESS_EVERY or progress.done >= progress.total:
            self.progress_at = now
            self._post(messages.MethodAdvanced(ticket, self.method, progress.done, progress.total))

    def _post(self, message: Message) -> None:
        self.subject.ticket.post(self.target, message)
