"""Visualize & Explain: images, what the network says about one, and where the methods say it looked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widget import Widget

from engine.cells import CELLS
from engine.text import safe_text
from xaimed_tui import messages
from xaimed_tui.kept import Kept, Known
from xaimed_tui.look import Look
from xaimed_tui.method_run import MethodRun
from xaimed_tui.names import method_bindings, method_name
from xaimed_tui.scene import Scene
from xaimed_tui.widgets.image_side import CHOOSE_A_FOLDER, ImageSide
from xaimed_tui.widgets.look_keys import LOOK_BINDINGS, LOOK_OFFERS, LookKeys, Offer
from xaimed_tui.widgets.method_wall import MethodWall
from xaimed_tui.widgets.row_list import RowList
from xaimed_tui.widgets.wall import Wall

if TYPE_CHECKING:
    from engine.bundle import ModelBundle
    from engine.explanation import Explanation
    from xaimed_tui.contracts import Model
    from xaimed_tui.failure import Failure
    from xaimed_tui.jobs import Jobs

SETTLE = 0.08
"""Seconds that a highlighted image must stay so before it is read while one moves on quickly."""

NOT_AT_A_LAYER = frozenset({"lime", "rise"})
"""Methods to which the layer is nothing; of a plug-in that is not known before it runs."""

NO_NETWORK = "No network yet.\n2 chooses a task and a model,\nd opens the demo."


class ExplainView(LookKeys, Horizontal):
    """The list of images and the answer on the left, the pictures on the right."""

    DEFAULT_CSS = "ExplainView #wall { width: 1fr; height: 100%; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "explain_all", "Explain"),
        Binding("s", "stop", "Stop all"),
        Binding("left", "card(-1)", "Picture before", show=False, priority=False),
        Binding("right", "card(1)", "Next picture", show=False),
        Binding("enter", "open", "Detail"),
        Binding("f", "folder", "Folder"),
        Binding("w", "save", "Save"),
        Binding("z", "zoom", "Zoom"),
        *LOOK_BINDINGS,
        Binding("t", "target", "Class"),
        Binding("n", "numbers", "Numbers"),
        Binding("b", "beside", "Beside"),
        Binding("y", "layer", "Layer"),
        Binding("x", "stop_one", "Stop this"),
        Binding("escape", "back", "Back", show=False),
    ]

    @property
    def offered(self) -> Iterable[Offer]:
        """What the command palette has of this view, if it can be done now."""
        yield from (
            ("Choose an image folder", "f", "folder"),
            ("Explain with all methods", "e", "explain_all"),
            *((f"Explain with {method_name(method)}", "one map", f"explain({method!r})") for method in self.runs),
            ("Stop all methods", "s", "stop"),
            ("Stop the method chosen", "x", "stop_one"),
            ("Look closely at the picture chosen", "Enter", "open"),
            ("Choose the class to explain", "t", "target"),
            ("Side by side with another class or network", "b", "beside"),
            ("Choose the layer of the CAMs", "y", "layer"),
            *LOOK_OFFERS,
            ("One cell in all pictures, with its numbers", "n", "numbers"),
            ("Zoom", "z", "zoom"),
            ("Save", "w", "save"),
        )

    def __init__(
        self, *, folder: Path | None = None, image: Path | None = None, look: Look | None = None, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        for key, method in method_bindings().items():
            self._bindings.bind(key, f"explain('{method}')", method_name(method), show=False)
        self.scene = Scene(look=look or Look())
        self._folder = folder
        self._image_wanted = image  # the cursor goes there when the folder is listed
        self._folder_chosen = folder is not None
        self._path: Path | None = None
        self._results: Path | None = None  # the folder written to last: the next image goes there too
        self._kept = Kept(0)
        self._image_failure: Failure | None = None
        self._image_run = 0
        self._settling: Timer | None = None
        self._pointed_from: Widget | None = None
        self._moved_at = float("-inf")

    def compose(self) -> ComposeResult:
        """The two halves."""
        yield ImageSide(id="side")
        yield MethodWall(self.scene, id="wall")

    def on_mount(self) -> None:
        """Say what to do first; open the folder of the command line."""
        self._kept = Kept(1_000_000 * self.app.settings.memory)  # type: ignore[attr-defined]
        if self._folder is not None:
            self.side.list_folder(self._folder, None, at=self._image_wanted)
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
    def wall(self) -> MethodWall:
        """The pictures."""
        return self.query_one(MethodWall)

    @property
    def explanation(self) -> Explanation | None:
        """All maps made so far of the image shown."""
        return self.scene.explanation

    @property
    def runs(self) -> dict[str, MethodRun]:
        """The state of every method on the image shown."""
        return self.wall.runs

    def focus_first(self) -> None:
        """The images, shown as they were last looked at elsewhere."""
        self.images.focus()
        self.look_changed()

    # Model and folder

    def use_model(self, bundle: ModelBundle, model: Model) -> None:
        """Answer with this network from now on."""
        self._forget_image()  # while what was made is still the other network's
        scene = self.scene
        if scene.bundle is None or (scene.bundle.path, scene.bundle.digest) != (bundle.path, bundle.digest):
            scene.target = scene.layer = None
        scene.bundle, scene.model = bundle, model
        if not self._folder_chosen or self._folder == bundle.samples:
            self._folder, self._folder_chosen = bundle.samples, False
        self.side.reserve(len(model.classes))
        self._open_folder()

    def use_folder(self, folder: Path, image: Path | None = None) -> None:
        """Show the images of this folder from now on, the cursor first on one of them."""
        self._folder, self._folder_chosen, self._image_wanted = folder, True, image
        self._open_folder()
        self.images.focus()

    def use_samples(self) -> None:
        """Show the samples of the next network."""
        self._folder_chosen = False

    def _open_folder(self) -> None:
        self._forget_image()
        if (
            self._folder is not None
            and self._folder == self.side.folder
            and self.scene.bundle
            and not self.side.problem
        ):
            self.side.judge_by(self.scene.bundle)  # another network looks at the same images
            self._show_everything()
            wanted = self._image_wanted
            if wanted in (None, self._path) or not self.side.reveal(wanted):
                self._open_image()
            return
        self._path = None
        self.side.list_folder(self._folder, self.scene.bundle, at=self._image_wanted)
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
        """Nothing of the image before may be drawn from here on; what is known of it is kept."""
        scene = self.scene
        if scene.image is not None and scene.pixels is not None and scene.diagnosis is not None:
            known = Known(scene.image, scene.pixels, scene.diagnosis, scene.explanation)
            self._kept.keep(self._key(scene.image.path), known)
        self._image_failure = None
        self.jobs.withdraw("image")
        self.scene.forget_image()
        self.wall.forget()

    def _open_image(self) -> None:
        self._settling = None
        if self._path is None:
            return
        self._image_wanted = self._path
        self.app.remember_place(self._folder, self._path)  # type: ignore[attr-defined]
        usable = self.scene.model is not None and not self.side.reason_of(self._path)
        if usable and (known := self._kept.get(self._key(self._path))) is not None:
            self._show_known(known)
        self._read_image()

    def _read_image(self) -> None:
        """Read the file, and ask the network unless its answer is shown already: the file may be another one by now."""
        assert self._path is not None
        scene = self.scene
        model = None if self.side.reason_of(self._path) else scene.model
        answered = scene.image.sha256 if scene.image is not None and scene.diagnosis is not None else None
        self._image_run = self.jobs.open_image(self, self._path, scene.bundle, model, known=answered)

    def on_image_side_rewritten(self, message: ImageSide.Rewritten) -> None:
        """See whether the file holds another image than the one shown."""
        message.stop()
        if message.path == self._path and self._settling is None:
            self._read_image()

    def _key(self, path: Path) -> tuple[object, ...]:
        """What an explanation depends on, besides the pixels."""
        scene = self.scene
        bundle = None if scene.bundle is None else (scene.bundle.path, scene.bundle.digest)
        return path, bundle, scene.target, scene.layer

    def _show_known(self, known: Known) -> None:
        scene = self.scene
        scene.image, scene.pixels, scene.diagnosis = known.image, known.pixels, known.diagnosis
        if known.explanation is not None:
            self.wall.restore(known.explanation)
        self._show_everything()
        self.refresh_bindings()

    def on_image_read(self, message: messages.ImageRead) -> None:
        """Show the image while the network thinks."""
        if message.run != self._image_run or message.image.path != self._path:
            return
        if self.scene.image is not None:  # what was known is of another content
            self._kept.drop(self._key(self._path))
            self.scene.forget_image()
            self.wall.forget()
            self.wall.show_all()
        self.scene.image, self.scene.pixels = message.image, message.view
        self._show_answer()
        self.wall.show_card("original")

    def on_diagnosis_made(self, message: messages.DiagnosisMade) -> None:
        """Show the answer."""
        if message.run != self._image_run or self.scene.image is None:
            return
        self.scene.diagnosis = message.diagnosis
        if self.scene.target not in (None, *message.diagnosis.classes):
            self.scene.target = None
        self._show_everything()
        self.refresh_bindings()

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say in its place what went wrong with an image."""
        if message.what == "image" and message.run == self._image_run and self._path is not None:
            if self.scene.diagnosis is not None:  # of what the file held before
                self._forget_image()
                self.wall.show_all()
            self._image_failure = message.failure
            self.side.refuse(self._path, message.reason)
            self.refresh_bindings()
            self._show_answer()
            self.wall.show_card("original")

    def on_compliance_found(self) -> None:
        """The image shown may be among those found not to be compliant."""
        if self.side.reason_of(self._path):
            self._show_answer()

    def _show_everything(self) -> None:
        self._show_answer()
        self.wall.show_all()

    def _show_answer(self) -> None:
        scene, words = self.scene, self._words()
        scene.words = "" if scene.model is not None and self._path is None and self._folder is not None else words
        diagnosis = None if self.side.reason_of(self._path) else scene.diagnosis
        self.side.show_answer(diagnosis, words=words, target=scene.explained_class)
        self.side.show_choices(scene.model, scene.target, scene.layer, scene.look)

    def _words(self) -> str:
        """What to say while there is no answer."""
        if reason := self.side.reason_of(self._path) or self.side.problem:
            return safe_text(reason, limit=400)
        if self.scene.model is None:
            return NO_NETWORK
        if self._path is None:
            return "Choose an image." if self.images.total else CHOOSE_A_FOLDER
        return "the network looks…" if self.scene.image is not None else "reading the image…"

    def on_resize(self) -> None:
        """Words are broken to the width of their cards."""
        self.call_after_refresh(self._show_everything)

    @on(Wall.Moved)
    def _card_moved(self) -> None:
        self.wall.show_card(self.wall.active)
        self.refresh_bindings()

    @on(Wall.Opened)
    def _card_opened(self) -> None:
        self.action_open()

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done now."""
        if not self.is_mounted:
            return False
        answered, explanation = self.scene.diagnosis is not None, self.scene.explanation
        match action:
            case "explain_all":
                return answered and bool(self.wall.unfinished())
            case "explain" | "target" | "beside":
                return answered
            case "stop":
                return self.wall.busy
            case "stop_one":
                run = self.runs.get(self.wall.active)
                return run is not None and run.busy
            case "open":
                if self._failure is not None:
                    return True
                return explanation is not None and (self.wall.active == "original" or self._can_open())
            case "numbers" | "display" | "colormap":
                return self._has_maps
            case "opacity":
                return self._has_maps and self.steps_opacity(parameters)
            case "zoom":
                return self.wall.card(self.wall.active).view.picture is not None
            case "layer":
                return self.scene.model is not None
            case "save":
                return explanation is not None
        return True

    @property
    def _failure(self) -> Failure | None:
        """What went wrong with the image, or with the method of the active card."""
        run = self.runs.get(self.wall.active)
        return self._image_failure or (run.failure if run is not None and run.state == "failed" else None)

    @property
    def _has_maps(self) -> bool:
        return any(run.map is not None for run in self.runs.values())

    def _can_open(self) -> bool:
        return self.scene.explanation is not None and (
            self.wall.active in self.scene.explanation.maps or self.wall.active == "agreement"
        )

    @on(RowList.Chosen, "#images-list")
    def _image_chosen(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Look at one method closely, or at what went wrong."""
        if self._failure is not None:
            self.app.show_failure(self._failure)  # type: ignore[attr-defined]
            return
        if self.scene.explanation is None:
            return
        if self.wall.active == "original":
            self.wall.go(next(iter(self.scene.explanation.maps)))
            self.refresh_bindings()
        if self._can_open():
            from xaimed_tui.screens.detail import DetailScreen

            self.app.push_screen(DetailScreen(self.scene.explanation, self.wall.active, self.look), self.wall_after)

    def wall_after(self, key: str | None) -> None:
        """The card last looked at in detail is the active one; all look as it did."""
        if key is not None:
            self.wall.go(key)
            self.refresh_bindings()
        self.look_changed()

    def action_explain_all(self) -> None:
        """Start every method that has no whole map, and show the first one where nothing of them would be seen."""
        methods = self.wall.unfinished()
        if self.wall.one and self.wall.active == "original" and methods:
            self.wall.go(methods[0])
        self.wall.start(methods)

    def action_explain(self, method: str) -> None:
        """Start one method and show it."""
        self.wall.go(method)
        self.wall.start((method,))

    def action_stop(self) -> None:
        """Stop all methods; what they have is kept."""
        self.jobs.stop_methods()

    def action_stop_one(self) -> None:
        """Stop the method of the active card."""
        self.jobs.stop_methods(self.wall.active)

    def action_card(self, step: int) -> None:
        """Make another card the active one, or point at the cell beside."""
        if not self.wall.move_point(0, step):
            self.wall.step(step)

    def action_numbers(self) -> None:
        """Point one cell out in all pictures, with its numbers; arrows and the mouse choose the cell."""
        if self.scene.cell is None:
            self._pointed_from = self.screen.focused
            self.wall.point_at(CELLS[0])
            self.wall.focus()
        else:
            self._leave_numbers()

    def _leave_numbers(self) -> None:
        """Give back the focus that the cell took."""
        self.wall.point_at(None)
        if self.wall.has_focus and self._pointed_from is not None:
            self._pointed_from.focus()

    @property
    def look(self) -> Look:
        """How pictures are shown."""
        return self.scene.look

    def look_changed(self) -> None:
        """Show every card in the new way."""
        self._show_everything()

    def action_zoom(self) -> None:
        """Let the active picture fill the screen."""
        from xaimed_tui.screens.zoom import ZoomScreen

        self.app.push_screen(ZoomScreen(self.wall, self.scene), self.wall_after)

    def action_folder(self) -> None:
        """Choose an image folder."""
        from xaimed_tui.screens.folder import FolderDialog

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                self.use_folder(folder)

        recent = [Path(path) for path in self.app.memory.now.folders]  # type: ignore[attr-defined]
        self.app.push_screen(FolderDialog(self._folder or Path.cwd(), recent), chosen)

    def action_target(self) -> None:
        """Choose the class that is explained."""
        from xaimed_tui.screens.choices import choose_class

        choose_class(self.app, self.scene, lambda: self._explain_again(self.runs))

    def action_layer(self) -> None:
        """Choose the layer at which the CAMs look."""
        from xaimed_tui.screens.choices import choose_layer

        choose_layer(self.app, self.scene, lambda: self._explain_again(set(self.runs) - NOT_AT_A_LAYER))

    def _explain_again(self, methods: Iterable[str]) -> None:
        self._show_answer()
        self.wall.again(methods)

    def action_beside(self) -> None:
        """Compare with another class or another network on this image."""
        from xaimed_tui.screens.beside import open_beside

        open_beside(self.app, self.scene, self.runs, self.wall.active)  # type: ignore[arg-type]

    def action_save(self) -> None:
        """Write what was made."""
        from xaimed_tui.screens.save import DEFAULT_FOLDER, SaveDialog

        if self.scene.explanation is None:
            return
        explanation = self.scene.explanation

        def chosen(folder: Path | None) -> None:
            if folder is not None:
                self._results = folder
                self.jobs.save(self, explanation, folder)

        start = DEFAULT_FOLDER if self._results is None else str(self._results)
        self.app.push_screen(SaveDialog(explanation, start), chosen)

    def action_back(self) -> None:
        """From the pictures to the images, from the images to the models."""
        if self.scene.cell is not None:
            self._leave_numbers()
        elif self.images.has_focus:
            self.app.action_go("selection")  # type: ignore[attr-defined]
        else:
            self.images.focus()
