"""Something that can be ticked: by the space bar or the mouse, and told from what is not ticked without any colour."""

from __future__ import annotations

from typing import ClassVar

from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class Tick(Widget, can_focus=True):
    """A box and a word. Textual's own checkbox tells its states apart by colour alone, and takes Enter for itself.

    Args:
        words: what is ticked.
        value: whether it is, to begin with.
        id: of the widget.
    """

    DEFAULT_CSS = """
    Tick { width: auto; height: 1; color: $foreground; }
    Tick:focus { background: $primary; color: $background; text-style: bold; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "tick", "Tick", show=False)]

    value: reactive[bool] = reactive(False)

    class Changed(Message):
        """It was ticked, or is not any more."""

    def __init__(self, words: str, value: bool = False, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._words = words
        self.set_reactive(Tick.value, value)

    def render(self) -> RenderResult:
        return Content(f"[{'x' if self.value else ' '}] {self._words}")

    def action_tick(self) -> None:
        """Tick it, or take the tick away."""
        self.value = not self.value
        self.post_message(self.Changed())

    def on_click(self) -> None:
        self.action_tick()
