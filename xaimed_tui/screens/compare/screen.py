"""Side by side: two networks, or two classes of one, on the same image; what they share and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import DataTable

from engine.explanation.comparison import CellComparison, compare_cells, rank_correlation, why_not_comparable
from engine.results.cells import CELLS, Cell
from engine.text import safe_name, safe_text
from xaimed_tui.app_services import services
from xaimed_tui.preferences.look import Look
from xaimed_tui.screens.compare.side import Answer, ComparedSide
from xaimed_tui.screens.compare.words import (
    agreement_words,
    comparison_words,
    correlation_words,
    count_rows,
    map_rows,
    summary,
)
from xaimed_tui.screens.detail.statistics_table import CellTable
from xaimed_tui.widgets.cell_keys import CellFrame, neighbour
from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.widgets.key_line import KeyLine
from xaimed_tui.widgets.layouts import OVER_NUMBERS
from xaimed_tui.widgets.why_not import WhyNot
from xaimed_tui.widgets.words import FixedWords, Part, ScrolledWords, Words
from xaimed_tui.wording import doubts

if TYPE_CHECKING:
    from engine.results.saliency import SaliencyMap
    from xaimed_tui.background.jobs import Jobs

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
"""Names and widths of the table's columns: rank, mean and its error on both sides, and whether both mark the cell."""


class ComparedTable(CellTable):
    """The nine cells in both maps, and whether they share them."""

    def __init__(self) -> None:
        super().__init__()
        self._filled: object = None

    def fill(self, columns: Sequence[tuple[str, int]], rows: list[tuple[Text, ...]]) -> None:
        """Show rows under columns of these names and widths, keeping the cursor; do nothing if they are shown."""
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


class SideBySideScreen(ClosesOnce, WhyNot, Screen[None]):
    """Two answers side by side. Missing networks and maps are loaded and made while the screen is open."""

    @dataclass
    class Correlated(Message):
        """The rank correlation of a method's two maps."""

        method: str
        maps: tuple[SaliencyMap, SaliencyMap]
        value: float

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
        Binding("left,h", "method(-1)", "Previous", key_display="←"),
        Binding("right,l", "method(1)", "Next method", key_display="→"),
        Binding("s", "stop", "Stop all"),
        Binding("tab", "app.focus_next", "Next pane"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
    ]

    offered = (("Stop all methods", "s", "stop"),)

    def __init__(self, first: Answer, second: Answer, jobs: Jobs, look: Look, *, method: str) -> None:
        super().__init__()
        # Each side has its own jobs: a new job cancels the older one of its kind.
        self._sides = (
            ComparedSide("A", first, jobs.sibling(), look, id="side-a"),
            ComparedSide("B", second, jobs.sibling(), look, id="side-b"),
        )
        self._keys = [*self._sides[0].runs, "agreement"]
        self._key = method if method in self._keys else self._keys[0]
        self._cell: Cell | None = None
        self._correlations: dict[str, tuple[SaliencyMap, SaliencyMap, float | None]] = {}  # None: being computed

    def compose(self) -> ComposeResult:
        """Make two pictures above, numbers and words below."""
        yield FixedWords(id="title")
        with Vertical(id="body"):
            with Horizontal(id="sides"):
                yield from self._sides
            with Horizontal(id="numbers"):
                with Container(id="table-box"):
                    yield ComparedTable()
                with ScrolledWords(id="facts"):
                    yield Words(id="facts-text")
        yield KeyLine()

    def on_mount(self) -> None:
        self._look()
        self.query_one(ComparedTable).focus()

    # What is shown

    def _look(self) -> None:
        for side in self._sides:
            side.look_at(self._key)

    def _show_title(self, summary: str) -> None:
        """Show the method and a short result in the title: on small screens the words below are out of sight."""
        image = safe_name(self._sides[0].answer.path.name, 50)
        place = f"{self._keys.index(self._key) + 1} of {len(self._keys)}"
        name = self._sides[0].name_of_method()
        self.query_one("#title", FixedWords).say(
            Content.assemble(
                (name, "bold $primary"), f"  ({place})  ", (summary, "bold"), f"{'  ' if summary else ''}on {image}"
            )
        )

    @on(ComparedSide.Changed)
    def _side_changed(self) -> None:
        self.refresh_bindings()
        first, second = (side.explanation for side in self._sides)
        reason = why_not_comparable(first, second) if first is not None and second is not None else ""
        if not reason:
            self._correlate()
        table, facts = self.query_one(ComparedTable), self.query_one("#facts-text", Words)
        if self._key == "agreement":
            table.fill((("cell", 12), ("A", 2), ("B", 2)), count_rows(first, second))
            self._show_title("")
            facts.say(Content.assemble(*agreement_words(first, second, reason, {} if reason else self._values())))
            return
        maps = [side.runs[self._key] for side in self._sides]
        one, two = (run.statistics for run in maps)
        compared = compare_cells(one, two) if one is not None and two is not None and not reason else None
        rows = map_rows(one, two, [run.map for run in maps], compared)
        table.fill(MAP_COLUMNS, rows)
        facts.say(Content.assemble(*self._method_words(compared, reason)))
        self._show_title("" if compared is None else summary(compared, self._values().get(self._key)))

    def _method_words(self, compared: CellComparison | None, reason: str) -> list[Part]:
        parts: list[Part] = []
        if reason:
            parts.append((f"{reason}\n", "$text-warning"))
        elif compared is None:
            parts.append("Nothing to compare yet.\n")
        else:
            maps = [made for side in self._sides if (made := side.runs[self._key].map) is not None]
            parts += comparison_words(compared, maps)
            value = self._values().get(self._key)
            words = "The rank correlation is worked out once both maps are done.\n"
            parts += [words] if value is None else correlation_words(value, maps)
        targets = [side.target for side in self._sides]
        if None not in targets and targets[0] != targets[1]:
            names = [safe_name(target, 30) for target in targets]
            parts.append(f"\nA shows what speaks for {names[0]}, B what speaks for {names[1]}.\n")
            if self._one_output():
                parts.append(
                    ("The network has one output: what speaks for one class speaks against the other.\n", "$foreground")
                )
        parts += self._doubts()
        for side in self._sides:
            run = side.runs[self._key]
            warnings = run.map.warnings if run.map is not None else ()
            parts.extend((f"{side.letter}! {safe_text(warning)}\n", "$text-warning") for warning in warnings)
        parts.append("\nEach map is scaled to its own range: compare places, not means, between A and B.")
        return parts

    def _doubts(self) -> list[Part]:
        """Return what is doubtful about the two answers; what is said of both is said once."""
        found: dict[str, str] = {}
        for side in self._sides:
            for doubt in doubts(side.answer.diagnosis) if side.answer.diagnosis is not None else ():
                found[doubt] = f"{found.get(doubt, '')}{side.letter}"
        return [(f"{letters}! {safe_text(doubt)}\n", "$text-warning") for doubt, letters in found.items()]

    def _correlate(self) -> None:
        """Compute in a thread how alike each method's two finished maps are, once per pair of maps."""
        first, second = (side.runs for side in self._sides)
        for method, run in first.items():
            one, two = run.map, second[method].map
            if one is None or two is None or {run.state, second[method].state} != {"done"}:
                continue
            known = self._correlations.get(method)
            if known is None or known[0] is not one or known[1] is not two:
                self._correlations[method] = (one, two, None)
                self.run_worker(partial(self._correlate_in_thread, method, one, two), thread=True, name="correlation")

    def _correlate_in_thread(self, method: str, one: SaliencyMap, two: SaliencyMap) -> None:
        self.post_message(self.Correlated(method, (one, two), rank_correlation(one, two)))

    def on_side_by_side_screen_correlated(self, message: Correlated) -> None:
        """Show the correlation, if the maps are still the same."""
        one, two = message.maps
        known = self._correlations.get(message.method)
        if known is not None and known[0] is one and known[1] is two:
            self._correlations[message.method] = (one, two, message.value)
            self._side_changed()

    def _values(self) -> dict[str, float]:
        """Return the rank correlations computed so far, by method."""
        values = {method: value for method, (_, _, value) in self._correlations.items()}
        return {key: value for key in self._keys if (value := values.get(key)) is not None}

    def _one_output(self) -> bool:
        """Whether both sides use one network whose two classes are one output and its negative."""
        first, second = (side.answer for side in self._sides)
        if first.bundle.path != second.bundle.path or first.diagnosis is None or len(first.diagnosis.classes) != 2:
            return False
        logits = first.diagnosis.logits
        # Exactly: where there is one output, the classifier itself makes the other logit by changing the sign.
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

    @on(CellFrame.Pointed)
    def _cell_pointed(self, message: CellFrame.Pointed) -> None:
        self.query_one(ComparedTable).go_to(neighbour(self._cell, message.rows, message.columns))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done now."""
        return any(side.busy for side in self._sides) if action == "stop" else True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Say that there is nothing to stop."""
        return "No method is at work." if action == "stop" else ""

    def action_method(self, step: int) -> None:
        """Show the next method on both sides."""
        self._key = self._keys[(self._keys.index(self._key) + step) % len(self._keys)]
        services(self).draw_once(self._look)

    def action_stop(self) -> None:
        """Stop the methods of both sides; their maps so far are kept."""
        for side in self._sides:
            side.stop()

    def action_leave(self) -> None:
        """Go back, and stop what is still running."""
        self.dismiss(None)
