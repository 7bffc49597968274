"""The task library on disk: which tasks and models there are, and whether each can be used."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.bundle.model_bundle import DESCRIPTION, ModelBundle, find_picture, read_bundle, read_description
from engine.bundle.schema import closest
from engine.errors import BundleError, TaskError
from engine.library.hidden import hidden_names, is_bundled
from engine.library.names import name_problem, stays_below
from engine.storage.reading import natural_key
from engine.text import safe_text
from engine.trust.approvals import Approvals, read_approvals
from engine.trust.permission import Standing, remedy_for, standing_of

State = Literal["usable", "not approved", "changed", "broken"]

TASK_DESCRIPTION = "task_description.txt"
_SKIPPED = "__pycache__"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model folder as found, usable or not.

    Attributes:
        task, name: as the folders are named.
        path: the model folder.
        bundle: its content, or None if it is broken.
        reason: why it cannot be used, a sentence; empty if it can.
        description: text of its `description.txt`, or empty; it is read even if the model cannot be used.
        picture: its `description.png` if there is one.
        standing: whether its code is approved; None if it is broken.
    """

    task: str
    name: str
    path: Path
    bundle: ModelBundle | None
    reason: str
    description: str
    picture: Path | None
    standing: Standing | None = None

    @property
    def state(self) -> State:
        """Whether the model can be used, or else why not, in a word or two."""
        if self.bundle is None:
            return "broken"
        if self.standing is None or self.standing.allowed:
            return "broken" if self.reason else "usable"
        return "changed" if self.standing.state == "changed" else "not approved"

    @property
    def usable(self) -> bool:
        """Whether the network can be loaded, judging by its files: they are complete, and its code is approved."""
        return self.bundle is not None and not self.reason


@dataclass(frozen=True, slots=True)
class Task:
    """A task: its name, its description and its models by name.

    Attributes:
        name: as its folder is named.
        path: its folder; the first, if several tasks folders have one of that name.
        description: its text, from the first of its folders that has one.
        models: those of all its folders; if two have the same name, the one in the first folder.
    """

    name: str
    path: Path
    description: str
    models: tuple[ModelEntry, ...]


def list_tasks(folders: Sequence[Path]) -> tuple[Task, ...]:
    """List all tasks in the folders, by name; those of the same name count as one, see `Task`.

    Every folder in a task folder is a model, except hidden ones and `__pycache__`. Models that cannot be used are
    listed with the reason: something is wrong with them, their code is not approved, their own or their task's name
    is not allowed (`engine.library.names`), or their folder is a link out of the tasks folder. A folder that cannot be
    read is skipped if another one can. Bundled tasks and models that the user has hidden are left out (see
    `engine.library.hidden`).

    Raises:
        TaskError: none of the folders can be read.
    """
    tasks = []
    approvals = read_approvals()
    hidden = hidden_names(folders)
    for name, places in _named_tasks(folders, hidden):
        try:
            models = tuple(_entry(name, model, approvals) for model in _models(places, hidden))
        except OSError as error:
            tasks.append(Task(name, places[0], f"(This task folder cannot be read: {error.strerror}.)", ()))
        else:
            tasks.append(Task(name, places[0], _description(places), models))
    return tuple(tasks)


def task_description(folders: Sequence[Path], task: str) -> str:
    """Return the text of a task's description.

    Raises:
        TaskError: there is no such task, or it is hidden; the remedy names those there are.
    """
    return _description(_task_folders(folders, task, hidden_names(folders)))


def _description(places: Sequence[Path]) -> str:
    return next(filter(None, (read_description(place / TASK_DESCRIPTION) for place in places)), "")


def find_model(folders: Sequence[Path], task: str, model: str | None) -> ModelBundle:
    """Read the bundle of a task's model; `model` may be None if the task has just one. Names are compared exactly.

    Raises:
        TaskError: there is no such task or model; the remedy names those there are.
        BundleError: the model exists but something is wrong with it. Whether it is approved is checked by loading.
    """
    return read_bundle(find_model_folder(folders, task, model), task=task)


def read_entry(folders: Sequence[Path], task: str, model: str | None) -> ModelEntry:
    """Read one model as `list_tasks` would list it, usable or not; see `find_model` for the names.

    Raises:
        TaskError: there is no such task or model.
        BundleError: a name is not allowed, or the folder is a link out of the tasks folder.
    """
    return _entry(task, find_model_folder(folders, task, model), read_approvals())


def find_model_folder(folders: Sequence[Path], task: str, model: str | None, *, unchecked: bool = False) -> Path:
    """Return the folder of a task's model without reading it; see `find_model`.

    Args:
        folders, task, model: as in `find_model`.
        unchecked: accept a name that is not allowed, and a link out of the tasks folder (removing the model then
            removes the link).

    Raises:
        TaskError: there is no such task or model; the remedy names those there are.
        BundleError: a name is not allowed, or the folder is a link out of the tasks folder.
    """
    hidden = hidden_names(folders)
    places = _task_folders(folders, task, hidden)
    try:
        models = {path.name: path for path in _models(places, hidden)}
    except OSError as error:
        raise TaskError(
            f"the task folder cannot be read: {error.strerror}",
            subject=places[0],
            remedy="ask for permission to read it",
        ) from error
    if not models:
        raise TaskError("the task has no models", subject=task, remedy="add a model folder to it")
    if model is None:
        if len(models) > 1:
            raise TaskError(
                f"the task has {len(models)} models", subject=task, remedy=f"choose one of {_listed(models)}"
            )
        model = next(iter(models))
    if model not in models:
        raise _unknown("model", model, models, f"the task {task}")
    if not unchecked:
        _check_place(task, models[model])
    return models[model]


def _entry(task: str, path: Path, approvals: Approvals) -> ModelEntry:
    bundle, standing, reason = None, None, ""
    try:
        _check_place(task, path)
        bundle = read_bundle(path, task=task)
    except BundleError as error:
        reason = _reason(error, path)
    # Whatever one model's files make a reader raise, the others are listed, and this one is shown as broken.
    except Exception as error:
        reason = safe_text(f"Reading it failed: {type(error).__name__}: {error}.", limit=400)
    else:
        standing = standing_of(bundle, approvals)
        if not standing.allowed:
            reason = _reason(BundleError(standing.cause, subject=path, remedy=remedy_for(bundle)), path)
    description = bundle.description if bundle else read_description(path / DESCRIPTION)
    return ModelEntry(task, path.name, path, bundle, reason, description, find_picture(path), standing)


def _check_place(task: str, path: Path) -> None:
    """Refuse a model whose own or whose task's name is not allowed, or whose folder is really elsewhere.

    Raises:
        BundleError: about the folder to rename or to copy.
    """
    for kind, name, folder in (("task", task, path.parent), ("model", path.name, path)):
        if problem := name_problem(name):
            remedy = "rename its folder, or remove it by the name that is shown here"
            raise BundleError(f"the name of the {kind} {problem}", subject=folder, remedy=remedy)
    if not stays_below(path, path.parent.parent):
        raise BundleError(
            "this is a link that leads out of the tasks folder", subject=path, remedy="put a copy in its place"
        )


def _reason(error: BundleError, model: Path) -> str:
    """Return the error as a sentence, with its file named relative to the model folder."""
    parts = [error.cause, *([error.remedy] if error.remedy else [])]
    text = "; ".join(parts)
    text = text[0].upper() + text[1:]
    if error.subject is not None and Path(error.subject) != model:
        with contextlib.suppress(ValueError):  # elsewhere: then the error's own text names it
            text = f"{Path(error.subject).relative_to(model)}: {text}"
    return safe_text(text if text.endswith("?") else f"{text}.")


def task_names(folders: Sequence[Path]) -> list[str]:
    """Return the names of all tasks that are listed, in order; none if no folder can be read."""
    try:
        return [name for name, _ in _named_tasks(folders, hidden_names(folders))]
    except TaskError:
        return []


def model_names(folders: Sequence[Path], task: str) -> list[str]:
    """Return the names of all models of a task, in order; none if the task cannot be read.

    Raises:
        TaskError: there is no such task, or it is hidden; the remedy names those there are.
    """
    hidden = hidden_names(folders)
    places = _task_folders(folders, task, hidden)
    with contextlib.suppress(OSError):
        return [path.name for path in _models(places, hidden)]
    return []


def find_task_folder(folders: Sequence[Path], task: str) -> Path:
    """Return the folder of a task without reading it; the first, if there are several.

    Raises:
        TaskError: there is no such task, or it is hidden; the remedy names those there are.
    """
    return _task_folders(folders, task, hidden_names(folders))[0]


def _task_folders(folders: Sequence[Path], task: str, hidden: Collection[str]) -> list[Path]:
    tasks = dict(_named_tasks(folders, hidden))
    if task not in tasks:
        if task in hidden:
            raise TaskError("the task is hidden", subject=task, remedy="bring it back with xaimed tasks restore")
        raise _unknown("task", task, tasks, " or ".join(str(folder) for folder in folders))
    return tasks[task]


def _models(task: Sequence[Path], hidden: Collection[str]) -> list[Path]:
    """Return the model folders of a task, without hidden ones, by name.

    Raises:
        OSError: a folder cannot be read.
    """
    found: dict[str, Path] = {}
    for place in task:
        bundled = is_bundled(place.parent)
        for path in _folders(place):
            if not (bundled and f"{place.name}/{path.name}" in hidden):
                found.setdefault(path.name, path)
    return [found[name] for name in sorted(found, key=natural_key)]


def _named_tasks(folders: Sequence[Path], hidden: Collection[str]) -> list[tuple[str, list[Path]]]:
    """Return the names and folders of all tasks, by name.

    Raises:
        TaskError: none of the folders can be read.
    """
    found: dict[str, list[Path]] = {}
    failures: list[OSError] = []
    for folder in folders:
        try:
            left_out = hidden if is_bundled(folder) else ()
            for path in _folders(folder):
                if path.name not in left_out:
                    found.setdefault(path.name, []).append(path)
        except OSError as error:
            failures.append(error)
    if failures and len(failures) == len(folders):
        raise _unreadable(failures[0], folders[0])
    return sorted(found.items(), key=lambda item: natural_key(item[0]))


def _folders(parent: Path) -> list[Path]:
    """Return the visible folders in a folder, in natural order.

    Raises:
        OSError: the folder cannot be read.
    """
    with os.scandir(parent) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and e.name != _SKIPPED and e.is_dir()]
    return [parent / name for name in sorted(names, key=natural_key)]


def _unreadable(error: OSError, folder: Path) -> TaskError:
    match error:
        case FileNotFoundError():
            return TaskError("there is no such tasks folder", subject=folder, remedy="check --tasks or $XAIMED_TASKS")
        case NotADirectoryError():
            return TaskError("this is not a folder", subject=folder, remedy="check --tasks or $XAIMED_TASKS")
    return TaskError(
        f"the tasks folder cannot be read: {error.strerror}", subject=folder, remedy="ask for permission to read it"
    )


def _unknown(kind: str, name: str, known: Iterable[str], place: str) -> TaskError:
    names = list(known)
    if not names:
        return TaskError(f"there is no {kind} '{name}', nor any other", subject=place, remedy=f"add a {kind} folder")
    near = closest(name, names)
    hint = f"did you mean '{near}'? There" if near else "there"
    return TaskError(
        f"there is no {kind} '{name}' in {place}",
        remedy=f"{hint} {'are' if len(names) > 1 else 'is only'} {_listed(names)}",
    )


def _listed(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return ", ".join(quoted[:20]) + (f" and {len(quoted) - 20} more" if len(quoted) > 20 else "")
