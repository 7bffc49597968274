"""`xaimed tasks`: list the tasks, their models, and whether each can be used; add, describe and remove tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.console import ask, emit, print_json, print_line, print_table
from engine.errors import LibraryError
from engine.library import changes
from engine.library.tasks import list_tasks, task_description, task_names
from engine.storage.places import task_folders
from engine.text import safe_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from engine.library.tasks import ModelEntry
    from engine.library.trash import Removed

HELP = "list tasks and models, and whether each is usable; add and remove tasks"
DESCRIPTION = (
    "List the tasks, their models, whether each model is usable, and why not. With a verb, change them: in the folder "
    "given by --tasks or $XAIMED_TASKS, else in yours. Removed tasks and models go to a trash folder beside the tasks "
    "until it is purged; those that come with XAIMed are hidden, not changed."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")

    def verb(
        name: str, text: str, description: str, act: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=description, allow_abbrev=False)
        made.set_defaults(run=act)
        return made

    adding = verb("add", "add a task", "Add a task, without models.", _add)
    adding.add_argument("name", metavar="NAME", help="its name, as people see it")
    adding.add_argument("--description", required=True, metavar="FILE|TEXT", help="what is decided in this task")
    describing = verb(
        "describe",
        "print or replace a task's description",
        "Print the description of a task, or replace it.",
        _describe,
    )
    describing.add_argument("name", metavar="NAME", help="the task")
    describing.add_argument("--description", metavar="FILE|TEXT", help="the new description")
    removing = verb(
        "remove",
        "move a task and its models into the trash",
        "Move a task and its models into the trash, from which it can be restored.",
        _remove,
    )
    removing.add_argument("name", metavar="NAME", help="the task")
    restoring = verb(
        "restore",
        "restore a task from the trash, or list what can be restored",
        "Restore the task of that name that was removed last. Without a name, list what can be restored.",
        _restore,
    )
    restoring.add_argument("name", nargs="?", metavar="NAME", help="the task")
    restoring.add_argument("--json", action="store_true", help="without a name: print JSON")
    purging = verb(
        "purge",
        "delete for good what is in the trash",
        "Delete for good what is in the trash. What is hidden stays hidden.",
        _purge,
    )
    purging.add_argument("name", nargs="?", metavar="NAME", help="only this task and models removed from it")
    purging.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace) -> int:
    """Print the task library; a model that cannot be used is no failure.

    Raises:
        TaskError: the tasks folder cannot be read.
    """
    folders = task_folders(arguments.tasks)
    tasks = list_tasks(folders)
    if arguments.json:
        print_json(
            [
                {
                    "task": task.name,
                    "description": task.description,
                    "path": str(task.path),
                    "models": [as_json(model) for model in task.models],
                }
                for task in tasks
            ]
        )
    elif not tasks:
        print_line(f"There are no tasks in {' or '.join(str(folder) for folder in folders)}.")
    else:
        rows = []
        for task in tasks:
            for model in task.models:
                note = " ".join(model.bundle.assumed) if model.bundle and model.usable else model.reason
                rows.append((task.name, model.name, "yes" if model.usable else "no", note))
            if not task.models:
                rows.append((task.name, "(none)", "no", "The task has no models."))
        print_table(("Task", "Model", "Usable", "Remarks"), rows)
    return 0


def as_json(model: ModelEntry) -> dict[str, object]:
    """Return a model of the library as JSON values."""
    entry: dict[str, object] = {"model": model.name, "usable": model.usable, "reason": model.reason}
    entry |= {"description": model.description, "path": str(model.path), "approval": _approval(model)}
    if bundle := model.bundle:
        entry |= {
            "classes": None if bundle.output.classes is None else list(bundle.output.classes),
            "input": {
                "size": list(bundle.input.size),
                "channels": bundle.input.channels,
                "exact_size": bundle.input.exact_size,
                "resize": bundle.input.resize,
            },
            "assumed": list(bundle.assumed),
            "network": {"source": bundle.network.source, "arguments": dict(bundle.network.arguments)},
            "samples": None if bundle.samples is None else str(bundle.samples),
            "digest": bundle.digest,
        }
    return entry


def _approval(model: ModelEntry) -> dict[str, object] | None:
    """Return the state of the model's approval; None if the model is broken."""
    if (standing := model.standing) is None:
        return None
    given, changes = standing.approval, standing.changes
    return {
        "state": standing.state,
        "time": given.time if given else None,
        "user": given.user if given else None,
        "changed": list(changes.changed),
        "added": list(changes.added),
        "removed": list(changes.removed),
    }


# Changing them


def _add(arguments: argparse.Namespace) -> int:
    folders = task_folders(arguments.tasks)
    place = changes.add_task(folders, arguments.name, changes.description_from(arguments.description))
    print_line(f"Added the task {arguments.name} in {place}. It has no models yet: see xaimed models add --help")
    return 0


def _describe(arguments: argparse.Namespace) -> int:
    folders = task_folders(arguments.tasks)
    if arguments.description is None:
        text = task_description(folders, arguments.name)
        emit(f"{safe_text(text.rstrip(), multiline=True)}\n")
        return 0
    changes.describe(folders, arguments.name, changes.description_from(arguments.description))
    print_line(f"The task {arguments.name} has a new description.")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    folders = task_folders(arguments.tasks)
    say_removed(changes.remove(folders, arguments.name))
    if arguments.name in task_names(folders):
        print_line(f"The part of {arguments.name} that comes with XAIMed is still shown; remove it, too, to hide it.")
    return 0


def say_removed(gone: Removed) -> int:
    """Print where a removed task or model is now, and how to restore it."""
    verb = "tasks" if gone.model is None else "models"
    where = "hidden, since it comes with XAIMed" if gone.path is None else f"in the trash, {gone.path}"
    print_line(f"Removed: {gone.name}. It is {where}; restore it with xaimed {verb} restore.")
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    folders = task_folders(arguments.tasks)
    if arguments.name is None:
        return list_removed([gone for gone in changes.removed(folders) if gone.model is None], as_json=arguments.json)
    gone = changes.restore(folders, arguments.name)
    print_line(f"Restored: {gone.name}.")
    return 0


def list_removed(removed: Sequence[Removed], *, as_json: bool) -> int:
    """Print what can be restored."""
    if as_json:
        print_json(
            [
                {
                    "task": gone.task,
                    "model": gone.model,
                    "removed": gone.when,
                    "path": None if gone.path is None else str(gone.path),
                }
                for gone in removed
            ]
        )
    elif not removed:
        print_line("There is nothing to restore.")
    else:
        print_table(
            ("Name", "Removed", "Where"),
            [(gone.name, gone.when, "hidden" if gone.path is None else str(gone.path)) for gone in removed],
        )
    return 0


def _purge(arguments: argparse.Namespace) -> int:
    folders = task_folders(arguments.tasks)
    unwanted = [
        gone for gone in changes.removed(folders) if gone.path is not None and arguments.name in (None, gone.task)
    ]
    if not unwanted:
        if arguments.name is not None:
            raise LibraryError("nothing of that name is in the trash", subject=f"task {arguments.name}")
        print_line("The trash is empty.")
        return 0
    for gone in unwanted:
        print_line(f"{gone.name}, removed {gone.when}")
    if not arguments.yes:
        answer = ask(f"Delete {'it' if len(unwanted) == 1 else f'these {len(unwanted)}'} for good?")
        if answer is None:
            raise LibraryError(
                "nothing was deleted, as there is no terminal to ask on", remedy="add --yes to delete without asking"
            )
        if not answer:
            print_line("Nothing was deleted.")
            return 1
    changes.purge(folders, unwanted)
    print_line(f"Deleted for good: {len(unwanted)}.")
    return 0
