"""The left side of Visualize & Explain: the folder, its images, the answer, what is explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer

from engine.images.parts import is_part, names_file
from engine.text import safe_name
from xaimed_tui.app_services import services
from xaimed_tui.background import messages
from xaimed_tui.screens.choices import default_layer
from xaimed_tui.screens.explain.diagnosis_panel import DiagnosisPanel
from xaimed_tui.screens.explain.file_rows import FileRows
from xaimed_tui.widgets.colour_bar import ColourBar
from xaimed_tui.widgets.filtered_list import FilteredList
from xaimed_tui.widgets.row_list import RowList
from xaimed_tui.widgets.words import FixedWords, Part, Words
from xaimed_tui.wording import path_text

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.results.diagnosis import Diagnosis
    from xaimed_tui.background.backend import Model
    from xaimed_tui.preferences.look import Look

LOOK_AFTER = 0.05
"""Seconds after which the files that have come into view are judged."""

MANY_SLICES = 12
"""Images of a series from which on it is opened in its middle: the ends of a volume show air."""

CHOOSE_A_FOLDER = "f chooses a folder"


class ImageSide(Vertical):
    """Lists a folder, greys the images that the network cannot take, and reports which one is under the cursor."""

    # Scoped rules see no classes outside of this widget, but `-slim` and its like are the screen's.
    SCOPED_CSS = False
    DEFAULT_CSS = """
    ImageSide { width: 34; height: 100%; border-right: vkey $primary 30%; }
    ImageSide #folder { height: 2; padding: 0 1; color: $text-muted; }
    ImageSide #images { height: 1fr; min-height: 4; }
    ImageSide #answer { height: auto; max-height: 55%; border-top: solid $border-blurred; padding: 0 1; }
    ImageSide #choices { height: auto; padding: 0 1; color: $text-muted; border-top: solid $border-blurred; }
    ImageSide ColourBar { width: 1fr; margin: 0 1; display: none; }
    ImageSide.-network ColourBar { display: block; }
    .-slim ImageSide { width: 25; }
    .-slim ImageSide #folder { height: 1; }
    .-slim ImageSide #answer { max-height: 60%; }
    .-slim ImageSide #choices { border-top: none; }
    .-medium ImageSide { width: 28; }
    .-vast ImageSide { width: 38; }
    """

    @dataclass
    class Pointed(Message):
        """Another image is under the cursor, or none."""

        path: Path | None

    @dataclass
    class Rewritten(Message):
        """The image under the cursor, which was readable, was written again, or at least touched."""

        path: Path

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._folder: Path | None = None
        self._run = 0
        self._judged = 0
        self._bundle: ModelBundle | None = None
        self._reasons: dict[str, str] = {}
        self._rows = FileRows(Path(), (), self._reasons)
        self._gone = False
        self._judging: Timer | None = None
        self._pointed: Path | None = None
        self._at: Path | None = None
        self.listing = False
        """Whether the folder is still being read."""
        self._fresh = False  # the cursor has not been on an image of this folder yet
        self._began: Path | None = None  # the image that the cursor was first put on, as long as it stays there
        self._stays = False
        self._unfolding: Path | None = None
        self.problem = ""
        """Why the folder cannot be read; empty if it can."""

    def compose(self) -> ComposeResult:
        yield FixedWords(id="folder")
        yield FilteredList(empty=CHOOSE_A_FOLDER, list_id="images-list", id="images")
        with VerticalScroll(id="answer", can_focus=False):
            yield DiagnosisPanel(id="diagnosis")
        yield Words(id="choices")
        yield ColourBar()

    def on_mount(self) -> None:
        """Say that there is no folder yet."""
        self._show_folder()

    @property
    def images(self) -> RowList:
        return self.query_one("#images-list", RowList)

    def reveal(self, path: Path) -> bool:
        """Put the cursor on an image, removing a filter that hides it; return False if it is not there.

        While the folder is being read the image may still turn up; once it is read, say that the image is gone.
        """
        there = self.query_one("#images", FilteredList).reveal(path)
        if not there and self.listing:
            self._at = path
        elif not there:
            self.notify(f"{safe_name(path.name, 60)} is not in this folder any more.", severity="warning", markup=False)
        return there

    def on_resize(self) -> None:
        """Fit the folder's path to the new width."""
        self.call_after_refresh(self._show_folder)

    # The folder

    @property
    def folder(self) -> Path | None:
        return self._folder

    def list_folder(self, folder: Path | None, bundle: ModelBundle | None, *, at: Path | None = None) -> None:
        """Show a folder's images, judged by what the network takes, with the cursor `at` one; None shows none."""
        self._folder, self._bundle, self._at = folder, bundle, at
        self._reasons, self._pointed, self._gone, self.problem = {}, None, False, ""
        self._fresh, self._began, self._stays = at is None, None, False
        self._unfolding = None
        self._judged = 0  # late answers are about files of the same names in another folder
        self.listing = folder is not None
        self._rows = FileRows(folder or Path(), (), self._reasons)
        if folder is None:
            self._run = 0
            self.images.set_rows((), empty=CHOOSE_A_FOLDER)
        else:
            self.images.set_rows((), empty="reading the folder…")
            self._run = services(self).jobs.list_folder(self, folder)
        self._show_folder()

    def judge_by(self, bundle: ModelBundle) -> None:
        """Judge the images shown by what another network takes."""
        self._bundle = bundle
        self._reasons.clear()
        self._judged = 0
        self._show_files()
        self._judge()
        self._show_folder()

    def on_folder_listed(self, message: messages.FolderListed) -> None:
        """Show the names; drop files that are gone, judge new ones."""
        if message.ticket != self._run:
            return
        came_back, self._gone = self._gone, False
        opening, self.listing = self.listing, not message.whole
        if message.names is not self._rows.names or message.groups or not message.names:  # else: the list is complete
            self._rows = FileRows(message.folder, message.names, self._reasons, message.groups)
            if message.whole:
                for name in self._reasons.keys() - message.names:
                    del self._reasons[name]
            self._show_files(empty="no images in this folder" if message.whole else "reading the folder…")
            if message.groups and opening and (self._fresh or self._began is not None) and not self._stays:
                self._begin()  # in the order of the series another one is the first
        # Until the list is whole, the image may still turn up.
        if self._at is not None and (self.images.go_to(self._at) or message.whole):
            self.reveal(self._at)
            self._at = None
        if message.whole or not self._rows.all_judged:
            self._judge()
        if message.whole and self._unfolding is not None:
            path, self._unfolding = self._unfolding, None
            # A file that was not replaced by its images is read again, and refused.
            if path == self._pointed and self._rows.name_of(path) in message.names:
                self.post_message(self.Pointed(path))
        self._show_folder()
        if came_back:
            self.notify("The folder is there again.", markup=False)

    def on_files_modified(self, message: messages.FilesModified) -> None:
        """Judge these files again: what was known about them is no longer true."""
        if message.ticket != self._run:
            return
        changed = [name for name in self._reasons if names_file(name, message.names)]
        refused = [name for name in changed if self._reasons.pop(name, "")]
        self._judge()
        if refused:
            self._show_files()
            self._show_folder()
        if (path := self._pointed) is not None and names_file(name := self._rows.name_of(path), message.names):
            # A refused image was probably still being written.
            self.post_message(self.Pointed(path) if name in refused else self.Rewritten(path))

    def on_folder_gone(self, message: messages.FolderGone) -> None:
        """Say that the folder is gone; keep showing what was read."""
        if message.ticket == self._run:
            self._gone = True
            self._show_folder()
            words = f"{path_text(message.folder, 200)} is no longer there. What is shown was read before."
            self.notify(words, title="The folder is gone", severity="warning", timeout=15, markup=False)

    @on(RowList.Scrolled, "#images-list")
    def _scrolled(self, message: RowList.Scrolled) -> None:
        message.stop()
        if not self._rows.all_judged and self._judging is None:
            self._judging = self.set_timer(LOOK_AFTER, self._judge, name="judge")

    def _judge(self) -> None:
        """Judge the images that are not judged yet: all of a small folder, else those in view."""
        if self._judging is not None:
            self._judging.stop()
            self._judging = None
        if self._bundle is None or self._folder is None:
            return
        if self._rows.all_judged:
            names: Sequence[str] = self._rows.names
        else:
            names = [self._rows.name_of(row.key) for row in self.images.in_view if isinstance(row.key, Path)]
        if unknown := [name for name in names if name not in self._reasons]:
            self._judged = services(self).jobs.judge(self, self._folder, unknown, self._bundle, whole=not self.listing)

    def on_compliance_found(self, message: messages.ComplianceFound) -> None:
        """Grey the images that the network cannot take."""
        if message.ticket != self._judged:
            # Stopped, as the view above would take it for news of the images shown.
            message.stop()
            return
        for name, reason in message.reasons.items():
            if reason or not self._reasons.get(name):  # a good header does not undo a failed reading
                self._reasons[name] = reason
        if any(message.reasons.values()):
            self._show_files()
            self._show_folder()
            if self._began is not None and self.reason_of(self._began) and self._rows.all_judged:
                self._begin()

    def _begin(self) -> None:
        """Put the cursor on the first usable image, or into the middle of its series: nobody chose the one it is on."""
        if self._rows.all_judged:
            first = next((row.key for row in self.images.shown if not (row.heading or row.reason)), None)
        else:
            self.images.action_end(-1)
            first = None if self.images.current is None else self.images.current.key
        if isinstance(first, Path):
            usable = [name for name in self._rows.series_of(first) if not self._reasons.get(name)]
            if len(usable) >= MANY_SLICES:
                first = self._rows.folder / usable[(len(usable) - 1) // 2]
            if self.images.go_to(first):
                self._began = first  # for as long as it stays there

    def stay(self) -> None:
        """Keep the cursor on its image when the folder is put in order: a person is at work on it."""
        self._stays = True

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say why the folder cannot be read: here only, without a notice."""
        if message.what == "folder" and message.ticket == self._run:
            message.stop()
            self.images.set_rows((), empty="the folder cannot be read")
            self.problem, self.listing = message.reason, False
            self.show_answer(None, words=message.reason)

    def reason_of(self, path: Path | None) -> str:
        """Return why the network cannot take an image, as far as known; empty if it can."""
        return self._reasons.get(self._rows.name_of(path), "") if path is not None else ""

    def unfold(self, path: Path) -> bool:
        """Wait until the images that a file holds are listed in its place; False if the file itself is listed."""
        if self.listing:
            self._unfolding = path
        return self.listing or self._rows.name_of(path) not in self._rows.names

    def unfolds(self, path: Path | None) -> bool:
        """Whether the list will have several images in place of this file."""
        return path is not None and path == self._unfolding

    def refuse(self, path: Path, reason: str) -> None:
        """Grey an image that has just turned out to be unusable."""
        self._reasons[self._rows.name_of(path)] = reason
        self._show_files()
        self._show_folder()

    def _show_files(self, empty: str | None = None) -> None:
        self.images.set_rows(self._rows, empty=empty, at=self._at)

    def _show_folder(self) -> None:
        width = 22 if self.screen.has_class("-slim") else 25 if self.screen.has_class("-medium") else 31
        if self._folder is None:
            words = "No image folder yet"
        elif self._gone:
            words = f"the folder is gone\n{path_text(self._folder, width)}"
        else:
            total, bad = len(self._rows.names), sum(1 for reason in self._reasons.values() if reason)
            counts = f"{total:,} images" if total != 1 else "1 image"
            if bad:
                counts += f", {bad:,} not usable"
            words = path_text(self._folder, width) + (f"\n{counts}" if total else "")
        self.query_one("#folder", FixedWords).say(words)

    @on(RowList.Highlighted, "#images-list")
    def _highlighted(self, message: RowList.Highlighted) -> None:
        message.stop()
        row = self.images.current  # the cursor may have moved on since
        path = row.key if row is not None and isinstance(row.key, Path) else None
        if self._fresh and path is not None:
            self._fresh, self._began = False, path
        elif path != self._began:
            # An image of the file that the cursor was on, which stands in its place by now, was not chosen either.
            stayed = path is not None and self._began is not None and is_part(path, self._began)
            self._began = path if stayed else None
        if path != self._pointed:
            self._pointed = path
            self.post_message(self.Pointed(path))

    # The answer

    def reserve(self, classes: int) -> None:
        """Keep room for the answer, so that the list does not jump from image to image."""
        self.query_one("#diagnosis", DiagnosisPanel).reserve(classes)

    def show_answer(
        self, diagnosis: Diagnosis | None, *, words: str = "", target: str | None = None, goes_on: bool = False
    ) -> None:
        """Show the network's answer, or words instead of one; whether it `goes_on` see `DiagnosisPanel.show`."""
        most = self.query_one("#answer").styles.max_height
        # A share of the side, of which one line is the border.
        room = max(int(self.size.height * (most.value if most is not None else 0.0) / 100) - 1, 0)
        panel = self.query_one("#diagnosis", DiagnosisPanel)
        panel.show(diagnosis, words=words, target=target, room=room, goes_on=goes_on)

    def show_choices(self, model: Model | None, target: str | None, layer: str | None, look: Look) -> None:
        """Show the class to explain, the layer of the CAMs, and how maps are drawn."""
        choices = self.query_one("#choices", Words)
        self.set_class(model is not None, "-network")
        self.query_one(ColourBar).colormap = look.colormap
        if model is None:
            choices.say("")
            return
        key = "bold $primary"
        class_name = safe_name(target, 40) if target else "as predicted"
        no_default = "to be chosen" if model.layers else "none gives a map"
        layer_name = safe_name(layer or default_layer(model) or no_default, 40)
        parts: list[Part]
        parts = [("t", key), f" class {class_name}\n", ("y", key), f" layer {layer_name}\n"]
        parts += [("o", key), f" {look.display}"]
        if look.display == "overlay":
            parts += [" ", ("[ ]", key), f" {look.opacity:.0%}"]
        choices.say(Content.assemble(*parts))
