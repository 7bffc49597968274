"""A new model that is put together and tried out of sight: it appears whole under its name, or nothing does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import LibraryError
from engine.library import changes
from engine.library.hidden import is_bundled
from engine.library.names import check_name, place_of
from engine.library.tasks import TASK_DESCRIPTION, find_task_folder, model_names, task_names
from engine.storage.writing import SHARED, flush_folder, replace_file


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model that is being put together.

    Attributes:
        path: the hidden folder with its files; its last part is the model's name.
        folders: the tasks folders.
        folder: the one in which the model will lie.
        task, model: its names.
    """

    path: Path
    folders: Sequence[Path]
    folder: Path
    task: str
    model: str

    def settle(self, task_description: str) -> Path:
        """Put the model into its place and return that; make the task, with its description, if there is none.

        Raises:
            LibraryError: the name was taken meanwhile, or a folder cannot be written. Nothing was added.
        """
        subject = f"{self.task}/{self.model}"
        with changes.changing(self.folder, subject, "nothing was added"):
            place = place_of(self.folder, self.task, self.model)
            _refuse_taken(self.folders, place, self.task, self.model)
            flush_folder(self.path)
            if place.parent.exists():
                self.path.rename(place)
            else:
                whole = self.path.parent / "task"
                whole.mkdir()
                if self.task not in task_names(self.folders):
                    replace_file(whole / TASK_DESCRIPTION, changes.encoded(task_description), mode=SHARED)
                self.path.rename(whole / self.model)
                whole.rename(place.parent)
            flush_folder(place.parent)
        return place


@contextlib.contextmanager
def new_model(folders: Sequence[Path], task: str, model: str) -> Iterator[NewModel]:
    """Make a hidden folder for a new model; delete it at the end unless the model was settled.

    Args:
        folders: the tasks folders (`engine.storage.places.task_folders`).
        task, model: names; the task may be new. A task that comes with XAIMed gets the model in the user's own folder.

    Raises:
        TaskError: a name is not allowed.
        LibraryError: there is such a model already, or no folder can be written.
    """
    check_name("task", task)
    check_name("model", model)
    folder = find_task_folder(folders, task).parent if task in task_names(folders) else folders[0]
    if is_bundled(folder) and len(folders) > 1:
        folder = folders[0]
    changes.refuse_bundled(folder, f"task {task}")
    subject = f"{task}/{model}"
    with changes.changing(folder, subject, "nothing was added"):
        _refuse_taken(folders, place_of(folder, task, model), task, model)
    # Not under the lock of the tasks folder: a person is asked meanwhile, and the network is tried.
    with changes.library_errors(subject, "nothing was added", folder), changes.staging(folder) as hidden:
        made = hidden / model
        made.mkdir()
        yield NewModel(made, folders, folder, task, model)


def _refuse_taken(folders: Sequence[Path], place: Path, task: str, model: str) -> None:
    if os.path.lexists(place) or (task in task_names(folders) and model in model_names(folders, task)):
        raise LibraryError(
            "there is a model of that name already",
            subject=f"{task}/{model}",
            remedy="choose another name, or remove it",
        )
