"""Help: the keys of the view one is in, and the guide."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Markdown, Static

from xaimed_tui.screens.dialogs import FRAME, keys_line
from xaimed_tui.screens.home import GUIDE

_GENERAL = (
    ("1 2 3", "Home, Task & Model Selection, Visualize & Explain"),
    ("Ctrl+P", "all commands, by name"),
    ("Ctrl+T", "next theme: dark, light, colour-blind, high contrast"),
    ("Ctrl+L", "the log: what went wrong, and what libraries wrote"),
    ("Ctrl+Q", "leave at once, whatever runs"),
)

_LOOK = (
    ("o", "overlay, map alone, cells"),
    ("[ ]", "let the map cover less or more of the image"),
    ("m", "other colours: viridis, cividis, magma, grey"),
)

_KEYS: dict[str, tuple[tuple[str, str], ...]] = {
    "home": (("d", "open the demo"), ("Enter", "choose a task"), ("↑ ↓ or j k", "scroll the guide")),
    "selection": (
        ("↑ ↓ or j k", "move"),
        ("← →", "tasks, models"),
        ("Tab", "to the descriptions, to scroll them"),
        ("Enter", "load the model and go on; first show its code, if it is not approved"),
        ("/", "filter the list"),
        ("m", "manage: add, describe, remove, restore tasks and models"),
        ("Ctrl+R", "read the task folders again"),
        ("Esc", "back"),
    ),
    "explain": (
        ("↑ ↓ or j k", "move through the images"),
        ("f", "choose another folder"),
        ("/", "filter the images"),
        ("e", "explain with all methods"),
        ("l r g p", "LIME, RISE, Grad-CAM, Grad-CAM++ alone; 5 and on: the methods of plug-ins"),
        ("s x", "stop all, stop the one chosen; its map so far is kept"),
        ("← →", "choose a picture"),
        ("Enter", "look at it closely"),
        ("z", "let the picture fill the screen"),
        *_LOOK,
        ("n", "one cell in all pictures, with its numbers; arrows or the mouse choose it"),
        ("t y", "class to explain, layer of the CAMs"),
        ("b", "side by side with another class or network"),
        ("w", "save"),
        ("Esc", "back"),
    ),
    "side-by-side": (
        ("← →", "the other methods, the agreement"),
        ("↑ ↓ or j k", "move through the cells; they are shown in both pictures"),
        ("s", "stop what runs on both sides; the maps so far are kept"),
        ("Tab", "to the words, to scroll them, and to the pictures, where arrows choose a cell"),
        ("Esc", "back"),
    ),
    "detail": (
        ("← →", "the other methods, the agreement"),
        ("↑ ↓ or j k", "move through the cells; they are shown in both pictures"),
        *_LOOK,
        ("Tab", "to the facts, to scroll them, and to the pictures, where arrows choose a cell"),
        ("c v", "copy the numbers as text, as CSV, to the terminal's clipboard"),
        ("Esc", "back"),
    ),
    "zoom": (
        ("+ -", "larger, smaller; so does the mouse wheel"),
        ("0", "all of the picture"),
        ("← ↓ ↑ → or h j k l", "move the picture; so does dragging it with the mouse"),
        ("Tab", "the next picture"),
        *_LOOK,
        ("z or Esc", "back"),
    ),
}


class HelpScreen(ModalScreen[None]):
    """Keys first, the guide below."""

    DEFAULT_CSS = (
        FRAME.format(name="HelpScreen")
        + """
    HelpScreen > .dialog { width: 100; height: 94%; padding: 0 2; }
    HelpScreen Markdown { padding: 0; margin: 0; background: transparent; }
    HelpScreen #help-keys { margin: 1 0; }
    HelpScreen VerticalScroll { height: 1fr; }
    HelpScreen .keys { margin: 0; }
    """
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "leave", "Close"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, behind: Screen[object]) -> None:
        super().__init__()
        self._behind = behind

    def compose(self) -> ComposeResult:
        """The keys of what has the focus, of where one is, and of everywhere; the guide."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Help"
            with VerticalScroll():
                yield Static(self._keys(), id="help-keys", markup=False)
                yield Markdown(GUIDE.read_text(encoding="utf-8"), open_links=False)
            yield Static(keys_line(("j k", "scroll"), ("Esc", "close")), classes="keys")

    def on_mount(self) -> None:
        """Arrows scroll."""
        self.query_one(VerticalScroll).focus()

    def _keys(self) -> Content:
        from textual.widgets import ContentSwitcher

        from xaimed_tui.screens.detail import DetailScreen
        from xaimed_tui.screens.side_by_side import SideBySideScreen
        from xaimed_tui.screens.zoom import ZoomScreen

        if isinstance(self._behind, DetailScreen):
            here = "detail"
        elif isinstance(self._behind, ZoomScreen):
            here = "zoom"
        elif isinstance(self._behind, SideBySideScreen):
            here = "side-by-side"
        else:
            switchers = self._behind.query(ContentSwitcher)
            here = (switchers.first().current or "home") if switchers else "home"
        parts: list[str | tuple[str, str]] = []
        if focused := self._keys_of_focused():
            for key, what in focused:
                parts += [(f"{key:<12}", "bold $primary"), f"{what}\n"]
            parts.append("\n")
        for key, what in (*_KEYS.get(here, ()), *_GENERAL):
            parts += [(f"{key:<12}", "bold $primary"), f"{what}\n"]
        return Content.assemble(*parts[:-1], parts[-1].rstrip() if isinstance(parts[-1], str) else parts[-1])

    def _keys_of_focused(self) -> list[tuple[str, str]]:
        """The keys of the widget that has the focus, as it declares them itself, and what they do."""
        widget = self._behind.focused
        if widget is None or any(type(widget) is kind for kind in (Static, VerticalScroll)):
            return []
        declared = [
            binding
            for kind in type(widget).__mro__
            if kind.__module__.startswith("xaimed_tui")
            for binding in Binding.make_bindings(kind.__dict__.get("BINDINGS", ()))
        ]
        keys: dict[str, list[str]] = {}
        for binding in declared:
            keys.setdefault(binding.description.lower(), []).append(self.app.get_key_display(binding))
        return [(" ".join(names), what) for what, names in keys.items()]

    def action_scroll(self, step: int) -> None:
        """Scroll by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=2 * step, animate=False)

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)
