"""The pane about a model: whether it can be used, its description, input and classes, and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from xaimed_tui.app_services import services
from xaimed_tui.background import messages
from xaimed_tui.screens.library.descriptions import facts, prose
from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.widgets.words import Part, ScrolledWords

if TYPE_CHECKING:
    from pathlib import Path

    from engine.library.tasks import ModelEntry


class ModelPane(Vertical):
    """Shows one model at a time; its picture is read when it is shown."""

    # Scoped rules see no classes outside of this widget, but `-slim` and its like are the screen's.
    SCOPED_CSS = False
    DEFAULT_CSS = """
    ModelPane #model-scroll { height: 1fr; }
    ModelPane #model-base { height: auto; border-top: solid $border-blurred; }
    ModelPane #facts-scroll { width: 1fr; height: auto; max-height: 22; padding: 0 2 0 0; }
    ModelPane #model-facts { height: auto; }
    ModelPane #model-picture { width: 44; height: 22; display: none; }
    ModelPane.-pictured #model-picture { display: block; }
    .-medium ModelPane #model-picture { width: 36; height: 18; }
    .-medium ModelPane #facts-scroll { max-height: 18; }
    .-vast ModelPane #model-picture { width: 56; height: 28; }
    .-vast ModelPane #facts-scroll { max-height: 28; }
    .-slim ModelPane { overflow-y: auto; }
    .-slim ModelPane #model-scroll { height: auto; }
    .-slim ModelPane #model-base { layout: vertical; }
    .-slim ModelPane #facts-scroll { width: 100%; height: auto; max-height: 100h; }
    .-slim ModelPane #model-picture { width: 36; height: 18; }
    """

    def __init__(self, *, id: str, classes: str) -> None:
        super().__init__(id=id, classes=classes)
        self.border_title = "About the model"
        self._picture: Path | None = None
        self._run = 0

    def compose(self) -> ComposeResult:
        """Make the description above, the facts and the picture below."""
        with ScrolledWords(id="model-scroll"):
            yield Static(id="model-text", markup=False)
        with Horizontal(id="model-base"):
            with ScrolledWords(id="facts-scroll"):
                yield Static(id="model-facts", markup=False)
            yield ImageView(id="model-picture")

    def show(self, entry: ModelEntry | None, standing: Sequence[Part] = ()) -> None:
        """Show a model and its `standing`; None shows nothing."""
        text: Content | str = ""
        about: Content | str = ""
        if entry is not None:
            text = Content.assemble(*standing, prose(entry.description).rstrip() + "\n")
            about = Content.assemble(*facts(entry.bundle)) if entry.bundle is not None else ""
        self.query_one("#model-text", Static).update(text)
        self.query_one("#model-facts", Static).update(about)
        for pane in (self, *self.query(ScrolledWords)):
            pane.scroll_home(animate=False)
        self._show_picture(None if entry is None else entry.picture)

    def _show_picture(self, path: Path | None) -> None:
        self.set_class(path is not None, "-pictured")
        if path != self._picture:  # it is another model's
            view = self.query_one(ImageView)
            view.picture, view.placeholder = None, ""
        self._picture = path
        if path is not None:
            self._run = services(self).jobs.open_picture(self, path)

    def on_picture_read(self, message: messages.PictureRead) -> None:
        """Show the picture, if it is still the one wanted."""
        from xaimed_tui.render.spec import PictureSpec

        if message.ticket == self._run and self._picture is not None:
            self.query_one(ImageView).picture = PictureSpec(message.pixels)

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say where the picture would be why there is none, without a notice at every visit."""
        message.stop()
        if message.ticket == self._run:
            view = self.query_one(ImageView)
            view.picture, view.placeholder = None, message.reason
