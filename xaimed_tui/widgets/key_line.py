"""The line at the bottom: the keys that can be pressed now, as many as there is room for, none of them cut.

Textual's own footer makes a widget for each key. It lays the screen out three times when the keys change, which happens
with nearly every key; one line of text only needs a repaint.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from xaimed_tui.widgets.words import Part

HELP = "question_mark"
"""The key that shows all others; it is always in the line."""


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key in the line.

    Attributes:
        key: its name, as Textual has it.
        label: how it is written.
        description: what it does.
        enabled: whether it does that now.
    """

    key: str
    label: str
    description: str
    enabled: bool

    @property
    def columns(self) -> int:
        return cell_len(self.label) + 1 + cell_len(self.description)


class KeyLine(Widget):
    """The keys in the order in which screens declare their bindings, the important ones first; help has the rest."""

    ALLOW_SELECT = False

    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; width: 100%; background: $panel; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: tuple[ShownKey, ...] = ()
        self._hovered: ShownKey | None = None

    @property
    def shown(self) -> tuple[ShownKey, ...]:
        """The keys in the line: the first ones that fit beside the key for help, then that key."""
        left = self.size.width + 1  # the last key needs no blank after it
        left -= sum(key.columns + 1 for key in self._keys if key.key == HELP)
        shown: list[ShownKey] = []
        for key in self._keys:
            if key.key != HELP:
                left -= key.columns + 1
                if left < 0:
                    break
                shown.append(key)
        return (*shown, *(key for key in self._keys if key.key == HELP))

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def on_unmount(self) -> None:
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        if not (screen.app.app_focus and self.is_attached and screen is self.screen):
            return
        keys: dict[str, ShownKey] = {}
        for _node, binding, enabled, _tooltip in screen.active_bindings.values():
            if binding.show:  # only the first of several keys for one action
                label = self.app.get_key_display(binding)
                keys.setdefault(binding.action, ShownKey(binding.key, label, binding.description, enabled))
        if self._keys != (found := tuple(keys.values())):
            self._keys, self._hovered = found, None
            self.refresh()

    def render(self) -> RenderResult:
        parts: list[Part] = []
        for key in self.shown:
            colour, back = "$footer-description-foreground", ""
            if key == self._hovered:
                colour, back = "$footer-key-foreground", " on $block-hover-background"
            dim = "" if key.enabled else " dim"
            parts.append((key.label, f"bold $footer-key-foreground{back}{dim}"))
            parts.append((f" {key.description}", f"{colour}{back}{dim}"))
            parts.append(" ")
        return Content.assemble(*parts[:-1])

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Show which key a click would press."""
        self._hover(self._key_at(event.x))

    def on_leave(self) -> None:
        self._hover(None)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key."""
        if (key := self._key_at(event.x)) is not None:
            if key.enabled:
                self.app.simulate_key(key.key)
            else:
                self.app.bell()

    def _hover(self, key: ShownKey | None) -> None:
        if key != self._hovered:
            self._hovered = key
            self.refresh()

    def _key_at(self, column: int) -> ShownKey | None:
        start = 0
        for key in self.shown:
            if start <= column < start + key.columns:
                return key
            start += key.columns + 1
        return None
