"""Make a complete model of whatever people have, in one step.

Everything is put together in a hidden folder and tried there: the network is built, the weights are matched to it, and
it is loaded once. Only then does the model appear, with its task if that is new. Nothing is left of one that fails.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.authoring.import_sources import Drafted, Kind, Wanted, open_source
from engine.bundle.digest import FileDigest
from engine.bundle.model_bundle import ARCHITECTURE, DESCRIPTION, PICTURE, PICTURE_LIMIT, ModelBundle, read_bundle
from engine.errors import BundleError, ExplanationError, XAIMedError
from engine.images.image import read_image
from engine.library.changes import encoded
from engine.library.new_model import NewModel, new_model
from engine.network.classifier import Classifier
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import SHARED, replace_file
from engine.trust import permission

__all__ = ["Imported", "Preparation", "Wanted", "preparing"]

_TASK_DESCRIPTION = "Made by xaimed models import. Say what the task is with xaimed tasks describe."


@dataclass(frozen=True, slots=True)
class Imported:
    """A model that was imported.

    Attributes:
        bundle: the model in its place.
        notes: a sentence for each thing that was done to find and match its weights.
        settings: the text of its `model.toml`.
        assumed: a sentence for everything that is assumed about it.
        layer: the layer that the CAMs look at; empty if they do not work on it.
    """

    bundle: ModelBundle
    notes: tuple[str, ...]
    settings: str
    assumed: tuple[str, ...]
    layer: str


@dataclass(frozen=True, slots=True)
class Preparation:
    """A model that is put together and not yet in its place.

    Attributes:
        review: its code, for a person who may approve it; None where no code runs.
    """

    _wanted: Wanted
    _place: NewModel
    _kind: Kind
    review: permission.Review | None

    def finish(self) -> Imported:
        """Load the network once, to prove that it works, and put the model into its place.

        Where there is code, this runs it: the person has said that it may, and the approval is recorded.

        Raises:
            XAIMedError: it does not work; nothing was added.
        """
        folder, task = self._place.path, self._wanted.task
        try:
            made = self._made()
            bundle = self._approved() if self.review is not None else read_bundle(folder, task=task)
            classifier = Classifier.load(bundle, device="cpu")
        except XAIMedError as error:
            raise _about_the_source(error, folder, self._wanted) from error
        try:
            layer = classifier.default_layer
        except ExplanationError:
            layer = ""
        settled = read_bundle(self._place.settle(_TASK_DESCRIPTION), task=task)
        if self.review is not None:
            permission.approve(replace(bundle, path=settled.path))  # what was tried, whatever lies there now
        return Imported(settled, made.notes, made.settings, classifier.assumed, layer)

    def add(self) -> ModelBundle:
        """Put the model into its place without loading it; its code, if any, still has to be approved.

        Only for sources that hold their whole network: the weights of others are matched to one that has to be built.

        Raises:
            XAIMedError: its files or settings are wrong; nothing was added.
        """
        try:
            self._made()
            read_bundle(self._place.path, task=self._wanted.task)
        except XAIMedError as error:
            raise _about_the_source(error, self._place.path, self._wanted) from error
        return read_bundle(self._place.settle(_TASK_DESCRIPTION), task=self._wanted.task)

    def _made(self) -> Drafted:
        """Put the model's files into the hidden folder, with description and picture."""
        wanted, folder = self._wanted, self._place.path
        made = self._kind.make(folder, self._approved)
        said = [f"Imported from {wanted.source.name} (SHA-256 {self._kind.sha256}).", *made.notes]
        text = "\n".join(said)
        replace_file(folder / DESCRIPTION, encoded(f"{wanted.description}\n\n{text}".lstrip()), mode=SHARED)
        if wanted.picture is not None:
            read_image(wanted.picture)
            try:
                replace_file(folder / PICTURE, read_limited(wanted.picture, PICTURE_LIMIT), mode=SHARED)
            except UnusableFileError as error:
                raise BundleError(error.cause, subject=wanted.picture, remedy=error.remedy) from error
        return made

    def _approved(self) -> ModelBundle:
        """Return the model as it lies in the hidden folder now, approved: the person has agreed to its code.

        Raises:
            BundleError: somebody has changed its code since the person saw it.
        """
        bundle = read_bundle(self._place.path, task=self._wanted.task)
        if self.review is None or _code_of(bundle) != _code_of(self.review.bundle):
            raise BundleError("its code was changed after it was shown", subject=bundle.path, remedy="import it again")
        permission.approve(bundle)
        return bundle


def _code_of(bundle: ModelBundle) -> dict[str, FileDigest]:
    """Return the digests of the files that run."""
    return {name: bundle.files[name] for name in bundle.code or (bundle.code_file,)}


@contextlib.contextmanager
def preparing(folders: Sequence[Path], wanted: Wanted) -> Iterator[Preparation]:
    """Read what is to be imported, and put a model together out of sight; `Preparation.finish` lets it appear.

    No code runs here.

    Args:
        folders: the tasks folders (`engine.storage.places.task_folders`).
        wanted: what is to be imported.

    Raises:
        TaskError, LibraryError: a name is not allowed or taken.
        BundleError: no model can be made of the source, or the code is not Python.
    """
    kind = open_source(wanted)
    with new_model(folders, wanted.task, wanted.model) as place:
        if not kind.runs_code:
            yield Preparation(wanted, place, kind, None)
            return
        kind.stage(place.path)
        try:
            review = permission.review(place.path, task=wanted.task)
        except XAIMedError as error:
            raise _about_the_source(error, place.path, wanted) from error
        try:
            yield Preparation(wanted, place, kind, review)
        finally:
            permission.revoke(place.path)  # of the hidden folder; the model's own was given in its place


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
