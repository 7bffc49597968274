"""What dialogs have in common, and a dialog to choose one of several."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.filtered_list import FilteredList
from xaimed_tui.widgets.row_list import Row, RowList
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


def keys_line(*pairs: tuple[str, str]) -> Content:
    """Return the keys of a dialog, for its last line."""
    parts: list[Part] = []
    for key, what in pairs:
        parts += ["  " if parts else "", (key, "bold $primary"), f" {what}"]
    return Content.assemble(*parts)


class ChooseDialog(ClosesOnce, ModalScreen[Hashable]):
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
            yield Static(keys_line(("Enter", "choose"), ("/", "filter"), ("Esc", "cancel")), classes="keys")

    def on_mount(self) -> None:
        """Show the rows, with the cursor on the one chosen now."""
        rows = self.query_one(RowList)
        rows.styles.height = min(len(self._rows), 14)
        rows.set_rows(self._rows)
        rows.go_to(self._current)
        rows.focus()

    @on(RowList.Chosen)
    def action_choose(self) -> None:
        """Take the row under the cursor."""
        if (row := self.query_one(RowList).current) is not None:
            self.dismiss(row.key)

    def action_leave(self) -> None:
        self.dismiss(NO_CHOICE)
