"""One picture of the wall, with its name and the facts below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.widgets.words import FixedWords

if TYPE_CHECKING:
    from xaimed_tui.render.spec import PictureSpec


class Card(Vertical):
    """A picture with a headline and a caption. The active card is the one that keys act on."""

    DEFAULT_CSS = """
    Card { height: 1fr; width: 1fr; padding: 0; }
    Card > .headline { height: 1; width: 100%; background: $panel; color: $text-muted; padding: 0 1; }
    Card > ImageView { height: 1fr; width: 100%; }
    Card > .caption { height: 5; width: 100%; padding: 0 1; color: $text-muted; }
    Card.-active > .headline { background: $primary 30%; color: $foreground; text-style: bold; }
    """

    @dataclass
    class Clicked(Message):
        """A card was clicked; `again` if it was a double click."""

        card: Card
        again: bool

    @dataclass
    class StateClicked(Message):
        """The state at the right end of the headline was clicked, to start or stop the method."""

        card: Card

    def __init__(self, key: str, name: str) -> None:
        super().__init__(classes="card")
        self.key = key
        self.card_name = name
        self._state = ""

    def compose(self) -> ComposeResult:
        """Make the picture, below it the name and state, then the facts."""
        yield ImageView()
        yield FixedWords(classes="headline")
        yield FixedWords(classes="caption")

    def on_mount(self) -> None:
        self._headline()

    @property
    def room(self) -> int:
        """Columns for words: those of the card or, while it is hidden, of its wall."""
        width = self.size.width or (self.parent.size.width if isinstance(self.parent, Widget) else 0)
        return max(width - 2, 12)

    @property
    def view(self) -> ImageView:
        return self.query_one(ImageView)

    def show(
        self, picture: PictureSpec | None, *, words: str = "", state: str = "", caption: Content | str = ""
    ) -> None:
        """Show a picture, or words instead of one, with a short state beside the name and the facts below."""
        self.view.placeholder = words
        self.view.picture = picture
        self._state = state
        self._headline()
        self.query_one(".caption", FixedWords).say(caption)

    def caption(self, caption: Content | str, state: str) -> None:
        """Change the words only."""
        if state != self._state:
            self._state = state
            self._headline()
        self.query_one(".caption", FixedWords).say(caption)

    def set_active(self, active: bool) -> None:
        """Mark the card as the one that keys act on."""
        self.set_class(active, "-active")
        self._headline()

    def on_resize(self) -> None:
        """Move the state to the new right end."""
        self._headline()

    def on_click(self, event: events.Click) -> None:
        """Become the active card; a double click opens it; a click on the state starts or stops the method."""
        line = self.query_one(".headline").region
        on_state = event.screen_y == line.y and event.screen_x >= line.right - 1 - len(self._state)
        # Only states with one of these signs can be clicked.
        if on_state and self._state.endswith(("▶", "■")):
            self.post_message(self.StateClicked(self))
            return
        self.post_message(self.Clicked(self, again=event.chain > 1))

    def _headline(self) -> None:
        width = self.size.width - 2
        mark = "▸ " if self.has_class("-active") else ""
        left = f"{mark}{self.card_name}"
        gap = " " * max(1, width - len(left) - len(self._state))
        self.query_one(".headline", FixedWords).say(f"{left}{gap}{self._state}")
