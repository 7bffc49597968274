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
    from engine.results.evidence import Evidence
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap

log = logging.getLogger("xaimed.jobs")

PROGRESS_EVERY = 1 / 5
"""Seconds between two progress messages of a method."""

PREVIEW_EVERY = 1 / 4
"""Seconds between two intermediate maps of a method."""


@dataclass(eq=False)
class Subject:
    """One image with the network's answer: what the methods explain.

    Only the explaining thread writes its maps, its exact cells and its evidence.
    """

    ticket: Ticket
    model: Model
    image: MedicalImage
    diagnosis: Diagnosis
    settings: Settings
    maps: dict[str, SaliencyMap] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    exact: ExactCells | None = None
    exact_failure: str = ""
    evidence: dict[str, Evidence] = field(default_factory=dict)
    stops: dict[str, threading.Event] = field(default_factory=dict)


@dataclass(eq=False)
class Work:
    """One thing at work on a subject; what happens to it is told to `target` in messages."""

    engine: Engine
    app: App[int]
    target: Widget
    subject: Subject
    method: str
    stop: threading.Event
    progress_at: float = 0.0

    def run(self) -> None:
        """Do the work and report how it ended."""
        subject = self.subject
        ending: Message
        try:
            # It may have been stopped while it waited in the lane.
            if self.stop.is_set():
                raise Stopped
            ending = self.make()
        except Stopped:
            ending = self.stopped()
        except XAIMedError as error:
            log.warning("%s: %s", self.method, error)
            ending = self._failed(error.message, failure_of("method", error))
        except Exception as error:  # of the network's code or a plug-in's, which may raise anything
            log.exception("method %s failed", self.method)
            failure = failure_of("method", error)
            ending = self._failed(fault_line(error), failure)
            self.app.post_message(messages.FaultFound(failure))
        # Before the message: its receiver may start the method again at once.
        if self.ended:
            subject.stops.pop(self.method, None)
        self.post(ending)

    def make(self) -> Message:
        """Do the work; return the message that says so."""
        raise NotImplementedError

    def forget(self, reason: str) -> None:
        """Note on the subject that there is no result, and why."""
        raise NotImplementedError

    @property
    def ended(self) -> bool:
        """Whether nothing of it is left to be done."""
        return True

    def stopped(self) -> Message:
        """Return the message that it was stopped."""
        return messages.MethodStopped(self.subject.ticket.number, self.method, self.others())

    def assemble(self) -> Explanation:
        """Put together what is known of the subject; there must be a map."""
        subject = self.subject
        settings = replace(subject.settings, methods=tuple(subject.maps))
        return self.engine.assemble(
            subject.model,
            subject.image,
            subject.diagnosis,
            subject.maps,
            subject.failures,
            settings,
            subject.exact,
            subject.exact_failure,
            dict(subject.evidence),
        )

    def others(self) -> Explanation | None:
        """Return the explanation without a result of this; None if there is none.

        An error in putting it together is reported on its own, so that this method still ends.
        """
        if not self.subject.maps or self.subject.ticket.withdrawn.is_set():
            return None
        try:
            return self.assemble()
        except Exception as error:  # as the docstring says
            log.exception("what was made before %s cannot be put together", self.method)
            self.app.post_message(messages.FaultFound(failure_of("method", error)))
            return None

    def _failed(self, reason: str, failure: Failure) -> messages.MethodFailed:
        self.forget(reason)
        return messages.MethodFailed(self.subject.ticket.number, self.method, self.others(), reason, failure)

    def advanced(self, done: int, total: int) -> None:
        """Report how far it is, unless the last report is too recent."""
        now = time.monotonic()
        # The last one is never held back: else the bar would stop short of its end.
        if now - self.progress_at >= PROGRESS_EVERY or done >= total:
            self.progress_at = now
            self.post(messages.MethodAdvanced(self.subject.ticket.number, self.method, done, total))

    def post(self, message: Message) -> None:
        self.subject.ticket.post(self.target, message)


@dataclass(eq=False)
class Explaining(Work):
    """The making of one map."""

    preview_at: float = 0.0

    def make(self) -> messages.MapFinished:
        subject, method = self.subject, self.method
        self.post(messages.MethodStarted(subject.ticket.number, method))
        made = self.engine.explain_method(
            subject.model, subject.image, method, subject.settings, self._progress, self.stop
        )
        subject.maps[method] = made
        # What was found out about the map before it is not true of this one; neither is that it failed.
        subject.failures.pop(method, None)
        subject.evidence.pop(method, None)
        return messages.MapFinished(subject.ticket.number, method, self.assemble())

    def forget(self, reason: str) -> None:
        self.subject.failures[self.method] = reason
        self.subject.maps.pop(self.method, None)
        self.subject.evidence.pop(self.method, None)

    def _progress(self, progress: Progress) -> None:
        now, ticket = time.monotonic(), self.subject.ticket.number
        if progress.preview is not None and now - self.preview_at >= PREVIEW_EVERY:
            self.preview_at = now
            statistics = self.engine.statistics(progress.preview)
            self.post(messages.MapSharpened(ticket, self.method, progress.preview, statistics))
        self.advanced(progress.done, progress.total)
