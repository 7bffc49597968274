"""Dialogs in which one types at once: what is typed while one of them is being opened is not lost."""

from __future__ import annotations

from textual import events
from textual.screen import ModalScreen, ScreenResultType


class TypeAheadDialog(ModalScreen[ScreenResultType]):
    """A dialog whose first line has the focus from the beginning."""

    def take(self, event: events.Key) -> bool:
        """Pass a letter on to the line, now or as soon as there is one; False if nobody types into a line.

        Letters that come a few milliseconds after the key that opens the dialog reach the view behind it, or the dialog
        before its line. A line that has the focus keeps its letters, so none is passed on twice.
        """
        line = self.focused
        if not event.is_printable or (line is None and self.is_mounted):
            return False
        if line is not None and not line.check_consume_key(event.key, event.character):
            return False
        (line or self).post_message(events.Key(event.key, event.character))
        return True

    def on_key(self, event: events.Key) -> None:
        """A letter that came before the line was there."""
        if self.take(event):
            event.stop()
