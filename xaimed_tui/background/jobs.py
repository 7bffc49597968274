"""The only place that starts background work, and all work that calls the engine.

Work is done in lanes: one thread each, jobs in order. Threads never touch widgets; they post the messages of
`messages.py` to the widget that asked. Every job has a `Ticket`. Starting a job of the same kind withdraws the old
ticket: its work stops, and receivers ignore its late messages.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from engine.errors import Stopped, XAIMedError
from engine.explainers.registry import running_place, sampling
from engine.text import safe_text
from xaimed_tui.background import messages
from xaimed_tui.background.asking import Asking
from xaimed_tui.background.backend import Engine, Model, SaveWish
from xaimed_tui.background.explaining import Explaining, Subject, Work
from xaimed_tui.background.failure import DOING, failure_of, fault_line
from xaimed_tui.background.lanes import Lane, Ticket
from xaimed_tui.background.listing import Listing
from xaimed_tui.background.weighing import Weighing
from xaimed_tui.wording import EVIDENCE, EXACT

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

    from engine.bundle.model_bundle import ModelBundle
    from engine.explanation.explain import Explanation
    from engine.images.eye import EyeWindow
    from engine.images.image import MedicalImage
    from engine.progress import Progress
    from engine.results.diagnosis import Diagnosis
    from engine.results.evidence import Evidence
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from xaimed_tui.background.library_changes import Change
    from xaimed_tui.preferences.remembered import StateFile

log = logging.getLogger("xaimed.jobs")

COMPLIANCE_EVERY = 1 / 10
"""Seconds between two messages about the compliance of files."""

_LANES = (
    *("pytorch", "tasks", "model", "check", "picture", "folder", "compliance", "image", "window", "whole", "fed"),
    *("explain", "save", "state"),
)


_RANKS = 2
"""Ranks of a place in the order of running, so that something fits in between."""

_LAST = 1000
"""The rank of what runs after all methods."""


class Jobs:
    """Starts, stops and numbers all background work of the app."""

    def __init__(self, app: App[int], engine: Engine, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._engine = engine
        self.clock = clock
        self._numbers = itertools.count(1)
        self._tickets: dict[str, Ticket] = {}
        self._lanes = {name: Lane(app, name) for name in _LANES}
        self._subject: Subject | None = None
        self._saving: list[threading.Event] = []  # one for everything that is being saved, or waits for that
        # Weak, so that a comparison that is closed takes its jobs with it.
        self._siblings: WeakSet[Jobs] = WeakSet()

    def sibling(self) -> Jobs:
        """Return jobs on the same engine with their own lanes and tickets: neither withdraws tickets of the other."""
        jobs = Jobs(self._app, self._engine, clock=self.clock)
        self._siblings.add(jobs)
        return jobs

    # Tickets

    def _ticket(self, kind: str) -> Ticket:
        """Issue a new ticket; withdraw the old one of this kind."""
        self.withdraw(kind)
        ticket = self._tickets[kind] = Ticket(next(self._numbers))
        return ticket

    def withdraw(self, *kinds: str) -> None:
        """Stop and silence the current jobs of these kinds."""
        for kind in kinds:
            if ticket := self._tickets.pop(kind, None):
                ticket.withdrawn.set()
            if kind == "explain":
                self.stop_methods()

    def stop_everything(self) -> None:
        """Ask all work to end, as the app is being left."""
        self.withdraw(*list(self._tickets))
        self.stop_methods()
        for jobs in self._siblings:
            jobs.stop_everything()

    def _guarded(self, what: str, ticket: Ticket, target: Widget | App[int], work: Callable[[], None]) -> None:
        """Run a job's work and turn what it raises into a message."""
        if ticket.withdrawn.is_set():
            return
        try:
            work()
        except Stopped:  # as it was asked to
            return
        except XAIMedError as error:
            log.warning("%s: %s", DOING.get(what, what), error)
            failure = failure_of(what, error)
            ticket.post(target, messages.JobFailed(what, ticket.number, error.message, failure, error.code))
        except Exception as error:  # a fault of ours or of a model's code: said, and the lane goes on
            log.exception("job %s failed", what)
            failure = failure_of(what, error)
            ticket.post(target, messages.JobFailed(what, ticket.number, fault_line(error), failure))
            self._app.post_message(messages.FaultFound(failure))

    # PyTorch, tasks and models

    def warm_up(self, target: App[int], *, when_warm: Callable[[], None] | None = None) -> None:
        """Import PyTorch, so that the first model need not wait for it, then what the methods need."""
        ticket = self._ticket("pytorch")

        def work() -> None:
            try:
                self._engine.warm_up()
                ticket.post(target, messages.TorchImported())
                if not ticket.withdrawn.is_set():
                    import xaimed_tui.render.picture  # noqa: F401 - so that the first picture need not wait for it

                    self._engine.warm_methods()
            # Even after an error: until then no garbage is collected at all.
            finally:
                if when_warm is not None:
                    when_warm()

        self._lanes["pytorch"].put(lambda: self._guarded("pytorch", ticket, target, work))

    def list_tasks(self, target: Widget) -> None:
        """Read the task library."""
        ticket = self._ticket("tasks")

        def work() -> None:
            ticket.post(target, messages.TasksListed(self._engine.list_tasks()))

        self._lanes["tasks"].put(lambda: self._guarded("tasks", ticket, target, work))

    def change_library(self, target: Widget, change: Change) -> None:
        """Add, describe, remove or restore a task or a model."""
        ticket = Ticket(next(self._numbers))  # never withdrawn: a change is finished once begun, and reported

        def work() -> None:
            said = safe_text(self._engine.change_library(change), limit=600)
            ticket.post(target, messages.LibraryChanged(change.task, change.model, said))

        # In the lane of the listings: the library is not read while it is being changed.
        self._lanes["tasks"].put(lambda: self._guarded("change", ticket, target, work))

    def list_removed(self, target: Widget) -> None:
        """Find out what can be restored."""
        ticket = self._ticket("removed")

        def work() -> None:
            ticket.post(target, messages.RemovedListed(tuple(self._engine.removed())))

        self._lanes["tasks"].put(lambda: self._guarded("removed", ticket, target, work))

    def review_model(self, target: Widget, path: Path, task: str) -> int:
        """Read a model's code, for a person to review."""
        ticket = self._ticket("review")

        def work() -> None:
            ticket.post(target, messages.ModelReviewed(ticket.number, self._engine.review(path, task)))

        self._lanes["tasks"].put(lambda: self._guarded("review", ticket, target, work))
        return ticket.number

    def check_model(self, target: Widget, bundle: ModelBundle) -> None:
        """Check a model the way a physician would use it; `withdraw("check")` stops it."""
        ticket = self._ticket("check")

        def begun(method: str) -> None:
            ticket.post(target, messages.CheckAdvanced(method))

        def advanced(done: float, total: float) -> None:
            ticket.post(target, messages.CheckPaced(round(done), round(total)))

        def work() -> None:
            passed, lines = self._engine.check(bundle, begun, advanced, ticket.withdrawn)
            ticket.post(target, messages.ModelChecked(passed, tuple(lines)))

        self._lanes["check"].put(lambda: self._guarded("check", ticket, target, work), drop_waiting=True)

    def approve_model(self, target: Widget, bundle: ModelBundle) -> None:
        """Store that a model's code may run."""
        ticket = Ticket(next(self._numbers))  # never withdrawn: a person's decision is stored

        def work() -> None:
            self._engine.approve(bundle)
            ticket.post(target, messages.ModelApproved(bundle))

        self._lanes["tasks"].put(lambda: self._guarded("approval", ticket, target, work))

    def load_model(self, target: Widget, bundle: ModelBundle) -> int:
        """Load a network; methods at work on the previous one stop and keep the maps they have."""
        self.stop_methods()
        ticket = self._ticket("model")

        def work() -> None:
            model = self._engine.load(bundle)
            ticket.post(target, messages.ModelLoaded(ticket.number, bundle, model))

        self._lanes["model"].put(lambda: self._guarded("model", ticket, target, work), drop_waiting=True)
        return ticket.number

    def open_picture(self, target: Widget, path: Path) -> int:
        """Read a picture that describes a model."""
        ticket = self._ticket("picture")

        def work() -> None:
            image = self._engine.read_small(path)
            ticket.post(target, messages.PictureRead(ticket.number, self._engine.view(image, None)))

        self._lanes["picture"].put(lambda: self._guarded("picture", ticket, target, work), drop_waiting=True)
        return ticket.number

    # Folders and images

    def list_folder(self, target: Widget, folder: Path) -> int:
        """List a folder, and report its changes until another one is listed."""
        self.withdraw("image", "explain", "compliance")
        ticket = self._ticket("folder")

        listing = Listing(self._engine, self._app, target, ticket, folder)
        self._lanes["folder"].put(lambda: self._guarded("folder", ticket, target, listing.run))
        return ticket.number

    def judge(
        self, target: Widget, folder: Path, names: Sequence[str], bundle: ModelBundle, *, whole: bool = True
    ) -> int:
        """Find out which images of a folder can be fed to a network.

        Until the list is `whole`, nothing is said of files that hold several images: it will have these in their place.
        """
        ticket = self._ticket("compliance")

        def work() -> None:
            found: dict[str, str] = {}
            posted = time.monotonic()
            for name in names:
                if ticket.withdrawn.is_set():
                    return
                reason = self._engine.why_not_compliant(folder / name, bundle)
                if not reason or whole or not self._engine.holds_several(folder / name):
                    found[name] = reason
                if time.monotonic() - posted > COMPLIANCE_EVERY:
                    ticket.post(target, messages.ComplianceFound(ticket.number, found))
                    # Another dictionary: the message just posted keeps the old one.
                    found, posted = {}, time.monotonic()
            ticket.post(target, messages.ComplianceFound(ticket.number, found))

        self._lanes["compliance"].put(lambda: self._guarded("folder", ticket, target, work), drop_waiting=True)
        return ticket.number

    def open_image(
        self, target: Widget, path: Path, bundle: ModelBundle | None, model: Model | None, *, known: str | None = None
    ) -> int:
        """Read an image and, if there is a network, let it answer; report nothing if the digest is the `known` one."""
        ticket = self._ticket("image")

        def work() -> None:
            image = self._engine.read(path)
            if image.sha256 == known:
                return
            view, window = self._engine.view(image, bundle), self._engine.fed_window(image, bundle)
            ticket.post(target, messages.ImageRead(ticket.number, image, view, window))
            if model is not None and not ticket.withdrawn.is_set():
                diagnosis = self._engine.diagnose(model, image)
                ticket.post(target, messages.DiagnosisMade(ticket.number, diagnosis))

        self._lanes["image"].put(lambda: self._guarded("image", ticket, target, work), drop_waiting=True)
        return ticket.number

    def look_through(self, target: Widget, image: MedicalImage, bundle: ModelBundle | None, window: EyeWindow) -> None:
        """Draw a grey image through a window for the eye; of those asked for meanwhile only the last."""
        # Never withdrawn: while a window is dragged, each picture is shown, though another one is asked for by then.
        ticket = Ticket(next(self._numbers))

        def work() -> None:
            ticket.post(target, messages.ImageWindowed(image, self._engine.view(image, bundle, window)))

        self._lanes["window"].put(lambda: self._guarded("image", ticket, target, work), drop_waiting=True)

    def draw_whole(self, target: Widget, image: MedicalImage, bundle: ModelBundle, window: EyeWindow | None) -> None:
        """Draw all of an image of which the network sees a part; of those asked for meanwhile only the last."""
        ticket = Ticket(next(self._numbers))  # never withdrawn, as in `look_through`

        def work() -> None:
            whole = self._engine.whole(image, bundle, window)
            ticket.post(target, messages.WholeImageDrawn(image, window, whole))

        self._lanes["whole"].put(lambda: self._guarded("image", ticket, target, work), drop_waiting=True)

    def picture_input(self, target: Widget, image: MedicalImage, bundle: ModelBundle) -> None:
        """Make a picture of what the network is given of an image."""
        ticket = self._ticket("fed")

        def work() -> None:
            ticket.post(target, messages.InputPictured(image, self._engine.fed(image, bundle)))

        self._lanes["fed"].put(lambda: self._guarded("image", ticket, target, work), drop_waiting=True)

    # Explanations

    def prepare(
        self,
        model: Model,
        image: MedicalImage,
        diagnosis: Diagnosis,
        *,
        target_class: str | None = None,
        layer: str | None = None,
        maps: Mapping[str, SaliencyMap] | None = None,
        failures: Mapping[str, str] | None = None,
        exact: ExactCells | None = None,
        exact_failure: str = "",
        evidence: Mapping[str, Evidence] | None = None,
    ) -> Subject:
        """Get an image ready to be explained, and stop explaining the previous one.

        `maps`, `failures`, `exact`, `exact_failure` and `evidence` are what is known already.
        """
        self.withdraw("explain")
        settings = self._engine.settings(target=target_class, layer=layer)
        self._subject = Subject(
            self._ticket("explain"),
            model,
            image,
            diagnosis,
            settings,
            dict(maps or {}),
            dict(failures or {}),
            exact,
            exact_failure,
            evidence=dict(evidence or {}),
        )
        return self._subject

    def explain(self, target: Widget, subject: Subject, methods: Iterable[str]) -> None:
        """Start methods, the exact cells among them; those that run or wait already are left alone."""
        self.stop_methods(EVIDENCE)  # what a person asks for goes first
        for method in methods:
            if method in subject.stops:
                continue
            subject.stops[method] = stop = threading.Event()
            if method == EXACT:
                self._weigh(target, subject, stop)
            else:
                job = Explaining(self._engine, self._app, target, subject, method, stop)
                self._put(job, _RANKS * running_place(method))

    def _weigh(self, target: Widget, subject: Subject, stop: threading.Event) -> None:
        """Start the exact cells: just before the methods that draw samples, or after all if they take long."""

        def put() -> None:
            first = min(running_place(method.key) for method in sampling())
            self._put(job, _LAST if job.slow else _RANKS * first - 1)

        job = Weighing(self._engine, self._app, target, subject, EXACT, stop, again=put)
        put()

    def ask(self, target: Widget, subject: Subject) -> None:
        """Ask the questions about the maps that are left, once nothing else is at work."""
        if EVIDENCE not in subject.stops:
            subject.stops[EVIDENCE] = stop = threading.Event()
            self._put(Asking(self._engine, self._app, target, subject, EVIDENCE, stop), _LAST + 1)

    def _put(self, job: Work, rank: int) -> None:
        work = partial(self._guarded, "method", job.subject.ticket, job.target, job.run)
        self._lanes["explain"].put(work, rank=rank)

    def stop_methods(self, *methods: str) -> None:
        """Ask the running or waiting methods (all, if none is named) to stop; they keep the map they have."""
        if self._subject is None:
            return
        # A copy, because the explaining thread takes out the methods that end.
        for method, stop in list(self._subject.stops.items()):
            if not methods or method in methods:
                stop.set()

    def save(self, target: Widget, explanation: Explanation, wish: SaveWish) -> None:
        """Write an explanation below a folder."""
        ticket = Ticket(next(self._numbers))  # never withdrawn: what a person asked to save is saved, or stopped
        stop = threading.Event()
        self._saving.append(stop)

        def told(report: Progress) -> None:
            ticket.post(target, messages.SavingProgressed(report.done, report.total))

        def work() -> None:
            ended: messages.ExplanationSaved | messages.SavingStopped
            try:
                if stop.is_set():  # before its turn came
                    raise Stopped
                ended = messages.ExplanationSaved(*self._engine.save(explanation, wish, told, stop))
            except Stopped:
                ended = messages.SavingStopped()
            finally:
                self._saving.remove(stop)
            ticket.post(target, ended)

        self._lanes["save"].put(lambda: self._guarded("save", ticket, target, work))

    @property
    def saving(self) -> bool:
        """Whether something is being saved."""
        return bool(self._saving)

    def stop_saving(self) -> None:
        """Ask all that is being saved to stop; nothing of it is left behind."""
        for stop in list(self._saving):  # a copy, because the saving thread takes out those that end
            stop.set()

    def finish_saving(self, seconds: float) -> None:
        """Wait until everything to be saved is saved, but not longer than `seconds`."""
        end = time.monotonic() + seconds
        while self._lanes["save"].working and time.monotonic() < end:
            time.sleep(0.01)

    def write_state(self, memory: StateFile) -> None:
        """Write what the app remembers."""
        # One waiting job is enough: it writes what is remembered when its turn comes.
        self._lanes["state"].put(memory.write, drop_waiting=True)
