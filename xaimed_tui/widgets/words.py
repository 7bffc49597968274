"""Texts that change often: the same text again costs nothing, and in a box of fixed size no text costs a layout."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

Part = str | tuple[str, str]
"""A piece of text: plain, or with its style."""


class Words(Static):
    """A text whose box may grow with it."""

    GROWS: ClassVar[bool] = True

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._said = Content("")

    def say(self, words: Content | str) -> None:
        words = Content(words) if isinstance(words, str) else words
        # Textual's `==` of two contents compares their letters only, not their styles.
        if (words.plain, words.spans) != (self._said.plain, self._said.spans):
            self._said = words
            self.update(words, layout=self.GROWS)


class FixedWords(Words):
    """A text in a box whose size the style sheet sets: a new text is painted without laying the screen out again."""

    GROWS = False


class ScrolledWords(VerticalScroll):
    """A text with keys that scroll it or, if it has its full height, the nearest pane around it that can scroll."""

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
        self._pane.scroll_relative(y=step, animate=False)

    def action_pages(self, step: int) -> None:
        pane = self._pane
        pane.scroll_relative(y=step * max(pane.scrollable_content_region.height - 1, 1), animate=False)

    def action_ends(self, which: Literal["first", "last"]) -> None:
        pane = self._pane
        pane.scroll_to(y=0 if which == "first" else pane.max_scroll_y, animate=False)
