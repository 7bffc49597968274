"""What two answers share and where they differ, in words and in table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from engine.explanation.comparison import SHARED_BY_CHANCE
from engine.results.cells import CELL_NAMES, CELLS, Cell
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import cell_list, count_text, method_name

if TYPE_CHECKING:
    from engine.explanation.comparison import CellComparison
    from engine.explanation.explain import Explanation
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics


def comparison_words(compared: CellComparison, maps: Sequence[SaliencyMap]) -> list[Part]:
    """Say which of the three cells two maps share, where they differ, and what of this is certain."""
    if compared.constant:
        return [("One of the maps is constant and marks no cell: there is nothing to compare.\n", "$text-warning")]
    count = len(compared.shared)
    parts: list[Part] = [
        (f"{count} of 3 cells shared{' for certain' if compared.unsettled else ''}", "bold $foreground"),
        f"{': ' if count else ''}{cell_list(compared.shared)}",
        f"; {len(compared.in_both)} as they stand now" if compared.unsettled else "",
        f". Two random choices share {SHARED_BY_CHANCE:.0f} on average.\n",
    ]
    for name, cells in (("Only A: ", compared.only_first), ("Only B: ", compared.only_second)):
        if cells:
            parts += [(name, "bold $foreground"), f"{cell_list(cells)}.\n"]
    if compared.unsettled:
        parts += [
            ("Not certain: ", "bold $text-warning"),
            f"{cell_list(compared.unsettled)}. Whether they are shared is open.\n",
        ]
    elif any(made.warnings for made in maps):
        pass  # a map with a warning claims nothing
    elif all(made.cells is None for made in maps):
        parts += [("Exact: ", "bold $foreground"), "no samples are drawn, so neither choice is down to chance.\n"]
    else:
        parts += [("Certain: ", "bold $foreground"), "no other cell could be among the three of A or of B.\n"]
    return parts


def summary(compared: CellComparison, correlation: float | None) -> str:
    """Say the same in one short line: `2 of 3 cells shared, ρ 0.43`, `1 of 3 cells shared?, not certain`."""
    if compared.constant:
        return "a constant map"
    words = f"{len(compared.in_both)} of 3 cells shared"
    if compared.unsettled:
        words += "?, not certain"
    return words if correlation is None else f"{words}, ρ {_number(correlation)}"


def correlation_words(value: float, maps: Sequence[SaliencyMap]) -> list[Part]:
    """Say how alike two whole maps are."""
    sizes = [made.values.shape for made in maps]
    over = "" if sizes[0] == sizes[1] else ", over {}x{} parts".format(*map(min, zip(*sizes, strict=True)))
    noise = " Sampling noise pulls it towards 0." if any(made.cells is not None for made in maps) else ""
    return [
        "Rank correlation of the two maps (Spearman's ρ",
        over,
        "): ",
        (_number(value), "bold $foreground"),
        f".{noise}\n",
    ]


def _number(value: float) -> str:
    return f"{value:.2f}" if value == value else "none, as one is constant"  # NaN


def map_rows(
    one: GridStatistics | None,
    two: GridStatistics | None,
    maps: Sequence[SaliencyMap | None],
    compared: CellComparison | None,
) -> list[tuple[Text, ...]]:
    """Return, for every cell, rank, mean and error on both sides, and whether both mark it."""
    rows = []
    for cell in CELLS:
        verdict, style = "", ""
        if compared is not None:
            for words, cells in (
                ("both", compared.shared),
                ("only A", compared.only_first),
                ("only B", compared.only_second),
                ("open", compared.unsettled),
            ):
                if cell in cells:
                    verdict, style = words, "bold"
        numbers = [part for table, made in zip((one, two), maps, strict=True) for part in _numbers(table, made, cell)]
        rows.append((Text(CELL_NAMES[cell], style=style), *numbers, Text(verdict, style=style)))
    return rows


def _numbers(table: GridStatistics | None, made: SaliencyMap | None, cell: Cell) -> tuple[Text, Text, Text]:
    if table is None or made is None:
        return Text(), Text("-", justify="right"), Text()
    mark = (str(table.top.index(cell) + 1) if cell in table.top else "") + ("?" if cell in table.ties else "")
    errors = made.cell_errors
    error = Text("" if errors is None else f"{errors[cell]:.3f}", justify="right")
    return Text(mark, style="bold"), Text(f"{table.mean[cell]:.3f}", justify="right"), error


def count_rows(first: Explanation | None, second: Explanation | None) -> list[tuple[Text, ...]]:
    """Return, for every cell, how many methods mark it on each side."""

    def count(explanation: Explanation | None, cell: Cell) -> Text:
        return Text("-" if explanation is None else count_text(explanation.consensus, cell), style="bold")

    return [(Text(CELL_NAMES[cell]), count(first, cell), count(second, cell)) for cell in CELLS]


def agreement_words(
    first: Explanation | None, second: Explanation | None, reason: str, correlations: Mapping[str, float]
) -> list[Part]:
    """Say where most methods of each side agree, and how alike the two sides' maps are."""
    if reason:
        return [(f"{reason}\n", "$text-warning")]
    if first is None or second is None:
        return ["Nothing to compare yet.\n"]
    most = [
        [cell for cell in CELLS if each.consensus.counts[cell] == each.consensus.counts.max() > 0]
        for each in (first, second)
    ]
    parts: list[Part] = []
    for letter, each, cells in zip("AB", (first, second), most, strict=True):
        made, top = len(each.consensus.methods), int(each.consensus.counts.max())
        parts += [
            (f"{letter}: ", "bold $foreground"),
            f"{top} of {made} methods mark {cell_list(cells) or 'no cell'}.\n",
        ]
    if any(statistics.ties for each in (first, second) for statistics in each.statistics.values()):
        parts.append(("Some methods' cells are not certain, so neither are the counts.\n", "$text-warning"))
    if correlations:
        parts.append("\nRank correlation of A's and B's maps (Spearman's ρ)\n")
        for method, value in correlations.items():
            parts += [f"{method_name(method):<12}", (f"{_number(value)}\n", "$foreground")]
    return parts
