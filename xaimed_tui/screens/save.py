"""Saving: where to, and which files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.methods import method_keys
from engine.text import safe_text
from xaimed_tui.screens.dialogs import FRAME, keys_line
from xaimed_tui.screens.folder import FolderSuggester

if TYPE_CHECKING:
    from engine.explanation import Explanation

DEFAULT_FOLDER = "xaimed-results"


class SaveDialog(ModalScreen[Path | None]):
    """Choose where to write; None if nothing is to be written."""

    DEFAULT_CSS = (
        FRAME.format(name="SaveDialog")
        + """
    SaveDialog #save-problem { height: auto; color: $text-error; }
    SaveDialog #save-files { color: $text-muted; margin: 1 0 0 0; height: auto; }
    """
    )

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(self, explanation: Explanation, folder: str = DEFAULT_FOLDER) -> None:
        super().__init__()
        self._explanation = explanation
        self._folder = folder

    def compose(self) -> ComposeResult:
        """The folder, the names, the keys."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Save"
            yield Static("A folder of its own for this image is made in:", classes="about", markup=False)
            yield Input(value=self._folder, suggester=FolderSuggester(), id="save-folder", compact=True)
            yield Static(id="save-problem", markup=False)
            yield Static(self._files(), id="save-files", markup=False)
            yield Static(keys_line(("Enter", "save"), ("Esc", "cancel")), classes="keys")

    def _files(self) -> str:
        methods = list(self._explanation.maps)
        maps = "\n".join(f"  {method}.png, {method}-cells.png" for method in methods)
        of = max(len(method_keys()), len(methods))
        missing = "" if len(methods) == of else f"\nOnly the {len(methods)} of {of} maps made so far are saved."
        return (
            f"It will hold\n  original.png, agreement.png\n{maps}\n"
            f"  saliency.npz, statistics.csv, explanation.json{missing}\n"
            "A folder that exists is never overwritten: a number is appended."
        )

    def on_mount(self) -> None:
        """Type at once."""
        folder = self.query_one(Input)
        folder.focus()
        folder.cursor_position = len(folder.value)

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        typed = message.value.strip()
        try:
            folder = Path(typed).expanduser()
        except RuntimeError:
            folder = Path()
        if not typed or "\0" in typed or (folder.exists() and not folder.is_dir()):
            words = f"{safe_text(typed, limit=60) or 'nothing'} is not a folder"
            self.query_one("#save-problem", Static).update(words)
            return
        self.dismiss(folder)

    def action_leave(self) -> None:
        """Write nothing."""
        self.dismiss(None)
