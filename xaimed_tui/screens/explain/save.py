"""The dialog that saves an explanation: where to, and which files."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from engine.explainers.registry import method_keys
from engine.export.folder import explanation_file_names, next_folder, safe_folder_name
from engine.text import safe_text
from xaimed_tui.screens.explain.folder_dialog import FolderSuggester
from xaimed_tui.widgets.dialogs import FRAME, KeysLine
from xaimed_tui.widgets.type_ahead import TypeAheadDialog
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import method_name, path_text

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation

_KINDS = {
    ".png": "PNG pictures",
    ".npz": "Maps as float32 arrays (NumPy)",
    ".csv": "Numbers (CSV)",
    ".json": "Answer, agreement, evidence, and all to reproduce them (JSON)",
}
"""What the files of each kind hold."""

DEFAULT_FOLDER = "xaimed-results"


class SaveDialog(TypeAheadDialog[Path | None]):
    """Choose where to write; returns None to write nothing."""

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
        self._typed = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Save"
            yield Static("This image gets a folder of its own in:", classes="about", markup=False)
            yield Input(value=self._folder, suggester=FolderSuggester(), id="save-folder", compact=True)
            yield Static(id="save-problem", markup=False)
            yield Static(self._files(), id="save-files", markup=False)
            yield KeysLine(("Enter", "save"), ("Esc", "cancel"))

    def _files(self, folder: Path | None = None) -> Content:
        made = list(self._explanation.maps)
        parts: list[Part] = []
        if folder is not None:
            stem = safe_folder_name(self._explanation.image.public_stem)
            parts += ["A new folder: ", (path_text(folder.absolute(), 52), "bold $foreground"), "\n"]
            if folder.name != stem:
                parts.append((f"{stem} already exists and stays as it is.\n", "$text-warning"))
        names = explanation_file_names(made, exact=self._explanation.exact is not None)
        of_kind = {kind: ", ".join(safe_text(name) for name in names if name.endswith(kind)) for kind in _KINDS}
        parts.append("\n")
        parts.extend(f"{about}: {of_kind[kind]}\n" for kind, about in _KINDS.items())
        missing = [method_name(method) for method in method_keys() if method not in made]
        if missing:
            parts.append((f"Not made yet, and not saved: {', '.join(missing)}.\n", "$text-warning"))
        return Content.assemble(*parts)

    @on(Input.Changed)
    def _path_typed(self, message: Input.Changed) -> None:
        """Find in a thread which folder it would be, since disks may be slow."""
        self._typed += 1
        number = self._typed

        def find() -> None:
            folder = _folder_of(message.value)
            if folder is not None:
                folder = next_folder(folder, self._explanation.image.public_stem)
            self.app.call_from_thread(show, folder)

        def show(folder: Path | None) -> None:
            if number == self._typed and self.is_mounted:  # else a later letter has an answer of its own
                self.query_one("#save-files", Static).update(self._files(folder))

        self.run_worker(find, thread=True, exclusive=True, group="next folder", name="next folder", exit_on_error=False)

    def on_mount(self) -> None:
        folder = self.query_one(Input)
        folder.focus()
        folder.cursor_position = len(folder.value)

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        take = partial(self._take, message.value)
        self.run_worker(take, group="take", exclusive=True)  # type: ignore[arg-type]  # mypy finds no type in Textual's union

    async def _take(self, typed: str) -> None:
        folder = await asyncio.to_thread(_folder_of, typed)
        # Closed while the disk was slow.
        if self not in self.app.screen_stack:
            return
        if folder is None:
            words = f"{safe_text(typed.strip(), limit=60) or 'nothing'} is not a folder"
            self.query_one("#save-problem", Static).update(words)
        else:
            self.dismiss(folder)

    def action_leave(self) -> None:
        self.dismiss(None)


def _folder_of(typed: str) -> Path | None:
    """Return the typed folder, which need not exist; None if it cannot be a folder."""
    typed = typed.strip()
    try:
        folder = Path(typed).expanduser() if typed and "\0" not in typed else None
        return None if folder is None or (folder.exists() and not folder.is_dir()) else folder
    except (RuntimeError, OSError):  # no such home folder; a path that is too long or not permitted
        return None
