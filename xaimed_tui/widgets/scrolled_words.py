"""Words that keys scroll, wherever the scroll bar is: at the words, or at a pane that holds them with other things."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget


class ScrolledWords(VerticalScroll):
    """Where the style sheet lets the words be as long as they are, the keys scroll the nearest pane that can."""

    HELP = "The words"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "lines(1)", "On", show=False),
        Binding("up,k", "lines(-1)", "Back", show=False),
        Binding("pagedown", "pages(1)", "Page down", show=False),
        Binding("pageup", "pages(-1)", "Page up", show=False),
        Binding("home", "ends('first')", "First line", show=False),
        Binding("end", "ends('last')", "Last line", show=False),
    ]

    @property
    def _pane(self) -> Widget:
        around = (each for each in self.ancestors if isinstance(each, Widget))
        return next((each for each in (self, *around) if each.allow_vertical_scroll), self)

    def action_lines(self, step: int) -> None:
        """Scroll by lines."""
        self._pane.scroll_relative(y=step, animate=False)

    def action_pages(self, step: int) -> None:
        """Scroll by what is seen at once."""
        pane = self._pane
        pane.scroll_relative(y=step * max(pane.scrollable_content_region.height - 1, 1), animate=False)

    def action_ends(self, which: Literal["first", "last"]) -> None:
        """Scroll to an end."""
        pane = self._pane
        pane.scroll_to(y=0 if which == "first" else pane.max_scroll_y, animate=False)
