"""Statistics as text for people and as CSV for programs, to be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.explanation.exact_words import exact_notes
from engine.results.cells import CELL_NAMES, CELLS
from engine.text import safe_text
from xaimed_tui.widgets.exact_words import FILL_WORDS
from xaimed_tui.wording import EXACT, cell_list, count_text, doubts, method_name, settled_by

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.exact_cells import ExactCells

Table = list[list[str]]


def statistics_csv(explanation: Explanation, key: str) -> str:
    """Return a method's nine rows as in `statistics.csv`, the exact cells as in `exact.csv`; else the counts."""
    if key == EXACT and explanation.exact is not None:
        from engine.export.folder import exact_bytes

        return exact_bytes(explanation.exact).decode("ascii")
    if key != "agreement":
        from engine.export.folder import codes_by_method, statistics_bytes

        own, codes = {key: explanation.statistics[key]}, codes_by_method(explanation)
        return statistics_bytes(own, codes, explanation.evidence).decode("ascii")
    lines = ["row,column,count,methods"]
    for cell in CELLS:
        count = int(explanation.consensus.counts[cell])
        lines.append(f"{cell[0]},{cell[1]},{count},{' '.join(_who(explanation, cell))}")
    return "\n".join(lines) + "\n"


def statistics_text(explanation: Explanation, key: str) -> str:
    """Return a heading, a table aligned for a fixed-width font, and notes on its certainty."""
    image = safe_text(explanation.image.path.name)
    network = safe_text(f"{explanation.bundle.task} / {explanation.bundle.name}")
    name = "Agreement" if key == "agreement" else method_name(key)
    head = f"{name} of {image}, what speaks for {safe_text(explanation.target)}\n{network}\n"
    if key == EXACT and explanation.exact is not None:
        table, notes = _exact(explanation.exact)
        notes += "".join(f"! {safe_text(note)}\n" for note in exact_notes(explanation.exact))
    else:
        table, notes = _agreement(explanation) if key == "agreement" else _method(explanation, key)
    notes += "".join(f"! {safe_text(doubt)}\n" for doubt in doubts(explanation.diagnosis))
    return f"{head}\n{_aligned(table)}\n{notes}"


def _method(explanation: Explanation, key: str) -> tuple[Table, str]:
    made, cells = explanation.maps[key], explanation.statistics[key]
    errors = made.cell_errors
    table = [["", "cell", "mean", *(["error"] if errors is not None else []), "median", "min", "max", "std"]]
    for cell in CELLS:
        mark = (str(cells.top.index(cell) + 1) if cell in cells.top else "") + ("?" if cell in cells.ties else "")
        numbers = [cells.mean[cell], *([errors[cell]] if errors is not None else [])]
        numbers += [each[cell] for each in (cells.median, cells.min, cells.max, cells.std)]
        table.append([mark, CELL_NAMES[cell], *(f"{float(number):.3f}" for number in numbers)])
    settled, notes = settled_by(made, cells), ""
    if not cells.top:
        notes = "The map is constant: it marks no cell.\n"
    elif cells.ties:
        notes = f"Not certain which of these belong to the three: {cell_list(cells.ties)}.\n"
    elif settled == "no samples":
        notes = "Not sampled: the choice of the three is not down to chance.\n"
    elif settled:
        notes = "Certain: no other cell could be among the three.\n"
    if made.stopped:
        notes += "Stopped before all samples were used.\n"
    return table, notes + "".join(f"! {safe_text(warning)}\n" for warning in made.warnings)


def _exact(exact: ExactCells) -> tuple[Table, str]:
    table = [["cell", *(FILL_WORDS[fill] for fill in exact.fills), "firm"]]
    for cell in CELLS:
        firm = "firm" if exact.firm is not None and cell in exact.firm else ""
        table.append([CELL_NAMES[cell], *(f"{found.shapley[cell]:+.3f}" for found in exact.fills.values()), firm])
    notes = [f"Hidden cells show {found.hidden}: {FILL_WORDS[fill]}." for fill, found in exact.fills.items()]
    notes += [f"No cell matters under {FILL_WORDS[fill]}." for fill, found in exact.fills.items() if not found.matters]
    return table, "".join(f"{safe_text(note)}\n" for note in notes)


def _agreement(explanation: Explanation) -> tuple[Table, str]:
    table = [["count", "cell", "methods"]]
    for cell in CELLS:
        who = ", ".join(method_name(method) for method in _who(explanation, cell))
        table.append([count_text(explanation.consensus, cell), CELL_NAMES[cell], who])
    counted = ", ".join(method_name(method) for method in explanation.consensus.methods)
    return table, f"Methods counted: {counted or 'none'}.\n"


def _who(explanation: Explanation, cell: tuple[int, int]) -> list[str]:
    return [method for method in explanation.consensus.methods if cell in explanation.statistics[method].top]


def _aligned(table: Table) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "".join(
        "  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() + "\n" for row in table
    )
