"""Screens that show a failure, and the log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.storage.places import log_file
from engine.text import safe_text
from xaimed_tui.background.failure import Failure
from xaimed_tui.screens.lines import LinesScreen
from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.dialogs import FRAME, KeysLine
from xaimed_tui.widgets.lines_view import LinesView
from xaimed_tui.widgets.words import Part

LOG_SHOWN = 200_000
"""Bytes of the log's end that are shown."""


class FailureScreen(ClosesOnce, ModalScreen[None]):
    """What went wrong, why, what to do, and where the log is."""

    DEFAULT_CSS = (
        FRAME.format(name="FailureScreen")
        + """
    FailureScreen > .dialog { border: round $error; border-title-color: $text-error; }
    FailureScreen VerticalScroll { height: auto; max-height: 24; }
    """
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "leave", "Close"),
        Binding("c", "copy", "Copy"),
        Binding("l", "app.log", "Log"),
        Binding("question_mark", "app.help", "Help", show=False),
    ]

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure

    def compose(self) -> ComposeResult:
        failure = self.failure
        parts: list[Part] = [failure.why, "\n"]
        if failure.remedy:
            parts += [("\nWhat to do  ", "bold"), failure.remedy, "\n"]
        if failure.more:
            parts += ["\n", failure.more, "\n"]
        parts += [("\nLog  ", "bold"), safe_text(failure.log)]
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(failure.title)
            with VerticalScroll():
                yield Static(Content.assemble(*parts), markup=False)
            yield KeysLine(("c", "copy"), ("l", "log"), ("Enter", "close"))

    def action_copy(self) -> None:
        """Copy the text to the terminal's clipboard (OSC 52)."""
        self.app.copy_to_clipboard(f"{self.failure.title}\n\n{self.failure.words}")
        self.notify("Copied, if your terminal allows it.", markup=False)

    def action_leave(self) -> None:
        self.dismiss(None)


class LogScreen(LinesScreen):
    """The end of the log: the program's records, and what native libraries wrote."""

    PROSE = False

    def __init__(self) -> None:
        super().__init__(f"Log  {safe_text(log_file(), limit=100)}", end_of_log(log_file()).split("\n"))

    def on_mount(self) -> None:
        """Scroll to the end: the last lines are the ones that matter."""
        super().on_mount()
        # Once the lines are wrapped: before, there is nothing to scroll.
        self.call_after_refresh(self.query_one(LinesView).scroll_end, animate=False)


def end_of_log(path: Path) -> str:
    """Return the last part of the log from the start of a line, or a sentence if there is none."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - LOG_SHOWN))
            content = file.read(LOG_SHOWN)
    except FileNotFoundError:
        return "There is no log: it could not be written, or it was deleted."
    except OSError as error:
        return f"The log cannot be read: {error.strerror or error}."
    if size > LOG_SHOWN:
        content = content.partition(b"\n")[2]  # without the first line, which is cut
    return content.decode("utf-8", "backslashreplace").rstrip("\n") or "The log is empty."
