"""Task & Model Selection: the four panes of the paper's figure 5."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import Static

from engine.text import safe_name, safe_text
from xaimed_tui.app_services import services
from xaimed_tui.background import messages
from xaimed_tui.screens.library.descriptions import label, prose, standing, why_no_model
from xaimed_tui.screens.library.manage import offer, offer_removed
from xaimed_tui.screens.library.model_pane import ModelPane
from xaimed_tui.widgets.filtered_list import FilteredList
from xaimed_tui.widgets.row_list import Row, RowList
from xaimed_tui.widgets.why_not import WhyNot
from xaimed_tui.widgets.words import ScrolledWords

if TYPE_CHECKING:
    from pathlib import Path

    from engine.library.tasks import ModelEntry, Task

_NO_TASKS = "There are no tasks in the task folders. m adds one; the README says how."


class SelectionView(WhyNot, Container):
    """The tasks, the description of a task, its models, and the description of a model."""

    # Scoped rules see no classes outside of this widget, but `-slim` and its like are the screen's.
    SCOPED_CSS = False
    DEFAULT_CSS = """
    SelectionView { layout: grid; grid-size: 2 2; grid-columns: 38 1fr; grid-rows: 8 1fr; padding: 0; }
    SelectionView .pane { border: round $border-blurred; border-title-color: $text-muted; padding: 0 1; height: 100%; }
    SelectionView .pane:focus-within { border: round $border; border-title-color: $primary; }
    SelectionView #tasks-pane, SelectionView #models-pane { padding: 0; }
    .-medium SelectionView { grid-columns: 32 1fr; }
    .-vast SelectionView { grid-columns: 56 1fr; }
    .-slim SelectionView { grid-columns: 26 1fr; grid-rows: 7 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose"),
        Binding("left,h", "pane(-1)", "Pane to the left", show=False),
        Binding("right", "pane(1)", "Pane to the right", show=False),
        Binding("m", "manage", "Manage"),
        Binding("ctrl+r", "reload", "Read again"),
        Binding("escape", "back", "Back", show=False),
    ]

    offered = (
        ("Manage: add, describe, remove, restore", "m", "manage"),
        ("Read the task folders again", "Ctrl+R", "reload"),
    )

    def __init__(self, *, wish: tuple[str | None, str | None] = (None, None), id: str | None = None) -> None:
        super().__init__(id=id)
        self._tasks: tuple[Task, ...] = ()
        self._listed = False
        self._wish = wish
        self._changed: tuple[str, str | None] | None = None
        self._run = 0
        self._review = 0
        self._loading: Path | None = None
        self._loaded: Path | None = None
        self._failed: tuple[Path, str] | None = None
        self._why_none = ""

    def compose(self) -> ComposeResult:
        """The four panes, in the paper's places."""
        with Vertical(id="tasks-pane", classes="pane") as pane:
            pane.border_title = "Tasks"
            yield FilteredList(empty="reading the tasks…", list_id="tasks")
        with Vertical(id="models-pane", classes="pane") as pane:
            pane.border_title = "Models"
            yield FilteredList(empty="choose a task", list_id="models")
        with ScrolledWords(id="task-pane", classes="pane") as pane:
            pane.border_title = "About the task"
            yield Static(id="task-text", markup=False)
        yield ModelPane(id="model-pane", classes="pane")

    # Lists

    @property
    def tasks(self) -> RowList:
        return self.query_one("#tasks", RowList)

    @property
    def models(self) -> RowList:
        """The list of models of the task under the cursor."""
        return self.query_one("#models", RowList)

    @property
    def library(self) -> tuple[Task, ...]:
        """The tasks, as far as read."""
        return self._tasks

    def show_task(self, name: str) -> None:
        """Put the cursor on a task, and go on to its models."""
        if self._go_to_task(name) is not None:
            self.models.focus()

    def _go_to_task(self, name: str) -> Task | None:
        """Put the cursor on a task and show it; None if no task has that name."""
        index = next((i for i, task in enumerate(self._tasks) if task.name == name), None)
        if index is None or not self._reveal(self.tasks, index):
            return None
        self._show_task()
        return self._tasks[index]

    @staticmethod
    def _reveal(rows: RowList, index: int) -> bool:
        """Put the cursor on a row, removing a filter that hides it."""
        return isinstance(rows.parent, FilteredList) and rows.parent.reveal(index)

    def focus_first(self) -> None:
        """Leave the focus where it is in this view; else focus the models if one is loaded, or the tasks."""
        if not self.screen.focused or self not in self.screen.focused.ancestors:
            (self.models if self._loaded else self.tasks).focus()

    def on_tasks_listed(self, message: messages.TasksListed) -> None:
        self._tasks, self._listed = message.tasks, True
        self.tasks.set_rows(
            [Row(index, safe_text(task.name), reason=why_no_model(task)) for index, task in enumerate(message.tasks)],
            empty="no tasks here",
        )
        self._why_none = "" if message.tasks else _NO_TASKS
        self._show_task()
        if self._changed is not None:
            self._go_to_changed(*self._changed)
            self._changed = None
        if self._wish[0] is not None:
            self.open_task(self._wish[0], self._wish[1])

    def _go_to_changed(self, name: str, model: str | None) -> None:
        """Put the cursors on a task and model, as far as they exist."""
        task = self._go_to_task(name)
        if task is None:
            return
        place = next((i for i, entry in enumerate(task.models) if entry.name == model), None)
        if place is not None:
            self._reveal(self.models, place)
            self.models.focus()
        self._show_model()

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say in the pane what the app says in a notice."""
        if message.what == "tasks":
            self.tasks.set_rows((), empty="the tasks cannot be read")
            self._why_none = message.reason
            self._show_task()
        elif message.what == "model" and message.ticket == self._run and self._loading is not None:
            self._failed, self._loading = (self._loading, message.reason), None
            self._show_model()

    def open_task(self, name: str, model: str | None = None) -> None:
        """Choose a task by name and load the named model, or else its first usable one."""
        if not self._listed:
            self._wish = (name, model)
            return
        self._wish = (None, None)
        task = self._go_to_task(name)
        if task is None:
            self.notify(f"There is no task {safe_name(name, 80)}.", severity="error", markup=False)
            return
        entry = next((m for m in task.models if (m.name == model if model else m.usable)), None)
        if entry is None:
            text = f"The task {safe_name(name, 80)} has no " + (
                f"model {safe_name(model, 80)}." if model else "usable model."
            )
            self.notify(text, severity="error", markup=False)
            return
        self._reveal(self.models, task.models.index(entry))
        if entry.usable or self.display:
            self._load(entry)
        else:  # named at the start, with a folder: do not cover the images with its code
            said = f"{safe_name(f'{name}/{entry.name}', 80)} was not loaded: {safe_text(entry.reason)} 2 shows it."
            self.notify(said, title="No network", severity="warning", timeout=15, markup=False)

    @on(RowList.Highlighted, "#tasks")
    def _task_highlighted(self) -> None:
        self._show_task()

    @on(RowList.Highlighted, "#models")
    def _model_highlighted(self) -> None:
        self._show_model()

    @on(RowList.Chosen)
    def _chosen(self) -> None:
        self.action_choose()

    def _load(self, entry: ModelEntry) -> None:
        if entry.bundle is None:
            self.notify(safe_text(entry.reason), title="Not usable", severity="warning", markup=False)
            return
        if not entry.usable:
            self._review = services(self).jobs.review_model(self, entry.path, entry.task)
            return
        self._loading, self._failed = entry.path, None
        self._run = services(self).jobs.load_model(self, entry.bundle)
        self.post_message(messages.ModelLoading(self._run, entry.bundle))
        self._show_model()

    def on_model_reviewed(self, message: messages.ModelReviewed) -> None:
        """Show a model's code and ask, if the person is still here; just load it if it is approved by now."""
        from xaimed_tui.screens.library.trust import TrustScreen

        bundle = message.review.bundle
        if message.ticket != self._review or not self.display or self.app.screen is not self.screen:
            return
        if message.review.standing.allowed:
            self.on_model_approved(messages.ModelApproved(bundle))
            return

        def answered(approved: bool | None) -> None:
            if approved:
                services(self).jobs.approve_model(self, bundle)

        self.app.push_screen(TrustScreen(message.review), answered)

    def on_model_approved(self, message: messages.ModelApproved) -> None:
        """Read the library again, and load the model."""
        self._listed, self._wish = False, (message.bundle.task, message.bundle.name)
        self.action_reload()

    def on_model_loaded(self, message: messages.ModelLoaded) -> None:
        """Mark the network in use; a network that is no longer wanted is dropped here."""
        if message.ticket != self._run:
            message.stop()
            return
        self._loading, self._loaded = None, message.bundle.path
        self._mark_models()
        self._show_model()

    # Descriptions

    def _task_here(self) -> Task | None:
        row = self.tasks.current
        return self._tasks[row.key] if row is not None and isinstance(row.key, int) else None

    def _entry_here(self) -> ModelEntry | None:
        task, row = self._task_here(), self.models.current
        return task.models[row.key] if task and row is not None and isinstance(row.key, int) else None

    def _say(self, words: str) -> None:
        """Say what the task is about, or why there is none."""
        self.query_one("#task-text", Static).update(words)

    def _show_task(self) -> None:
        task = self._task_here()
        if task is None:
            self._say(self._why_none)
            self.models.set_rows((), empty="no task is chosen")
            self._show_model()
            return
        self._say(prose(task.description))
        self.query_one("#task-pane").scroll_home(animate=False)
        self._mark_models()
        self._show_model()

    def _mark_models(self) -> None:
        task = self._task_here()
        if task is None:
            return
        self.models.set_rows(
            [
                Row(index, label(model), reason=model.reason, mark="●" if model.path == self._loaded else " ")
                for index, model in enumerate(task.models)
            ],
            empty="this task has no models; m adds one",
        )

    def _show_model(self) -> None:
        pane, entry = self.query_one(ModelPane), self._entry_here()
        if entry is None:
            pane.show(None)
            return
        how = standing(
            entry,
            loading=self._loading == entry.path,
            loaded=self._loaded == entry.path,
            error=self._failed[1] if self._failed is not None and self._failed[0] == entry.path else "",
        )
        pane.show(entry, how)

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done now: there is nothing to choose in an empty list."""
        if action == "manage":
            return self._listed
        if action == "choose" and self.is_mounted:
            return (self.tasks.current if self.tasks.has_focus else self.models.current) is not None
        return True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Say why there is nothing to choose or to manage."""
        if not self._listed:
            return self._why_none or "The tasks are still being read."
        return f"There is no {'task' if self.tasks.has_focus else 'model'} here to choose."

    def on_key(self, event: events.Key) -> None:
        """Answer `e`, which a person may press as soon as a network is chosen: it belongs to the view to come."""
        if event.key == "e" and self._loading is not None:
            self.say_why("The network is still being loaded: e works once an image is shown.")

    def action_choose(self) -> None:
        """Go from the tasks to the models; elsewhere, load the model under the cursor."""
        if self.tasks.has_focus:
            self.models.focus()
        elif (entry := self._entry_here()) is not None:
            self._load(entry)

    def action_pane(self, step: int) -> None:
        """Move between the two lists."""
        (self.models if step > 0 else self.tasks).focus()

    def action_reload(self) -> None:
        """Read the task folders again."""
        services(self).jobs.list_tasks(self)

    def action_manage(self) -> None:
        """Add, describe, remove or restore tasks and models."""
        offer(self, self._task_here(), self._entry_here(), self.library_changed)

    def on_removed_listed(self, message: messages.RemovedListed) -> None:
        """Ask what to restore, if the person is still here."""
        if self.display and self.app.screen is self.screen:
            offer_removed(self, message.removed, self.library_changed)

    def on_library_changed(self, message: messages.LibraryChanged) -> None:
        """Report a change that was made without a dialog."""
        self.library_changed(message)

    def library_changed(self, change: messages.LibraryChanged | None) -> None:
        """Say what was changed, and read the library again; None if nothing was."""
        if change is not None:
            self.notify(change.said, title="Done", markup=False)
            self._changed = (change.task, change.model)
            self.action_reload()

    def action_back(self) -> None:
        """Go back from the models to the tasks, and from the tasks to Home."""
        if self.models.has_focus:
            self.tasks.focus()
        else:
            services(self).action_go("home")
