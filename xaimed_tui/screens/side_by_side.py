"""Side by side: two networks, or two classes of one, on the same image; what they share and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from engine.cells import CELL_NAMES, CELLS, Cell
from engine.comparison import SHARED_BY_CHANCE, CellComparison, compare_cells, why_not_comparable
from engine.text import safe_text
from xaimed_tui.look import Look
from xaimed_tui.names import cell_list, count_text
from xaimed_tui.screens.frames import OVER_NUMBERS
from xaimed_tui.widgets.compared_side import Answer, ComparedSide
from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.widgets.statistics_table import CellTable

if TYPE_CHECKING:
    from engine.explanation import Explanation
    from engine.grid import GridStatistics
    from engine.saliency import SaliencyMap
    from xaimed_tui.jobs import Jobs

Part = str | tuple[str, str]

MAP_COLUMNS = (
    ("cell", 12),
    ("A", 2),
    ("mean", 5),
    ("± error", 7),
    ("B", 2),
    ("mean", 5),
    ("± error", 7),
    ("", 6),
)
"""Names and widths of the table's columns: rank, mean and its error on both sides, and what both make of a cell."""


class ComparedTable(CellTable):
    """The nine cells in both maps, and whether they share them."""

    def __init__(self) -> None:
        super().__init__()
        self._filled: object = None

    def fill(self, columns: Sequence[tuple[str, int]], rows: list[tuple[Text, ...]]) -> None:
        """Show rows below columns of these names and widths, with the cursor where it was; the same twice is free."""
        filled = (tuple(columns), rows)
        if filled == self._filled:
            return
        self._filled = filled
        row = self.cursor_row
        self.clear(columns=True)
        for name, width in columns:
            self.add_column(Text(name), width=width)
        for cells in rows:
            self.add_row(*cells)
        self.move_cursor(row=max(row, 0))


class SideBySideScreen(Screen[None]):
    """Two answers beside each other. What is missing is loaded and made while one looks."""

    DEFAULT_CSS = (
        OVER_NUMBERS.format(name="SideBySideScreen")
        + """
    SideBySideScreen #sides { height: 1fr; min-height: 14; }
    SideBySideScreen.-slim #sides { height: 12; min-height: 12; }
    SideBySideScreen.-slim ComparedSide > .caption { height: 1; }
    """
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("left,h", "method(-1)", "Method before", key_display="←"),
        Binding("right,l", "method(1)", "Next method", key_display="→"),
        Binding("s", "stop", "Stop all"),
        Binding("tab", "app.focus_next", "Next pane"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
    ]

    def __init__(self, first: Answer, second: Answer, jobs: Jobs, look: Look, *, method: str) -> None:
        super().__init__()
        self._sides = (
            ComparedSide("A", first, jobs.sibling(), look, id="side-a"),
            ComparedSide("B", second, jobs.sibling(), look, id="side-b"),
        )
        self._keys = [*self._sides[0].runs, "agreement"]
        self._key = method if method in self._keys else self._keys[0]
        self._cell: Cell | None = None

    def compose(self) -> ComposeResult:
        """Two pictures above, numbers and words below."""
        yield Static(id="title", markup=False)
        with Vertical(id="body"):
            with Horizontal(id="sides"):
                yield from self._sides
            with Horizontal(id="numbers"):
                with Container(id="table-box"):
                    yield ComparedTable()
                with VerticalScroll(id="facts"):
                    yield Static(id="facts-text", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Show what was asked for."""
        self._look()
        self.query_one(ComparedTable).focus()

    # What is shown

    def _look(self) -> None:
        for side in self._sides:
            side.look_at(self._key)
        image = safe_text(self._sides[0].answer.path.name, limit=50)
        place = f"{self._keys.index(self._key) + 1} of {len(self._keys)}"
        name = self._sides[0].name_of_method()
        self.query_one("#title", Static).update(
            Content.assemble((name, "bold $primary"), f"  side by side on {image}  ({place})")
        )

    @on(ComparedSide.Changed)
    def _side_changed(self) -> None:
        self.refresh_bindings()
        first, second = (side.explanation for side in self._sides)
        reason = why_not_comparable(first, second) if first is not None and second is not None else ""
        table, facts = self.query_one(ComparedTable), self.query_one("#facts-text", Static)
        if self._key == "agreement":
            table.fill((("cell", 12), ("A", 2), ("B", 2)), _counts(first, second))
            facts.update(Content.assemble(*_agreement_words(first, second, reason)))
            return
        maps = [side.runs[self._key] for side in self._sides]
        one, two = (run.statistics for run in maps)
        compared = compare_cells(one, two) if one is not None and two is not None and not reason else None
        rows = _rows(one, two, [run.map for run in maps], compared)
        table.fill(MAP_COLUMNS, rows)
        facts.update(Content.assemble(*self._method_words(compared, reason)))

    def _method_words(self, compared: CellComparison | None, reason: str) -> list[Part]:
        parts: list[Part] = []
        if reason:
            parts.append((f"{reason}\n", "$text-warning"))
        elif compared is None:
            parts.append("Nothing to compare yet.\n")
        else:
            parts += comparison_words(compared)
        targets = [side.target for side in self._sides]
        if None not in targets and targets[0] != targets[1]:
            names = [safe_text(target, limit=30) for target in targets]
            parts.append(f"\nA shows what speaks for {names[0]}, B what speaks for {names[1]}.\n")
            if self._one_output():
                parts.append(
                    ("The network has one output: what speaks for one class speaks against the other.\n", "$foreground")
                )
        for side in self._sides:
            run = side.runs[self._key]
            warnings = run.map.warnings if run.map is not None else ()
            parts.extend((f"{side.letter}! {safe_text(warning)}\n", "$text-warning") for warning in warnings)
        parts.append("\nEach map is scaled to its own range: compare places, not means, between A and B.")
        return parts

    def _one_output(self) -> bool:
        """Whether both sides ask the same network, whose two classes are one number and its negative."""
        first, second = (side.answer for side in self._sides)
        if first.bundle.path != second.bundle.path or first.diagnosis is None or len(first.diagnosis.classes) != 2:
            return False
        logits = first.diagnosis.logits
        return not first.diagnosis.multilabel and bool(logits[0] == -logits[1])

    # Moving

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self, message: DataTable.RowHighlighted) -> None:
        self._cell = CELLS[message.cursor_row] if message.cursor_row < len(CELLS) else None
        for side in self._sides:
            side.point_at(self._cell)

    @on(ImageView.CellClicked)
    @on(ImageView.CellHovered)
    def _cell_under_mouse(self, message: ImageView.CellClicked | ImageView.CellHovered) -> None:
        if message.cell is not None:
            self.query_one(ComparedTable).go_to(message.cell)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done now."""
        return any(side.busy for side in self._sides) if action == "stop" else True

    def action_method(self, step: int) -> None:
        """Show the next method on both sides."""
        self._key = self._keys[(self._keys.index(self._key) + step) % len(self._keys)]
        self._look()

    def action_stop(self) -> None:
        """Stop the methods of both sides; what they have is kept."""
        for side in self._sides:
            side.stop()

    def action_leave(self) -> None:
        """Back; what still runs is stopped."""
        self.dismiss(None)


def comparison_words(compared: CellComparison) -> list[Part]:
    """What two maps share and where they differ, as far as it is certain."""
    if compared.constant:
        return [("One of the maps is constant and marks no cell: there is nothing to compare.\n", "$text-warning")]
    count = len(compared.shared)
    parts: list[Part] = [
        (f"{count} of 3 cells shared{' for certain' if compared.unsettled else ''}", "bold $foreground"),
        f"{': ' if count else ''}{cell_list(compared.shared)}. Two choices at random share {SHARED_BY_CHANCE:.0f} on "
        "average.\n",
    ]
    for name, cells in (("Only A: ", compared.only_first), ("Only B: ", compared.only_second)):
        if cells:
            parts += [(name, "bold $foreground"), f"{cell_list(cells)}.\n"]
    if compared.unsettled:
        parts += [
            ("Not certain: ", "bold $text-warning"),
            f"{cell_list(compared.unsettled)}. Whether they are shared is open.\n",
        ]
    return parts


def _rows(
    one: GridStatistics | None,
    two: GridStatistics | None,
    maps: list[SaliencyMap | None],
    compared: CellComparison | None,
) -> list[tuple[Text, ...]]:
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


def _counts(first: Explanation | None, second: Explanation | None) -> list[tuple[Text, ...]]:
    def count(explanation: Explanation | None, cell: Cell) -> Text:
        return Text("-" if explanation is None else count_text(explanation.consensus, cell), style="bold")

    return [(Text(CELL_NAMES[cell]), count(first, cell), count(second, cell)) for cell in CELLS]


def _agreement_words(first: Explanation | None, second: Explanation | None, reason: str) -> list[Part]:
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
        parts.append(("Some methods' cells are not certain, and with them the counts.\n", "$text-warning"))
    return parts
