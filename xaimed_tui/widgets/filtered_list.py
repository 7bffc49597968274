"""A list of rows with a line that filters them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from xaimed_tui.widgets.row_list import RowList


class FilteredList(Vertical):
    """A list of rows under a line that filters them; the line is shown only while it is used."""

    DEFAULT_CSS = """
    FilteredList { height: 1fr; }
    FilteredList > Input { display: none; height: 1; border: none; padding: 0 1; background: $boost; }
    FilteredList.-filtering > Input { display: block; }
    FilteredList > RowList { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear", "Clear filter")]

    def __init__(self, *, empty: str, list_id: str, id: str | None = None) -> None:
        super().__init__(id=id)
        self._empty = empty
        self._list_id = list_id

    def compose(self) -> ComposeResult:
        yield Input(placeholder="filter, Enter to go on, Esc to clear", compact=True)
        yield RowList(empty=self._empty, ask_filter=self._show_line, id=self._list_id)

    @property
    def list(self) -> RowList:
        return self.query_one(RowList)

    def _show_line(self) -> None:
        """Show the line and give it the focus."""
        self.add_class("-filtering")
        # At once, as `focus()` would do it later: the next key belongs to the line.
        self.screen.set_focus(self.query_one(Input))

    def begin_filter(self, letter: events.Key) -> None:
        """Show the line and type a letter into it."""
        if len(self.list.shown) > 1:
            self._show_line()
            self.query_one(Input).post_message(events.Key(letter.key, letter.character))

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        self.list.set_filter(message.value)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Keep the filter and go on in the list."""
        message.stop()
        if not message.value:
            self.remove_class("-filtering")
        self.list.focus()

    def on_key(self, event: events.Key) -> None:
        """The down arrow leaves the line for the list."""
        if event.key == "down" and self.query_one(Input).has_focus:
            event.stop()
            self.list.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Esc belongs to the filter only while there is one."""
        return self.has_class("-filtering") if action == "clear" else True

    def action_clear(self) -> None:
        self._forget_filter()
        self.list.focus()

    def reveal(self, key: Hashable) -> bool:
        """Put the cursor on the row of a key, clearing the filter if it hides the row; False if there is none."""
        if not self.list.go_to(key) and self.list.has(key):
            self._forget_filter()
        return self.list.go_to(key)

    def _forget_filter(self) -> None:
        self.query_one(Input).value = ""
        self.list.set_filter("")
        self.remove_class("-filtering")
        self.refresh_bindings()
