"""Driving the screen of tasks and models in tests, on a real task library."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app_driver import make_app, press
from factories import make_model
from fakes import FakeEngine

from engine.library import changes
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.widgets.dialogs import ChooseDialog
from xaimed_tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from engine.library.tasks import Task
    from engine.library.trash import Removed
    from xaimed_tui.background.library_changes import Change


class LibraryEngine(FakeEngine):
    """The fake, with a real task library on the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.real = Engine(folder)
        self.threads: list[threading.Thread] = []

    def list_tasks(self) -> tuple[Task, ...]:
        return self.real.list_tasks()

    def removed(self) -> Sequence[Removed]:
        return self.real.removed()

    def change_library(self, change: Change) -> str:
        self.threads.append(threading.current_thread())
        return self.real.change_library(change)


def make_library(place: Path) -> Path:
    """A tasks folder with two tasks, of which the first has two models."""
    folder = place / "tasks"
    for name in ("CNN", "ResNet"):
        make_model(folder / "Hearts" / name)
    changes.add_task([folder], "Lungs", "Healthy or ill?")
    return folder


def app_on(folder: Path) -> tuple[XAIMedApp, LibraryEngine]:
    """An app on that library."""
    engine = LibraryEngine(folder)
    return make_app(engine), engine


async def choose(pilot: Pilot[int], app: XAIMedApp, words: str) -> None:
    """Open the menu and choose the row that begins with these words."""
    await press(pilot, "m")
    assert isinstance(app.screen, ChooseDialog)
    rows = app.screen.query_one(RowList)
    rows.go_to(next(row.key for row in rows.shown if row.label.startswith(words)))
    await press(pilot, "enter")
