"""The line at the top: the model in use, and what is going on."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class TopBar(Widget):
    """The program's name and the model in use (left), and the state (right)."""

    DEFAULT_CSS = """
    TopBar { height: 1; width: 100%; background: $panel; color: $text-muted; padding: 0 1; }
    """

    model: reactive[str] = reactive("")
    state: reactive[str] = reactive("")

    def render(self) -> RenderResult:
        """Return one line; the state is always whole, the model is cut if necessary."""
        width = self.content_size.width
        left = f" {self.model}" if self.model else " research use only, not a medical device"
        beside = len("XAIMed ") + cell_len(self.state)
        room = width - beside - 2
        if cell_len(left) > room:
            left = set_cell_size(left, max(room - 1, 0)) + "…"
        gap = " " * max(1, width - beside - cell_len(left))
        return Content.assemble(("XAIMed ", "bold $primary"), (left, "$foreground"), gap, self.state)
