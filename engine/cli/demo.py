"""`xaimed demo`: the app on the bundled task that brings its own images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import TaskError
from engine.library.tasks import find_model
from engine.storage.places import bundled_tasks, task_folders

if TYPE_CHECKING:
    import argparse

    from engine.bundle.model_bundle import ModelBundle

HELP = "open the app on the bundled demo task and its sample images"
DESCRIPTION = "Open the app on the bundled demo task, which needs no images of yours."

TASK = "IHC Stain (demo)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare nothing: the command takes no arguments."""
    del parser


def find(chosen: Path | None) -> tuple[Path | None, ModelBundle]:
    """Return the tasks folder in which the app finds the demo (None for the usual ones), and the demo's model.

    Args:
        chosen: the folder given by `--tasks`.

    Raises:
        TaskError, BundleError: the demo is missing or broken.
    """
    try:
        return chosen, find_model(task_folders(chosen), TASK, None)
    except TaskError:  # the chosen folder has no demo
        return bundled_tasks(), find_model((bundled_tasks(),), TASK, None)
