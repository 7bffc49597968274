"""A screen of text lines: the log, all about a model, or the results of its check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from engine.text import safe_text
from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.dialogs import FRAME, KeysLine
from xaimed_tui.widgets.lines_view import Line, LinesView
from xaimed_tui.widgets.words import FixedWords


class LinesScreen(ClosesOnce, ModalScreen[None]):
    """Lines to scroll through and to copy."""

    DEFAULT_CSS = (
        FRAME.format(name="LinesScreen")
        + """
    LinesScreen > .dialog { width: 120; height: 94%; padding: 0 1; }
    LinesScreen .keys { margin: 0; }
    LinesScreen .says { height: 1; color: $text-muted; display: none; }
    LinesScreen.-saying .says { display: block; }
    """
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
        Binding("c", "copy", "Copy"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
        Binding("question_mark", "app.help", "Help", show=False),
    ]

    PROSE: ClassVar[bool] = True
    """Whether lines are broken at spaces."""

    LEAVING: ClassVar[str] = "close"
    """What Esc does."""

    def __init__(self, title: str, lines: Iterable[str]) -> None:
        super().__init__()
        self._title = title
        self.lines = tuple(lines)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(self._title)
            yield FixedWords(classes="says")
            yield LinesView([Line(line) for line in self.lines], prose=self.PROSE)
            yield KeysLine(("j k", "scroll"), ("c", "copy"), ("Esc", self.LEAVING))

    def on_mount(self) -> None:
        self.query_one(LinesView).focus()

    def say(self, words: Content | str) -> None:
        """Say something above the lines."""
        self.add_class("-saying")
        self.query_one(FixedWords).say(words)

    def show(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        self.query_one(LinesView).show(Line(line) for line in self.lines)

    def action_scroll(self, step: int) -> None:
        self.query_one(LinesView).scroll_relative(y=2 * step, animate=False)

    def action_copy(self) -> None:
        """Copy the lines to the terminal's clipboard (OSC 52)."""
        self.app.copy_to_clipboard(safe_text("\n".join(self.lines), multiline=True))
        self.notify("Copied, if your terminal allows it.", markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)
