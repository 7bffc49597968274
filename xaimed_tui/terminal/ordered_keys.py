"""Handle keys one after another: each key has had its effect before the next one is handled.

Textual hands every key to the widget that has the focus at that moment. Bindings get their turn only when the key has
gone up to the app unused. So when keys arrived together, as over a slow line, a later letter was typed before an
earlier Ctrl+U had emptied the line, and letters after `/` went to the list.

A key that is held down repeats faster than a large screen is drawn. Each repeat counts, but what it only draws is drawn
once for all repeats that wait (`draw_once`): otherwise the app would go on drawing for a minute after the key.

More keys than a person can have pressed are not acted on (`MOST_KEYS`, `MOST_TEXT`): they were pasted, or come from a
broken terminal, and nobody means what they would do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from textual import events
from textual.app import App
from textual.errors import NoWidget
from textual.message import Message
from textual.widget import Widget

PATIENCE = 0.5
"""Seconds after which the next key is handled anyway."""

MOST_KEYS, MOST_TEXT = 30, 100
"""Keys that may wait, and as many if the last is a character; repeats of a key do not count. The next are left out."""


@dataclass
class KeyDone(Message):
    """Follows a key on its way through the widgets: once it arrives, the key has been handled."""

    number: int


class OrderedKeys(App[int]):
    """An app that looks at one key, or one piece of pasted text, after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._under_way = False
        self._next_keys: deque[events.Key | events.Paste] = deque()
        self._key = ""  # the one under way
        self._owed: dict[Callable[[], object], None] = {}  # in order
        self._left_out = 0

    def draw_once(self, draw: Callable[[], object]) -> None:
        """Draw what the key at hand has changed: now, or after the repeats of this key that wait already.

        Args:
            draw: draws the state as it is when it is called; not called if the widget whose method it is is gone.
        """
        self._owed[draw] = None
        if not self._repeats():
            self._draw_owed()

    def keys_left_out(self, count: int) -> None:
        """Learn that so many keys were left out; subclasses override this."""

    def _too_many(self, event: events.Key | events.Paste) -> bool:
        """Whether a key is one of more than a person can have pressed."""
        if self._left_out:  # until those that wait have had their effect
            return True
        if isinstance(event, events.Paste) or len(self._next_keys) < MOST_KEYS:
            return False
        keys = [one.key for one in self._next_keys if isinstance(one, events.Key)] + [event.key]
        changes = sum(before != after for before, after in pairwise(keys))
        return keys[-1] != keys[-2] and changes >= (MOST_TEXT if event.is_printable else MOST_KEYS)

    def _repeats(self) -> bool:
        """Whether the next key that waits is the one at hand."""
        following = self._next_keys[0] if self._next_keys else None
        return isinstance(following, events.Key) and following.key == self._key

    def _draw_owed(self) -> None:
        owed, self._owed = self._owed, {}
        for draw in owed:
            owner = getattr(draw, "__self__", None)
            if not isinstance(owner, Widget) or owner.is_attached:
                draw()

    async def on_event(self, event: events.Event) -> None:
        """Let keys and pasted text wait for the keys before them."""
        if isinstance(event, events.MouseEvent) and not event.is_forwarded and self._is_gone(event):
            return
        # A key that no widget has used comes back here forwarded; if it waited, it would wait for itself.
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        if self._too_many(event):
            self._left_out += 1
            return
        self._next_keys.append(event)
        if not self._under_way:
            await self._take_next()
        elif len(self._next_keys) == 1:
            self._wait_no_longer()

    def _wait_no_longer(self) -> None:
        """Go on after a while even if the key at hand, for which the next one waits, is not done.

        A busy widget lets its `KeyDone` wait, too, and one that is removed drops it.
        """
        number = self._number
        self.set_timer(PATIENCE, lambda: self.post_message(KeyDone(number)), name="patience")

    def _is_gone(self, event: events.MouseEvent) -> bool:
        """Whether the widget drawn under the mouse has been removed since; Textual would look for its parent."""
        if not self.screen_stack:  # the app is being left
            return True
        try:
            widget, _ = self.screen.get_widget_at(event.x, event.y)
        except NoWidget:
            return False
        return widget.parent is None

    def on_key_done(self, message: KeyDone) -> None:
        """Handle the next key."""
        message.stop()
        # Later, because Textual also moves the focus later: it must be where this key has put it.
        self.call_later(self._done, message.number)

    async def _done(self, number: int) -> None:
        if number == self._number:
            self._under_way = False
            await self._take_next()

    async def _take_next(self) -> None:
        while self._next_keys and not self._under_way:
            event = self._next_keys.popleft()
            self._number += 1
            self._key = event.key if isinstance(event, events.Key) else ""
            # Found before the key has its effect, which may move the focus elsewhere.
            target = self.focused or self.screen
            await super().on_event(event)
            if event.is_forwarded:  # otherwise a binding of the app has used it
                # False if the widget is closing: then no message will come back.
                self._under_way = target.post_message(KeyDone(self._number))
                if self._under_way and self._next_keys:
                    self._wait_no_longer()
            # Also if the last of the repeats has drawn nothing, because its key can do no more.
            if self._owed and not self._repeats():
                self._draw_owed()
        if self._left_out and not self._next_keys:
            count, self._left_out = self._left_out, 0
            self.keys_left_out(count)
