"""Make a complete model of a checkpoint, with a named network or with code, in one step.

Everything is put together in a hidden folder and tried there: the network is built, the weights are matched to it, and
it is loaded once. Only then does the model appear, with its task if that is new. Nothing is left of one that fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.authoring import import_settings as drafted
from engine.authoring.draft import draft
from engine.authoring.reading_checkpoint import Checkpoint, read_checkpoint
from engine.bundle.model_bundle import ARCHITECTURE, DESCRIPTION, SETTINGS, WEIGHTS, ModelBundle, read_bundle
from engine.bundle.model_toml import parse_model_toml
from engine.checkpoints.hints import Hints
from engine.checkpoints.matching import Match, Mismatch, Shapes, match
from engine.errors import BundleError, XAIMedError
from engine.library.add_model import code_files
from engine.library.changes import encoded
from engine.library.new_model import NewModel, new_model
from engine.network.classifier import Classifier
from engine.network.loading import build_without_weights
from engine.network.sources.preprocessing import default_preprocessing
from engine.network.sources.recognition import Fitted, candidates, fit_named, recognise_network
from engine.network.weights import Weights, as_safetensors
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import SHARED, replace_file
from engine.trust import permission

_MOST_CODE = 1_000_000
_TASK_DESCRIPTION = "Made by xaimed models import. Say what the task is with xaimed tasks describe."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be imported, and how.

    Attributes:
        source: a checkpoint.
        task, model: names; the task may be new.
        network: `torchvision:resnet18`, `timm:...` or `monai:...`; None to recognise it by the weights.
        architecture: code that builds the network, instead of a named one.
        key: which network of the file; None for the only one, or the averaged one.
        classes: their names in the order of the outputs; None for those in the file.
        size: (height, width) of the network's input; None for what the weights or the file say.
        preprocessing: `source`, `imagenet`, `unit`, or the path of a TOML file.
    """

    source: Path
    task: str
    model: str
    network: str | None = None
    architecture: Path | None = None
    key: str | None = None
    classes: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    preprocessing: str = "source"


@dataclass(frozen=True, slots=True)
class Imported:
    """A model that was imported.

    Attributes:
        bundle: the model in its place.
        notes: a sentence for each thing that was done to find and match its weights.
        settings: the text of its `model.toml`.
        assumed: a sentence for everything that is assumed about it.
    """

    bundle: ModelBundle
    notes: tuple[str, ...]
    settings: str
    assumed: tuple[str, ...]


@dataclass
class Preparation:
    """A model that is put together and not yet in its place.

    Attributes:
        review: its code, for a person who may approve it; None where no code runs.
    """

    _wanted: Wanted
    _place: NewModel
    _checkpoint: Checkpoint
    review: permission.Review | None = None
    _notes: list[str] = field(default_factory=list)

    def finish(self) -> Imported:
        """Load the network once, to prove that it works, and put the model into its place.

        Where there is code, this runs it: the person has said that it may, and the approval is recorded.

        Raises:
            XAIMedError: it does not work; nothing was added.
        """
        try:
            text = self._with_code() if self.review is not None else self._with_a_name()
            bundle = read_bundle(self._place.path, task=self._wanted.task)
            classifier = Classifier.load(bundle, device="cpu")
        except XAIMedError as error:
            raise _about_the_source(error, self._place.path, self._wanted) from error
        place = self._place.settle(_TASK_DESCRIPTION)
        settled = read_bundle(place, task=self._wanted.task)
        if self.review is not None:
            permission.approve(settled)
        return Imported(settled, tuple(self._notes), text, classifier.assumed)

    def _with_a_name(self) -> str:
        """Recognise the network or take the one that was named, and write weights and settings."""
        wanted, checkpoint = self._wanted, self._checkpoint
        weights, fitted = checkpoint.fill(wanted.key, lambda shapes: _fitted(wanted, shapes))
        self._notes += weights.notes
        if wanted.network is None:
            self._notes.append(f"By its tensors this is {fitted.spec.source}.")
        own = default_preprocessing(fitted.spec, wanted.source)
        spec = fitted.spec
        if own is not None and wanted.preprocessing == "source":
            self._notes += own.notes
            spec = replace(spec, arguments={**spec.arguments, **own.arguments})
        settings = drafted.network_settings(spec)
        usual = None if own is None else own.size
        settings["input.size"] = drafted.size_setting(wanted.size, fitted.size, checkpoint.hints, usual)
        settings |= drafted.preprocessing_settings(wanted.preprocessing, fitted.channels, own)
        settings["input.channels"] = drafted.Setting(fitted.channels, "as the first convolution takes them")
        if (classes := drafted.class_setting(wanted.classes, checkpoint.hints, fitted.outputs)) is not None:
            settings["output.classes"] = classes
        settings["output.activation"] = drafted.Setting("none", f"{fitted.spec.name} gives logits")
        text = drafted.settings_text(settings, f"Made by xaimed models import from {wanted.source.name}.")
        self._write(weights)
        replace_file(self._place.path / SETTINGS, text.encode(), mode=SHARED)
        return text

    def _with_code(self) -> str:
        """Run the approved code, match the weights to the network that it builds, and draft the settings."""
        wanted, checkpoint, path = self._wanted, self._checkpoint, self._place.path
        network = build_without_weights(self._approved())
        expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        weights, _ = checkpoint.fill(wanted.key, lambda shapes: _matched(expected, shapes))
        self._notes += weights.notes
        self._write(weights)
        bundle = self._approved()
        text = draft(bundle)
        given = parse_model_toml(text.encode(), path / SETTINGS).given
        tried = Classifier.load(bundle, device="cpu")
        settings: dict[str, drafted.Setting] = {}
        if wanted.size is not None:
            settings["input.size"] = drafted.Setting(wanted.size, "as asked for")
        if wanted.preprocessing != "source":  # what the code declares is its own
            channels = tried.bundle.input.channels
            settings |= drafted.preprocessing_settings(wanted.preprocessing, channels, None)
        hints = Hints() if "output.classes" in given else checkpoint.hints
        if (classes := drafted.class_setting(wanted.classes, hints, tried.anatomy.outputs)) is not None:
            settings["output.classes"] = classes
        text = drafted.with_settings(text, settings)
        replace_file(path / SETTINGS, text.encode(), mode=SHARED)
        self._approved()
        return text

    def _approved(self) -> ModelBundle:
        """Return the model as it lies in the hidden folder now, approved: the person has agreed to its code."""
        bundle = read_bundle(self._place.path, task=self._wanted.task)
        permission.approve(bundle)
        return bundle

    def _write(self, weights: Weights) -> None:
        path = self._place.path
        replace_file(path / WEIGHTS[1], as_safetensors(weights), mode=SHARED)
        said = [f"Imported from {self._wanted.source.name} (SHA-256 {self._checkpoint.sha256}).", *self._notes]
        replace_file(path / DESCRIPTION, encoded("\n".join(said)), mode=SHARED)


@contextlib.contextmanager
def preparing(folders: Sequence[Path], wanted: Wanted) -> Iterator[Preparation]:
    """Read what is to be imported, and put a model together out of sight; `Preparation.finish` lets it appear.

    No code runs here.

    Args:
        folders: the tasks folders (`engine.storage.places.task_folders`).
        wanted: what is to be imported.

    Raises:
        TaskError, LibraryError: a name is not allowed or taken.
        BundleError: the file holds no weights that can be read, or the code is not Python.
    """
    checkpoint = read_checkpoint(wanted.source)
    with new_model(folders, wanted.task, wanted.model) as place:
        preparation = Preparation(wanted, place, checkpoint)
        try:
            if wanted.architecture is None:
                yield preparation
                return
            for name, source in code_files(wanted.architecture).items():
                try:
                    code = read_limited(source, _MOST_CODE)
                except UnusableFileError as error:
                    raise BundleError(error.cause, subject=source, remedy=error.remedy) from error
                (place.path / name).parent.mkdir(parents=True, exist_ok=True)
                replace_file(place.path / name, code, mode=SHARED)
            # The real weights follow when the network is known; an approval covers those then.
            replace_file(place.path / WEIGHTS[1], as_safetensors(Weights({}, ())), mode=SHARED)
            try:
                preparation.review = permission.review(place.path, task=wanted.task)
            except XAIMedError as error:
                raise _about_the_source(error, place.path, wanted) from error
            yield preparation
        finally:
            if preparation.review is not None:
                permission.revoke(place.path)  # of the hidden folder; the model's own was given in its place


def _fitted(wanted: Wanted, shapes: Shapes) -> tuple[Match, Fitted] | Mismatch:
    """Fit tensors to the named network, or to the only known one that they fit.

    Raises:
        BundleError: there is no such network, or several fit alike.
    """
    subject = str(wanted.source)
    if wanted.network is not None:
        fitted = fit_named(wanted.network, shapes, "--network")
        return fitted if isinstance(fitted, Mismatch) else (fitted.match, fitted)
    known = recognise_network(shapes, subject)
    if len(known) == 1:
        return known[0].match, known[0]
    if known:
        listed = " or ".join(f"--network {each.spec.source}" for each in known)
        raise BundleError(
            f"its tensors fit {len(known)} networks alike, which differ in what no tensor tells",
            subject=subject,
            remedy=f"say which it is: {listed}",
        )
    near = candidates(shapes)
    best = max(
        (found for source in near if isinstance(found := _tried(source, shapes), Mismatch)),
        key=lambda found: found.found,
        default=None,
    )
    return best or Mismatch("its tensors are of no network that is known", {}, shapes, 0, 0)


def _tried(source: str, shapes: Shapes) -> Fitted | Mismatch | None:
    try:
        return fit_named(source, shapes, source)
    except BundleError:  # its package is not installed
        return None


def _matched(expected: Shapes, shapes: Shapes) -> tuple[Match, None] | Mismatch:
    found = match(expected, shapes)
    return found if isinstance(found, Mismatch) else (found, None)


def _about_the_source(error: XAIMedError, hidden: Path, wanted: Wanted) -> XAIMedError:
    """Turn an error about a file in the hidden folder into one about the file that was given."""
    subject = error.subject or ""
    if str(hidden) not in subject:
        return error
    name = Path(subject).relative_to(hidden).as_posix() if Path(subject).is_relative_to(hidden) else ""
    given = wanted.source
    if wanted.architecture is not None and name.endswith(".py"):
        given = wanted.architecture if name == ARCHITECTURE else wanted.architecture.parent / name
    remedy = error.remedy.replace(str(hidden / name), str(given)) if error.remedy else None
    return type(error)(error.cause, subject=given, remedy=remedy, code=error.code)
