"""Apps without a terminal paint only when a test looks at them: what they paint on the way there, nobody sees."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen

from xaimed_tui.pixel_app import PixelApp
from xaimed_tui.terminal.textual_private import UpdatedApp

_paint = Screen._compositor_refresh
_pause = Pilot.pause
_DISPLAYS = (App._display, UpdatedApp._display)
_UPDATES = (None, UpdatedApp.update_to_send, PixelApp.update_to_send)
"""What is given all that is painted. A test that listens there has replaced or overridden it: then all is painted."""


def paint_what_changed(app: App[int]) -> bool:
    """Paint what changed since the last look, as a terminal would show it; return whether there was anything."""
    screen = app.screen_stack[-1] if app.screen_stack and not app._exit else None
    if screen is None or not _unseen(app) or not screen._compositor._dirty_regions:
        return False
    try:
        _paint(screen)
    except Exception as error:  # as Textual does with all that is raised while the app draws
        app._handle_exception(error)
    return True


def _unseen(app: App[object]) -> bool:
    kind = type(app)
    listened = App._display is not _DISPLAYS[0] or kind._display not in _DISPLAYS
    return app.is_headless and not listened and getattr(kind, "update_to_send", None) in _UPDATES


def _note(self: Screen[object]) -> None:
    """Leave the regions that changed for the next look."""
    if self is self.app.screen and not self.app.is_inline and _unseen(self.app):
        self._dirty_widgets.clear()
        self.app._update_mouse_over(self)
    else:
        _paint(self)


async def _pause_and_look(self: Pilot[int], delay: float | None = None) -> None:
    await _pause(self, delay)
    paint_what_changed(self.app)


@pytest.fixture(autouse=True)
def paint_for_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Painting took two fifths of the processor's time of the app's tests; each state that is waited for is painted."""
    monkeypatch.setattr(Screen, "_compositor_refresh", _note)
    monkeypatch.setattr(Pilot, "pause", _pause_and_look)
