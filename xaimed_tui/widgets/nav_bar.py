"""The navigation bar on the left: where the person can go, which view is shown, and whether PyTorch is ready."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult, RenderResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static


@dataclass(frozen=True, slots=True)
class Place:
    """An entry of the bar: its key, its names, and the view it opens or the action it runs."""

    key: str
    name: str
    short: str
    view: str = ""
    action: str = ""


PLACES = (
    Place("1", "Home", "Home", view="home"),
    Place("2", "Task & Model Selection", "Models", view="selection"),
    Place("3", "Visualize & Explain", "Explain", view="explain"),
    Place("?", "Help", "Help", action="help"),
    Place("^q", "Quit", "Quit", action="quit"),
)


class NavItem(Static):
    """One place to go."""

    narrow = reactive(False)

    @dataclass
    class Picked(Message):
        """A place was clicked."""

        place: Place

    def __init__(self, place: Place) -> None:
        super().__init__(markup=False)
        self.place = place

    def render(self) -> RenderResult:
        """Return the key and the name; in the narrow form one below the other."""
        here = self.has_class("-here")
        if self.narrow:
            mark = f"▸{self.place.key}" if here else f" {self.place.key}"
            return Content.assemble((mark, "bold"), f"\n {self.place.short}")
        mark = "▸ " if here else "  "
        return Content.assemble((f"{mark}{self.place.key:>2} ", "bold"), f" {self.place.name}")

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Picked(self.place))


class NavBar(Vertical):
    """All places, and the app's state below them. Narrow if there are few columns."""

    DEFAULT_CSS = """
    NavBar { width: 29; height: 100%; background: $panel; padding: 1 0 0 0; }
    NavBar.-narrow { width: 9; padding: 1 0 0 0; }
    NavBar NavItem { height: 1; width: 100%; color: $text-muted; margin: 0 0 1 0; padding: 0 1 0 0; }
    NavBar.-narrow NavItem { height: 2; padding: 0; }
    NavBar NavItem:hover { background: $boost; color: $foreground; }
    NavBar NavItem.-here { color: $foreground; background: $primary 25%; text-style: bold; }
    NavBar #nav-space { height: 1fr; }
    NavBar #nav-state { height: auto; padding: 0 1 1 2; color: $text-muted; }
    NavBar.-narrow #nav-state { display: none; }
    """

    narrow: reactive[bool] = reactive(False)
    here: reactive[str] = reactive("home")
    state: reactive[str] = reactive("")

    def compose(self) -> ComposeResult:
        for place in PLACES:
            yield NavItem(place)
        yield Static(id="nav-space", markup=False)
        yield Static(id="nav-state", markup=False)

    def watch_narrow(self, narrow: bool) -> None:
        """Show short or full names."""
        self.set_class(narrow, "-narrow")
        for item in self.query(NavItem):
            item.narrow = narrow
            item.refresh(layout=True)

    def watch_here(self, here: str) -> None:
        """Mark the view that is shown."""
        for item in self.query(NavItem):
            item.set_class(item.place.view == here, "-here")
            item.refresh()

    def watch_state(self, state: str) -> None:
        """Say what is going on."""
        if self.is_mounted:
            self.query_one("#nav-state", Static).update(state)

    def on_mount(self) -> None:
        """Show what was set before the entries existed."""
        self.watch_narrow(self.narrow)
        self.watch_here(self.here)
        self.watch_state(self.state)
