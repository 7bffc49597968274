"""A list that stays fast with a hundred thousand rows: only the lines on the screen are ever built."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.text import shorten, shorten_together
from xaimed_tui.widgets.why_not import WhyNot

MOST_COMPARED = 2000
"""Rows up to which all shortened labels are compared with each other; in longer lists only those in view are."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list.

    Attributes:
        key: what the row stands for.
        label: its text, safe to show.
        reason: why it cannot be used; rows with a reason are greyed out and come last.
        mark: one character before the label.
        heading: whether it is no row but what stands above the next ones; the cursor passes over it.
        count: of a heading, how many rows stand below it in all.
    """

    key: Hashable
    label: str
    reason: str = ""
    mark: str = " "
    heading: bool = False
    count: str = ""


class Rows(Protocol):
    """Where a list gets its rows from; a row is made when it is drawn."""

    def __len__(self) -> int:
        """Return how many rows there are."""

    def row(self, index: int) -> Row:
        """Return the row with an index, counted from 0 in the order of the source."""

    def label(self, index: int) -> str:
        """Return the label of a row, which costs less than the row."""

    def order(self, text: str) -> Sequence[int]:
        """Return the rows to show, in order: those whose label contains a text, in any case, below their headings."""

    def find(self, key: Hashable) -> int | None:
        """Return which row has a key; None if there is none."""


class FewRows:
    """Rows held in memory; those that cannot be used come last."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int) -> Row:
        return self._rows[index]

    def label(self, index: int) -> str:
        return self._rows[index].label

    def order(self, text: str) -> Sequence[int]:
        folded = text.casefold()
        matching = [index for index, row in enumerate(self._rows) if folded in row.label.casefold()]
        return sorted(matching, key=lambda index: bool(self._rows[index].reason))

    def find(self, key: Hashable) -> int | None:
        return next((index for index, row in enumerate(self._rows) if row.key == key), None)


@dataclass
class OfList(Message):
    """Something has happened to a list."""

    list: RowList

    def __post_init__(self) -> None:
        """Name the list as the sender."""
        # Otherwise the sender is whichever widget is at work, and a message does not bubble past its sender: when a
        # parent sets the filter, the widgets above it would not get the message.
        super().__post_init__()
        self.set_sender(self.list)

    @property
    def control(self) -> RowList:
        """The list, for `@on(..., selector)`."""
        return self.list


class RowList(WhyNot, ScrollView, can_focus=True):
    """Rows of text with a cursor; a row that cannot be used stays visible, greyed out."""

    DEFAULT_CSS = """
    RowList { overflow-x: hidden; scrollbar-size-vertical: 1; }
    RowList > .row--cursor { background: $surface-lighten-2; color: $foreground; text-style: bold; }
    RowList:focus > .row--cursor { background: $primary; color: $background; text-style: bold; }
    RowList > .row--unusable { color: $text-disabled; text-style: italic; }
    RowList > .row--heading { color: $text-muted; text-style: bold; }
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row--cursor", "row--unusable", "row--heading"}

    HELP = "The list"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Next", show=False),
        Binding("up,k", "move(-1)", "Previous", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home", "end(-1)", "First", show=False),
        Binding("end,G", "end(1)", "Last", show=False),
        Binding("slash", "filter", "Filter", key_display="/"),
    ]

    @dataclass
    class Highlighted(OfList):
        """The cursor has moved to another row (None: there is none)."""

        row: Row | None

    @dataclass
    class Chosen(OfList):
        """A row was chosen with a double click; what Enter does is up to the screen."""

        row: Row

    @dataclass
    class Scrolled(OfList):
        """Other rows are in view."""

    def __init__(
        self,
        *,
        empty: str = "nothing here",
        ask_filter: Callable[[], None] | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._ask_filter = ask_filter
        self._rows: Rows = FewRows(())
        self._shown_labels: tuple[tuple[int, ...], dict[str, str]] | None = None
        self._order: Sequence[int] = ()
        self._filter = ""
        self._cursor = 0
        self._empty = empty

    # Content

    @property
    def shown(self) -> Sequence[Row]:
        """The rows that match the filter, in the order shown."""
        return [self._rows.row(index) for index in self._order]

    @property
    def in_view(self) -> Sequence[Row]:
        """The rows that are on the screen."""
        return [self._rows.row(index) for index in self._order_in_view]

    @property
    def _order_in_view(self) -> Sequence[int]:
        first = round(self.scroll_y)
        return self._order[first : first + max(self.size.height, 1)]

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self._rows.row(self._order[self._cursor]) if self._order else None

    def set_rows(self, rows: Iterable[Row] | Rows, *, empty: str | None = None, at: Hashable = None) -> None:
        """Show other rows.

        The cursor stays on the row with the same key. If that row is gone, the cursor stays at its place; if there was
        no row, it goes to the one with the key `at`.
        """
        before = self.current
        self._rows = FewRows(rows) if isinstance(rows, Iterable) else rows
        if empty is not None:
            self._empty = empty
        self._show(before, at)

    def set_filter(self, text: str) -> None:
        """Show only the rows whose label contains a text, in any case."""
        self._filter = text
        self._show(self.current)

    def go_to(self, key: Hashable) -> bool:
        """Put the cursor on the row of a key; False if there is none."""
        place = self._place(key)
        if place is not None:
            self._move_to(place)
        return place is not None

    @property
    def total(self) -> int:
        """How many rows there are, shown or not."""
        return len(self._rows)

    def has(self, key: Hashable) -> bool:
        """Whether there is a row of a key, shown or not."""
        return self._rows.find(key) is not None

    def _place(self, key: Hashable) -> int | None:
        index = self._rows.find(key)
        try:
            return None if index is None else self._order.index(index)
        except ValueError:  # filtered out
            return None

    def _show(self, before: Row | None, at: Hashable = None) -> None:
        self._order = self._rows.order(self._filter)
        self._shown_labels = None
        key = at if before is None else before.key
        place = None if key is None else self._place(key)
        if place is None:
            # If the row is gone, the next one takes its place; a new filter starts at its first match.
            place = 0 if self._filter or before is None else min(self._cursor, max(len(self._order) - 1, 0))
            place += self._is_heading(place)
        self._cursor = place
        self._resize_rows()
        self.refresh()
        after = self.current
        if (before is None) != (after is None):
            self.refresh_bindings()
        if (after and after.key) != (before and before.key):
            self.post_message(self.Highlighted(self, after))
        # Once the list has its new length: before, it would not scroll further than the old one allows.
        self.call_after_refresh(self._keep_visible)
        self.post_message(self.Scrolled(self))

    def _resize_rows(self) -> None:
        size = Size(max(self.container_size.width, 1), len(self._order))
        if self.show_vertical_scrollbar and size.height > self.container_size.height:
            # The scroll bar stays, so only its slider changes; setting `virtual_size` would lay the screen out again.
            self.set_reactive(RowList.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = size.height
            # A shorter list may end above the rows that are in view.
            self.scroll_y = self.validate_scroll_y(self.scroll_y)
            self._keep_visible()  # now, not after a paint that shows other rows
        else:
            self.virtual_size = size

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Report that other rows are in view."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled(self))

    def on_resize(self) -> None:
        """Keep the cursor in view, and report that more or fewer rows are."""
        self._keep_visible()
        # Again once the list has its new length and scroll bar.
        self.call_after_refresh(self._keep_visible)
        self.post_message(self.Scrolled(self))

    # Movement

    def _move_to(self, index: int) -> None:
        index = max(0, min(index, len(self._order) - 1))
        if self._is_heading(index):  # never the last row, nor two in a row
            index += -1 if 0 < index < self._cursor else 1
        if self._order and index != self._cursor:
            before, self._cursor = self._cursor, index
            self._keep_visible()  # which paints all rows if it scrolls
            for place in (before, index):
                self.refresh_line(place)
            self.post_message(self.Highlighted(self, self.current))

    def _keep_visible(self) -> None:
        above = int(self._is_heading(self._cursor - 1))  # it is seen with the first row below it
        self.scroll_to_region(Region(0, self._cursor - above, 1, 1 + above), animate=False, x_axis=False)

    def _is_heading(self, place: int) -> bool:
        return 0 <= place < len(self._order) and self._rows.row(self._order[place]).heading

    def action_move(self, step: int) -> None:
        self._move_to(self._cursor + step)

    def action_page(self, step: int) -> None:
        self._move_to(self._cursor + step * max(1, self.size.height - 1))

    def action_end(self, side: int) -> None:
        """Move the cursor to the first or last row."""
        self._move_to(len(self._order) - 1 if side > 0 else 0)

    def action_choose(self) -> None:
        """Choose the row under the cursor."""
        if (row := self.current) is not None:
            self.post_message(self.Chosen(self, row))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An empty list cannot be filtered, nor a list without a filter line."""
        return (self._ask_filter is not None and len(self._rows) > 0) if action == "filter" else True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Say why there is nothing to filter."""
        return "The list is empty: there is nothing to filter." if self._ask_filter is not None else ""

    def action_filter(self) -> None:
        if self._ask_filter is not None:
            self._ask_filter()

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor; a double click chooses the row."""
        index = event.y + round(self.scroll_y)
        if index < len(self._order):
            if index == self._cursor and event.chain > 1:
                self.action_choose()
            else:
                self._move_to(index)

    # Drawing

    def _labels(self, width: int) -> dict[str, str]:
        """Return the labels as shown at a width, shortened so that they differ; of a long list, those in view."""
        few = len(self._rows) <= MOST_COMPARED
        place = (width,) if few else (width, round(self.scroll_y), self.size.height)
        if self._shown_labels is None or self._shown_labels[0] != place:
            labels = [self._rows.label(index) for index in (range(len(self._rows)) if few else self._order_in_view)]
            self._shown_labels = place, dict(zip(labels, shorten_together(labels, width), strict=True))
        return self._shown_labels[1]

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + round(self.scroll_y)
        base = self.rich_style
        if not self._order:
            style = base + self.get_component_rich_style("row--unusable", partial=True)
            words = textwrap.wrap("nothing matches" if len(self._rows) else self._empty, max(width - 1, 1))
            return Strip([Segment(set_cell_size(f" {words[y]}" if y < len(words) else "", width), style)], width)
        if index >= len(self._order):
            return Strip.blank(width, base)
        row = self._rows.row(self._order[index])
        style = base
        if row.heading:
            style += self.get_component_rich_style("row--heading", partial=True)
            room = width - len(row.count) - 3
            title = row.label if cell_len(row.label) <= room else f"{set_cell_size(row.label, room - 1)}…"
            return Strip([Segment(f" {set_cell_size(title, room)} {row.count} ", style)], width)
        if row.reason:
            style += self.get_component_rich_style("row--unusable", partial=True)
        if index == self._cursor:
            style += self.get_component_rich_style("row--cursor", partial=True)
        # A character, not only a colour, marks the cursor and the rows that cannot be used.
        mark = ("▸" if index == self._cursor else " ") + ("✕" if row.reason else row.mark)
        label = self._labels(width - 3).get(row.label) or shorten(row.label, width - 3)
        return Strip([Segment(set_cell_size(f"{mark} {label}", width), style)], width)
