"""The task library on disk: which tasks and models there are, and whether each can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.bundle import ModelBundle


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model folder as found, usable or not.

    Attributes:
        task, name: as the folders are named.
        path: the model folder.
        bundle: its content, or None if it cannot be used.
        reason: why it cannot be used, a sentence; empty if it can.
        description: text of its `description.txt`, or empty (readable even where the bundle is not usable).
        picture: its `description.png` if there is one.
    """

    task: str
    name: str
    path: Path
    bundle: ModelBundle | None
    reason: str
    description: str
    picture: Path | None

    @property
    def usable(self) -> bool:
        """Whether the network can be loaded, as far as its files tell."""
        return self.bundle is not None


@dataclass(frozen=True, slots=True)
class Task:
    """A task folder: its name, its description and its models by name."""

    name: str
    path: Path
    description: str
    models: tuple[ModelEntry, ...]


def list_tasks(folders: Sequence[Path]) -> tuple[Task, ...]:
    """All tasks in the folders, by name; where two have the same name, the one in the earlier folder is taken.

    Raises:
        TaskError: none of the folders can be read.
    """
    raise NotImplementedError


def find_model(folders: Sequence[Path], task: str, model: str | None) -> ModelBundle:
    """The bundle of a task's model; `model` may be None where the task has just one.

    Raises:
        TaskError: no such task or model; names the ones there are.
        BundleError: the model is there but cannot be used.
    """
    raise NotImplementedError
