"""The line under a map that says whether it can be believed: four marks that can be told without colour, and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.explanation.evidence_words import MARKS
from engine.results.evidence import Verdict
from xaimed_tui.widgets.words import Part

if TYPE_CHECKING:
    from engine.results.evidence import Evidence

_DOUBTS = {
    "better_than_chance": "no better than chance",
    "stable": "not stable",
    "of_this_network": "not of this network",
}
"""What a *no* to a question means for a map."""


def evidence_line(evidence: Evidence, width: int) -> list[Part]:
    """Return the marks of the four questions in their order, and in words whether the map can be believed."""
    verdicts = evidence.verdicts
    marks = "".join(MARKS[verdict] for verdict in verdicts.values())
    words, style = _words(evidence)
    said = next((each for each in words if len(marks) + 1 + len(each) <= width), words[-1])
    return [(marks, "bold $foreground"), " ", (said, style)]


def _words(evidence: Evidence) -> tuple[tuple[str, ...], str]:
    """Return the words, longest first, and their style."""
    verdicts = evidence.verdicts
    doubts = [words for question, words in _DOUBTS.items() if verdicts[question] is Verdict.NO]
    right = verdicts["right"]
    if right is Verdict.NO:
        return ("do not rely on it: other cells do more", "not to be relied on", "wrong cells"), "$text-warning"
    if doubts:
        return (f"doubtful: {' and '.join(doubts)}", f"doubtful: {doubts[0]}", doubts[0], "doubtful"), "$text-warning"
    if right is Verdict.UNKNOWN:
        return ("whether it is right cannot be said", "cannot be said"), ""
    if right is Verdict.NOT_ASKED:
        if all(verdict is Verdict.NOT_ASKED for verdict in verdicts.values()):
            return ("not asked yet",), ""
        return ("whether it is right is not asked yet", "not all is asked yet", "not all asked"), ""
    if all(verdict is Verdict.YES for verdict in verdicts.values()):
        return ("the right cells, and it stands every test", "right, in every test", "right"), "$foreground"
    if Verdict.NOT_ASKED in verdicts.values():
        return ("the right cells; not all is asked yet", "the right cells so far", "right so far"), "$foreground"
    return ("the right cells; not all can be said", "the right cells", "right"), "$foreground"
