"""The kinds of source of which a model can be made: each puts its files into a folder and drafts the settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from engine.authoring import import_settings as drafted
from engine.authoring.draft import draft
from engine.authoring.import_settings import Setting
from engine.authoring.reading_checkpoint import Checkpoint, read_checkpoint
from engine.bundle.model_bundle import ONNX, SETTINGS, TORCHSCRIPT, WEIGHTS, ModelBundle
from engine.bundle.model_toml import parse_model_toml
from engine.checkpoints.content import recognise
from engine.checkpoints.hints import Hints
from engine.checkpoints.matching import Match, Mismatch, Shapes, match
from engine.errors import BundleError
from engine.library.add_model import code_files
from engine.network.classifier import Classifier
from engine.network.loading import build_without_weights
from engine.network.sources.folders import DescribedFolder, describe_folder
from engine.network.sources.named import build_named
from engine.network.sources.onnx_network import describe_onnx
from engine.network.sources.preprocessing import default_preprocessing
from engine.network.sources.recognition import Fitted, candidates, fit_named, recognise_network
from engine.network.weights import Weights, as_safetensors
from engine.storage.reading import UnusableFileError, check_regular, read_limited
from engine.storage.writing import SHARED, replace_file

_MOST_CODE = 1_000_000
_MOST_BYTES = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be imported, and how.

    Attributes:
        source: a checkpoint, an ONNX or TorchScript network, or a folder of timm, transformers or MONAI.
        task, model: names; the task may be new.
        network: `torchvision:resnet18`, `timm:...` or `monai:...`; None to recognise it by the weights.
        architecture: code that builds the network, instead of a named one.
        key: which network of the file; None for the only one, or the averaged one.
        classes: their names in the order of the outputs; None for those in the file.
        size: (height, width) of the network's input; None for what the weights or the file say.
        preprocessing: `source`, `imagenet`, `unit`, or the path of a TOML file.
        description: text of `description.txt`, before what the import says of the source.
        picture: a picture of the model's performance, or None.
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
    description: str = ""
    picture: Path | None = None


@dataclass(frozen=True, slots=True)
class Drafted:
    """What was made of a source.

    Attributes:
        settings: the text of `model.toml`, which lies in the folder.
        notes: a sentence for each thing that was done or has to be checked.
    """

    settings: str
    notes: tuple[str, ...]


class Kind(Protocol):
    """A source that was read as data, of which a model can be made."""

    @property
    def sha256(self) -> str:
        """Of the file that holds the weights, in hex."""

    @property
    def runs_code(self) -> bool:
        """Whether code has to be approved first; `stage` puts it into the folder."""

    def stage(self, folder: Path) -> None:
        """Put into the folder what a person has to see before code runs; nothing where none does."""

    def make(self, folder: Path, approved: Callable[[], ModelBundle]) -> Drafted:
        """Put the model's files into the folder.

        Args:
            folder: the model's folder.
            approved: reads the folder as it is now, and approves it.

        Raises:
            BundleError, OutOfMemoryError: no model can be made of it.
        """


def open_source(wanted: Wanted) -> Kind:
    """Read a source, without running any code in it.

    Raises:
        BundleError: it is nothing of which a model can be made; says what it is, and the step that helps.
    """
    if wanted.source.is_dir():
        described = describe_folder(wanted.source)
        if described is None:
            raise BundleError(
                "it is a folder, and not one of timm, transformers or MONAI",
                subject=wanted.source,
                remedy="name the file of weights in it",
            )
        return _Folder(wanted, described, read_checkpoint(described.weights))
    try:
        check_regular(wanted.source)
        content = recognise(wanted.source)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=wanted.source, remedy=error.remedy) from error
    except OSError as error:
        raise BundleError((error.strerror or str(error)).lower(), subject=wanted.source) from error
    if content.kind in ("onnx", "torchscript") and not content.damaged:
        if wanted.network is not None or wanted.architecture is not None:
            raise BundleError(
                f"it is {content.words} and holds the whole network",
                subject=wanted.source,
                remedy="leave out --network and --architecture",
            )
        return _Onnx(wanted) if content.kind == "onnx" else _TorchScript(wanted)
    checkpoint = read_checkpoint(wanted.source)
    return (
        _Named(wanted, checkpoint)
        if wanted.architecture is None
        else _WithCode(wanted, checkpoint, wanted.architecture)
    )


class _WithoutCode:
    """What sources have in common of which no code runs."""

    runs_code = False

    def stage(self, folder: Path) -> None:
        """Put nothing there: nobody has to approve it."""


@dataclass(frozen=True, slots=True)
class _Named(_WithoutCode):
    """A checkpoint, and a network that a package has."""

    wanted: Wanted
    checkpoint: Checkpoint

    @property
    def sha256(self) -> str:
        return self.checkpoint.sha256

    def make(self, folder: Path, approved: Callable[[], ModelBundle]) -> Drafted:
        wanted, hints = self.wanted, self.checkpoint.hints
        weights, fitted = self.checkpoint.fill(wanted.key, lambda shapes: _fitted(wanted, shapes))
        notes = list(weights.notes)
        if wanted.network is None:
            notes.append(f"By its tensors this is {fitted.spec.source}.")
        spec, own = fitted.spec, default_preprocessing(fitted.spec, wanted.source)
        if own is not None and wanted.preprocessing == "source":
            notes += own.notes
            spec = replace(spec, arguments={**spec.arguments, **own.arguments})
        settings = drafted.network_settings(spec)
        usual = None if own is None else own.size
        settings["input.size"] = drafted.size_setting(wanted.size, fitted.size, hints, usual)
        settings |= drafted.preprocessing_settings(wanted.preprocessing, fitted.channels, own)
        settings["input.channels"] = Setting(fitted.channels, "as the first convolution takes them")
        if (classes := drafted.class_setting(wanted.classes, hints, fitted.outputs)) is not None:
            settings["output.classes"] = classes
        settings["output.activation"] = Setting("none", f"{spec.name} gives logits")
        _write_weights(folder, weights)
        return _written(folder, settings, wanted, notes)


@dataclass(frozen=True, slots=True)
class _WithCode:
    """A checkpoint, and code that builds its network."""

    wanted: Wanted
    checkpoint: Checkpoint
    code: Path
    runs_code = True

    @property
    def sha256(self) -> str:
        return self.checkpoint.sha256

    def stage(self, folder: Path) -> None:
        for name, source in code_files(self.code).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            replace_file(folder / name, _read(source, _MOST_CODE), mode=SHARED)
        # The real weights follow when the network is known.
        _write_weights(folder, Weights({}, ()))

    def make(self, folder: Path, approved: Callable[[], ModelBundle]) -> Drafted:
        wanted = self.wanted
        state = build_without_weights(approved()).state_dict()
        expected = {name: tuple(value.shape) for name, value in state.items() if isinstance(value, torch.Tensor)}
        weights, _ = self.checkpoint.fill(wanted.key, lambda shapes: _matched(expected, shapes))
        _write_weights(folder, weights)
        bundle = approved()
        text = draft(bundle)
        given = parse_model_toml(text.encode(), folder / SETTINGS).given
        tried = Classifier.load(bundle, device="cpu")
        settings: dict[str, Setting] = {}
        if wanted.size is not None:
            settings["input.size"] = Setting(wanted.size, "as asked for")
        if wanted.preprocessing != "source":  # what the code declares is its own
            channels = tried.bundle.input.channels
            settings |= drafted.preprocessing_settings(wanted.preprocessing, channels, None)
        hints = Hints() if "output.classes" in given else self.checkpoint.hints
        if (classes := drafted.class_setting(wanted.classes, hints, tried.anatomy.outputs)) is not None:
            settings["output.classes"] = classes
        text = drafted.with_settings(text, settings)
        replace_file(folder / SETTINGS, text.encode(), mode=SHARED)
        return Drafted(text, weights.notes)


@dataclass(frozen=True, slots=True)
class _Folder(_WithoutCode):
    """A folder of another program, which says itself what its network is."""

    wanted: Wanted
    described: DescribedFolder
    checkpoint: Checkpoint

    @property
    def sha256(self) -> str:
        return self.checkpoint.sha256

    def make(self, folder: Path, approved: Callable[[], ModelBundle]) -> Drafted:
        wanted, described = self.wanted, self.described
        if wanted.network is not None or wanted.architecture is not None:
            raise BundleError(
                f"it is {described.format}, which says what its network is",
                subject=wanted.source,
                remedy="leave out --network and --architecture, or name the file of weights in it",
            )
        files = {name: _read(path, _MOST_BYTES) for name, path in described.files.items()}
        with torch.device("meta"):  # no memory is taken there, and nothing is computed
            network = build_named(described.network, wanted.source, config=files.get("config.json"))
        expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        weights, _ = self.checkpoint.fill(wanted.key, lambda shapes: _matched(expected, shapes))
        own = described.preprocessing or default_preprocessing(described.network, wanted.source)
        notes = [f"It is {described.format}.", *weights.notes, *described.notes]
        if own is not None and wanted.preprocessing == "source":
            notes += [note for note in own.notes if note not in notes]
        channels = 3 if own is None else len(own.mean)
        settings = drafted.network_settings(described.network, why="")
        size = None if own is None else own.size
        if wanted.size is None and own is not None:
            settings["input.size"] = Setting(own.size, own.origin)
        else:
            settings["input.size"] = drafted.size_setting(wanted.size, None, Hints(), size)
        settings |= drafted.preprocessing_settings(wanted.preprocessing, channels, own)
        classes = wanted.classes or described.classes
        if classes is not None:
            settings["output.classes"] = Setting(classes, "as asked for" if wanted.classes else "as the folder says")
        settings["output.activation"] = Setting("none", f"{described.network.name} gives logits")
        if described.multilabel:
            settings["output.multilabel"] = Setting(True, "every class is judged on its own")
        for name, content in files.items():
            replace_file(folder / name, content, mode=SHARED)
        _write_weights(folder, weights)
        return _written(folder, settings, wanted, notes)


@dataclass(frozen=True, slots=True)
class _Onnx(_WithoutCode):
    """An ONNX network, which is data."""

    wanted: Wanted

    @property
    def sha256(self) -> str:
        return hashlib.sha256(_read(self.wanted.source, _MOST_BYTES)).hexdigest()

    def make(self, folder: Path, approved: Callable[[], ModelBundle]) -> Drafted:
        wanted, described = self.wanted, describe_onnx(self.wanted.source)
        channels = described.channels or 3
        notes = []
        if described.black_box:
            notes.append(f"The CAMs do not work on it: {described.black_box}. LIME and RISE do.")
        settings: dict[str, Setting] = {}
        if wanted.size is None and described.size is not None:
            settings["input.size"] = Setting(described.size, "as the network takes it")
        else:
            settings["input.size"] = drafted.size_setting(wanted.size, None, Hints(), None)
        settings |= drafted.preprocessing_settings(wanted.preprocessing, channels, None)
        settings["input.channels"] = Setting(channels, "as the network takes them" if described.channels else "CHECK")
        settings["input.layout"] = Setting(described.layout, "as the network takes it")
        if described.whole_numbers:
            settings.setdefault("input.value_range", Setting((0.0, 255.0), "the network takes whole numbers"))
        elif wanted.preprocessing == "source":
            notes.append("An ONNX file does not say how images are prepared: check mean, std and value_range.")
        classes = wanted.classes or described.classes
        if classes is not None:
            settings["output.classes"] = Setting(classes, "as asked for" if wanted.classes else "as the file says")
        replace_file(folder / ONNX, described.data, mode=SHARED)
        return _written(folder, settings, wanted, notes)


@dataclass(frozen=True, slots=True)
class _TorchScript:
    """A TorchScript network, which is code."""

    wanted: Wanted
    runs_code = True

    @property
    def sha256(self) -> str:
        return hashlib.sha256(_read(self.wanted.source, _MOST_BYTES)).hexdigest()

    def stage(self, folder: Path) -> None:
        replace_file(folder / TORCHSCRIPT, _read(self.wanted.source, _MOST_BYTES), mode=SHARED)

    def make(self, folder: Path, approved: Callable[[], ModelBundle]) -> Drafted:
        wanted = self.wanted
        settings = {"input.size": drafted.size_setting(wanted.size, None, Hints(), None)}
        settings |= drafted.preprocessing_settings(wanted.preprocessing, 3, None)
        if wanted.classes is not None:
            settings["output.classes"] = Setting(wanted.classes, "as asked for")
        notes = ["TorchScript gives no gradients: LIME and RISE work on it, the CAMs do not."]
        return _written(folder, settings, wanted, notes)


def _written(folder: Path, settings: Mapping[str, Setting], wanted: Wanted, notes: list[str]) -> Drafted:
    text = drafted.settings_text(settings, f"Made by xaimed models import from {wanted.source.name}.")
    replace_file(folder / SETTINGS, text.encode(), mode=SHARED)
    return Drafted(text, tuple(notes))


def _write_weights(folder: Path, weights: Weights) -> None:
    replace_file(folder / WEIGHTS[1], as_safetensors(weights), mode=SHARED)


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_limited(path, limit)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error


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
