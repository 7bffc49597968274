"""All private parts of Textual that the app needs; no other module of the app may use one.

A new version of Textual may rename or move them without notice. `tests/app/terminal/test_textual_private.py` says
which have changed. What Textual documents for subclasses (`on_event`, `render_line`) is not private.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.app import App

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType
    from textual.binding import Binding
    from textual.dom import DOMNode
    from textual.driver import Driver
    from textual.filter import LineFilter
    from textual.screen import Screen

__all__ = [
    "ChopsUpdate",
    "CompositorUpdate",
    "LayoutUpdate",
    "UpdatedApp",
    "XTermParser",
    "bind",
    "bindings_of",
    "driver_of",
    "filter_lines",
    "priority_keys",
]


class UpdatedApp(App[int]):
    """An app that may change what the compositor sends to the terminal, and that is told of the fault that ends it."""

    def fault_met(self, error: Exception) -> None:
        """Note the fault that ends the app; subclasses override this."""

    def _handle_exception(self, error: Exception) -> None:
        self.fault_met(error)
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Textual would draw a traceback with the local variables, which may be a patient's data.
        self._close_messages_no_wait()

    def update_to_send(self, update: CompositorUpdate) -> CompositorUpdate:
        """Return what to send instead of an update; subclasses override this, here it is the update itself."""
        return update

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        update = renderable
        if isinstance(renderable, CompositorUpdate):
            renderable = self.update_to_send(renderable)
        super()._display(screen, renderable)
        if isinstance(update, LayoutUpdate | ChopsUpdate):
            _forget_divisions(update)


def _forget_divisions(update: LayoutUpdate | ChopsUpdate) -> None:
    """Leave no garbage of what was painted.

    A strip that was painted undivided keeps itself as its own division. Only the garbage collector could free it, with
    ten more objects and its segments; stepping through a study left 2,000 objects for each key.
    """
    lines = update.strips if isinstance(update, LayoutUpdate) else [line.values() for line in update.chops]
    for line in lines:
        for strip in line:
            if strip is not None:
                strip._divide_cache.clear()


def driver_of(app: App[int]) -> Driver | None:
    """Return the driver, which writes to the terminal; None before the app runs."""
    return app._driver


def filter_lines(app: App[int], filters: Iterable[LineFilter]) -> None:
    """Pass every line that is drawn through these filters instead of Textual's own.

    Overriding `get_line_filters` would not do: Textual also changes the list itself when the theme changes.
    """
    app._filters = list(filters)


def bind(node: DOMNode, key: str, action: str, description: str) -> None:
    """Bind a key for one widget or screen, hidden from the footer. Textual's public `bind` is for all of the app."""
    node._bindings.bind(key, action, description, show=False)


def bindings_of(node: DOMNode, key: str) -> list[Binding]:
    """Return what a widget or screen itself binds a key to, whether that can be done now or not."""
    return node._bindings.key_to_bindings.get(key, [])


def priority_keys(screen: Screen[object]) -> set[str]:
    """Return the keys bound with priority here; in a modal dialog also those that `active_bindings` leaves out."""
    return {
        key
        for _, bindings in screen._binding_chain
        for key, bound in bindings.key_to_bindings.items()
        if any(one.priority for one in bound)
    }
