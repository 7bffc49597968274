"""Dialogs that add, describe, remove and restore tasks and models."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static, TextArea

from engine.bundle.model_bundle import SETTINGS
from engine.storage.places import bundled_tasks
from engine.text import safe_name, safe_text
from xaimed_tui.app_services import services
from xaimed_tui.background import messages
from xaimed_tui.background.library_changes import (
    AddModel,
    AddTask,
    Change,
    Describe,
    DraftSettings,
    Purge,
    Remove,
    Restore,
)
from xaimed_tui.screens.library.model import CheckScreen, ModelScreen
from xaimed_tui.widgets.dialogs import FRAME, ChooseDialog, KeysLine
from xaimed_tui.widgets.row_list import Row
from xaimed_tui.widgets.type_ahead import TypeAheadDialog

if TYPE_CHECKING:
    from textual.screen import Screen
    from textual.widget import Widget

    from engine.library.tasks import ModelEntry, Task
    from engine.library.trash import Removed
    from xaimed_tui.background.jobs import Jobs

_BUTTONS = """
    {name} .buttons {{ height: 1; align-horizontal: right; margin: 1 0 0 0; }}
    {name} Button {{ margin: 0 0 0 2; }}
    {name} .problem {{ height: auto; color: $text-error; }}
"""


Changed = Callable[["messages.LibraryChanged | None"], None]
"""Called with what a dialog changed in the library; with None if it changed nothing."""


def offer(view: Widget, task: Task | None, entry: ModelEntry | None, changed: Changed) -> None:
    """Ask what to do with the task and the model under the cursors, and do it.

    `view` receives the messages of the background work; `changed` is called with what a dialog changed, or None.
    """
    rows = [Row("add-task", "Add a task")]
    if task is not None:
        name = safe_name(task.name, 40)
        rows += [
            Row("describe-task", f"Describe the task {name}"),
            Row("remove-task", f"Remove the task {name}"),
            Row("add-model", f"Add a model to {name}"),
        ]
    if task is not None and entry is not None:
        name = safe_name(entry.name, 40)
        rows += _about_model(name, entry)
    rows.append(Row("restore", "Restore what was removed, or empty the trash"))

    def chosen(key: Hashable) -> None:
        if key == "restore":
            services(view).jobs.list_removed(view)
        elif key == "show-model" and entry is not None:
            view.app.push_screen(ModelScreen(entry))
        elif key == "check-model" and entry is not None and entry.bundle is not None:
            view.app.push_screen(CheckScreen(entry.bundle))
        elif (screen := _screen_for(key, task, entry)) is not None:
            view.app.push_screen(screen, changed)

    about = "The files are in the task folders; removed ones go to a trash folder beside them."
    view.app.push_screen(ChooseDialog("Tasks and models", about, rows, "add-task"), chosen)


def _about_model(name: str, entry: ModelEntry) -> list[Row]:
    rows = [Row("show-model", f"Show all about the model {name}")]
    if entry.usable and entry.bundle is not None:
        rows.append(Row("check-model", f"Check the model {name}"))
        # A draft is written into the model's own folder, and nothing is written into what comes with XAIMed.
        if SETTINGS not in entry.bundle.files and not entry.path.is_relative_to(bundled_tasks()):
            rows.append(Row("draft-settings", f"Write a first {SETTINGS} for {name}"))
    return [
        *rows,
        Row("describe-model", f"Describe the model {name}"),
        Row("remove-model", f"Remove the model {name}"),
    ]


def offer_removed(view: Widget, removed: Sequence[Removed], changed: Changed) -> None:
    """Ask which removed task or model to restore."""
    # The newest come first; reversed, the newest of one name overwrites the older ones.
    newest = {(gone.task, gone.model): gone for gone in reversed(removed)}
    rows = [
        Row(key, f"{safe_name(gone.name, 40)}   {'hidden' if gone.path is None else 'removed'} {_minute(gone.when)}")
        for key, gone in reversed(newest.items())
    ]
    if not rows:
        view.notify("Nothing was removed that could be restored.", markup=False)
        return

    deletable = tuple(gone for gone in removed if gone.path is not None)
    if deletable:
        rows.append(Row("purge", f"Empty the trash for good ({len(deletable)})"))

    def chosen(key: Hashable) -> None:
        if key == "purge":
            names = ", ".join(safe_name(gone.name, 60) for gone in deletable)
            words = f"This cannot be undone. It deletes: {names}."
            view.app.push_screen(ConfirmDialog(Purge(deletable), words, verb="Delete"), changed)
        elif isinstance(key, tuple):
            services(view).jobs.change_library(view, Restore(*key))

    about = "If several have the same name, the one removed last is restored."
    view.app.push_screen(ChooseDialog("Restore", about, rows, rows[0].key), chosen)


def _minute(when: str) -> str:
    """Return when something was removed, to the minute; the trash stores times in UTC."""
    return f"{when[:16].replace('T', ' ')} UTC"


def _screen_for(key: Hashable, task: Task | None, entry: ModelEntry | None) -> Screen[Done] | None:
    if key == "add-task":
        return Form("Add a task", _TASK_FIELDS, lambda typed: AddTask(typed["name"].strip(), typed["description"]))
    if task is None:
        return None
    name = task.name
    match key:
        case "describe-task":
            return DescribeDialog(name, None, task.description)
        case "remove-task":
            return ConfirmDialog(Remove(name), _about_removing(task))
        case "add-model":
            title = f"Add a model to {safe_name(name, 40)}"
            return Form(title, _MODEL_FIELDS, lambda typed: _new_model(name, typed))
    if entry is None:
        return None
    match key:
        case "describe-model":
            covered = entry.bundle is None or entry.bundle.runs_code
            return DescribeDialog(name, entry.name, entry.description, approval=covered)
        case "draft-settings":
            return ConfirmDialog(DraftSettings(name, entry.name), _ABOUT_DRAFTING, verb="Write")
        case "remove-model":
            words = f"The model {safe_name(entry.name, 60)} of {safe_name(name, 60)} will no longer be listed. {_BACK}"
            return ConfirmDialog(Remove(name, entry.name), words)
    return None


_BACK = (
    "Its files go to the trash folder beside the tasks and can be restored from there; what comes with XAIMed is "
    "only hidden."
)


_ABOUT_DRAFTING = (
    "This runs the network to find its input sizes, outputs and layers, and writes them into a commented "
    f"{SETTINGS} in the model's folder. An approval covers every byte of a model, so you have to approve this one "
    "again."
)


def _about_removing(task: Task) -> str:
    count = len(task.models)
    models = f", with its {count} model{'s' if count > 1 else ''}," if count else ""
    return f"The task {safe_name(task.name, 60)}{models} will no longer be listed. {_BACK}"


def _new_model(task: str, typed: Mapping[str, str]) -> Change:
    return AddModel(
        task,
        typed["name"].strip(),
        weights=typed["weights"],
        architecture=typed["architecture"],
        description=typed["description"],
        picture=typed["picture"],
        settings=typed["settings"],
    )


_TASK_FIELDS = {"name": "name, as people see it", "description": "what is decided: text, or a text file"}

_MODEL_FIELDS = {
    "name": "name, as people see it",
    "weights": "weights: a checkpoint, an ONNX file, or a folder",
    "architecture": "Python file with build_model(), or torchvision:resnet18 (optional)",
    "description": "description: text, or a text file (optional)",
    "picture": "picture of its performance (optional)",
    "settings": "model.toml (optional)",
}

Done = messages.LibraryChanged | None
"""What a dialog returns: what was done, or None."""


class _Changing(TypeAheadDialog[Done]):
    """A dialog that makes a change, waits for it, and stays open with the reason if it fails."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    waiting = False

    @property
    def jobs(self) -> Jobs:
        return services(self).jobs

    def start(self, change: Change) -> None:
        """Make a change, unless one is under way."""
        if not self.waiting:
            self.waiting = True
            self._say("one moment…")
            self.jobs.change_library(self, change)

    def on_library_changed(self, message: messages.LibraryChanged) -> None:
        message.stop()
        self.dismiss(message)

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say why it failed, and stay open for a correction."""
        message.stop()
        self.waiting = False
        self._say(message.reason)

    def _say(self, words: str) -> None:
        self.query_one(".problem", Static).update(words)

    def action_leave(self) -> None:
        """Close without a change; a change under way is not stopped halfway."""
        if not self.waiting:
            self.dismiss(None)


class ConfirmDialog(_Changing):
    """A question before something is removed or written. At first, the Cancel button has the focus."""

    DEFAULT_CSS = FRAME.format(name="ConfirmDialog") + _BUTTONS.format(name="ConfirmDialog")

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "app.help", "Help", show=False)]

    def __init__(self, change: Change, words: str, *, verb: str = "Remove") -> None:
        super().__init__()
        self._change, self._words, self._verb = change, words, verb

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self._verb
            yield Static(self._words, classes="about", markup=False)
            yield Static(classes="problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(self._verb, id="go-on", variant="warning", compact=True)
            yield KeysLine(("Tab", "next"), ("Enter", "press"), ("Esc", "cancel"))

    def on_mount(self) -> None:
        """Focus Cancel, so that Enter alone changes nothing."""
        self.query_one("#cancel").focus()

    @on(Button.Pressed, "#go-on")
    def _go_on(self) -> None:
        self.start(self._change)

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.action_leave()


class Form(_Changing):
    """A few lines to fill in."""

    DEFAULT_CSS = (
        FRAME.format(name="Form")
        + _BUTTONS.format(name="Form")
        + "Form .hint { color: $text-muted; } Form Input { background: $background; } Form .keys { margin: 0; }"
    )

    def __init__(self, title: str, fields: Mapping[str, str], make: Callable[[Mapping[str, str]], Change]) -> None:
        super().__init__()
        self._title, self._fields, self._make = title, fields, make

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(self._title)
            for field, hint in self._fields.items():
                yield Static(hint, classes="hint", markup=False)
                yield Input(id=f"field-{field}", compact=True)
            yield Static(classes="problem", markup=False)
            yield KeysLine(("Tab", "next line"), ("Enter", "add"), ("Esc", "cancel"))

    def on_mount(self) -> None:
        self.query(Input).first().focus()

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.start(self._make({field: self.query_one(f"#field-{field}", Input).value for field in self._fields}))


class DescribeDialog(_Changing):
    """A dialog to write a description in."""

    DEFAULT_CSS = (
        FRAME.format(name="DescribeDialog")
        + _BUTTONS.format(name="DescribeDialog")
        + "DescribeDialog TextArea { height: 14; max-height: 45vh; }"
    )

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "save", "Save", priority=True)]

    def __init__(self, task: str, model: str | None, description: str, *, approval: bool = True) -> None:
        super().__init__()
        self._named, self._approval = (task, model), approval
        # A text that is not safe to show cannot be edited either: the person starts with an empty one.
        safe = safe_text(description, multiline=True) == description.replace("\t", "    ")
        self._text = description.rstrip() if safe else ""

    def compose(self) -> ComposeResult:
        task, model = self._named
        name = safe_name(task if model is None else f"{task}/{model}", 60)
        about = "People see this text."
        if model is not None and self._approval:
            about += " The model's approval covers it too: if you change it, you have to approve the model again."
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Content(f"Describe {name}")  # a `str` would be read as markup
            yield Static(about, classes="about", markup=False)
            yield TextArea(self._text, id="description", compact=True)
            yield Static(classes="problem", markup=False)
            yield KeysLine(("Ctrl+S", "save"), ("Esc", "cancel"))

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()

    def action_save(self) -> None:
        self.start(Describe(*self._named, self.query_one(TextArea).text))
