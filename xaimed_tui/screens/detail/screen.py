"""Detail of one method: its map and the image with the grid, and the numbers of every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import DataTable

from engine.explainers.registry import dependence_notes, method_keys, silence_notes, voting
from engine.explanation.exact_words import speaking
from engine.explanation.words import chance_words, forced_words
from engine.results.cells import CELL_NAMES, CELLS, Cell
from engine.text import safe_name, safe_text
from xaimed_tui.app_services import services
from xaimed_tui.preferences.look import Look
from xaimed_tui.screens.detail.statistics_table import StatisticsTable
from xaimed_tui.screens.detail.worth import exact_facts, worth_facts
from xaimed_tui.widgets.cell_keys import CellFrame, neighbour
from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.colour_bar import ColourBar
from xaimed_tui.widgets.exact_words import FILL_WORDS, shown_fill
from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.widgets.key_line import KeyLine
from xaimed_tui.widgets.layouts import OVER_NUMBERS
from xaimed_tui.widgets.look_keys import LOOK_BINDINGS, LOOK_OFFERS, LookKeys, Offer
from xaimed_tui.widgets.pictures import agreement_picture, exact_picture, image_picture, method_picture
from xaimed_tui.widgets.why_not import WhyNot
from xaimed_tui.widgets.words import FixedWords, Part, ScrolledWords, Words
from xaimed_tui.wording import (
    EXACT,
    cell_list,
    count_text,
    doubts,
    method_name,
    seconds_text,
    settled_by,
    undecided_mark,
)

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from xaimed_tui.render.spec import PictureSpec


class DetailScreen(ClosesOnce, LookKeys, WhyNot, Screen[str]):
    """One method, the exact cells or the agreement of an explanation; returns the key of the one shown last."""

    DEFAULT_CSS = (
        OVER_NUMBERS.format(name="DetailScreen")
        + """
    DetailScreen #pictures { height: 1fr; min-height: 11; padding: 0 1; }
    DetailScreen .framed { width: 1fr; height: 100%; }
    DetailScreen .framed:focus > .name { color: $primary; text-style: bold; }
    DetailScreen .framed > .name { height: 1; width: 100%; text-align: center; color: $text-muted; }
    DetailScreen #image { margin: 0 0 1 0; }
    DetailScreen.-slim #pictures { height: 11; }
    DetailScreen.-roomy #numbers { padding: 1 2 1 2; }
    """
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("left,h", "method(-1)", "Previous", key_display="←"),
        Binding("right,l", "method(1)", "Next method", key_display="→"),
        Binding("e", "evidence", "Evidence"),
        *LOOK_BINDINGS,
        Binding("c", "copy('text')", "Copy"),
        Binding("v", "copy('CSV')", "Copy CSV"),
        Binding("tab", "app.focus_next", "Next pane"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
    ]

    offered: tuple[Offer, ...] = (
        ("Can this map be believed? The figures", "e", "evidence"),
        *LOOK_OFFERS,
        ("Copy the numbers as text", "c", "copy('text')"),
        ("Copy the numbers as CSV", "v", "copy('CSV')"),
    )

    displays = ("overlay", "map")  # the picture beside it always shows the cells

    def __init__(self, explanation: Explanation, key: str, look: Look) -> None:
        super().__init__()
        self._look = look
        self._explanation = explanation
        self._keys = _keys(explanation)
        self._key = key if key in self._keys else self._keys[0]
        self._cell: Cell | None = None

    def compose(self) -> ComposeResult:
        """Make two pictures above, numbers and facts below."""
        yield FixedWords(id="title")
        with Vertical(id="body"):
            with Horizontal(id="pictures"):
                for name in ("image", "map"):
                    with CellFrame(classes="framed", id=f"{name}-frame"):
                        yield FixedWords(classes="name")
                        yield ImageView(id=name)
                        if name == "map":
                            yield ColourBar(self.look.colormap, id="bar")
            with Horizontal(id="numbers"):
                with Container(id="table-box"):
                    yield StatisticsTable(id="statistics")
                with ScrolledWords(id="facts"):
                    yield Words(id="facts-text")
        yield KeyLine()

    def on_mount(self) -> None:
        self._show()
        self.query_one(StatisticsTable).focus()

    def on_resize(self, event: events.Resize) -> None:
        """Add padding on large terminals."""
        self.set_class(event.size.height >= 45, "-roomy")

    def renew(self, explanation: Explanation) -> None:
        """Show what is known by now."""
        if self._key in _keys(explanation):
            self._explanation, self._keys = explanation, _keys(explanation)
            self._show()
            self.refresh_bindings()

    # What is shown

    @property
    def look(self) -> Look:
        return self._look

    def look_changed(self) -> None:
        """Show both pictures in the new way, and the numbers of the fill looked at."""
        if self._key == EXACT:
            self._show()
        else:
            self._draw()
        self.refresh_bindings()

    @property
    def fills(self) -> Sequence[str]:
        return () if self._explanation.exact is None else tuple(self._explanation.exact.fills)

    def _show(self) -> None:
        explanation = self._explanation
        name = "Agreement" if self._key == "agreement" else method_name(self._key)
        image, target = safe_name(explanation.image.path.name, 60), safe_name(explanation.target, 40)
        place = f"{self._keys.index(self._key) + 1} of {len(self._keys)}"
        self.query_one("#title", FixedWords).say(
            Content.assemble(
                (name, "bold $primary"),
                f"  of {image}, what speaks for ",
                (target, "bold"),
                (undecided_mark(explanation.diagnosis, explanation.target), "bold $text-warning"),
                f"  ({place})",
            )
        )
        if self._key == "agreement":
            self._show_agreement()
        elif self._key == EXACT and explanation.exact is not None:
            self._show_exact(explanation.exact)
        else:
            self._show_method(explanation.maps[self._key], explanation.statistics[self._key])
        self._draw()

    def _draw(self) -> None:
        explanation = self._explanation
        ground = image_picture(explanation.image, explanation.view)
        left: PictureSpec | None
        if self._key == "agreement":
            left = replace(ground, highlight=self._cell, show_grid=True)
            right: PictureSpec | None = agreement_picture(ground, explanation, self.look, highlight=self._cell)
            names = ("the image", "how many methods mark each cell")
        elif self._key == EXACT and explanation.exact is not None:
            left, right, names = self._exact_pictures(ground, explanation.exact)
        else:
            made, cells = explanation.maps[self._key], explanation.statistics[self._key]
            display = self.look.display_among(self.displays)
            left, right = (
                method_picture(ground, made, cells, self.look, display=each, highlight=self._cell, show_grid=True)
                for each in ("cells", display)
            )
            name = method_name(self._key)
            names = ("its three cells on the image", f"{name} alone" if display == "map" else f"{name} on the image")
        bar = self.query_one(ColourBar)
        # Hidden, not removed: its line stays, so that both pictures have the same size.
        bar.visible, bar.colormap = self._key in explanation.maps, self.look.colormap
        for which, spec, words in (("image", left, names[0]), ("map", right, names[1])):
            self.query_one(f"#{which}", ImageView).picture = spec
            self.query_one(f"#{which}-frame .name", FixedWords).say(words)

    def _exact_pictures(
        self, ground: PictureSpec, exact: ExactCells
    ) -> tuple[PictureSpec, PictureSpec | None, tuple[str, str]]:
        found = shown_fill(exact, self.look)
        left = replace(ground, style="cells", top=speaking(found), highlight=self._cell, show_grid=True)
        right = exact_picture(ground, exact, self.look, highlight=self._cell)
        return left, right, ("the exact three on the image", f"hidden: {FILL_WORDS[found.fill]}")

    def _show_exact(self, exact: ExactCells) -> None:
        found = shown_fill(exact, self.look)
        self.query_one(StatisticsTable).show_exact(exact, found.fill)
        facts = [*_answer_facts(self._explanation), *exact_facts(self._explanation, exact, found)]
        self.query_one("#facts-text", Words).say(Content.assemble(*facts))

    def _show_method(self, made: SaliencyMap, cells: GridStatistics) -> None:
        self.query_one(StatisticsTable).show(cells, made.cell_errors)
        facts = [
            *_answer_facts(self._explanation),
            *worth_facts(self._explanation, self._key),
            *_method_facts(made, cells),
        ]
        self.query_one("#facts-text", Words).say(Content.assemble(*facts))

    def _show_agreement(self) -> None:
        explanation = self._explanation
        consensus = explanation.consensus
        table = self.query_one(StatisticsTable)
        row = table.cursor_row
        table.clear(columns=True)
        for name in ("count", "cell", "methods"):
            table.add_column(Text(name))
        for cell in CELLS:
            who = [method_name(m) for m in consensus.methods if cell in explanation.statistics[m].top]
            count = Text(count_text(consensus, cell), style="bold")
            table.add_row(count, Text(CELL_NAMES[cell]), Text(", ".join(who)))
        table.move_cursor(row=max(row, 0))
        facts = [*_answer_facts(explanation), *_agreement_facts(explanation)]
        self.query_one("#facts-text", Words).say(Content.assemble(*facts))

    # Moving

    @on(DataTable.RowHighlighted)
    def _row_highlighted(self, message: DataTable.RowHighlighted) -> None:
        cell = CELLS[message.cursor_row] if message.cursor_row < len(CELLS) else None
        if cell != self._cell:
            self._cell = cell
            self._draw()

    @on(ImageView.CellClicked)
    @on(ImageView.CellHovered)
    def _cell_under_mouse(self, message: ImageView.CellClicked | ImageView.CellHovered) -> None:
        if message.cell is not None:
            self.query_one(StatisticsTable).go_to(message.cell)

    @on(CellFrame.Pointed)
    def _cell_pointed(self, message: CellFrame.Pointed) -> None:
        self.query_one(StatisticsTable).go_to(neighbour(self._cell, message.rows, message.columns))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what changes something: a map alone has no opacity, and the agreement is always an overlay."""
        if action == "opacity":
            return (self._key not in self._maps or self.look.display != "map") and self.steps_opacity(parameters)
        if action == "evidence":
            return self._key in self._maps
        if action == "fill":
            return self._key not in self._maps and len(self.fills) > 1
        return self._key in self._maps if action == "display" else True

    @property
    def _maps(self) -> Mapping[str, SaliencyMap]:
        return self._explanation.maps

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Say why the look of the picture does not change."""
        if action == "display":
            return "The agreement has no other view." if self._key == "agreement" else "The exact cells are numbers."
        if action == "evidence":
            return "The questions are asked about single maps: ← and → choose one."
        if action == "fill":
            return "The words below tell of every fill." if self._key in self._maps else self.why_no_fill
        if self._key in self._maps and self.look.display == "map":
            return "The map is shown alone: there is no image below it."
        return self.no_more_opacity(parameters)

    def action_method(self, step: int) -> None:
        """Show the next method."""
        self._key = self._keys[(self._keys.index(self._key) + step) % len(self._keys)]
        services(self).draw_once(self._show_other)

    def _show_other(self) -> None:
        self._show()
        self.refresh_bindings()

    def action_evidence(self) -> None:
        """Show the figures behind what is said of the map's worth."""
        from xaimed_tui.screens.detail.evidence import EvidenceScreen

        self.app.push_screen(EvidenceScreen(self._explanation, self._key))

    def action_copy(self, form: Literal["text", "CSV"]) -> None:
        """Copy the statistics shown to the terminal's clipboard."""
        from xaimed_tui.screens.detail.statistics_text import statistics_csv, statistics_text

        make = statistics_csv if form == "CSV" else statistics_text
        self.app.copy_to_clipboard(make(self._explanation, self._key))
        words = f"The statistics were sent to the terminal's clipboard as {form}."
        self.notify(f"{words} Some terminals ignore that.", title="Copied", markup=False)

    def action_leave(self) -> None:
        self.dismiss(self._key)


def _keys(explanation: Explanation) -> list[str]:
    """Return what there is to be shown, in order: the maps, the exact cells, the agreement."""
    return [*explanation.maps, *([] if explanation.exact is None else [EXACT]), "agreement"]


def _answer_facts(explanation: Explanation) -> list[Part]:
    """Return what is doubtful about the answer that all the maps explain."""
    return [(f"! {safe_text(doubt)}\n", "$text-warning") for doubt in doubts(explanation.diagnosis)]


def _method_facts(made: SaliencyMap, cells: GridStatistics) -> list[Part]:
    parts: list[Part] = []
    settled = settled_by(made, cells)
    if not cells.top:
        parts.append(("The map is constant: it marks no cell.\n", "bold $text-warning"))
    elif cells.ties:
        parts += [
            ("Not certain", "bold $text-warning"),
            f" which of these belong to the three: {cell_list(cells.ties)}.\n",
        ]
    elif settled == "no samples":
        parts += [
            ("Not sampled: ", "bold $foreground"),
            "this method draws no samples, so its cells are not down to chance.\n",
        ]
    elif settled:
        parts += [("Certain: ", "bold $foreground"), "no other cell could be among the three.\n"]
    if forced := forced_words(cells):
        parts.append(f"{forced}\n")
    parts.extend((f"! {safe_text(warning)}\n", "$text-warning") for warning in made.warnings)
    if made.stopped:
        parts.append("Stopped before all samples were used.\n")
    facts: list[tuple[str, str]] = [
        ("samples", f"{made.samples:,}" if made.samples else "none drawn"),
        ("time", seconds_text(made.seconds)),
        ("seed", "none" if made.seed is None else str(made.seed)),
        ("raw range", f"{made.raw_min:.4g} to {made.raw_max:.4g}, shown as 0 to 1"),
    ]
    facts += [
        (safe_text(name).replace("_", " "), safe_text(value))
        for name, value in made.parameters.items()
        if (name, value) != ("samples", made.samples)  # said above
    ]
    width = max(len(name) for name, _ in facts)
    parts += [
        part for name, value in facts for part in ((f"{name:<{width}}  ", "$text-muted"), (f"{value}\n", "$foreground"))
    ]
    return parts


def _agreement_facts(explanation: Explanation) -> list[Part]:
    consensus = explanation.consensus
    made = len(consensus.methods)
    could = len(voting(method_keys(), explanation.settings.voters))
    parts: list[Part] = [f"{made} of {max(could, made)} methods counted.\n"]
    parts.extend(
        (f"{method_name(method)}: {safe_text(reason)}\n", "$text-warning")
        for method, reason in explanation.failures.items()
    )
    parts.extend(f"{safe_text(words)}\n" for words in chance_words(explanation))
    notes = (*dependence_notes(explanation.maps), *silence_notes(explanation.maps, consensus.methods))
    parts.extend(f"{safe_text(note)}\n" for note in notes)
    if explanation.exact is not None:
        parts.append("\nE1, E2, E3: the exact three under the fill looked at, whole lines where they are firm.\n")
    if consensus.correlation:
        parts.append("\nSpearman's rank correlation of the maps\n")
    for (one, other), value in consensus.correlation.items():
        names = f"{method_name(one)} and {method_name(other)}"
        number = f"{value:5.2f}" if value == value else "none (a constant map)"  # NaN
        parts += [f"{names:<26}", (f"{number}\n", "$foreground")]
    return parts
