"""Adds a model to a task: its files are copied into a staging folder, checked without running code, then renamed."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.bundle.architecture_py import decode_source, parse_module
from engine.bundle.model_bundle import (
    ARCHITECTURE,
    DESCRIPTION,
    PICTURE,
    SETTINGS,
    WEIGHTS,
    ModelBundle,
    read_bundle,
    read_with_code,
)
from engine.bundle.siblings import LIMIT, siblings_beside
from engine.checkpoints.content import Content, recognise
from engine.errors import BundleError, ImageError, LibraryError, XAIMedError
from engine.library import changes
from engine.library.hidden import is_bundled
from engine.library.names import check_name, place_of
from engine.library.tasks import find_task_folder, model_names
from engine.storage.reading import UnusableFileError, check_regular, chunks_of, read_limited
from engine.storage.writing import SHARED, flush_folder, replace_file


@dataclass(frozen=True, slots=True)
class Parts:
    """The files that make up a model; they are copied.

    Attributes:
        weights: a state_dict, or a checkpoint that holds one among other things.
        architecture: the code that builds the network; None if the settings name a network.
        description: text of `description.txt`, or None.
        picture: a picture of the model's performance, or None.
        settings: a `model.toml`, or None.
        key: which network of a checkpoint, by its place in it; None for the only one, or the averaged one.
    """

    weights: Path
    architecture: Path | None
    description: str | None = None
    picture: Path | None = None
    settings: Path | None = None
    key: str | None = None


def add_model(
    folders: Sequence[Path], task: str, model: str, parts: Parts, say: Callable[[str], None] = lambda sentence: None
) -> ModelBundle:
    """Add a model to a task, without running or approving it.

    Whatever can be checked without running code is checked: the files are regular and not too long, the architecture
    is Python and defines something that can build a network, the settings are right, the weights load as plain
    tensors, and the picture can be shown.

    Args:
        folders: the tasks folders (`engine.storage.places.task_folders`).
        task, model: names; the task exists, the model does not. If the task comes with XAIMed, a task of that name is
            made in the first of the folders, and the two are shown as one.
        parts: its files.
        say: takes a sentence for each thing that was done to the weights.

    Raises:
        TaskError: there is no such task, or the model's name is not allowed.
        BundleError, ImageError: one of the files cannot be used; the error names the file that was given.
        OutOfMemoryError: there is not enough memory to read the weights.
        LibraryError: there is already such a model, the folder that would be changed is that of the bundled tasks, or
            a file could not be copied. Nothing was added.
    """
    check_name("model", model)
    folder = find_task_folder(folders, task).parent
    if is_bundled(folder) and len(folders) > 1:
        folder = folders[0]
    subject = f"{task}/{model}"
    changes.refuse_bundled(folder, f"task {task}")
    content = _content_of(parts.weights)
    sources = {
        WEIGHTS[1] if content.kind == "safetensors" else WEIGHTS[0]: parts.weights,
        **({} if parts.architecture is None else code_files(parts.architecture)),
        **({PICTURE: parts.picture} if parts.picture is not None else {}),
        **({SETTINGS: parts.settings} if parts.settings is not None else {}),
    }
    with changes.changing(folder, subject, "nothing was added"):
        place = place_of(folder, task, model)
        if os.path.lexists(place) or model in model_names(folders, task):
            raise LibraryError(
                "there is a model of that name already", subject=subject, remedy="choose another name, or remove it"
            )
        with changes.staging(folder) as made:
            for name, source in sources.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                _copy(source, made / name)
            if parts.description is not None:
                replace_file(made / DESCRIPTION, changes.encoded(parts.description), mode=SHARED)
            try:
                _check(made, parts.key, say)
            except XAIMedError as error:
                raise _about_the_source(error, made, sources) from error
            flush_folder(made)
            with _task_there(place.parent):
                made.rename(place)
        flush_folder(place.parent)
    return read_bundle(place, task=task)


@contextlib.contextmanager
def _task_there(folder: Path) -> Iterator[None]:
    """Make a task's folder unless it exists, and remove it again if the body fails. An empty one changes nothing."""
    made = not folder.exists()
    if made:
        folder.mkdir()
    try:
        yield
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _copy(source: Path, target: Path) -> None:
    """Copy a regular file.

    Raises:
        BundleError: it cannot be read.
        OSError: it cannot be written.
    """
    try:
        size = check_regular(source).st_size
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SHARED)
        written = 0
        with os.fdopen(descriptor, "wb") as file:
            for piece in chunks_of(source):
                written += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=source, remedy=error.remedy) from error
    if written < size or target.stat().st_size != written:
        raise BundleError("it changed while it was copied", subject=source, remedy="try again")


def _content_of(weights: Path) -> Content:
    """Return what the file of weights is.

    Raises:
        BundleError: it cannot be read, or holds no weights.
    """
    try:
        check_regular(weights)
        content = recognise(weights)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=weights, remedy=error.remedy) from error
    except OSError as error:
        raise BundleError((error.strerror or str(error)).lower(), subject=weights) from error
    if content.damaged or not content.has_weights:
        raise content.refusal(weights)
    return content


def _check(made: Path, key: str | None, say: Callable[[str], None]) -> None:
    """Check whether the copied files can be a model. A checkpoint is replaced by the weights in it.

    Raises:
        BundleError, ImageError: they cannot.
    """
    bundle, code = read_with_code(made)
    if bundle.architecture is not None and not _builds_something(code[ARCHITECTURE], siblings=len(code) > 1):
        raise BundleError(
            "it defines neither build_model() nor a class",
            subject=bundle.architecture,
            remedy="define build_model() -> torch.nn.Module",
        )
    if bundle.picture is not None:
        from engine.images.image import read_image

        read_image(bundle.picture)
    elif os.path.lexists(made / PICTURE):
        raise ImageError("the picture is too large", subject=made / PICTURE, remedy="make it smaller")
    from engine.network import weights  # late: torch

    data = bundle.weights.read_bytes()
    tree = weights.read_tree(data, bundle.weights)
    if key is None and weights.is_state_dict(tree):
        weights.bare_tensors(tree, len(data), bundle.weights)
        return
    taken = weights.take_weights(tree, len(data), bundle.weights, key)
    bundle.weights.unlink()
    replace_file(made / WEIGHTS[1], weights.as_safetensors(taken), mode=SHARED)
    for sentence in taken.notes:
        say(sentence)


def code_files(architecture: Path) -> dict[str, Path]:
    """Return a Python file and those that it imports from beside it, by the paths that they get in a model folder.

    Raises:
        BundleError: one of them cannot be read, or is not Python.
    """
    try:
        text = decode_source(read_limited(architecture, LIMIT), architecture)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=architecture, remedy=error.remedy) from error
    beside = siblings_beside(architecture, text)
    return {ARCHITECTURE: architecture, **{name: architecture.parent / name for name in beside}}


def _builds_something(code: str, *, siblings: bool) -> bool:
    """Whether a module's top level has a class or something called `build_model`, judging by its syntax tree.

    With `siblings` it imports files beside it, and may take a class from them.
    """
    for statement in parse_module(code).body:
        match statement:
            case ast.ClassDef():
                return True
            # A compound statement may define it inside.
            case ast.FunctionDef(name="build_model") | ast.If() | ast.Try() | ast.With():
                return True
            case ast.Assign(targets=[ast.Name(id="build_model")]):
                return True
            case ast.ImportFrom(names=names) if siblings or any(
                (name.asname or name.name) in ("build_model", "*") for name in names
            ):
                return True
    return False


def _about_the_source(error: XAIMedError, made: Path, sources: Mapping[str, Path]) -> XAIMedError:
    """Turn an error about a copy into one about the file that was given."""
    if error.subject is None:
        return error
    name = Path(error.subject).name
    source = sources.get(name, Path(error.subject))
    remedy = error.remedy.replace(str(made / name), str(source)) if error.remedy else None
    return type(error)(error.cause, subject=source, remedy=remedy, code=error.code)
