"""The wall of pictures: all at once if there is room, else some rows of them, else one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.message import Message

from engine.explainers.registry import find_method, method_keys
from xaimed_tui.app_services import services
from xaimed_tui.screens.explain.card import Card
from xaimed_tui.widgets.words import FixedWords, Part
from xaimed_tui.wording import EXACT, method_name

SMALLEST_CARD = (22, 13)
"""Columns and rows below which a card has no room for its picture and its words."""

AT_ONCE = 6
"""Most pictures shown at once, unless all cards have `ROOMY_CARD`: more of them, and small, would be no calm view."""

ROOMY_CARD = (22, 18)
"""Columns and rows from which on cards are large enough for any number of them."""

_WORDS = 6
"""Rows of a card that are not picture: headline and caption."""

_SHORT = {"original": "Image", "agreement": "Agree", EXACT: "Exact"}
"""What the tabs call the pictures that are no method's."""


def in_order(methods: Sequence[str], columns: int) -> list[str]:
    """Return the cards from left to right and top to bottom.

    In three columns the first four methods are arranged as in the paper's figure 6: the original and the agreement on
    the left, the methods beside them; the exact cells and further methods follow below. Else the original and the
    agreement come first, and the exact cells last.
    """
    if columns == 3 and len(methods) >= 4:
        return ["original", *methods[:2], "agreement", *methods[2:4], EXACT, *methods[4:]]
    return ["original", "agreement", *methods, EXACT]


def layout_for(cards: int, width: int, height: int) -> tuple[int, int]:
    """Return the columns, and the rows shown at once, of cards in a box of characters; (0, 0) for one at a time.

    If not all rows are shown, one line is left for the tabs.
    """
    columns = columns_for(cards, width, height, SMALLEST_CARD if cards <= AT_ONCE else ROOMY_CARD)
    if columns:
        return columns, -(-cards // columns)
    columns = columns_for(AT_ONCE, width, height - 1) if cards > AT_ONCE else 0
    return columns, -(-AT_ONCE // columns) if columns else 0


def columns_for(cards: int, width: int, height: int, smallest: tuple[int, int] = SMALLEST_CARD) -> int:
    """Return the columns in which the cards are largest in a box of characters; 0 if they do not all fit."""
    best, largest = 0, 0
    for columns in range(1, cards + 1):
        # One blank column lies between two cards.
        wide, high = (width - columns + 1) // columns, height // -(-cards // columns)
        if wide < smallest[0] or high < smallest[1]:
            continue
        side = min(wide, 2 * (high - _WORDS))  # a character is about twice as high as it is wide
        if side > largest:
            best, largest = columns, side
    return best


def _short_name(key: str) -> str:
    method = find_method(key)
    return (method.short if method is not None else "") or method_name(key)[:9]


class Tabs(FixedWords):
    """The names of all pictures, while not all of them are shown."""

    @dataclass
    class Picked(Message):
        """A name was clicked."""

        index: int

    def __init__(self) -> None:
        super().__init__()
        self._places: list[tuple[int, int, int]] = []  # first column, column after the last, index

    def show(self, keys: Sequence[str], active: int, shown: range) -> None:
        """Mark the active picture and those shown. Names that have no room to the right push out those on the left."""
        names = [_SHORT.get(key) or _short_name(key) for key in keys]
        first = 0
        while first < active and sum(len(name) + 2 for name in names[first : active + 1]) > (self.size.width or 30):
            first += 1
        self._places = []
        parts: list[Part] = []
        x = 0
        for index, name in enumerate(names[first:], start=first):
            if index == active:
                parts.append((f"▸{name} ", "bold $foreground on $primary 30%"))
            else:
                parts.append((f" {name} ", "$foreground" if index in shown else ""))
            self._places.append((x, x + len(name) + 2, index))
            x += len(name) + 2
        self.say(Content.assemble(*parts))

    def on_click(self, event: events.Click) -> None:
        """Show the picture whose name was clicked."""
        for start, end, index in self._places:
            if start <= event.x < end:
                self.post_message(self.Picked(index))


class Wall(Container, can_focus=True):
    """The original, the exact cells, one card per method, and the agreement; one of the cards is active."""

    DEFAULT_CSS = """
    Wall { layout: grid; grid-size: 3; grid-gutter: 0 1; padding: 0 0 0 1; }
    Wall > Tabs { display: none; }
    Wall.-tall > Card > .caption { height: 7; }
    Wall.-some > Tabs { display: block; dock: top; }
    Wall.-some > Card.-away { display: none; }
    Wall > Tabs { height: 1; width: 100%; color: $text-muted; }
    Wall.-one { layout: vertical; }
    Wall.-one > Tabs { display: block; }
    Wall.-one > Card { display: none; }
    Wall.-one > Card.-active { display: block; }
    """

    HELP = "The pictures"

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

    def __init__(self, methods: Sequence[str] | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._methods = tuple(method_keys() if methods is None else methods)
        self._columns, self._rows = 3, 2
        self._top = 0  # the first row shown
        self._order = in_order(self._methods, self._columns)
        self._active = "original"
        names = {"original": "Original", "agreement": "Agreement"}
        self._cards = {key: Card(key, names.get(key) or method_name(key)) for key in self._order}

    def compose(self) -> ComposeResult:
        """Make the tabs, shown only while not all pictures are, and the cards."""
        yield Tabs()
        yield from self._cards.values()

    def on_mount(self) -> None:
        """Mark the original as active."""
        self._mark()

    def on_resize(self, event: events.Resize) -> None:
        """Show all cards in the columns that make them largest, or some rows of them, or one at a time."""
        columns, self._rows = layout_for(len(self._cards), event.size.width - 1, event.size.height)
        some = 0 < columns * self._rows < len(self._cards)
        self.set_class(not columns, "-one")
        self.set_class(some, "-some")
        spare = self._spare_rows(columns, event.size.width, event.size.height - some) if columns else 0
        self.set_class(spare >= 2, "-tall")
        columns = columns or 3
        if columns != self._columns:
            self._columns = columns
            self._order = in_order(self._methods, columns)
            self.styles.grid_size_columns = columns
            # The tabs stay in front of all cards.
            self.sort_children(key=lambda child: self._order.index(child.key) if isinstance(child, Card) else -1)
        self._mark()

    @property
    def one(self) -> bool:
        """Whether only the active card is shown."""
        return self.has_class("-one")

    @property
    def active(self) -> str:
        """Key of the active card."""
        return self._active

    def card(self, key: str) -> Card:
        """The card of a method, `original`, `agreement` or the exact cells'."""
        return self._cards[key]

    def __iter__(self) -> Iterator[Card]:
        return (self._cards[key] for key in self._order)

    def go(self, key: str) -> None:
        """Make a card active."""
        self._active = key
        self._mark()

    def step(self, step: int) -> None:
        """Make the next or the previous card active."""
        self._active = self._order[(self._order.index(self._active) + step) % len(self._order)]
        services(self).draw_once(self._show_active)

    def _show_active(self) -> None:
        self._mark()
        self.post_message(self.Moved(self._active))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer moving between rows only if there are rows: not while one picture is shown."""
        return not self.one if action == "vertical" else True

    def action_vertical(self, step: int) -> None:
        """Move between the rows."""
        place = self._order.index(self._active) + self._columns * step
        if self.one:
            return
        if not 0 <= place < len(self._order):  # wrap around from the last row to the first, and back
            place %= self._columns * -(-len(self._order) // self._columns)
            place = min(place, len(self._order) - 1)
        self.step(place - self._order.index(self._active))

    def on_card_clicked(self, message: Card.Clicked) -> None:
        """Make the clicked card active."""
        message.stop()
        self.go(message.card.key)
        self.post_message(self.Opened(self._active) if message.again else self.Moved(self._active))

    def on_tabs_picked(self, message: Tabs.Picked) -> None:
        """Show the picture whose name was clicked."""
        message.stop()
        self.go(self._order[message.index])
        self.post_message(self.Moved(self._active))

    def _spare_rows(self, columns: int, width: int, height: int) -> int:
        """Return the rows of each card that a square picture leaves free for words."""
        wide, high = (width - columns) // columns, height // self._rows
        # A square picture has half as many rows as columns, rounded up.
        return high - _WORDS - -(-wide // 2)

    def _mark(self) -> None:
        place = self._order.index(self._active)
        shown = range(place, place + 1) if self.one else self._rows_shown(place)
        for index, key in enumerate(self._order):
            self._cards[key].set_active(index == place)
            self._cards[key].set_class(index not in shown, "-away")
        self.query_one(Tabs).show(self._order, place, shown)

    def _rows_shown(self, place: int) -> range:
        """Return the places of the cards shown, after scrolling by as few rows as it takes to show one at `place`."""
        row, rows = place // self._columns, -(-len(self._order) // self._columns)
        self._top = max(min(self._top, row, rows - self._rows), row - self._rows + 1, 0)
        return range(self._top * self._columns, (self._top + self._rows) * self._columns)
