"""One picture of the wall with its name above and the facts below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from engine.cells import CELL_NAMES, Cell, rank_cells
from engine.text import safe_text
from xaimed_tui.names import key_of, seconds_text, settled_by, time_left
from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.widgets.words import FixedWords, Part

if TYPE_CHECKING:
    from engine.grid import GridStatistics
    from engine.saliency import SaliencyMap
    from xaimed_tui.method_run import MethodRun
    from xaimed_tui.render.spec import PictureSpec


class Card(Vertical):
    """A picture with a headline and a caption. The active card is the one that keys act on."""

    DEFAULT_CSS = """
    Card { height: 1fr; width: 1fr; padding: 0; }
    Card > .headline { height: 1; width: 100%; background: $panel; color: $text-muted; padding: 0 1; }
    Card > ImageView { height: 1fr; width: 100%; }
    Card > .caption { height: 4; width: 100%; padding: 0 1; color: $text-muted; }
    Card.-active > .headline { background: $primary 30%; color: $foreground; text-style: bold; }
    """

    @dataclass
    class Clicked(Message):
        """A card was clicked; `again` if it was a double click."""

        card: Card
        again: bool

    @dataclass
    class StateClicked(Message):
        """The state at the right end of the headline was clicked: the method is to be started, or stopped."""

        card: Card

    def __init__(self, key: str, name: str) -> None:
        super().__init__(classes="card")
        self.key = key
        self.card_name = name
        self._state = ""

    def compose(self) -> ComposeResult:
        """The picture, and under it name and state, then the facts."""
        yield ImageView()
        yield FixedWords(classes="headline")
        yield FixedWords(classes="caption")

    def on_mount(self) -> None:
        """Show the name."""
        self._headline()

    @property
    def room(self) -> int:
        """Columns for words: the card's own, or, while it is hidden, those of the wall on which it would stand."""
        width = self.size.width or (self.parent.size.width if isinstance(self.parent, Widget) else 0)
        return max(width - 2, 12)

    @property
    def view(self) -> ImageView:
        """The picture."""
        return self.query_one(ImageView)

    def show(
        self, picture: PictureSpec | None, *, words: str = "", state: str = "", caption: Content | str = ""
    ) -> None:
        """Show a picture, or words in its place, with a short state beside the name and facts below."""
        self.view.placeholder = words
        self.view.picture = picture
        self._state = state
        self._headline()
        self.query_one(".caption", FixedWords).say(caption)

    def caption(self, caption: Content | str, state: str) -> None:
        """Change the words only."""
        if state != self._state:
            self._state = state
            self._headline()
        self.query_one(".caption", FixedWords).say(caption)

    def set_active(self, active: bool) -> None:
        """Mark the card as the one that keys act on."""
        self.set_class(active, "-active")
        self._headline()

    def on_resize(self) -> None:
        """The state stands at the right end."""
        self._headline()

    def on_click(self, event: events.Click) -> None:
        """Become the active card; a double click opens it; a click on the state starts or stops the method."""
        line = self.query_one(".headline").region
        on_state = event.screen_y == line.y and event.screen_x >= line.right - 1 - len(self._state)
        if on_state and self._state.endswith(("▶", "■")):
            self.post_message(self.StateClicked(self))
            return
        self.post_message(self.Clicked(self, again=event.chain > 1))

    def _headline(self) -> None:
        width = self.size.width - 2
        mark = "▸ " if self.has_class("-active") else ""
        left = f"{mark}{self.card_name}"
        gap = " " * max(1, width - len(left) - len(self._state))
        self.query_one(".headline", FixedWords).say(f"{left}{gap}{self._state}")


def cells_line(statistics: GridStatistics, width: int, *, settled: str) -> list[Part]:
    """The three cells in words, and whether the choice is certain; lines break between cells only.

    `settled` is the word for a choice that no chance can change: `certain` after sampling; empty to say nothing.
    """
    if not statistics.top:
        return [("marks no cell: the map is constant", "bold $text-warning")]
    items: list[tuple[str, str, str]] = []
    for rank, cell in enumerate(statistics.top, start=1):
        items.append((f"{rank}{'?' if cell in statistics.ties else ''} ", CELL_NAMES[cell], "bold $foreground"))
    if statistics.certain:
        items += [("", settled, "")] if settled else []
    else:
        others = [CELL_NAMES[cell] for cell in statistics.ties if cell not in statistics.top]
        words = f", or {', '.join(others)}" if len(others) < 3 else f", or {len(others)} other cells"
        items.append(("not certain", words if others else "", "bold $text-warning"))
    parts: list[Part] = []
    used = 0
    for mark, name, style in items:
        length = len(mark) + len(name)
        if used and used + 3 + length > width:
            parts.append("\n")
            used = 0
        elif used:
            parts.append(" · ")
            used += 3
        parts += [(mark, style), name]
        used += length
    return parts


def method_caption(run: MethodRun, width: int, now: float) -> Content:
    """What there is to say about a method: how far it is, what it found, what to beware of."""
    parts: list[Part] = []
    if run.state == "running":
        parts += [_progress(run, width, now), "\n"]
        if left := time_left(now - run.paced_since, run.done - run.paced_from, run.total - run.paced_from):
            # A method may end before its last sample: as soon as its three cells are certain.
            parts.append(f"at most {left}\n")
    elif run.state == "waiting":
        parts.append("waits for its turn\n")
    elif run.state == "failed":
        return Content.assemble(("failed: ", "bold $text-error"), run.reason)
    elif run.map is not None:
        parts += [_made(run.map, width), "\n"]
    # Above the cells, in one line: what comes last is what a small card cuts off. The detail has all of it.
    if run.map is not None and run.map.warnings and run.state == "done":
        parts.append((f"! {safe_text(run.map.warnings[0], limit=max(width - 2, 8))}\n", "$text-warning"))
    if run.statistics is not None:
        parts += cells_line(run.statistics, width, settled=_settled(run))
    return Content.assemble(*parts)


def _settled(run: MethodRun) -> str:
    """The word for a settled choice; a map that still gets sharper claims nothing."""
    if run.map is None or run.statistics is None or run.state != "done":
        return ""
    return {"samples": "certain", "no samples": "not sampled", "": ""}[settled_by(run.map, run.statistics)]


def cell_caption(made: SaliencyMap, statistics: GridStatistics, cell: Cell) -> Content:
    """The numbers of one cell in one map, in four lines."""
    rank = rank_cells(statistics.mean).index(cell) + 1
    errors = made.cell_errors
    error = "" if errors is None else f" ± {errors[cell]:.3f}"
    place: Part = f" · {rank}{('st', 'nd', 'rd')[rank - 1] if rank <= 3 else 'th'} of {len(CELL_NAMES)}"
    if cell in statistics.ties:
        place = (f" · {rank}?, not certain", "$text-warning")
    elif not statistics.top:
        place = (" · constant map", "$text-warning")
    return Content.assemble(
        (CELL_NAMES[cell], "bold $foreground"),
        place,
        f"\nmean {statistics.mean[cell]:.3f}{error}\nmedian {statistics.median[cell]:.3f}",
        f"\n{statistics.min[cell]:.3f} to {statistics.max[cell]:.3f}, std {statistics.std[cell]:.3f}",
    )


def method_state(run: MethodRun) -> str:
    """One or two words for the headline; a click on them starts or stops the method."""
    if run.state == "running":
        return f"{round(100 * run.done / run.total)} % ■" if run.total else "running ■"
    if run.state == "done":
        return "stopped" if run.map is not None and run.map.stopped else "done"
    if run.state == "idle":
        return f"{key_of(run.method)} ▶".strip()
    return {"waiting": "waits ■", "failed": "failed", "stopped": "stopped ▶"}[run.state]


def _progress(run: MethodRun, width: int, now: float) -> str:
    counts = f" {run.done:,}/{run.total:,} {seconds_text(now - run.since)}" if run.total else " starting"
    room = max(width - len(counts), 4)
    full = round(room * run.done / run.total) if run.total else 0
    return "━" * full + "╌" * (room - full) + counts


def _made(made: SaliencyMap, width: int) -> str:
    if not made.samples:
        return seconds_text(made.seconds)
    both = f"{made.samples:,} samples · {seconds_text(made.seconds)}"
    return both if len(both) <= width else f"{made.samples:,} samples"
