"""The changes to the task library that a person can make in the app, each made in a background thread.

Descriptions and paths are written as on the command line, where `xaimed tasks` and `xaimed models` do the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.bundle.checks import PACKAGES
from engine.errors import LibraryError

if TYPE_CHECKING:
    from engine.bundle.model_bundle import ModelBundle
    from engine.library.trash import Removed


class Change(Protocol):
    """A change of the task library.

    Attributes:
        task, model: where the cursor goes afterwards; None leaves it where it is.
    """

    @property
    def task(self) -> str: ...
    @property
    def model(self) -> str | None: ...

    def make(self, folders: Sequence[Path]) -> str:
        """Make the change; return a sentence that says what was done.

        Raises:
            XAIMedError: the change could not be made; nothing has changed.
        """


@dataclass(frozen=True)
class AddTask:
    """Add a task without models."""

    task: str
    description: str
    model: str | None = None

    def make(self, folders: Sequence[Path]) -> str:
        from engine.library import changes

        place = changes.add_task(folders, self.task, changes.description_from(self.description))
        return f"Added the task {self.task} in {place}."


@dataclass(frozen=True)
class AddModel:
    """Add a model to a task; an empty path means that the file is not given.

    In place of the architecture, a network may be named as `torchvision:resnet18`. Without either and without settings,
    the network is that of the source, or the known one that the weights fit.
    """

    task: str
    model: str
    weights: str
    architecture: str
    description: str = ""
    picture: str = ""
    settings: str = ""

    def make(self, folders: Sequence[Path]) -> str:
        from engine.library import changes
        from engine.library.add_model import Parts, add_model

        named = self.architecture.strip().partition(":")[0] in PACKAGES
        if named or not (self.architecture.strip() or self.settings.strip()):
            return self._import(folders, self.architecture.strip() if named else None)
        parts = Parts(
            weights=_file("the weights", self.weights),
            architecture=_file("the architecture", self.architecture) if self.architecture.strip() else None,
            description=changes.description_from(self.description) if self.description.strip() else None,
            picture=_file("the picture", self.picture) if self.picture.strip() else None,
            settings=_file("model.toml", self.settings) if self.settings.strip() else None,
        )
        return self._added(add_model(folders, self.task, self.model, parts))

    def _import(self, folders: Sequence[Path], network: str | None) -> str:
        """Make the model as `xaimed models import` does."""
        from engine.authoring.import_model import Wanted, preparing
        from engine.library import changes

        wanted = Wanted(
            source=_file("the weights", self.weights),
            task=self.task,
            model=self.model,
            network=network,
            description=changes.description_from(self.description) if self.description.strip() else "",
            picture=_file("the picture", self.picture) if self.picture.strip() else None,
        )
        with preparing(folders, wanted) as preparation:
            bundle = preparation.add() if preparation.review is not None else preparation.finish().bundle
        return self._added(bundle)

    def _added(self, bundle: ModelBundle) -> str:
        from engine.trust import permission

        said = f"Added {self.task}/{self.model}."
        if not bundle.runs_code:
            return f"{said} {permission.no_code_words(bundle)}"
        if permission.standing_of(bundle).allowed:  # the same bytes were approved before
            return said
        return f"{said} Its code must be approved before it can run: Enter shows it."


@dataclass(frozen=True)
class Describe:
    """Replace the description of a task or a model."""

    task: str
    model: str | None
    description: str

    def make(self, folders: Sequence[Path]) -> str:
        from engine.library import changes
        from engine.library.tasks import read_entry

        changes.describe(folders, self.task, self.description, self.model)
        if self.model is None:
            return f"The task {self.task} has a new description."
        said = f"{self.task}/{self.model} has a new description."
        bundle = read_entry(folders, self.task, self.model).bundle
        if bundle is not None and not bundle.runs_code:
            return said
        return f"{said} An approval covers that file too: the model has to be approved again."


@dataclass(frozen=True)
class Remove:
    """Move a task or a model into the trash, or hide a bundled one."""

    task: str
    model: str | None = None

    def make(self, folders: Sequence[Path]) -> str:
        from engine.library import changes
        from engine.library.tasks import task_names

        gone = changes.remove(folders, self.task, self.model)
        where = "hidden, because it comes with XAIMed" if gone.path is None else "in the trash"
        rest = self.model is None and self.task in task_names(folders)
        more = " The one of that name that comes with XAIMed is still shown." if rest else ""
        return f"Removed {gone.name}: it is {where}, and can be restored.{more}"


@dataclass(frozen=True)
class Restore:
    """Restore what was removed last under a name."""

    task: str
    model: str | None = None

    def make(self, folders: Sequence[Path]) -> str:
        from engine.library import changes

        return f"Restored {changes.restore(folders, self.task, self.model).name}."


@dataclass(frozen=True)
class Purge:
    """Delete for good what is in the trash."""

    removed: tuple[Removed, ...]
    task: str = ""
    model: str | None = None

    def make(self, folders: Sequence[Path]) -> str:
        from engine.library import changes

        changes.purge(folders, self.removed)
        return f"Deleted for good: {', '.join(gone.name for gone in self.removed)}."


@dataclass(frozen=True)
class DraftSettings:
    """Write a first `model.toml` from what the network shows when it runs."""

    task: str
    model: str

    def make(self, folders: Sequence[Path]) -> str:
        from engine.authoring.draft import draft_into_place
        from engine.library.tasks import find_model

        written = draft_into_place(find_model(folders, self.task, self.model)).path / "model.toml"
        return (
            f"Wrote {written}. Only whoever trained the model knows what belongs in the lines marked CHECK. Once they "
            "are right, press Enter to see the model again and approve it."
        )


def _file(what: str, typed: str) -> Path:
    text = typed.strip()
    if not text:
        raise LibraryError("no file is given", subject=what, remedy="name it")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise LibraryError("there is no such home folder", subject=text, remedy="check the path") from error
