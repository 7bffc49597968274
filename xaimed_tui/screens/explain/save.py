"""The dialog that saves an explanation: where to, which files, and whether reports and DICOM objects are among them."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from engine.errors import ExportError
from engine.explainers.registry import method_keys
from engine.export.dicom.plan import check_dicom_writable
from engine.export.folder import explanation_file_names, next_folder, safe_folder_name
from engine.export.report import report_file
from engine.text import safe_text
from xaimed_tui.background.backend import SaveWish
from xaimed_tui.screens.explain.folder_dialog import FolderSuggester
from xaimed_tui.widgets.dialogs import FRAME, KeysLine
from xaimed_tui.widgets.tick import Tick
from xaimed_tui.widgets.type_ahead import TypeAheadDialog
from xaimed_tui.widgets.words import Part
from xaimed_tui.wording import method_name, path_text

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.export.report import ReportKind

_KINDS = {
    ".png": "PNG pictures",
    ".npz": "Maps as float32 arrays (NumPy)",
    ".csv": "Numbers (CSV)",
    ".json": "Answer, evidence, all to reproduce them",
}
"""What the files of each kind hold."""

_OBJECTS = (
    "DICOM objects in new series of its study: maps, overlays, report\n",
    ("They hold the patient's name and id, as the image does.\n", "$text-warning"),
)

DEFAULT_FOLDER = "xaimed-results"


class SaveDialog(TypeAheadDialog[SaveWish | None]):
    """Choose what to write and where; returns None to write nothing.

    Args:
        explanation: what is saved.
        last: what was chosen the last time; None for the first time.
    """

    DEFAULT_CSS = (
        FRAME.format(name="SaveDialog")
        + """
    SaveDialog #save-problem { height: auto; color: $text-error; display: none; }
    SaveDialog #save-more { height: 1; }
    SaveDialog #save-more Static { width: auto; color: $text-muted; }
    SaveDialog #save-more Tick { margin: 0 0 0 2; }
    SaveDialog #save-files { color: $text-muted; margin: 1 0 0 0; height: auto; }
    """
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("enter", "save", "Save", show=False),
    ]

    def __init__(self, explanation: Explanation, last: SaveWish | None = None) -> None:
        super().__init__()
        self._explanation = explanation
        self._last = last or SaveWish(Path(DEFAULT_FOLDER))
        self._typed = 0
        self._made: Path | None = None  # the folder that would be made now
        self._why_no_dicom = _why_no_dicom() if explanation.image.dicom is not None else ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Save"
            yield Static("This image gets a folder of its own in:", classes="about", markup=False)
            yield Input(value=str(self._last.folder), suggester=FolderSuggester(), id="save-folder", compact=True)
            yield Static(id="save-problem", markup=False)
            with Horizontal(id="save-more"):
                yield Static("Also:", markup=False)
                yield Tick("report, HTML", "html" in self._last.reports, id="save-html")
                yield Tick("report, PDF", "pdf" in self._last.reports, id="save-pdf")
                if self._explanation.image.dicom is not None and not self._why_no_dicom:
                    yield Tick("DICOM objects", self._last.dicom, id="save-dicom")
            yield Static(id="save-files", markup=False)
            yield KeysLine(("Enter", "save"), ("Tab", "next"), ("Space", "tick"), ("Esc", "cancel"))

    def _ticked(self, name: str) -> bool:
        return any(tick.value for tick in self.query(f"#save-{name}").results(Tick))

    @property
    def _reports(self) -> tuple[ReportKind, ...]:
        kinds: tuple[ReportKind, ...] = ("html", "pdf")
        return tuple(kind for kind in kinds if self._ticked(kind))

    def _files(self) -> Content:
        made, folder = list(self._explanation.maps), self._made
        parts: list[Part] = []
        if folder is not None:
            stem = safe_folder_name(self._explanation.image.public_stem)
            parts += ["A new folder: ", (path_text(folder.absolute(), 52), "bold $foreground"), "\n"]
            if folder.name != stem:
                parts.append((f"{stem} already exists and stays as it is.\n", "$text-warning"))
        missing = [method_name(method) for method in method_keys() if method not in made]
        if missing:
            parts.append((f"Not made yet, and not saved: {', '.join(missing)}.\n", "$text-warning"))
        if self._ticked("dicom"):
            parts.extend(_OBJECTS)
        elif self._why_no_dicom:
            parts.append((f"{self._why_no_dicom}\n", "$text-warning"))
        if self._reports:
            parts.append(f"Report on one page: {', '.join(map(report_file, self._reports))}\n")
        names = explanation_file_names(made, exact=self._explanation.exact is not None)
        of_kind = {kind: ", ".join(safe_text(name) for name in names if name.endswith(kind)) for kind in _KINDS}
        parts.extend(f"{about}: {of_kind[kind]}\n" for kind, about in _KINDS.items())
        return Content.assemble(*parts)

    def on_resize(self) -> None:
        """Leave room for the keys below the files; what matters most of these stands first."""
        # The frame and its padding take 3 lines; the words above, the lines to fill in and the keys 8.
        self.query_one("#save-files").styles.max_height = max(self.size.height * 94 // 100 - 11, 1)

    def _show_files(self) -> None:
        self.query_one("#save-files", Static).update(self._files())

    @on(Tick.Changed)
    def _tick_changed(self) -> None:
        self._show_files()

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
                self._made = folder
                self._show_files()

        self.run_worker(find, thread=True, exclusive=True, group="next folder", name="next folder", exit_on_error=False)

    def on_mount(self) -> None:
        folder = self.query_one(Input)
        folder.focus()
        folder.cursor_position = len(folder.value)
        self._show_files()

    @on(Input.Submitted)
    def action_save(self) -> None:
        """Take what is chosen, from the line and from what can be ticked alike."""
        take = partial(self._take, self.query_one(Input).value)
        self.run_worker(take, group="take", exclusive=True)  # type: ignore[arg-type]  # mypy finds no type in Textual's union

    async def _take(self, typed: str) -> None:
        folder = await asyncio.to_thread(_folder_of, typed)
        # Closed while the disk was slow.
        if self not in self.app.screen_stack:
            return
        if folder is None:
            words = f"{safe_text(typed.strip(), limit=60) or 'nothing'} is not a folder"
            problem = self.query_one("#save-problem", Static)
            problem.update(words)
            problem.display = True
        else:
            self.dismiss(SaveWish(folder, self._reports, self._ticked("dicom")))

    def action_leave(self) -> None:
        self.dismiss(None)


def _why_no_dicom() -> str:
    """Return why no DICOM objects can be written on this machine; empty if they can."""
    try:
        check_dicom_writable()
    except ExportError as error:
        return error.message
    return ""


def _folder_of(typed: str) -> Path | None:
    """Return the typed folder, which need not exist; None if it cannot be a folder."""
    typed = typed.strip()
    try:
        folder = Path(typed).expanduser() if typed and "\0" not in typed else None
        return None if folder is None or (folder.exists() and not folder.is_dir()) else folder
    except (RuntimeError, OSError):  # no such home folder; a path that is too long or not permitted
        return None
