"""Keys one after another: none is looked at before the one before it has had its effect.

Textual hands every key to the widget that has the focus at that moment; its bindings come to their turn when the key
has gone up to the app and nobody has used it. Of keys that arrive together, as they do over a slow line, a later
letter was so typed before an earlier Ctrl+U emptied the line, and letters after `/` went to the list.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from textual import events
from textual.app import App
from textual.message import Message

PATIENCE = 0.5
"""Seconds after which the next key is looked at all the same."""


@dataclass
class KeyDone(Message):
    """Goes the way of a key, behind it: where it arrives the key has been."""

    number: int


class OrderedKeys(App[int]):
    """An app that looks at one key, or one piece of pasted text, after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._under_way = False
        self._next_keys: deque[events.Key | events.Paste] = deque()

    async def on_event(self, event: events.Event) -> None:
        """Let keys and what is pasted wait for those before them."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self._next_keys.append(event)
        if self._under_way:
            number = self._number
            self.set_timer(PATIENCE, lambda: self.post_message(KeyDone(number)), name="patience")
        else:
            await self._take_next()

    def on_key_done(self, message: KeyDone) -> None:
        """Look at the next key, once the focus is where this one has put it: that is done later, too."""
        message.stop()
        self.call_later(self._done, message.number)

    async def _done(self, number: int) -> None:
        if number == self._number:
            self._under_way = False
            await self._take_next()

    async def _take_next(self) -> None:
        while self._next_keys and not self._under_way:
            event = self._next_keys.popleft()
            self._number += 1
            target = self.focused or self.screen
            await super().on_event(event)
            if event.is_forwarded:  # else a binding of the app has taken it
                self._under_way = target.post_message(KeyDone(self._number))
