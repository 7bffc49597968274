"""`xaimed tasks`: the tasks, their models, and whether each can be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from engine.tasks import ModelEntry

NAME = "tasks"
HELP = "list tasks and models, and whether each is usable"
DESCRIPTION = "List the tasks, their models, whether each model is usable, and why not."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the task library; a model that cannot be used is no failure.

    Raises:
        TaskError: the tasks folder cannot be read.
    """
    from engine.cli.console import print_json, print_line, print_table
    from engine.places import task_folders
    from engine.tasks import list_tasks

    folders = task_folders(arguments.tasks)
    tasks = list_tasks(folders)
    if arguments.json:
        print_json(
            [
                {
                    "task": task.name,
                    "description": task.description,
                    "path": str(task.path),
                    "models": [_as_json(model) for model in task.models],
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


def _as_json(model: ModelEntry) -> dict[str, object]:
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
            "samples": None if bundle.samples is None else str(bundle.samples),
            "digest": bundle.digest,
        }
    return entry


def _approval(model: ModelEntry) -> dict[str, object] | None:
    """How the model stands with the approvals; None for one that is broken."""
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
