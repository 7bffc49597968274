"""Keys that cannot do anything yet say why, in one line, instead of doing nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from textual import events
from textual.actions import parse

from xaimed_tui.terminal.textual_private import bindings_of

if TYPE_CHECKING:
    from textual.widget import Widget

SHOWN = 3.0
"""Seconds for which a reason is shown. The same reason is not given again in this time, however often the key comes."""


class WhyNot:
    """A mixin for widgets and screens with bindings that `check_action` may refuse."""

    _reason_given: tuple[str, float] = ("", float("-inf"))

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Return in one line why an action that `check_action` refuses cannot be done now; empty to say nothing."""
        raise NotImplementedError

    def say_why(self, reason: str) -> None:
        """Give a reason."""
        now = time.monotonic()
        if reason and (reason != self._reason_given[0] or now - self._reason_given[1] >= SHOWN):
            self._reason_given = reason, now
            cast("Widget", self).notify(reason, timeout=SHOWN, markup=False)

    def on_key(self, event: events.Key) -> None:
        """Give the reason if a key of this widget does nothing now, here or in a widget around it."""
        node = cast("Widget", self)
        actions = [parse(binding.action)[1:] for binding in bindings_of(node, event.key)]
        refused = [each for each in actions if node.check_action(*each) is False]
        if refused and len(refused) == len(actions) and event.key not in node.screen.active_bindings:
            self.say_why(self.why_not(*refused[0]))
