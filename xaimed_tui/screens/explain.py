"""Visualize & Explain: images, what the network says about one, and where four methods say it looked."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.timer import Timer

from engine.explanation import METHOD_NAMES, METHODS
from engine.text import safe_text
from xaimed_tui import messages
from xaimed_tui.method_run import MethodRun
from xaimed_tui.names import METHOD_KEYS
from xaimed_tui.screens.cards import DISPLAYS, Display, Shown, show_agreement, show_method, show_original, show_progress
from xaimed_tui.widgets.image_side import CHOOSE_A_FOLDER, ImageSide
from xaimed_tui.widgets.row_list import Row, RowList
from xaimed_tui.widgets.wall import Wall

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle import ModelBundle
    from engine.diagnosis import Diagnosis
    from engine.explanation import Explanation
    from engine.images.raster import MedicalImage
    from xaimed_tui.facade import Model
    from xaimed_tui.jobs import Jobs, Subject

SETTLE = 0.08
"""Seconds that a highlighted image must stay so before it is read while one moves on quickly."""

CAMS = ("gradcam", "gradcam++")

NO_NETWORK = "No network yet: 2 chooses a task and a model."


class ExplainView(Horizontal):
    """The list of images and the answer on the left, the pictures on the right."""

    DEFAULT_CSS = "ExplainView #wall { width: 1fr; height: 100%; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "folder", "Folder"),
        Binding("e", "explain_all", "Explain"),
        *(
            Binding(key, f"explain('{method}')", METHOD_NAMES[method], show=False)
            for key, method in METHOD_KEYS.items()
        ),
        Binding("s", "stop", "Stop all"),
        Binding("x", "stop_one", "Stop this"),
        Binding("left", "card(-1)", "Picture before", show=False, priority=False),
        Binding("right", "card(1)", "Next picture", show=False),
        Binding("enter", "open", "Detail"),
        Binding("o", "display", "View"),
        Binding("t", "target", "Class"),
        Binding("y", "layer", "Layer"),
        Binding("w", "save", "Save"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self, *, folder: Path | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
        self._folder = folder
        self._folder_chosen = folder is not None
        self._bundle: ModelBundle | None = None
        self._model: Model | None = None
        self._path: Path | None = None
        self._image_run = 0
        self._image: MedicalImage | None = None
        self._pixels: NDArray[np.uint8] | None = None
        self._diagnosis: Diagnosis | None = None
        self._target: str | None = None
        self._layer: str | None = None
        self._subject: Subject | None = None
        self._runs = {method: MethodRun(method) for method in METHODS}
        self._explanation: Explanation | None = None
        self._display: Display = "overlay"
        self._settling: Timer | None = None
        self._moved_at = float("-inf")

    def compose(self) -> ComposeResult:
        """The two halves."""
        yield ImageSide(id="side")
        yield Wall(id="wall")

    def on_mount(self) -> None:
        """Say what to do first; open the folder of the command line."""
        self.set_interval(0.5, self._tick, name="elapsed")
        if self._folder is not None:
            self.side.list_folder(self._folder, None)
        self._show_everything()

    # Shortcuts

    @property
    def jobs(self) -> Jobs:
        """The app's background work."""
        return self.app.jobs  # type: ignore[attr-defined,no-any-return]

    @property
    def side(self) -> ImageSide:
        """The images and the answer."""
        return self.query_one(ImageSide)

    @property
    def images(self) -> RowList:
        """The list of images."""
        return self.side.images

    @property
    def wall(self) -> Wall:
        """The pictures."""
        return self.query_one(Wall)

    @property
    def explanation(self) -> Explanation | None:
        """All maps made so far of the image shown."""
        return self._explanation

    @property
    def runs(self) -> dict[str, MethodRun]:
        """The state of every method on the image shown."""
        return self._runs

    def focus_first(self) -> None:
        """The images."""
        self.images.focus()

    # Model and folder

    def use_model(self, bundle: ModelBundle, model: Model) -> None:
        """Answer with this network from now on."""
        if self._bundle is None or self._bundle.path != bundle.path:
            self._target = self._layer = None
        self._bundle, self._model = bundle, model
        if not self._folder_chosen:
            self._folder = bundle.samples
        self.side.reserve(len(model.classes))
        self._open_folder()

    def use_folder(self, folder: Path) -> None:
        """Show the images of this folder from now on."""
        self._folder, self._folder_chosen = folder, True
        self._open_folder()
        self.images.focus()

    def _open_folder(self) -> None:
        self._forget_image()
        self._path = None
        self.side.list_folder(self._folder, self._bundle)
        self._show_everything()

    # One image

    def on_image_side_pointed(self, message: ImageSide.Pointed) -> None:
        """Open the image under the cursor: at once, but not every one of a row that is run through."""
        message.stop()
        self._forget_image()
        self._path = message.path
        if self._settling is not None:
            self._settling.stop()
            self._settling = None
        self._show_everything()
        if self._path is None:
            return
        now = self.jobs.clock()
        if now - self._moved_at >= SETTLE:
            self._open_image()
        else:
            self._settling = self.set_timer(SETTLE, self._open_image)
        self._moved_at = now

    def _forget_image(self) -> None:
        """Nothing of the image before may be drawn from here on."""
        self.jobs.withdraw("image", "explain")
        self._image = self._pixels = self._diagnosis = None
        self._forget_maps()

    def _forget_maps(self) -> None:
        self._subject = self._explanation = None
        self._runs = {method: MethodRun(method) for method in METHODS}
        self._say()
        self.refresh_bindings()

    def _open_image(self) -> None:
        self._settling = None
        if self._path is None:
            return
        model = None if self.side.reason_of(self._path) else self._model
        self._image_run = self.jobs.open_image(self, self._path, self._bundle, model)

    def on_image_read(self, message: messages.ImageRead) -> None:
        """Show the image while the network thinks."""
        if message.run != self._image_run or message.image.path != self._path:
            return
        self._image, self._pixels = message.image, message.view
        self._show_answer()
        self._show_card("original")

    def on_diagnosis_made(self, message: messages.DiagnosisMade) -> None:
        """Show the answer."""
        if message.run != self._image_run or self._image is None:
            return
        self._diagnosis = message.diagnosis
        if self._target not in (None, *message.diagnosis.classes):
            self._target = None
        self._show_everything()
        self.refresh_bindings()

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say in its place what went wrong with an image."""
        if message.what == "image" and message.run == self._image_run and self._path is not None:
            self.side.refuse(self._path, message.reason)
            self._show_answer()
            self._show_card("original")

    def on_compliance_found(self) -> None:
        """The image shown may be among those found not to be compliant."""
        if self.side.reason_of(self._path):
            self._show_answer()

    def _show_answer(self) -> None:
        reason = self.side.reason_of(self._path)
        diagnosis = None if reason else self._diagnosis
        target = self._target or (diagnosis.predicted if diagnosis is not None else None)
        self.side.show_answer(diagnosis, words=self._words(), target=target)
        self.side.show_choices(self._model, self._target, self._layer)

    def _words(self) -> str:
        """What to say while there is no answer."""
        if reason := self.side.reason_of(self._path):
            return safe_text(reason, limit=400)
        if self._model is None:
            return NO_NETWORK
        if self._path is None:
            return "Choose an image." if self._folder is not None else CHOOSE_A_FOLDER
        return "the network looks…" if self._image is not None else "reading the image…"

    # Methods

    def _start(self, methods: Iterable[str]) -> None:
        if self._model is None or self._image is None or self._diagnosis is None:
            return
        if self._subject is None:
            kept = {m: run.map for m, run in self._runs.items() if run.map is not None and run.state == "done"}
            self._subject = self.jobs.prepare(
                self._model, self._image, self._diagnosis, target_class=self._target, layer=self._layer, maps=kept
            )
        wanted = [method for method in methods if not self._runs[method].busy]
        for method in wanted:
            self._runs[method] = MethodRun(method, "waiting")
            self._show_card(method)
        self.jobs.explain(self, self._subject, wanted)
        self._say()
        self.refresh_bindings()

    def _run_of(self, message: messages.OfMethod) -> MethodRun | None:
        """The state that a message is about; None if the message is stale."""
        if self._subject is None or message.run != self._subject.ticket.run:
            return None
        return self._runs[message.method]

    def on_method_started(self, message: messages.MethodStarted) -> None:
        """A method is at work."""
        if (run := self._run_of(message)) is not None:
            run.state, run.since = "running", self.jobs.clock()
            self._show_card(message.method)

    def on_method_advanced(self, message: messages.MethodAdvanced) -> None:
        """A method has come further."""
        if (run := self._run_of(message)) is not None and run.busy:
            run.done, run.total = message.done, message.total
            self._show_progress(message.method)

    def on_map_sharpened(self, message: messages.MapSharpened) -> None:
        """A running method has a better map."""
        if (run := self._run_of(message)) is not None and run.busy:
            run.map, run.statistics = message.map, message.statistics
            self._show_card(message.method)

    def on_map_finished(self, message: messages.MapFinished) -> None:
        """A method has ended with a map."""
        if (run := self._run_of(message)) is None:
            return
        self._explanation = message.explanation
        run.state = "done"
        run.map, run.statistics = message.explanation.maps[run.method], message.explanation.statistics[run.method]
        self._show_card(message.method)
        self._show_card("agreement")
        self._say()
        self.refresh_bindings()

    def on_method_stopped(self, message: messages.MethodStopped) -> None:
        """A method was stopped before it had anything."""
        if self._run_of(message) is not None:
            self._runs[message.method] = MethodRun(message.method, "stopped")
            self._show_card(message.method)
            self._say()
            self.refresh_bindings()

    def on_method_failed(self, message: messages.MethodFailed) -> None:
        """A method could not make its map."""
        if self._run_of(message) is not None:
            self._runs[message.method] = MethodRun(message.method, "failed", reason=safe_text(message.reason))
            self._show_card(message.method)
            self._say()
            self.refresh_bindings()

    # What is shown

    def _show_everything(self) -> None:
        self._show_answer()
        for card in self.wall:
            self._show_card(card.key)

    def _shown(self) -> Shown:
        return Shown(
            self._image,
            self._pixels,
            self._diagnosis is not None,
            self._words() if self._model is None or self._path is not None else "",
            self._display,
            self.jobs.clock(),
            self._explanation,
        )

    def _show_card(self, key: str) -> None:
        card, shown = self.wall.card(key), self._shown()
        if key == "original":
            show_original(card, shown)
        elif key == "agreement":
            show_agreement(card, shown)
        else:
            show_method(card, self._runs[key], shown)

    def _show_progress(self, method: str) -> None:
        show_progress(self.wall.card(method), self._runs[method], self._shown())

    def _tick(self) -> None:
        for run in self._runs.values():
            if run.state == "running":
                self._show_progress(run.method)

    def _say(self) -> None:
        """How far the image as a whole is, for the line at the top."""
        if self._model is None:
            return
        asked = [run for run in self._runs.values() if run.state != "idle"]
        ended = sum(1 for run in asked if not run.busy)
        if ended < len(asked):
            self.app.say(f"explaining, {ended} of {len(asked)} done")  # type: ignore[attr-defined]
        else:
            self.app.say(f"ready on {safe_text(self._model.device, limit=20)}")  # type: ignore[attr-defined]

    @on(Wall.Moved)
    def _card_moved(self) -> None:
        self.refresh_bindings()

    @on(Wall.Opened)
    def _card_opened(self) -> None:
        self.action_open()

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done now."""
        if not self.is_mounted:
            return False
        busy = any(run.busy for run in self._runs.values())
        match action:
            case "explain_all":
                return self._diagnosis is not None and bool(self._unfinished())
            case "explain":
                return self._diagnosis is not None
            case "stop":
                return busy
            case "stop_one":
                run = self._runs.get(self.wall.active)
                return run is not None and run.busy
            case "open":
                return self._explanation is not None and (self.wall.active == "original" or self._can_open())
            case "display":
                return any(run.map is not None for run in self._runs.values())
            case "target":
                return self._diagnosis is not None
            case "layer":
                return self._model is not None
            case "save":
                return self._explanation is not None
        return True

    def _unfinished(self) -> list[str]:
        return [
            method
            for method, run in self._runs.items()
            if not run.busy and (run.state != "done" or (run.map is not None and run.map.stopped))
        ]

    def _can_open(self) -> bool:
        return self._explanation is not None and (
            self.wall.active in self._explanation.maps or self.wall.active == "agreement"
        )

    @on(RowList.Chosen, "#images-list")
    def _image_chosen(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Look at one method closely."""
        if self._explanation is None:
            return
        if self.wall.active == "original":
            self.wall.go(next(iter(self._explanation.maps)))
            self.refresh_bindings()
        if self._can_open():
            from xaimed_tui.screens.detail import DetailScreen

            self.app.push_screen(DetailScreen(self._explanation, self.wall.active), self.wall_after)

    def wall_after(self, key: str | None) -> None:
        """The card last looked at in detail is the active one."""
        if key is not None:
            self.wall.go(key)
            self.refresh_bindings()

    def action_explain_all(self) -> None:
        """Start every method that has no whole map."""
        self._start(self._unfinished())

    def action_explain(self, method: str) -> None:
        """Start one method and show it."""
        self.wall.go(method)
        self._start((method,))

    def action_stop(self) -> None:
        """Stop all methods; what they have is kept."""
        self.jobs.stop_methods()

    def action_stop_one(self) -> None:
        """Stop the method of the active card."""
        self.jobs.stop_methods(self.wall.active)

    def action_card(self, step: int) -> None:
        """Make another card the active one."""
        self.wall.step(step)

    def action_display(self) -> None:
        """Overlay, map alone, cells on the image."""
        self._display = DISPLAYS[(DISPLAYS.index(self._display) + 1) % len(DISPLAYS)]
        for method in METHODS:
            self._show_card(method)

    def action_folder(self) -> None:
        """Choose an image folder."""
        from xaimed_tui.screens.folder import FolderDialog

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                self.use_folder(folder)

        self.app.push_screen(FolderDialog(self._folder or Path.cwd()), chosen)

    def action_target(self) -> None:
        """Choose the class that is explained."""
        from xaimed_tui.screens.dialogs import ChooseDialog

        if self._diagnosis is None:
            return
        diagnosis = self._diagnosis
        rows = [Row("", f"the predicted class ({safe_text(diagnosis.predicted, limit=40)})")]
        rows += [
            Row(name, f"{safe_text(name, limit=40)}   {value:.2f} {level}")
            for name, value, level in zip(
                diagnosis.classes, diagnosis.probabilities, diagnosis.confidences, strict=True
            )
        ]

        def chosen(name: object) -> None:
            if isinstance(name, str) and (name or None) != self._target:
                self._target = name or None
                self._again(METHODS)

        about = "The maps show what speaks for this class."
        self.app.push_screen(ChooseDialog("Class to explain", about, rows, self._target or ""), chosen)

    def action_layer(self) -> None:
        """Choose the layer at which the CAMs look."""
        from xaimed_tui.screens.dialogs import ChooseDialog

        if self._model is None:
            return
        model = self._model
        current = self._layer or model.default_layer
        rows = [
            Row(
                layer.name, f"{safe_text(layer.name, limit=40)}   {layer.channels} maps of {layer.height}x{layer.width}"
            )
            for layer in model.layers
        ]

        def chosen(name: object) -> None:
            if isinstance(name, str) and name != current:
                self._layer = None if name == model.default_layer else name
                self._again(CAMS)

        about = "Grad-CAM and Grad-CAM++ look here. Early layers show detail, late ones meaning."
        self.app.push_screen(ChooseDialog("Layer of the CAMs", about, rows, current), chosen)

    def _again(self, affected: Iterable[str]) -> None:
        """Start anew, with other settings, what was made or under way; maps that are not affected stay."""
        affected = tuple(affected)
        again = [m for m, run in self._runs.items() if run.busy or (m in affected and run.state != "idle")]
        self.jobs.withdraw("explain")
        self._subject = self._explanation = None
        for method in {*again, *affected}:
            self._runs[method] = MethodRun(method)
        self._show_everything()
        if again:
            self._start(again)
        self.refresh_bindings()

    def action_save(self) -> None:
        """Write what was made."""
        from xaimed_tui.screens.save import SaveDialog

        if self._explanation is None:
            return
        explanation = self._explanation

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                self.jobs.save(self, explanation, folder)

        self.app.push_screen(SaveDialog(explanation), chosen)

    def action_back(self) -> None:
        """From the pictures to the images, from the images to the models."""
        if self.images.has_focus:
            self.app.action_go("selection")  # type: ignore[attr-defined]
        else:
            self.images.focus()

    def commands(self) -> Iterable[SystemCommand]:
        """What the command palette offers here."""
        yield SystemCommand("Choose an image folder", "f", self.action_folder)
        if self._diagnosis is not None:
            yield SystemCommand("Explain with all four methods", "e", self.action_explain_all)
            for method in METHODS:
                name = METHOD_NAMES[method]
                yield SystemCommand(f"Explain with {name}", "one map", partial(self.action_explain, method))
            yield SystemCommand("Choose the class to explain", "t", self.action_target)
        if self._model is not None:
            yield SystemCommand("Choose the layer of the CAMs", "y", self.action_layer)
        if self._explanation is not None:
            yield SystemCommand("Save", "w", self.action_save)
