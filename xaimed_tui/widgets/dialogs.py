"""What dialogs have in common, and a dialog to choose one of several."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.filtered_list import FilteredList
from xaimed_tui.widgets.row_list import Row, RowList
from xaimed_tui.widgets.why_not import WhyNot
from xaimed_tui.widgets.words import Part

NO_CHOICE = object()
"""What a `ChooseDialog` returns if nothing was chosen."""

FRAME = """
    {name} {{ align: center middle; background: $background 60%; }}
    {name} > .dialog {{
        width: 76; max-width: 94%; height: auto; max-height: 94%;
        background: $surface; border: round $primary; border-title-color: $primary; padding: 1 2 0 2;
    }}
    {name} .about {{ color: $text-muted; margin: 0 0 1 0; height: auto; }}
    {name} .keys {{ color: $text-muted; margin: 1 0 0 0; height: 1; text-align: right; }}
"""


_NAMES = {
    "Enter": "enter",
    "Esc": "escape",
    "Tab": "tab",
    "Space": "space",
    "/": "slash",
    "→": "right",
    "↓": "down",
    "Ctrl+S": "ctrl+s",
}
"""The keys of dialogs as Textual names them; letters have the same name."""


class KeysLine(Static):
    """The last line of a dialog: its keys. A click on one presses it.

    Args:
        pairs: keys, as they are written, and what they do.
    """

    def __init__(self, *pairs: tuple[str, str]) -> None:
        parts: list[Part] = []
        self._places: list[tuple[int, int, str]] = []  # first column, column after the last, key
        column = 0
        for sign, what in pairs:
            if parts:
                parts.append("  ")
                column += 2
            parts += [(sign, "bold $primary"), f" {what}"]
            end = column + cell_len(sign) + 1 + cell_len(what)
            self._places.append((column, end, sign))
            column = end
        self._columns = column
        super().__init__(Content.assemble(*parts), classes="keys", markup=False)

    def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked; of two keys in one place, which only scroll, none."""
        column = event.x - max(self.size.width - self._columns, 0)
        for start, end, sign in self._places:
            if start <= column < end and " " not in sign:
                event.stop()
                self.app.simulate_key(_NAMES.get(sign, sign))


class ChooseDialog(ClosesOnce, WhyNot, ModalScreen[Hashable]):
    """Choose one row; returns its key, or `NO_CHOICE`."""

    DEFAULT_CSS = FRAME.format(name="ChooseDialog") + "ChooseDialog FilteredList { height: auto; max-height: 16; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("enter", "choose", "Choose"),
        Binding("question_mark", "app.help", "Help", show=False),
    ]

    def __init__(self, title: str, about: str, rows: Sequence[Row], current: Hashable) -> None:
        super().__init__()
        self._title, self._about, self._rows, self._current = title, about, rows, current

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            # Textual would read a `str` as markup.
            dialog.border_title = Content(self._title)
            yield Static(self._about, classes="about", markup=False)
            yield FilteredList(empty="nothing matches", list_id="choices-list")
            yield KeysLine(("Enter", "choose"), ("/", "filter"), ("Esc", "cancel"))

    def on_mount(self) -> None:
        """Show the rows, with the cursor on the one chosen now."""
        rows = self.query_one(RowList)
        self._fit()
        rows.set_rows(self._rows)
        rows.go_to(self._current)
        rows.focus()

    def on_resize(self) -> None:
        """Fit the rows to the new size, once the words above them are wrapped to it."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Give the list as many lines as it has rows, but no more than there is room for in the dialog."""
        about = self.query_one(".about")
        # The frame and its padding take 3 lines, the keys 2, the filter 1, the words and a blank the rest.
        room = self.size.height * 94 // 100 - 6 - max(about.size.height, 1) - 1
        self.query_one(RowList).styles.height = max(1, min(len(self._rows), 14, room))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There may be nothing to choose: a filter may leave no row."""
        return not self.is_mounted or action != "choose" or self.query_one(RowList).current is not None

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Say why nothing can be chosen."""
        return "No row is left to choose: Esc clears the filter." if self._rows else "There is nothing to choose."

    def on_key(self, event: events.Key) -> None:
        """Begin to filter with a letter that no key of the list is: its own are `j`, `k` and `G`."""
        rows = self.query_one(FilteredList)
        if rows.list.has_focus and event.is_printable and event.key not in self.active_bindings:
            event.stop()
            rows.begin_filter(event)

    @on(RowList.Chosen)
    def action_choose(self) -> None:
        """Take the row under the cursor."""
        if (row := self.query_one(RowList).current) is not None:
            self.dismiss(row.key)

    def action_leave(self) -> None:
        self.dismiss(NO_CHOICE)
