"""What a detail says of a map's worth, by the exact cells and the evidence, and of the exact cells themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.explanation.evidence_words import MARKS, QUESTION_WORDS
from engine.explanation.exact_words import firm_words, ranks_words, speaking
from engine.results.cells import CELL_NAMES, CELLS, TOP
from engine.results.diagnosis import probability_text
from engine.results.exact_cells import MEAN_RANK, SHARED_BY_CHANCE, TRIPLES
from engine.text import safe_text
from xaimed_tui.widgets.evidence_words import evidence_line
from xaimed_tui.widgets.exact_words import FILL_WORDS, blank_words, supporting_words
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import cell_list, method_name, seconds_text

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.exact_cells import ExactCells, FillValues

_WIDE = 200
"""Columns for a line that is broken where it is shown."""


def worth_facts(explanation: Explanation, method: str) -> list[Part]:
    """Return whether a map can be believed, and what its three cells are worth under every fill."""
    exact, top = explanation.exact, explanation.statistics[method].top
    parts: list[Part] = []
    if (evidence := explanation.evidence.get(method)) is not None:
        parts += [*evidence_line(evidence, _WIDE), "\n"]
        asked = [f"{MARKS[verdict]} {QUESTION_WORDS[question]}" for question, verdict in evidence.verdicts.items()]
        parts.append(f"{', '.join(asked)} (e: figures)\n")
    if exact is None:
        failed = explanation.exact_failure
        return [*parts, (f"! no exact cells: {safe_text(failed)}\n", "$text-warning")] if failed else parts
    judged_by = exact.judge(top)
    width = max(len(FILL_WORDS[fill]) for fill in exact.fills)
    for fill, judged in judged_by.items():
        parts += [(f"{FILL_WORDS[fill]:<{width}}  ", "$text-muted"), (f"{ranks_words(judged)}\n", "$foreground")]
    if judged_by:
        parts.append(f"{'by chance':<{width}}  {SHARED_BY_CHANCE:g} of {TOP} shared, rank {MEAN_RANK:g}\n")
    return [*parts, "\n"] if parts else []


def exact_facts(explanation: Explanation, exact: ExactCells, found: FillValues) -> list[Part]:
    """Return what the exact cells say under a fill, and what they say of every map."""
    target = safe_text(explanation.target, limit=40)
    parts: list[Part] = [(f"! {safe_text(warning)}\n", "$text-warning") for warning in exact.warnings]
    parts += [
        ("Exact: ", "bold $foreground"),
        f"all 512 ways to show and hide the nine cells, none left out. Hidden cells show {safe_text(found.hidden)}.\n",
    ]
    if exact.stopped:
        parts.append("Stopped before all fills were done.\n")
    if found.matters:
        words = supporting_words(found)
        parts.append(f"{words[:1].upper()}{words[1:]}, the most {cell_list(speaking(found)[:1]) or 'none'}.\n")
    else:
        parts.append((f"No cell matters: the answer moves by {found.range:.3f} at most.\n", "$text-warning"))
    if found.none_shown >= found.all_shown:
        parts.append((f"{blank_words(found, target)} t explains another class.\n", "$text-warning"))
    firm = firm_words(exact)
    parts.append(f"{firm[:1].upper()}{firm[1:]}.\n\n")
    facts = [
        (f"{target}, whole image", probability_text(found.all_shown, 3)),
        ("all nine hidden", probability_text(found.none_shown, 3)),
        ("lowest to highest", f"{found.values.min():.3f} to {found.values.max():.3f}"),
        ("best three kept", f"{probability_text(found.kept(found.best_kept), 3)}  {cell_list(found.best_kept)}"),
        (
            "best three hidden",
            f"{probability_text(found.without(found.best_hidden), 3)}  {cell_list(found.best_hidden)}",
        ),
        ("strongest pair", _pair(found)),
        ("passes", f"{exact.passes:,}"),
        ("time", seconds_text(exact.seconds)),
    ]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        parts += [(f"{name:<{width}}  ", "$text-muted"), (f"{value}\n", "$foreground")]
    parts.append(
        f"\nWhat the maps' three cells are worth; by chance they share 1 and rank {MEAN_RANK:g} of {len(TRIPLES)}:\n"
    )
    names = {method: method_name(method) for method in explanation.maps}
    wide = max(map(len, names.values()), default=0)
    for method, name in names.items():
        judged = found.judge(explanation.statistics[method].top)
        said = "marks no cell" if judged is None else ranks_words(judged)
        parts += [(f"{name:<{wide}}  ", "$text-muted"), (f"{said}\n", "$foreground")]
    return parts


def _pair(found: FillValues) -> str:
    """Return the two cells that do most more, or less, together than each alone."""
    place = int(np.abs(found.interactions).argmax())
    first, second = CELLS[place // len(CELLS)], CELLS[place % len(CELLS)]
    value = float(found.interactions.flat[place])
    names = f"{CELL_NAMES[first]} and {CELL_NAMES[second]}"
    if abs(value) < 0.005:
        return "none: the cells add up"
    return f"{value:+.3f}  {names} {'do more together' if value > 0 else 'overlap'}"
