"""What is said of the exact cells in words: what they say of the image, and what they say of any map's three cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.results.cells import CELL_NAMES, TOP, Cell
from engine.results.diagnosis import probability_text
from engine.results.exact_cells import FILL_NAMES, MEAN_RANK, NO_CELL_MATTERS, SHARED_BY_CHANCE, TRIPLES

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.exact_cells import ExactCells, FillValues, Judged

CHANCE = f"chance: {SHARED_BY_CHANCE:g} of {TOP} shared, rank {MEAN_RANK:g}"
"""What three cells chosen at random are worth on average; it stands wherever a number would else impress."""

EXACT_TITLE = "Exact cells"

EXACT_MEANS = (
    "What each cell adds to the probability, on average over all combinations of shown and hidden cells (its Shapley "
    "value)."
)

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "all nine")


def ordinal(rank: float) -> str:
    """Return a rank in words: `1st`, `12th`; `42.5` where several share it."""
    if rank != int(rank):
        return f"{rank:.1f}"
    number = int(rank)
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def ranks_words(judged: Judged) -> str:
    """Return what three cells are worth under one fill, without chance."""
    shared = f"{judged.shared} of {TOP} shared"
    if judged.kept_rank is None or judged.hidden_rank is None:
        return f"{shared}, but no cell matters"
    return f"{shared}, kept {ordinal(judged.kept_rank)}, hidden {ordinal(judged.hidden_rank)} of {len(TRIPLES)}"


def worth_words(explanation: Explanation, method: str) -> str:
    """Return what a map's three cells are worth under every fill, with chance; empty without exact cells."""
    if explanation.exact is None:
        return ""
    judged = explanation.exact.judge(explanation.statistics[method].top)
    if not judged:
        return "it marks no cell, so there is nothing to judge"
    said = "; ".join(f"{fill}: {ranks_words(one)}" for fill, one in judged.items())
    return f"{said}; {CHANCE}" if any(one.kept_rank is not None for one in judged.values()) else said


def speaking(found: FillValues) -> tuple[Cell, ...]:
    """Return those of the exact three that speak for the class; none where no cell matters."""
    return found.top[: min(found.supporting, TOP)] if found.matters else ()


def exact_labels(exact: ExactCells, found: FillValues) -> Mapping[Cell, str]:
    """Return the rank of every cell that speaks for the class among the exact three, with `?` if it is not firm."""
    return {
        cell: f"{rank}{'' if exact.firm is None or cell in exact.firm else '?'}"
        for rank, cell in enumerate(speaking(found), start=1)
    }


def supporting_words(found: FillValues) -> str:
    """Return how many cells speak for the class: `two cells speak for the class`."""
    cells = "cell speaks" if found.supporting == 1 else "cells speak"
    return f"{_COUNTS[found.supporting]} {cells} for the class"


def found_words(found: FillValues) -> str:
    """Return what the exact cells say under one fill: the cells with their values, and what those are measured by."""
    whole, none = (probability_text(value, 3) for value in (found.all_shown, found.none_shown))
    measured = f"whole image {whole}, all hidden {none}"
    if not found.matters:
        return f"no cell matters: the probability moves by {found.range:.3f} at most; {measured}"
    cells = ", ".join(f"{CELL_NAMES[cell]} {found.shapley[cell]:+.3f}" for cell in speaking(found))
    fewer = f" ({supporting_words(found)})" if found.supporting < TOP else ""
    return f"{cells or 'none'}{fewer}; {measured}, range {found.range:.3f}"


def firm_words(exact: ExactCells) -> str:
    """Return which cells are among the exact three under every fill that matters, or why that cannot be said."""
    if exact.firm is None:
        return "firm: cannot be said, for lack of two fills that matter"
    return f"firm: {', '.join(CELL_NAMES[cell] for cell in exact.firm) or 'no cell'}"


def exact_lines(explanation: Explanation) -> Iterator[str]:
    """Yield what the exact cells say, a line for each fill, and which cells are firm; or why there is no answer."""
    exact = explanation.exact
    if exact is None:
        if explanation.exact_failure:
            yield f"No exact cells: {explanation.exact_failure}"
        return
    for fill, found in exact.fills.items():
        yield f"Hidden by {FILL_NAMES[fill]}: {found_words(found)}."
    firm = firm_words(exact)
    yield f"{firm[0].upper()}{firm[1:]}."


def exact_notes(exact: ExactCells) -> Iterator[str]:
    """Yield what must not be overlooked about the exact cells."""
    if exact.stopped:
        yield "Stopped before the exact cells were done under every fill."
    # The line of its fill says it already.
    yield from (said for said, code in zip(exact.warnings, exact.warning_codes, strict=True) if code != NO_CELL_MATTERS)
