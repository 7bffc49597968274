"""The command palette: commands, tasks, models, recent folders and images, and themes, found by a few letters."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual import events, on
from textual.actions import parse
from textual.app import ComposeResult, SystemCommand
from textual.command import CommandInput, CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider, SearchIcon
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Input, LoadingIndicator, OptionList

from engine.text import safe_name, safe_text
from xaimed_tui.fuzzy import fuzzy
from xaimed_tui.widgets.closing_once import ClosesOnce

if TYPE_CHECKING:
    from textual.screen import Screen

    from xaimed_tui.app_services import AppServices

WIDEST = 70
"""Characters of a path that are shown; a longer one is cut at its beginning."""


class SteadyList(CommandList):
    """The palette's list, which survives keys and clicks while its rows change."""

    def action_page_up(self) -> None:
        """Go up a page; nothing happens before the rows are laid out, as there are no pages yet."""
        with suppress(KeyError, IndexError):
            super().action_page_up()  # type: ignore[no-untyped-call]  # Textual gives it no types

    def action_page_down(self) -> None:
        """Go down a page, as `action_page_up` goes up."""
        with suppress(KeyError, IndexError):
            super().action_page_down()  # type: ignore[no-untyped-call]  # as above

    def on_click(self, event: events.Click) -> None:
        """Choose nothing if the row that was drawn under the mouse is gone."""
        row = event.style.meta.get("option")
        if row is not None and row >= self.option_count:
            event.prevent_default()


class Palette(ClosesOnce, CommandPalette):
    """Textual's command palette, made to survive keys and clicks that come together.

    Before this, PgUp before the first layout, Enter twice in one read, and a click on a row that was gone, or on a
    place beyond the screen, ended the app.
    """

    _chosen = False

    def compose(self) -> ComposeResult:
        """Make what Textual's palette makes, with a steady list."""
        with Vertical(id="--container"):
            with Horizontal(id="--input"):
                yield SearchIcon()
                yield CommandInput(placeholder="Search for commands…", select_on_focus=False)
            with Vertical(id="--results"):
                yield SteadyList()
                yield LoadingIndicator()

    def on_mount(self, event: events.Mount) -> None:
        """Gather the commands of the screen below, unless this palette is closed or covered already."""
        if self.app.screen is not self:
            event.prevent_default()
            self.dismiss()

    def on_click(self, event: events.Click) -> None:
        """Pass on a click beside the palette, which closes it, unless the screen has become too small for its place."""
        if not self.region.contains(event.screen_x, event.screen_y):
            event.prevent_default()

    @on(OptionList.OptionSelected)
    def _take_one(self, event: OptionList.OptionSelected) -> None:
        """Run one command only: a second Enter or click may have been on its way."""
        if self._chosen or self.app.screen is not self:
            event.stop()
            event.prevent_default()
        self._chosen = True

    @on(Input.Changed)
    def _search_while_open(self, event: Input.Changed) -> None:
        """Search no more once the palette is being removed: its list is removed before its input line."""
        if self.app.screen is not self:
            event.stop()
            event.prevent_default()

    @on(Input.Submitted)
    def _submit_once(self, event: Input.Submitted) -> None:
        """Pass on Enter until a command was chosen."""
        if self._chosen:
            event.stop()
            event.prevent_default()


class Commands(Provider):
    """All commands that `XAIMedApp.get_system_commands` offers, in its order; names may contain anything."""

    async def discover(self) -> Hits:
        """Yield what is shown before anything is typed."""
        for name, about, callback, shown in self.app.get_system_commands(self.screen):
            if shown:
                yield DiscoveryHit(Text(name), callback, text=name, help=_plain(about))

    async def search(self, query: str) -> Hits:
        for name, about, callback, _ in self.app.get_system_commands(self.screen):
            score, places = fuzzy(query, name)
            if score > 0:
                words = Text(name)
                for place in places:
                    words.stylize("bold underline", place, place + 1)
                yield Hit(score, words, callback, text=name, help=_plain(about))


def _plain(words: str) -> str:
    """Wrap words so that Textual looks for no markup in them."""
    return cast("str", Content(words))  # Textual reads markup only in a `str`


def commands(app: AppServices, screen: Screen[object]) -> Iterable[SystemCommand]:
    """Yield all commands; those of a view only where its keys work."""
    yield SystemCommand("Home", "What XAIMed is, and the guide", partial(app.action_go, "home"))
    yield SystemCommand("Task & Model Selection", "Choose a network", partial(app.action_go, "selection"))
    yield SystemCommand("Visualize & Explain", "Look at images", partial(app.action_go, "explain"))
    yield SystemCommand("Open the demo", "Sample images with a small network", partial(app.run_action, "demo"))
    yield from of_here(screen)
    if app.views_made:
        yield from places_to_go(app)
    yield SystemCommand("Next theme", "Dark, light, colour-blind, high contrast", partial(app.run_action, "next_theme"))
    yield from themes(app)
    yield SystemCommand("Draw the screen again", "If something else has written on it", app.draw_screen_again)
    yield SystemCommand("Log", "What went wrong, and what libraries wrote", partial(app.run_action, "log"))
    yield SystemCommand("Help", "The guide, and all keys", partial(app.run_action, "help"))
    yield SystemCommand("Suspend", "Back to the shell, whose fg continues the app", partial(app.run_action, "suspend"))
    yield SystemCommand("Quit", "Leave at once", partial(app.run_action, "quit_now"))


def of_here(screen: Screen[object]) -> Iterable[SystemCommand]:
    """Yield what a screen, or the view that it shows, offers and can do now."""
    here: Widget = screen
    for switcher in screen.query(ContentSwitcher):
        here = switcher.visible_content or screen
    for name, about, action in getattr(here, "offered", ()):
        _, what, parameters = parse(action)
        if here.check_action(what, parameters):
            yield SystemCommand(name, about, partial(here.run_action, action))


def places_to_go(app: AppServices) -> Iterable[SystemCommand]:
    """Yield all tasks and models, and recent folders and images."""
    from xaimed_tui.wording import path_text  # imports numpy, which would delay the first paint

    for task in app.library:
        name = safe_name(task.name, 60)
        yield SystemCommand(f"Task: {name}", "Choose it and one of its models", partial(app.show_task, task.name))
        for model in task.models:
            about = "Load it" if model.usable else safe_text(model.reason, limit=80)
            load = partial(app.open_task, task.name, model.name)
            yield SystemCommand(f"Model: {name} / {safe_name(model.name, 60)}", about, load)
    now = app.memory.now
    for folder in map(Path, now.folders):
        yield SystemCommand(f"Folder: {path_text(folder, WIDEST)}", "Show its images", partial(app.open_folder, folder))
    for image in map(Path, now.images):
        show = partial(app.open_folder, image.parent, image)
        yield SystemCommand(f"Image: {path_text(image, WIDEST)}", "Show it in its folder", show)


def themes(app: AppServices) -> Iterable[SystemCommand]:
    """Yield all themes, the app's own first; the others are shown only once something is typed."""
    own = [name for name in app.available_themes if name.startswith("xaimed")]
    for name in (*own, *(other for other in app.available_themes if other not in own)):
        about = "In use" if name == app.theme else "Use these colours"
        yield SystemCommand(f"Theme: {name}", about, partial(app.choose_theme, name), name in own)
