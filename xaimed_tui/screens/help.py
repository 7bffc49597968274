"""Help: the keys that work now in the focused widget, on the screen and everywhere; and the guide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Markdown

from engine.explainers.registry import BUILT_IN
from xaimed_tui.screens.home import GUIDE
from xaimed_tui.terminal.textual_private import priority_keys
from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.dialogs import FRAME, KeysLine
from xaimed_tui.widgets.key_table import Block, KeyTable

_SIGNS = {
    **{"↑": "up", "↓": "down", "←": "left", "→": "right", "Enter": "enter", "Esc": "escape", "Tab": "tab"},
    **{"/": "slash", "[": "left_square_bracket", "]": "right_square_bracket", "+": "plus", "-": "minus"},
    **{",": "comma", ".": "full_stop", "<": "less_than_sign", ">": "greater_than_sign"},
    **{"Shift+↑": "shift+up", "Shift+↓": "shift+down", "Shift+←": "shift+left", "Shift+→": "shift+right"},
}
"""Signs for keys that Textual knows by another name."""

_GENERAL = (
    ("1 2 3", "Home, Task & Model Selection, Visualize & Explain"),
    ("Ctrl+P", "all commands, by name"),
    ("Ctrl+T", "next theme: dark, light, colour-blind, high contrast"),
    ("Ctrl+L", "the log: what went wrong, and what libraries wrote"),
    ("Ctrl+Z", "suspend: back to the shell, whose fg continues the app"),
    ("Ctrl+Q", "quit at once, whatever is running"),
)

_LOOK = (
    ("o", "overlay, map alone, cells"),
    ("[ ]", "let the map cover less or more of the image"),
    ("m", "change the colours: viridis, cividis, magma, grey"),
    ("u", "hide cells in another way: the mean colour, a blur; for the exact cells"),
)

_GIVEN = "what the network was given, in place of the image"

_KEYS: dict[str, tuple[tuple[str, str], ...]] = {
    "home": (("d", "open the demo"), ("Enter", "choose a task"), ("↑ ↓ or j k", "scroll the guide")),
    "selection": (
        ("↑ ↓ or j k", "move"),
        ("← →", "tasks, models"),
        ("Tab", "go to the descriptions, to scroll them"),
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
        (
            " ".join(method.letter for method in BUILT_IN),
            f"{', '.join(method.name for method in BUILT_IN)} alone; "
            f"{len(BUILT_IN) + 1} and on: the methods of plug-ins",
        ),
        ("c", "the exact cells: which of the nine count, by showing and hiding them in every way"),
        ("s x", "stop all, stop the one chosen; its map so far is kept"),
        ("← →", "choose a picture"),
        ("Enter", "look at it closely"),
        ("i", "read all that is doubtful about the answer"),
        ("z", "let the picture fill the screen"),
        *_LOOK,
        ("v", _GIVEN),
        ("n", "point out one cell and its numbers in all pictures; arrows or mouse choose it"),
        ("t y", "class to explain, layer of the CAMs"),
        ("b", "side by side with another class or network"),
        ("w", "save"),
        ("Esc", "back"),
    ),
    "side-by-side": (
        ("← → or h l", "the other methods, the agreement"),
        ("↑ ↓ or j k", "move through the cells; they are shown in both pictures"),
        ("s", "stop the methods on both sides; the maps so far are kept"),
        ("Tab", "go to the text, to scroll it, and to the pictures, where arrows choose a cell"),
        ("Esc", "back"),
    ),
    "detail": (
        ("← → or h l", "the other methods, the exact cells, the agreement"),
        ("e", "can this map be believed? the figures behind the answers"),
        ("↑ ↓ or j k", "move through the cells; they are shown in both pictures"),
        ("o", "overlay, map alone"),
        *_LOOK[1:],
        ("Tab", "go to the facts, to scroll them, and to the pictures, where arrows choose a cell"),
        ("c v", "copy the numbers as text, as CSV, to the terminal's clipboard"),
        ("Esc", "back"),
    ),
    "zoom": (
        ("+ -", "larger, smaller; so does the mouse wheel"),
        ("0", "the whole picture"),
        ("← ↓ ↑ → or h j k l", "move the picture; so does dragging it with the mouse"),
        ("Tab", "the next picture"),
        *_LOOK,
        (", . or Shift+↓ Shift+↑", "lower or raise the level of a grey image's window, for the eye only"),
        ("< > or Shift+← Shift+→", "make it narrower or wider; dragging does both, if magnified with the right button"),
        ("w", "the network's window again"),
        ("v", f"{_GIVEN}; from 100 columns on, beside it"),
        ("z or Esc", "back"),
    ),
}


_HERE = {"DetailScreen": "detail", "ZoomScreen": "zoom", "SideBySideScreen": "side-by-side"}
"""The tables of the screens that cover the views."""


def live_keys(screen: Screen[object]) -> set[str]:
    """Return the keys that do something on a screen now; keys with priority work anywhere."""
    live = {key for key, active in screen.active_bindings.items() if active.enabled}
    return live | priority_keys(screen)


def key_named(sign: str) -> str:
    """Return Textual's name of the key that a sign in the tables stands for."""
    return _SIGNS.get(sign, sign.lower() if sign.startswith("Ctrl") else sign)


def live_rows(rows: Iterable[tuple[str, str]], live: set[str]) -> list[tuple[str, str]]:
    """Return the rows of a table whose keys do something; of several keys in a row, only those that do."""
    kept = []
    for keys, what in rows:
        signs = keys.split()
        working = [sign for sign in signs if sign == "or" or key_named(sign) in live]
        if set(working) - {"or"}:
            kept.append((keys if working == signs else " ".join(sign for sign in working if sign != "or"), what))
    return kept


def _own_keys(widget: Widget | None) -> set[str]:
    """Return the keys that a widget's class and its bases declare, those of Textual left out."""
    kinds = [each for each in type(widget).__mro__ if each.__module__.startswith("xaimed_tui")]
    declared = [binding for each in kinds for binding in Binding.make_bindings(each.__dict__.get("BINDINGS", ()))]
    return {binding.key for binding in declared}


class HelpScreen(ClosesOnce, ModalScreen[None]):
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
        """Show the keys of the focused widget, of this screen and of everywhere, then the guide."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Help"
            with VerticalScroll():
                yield KeyTable(self._keys(), id="help-keys")
                yield Markdown(GUIDE.read_text(encoding="utf-8"), open_links=False)
            yield KeysLine(("j k", "scroll"), ("Esc", "close"))

    def on_mount(self) -> None:
        """Focus the text, so that arrows scroll it."""
        self.query_one(VerticalScroll).focus()

    def _keys(self) -> list[Block]:
        from textual.widgets import ContentSwitcher

        kind = type(self._behind).__name__
        switchers = self._behind.query(ContentSwitcher)
        here = _HERE.get(kind) or ((switchers.first().current or "home") if switchers else "")
        live = live_keys(self._behind)
        focused, about = self._keys_of_focused(live)
        unclaimed = live - _own_keys(self._behind.focused)  # the focused widget gets its keys before the screen does
        table = live_rows(_KEYS[here], unclaimed) if here in _KEYS else self._declared(type(self._behind), unclaimed)
        return [(about, focused), ("This screen", table), ("Everywhere", live_rows(_GENERAL, live))]

    def _keys_of_focused(self, live: set[str]) -> tuple[list[tuple[str, str]], str]:
        """Return the keys that the focused widget declares, and what the widget is."""
        widget = self._behind.focused
        if widget is None:
            return [], ""
        about = next((text for kind in type(widget).__mro__ if (text := kind.__dict__.get("HELP"))), "")
        return self._declared(type(widget), live), str(about or "In focus")

    def _declared(self, kind: type, live: set[str]) -> list[tuple[str, str]]:
        """Return the keys that a class and its bases declare, those of Textual left out."""
        keys: dict[str, list[str]] = {}
        for each in kind.__mro__:
            if each.__module__.startswith("xaimed_tui"):
                for binding in Binding.make_bindings(each.__dict__.get("BINDINGS", ())):
                    if binding.key in live:
                        # Without `key_display`, which all keys of one binding share: here each is named for itself.
                        shown = self.app.get_key_display(replace(binding, key_display=None))
                        keys.setdefault(binding.description.lower(), []).append(shown)
        return [(" ".join(dict.fromkeys(names)), what) for what, names in keys.items()]

    def action_scroll(self, step: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=2 * step, animate=False)

    def action_leave(self) -> None:
        self.dismiss(None)
