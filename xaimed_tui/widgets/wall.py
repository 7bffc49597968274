"""The wall of six pictures: all at once where there is room, one at a time where there is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from engine.explanation import METHOD_NAMES
from xaimed_tui.widgets.card import Card

ORDER = ("original", "lime", "rise", "agreement", "gradcam", "gradcam++")
"""As in the paper's figure 6: the original and the agreement on the left, the methods beside them."""

NAMES = {"original": "Original", **METHOD_NAMES, "agreement": "Agreement"}

_TABS = ("Image", "LIME", "RISE", "Agree", "CAM", "CAM++")

ROOM_FOR_ALL = (72, 24)
"""Columns and rows from which all six are shown at once."""


class Tabs(Static):
    """The names of the pictures while only one is shown."""

    active = 0

    @dataclass
    class Picked(Message):
        """A name was clicked."""

        index: int

    def show(self, active: int) -> None:
        """Mark the one shown."""
        self.active = active
        parts: list[str | tuple[str, str]] = []
        for index, name in enumerate(_TABS):
            parts.append((f"▸{name} ", "bold $foreground on $primary 30%") if index == active else f" {name} ")
        self.update(Content.assemble(*parts))

    def on_click(self, event: events.Click) -> None:
        """Show the one whose name was clicked."""
        start = 0
        for index, name in enumerate(_TABS):
            start += len(name) + 2
            if event.x < start:
                self.post_message(self.Picked(index))
                return


class Wall(Container, can_focus=True):
    """Six cards; one of them is active."""

    DEFAULT_CSS = """
    Wall { layout: grid; grid-size: 3 2; grid-gutter: 0 1; padding: 0 0 0 1; }
    Wall > Tabs { display: none; }
    Wall.-one { layout: vertical; }
    Wall.-one > Tabs { display: block; height: 1; width: 100%; color: $text-muted; }
    Wall.-one > Card { display: none; }
    Wall.-one > Card.-active { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "vertical(-1)", "Up", show=False),
        Binding("down", "vertical(1)", "Down", show=False),
    ]

    @dataclass
    class Opened(Message):
        """A card was opened."""

        key: str

    @dataclass
    class Moved(Message):
        """Another card is the active one."""

        key: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._active = 0
        self._cards = {key: Card(key, NAMES[key]) for key in ORDER}

    def compose(self) -> ComposeResult:
        """The tabs, which are shown only where one picture is, and the cards."""
        yield Tabs(markup=False)
        yield from self._cards.values()

    def on_mount(self) -> None:
        """The original is active."""
        self._mark()

    def on_resize(self, event: events.Resize) -> None:
        """All at once, or one at a time."""
        self.set_class(event.size.width < ROOM_FOR_ALL[0] or event.size.height < ROOM_FOR_ALL[1], "-one")

    @property
    def one(self) -> bool:
        """Whether only the active card is shown."""
        return self.has_class("-one")

    @property
    def active(self) -> str:
        """Key of the active card."""
        return ORDER[self._active]

    def card(self, key: str) -> Card:
        """The card of a method, `original` or `agreement`."""
        return self._cards[key]

    def __iter__(self) -> Iterator[Card]:
        return iter(self._cards.values())

    def go(self, key: str) -> None:
        """Make a card active."""
        self._active = ORDER.index(key)
        self._mark()

    def step(self, step: int) -> None:
        """Make the next or the previous card active."""
        self._active = (self._active + step) % len(ORDER)
        self._mark()
        self.post_message(self.Moved(self.active))

    def action_vertical(self, step: int) -> None:
        """Move between the two rows."""
        if not self.one:
            self.step(3 * step)

    def on_card_clicked(self, message: Card.Clicked) -> None:
        """Take the click for a choice."""
        message.stop()
        self.go(message.card.key)
        self.post_message(self.Opened(self.active) if message.again else self.Moved(self.active))

    def on_tabs_picked(self, message: Tabs.Picked) -> None:
        """Show the picture whose name was clicked."""
        message.stop()
        self.go(ORDER[message.index])
        self.post_message(self.Moved(self.active))

    def _mark(self) -> None:
        for index, card in enumerate(self):
            card.set_active(index == self._active)
        self.query_one(Tabs).show(self._active)
