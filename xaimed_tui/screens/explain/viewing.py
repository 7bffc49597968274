"""The network, folder and image in view: reads the image, asks the network, and keeps the results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.timer import Timer

from engine.text import safe_text, word_list
from xaimed_tui.app_services import services
from xaimed_tui.background import messages
from xaimed_tui.background.backend import STACK
from xaimed_tui.preferences.look import Look
from xaimed_tui.screens.explain.image_side import CHOOSE_A_FOLDER, ImageSide
from xaimed_tui.screens.explain.method_wall import MethodWall
from xaimed_tui.screens.explain.seeing import Seeing
from xaimed_tui.session.asked import Asked
from xaimed_tui.session.image_cache import CachedImage, ImageCache
from xaimed_tui.session.method_run import MethodRun
from xaimed_tui.session.scene import Scene
from xaimed_tui.widgets.row_list import RowList
from xaimed_tui.wording import EXACT, method_name

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.explanation.explain import Explanation
    from engine.results.diagnosis import Diagnosis
    from xaimed_tui.background.backend import Model
    from xaimed_tui.background.failure import Failure
    from xaimed_tui.background.jobs import Jobs

SETTLE = 0.08
"""Seconds that an image must stay under the cursor before it is read, while the person moves on quickly."""

NO_NETWORK = "No network yet.\n2 chooses a task and a model,\nd opens the demo."


class Viewing(Seeing, Horizontal):
    """The list of images and the answer on the left, the pictures on the right.

    Args:
        folder, image: what to open at first; without a folder, the samples of the network.
        look: how pictures are shown at first.

    Attributes:
        scene: what is shown now.
        folder: the folder of the images; None before there is any.
        image_failure: what went wrong with the image under the cursor.
    """

    def __init__(
        self, *, folder: Path | None = None, image: Path | None = None, look: Look | None = None, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.scene = Scene(look=look or Look())
        self.folder = folder
        self._image_wanted = image  # where the cursor goes when the folder is listed
        self._folder_chosen = folder is not None
        self._path: Path | None = None
        self._kept = ImageCache(0)
        self.image_failure: Failure | None = None
        self._image_run = 0
        self._expected: Path | None = None  # the folder of a network that is being loaded
        self._asked: Asked | None = None
        self._settling: Timer | None = None
        self._to_be_shown = False
        # So the first move never counts as running through the list.
        self._moved_at = float("-inf")

    def compose(self) -> ComposeResult:
        yield ImageSide(id="side")
        yield MethodWall(self.scene, id="wall")

    def on_mount(self) -> None:
        """Say what to do first; open the folder that the command line names."""
        self._kept = ImageCache(1_000_000 * services(self).settings.memory)
        if self.folder is not None:
            self.side.list_folder(self.folder, None, at=self._image_wanted)
        self.show_everything()

    # Shortcuts

    @property
    def jobs(self) -> Jobs:
        return services(self).jobs

    @property
    def side(self) -> ImageSide:
        """The images and the answer."""
        return self.query_one(ImageSide)

    @property
    def images(self) -> RowList:
        return self.side.images

    @property
    def wall(self) -> MethodWall:
        return self.query_one(MethodWall)

    @property
    def explanation(self) -> Explanation | None:
        """All maps made so far of the image shown."""
        return self.scene.explanation

    @property
    def runs(self) -> dict[str, MethodRun]:
        """The run of every method on the image shown."""
        return self.wall.runs

    # Model and folder

    def use_model(self, bundle: ModelBundle, model: Model) -> None:
        """Use this network from now on."""
        asked = self._asked
        self._forget_image()  # first, so that its results are kept as those of the old network
        scene, self._expected = self.scene, None
        if scene.bundle is None or (scene.bundle.path, scene.bundle.digest) != (bundle.path, bundle.digest):
            scene.target = scene.layer = None
        scene.bundle, scene.model = bundle, model
        if not self._folder_chosen or self.folder == bundle.samples:
            self.folder, self._folder_chosen = bundle.samples, False
        self.side.reserve(len(model.classes))
        self._open_folder(asked if asked is not None and asked.network == bundle.path else None)

    def expect(self, bundle: ModelBundle | None) -> None:
        """Note that a network is being loaded, or, with None, that it could not be."""
        self._expected = None if bundle is None else bundle.path
        if bundle is None and self.scene.model is None:
            self._asked = None
        self.show_answer()

    def use_folder(self, folder: Path, image: Path | None = None) -> None:
        """Show the images of this folder from now on, with the cursor on `image` if it is given."""
        self.folder, self._folder_chosen, self._image_wanted = folder, True, image
        self._open_folder()
        self.images.focus()

    def use_samples(self) -> None:
        """Show the samples of the next network."""
        self._folder_chosen = False

    def _open_folder(self, asked: Asked | None = None) -> None:
        self._forget_image()
        if self._image_wanted is not None and self._image_wanted.parent != self.folder:
            self._image_wanted = None  # it is of the folder shown before
        if self.folder is not None and self.folder == self.side.folder and self.scene.bundle and not self.side.problem:
            self.side.judge_by(self.scene.bundle)  # the images are the same; only the network has changed
            self._asked = asked
            self.show_everything()
            wanted = self._image_wanted
            if wanted in (None, self._path) or not self.side.reveal(wanted):
                self._open_image()
            return
        self._path = None
        self.side.list_folder(self.folder, self.scene.bundle, at=self._image_wanted)
        self.show_everything()

    # One image

    def on_image_side_pointed(self, message: ImageSide.Pointed) -> None:
        """Open the image under the cursor: at once, unless the person is running through the list."""
        message.stop()
        asked, offered = self._asked, self.scene.offers
        self._forget_image()
        if asked is not None and message.path is not None and asked.concerns(message.path):
            self._asked = replace(asked, image=message.path)
        self._path = message.path
        # What is the same for both images stays as it is: painting all cards twice for each step takes too long.
        self.scene.goes_on = offered and self._asked is None and self._path is not None and not self._refused
        if self._settling is not None:
            self._settling.stop()
            self._settling = None
        if not self._to_be_shown:
            self._to_be_shown = True
            # The mark in the list is painted first: with all that depends on it, it would lag behind the key.
            self.call_after_refresh(self._show_pointed)
        if self._path is None:
            return
        now = self.jobs.clock()
        if now - self._moved_at >= SETTLE:
            self._open_image()
        else:
            self._settling = self.set_timer(SETTLE, self._open_image)
        self._moved_at = now

    def _show_pointed(self) -> None:
        self._to_be_shown = False
        self.show_everything()
        self.refresh_bindings()

    def _forget_image(self) -> None:
        """Keep the results of the current image and clear it: none of it may be drawn from here on."""
        scene = self.scene
        if scene.image is not None and scene.pixels is not None and scene.diagnosis is not None:
            known = CachedImage(
                scene.image, scene.pixels, scene.diagnosis, scene.explanation, scene.exact, scene.window
            )
            self._kept.keep(self._key(scene.image.path), known)
        self.image_failure = self._asked = None
        self.jobs.withdraw("image")
        self.scene.forget_image()
        self.wall.forget()

    def _open_image(self) -> None:
        self._settling = None
        if self._path is None:
            return
        self._image_wanted = self._path
        services(self).remember_place(self.folder, self._path)
        usable = self.scene.model is not None and not self.side.reason_of(self._path)
        if usable and (known := self._kept.get(self._key(self._path))) is not None:
            self._show_known(known)
        self._read_image()

    def _read_image(self) -> None:
        """Read the file, which may have changed, and ask the network unless its answer is already shown."""
        assert self._path is not None
        scene = self.scene
        model = None if self.side.reason_of(self._path) else scene.model
        answered = scene.image.sha256 if scene.image is not None and scene.diagnosis is not None else None
        self._image_run = self.jobs.open_image(self, self._path, scene.bundle, model, known=answered)

    def on_image_side_rewritten(self, message: ImageSide.Rewritten) -> None:
        """Check whether the file still holds the image that is shown."""
        message.stop()
        if message.path == self._path and self._settling is None:
            self._read_image()

    def _key(self, path: Path) -> tuple[object, ...]:
        """Return what an explanation depends on, besides the pixels."""
        scene = self.scene
        bundle = None if scene.bundle is None else (scene.bundle.path, scene.bundle.digest)
        return path, bundle, scene.target, scene.layer

    def _show_known(self, known: CachedImage) -> None:
        scene = self.scene
        scene.image, scene.pixels, scene.diagnosis = known.image, known.pixels, known.diagnosis
        scene.window = known.window
        self.look_on()
        self.wall.restore(known.explanation, known.exact)
        self._answered()

    def on_image_read(self, message: messages.ImageRead) -> None:
        """Show the image while the network thinks."""
        if message.ticket != self._image_run or message.image.path != self._path:
            return
        if self.scene.image is not None:  # the kept results are of older content
            self._kept.drop(self._key(self._path))
            self.scene.forget_image()
            self.wall.forget()
            self.wall.show_all()
        self.scene.image, self.scene.pixels, self.scene.window = message.image, message.view, message.window
        self.look_on()
        self.show_answer()
        self.wall.show_card("original")

    def on_diagnosis_made(self, message: messages.DiagnosisMade) -> None:
        if message.ticket != self._image_run or self.scene.image is None:
            return
        self.scene.diagnosis = message.diagnosis
        if self.scene.target not in (None, *message.diagnosis.classes):
            self.scene.target = None
        self._answered()

    def _answered(self) -> None:
        """Show the answer, and start what was asked for before it was there."""
        asked, self._asked = self._asked, None
        self.ask_for_input()
        self.show_everything()
        self.refresh_bindings()
        if asked is not None:
            self.start_methods(asked.methods)

    def seen_otherwise(self) -> None:
        """Show the image again. Maps lie on what the network gets, unless one fills the screen."""
        self.wall.show_card("original")
        self.refresh_bindings()

    def start_methods(self, methods: tuple[str, ...]) -> None:
        """Start methods, all of them if none is named; subclasses say how."""
        raise NotImplementedError

    @property
    def answer(self) -> Diagnosis | None:
        """The network's answer as it is shown: none for an image that was found not to be compliant."""
        return None if self.side.reason_of(self._path) else self.scene.diagnosis

    @property
    def awaits_answer(self) -> bool:
        """Whether an answer to explain is under way: the image is being read, or the network asked or loaded."""
        if self.scene.diagnosis is not None or self.folder is None or self.image_failure is not None:
            return False
        if (self.scene.model is None and self._expected is None) or self.side.problem:
            return False
        return self.side.listing if self._path is None else not self.side.reason_of(self._path)

    def ask_for(self, methods: tuple[str, ...]) -> None:
        """Remember methods (all, if none is named) until the answer is there, and say so."""
        bundle = self.scene.bundle
        network = self._expected if self.scene.model is None or bundle is None else bundle.path
        if network is not None:
            wanted = methods if self._asked is None else self._asked.with_(methods)
            self._asked = Asked(network, self._path, wanted)
            self.scene.goes_on = False
            self.show_everything()
            self.refresh_bindings()

    def forget_asked(self) -> None:
        """Do not start the methods that were asked for."""
        self._asked = None
        self.show_everything()
        self.refresh_bindings()

    @property
    def expects_network(self) -> bool:
        """Whether a network is being loaded."""
        return self._expected is not None

    @property
    def asked(self) -> bool:
        """Whether methods wait for the answer."""
        return self._asked is not None

    def on_job_failed(self, message: messages.JobFailed) -> None:
        """Say where the image would be what went wrong with it."""
        if message.what == "image" and message.ticket == self._image_run and self._path is not None:
            if message.code == STACK and self.side.unfold(self._path):
                self.show_answer()
                self.wall.show_card("original")
                return
            if self.scene.diagnosis is not None:  # of older content of the file
                self._forget_image()
                self.wall.show_all()
            self._stop_going_on()
            self.image_failure, self._asked = message.failure, None
            # The list shows which file it is; in this narrow pane its path would push out the cause.
            reason, own = message.reason, f"{safe_text(self._path)}: "
            if reason.startswith(own):
                cause = reason.removeprefix(own)
                reason = f"{cause[:1].upper()}{cause[1:]}."
            self.side.refuse(self._path, reason)
            self.refresh_bindings()
            self.show_answer()
            self.wall.show_card("original")

    def on_compliance_found(self) -> None:
        """Update the answer: the image shown may be among those found not to be compliant."""
        if self._refused:
            self._asked = None
            self._stop_going_on()
            self.show_answer()
            self.refresh_bindings()

    def _stop_going_on(self) -> None:
        """Say of no map any more how it is made: there will be no answer."""
        if self.scene.goes_on:
            self.scene.goes_on = False
            self.wall.show_all()

    @property
    def _refused(self) -> bool:
        """Whether the image is known not to be usable."""
        return bool(self.side.reason_of(self._path))

    def show_everything(self) -> None:
        """Show the scene as it is now."""
        self.show_answer()
        self.wall.show_all()

    def show_answer(self) -> None:
        """Show the answer, or words instead of one, and what is chosen."""
        scene, words = self.scene, self._words()
        scene.words = "" if scene.model is not None and self._path is None and self.folder is not None else words
        self.side.show_answer(self.answer, words=words, target=scene.explained_class, goes_on=scene.goes_on)
        self.side.show_choices(scene.model, scene.target, scene.layer, scene.look)

    def _words(self) -> str:
        """Return what to say while there is no answer."""
        if reason := self.side.reason_of(self._path) or self.side.problem:
            return safe_text(reason, limit=400)
        if self.scene.model is None:
            words = NO_NETWORK if self._expected is None else "loading the network…"
        elif self._path is None:
            words = "Choose an image." if self.images.total else CHOOSE_A_FOLDER
        else:
            reading = "finding the images in this file…" if self.side.unfolds(self._path) else "reading the image…"
            words = reading if self.scene.image is None else "asking the network…"
        if self._asked is None:
            return words
        names = word_list([method_name(method) for method in self._asked.methods]) or "The methods"
        runs = "runs" if len(self._asked.methods) == 1 and EXACT not in self._asked.methods else "run"
        return f"{words}\n{names} {runs} as soon as the answer is there."

    def on_resize(self) -> None:
        """Fit all words to the new width of their cards."""
        self.call_after_refresh(self.show_everything)
