"""What the app offers its screens and widgets: settings, background work, memory and navigation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual.app import App

if TYPE_CHECKING:
    from typing import Protocol

    from textual.timer import Timer

    from engine.library.tasks import Task
    from xaimed_tui.background.backend import Engine
    from xaimed_tui.background.failure import Failure
    from xaimed_tui.background.jobs import Jobs
    from xaimed_tui.preferences.look import Look
    from xaimed_tui.preferences.remembered import Remembered, StateFile
    from xaimed_tui.preferences.settings import AppSettings

    class HasApp(Protocol):
        """A widget, a screen, or a mixin of one."""

        @property
        def app(self) -> App[object]:
            """The running app."""


WRITE_AFTER = 1.0
"""Seconds from a change to its writing; the changes in between are written with it."""


def services(node: HasApp) -> AppServices:
    """Return the app of a widget or screen, as the services that it offers them."""
    return cast("AppServices", node.app)


if TYPE_CHECKING:
    _Base = App[int]
else:
    _Base = object  # another subclass of `App` costs 2 ms before the first paint, and `XAIMedApp` is an `App` already


class AppServices(_Base):
    """The part of the app that its screens may rely on; `XAIMedApp` overrides what only the app can do.

    Attributes:
        settings: what the person has set.
        memory: what is remembered from one run to the next.
        look: how pictures are shown.
        views_made: whether there are other views than Home.
    """

    settings: AppSettings
    memory: StateFile
    look: Look
    views_made: bool
    _engine: Engine
    _clock: Callable[[], float]
    _writing: Timer | None = None

    @cached_property
    def jobs(self) -> Jobs:
        """The app's background work; made when first used."""
        from xaimed_tui.background.jobs import Jobs

        return Jobs(self, self._engine, clock=self._clock)

    @property
    def library(self) -> tuple[Task, ...]:
        """The tasks that are listed; empty until they are read."""
        return ()

    def action_go(self, view: str) -> None:
        """Switch to a view: `home`, `selection` or `explain`."""

    def show_task(self, task: str) -> None:
        """Go to a task, to choose one of its models."""

    def open_task(self, task: str, model: str) -> None:
        """Load a model."""

    def open_folder(self, folder: Path, image: Path | None = None) -> None:
        """Show the images of a folder, with the cursor on one of them if it is given."""

    def choose_theme(self, name: str) -> None:
        """Use a theme, from now on and next time."""

    def draw_screen_again(self) -> None:
        """Send the whole screen again, with its pictures: another program may have written to the terminal."""

    def draw_once(self, draw: Callable[[], object]) -> None:
        """Draw now, or after the repeats of the key at hand that wait already; `OrderedKeys` overrides this."""
        draw()

    def say(self, text: str) -> None:
        """Show the state of the app in the line at the top and below the bar."""

    def show_failure(self, failure: Failure) -> None:
        """Show what went wrong, why, and what to do."""

    # What is remembered

    def remember(self, now: Remembered) -> None:
        """Remember this from now on."""
        self.memory.now = now
        self._write_soon()

    def remember_look(self) -> None:
        """Remember how pictures are shown."""
        look, percent = self.look, round(100 * self.look.opacity)
        self.remember(replace(self.memory.now, display=look.display, colormap=look.colormap, opacity=percent))

    def remember_place(self, folder: Path | None, image: Path | None) -> None:
        """Remember a folder and the image in it."""
        absolute = None if folder is None else folder.absolute()
        self.remember(self.memory.now.at(absolute, None if image is None else image.absolute()))

    def _write_soon(self) -> None:
        if self.memory.changed and self._writing is None:
            self._writing = self.set_timer(WRITE_AFTER, self._write, name="state")

    def _write(self) -> None:
        self._writing = None
        self.jobs.write_state(self.memory)
