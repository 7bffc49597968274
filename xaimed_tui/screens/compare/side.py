"""One side of a comparison: a network and a class on the image, with one method's map at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message

from engine.explainers.registry import method_keys
from engine.results.diagnosis import probability_text
from engine.text import safe_name
from xaimed_tui.background import messages
from xaimed_tui.preferences.look import Look
from xaimed_tui.session.method_events import MethodListener
from xaimed_tui.session.method_run import MethodRun
from xaimed_tui.widgets.captions import agreement_caption, method_caption
from xaimed_tui.widgets.cell_keys import CellFrame
from xaimed_tui.widgets.image_view import ImageView
from xaimed_tui.widgets.pictures import agreement_picture, image_picture, method_picture
from xaimed_tui.widgets.words import FixedWords, Part
from xaimed_tui.wording import method_name, undecided_mark

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle.model_bundle import ModelBundle
    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage
    from engine.results.cells import Cell
    from engine.results.diagnosis import Diagnosis
    from xaimed_tui.background.backend import Model
    from xaimed_tui.background.jobs import Jobs


@dataclass
class Answer:
    """What one side starts from; whatever is None is loaded, read or computed.

    Attributes:
        bundle, model: the network.
        path: the image.
        image, pixels, diagnosis: as already read, and answered by this network.
        target: class to explain; None, or a class that the network does not have, for the predicted one.
        layer: the layer of the CAMs; None for the default.
        maps: finished maps of this network, class and layer.
        explanation: the explanation that holds them.
    """

    bundle: ModelBundle
    path: Path
    model: Model | None = None
    image: MedicalImage | None = None
    pixels: NDArray[np.uint8] | None = None
    diagnosis: Diagnosis | None = None
    target: str | None = None
    layer: str | None = None
    maps: Mapping[str, MethodRun] = field(default_factory=dict)
    explanation: Explanation | None = None


class ComparedSide(MethodListener, CellFrame):
    """Loads, asks and explains whatever is missing, with jobs of its own, and shows one map at a time.

    While it has the focus, arrows move through the picture's cells.
    """

    DEFAULT_CSS = """
    ComparedSide { width: 1fr; height: 100%; padding: 0 1; }
    ComparedSide > .who { height: 2; width: 100%; color: $text-muted; }
    ComparedSide:focus > .who { background: $primary 30%; color: $foreground; }
    ComparedSide > ImageView { height: 1fr; width: 100%; }
    ComparedSide > .caption { height: 3; width: 100%; color: $text-muted; }
    """

    @dataclass
    class Changed(Message):
        """The side shows something else, or knows more."""

        side: ComparedSide

    def __init__(self, letter: str, answer: Answer, jobs: Jobs, look: Look, *, id: str) -> None:
        super().__init__(id=id)
        self.letter = letter
        self.answer = answer
        self._look = look
        self._jobs = jobs
        self.runs = {method: answer.maps.get(method) or MethodRun(method) for method in method_keys()}
        self.method = next(iter(self.runs))
        self.cell: Cell | None = None
        self.problem = ""
        self._image_run = 0

    @property
    def jobs(self) -> Jobs:
        """The side's own background work."""
        return self._jobs

    @property
    def explanation(self) -> Explanation | None:
        """The maps made so far."""
        return self.answer.explanation

    def compose(self) -> ComposeResult:
        """Make the heading, the picture and the caption."""
        yield FixedWords(classes="who")
        yield ImageView()
        yield FixedWords(classes="caption")

    def on_mount(self) -> None:
        """Start with the first thing that is missing."""
        self.set_interval(0.5, self._tick, name="elapsed")
        self.show()
        if self.answer.model is None:
            self._jobs.load_model(self, self.answer.bundle)
        elif self.answer.diagnosis is None:
            self._open_image()
        else:
            self._explain()

    def on_resize(self) -> None:
        """Fit the words to the new width."""
        # After the layout, which gives the words their new width.
        self.call_after_refresh(self.show)

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show or hide the sign that arrows move through the cells."""
        super().watch_has_focus(has_focus)
        self.query_one(".who", FixedWords).say(self._who())

    def on_unmount(self) -> None:
        """Stop all work: nothing may go on behind a closed screen."""
        self._jobs.stop_everything()

    # From the network to the maps

    def on_model_loaded(self, message: messages.ModelLoaded) -> None:
        """Ask the network, and stop the message: the app would take the network for the one in use."""
        message.stop()
        self.answer.model = message.model
        self._open_image()

    def _open_image(self) -> None:
        self._image_run = self._jobs.open_image(self, self.answer.path, self.answer.bundle, self.answer.model)
        self.show()

    def on_image_read(self, message: messages.ImageRead) -> None:
        """Show the part of the image that this network sees."""
        if message.ticket == self._image_run:
            self.answer.image, self.answer.pixels = message.image, message.view
            self.show()

    def on_diagnosis_made(self, message: messages.DiagnosisMade) -> None:
        """Explain the answer."""
        if message.ticket == self._image_run:
            self.answer.diagnosis = message.diagnosis
            self._explain()

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say where the picture would be why there is nothing to compare with."""
        # Otherwise the app would say it a second time, in a notice of its own.
        message.stop()
        self.problem = message.reason
        self.show()

    def _explain(self) -> None:
        answer = self.answer
        if answer.model is None or answer.image is None or answer.diagnosis is None:
            return
        if answer.target not in answer.diagnosis.classes:
            answer.target = None
        missing = [method for method, run in self.runs.items() if run.map is None]
        maps = {method: run.map for method, run in self.runs.items() if run.map is not None}
        self.subject = self._jobs.prepare(
            answer.model, answer.image, answer.diagnosis, target_class=answer.target, layer=answer.layer, maps=maps
        )
        for method in missing:
            self.runs[method] = MethodRun(method, "waiting")
        self._jobs.explain(self, self.subject, missing)
        self.show()

    def stop(self) -> None:
        """Stop the methods; their maps so far are kept."""
        self._jobs.stop_methods()

    # What the methods report

    def run_changed(self, run: MethodRun) -> None:
        """Show the method's map if it is in view."""
        if self.method in (run.method, "agreement"):
            self.show()

    def run_advanced(self, run: MethodRun) -> None:
        """Show the method's progress if it is in view."""
        if self.method == run.method:
            self._show_caption()

    def explained(self, explanation: Explanation | None) -> None:
        """Keep all maps so far."""
        self.answer.explanation = explanation

    def run_ended(self) -> None:
        """Report that other keys apply now."""
        self.post_message(self.Changed(self))

    def _tick(self) -> None:
        for run in self.runs.values():
            if run.state == "running":
                self.run_advanced(run)

    # Showing

    def look_at(self, method: str) -> None:
        """Show a method's map, or the `agreement`."""
        self.method = method
        self.show()

    def point_at(self, cell: Cell | None) -> None:
        if cell != self.cell:
            self.cell = cell
            self._show_picture()

    def show(self) -> None:
        self.query_one(".who", FixedWords).say(self._who())
        self._show_picture()
        self._show_caption()
        self.post_message(self.Changed(self))

    @property
    def target(self) -> str | None:
        """The class that is explained, once known."""
        answer = self.answer
        return answer.target or (answer.diagnosis.predicted if answer.diagnosis is not None else None)

    def _who(self) -> Content:
        answer, width = self.answer, max(self.size.width - 4, 20)
        parts: list[Part] = [
            (f"{'▸' if self.has_focus else ' '}{self.letter} ", "bold"),
            (safe_name(answer.bundle.name, width), "bold $foreground"),
        ]
        if answer.diagnosis is not None and self.target is not None:
            place = answer.diagnosis.classes.index(self.target)
            value = probability_text(float(answer.diagnosis.probabilities[place]))
            said = f" {value} {answer.diagnosis.confidences[place]}"
            if self.target != answer.diagnosis.predicted:
                said += ", not predicted"
            said += undecided_mark(answer.diagnosis, self.target)
            name = safe_name(self.target, max(width - len(said), 8))
            parts += ["\n   ", (name, "bold $foreground"), said]
        return Content.assemble(*parts)

    def _show_picture(self) -> None:
        view, answer = self.query_one(ImageView), self.answer
        if self.problem:
            view.placeholder, view.picture = self.problem, None
            return
        view.placeholder = self._words()
        ground = None
        if answer.image is not None and answer.pixels is not None:
            ground = image_picture(answer.image, answer.pixels)
        if self.method == "agreement":
            picture = None
            if ground is not None and answer.explanation is not None:
                picture = agreement_picture(ground, answer.explanation, self._look, highlight=self.cell)
            view.picture = picture
        else:
            run = self.runs[self.method]
            view.picture = method_picture(
                ground, run.map, run.statistics, self._look, highlight=self.cell, show_grid=True
            )

    def _words(self) -> str:
        if self.answer.model is None:
            return "the network is being loaded…"
        if self.answer.diagnosis is None:
            return "asking the network…"
        if self.method == "agreement":
            return "counts where the methods agree"
        run = self.runs[self.method]
        return {"waiting": "waits for its turn", "running": "at work…", "failed": "no map"}.get(run.state, run.state)

    def _show_caption(self) -> None:
        words: Content | str = ""
        if self.method != "agreement":
            words = method_caption(self.runs[self.method], max(self.size.width - 2, 20), self._jobs.clock())
        elif self.explanation is not None:
            words = agreement_caption(self.explanation, self._look)
        self.query_one(".caption", FixedWords).say(words if not self.problem else "")

    def name_of_method(self) -> str:
        """Return the name of what is shown."""
        return "Agreement" if self.method == "agreement" else method_name(self.method)
