"""Receive what the methods and the exact cells at work report, and keep their states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.text import safe_text
from xaimed_tui.background import messages
from xaimed_tui.session.method_run import MethodRun, State
from xaimed_tui.wording import EVIDENCE, EXACT

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.exact_cells import ExactCells
    from xaimed_tui.background.explaining import Subject
    from xaimed_tui.background.failure import Failure
    from xaimed_tui.background.jobs import Jobs


class MethodListener:
    """A mixin for the widget that the jobs report to. Messages about an older subject are ignored."""

    subject: Subject | None = None
    runs: dict[str, MethodRun]
    exact_run: MethodRun | None = None
    """The run of the exact cells; None where they are not shown."""
    asking: MethodRun | None = None
    """The asking of the questions about the maps; None where they are not asked."""

    if TYPE_CHECKING:

        @property
        def jobs(self) -> Jobs:
            """The jobs that run the methods."""

    def run_changed(self, run: MethodRun) -> None:
        """Called when a method's state or map has changed."""
        raise NotImplementedError

    def run_advanced(self, run: MethodRun) -> None:
        """Called when a method has more samples; its map has not changed."""
        raise NotImplementedError

    def explained(self, explanation: Explanation | None) -> None:
        """Called when there are other maps than before; None if there are none."""
        raise NotImplementedError

    def run_ended(self) -> None:
        """Called when a method is not at work any more."""
        raise NotImplementedError

    def exact_found(self, exact: ExactCells) -> None:
        """Called when the exact cells are known under one fill more."""
        raise NotImplementedError

    def question_asked(self, question: str, seconds: float) -> None:
        """Called when a question about a map is asked; all about one map may take so many seconds."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether a method is running or waiting."""
        return any(run.busy for run in self.all_runs)

    @property
    def all_runs(self) -> list[MethodRun]:
        """The runs of the methods and of the exact cells."""
        return [*self.runs.values(), *([] if self.exact_run is None else [self.exact_run])]

    def _run_of(self, message: messages.OfMethod) -> MethodRun | None:
        """Return the run that a message is about; None if the message is stale."""
        if self.subject is None or message.ticket != self.subject.ticket.number:
            return None
        own = {EXACT: self.exact_run, EVIDENCE: self.asking}
        return own[message.method] if message.method in own else self.runs[message.method]

    def on_method_started(self, message: messages.MethodStarted) -> None:
        if (run := self._run_of(message)) is not None:
            run.state, run.since = "running", self.jobs.clock()
            self.run_changed(run)

    def on_method_advanced(self, message: messages.MethodAdvanced) -> None:
        if (run := self._run_of(message)) is not None and run.busy:
            if not run.total or message.done == run.paced_from:
                run.paced_since, run.paced_from = self.jobs.clock(), message.done
            run.done, run.total = message.done, message.total
            self.run_advanced(run)

    def on_map_sharpened(self, message: messages.MapSharpened) -> None:
        """A running method has a better map."""
        if (run := self._run_of(message)) is not None and run.busy:
            # Intermediate: it is shown, but neither counted nor saved.
            run.map, run.statistics = message.map, message.statistics
            self.run_changed(run)

    def on_method_postponed(self, message: messages.MethodPostponed) -> None:
        if (run := self._run_of(message)) is not None:
            run.state = "waiting"
            self.run_changed(run)

    def on_exact_found(self, message: messages.ExactFound) -> None:
        """The exact cells are known under one fill more; the others wait for their turn."""
        if (run := self._run_of(message)) is not None:
            run.state = "done" if message.whole else "waiting"
            self.exact_found(message.exact)
            if message.explanation is not None:
                self.explained(message.explanation)
            self.run_changed(run)
            if message.whole:
                self.run_ended()

    def on_question_asked(self, message: messages.QuestionAsked) -> None:
        if (run := self._run_of(message)) is not None and run.busy:
            run.done, run.total = message.done, message.total
            self.question_asked(message.question, message.seconds)

    def on_evidence_found(self, message: messages.EvidenceFound) -> None:
        """There are more answers about the maps, or all that can be had."""
        if (run := self._run_of(message)) is not None:
            if message.whole:
                run.state = "done"
            self.explained(message.explanation)
            self.run_changed(run)

    def on_map_finished(self, message: messages.MapFinished) -> None:
        self._ended(message, "done")

    def on_method_stopped(self, message: messages.MethodStopped) -> None:
        """A method was stopped before it had anything."""
        self._ended(message, "stopped")

    def on_method_failed(self, message: messages.MethodFailed) -> None:
        self._ended(message, "failed", reason=safe_text(message.reason), failure=message.failure)

    def _ended(
        self, message: messages.MethodEnded, state: State, *, reason: str = "", failure: Failure | None = None
    ) -> None:
        """Show the map that the explanation holds for the method: the one that is counted and saved."""
        if (run := self._run_of(message)) is None:
            return
        explanation = message.explanation
        run.state, run.reason, run.failure, run.map, run.statistics = state, reason, failure, None, None
        # A method that was stopped while it was made again keeps its earlier map.
        if explanation is not None and run.method in explanation.maps:
            run.state = "done"
            run.map, run.statistics = explanation.maps[run.method], explanation.statistics[run.method]
        self.explained(explanation)
        self.run_changed(run)
        self.run_ended()
