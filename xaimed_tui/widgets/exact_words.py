"""Words for the exact cells: what they say of the image, and what they say any three cells are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from engine.explanation.exact_words import firm_words, ordinal, ranks_words, speaking
from engine.results.cells import CELL_NAMES, TOP, Cell, rank_cells
from engine.results.diagnosis import probability_text
from engine.results.exact_cells import MEAN_RANK, SHARED_BY_CHANCE, TRIPLES
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import count_word

if TYPE_CHECKING:
    from engine.results.exact_cells import ExactCells, FillValues, Judged
    from xaimed_tui.preferences.look import Look
    from xaimed_tui.session.method_run import MethodRun

CHANCE = f"chance {SHARED_BY_CHANCE:g}"
"""What three cells chosen at random share with the exact three, on average."""

FILL_WORDS = {"mean": "mean colour", "blur": "blur", "inpaint": "surroundings", "noise": "noise"}
"""What hidden cells show, in a word or two."""


def shown_fill(exact: ExactCells, look: Look) -> FillValues:
    """Return the answer under the fill that is looked at; the first one if there is none under it."""
    return exact.fills.get(look.fill) or next(iter(exact.fills.values()))


def worth_line(judged: Judged | None, width: int) -> str:
    """Return what three cells are worth under a fill, with chance beside it: one line or, where it is narrow, two."""
    if judged is None:
        return "no cells, so nothing to judge"
    if judged.kept_rank is None or judged.hidden_rank is None:
        return ranks_words(judged)
    shared = f"{judged.shared} of {TOP} shared"
    kept, hidden, most = ordinal(judged.kept_rank), ordinal(judged.hidden_rank), len(TRIPLES)
    forms = (
        f"{shared} ({CHANCE}) · kept {kept}, hidden {hidden} of {most} (chance {MEAN_RANK:g})",
        f"{shared} ({CHANCE}) · kept {kept}, hidden {hidden} of {most}",
        f"{judged.shared}/{TOP} ({CHANCE}) · kept {kept}, hidden {hidden} of {most}",
        f"{judged.shared}/{TOP} ({CHANCE}) · kept {judged.kept_rank:g}, hid {judged.hidden_rank:g} of {most}",
        f"{shared} ({CHANCE})\nkept {kept}, hidden {hidden} of {most}",
    )
    return next(
        (form for form in forms if max(map(len, form.split("\n"))) <= width),
        f"{shared} ({CHANCE})\nkept {judged.kept_rank:g}, hid {judged.hidden_rank:g} of {most}",
    )


def worth_of(run: MethodRun, exact: ExactCells, look: Look, width: int) -> str:
    """Return what a finished map's three cells are worth under the fill looked at; empty for other maps."""
    if run.state != "done" or run.statistics is None or not run.statistics.top:
        return ""
    return worth_line(shown_fill(exact, look).judge(run.statistics.top), width)


def supporting_words(found: FillValues) -> str:
    """Return how many cells speak for the class."""
    cells = "cell speaks" if found.supporting == 1 else "cells speak"
    return f"{count_word(found.supporting)} {cells} for it"


def blank_words(found: FillValues, target: str) -> str:
    """Return the sentence for a class that a picture with every cell hidden has at least as surely."""
    blank, whole = probability_text(found.none_shown, 3), probability_text(found.all_shown, 3)
    seen = f"With every cell hidden, {target} has {blank}, no less than with the whole image shown ({whole})"
    return f"{seen}: no cell can add much."


def exact_caption(exact: ExactCells, look: Look, width: int, cell: Cell | None = None) -> Content:
    """Return what the exact cells say under the fill looked at; or of one cell, under every fill."""
    if cell is not None:
        return _cell_caption(exact, cell)
    found = shown_fill(exact, look)
    parts: list[Part] = [("hidden: ", ""), (FILL_WORDS[found.fill], "bold $foreground")]
    others = [FILL_WORDS[fill] for fill in exact.fills if fill != found.fill]
    if others and len(line := f" · u {' '.join(others)}") + 8 + len(FILL_WORDS[found.fill]) <= width:
        parts.append(line)
    if not found.matters:
        parts.append((f"\nno cell matters: range {found.range:.3f}", "$text-warning"))
    else:
        three = [f"{rank} {CELL_NAMES[one]}" for rank, one in enumerate(speaking(found), start=1)]
        parts.append(f"\n{' · '.join(three) or 'no cell speaks for it'}")
        parts.append(f"\n{firm_words(exact)}")
    whole, blank = probability_text(found.all_shown), probability_text(found.none_shown)
    if found.none_shown >= found.all_shown:
        said = f"all hidden, still {blank}"
        more = f"{said} · t another class"
        parts.append((f"\n{more if len(more) <= width else said}", "$text-warning"))
    else:
        parts.append(f"\nwhole image {whole}, all hidden {blank}")
    return Content.assemble(*parts)


def _cell_caption(exact: ExactCells, cell: Cell) -> Content:
    parts: list[Part] = [(CELL_NAMES[cell], "bold $foreground")]
    if exact.firm is not None and cell in exact.firm:
        parts.append(" · firm")
    for found in exact.fills.values():
        rank = rank_cells(found.shapley).index(cell) + 1
        parts.append(f"\n{FILL_WORDS[found.fill]} {found.shapley[cell]:+.3f} · {ordinal(rank)} of {len(CELL_NAMES)}")
    return Content.assemble(*parts)
