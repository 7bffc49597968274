"""Ask whether the maps can be believed: once all is quiet, and giving way to whatever a person does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.explanation.evidence_words import QUESTION_WORDS
from engine.results.evidence import Evidence, Verdict
from xaimed_tui.app_services import services
from xaimed_tui.session.method_events import MethodListener
from xaimed_tui.session.method_run import MethodRun
from xaimed_tui.wording import EVIDENCE, seconds_text

if TYPE_CHECKING:
    from textual.timer import Timer
    from textual.widget import Widget

    from engine.images.image import MedicalImage
    from engine.results.diagnosis import Diagnosis
    from xaimed_tui.background.backend import Model
    from xaimed_tui.background.explaining import Subject
    from xaimed_tui.session.scene import Scene

    _Base = Widget
else:
    _Base = object

ASK_AFTER = 0.1
"""Seconds without work after which the questions about the maps are asked."""


class AsksLater(MethodListener, _Base):
    """A mixin for the widget that starts the methods and receives their messages.

    Attributes:
        scene: what is explained.
        asking: how far the asking is; `stopped` if a person stopped it.
        giving_way: whether an asking that was told to stop, until others are done, has not ended yet.
        held: whether nothing is asked for now.
    """

    scene: Scene
    asking: MethodRun
    giving_way: bool = False
    held: bool = False
    _soon: Timer | None = None

    if TYPE_CHECKING:

        def subject_of(self, model: Model, image: MedicalImage, diagnosis: Diagnosis) -> Subject:
            """Return what is explained now."""

        def changed(self) -> None:
            """Called when something begins or ends."""

    @property
    def unasked(self) -> bool:
        """Whether questions about the maps are left that were not tried in vain."""
        if self.asking.busy or self.asking.state == "done":
            return False
        kept = [run for run in self.runs.values() if run.state == "done" and run.map is not None]
        return any(
            verdict is Verdict.NOT_ASKED and question != "right"
            for run in kept
            for question, verdict in (run.evidence or Evidence()).verdicts.items()
        )

    def forget_asking(self) -> None:
        """Begin anew: no asking was stopped or has failed."""
        self.asking, self.giving_way = MethodRun(EVIDENCE), False

    def give_way(self) -> None:
        """Ask nothing until others are done, and go on afterwards; whoever calls this stops an asking at work."""
        self.giving_way = self.giving_way or self.asking.busy
        self.asking = MethodRun(EVIDENCE)

    def ask_soon(self) -> None:
        """Ask what is left to be asked once all is quiet: the last map is drawn first.

        What was stopped or failed waits for a person: it would fail again, and again.
        """
        if self._soon is not None:
            self._soon.stop()
        self._soon = None
        if services(self).settings.evidence == "on" and self.asking.state == "idle" and self._may_ask():
            self._soon = self.set_timer(ASK_AFTER, self.ask, name="ask")

    def _may_ask(self) -> bool:
        return not (self.busy or self.held) and self.scene.explanation is not None and self.unasked

    def ask(self) -> None:
        """Ask the questions about the maps that are left."""
        scene = self.scene
        if not self._may_ask() or scene.model is None or scene.image is None or scene.diagnosis is None:
            return
        self.asking = MethodRun(EVIDENCE, "waiting")
        self.jobs.ask(self, self.subject_of(scene.model, scene.image, scene.diagnosis))
        self.changed()

    def hold_asking(self, held: bool) -> None:
        """Ask nothing while another screen needs the network; go on afterwards."""
        self.held = held
        if held and self.asking.busy:
            self.give_way()
            self.jobs.stop_methods(EVIDENCE)
        self.changed()

    def stop(self) -> None:
        """Stop everything at work; the maps and answers so far are kept."""
        self.giving_way = False
        if not self.asking.busy:
            self.asking.state = "stopped"  # else the questions would begin as soon as the methods have ended
        self.jobs.stop_methods()

    def question_asked(self, question: str, seconds: float) -> None:
        """Say in the line at the top what is asked."""
        run = self.asking
        so_far = f"asking: {QUESTION_WORDS[question]}, {run.done + 1} of {run.total}"
        limit = "once for this network" if question == "of_this_network" else f"at most {seconds_text(seconds)} a map"
        services(self).say(f"{so_far} ({limit})")

    def asking_changed(self) -> None:
        """Go on later if the asking that ended was only giving way, even if those it gave way to are done by now."""
        if self.giving_way and self.asking.state in ("done", "stopped", "failed"):
            self.asking.state, self.giving_way = "idle", False
        self.changed()
