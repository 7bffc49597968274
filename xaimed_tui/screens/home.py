"""Home: what XAIMed is, what to do next, and the guide."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from xaimed_tui.widgets.words import Part

GUIDE = Path(__file__).with_name("guide.md")

_LOGO = ((1, 0, 2), (0, 2, 1), (2, 4, 3))
"""An agreement map: the counts of a made-up explanation."""

_SHADES = ("#31235f on #cfcde8", "#ffffff on #3b4f86", "#ffffff on #1f5f73", "#000000 on #35b779", "#2b2600 on #fde725")
"""Digits on the colours of their counts, with a contrast of 7:1 or more: the logo is the same in every theme."""

_ABOUT = (
    "Five methods show which parts of an image moved a network's answer: LIME, RISE, Grad-CAM, Grad-CAM++ and "
    "HiResCAM. A grid of 3x3 cells makes them comparable, and one map counts where the paper's four agree."
)


class HomeView(Horizontal):
    """The first view that a person sees, painted before anything heavy is imported."""

    # Scoped rules see no classes outside of this widget, but `-slim` is the screen's.
    SCOPED_CSS = False
    DEFAULT_CSS = """
    HomeView { padding: 1 2 0 3; }
    HomeView #home-left { width: 46; height: 100%; padding: 0 3 0 0; }
    HomeView #home-brand { height: 3; }
    HomeView #logo { width: 17; height: 3; }
    HomeView #brand { width: 1fr; height: 3; }
    HomeView #about { margin: 1 0 0 0; color: $text-muted; }
    HomeView #next { margin: 1 0 0 0; border: round $primary 60%; padding: 0 1; height: auto; }
    HomeView #next { border-title-color: $primary; }
    HomeView #notice { margin: 1 0 0 0; color: $text-warning; }
    HomeView #guide-pane { width: 1fr; max-width: 104; height: 100%; border-left: vkey $primary 30%; padding: 0 1 0 2; }
    HomeView #guide-pane:focus { border-left: vkey $primary; }
    HomeView Markdown { padding: 0; margin: 0; background: transparent; }
    HomeView Markdown MarkdownH2 { margin: 0 0 1 0; padding: 0; color: $primary; text-style: bold; }
    .-slim HomeView { layout: vertical; padding: 0 1 0 2; overflow-y: auto; }
    .-slim HomeView #home-left { width: 100%; height: auto; padding: 0; }
    .-slim HomeView #guide-pane { width: 100%; height: auto; margin: 1 0 0 0; border-left: none; padding: 0; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "app.demo", "Open the demo"),
        Binding("enter", "app.go('selection')", "Choose a task"),
        Binding("j,down", "scroll_guide(2)", "Scroll", show=False),
        Binding("k,up", "scroll_guide(-2)", "Scroll back", show=False),
        Binding("pagedown,space", "scroll_guide(18)", "Page", show=False),
        Binding("pageup", "scroll_guide(-18)", "Page back", show=False),
        Binding("q", "app.quit", "Quit", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Make the brand, the next steps and the notice; the guide follows after the first paint."""
        with Vertical(id="home-left"):
            with Horizontal(id="home-brand"):
                yield Static(_logo(), id="logo")
                yield Static(
                    Content.assemble(("XAIMed", "bold $primary"), "\neXplaining AI decisions\non Medical images"),
                    id="brand",
                )
            yield Static(_ABOUT, id="about", markup=False)
            steps = Static(
                Content.assemble(
                    ("d", "bold $primary"),
                    "  open the demo: sample images,\n",
                    "   nothing to install or download\n",
                    ("2", "bold $primary"),
                    "  choose a task and a model\n",
                    ("3", "bold $primary"),
                    "  look at images and explain them\n",
                    ("?", "bold $primary"),
                    "  the guide, and all keys",
                ),
                id="next",
            )
            steps.border_title = "What next"
            yield steps
            yield Static("Research use only. Not a medical device.", id="notice", markup=False)
        yield VerticalScroll(id="guide-pane", can_focus=True)

    def on_mount(self) -> None:
        """Let the first paint happen, then lay out the guide."""
        self.call_after_refresh(self._show_guide)

    async def _show_guide(self) -> None:
        from textual.widgets import Markdown

        await self.query_one("#guide-pane").mount(Markdown(GUIDE.read_text(encoding="utf-8"), open_links=False))

    def focus_first(self) -> None:
        """Focus the guide, so that arrows scroll it."""
        # On a narrow screen the guide lies below the rest, and Home must still begin at its top.
        self.query_one("#guide-pane").focus(scroll_visible=False)

    def action_scroll_guide(self, step: int) -> None:
        # On narrow screens all of Home scrolls, not the guide alone.
        pane = self if self.screen.has_class("-slim") else self.query_one("#guide-pane")
        pane.scroll_relative(y=step, animate=False)


def _logo() -> Content:
    parts: list[Part] = []
    for row in _LOGO:
        parts.extend((f"  {count}  ", _SHADES[count]) for count in row)
        parts.append("\n")
    return Content.assemble(*parts[:-1])
