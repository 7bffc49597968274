"""The app: its frame, how it moves between views, and what concerns all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import ContentSwitcher

from engine.text import safe_name, safe_text
from xaimed_tui.app_services import AppServices
from xaimed_tui.endings import Endings
from xaimed_tui.pixel_app import PixelApp
from xaimed_tui.preferences.look import Look
from xaimed_tui.preferences.remembered import StateFile, opening
from xaimed_tui.preferences.settings import AppSettings
from xaimed_tui.screens.home import HomeView
from xaimed_tui.terminal.colour_depth import depth_of
from xaimed_tui.terminal.pastes import without_controls
from xaimed_tui.terminal.textual_private import filter_lines
from xaimed_tui.themes import DARK, THEMES, theme_after
from xaimed_tui.widgets.key_line import KeyLine
from xaimed_tui.widgets.nav_bar import NavBar, NavItem
from xaimed_tui.widgets.top_bar import TopBar
from xaimed_tui.widgets.type_ahead import TypeAheadDialog

if TYPE_CHECKING:
    from textual.app import App
    from textual.command import Provider
    from textual.screen import Screen

    from engine.library.tasks import Task
    from xaimed_tui.background import messages
    from xaimed_tui.background.backend import Engine
    from xaimed_tui.background.failure import Failure
    from xaimed_tui.background.garbage import Garbage
    from xaimed_tui.screens.explain.view import ExplainView
    from xaimed_tui.screens.library.selection import SelectionView
    from xaimed_tui.terminal.query import Pixels

DEMO_TASK = "IHC Stain (demo)"

DEMO_WORDS = (
    "A small network that tells three stains apart, with patches to try it on. The arrow keys choose a patch; its "
    "answer appears below the list. Press e: five methods show where the network looked. Enter shows one in detail."
)

ROOM_FOR_WORDS = (80, 24)
"""Columns and rows below which the notice about the demo would cover what it is about."""


def _commands() -> type[Provider]:
    from xaimed_tui.palette import Commands

    return Commands


class XAIMedApp(Endings, PixelApp, AppServices):
    """See in a terminal what a network says about an image, how sure it is, and where it looked.

    Home is painted first, with as few imports as possible; everything else is imported and made afterwards.

    Args:
        engine: runs the networks and reads the files.
        clock: seconds, for elapsed times; tests stop it.
        task, model, folder: what to open at once, from the command line.
        settings: see `settings.py`.
        memory: what was open last; the app opens it again unless the command line says otherwise.
        pixels: how the terminal shows pixels; None draws pictures as text.
        leave: ends the process with a status; None only ends the app.
        leave_soon: has `leave` called ahead of everything that waits, from any thread; None leaves Ctrl+Q to the keys.
        garbage: collects garbage while nobody waits; None leaves that to Python.
        problems: what is wrong with the settings or the memory, one safe line each.

    Attributes:
        views_made: whether there are other views than Home.
    """

    CSS_PATH = "app.tcss"
    TITLE = "XAIMed"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {_commands}  # noqa: RUF012 - declared by the base class
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - declared by the base class
        (0, "-slim"),
        (100, "-medium"),
        (150, "-wide"),
        (180, "-vast"),
    ]

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('home')", "Home", show=False),
        Binding("2", "go('selection')", "Task & Model Selection", show=False),
        Binding("3", "go('explain')", "Visualize & Explain", show=False),
        Binding("d", "demo", "Open the demo", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("ctrl+t", "next_theme", "Next theme", show=False),
        Binding("ctrl+l", "log", "Log", show=False),
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True),
        Binding("ctrl+z", "suspend", "Suspend", show=False, priority=True),
    ]

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], float] = time.monotonic,
        task: str | None = None,
        model: str | None = None,
        folder: Path | None = None,
        settings: AppSettings | None = None,
        memory: StateFile | None = None,
        problems: Sequence[str] = (),
        leave: Callable[[int], object] | None = None,
        leave_soon: Callable[[int], object] | None = None,
        garbage: Garbage | None = None,
        pixels: Pixels | None = None,
    ) -> None:
        super().__init__(pixels)
        self.settings = settings or AppSettings()
        self.memory = memory or StateFile()
        self._problems = list(problems)
        self._engine, self._clock, self._garbage = engine, clock, garbage
        self._leave, self._leave_soon = leave, leave_soon
        self._next_theme = ""  # the one to use after the repeats of Ctrl+T
        self.views_made = False
        self._once_made: Callable[[], object] | None = None
        self._opening = opening(self.memory.now, task=task, model=model, folder=folder)
        self.look = Look.first(self.memory.now, colormap=self.settings.colormap, opacity=self.settings.opacity)
        if depth_of(self) == "none":
            from xaimed_tui.terminal.colourless import Colourless

            filter_lines(self, [Colourless()])
        if not self.settings.animated:
            self.animation_level = "none"
        # Before the first theme is chosen: Textual refuses one that is not registered.
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self._first_theme()

    def _first_theme(self) -> str:
        for name in (self.settings.theme, self.memory.now.theme):
            if name in self.available_themes:
                return name
            if name:
                self._problems.append(f"There is no theme {safe_name(name, 80)}; Ctrl+P lists all.")
        return DARK.name

    # The frame

    def compose(self) -> ComposeResult:
        """Make only Home; the other views follow once it is painted."""
        yield TopBar()
        with Horizontal(id="frame"):
            yield NavBar()
            with ContentSwitcher(initial="home"):
                yield HomeView(id="home")
        yield KeyLine()

    def on_mount(self) -> None:
        """Paint, then do everything else: the imports would compete with the paint for Python's lock."""
        self.query_one(HomeView).focus_first()
        self.say("loading PyTorch…")
        self.call_after_refresh(self.run_worker, self._import_views, name="views", thread=True)

    def _import_views(self) -> None:
        """Import what the views need in a thread, so that Home responds to keys."""
        import xaimed_tui.screens.explain.view
        import xaimed_tui.screens.library.selection  # noqa: F401
        from engine.explainers.registry import left_out

        self._problems += [safe_text(line, limit=400) for line in left_out()]
        # Posted, not called: `call_from_thread` would hold this thread until the views are made.
        self.post_message(events.Callback(callback=self._begin))

    async def _begin(self) -> None:
        from xaimed_tui.screens.explain.view import ExplainView
        from xaimed_tui.screens.library.selection import SelectionView

        switcher = self.query_one(ContentSwitcher)
        first = self._opening
        selection = SelectionView(wish=(first.task, first.model), id="selection")
        await switcher.add_content(selection, set_current=False)
        explain = ExplainView(folder=first.folder, image=first.image, look=self.look, id="explain")
        await switcher.add_content(explain, set_current=False)
        self.views_made = True
        self.jobs.list_tasks(self.selection)
        self.jobs.warm_up(self, when_warm=None if self._garbage is None else self._garbage.settle)
        if self._garbage is not None:
            self.set_interval(1.0, self._garbage.tidy, name="garbage")
        if self._once_made is not None:  # a key was pressed before there were views
            self._once_made()
        elif first.folder is not None:
            self.action_go("explain")
        elif first.task is not None:
            self.action_go("selection")
        if self._problems:  # one notice: several would cover all of a small screen
            said = "\n".join(self._problems)
            self.notify(said, title="Settings", severity="warning", timeout=15, markup=False)

    async def on_event(self, event: events.Event) -> None:
        """Note that the person is active, and make pasted text safe: it may come from anywhere, and fields show it."""
        if self._garbage is not None and isinstance(event, events.InputEvent):
            self._garbage.touched()
        if isinstance(event, events.Paste):
            event.text = without_controls(event.text)
        await super().on_event(event)

    @property
    def library(self) -> tuple[Task, ...]:
        """The tasks that are listed; empty until they are read."""
        return self.selection.library if self.views_made else ()

    @property
    def selection(self) -> SelectionView:
        """The view where task and model are chosen."""
        from xaimed_tui.screens.library.selection import SelectionView

        return self.screen_stack[0].query_one(SelectionView)

    @property
    def explain(self) -> ExplainView:
        """The view where images are looked at."""
        from xaimed_tui.screens.explain.view import ExplainView

        return self.screen_stack[0].query_one(ExplainView)

    def keys_left_out(self, count: int) -> None:
        """Say that more keys came than anyone presses."""
        self.say_of_input(f"More keys came at once than anyone presses: {count:,} were left out.")

    def say_of_input(self, text: str) -> None:
        """Say what became of input that was not taken as it came."""
        self.notify(text, title="Input", severity="warning", timeout=8, markup=False)

    def say(self, text: str) -> None:
        """Show the state of the app in the line at the top and below the bar."""
        for base in self.screen_stack[:1]:  # there is none while the app is being left
            base.query_one(TopBar).state = text
            base.query_one(NavBar).state = text

    def on_resize(self, event: events.Resize) -> None:
        """Narrow the bar where the pictures need its columns."""
        self._fit_bar(event.size.width)

    def _fit_bar(self, width: int) -> None:
        base = self.screen_stack[0]
        current = base.query_one(ContentSwitcher).current
        base.query_one(NavBar).narrow = width < {"home": 110, "selection": 150}.get(current or "", 190)

    def on_key(self, event: events.Key) -> None:
        """Give a dialog the letters that were typed while it opened; they are still addressed to the view behind it."""
        if self.screen_stack and isinstance(self.screen, TypeAheadDialog) and self.screen.take(event):
            event.stop()
            event.prevent_default()

    # Navigation

    def action_go(self, view: str) -> None:
        """Switch to a view; each keeps its state."""
        base = self.screen_stack[0]
        switcher = base.query_one(ContentSwitcher)
        if not self.views_made:  # they are being made; `_begin` goes there then
            self._once_made = partial(self.action_go, view)
            return
        while len(self.screen_stack) > 1:  # dialogs and screens lie over the views
            self.pop_screen()
        switcher.current = view
        base.query_one(NavBar).here = view
        self._fit_bar(self.size.width)
        cast("HomeView | SelectionView | ExplainView", switcher.get_child_by_id(view)).focus_first()

    def on_nav_item_picked(self, message: NavItem.Picked) -> None:
        if message.place.view:
            self.action_go(message.place.view)
        elif message.place.action == "help":
            self.action_help()
        else:
            self.action_quit_now()

    def action_demo(self) -> None:
        """Open the bundled demo with its samples, and say what can be done with it."""
        if not self.views_made:
            self._once_made = self.action_demo
            return
        self.action_go("selection")
        self.explain.use_samples()
        self.selection.open_task(DEMO_TASK)
        if self.size.width >= ROOM_FOR_WORDS[0] and self.size.height >= ROOM_FOR_WORDS[1]:
            self.notify(DEMO_WORDS, title="The demo", timeout=15, markup=False)

    def action_help(self) -> None:
        """Show the guide and all keys of the current view."""
        from xaimed_tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_next_theme(self) -> None:
        """Switch to the next theme: dark, light, colour-blind, high contrast."""
        self._next_theme = theme_after(self._next_theme or self.theme)
        self.draw_once(self._use_next_theme)

    def _use_next_theme(self) -> None:
        if self._next_theme:
            self.choose_theme(self._next_theme)
        self._next_theme = ""

    def choose_theme(self, name: str) -> None:
        """Use a theme, from now on and next time."""
        self.theme = name
        self.remember(replace(self.memory.now, theme=name))

    def show_task(self, task: str) -> None:
        """Go to a task, to choose one of its models."""
        self.action_go("selection")
        self.selection.show_task(task)

    def open_task(self, task: str, model: str) -> None:
        """Load a model."""
        self.action_go("selection")
        self.selection.open_task(task, model)

    def open_folder(self, folder: Path, image: Path | None = None) -> None:
        """Show the images of a folder, with the cursor on one of them if it is given."""
        self.action_go("explain")
        self.explain.use_folder(folder, image)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return what the command palette offers."""
        from xaimed_tui import palette

        return palette.commands(self, screen)

    # What the background reports

    def on_torch_imported(self) -> None:
        """Networks can be loaded."""
        bars = [*self.screen_stack[0].query(TopBar)] if self.screen_stack else []  # none: the app is being left
        # Only this state: by now the line may say something newer.
        if bars and bars[0].state.startswith("loading PyTorch"):
            self.say("ready")

    def on_model_loading(self, message: messages.ModelLoading) -> None:
        """Say which network is being loaded."""
        self.say(f"loading {safe_name(message.bundle.name, 30)}…")
        self.explain.expect(message.bundle)

    def on_model_loaded(self, message: messages.ModelLoaded) -> None:
        """Use the network for the images from now on."""
        bundle = message.bundle
        self.screen_stack[0].query_one(TopBar).model = safe_text(f"{bundle.task} / {bundle.name}")
        self.say(f"ready on {safe_text(message.model.device, limit=20)}")
        self.explain.use_model(bundle, message.model)
        self.remember(replace(self.memory.now, task=bundle.task, model=bundle.name))
        here = self.screen_stack[0].query_one(ContentSwitcher).current
        if here == "selection" and len(self.screen_stack) == 1:
            self.action_go("explain")  # else the person went elsewhere, or opened a dialog, while it was loaded

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say in words what went wrong; views show it in their place too."""
        if message.what in ("pytorch", "model"):
            self.say("no network loaded" if message.what == "pytorch" else "the network could not be loaded")
        if message.what == "model":
            self.explain.expect(None)
        if message.what in ("pytorch", "model", "save"):
            self.show_failure(message.failure)
        elif message.what != "image":  # that is said where the image would be
            self.notify(message.reason, title="Not done", severity="error", timeout=10, markup=False)

    def on_fault_found(self, message: messages.FaultFound) -> None:
        """Report a fault of the program, name the log, and go on."""
        self.show_failure(message.failure)

    def show_failure(self, failure: Failure) -> None:
        """Show what went wrong, why, and what to do; of several at once, only the first."""
        from xaimed_tui.screens.failure import FailureScreen

        if not isinstance(self.screen, FailureScreen):
            self.push_screen(FailureScreen(failure))

    def action_command_palette(self) -> None:
        """Show all commands."""
        from xaimed_tui.palette import Palette

        if not Palette.is_open(cast("App[object]", self)):
            self.push_screen(Palette(id="--command-palette"))

    def action_log(self) -> None:
        from xaimed_tui.screens.failure import LogScreen

        if not isinstance(self.screen, LogScreen):
            self.push_screen(LogScreen())

    def on_explanation_saved(self, message: messages.ExplanationSaved) -> None:
        """Say where the files are, and what is not among them."""
        self.notify(safe_text(message.path), title="Saved", timeout=8, markup=False)
        if message.no_map:
            said = f"DICOM without Parametric Maps: {safe_text(message.no_map)}."
            self.notify(said, title="Saved", severity="warning", timeout=12, markup=False)

    def on_saving_stopped(self) -> None:
        """Say that nothing is there."""
        self.notify("Nothing was written.", title="Saving stopped", timeout=8, markup=False)
