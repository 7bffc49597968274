"""The evidence for a map in words: one line that stands under it everywhere, and the figures behind each answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from engine.explanation.exact_words import CHANCE, ranks_words
from engine.results.evidence import Evidence, Verdict
from engine.results.exact_cells import SHARED_BY_CHANCE

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.evidence import BetterThanChance, Curves, OfThisNetwork, Right, Stable

MARKS: Mapping[Verdict, str] = MappingProxyType(
    {Verdict.YES: "✓", Verdict.NO: "✗", Verdict.UNKNOWN: "?", Verdict.NOT_ASKED: "·"}
)
"""A mark for each verdict, a column wide; they are told apart by shape, not by colour."""

VERDICT_WORDS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.YES: "yes",
        Verdict.NO: "no",
        Verdict.UNKNOWN: "cannot be said",
        Verdict.NOT_ASKED: "not asked yet",
    }
)

QUESTION_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "right": "right",
        "better_than_chance": "better than chance",
        "stable": "stable",
        "of_this_network": "of this network",
    }
)
"""What each question is called in the line under a map."""

SHORT_WORDS: Mapping[str, str] = MappingProxyType(
    {"right": "right", "better_than_chance": "beats chance", "stable": "stable", "of_this_network": "this network"}
)
"""The same where space is short."""

SEPARATOR = " · "


def evidence_line(evidence: Evidence, width: int | None = None) -> str:
    """Return the line under a map: the four questions, each with its verdict in words.

    Args:
        evidence: of the map.
        width: columns that there are; where the words do not fit, marks stand in their place (`evidence_marks`).
    """
    parts = []
    for question, verdict in evidence.verdicts.items():
        words = VERDICT_WORDS[verdict]
        if question == "right" and (shared := shared_words(evidence.right)):
            words = f"{words}, {shared}"
        parts.append(f"{QUESTION_WORDS[question]}: {words}")
    line = SEPARATOR.join(parts)
    return line if width is None or len(line) <= width else evidence_marks(evidence, width)


def evidence_notes(explanation: Explanation, method: str) -> tuple[str, ...]:
    """Return the line under a method's map, for what is read as text; none where nothing was asked about it."""
    known = explanation.evidence.get(method)
    if known is None or all(verdict is Verdict.NOT_ASKED for verdict in known.verdicts.values()):
        return ()
    return (evidence_line(known),)


def evidence_marks(evidence: Evidence, width: int | None = None) -> str:
    """Return the line in its short form: a mark and a word for each question, or where that is too long the marks.

    Args:
        evidence: of the map.
        width: columns that there are.
    """
    named = "  ".join(f"{MARKS[verdict]} {SHORT_WORDS[question]}" for question, verdict in evidence.verdicts.items())
    if width is None or len(named) <= width:
        return named
    return "".join(MARKS[verdict] for verdict in evidence.verdicts.values())


def shared_words(right: Right) -> str:
    """Return how many of the exact three cells a map's three hold, with chance beside it; empty if it is not known."""
    counts = sorted({judged.shared for judged in right.fills.values() if judged.kept_rank is not None})
    if not counts:
        return ""
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{number} of 3 shared (chance {SHARED_BY_CHANCE:g})"


def evidence_details(evidence: Evidence) -> Iterator[tuple[str, str, str]]:
    """Yield for each question what it is called, its verdict in words, and its reason with the figures behind it."""
    figures = {
        "right": _right(evidence.right),
        "better_than_chance": _better_than_chance(evidence.better_than_chance),
        "stable": _stable(evidence.stable),
        "of_this_network": _of_this_network(evidence.of_this_network),
    }
    for question, verdict in evidence.verdicts.items():
        why = getattr(evidence, question).why
        said = ". ".join(part[0].upper() + part[1:] for part in (why, figures[question]) if part)
        yield QUESTION_WORDS[question], VERDICT_WORDS[verdict], f"{said}." if said else ""


def _right(right: Right) -> str:
    said = [f"{fill}: {ranks_words(judged)}" for fill, judged in right.fills.items()]
    if said:
        said.append(CHANCE)
    if right.chance is not None:
        said.append(f"{right.chance:.0%} of all choices of three cells would be called right here")
    return "; ".join(said)


def _better_than_chance(answer: BetterThanChance) -> str:
    curves = [curves for curves in (answer.deletion, answer.insertion) if curves is not None]
    return "; ".join(_areas(each) for each in curves)


def _areas(curves: Curves) -> str:
    low, middle, high = np.quantile(curves.random_areas, (0, 0.5, 1))
    better = "less" if curves.kind == "deletion" else "more"
    others = f"random {low:.2f} to {high:.2f}, median {middle:.2f}; centre {curves.centre_area:.2f}"
    return f"{curves.kind} area {curves.area:.2f}, {better} is better ({others})"


def _stable(answer: Stable) -> str:
    if answer.correlation is None:
        return ""
    return f"the copies' nine cell means correlate with the map's own by {answer.correlation:.2f} on average"


def _of_this_network(answer: OfThisNetwork) -> str:
    if not answer.correlations:
        return ""
    names = {"head": "last layer", "half": "later half", "all": "all"}
    said = ", ".join(
        f"{names[depth]} {value:.2f} ({answer.shared[depth]:.1f} of 3 cells shared)"
        for depth, value in answer.correlations.items()
    )
    images = f"{answer.images} image{'' if answer.images == 1 else 's'}"
    held = "1 would be the same map; by chance 1 of 3 cells is shared"
    return f"rank correlation with the map of random weights, on {images}: {said}; {held}"
