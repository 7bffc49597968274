"""What the app opens with: what the command line names, and for the rest what was open last time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xaimed_tui.memory import Remembered


@dataclass(frozen=True, slots=True)
class Opening:
    """What to open at once.

    Attributes:
        task, model: to load; without a model the task's first usable one; without a task none.
        folder, image: to show; without a folder the samples of the model.
    """

    task: str | None = None
    model: str | None = None
    folder: Path | None = None
    image: Path | None = None


def opening(last: Remembered, *, task: str | None, model: str | None, folder: Path | None) -> Opening:
    """What to open, given what the command line names.

    A task named anew starts with its samples; a folder named anew goes with the model of last time.
    """
    if task is None and last.task:
        task, model = last.task, last.model or None
    same = task is not None and (task, model or last.model) == (last.task, last.model)
    if folder is None and same and last.folder:
        return Opening(task, model, Path(last.folder), Path(last.image) if last.image else None)
    return Opening(task, model, None if folder is None else folder.absolute())
