"""The dialog that shows a model's code and asks for approval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from engine.text import safe_text
from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.dialogs import FRAME, KeysLine
from xaimed_tui.widgets.lines_view import Line, LinesView
from xaimed_tui.wording import path_text

if TYPE_CHECKING:
    from engine.trust.permission import Review


class TrustScreen(ClosesOnce, ModalScreen[bool]):
    """A model's code, what in it deserves a look, and the question; returns whether the person approves.

    The code has the focus at first, so Enter approves only after the person has gone to the button.
    """

    DEFAULT_CSS = (
        FRAME.format(name="TrustScreen")
        + """
    TrustScreen > .dialog { width: 120; height: 94%; padding: 0 2; border: round $warning; border-title-color: $text-warning; }
    TrustScreen .about { margin: 0; }
    TrustScreen LinesView { border-top: solid $border-blurred; border-title-color: $text-muted; }
    TrustScreen LinesView:focus { border-top: solid $border; border-title-color: $primary; }
    TrustScreen #code { height: 3fr; min-height: 4; }
    TrustScreen #findings { height: 2fr; min-height: 4; }
    TrustScreen .buttons { height: 1; align-horizontal: right; }
    TrustScreen Button { margin: 0 0 0 2; }
    TrustScreen .keys { margin: 0; }
    .-slim TrustScreen > .dialog { padding: 0 1; max-width: 100%; }
    """  # noqa: E501 - one declaration a line would say no more
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("A", "approve", "Approve"),  # a capital, so that nobody approves by a slip of the finger
        Binding("escape", "leave", "Cancel"),
        Binding("question_mark", "app.help", "Help", show=False),
    ]

    def __init__(self, review: Review) -> None:
        super().__init__()
        self._review = review

    def compose(self) -> ComposeResult:
        """Make the model's name, its code, what deserves a look, and the buttons."""
        from engine.bundle.model_bundle import subject_of
        from engine.trust.permission import words_about

        bundle = self._review.bundle
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Code that wants to run"
            yield Static(safe_text(subject_of(bundle)), id="subject", markup=False)
            yield Static(path_text(bundle.path, 100), classes="about", markup=False)
            code = LinesView(_numbered(self._review), id="code")
            code.border_title = _title(list(self._review.code))
            yield code
            findings = LinesView(_said(words_about(self._review)), prose=True, id="findings")
            findings.border_title = "What to know about it"
            yield findings
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Approve", id="approve", variant="warning", compact=True)
            yield KeysLine(("↑ ↓", "scroll"), ("Tab", "next"), ("A", "approve (capital)"), ("Esc", "cancel"))

    def on_mount(self) -> None:
        """Focus the code."""
        self.query_one("#code").focus()

    @on(Button.Pressed, "#approve")
    def action_approve(self) -> None:
        """Approve: the code may run from now on."""
        self.dismiss(True)

    @on(Button.Pressed, "#cancel")
    def action_leave(self) -> None:
        """Close without approval."""
        self.dismiss(False)


def _title(files: Sequence[str]) -> Content:
    first, *beside = files
    more = f" and {len(beside)} file{'s' if len(beside) > 1 else ''} beside it" if beside else ""
    return Content(f"{first}{more}")  # a `str` would be read as markup


def _numbered(review: Review) -> list[Line]:
    """Return the code with line numbers; lines that deserve a look are marked by colour and by a sign.

    Each of several files begins with its name.
    """
    from engine.trust.inspection import lines_of

    lines: list[Line] = []
    for file, text in review.code.items():
        odd = {finding.line for finding in review.findings if finding.file == file}
        if len(review.code) > 1:
            lines += [*([Line("")] if lines else []), Line(file, emphasis="strong")]
        lines += [
            Line(line, f"{'!' if number in odd else ''}{number:>6}", "marked" if number in odd else "plain")
            for number, line in enumerate(lines_of(text), start=1)
        ]
    return lines


def _said(words: tuple[str, ...]) -> list[Line]:
    return [Line(text, emphasis="strong" if text.endswith(":") else "plain") for text in words]
