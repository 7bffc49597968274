"""Dialogs that begin with a line to type into: what is typed while they open is not lost."""

from __future__ import annotations

from textual import events
from textual.screen import ModalScreen, ScreenResultType

from xaimed_tui.widgets.closing_once import ClosesOnce


class TypeAheadDialog(ClosesOnce, ModalScreen[ScreenResultType]):
    """A dialog whose first line has the focus from the beginning."""

    def take(self, event: events.Key) -> bool:
        """Pass a letter on to the line, now or as soon as there is one; False if it is not for a line.

        Letters that come a few milliseconds after the key that opens the dialog reach the view behind it, or the dialog
        before its line exists. A line with the focus keeps its letters, so no letter is passed on twice.
        """
        line = self.focused
        if not event.is_printable or (line is None and self.is_mounted):
            return False
        if line is not None and not line.check_consume_key(event.key, event.character):
            return False
        # A new event, because the one at hand has already gone to another widget.
        (line or self).post_message(events.Key(event.key, event.character))
        return True

    def on_key(self, event: events.Key) -> None:
        """Pass on a letter that came before the line existed."""
        if self.take(event):
            event.stop()
