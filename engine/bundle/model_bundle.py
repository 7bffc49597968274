"""One model folder: its files, and how to feed its network and read the output."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.bundle.digest import FileDigest, Snapshot, take_snapshot
from engine.bundle.siblings import ARCHITECTURE, LIMIT, places_of, siblings_of
from engine.bundle.specs import Activation, ExplainSpec, InMemory, InputSpec, NetworkSpec, OutputSpec, Resize, SelfTest
from engine.errors import BundleError
from engine.storage import places
from engine.storage.reading import UnusableFileError, check_regular, read_limited

if TYPE_CHECKING:
    from engine.bundle.declared import Declared

__all__ = [
    "ARCHITECTURE",
    "Activation",
    "ExplainSpec",
    "InputSpec",
    "ModelBundle",
    "NetworkSpec",
    "OutputSpec",
    "Resize",
    "read_bundle",
    "read_description",
    "read_with_code",
]

WEIGHTS = ("weights.pt", "weights.safetensors")
ONNX = "model.onnx"
TORCHSCRIPT = "model.torchscript"
NETWORKS = (ONNX, TORCHSCRIPT)
"""Files that are a whole network: there are no other weights beside them, and no `architecture.py`."""
SETTINGS = "model.toml"
DESCRIPTION = "description.txt"
PICTURE = "description.png"
SAMPLES = "samples"
FIT = "fit.npz"
CONFIG = "config.json"

_SETTINGS_LIMIT = 1_000_000
_DESCRIPTION_LIMIT = 64_000
CONFIG_LIMIT = 10_000_000
"""Most bytes of the `config.json` of a network of transformers."""
FIT_LIMIT = 2_000_000
"""Most bytes of `fit.npz` (see `engine.bundle.fit_npz`), also when unpacked."""
PICTURE_LIMIT = 16_000_000
"""Most bytes and most pixels of a description's picture."""


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """A model folder that was read and found complete. None of its code was run.

    Attributes:
        task, name: names of the task's folder and of the model's.
        path: the model folder.
        weights: `weights.pt` or `weights.safetensors` in it; or a whole network, `model.onnx` or `model.torchscript`.
        architecture: `architecture.py` in it; None if the network is named in `network`, or `weights` is a whole one.
        input, output, explain: how to feed, read and explain the network.
        assumed: a sentence for every default that matters, saying what was assumed.
        description: text of `description.txt`.
        picture: `description.png`, or None if there is none.
        samples: folder of sample images, or None.
        notes: `[intended_use]`, `[training]`, `[performance]` as text for people, by section.
        digest: hex SHA-256 over the sorted relative paths, sizes and SHA-256s of all regular files in the folder.
        selftest: what the network must answer for one of its images, or None.
        undeclared: full names of the keys of `[input]` that the folder does not declare, such as `input.size`.
        code: paths of the files that run: `architecture.py`, then those that it imports from beside it, directly or by
            one another, in the order of the imports. Empty if it has no code.
        network: the network's name in a package, if it has no code of its own, and the arguments it is built with.
        files: the digest of each of these files, by its relative path. The values above come from exactly that content.
        in_memory: of a network that was given as an object (`Classifier.from_module`); there then is no folder, the
            paths name no files, `digest` covers weights and class names, and nothing has to be approved. Else None.
    """

    task: str
    name: str
    path: Path
    weights: Path
    architecture: Path | None
    input: InputSpec
    output: OutputSpec
    explain: ExplainSpec
    assumed: tuple[str, ...]
    description: str
    picture: Path | None
    samples: Path | None
    notes: Mapping[str, str]
    digest: str
    selftest: SelfTest | None = None
    undeclared: frozenset[str] = frozenset()
    code: tuple[str, ...] = ()
    network: NetworkSpec = field(default_factory=NetworkSpec)
    files: Mapping[str, FileDigest] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    in_memory: InMemory | None = None

    @property
    def runs_code(self) -> bool:
        """Whether code in the folder runs, which a person has to approve first.

        A TorchScript archive is a program: it can write files, for one.
        """
        return self.architecture is not None or self.weights.name == TORCHSCRIPT

    @property
    def code_file(self) -> str:
        """The file with the code that a person has to approve; empty if none runs."""
        if not self.runs_code:
            return ""
        return ARCHITECTURE if self.architecture is not None else TORCHSCRIPT

    @property
    def built_from(self) -> str:
        """What builds the network, as a clause: `no code of its own: the network is torchvision's resnet50`."""
        if self.in_memory is not None:
            return f"a {self.in_memory.network} in the calling program's memory"
        if self.runs_code:
            beside = len(self.code) - 1
            more = f" and {beside} file{'s' if beside > 1 else ''} beside it" if beside > 0 else ""
            return f"its own code, {self.code_file}{more}"
        if self.weights.name == ONNX:
            return f"no code of its own: {ONNX} is the network"
        return f"no code of its own: the network is {self.network.package}'s {self.network.name}"


def read_bundle(path: Path, *, task: str | None = None) -> ModelBundle:
    """Read a model folder. Nothing in it is run or evaluated; the weights are hashed, not loaded.

    Without `model.toml` the values come from literal constants at the top level of `architecture.py` (`INPUT_SIZE`,
    `CHANNELS`, `EXACT_SIZE`, `MINIMUM_SIZE`, `RESIZE`, `LAYOUT`, `COLOUR_ORDER`, `VALUE_RANGE`, `MEAN`, `STD`, `BITS`,
    `CLASSES`, `ACTIVATION`, `MULTILABEL`, `TARGET_LAYER`). With `model.toml` the constants are ignored. Values that are
    not declared have the defaults of `InputSpec`, `OutputSpec` and `ExplainSpec`; `assumed` has a sentence for each
    default that matters.

    Args:
        path: the model folder.
        task: name of the task; by default the name of the parent folder.

    Raises:
        BundleError: a file is missing, too long or not a regular file; `model.toml` or a constant is wrong (names the
            file and the key); `architecture.py` is not Python in UTF-8, or there is one though `model.toml` names a
            network; a link leads out of the folder.
    """
    return read_with_code(path, task=task)[0]


def read_with_code(path: Path, *, task: str | None = None) -> tuple[ModelBundle, Mapping[str, str]]:
    """Read a model folder as `read_bundle` does; also return the texts of the code that its digest covers.

    They are those of `ModelBundle.code`, in that order, by path.
    """
    folder = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would rename a model whose folder is a link
    if not folder.is_dir():
        raise BundleError("there is no such model folder", subject=path, remedy="check the task and model names")
    weights = _find_weights(folder)
    # Not `exists`, which does not see a broken link: the constants would silently replace the settings.
    for name, limit in ((ARCHITECTURE, LIMIT), (SETTINGS, _SETTINGS_LIMIT), (FIT, FIT_LIMIT)):
        if os.path.lexists(folder / name):
            _check_file(folder / name, limit)
    content = take_snapshot(
        folder,
        {ARCHITECTURE: LIMIT, SETTINGS: _SETTINGS_LIMIT, DESCRIPTION: _DESCRIPTION_LIMIT},
    )
    for name, limit in ((ARCHITECTURE, LIMIT), (SETTINGS, _SETTINGS_LIMIT)):
        if name in content.files and content.files[name].size > limit:  # it grew after `_check_file`
            raise BundleError(f"the file has more than {limit:,} bytes", subject=folder / name)
    if weights.name not in content.files:
        raise BundleError("the folder changed while it was read", subject=folder, remedy="try again")
    declared, text = _declared(folder, content, weights.name)
    code: dict[str, str] = {}
    if declared.network.source is None and weights.name not in NETWORKS:
        code = {ARCHITECTURE: text, **_siblings(text, folder, content)}
    samples = folder / SAMPLES
    bundle = ModelBundle(
        task=task if task is not None else folder.parent.name,
        name=folder.name,
        path=folder,
        weights=weights,
        architecture=folder / ARCHITECTURE if ARCHITECTURE in content.kept else None,
        input=declared.input,
        output=declared.output,
        explain=declared.explain,
        assumed=declared.assumed(),
        description=_description(content.kept.get(DESCRIPTION, b""), content.files.get(DESCRIPTION)),
        picture=find_picture(folder),
        samples=samples if samples.is_dir() else None,
        notes=declared.notes,
        digest=content.digest,
        selftest=declared.selftest,
        undeclared=declared.undeclared(),
        code=tuple(code),
        network=declared.network,
        files=content.files,
    )
    return bundle, code


def _siblings(code: str, folder: Path, content: Snapshot) -> dict[str, str]:
    """Return the texts of the files that `architecture.py` imports from beside it, exactly as they were hashed."""

    def read(name: str) -> bytes:
        try:
            data = read_limited(folder / name, LIMIT)
        except UnusableFileError as error:
            raise BundleError(error.cause, subject=folder / name, remedy=error.remedy) from error
        if hashlib.sha256(data).hexdigest() != content.files[name].sha256:
            raise BundleError("it changed while it was read", subject=folder / name, remedy="try again")
        return data

    return siblings_of(code, folder, places_of(content.files).__contains__, read)


def _declared(folder: Path, content: Snapshot, weights: str) -> tuple[Declared, str]:
    """Return what `model.toml` or else the constants declare, and the text of `architecture.py`; empty without one.

    Args:
        folder: the model folder.
        content: its files.
        weights: name of the file of weights, which may be a whole network.

    Raises:
        BundleError: one of the files is wrong; both or neither of them say which network it is.
    """
    from engine.bundle.architecture_py import declare, decode_source, read_constants

    architecture, settings = folder / ARCHITECTURE, folder / SETTINGS
    declared, code = None, ""
    if SETTINGS in content.kept:
        from engine.bundle.model_toml import parse_model_toml

        declared = parse_model_toml(content.kept[SETTINGS], settings)
    if weights in NETWORKS:
        return _declared_beside(weights, declared, folder, content), ""
    named = declared is not None and declared.network.source is not None
    if ARCHITECTURE in content.kept:
        code = decode_source(content.kept[ARCHITECTURE], architecture)
        constants = read_constants(code, architecture)  # refuses what is not Python even if the constants are ignored
        if named:
            raise BundleError(
                f"[network] source names a network, and there is {ARCHITECTURE} as well",
                subject=settings,
                remedy="remove one of them",
            )
        declared = declared or declare(constants, architecture)
    elif declared is None or not named:
        raise BundleError(
            f"there is no {ARCHITECTURE}, the code that builds the network",
            subject=folder,
            remedy=f"add it, or name the network in {SETTINGS}: [network] source",
        )
    return declared, code


def _declared_beside(network: str, declared: Declared | None, folder: Path, content: Snapshot) -> Declared:
    """Return what is declared beside a file that is a whole network.

    Raises:
        BundleError: something else says which network it is, too.
    """
    from engine.bundle.declared import declare_values

    if ARCHITECTURE in content.kept:
        raise BundleError(
            f"{network} is a whole network, and there is {ARCHITECTURE} as well",
            subject=folder,
            remedy="remove one of them",
        )
    if declared is not None and (declared.network.source is not None or declared.network.arguments):
        raise BundleError(
            f"{network} is a whole network, and [network] does not go with it",
            subject=folder / SETTINGS,
            remedy=f"remove [network], or {network}",
        )
    return declared or declare_values({})


def read_description(path: Path) -> str:
    """Return a description file's text (not made safe for a terminal); empty if there is no such file.

    At most 64,000 bytes are read; the text of a longer file ends with a note. Bytes that are not UTF-8 are replaced. A
    file that cannot be read gives a note instead.
    """
    try:
        size = _check_own(path).st_size
        data = read_limited(path, _DESCRIPTION_LIMIT, cut=True)
    except UnusableFileError as error:
        return f"({path.name} cannot be shown: {error.cause}.)" if os.path.lexists(path) else ""
    return _shown_text(data, size, path.name)


def _description(data: bytes, file: FileDigest | None) -> str:
    return "" if file is None else _shown_text(data, file.size, DESCRIPTION)


def _shown_text(data: bytes, size: int, name: str) -> str:
    text = data.decode("utf-8-sig", errors="replace")
    if size > _DESCRIPTION_LIMIT:
        text += f"\n(Cut here: {name} has {size:,} bytes, of which {_DESCRIPTION_LIMIT:,} are shown.)"
    return text


def find_picture(folder: Path) -> Path | None:
    """Return the path of `description.png` if it is a regular file of its own of at most 16 MB, without opening it."""
    picture = folder / PICTURE
    try:
        return picture if _check_own(picture).st_size <= PICTURE_LIMIT else None
    except UnusableFileError:
        return None


def _check_own(path: Path) -> os.stat_result:
    """Return the state of a file that is shown although its folder's files were not all checked.

    A model that is broken, and a task, may have been put together by anybody: what they lead to elsewhere, by a link
    or a hard link, may be private.

    Raises:
        UnusableFileError: it cannot be read, or is not the folder's own.
    """
    state = check_regular(path)
    try:
        folder = places.real_path(path.parent)
        if not places.real_path(path).is_relative_to(folder):
            raise UnusableFileError("it is a link that leads out of its folder")
        if state.st_nlink > 1 and not folder.is_relative_to(places.real_path(places.bundled_tasks())):
            raise UnusableFileError("it has another name elsewhere (a hard link)")
    except OSError as error:
        raise UnusableFileError(f"its place cannot be found: {(error.strerror or str(error)).lower()}") from error
    return state


def _find_weights(folder: Path) -> Path:
    found = [folder / name for name in (*WEIGHTS, *NETWORKS) if os.path.lexists(folder / name)]
    if not found:
        raise BundleError(
            f"there is neither {WEIGHTS[0]} nor {WEIGHTS[1]}, {ONNX} or {TORCHSCRIPT}",
            subject=folder,
            remedy="add the weights",
        )
    if len(found) > 1:
        raise BundleError(
            f"there are both {found[0].name} and {found[1].name}", subject=folder, remedy="keep only the right one"
        )
    try:
        size = check_regular(found[0]).st_size
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=found[0], remedy=error.remedy) from error
    if size == 0:
        raise BundleError("it is empty", subject=found[0], remedy="copy or download it again")
    return found[0]


def _check_file(path: Path, limit: int) -> None:
    try:
        size = check_regular(path).st_size
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    if size > limit:
        raise BundleError(f"the file has {size:,} bytes; at most {limit:,} are read", subject=path)


def subject_of(bundle: ModelBundle) -> str:
    """Return the model's name for people: `<task>/<model>`."""
    return f"{bundle.task}/{bundle.name}"
