"""The line at the bottom: the keys that can be pressed now, as many as there is room for, none of them cut."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

HELP = "question_mark"
"""The key that shows all others: it is always there."""


class KeyLine(Footer):
    """Screens declare their bindings in the order of their importance; what does not fit is left to the help."""

    def __init__(self) -> None:
        super().__init__(compact=True, show_command_palette=False)
        self._columns = 0

    def compose(self) -> ComposeResult:
        """The first keys that fit beside the one for help."""
        self._columns = self.app.size.width
        left = self._columns + 1  # behind the last one there need be no blank
        keys = [key for key in super().compose() if isinstance(key, FooterKey)]
        left -= sum(_columns(key) for key in keys if key.key == HELP)
        for key in keys:
            if key.key != HELP:
                left -= _columns(key)
                if left < 0:
                    break
                yield key
        yield from (key for key in keys if key.key == HELP)

    def on_resize(self, event: events.Resize) -> None:
        """There is room for more keys, or fewer."""
        if self._columns not in (0, self.app.size.width):
            self.call_after_refresh(self.recompose)


def _columns(key: FooterKey) -> int:
    return len(key.key_display) + 1 + len(key.description) + 1
