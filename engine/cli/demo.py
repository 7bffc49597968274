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
    """The command takes no arguments."""
    del parser


def find(chosen: Path | None) -> tuple[Path | None, ModelBundle]:
    """The demo's model, and the tasks folder with which the app finds it too.

    Args:
        chosen: the folder given by `--tasks`.

    Raises:
        TaskError, BundleError: the demo is not there, or broken.
    """
    try:
        return chosen, find_model(task_folders(chosen), TASK, None)
    except TaskError:  # a tasks folder was chosen that has no demo
        return bundled_tasks(), find_model((bundled_tasks(),), TASK, None)
