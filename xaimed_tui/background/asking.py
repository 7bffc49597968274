"""The questions about the maps of one image that cost passes, in the explaining thread: after everything else."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.results.evidence import Evidence, Verdict
from xaimed_tui.background import messages
from xaimed_tui.background.explaining import Work

if TYPE_CHECKING:
    from textual.message import Message

    from engine.explanation.explain import Explanation
    from engine.progress import Progress


@dataclass(eq=False)
class Asking(Work):
    """The asking of what was not asked yet: the quick questions about every map first."""

    def make(self) -> Message:
        subject = self.subject
        explanation = self.assemble()
        subject.evidence.update(explanation.evidence)
        left = [
            (method, question)
            for question in self.engine.questions()
            for method in subject.maps
            if subject.evidence.get(method, Evidence()).verdicts[question] is Verdict.NOT_ASKED
        ]
        seconds = self.engine.seconds_to_ask(subject.maps)
        left_of = dict.fromkeys(subject.maps, seconds)
        self.post(messages.MethodStarted(subject.ticket.number, self.method))
        for done, (method, question) in enumerate(left):
            self.post(messages.QuestionAsked(subject.ticket.number, self.method, question, done, len(left), seconds))
            began = time.monotonic()
            subject.evidence[method] = self.engine.ask(
                subject.model,
                subject.image,
                subject.maps[method],
                subject.evidence.get(method, Evidence()),
                question,
                subject.settings,
                max(left_of[method], 0.0),
                _unheard,
                self.stop,
            )
            left_of[method] -= time.monotonic() - began
            self._found(explanation, whole=False)
        return self._found(explanation, whole=True)

    def _found(self, explanation: Explanation, *, whole: bool) -> messages.EvidenceFound:
        """Report what is known by now."""
        known = replace(explanation, evidence=MappingProxyType(dict(self.subject.evidence)))
        message = messages.EvidenceFound(self.subject.ticket.number, self.method, known, whole)
        if not whole:
            self.post(message)
        return message

    def forget(self, reason: str) -> None:
        """Keep the answers so far: only the question at hand has none."""


def _unheard(_: Progress) -> None:
    """Progress within a question is not shown: it is one of many, and the line at the top counts these."""
