"""Screens that close once: a second key, a click or a late answer never closes the screen below or another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.await_complete import AwaitComplete

if TYPE_CHECKING:
    from textual.screen import Screen

    _Base = Screen[Any]  # each screen says itself what it returns
else:
    _Base = object  # a mixin: Textual would count another class of screen among those with styles


class ClosesOnce(_Base):
    """A mixin for screens.

    Textual's `dismiss` removes whichever screen is on top, if need be the last one, which ends the app. Two messages
    that close a dialog may wait at the same time: Enter twice, a key and a click, an answer from a thread.
    """

    _answer: tuple[Any] | None = None  # what to return once the screens above this one are closed

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close this screen with a result, later if another screen covers it; do nothing if it is closed already."""
        stack = self.app.screen_stack
        if self not in stack:
            return AwaitComplete()
        if stack[-1] is not self:
            self._answer = (result,)
            return AwaitComplete()
        return super().dismiss(result)

    def on_screen_resume(self) -> None:
        """Close, if that was to happen while another screen was above this one."""
        if self._answer is not None:
            (result,), self._answer = self._answer, None
            self.dismiss(result)
