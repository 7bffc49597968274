"""What the background reports to the screens: past-tense messages that read as the story of a session.

What a newer job may overtake carries the `run` it belongs to; a receiver drops that of an older run (see `jobs.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle.model_bundle import ModelBundle
    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage
    from engine.library.tasks import Task
    from engine.library.trash import Removed
    from engine.results.diagnosis import Diagnosis
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from engine.trust.permission import Review
    from xaimed_tui.background.backend import Model
    from xaimed_tui.background.failure import Failure


@dataclass
class LibraryLoaded(Message):
    """The network library is imported; networks can be loaded."""


@dataclass
class TasksListed(Message):
    """The task library was read."""

    tasks: tuple[Task, ...]


@dataclass
class LibraryChanged(Message):
    """A task or model was added, described, removed or restored; `said` is a safe sentence about it."""

    task: str
    model: str | None
    said: str


@dataclass
class RemovedListed(Message):
    """It is known what can be restored."""

    removed: tuple[Removed, ...]


@dataclass
class ModelReviewed(Message):
    """A model's code was read for a person to look at."""

    run: int
    review: Review


@dataclass
class ModelApproved(Message):
    """It is kept that a model's code may run."""

    bundle: ModelBundle


@dataclass
class CheckAdvanced(Message):
    """A model is being checked, and now the method of this key is tried."""

    method: str


@dataclass
class ModelChecked(Message):
    """A model was tried; the lines say how it fared, and are not made safe yet."""

    passed: bool
    lines: tuple[str, ...]


@dataclass
class ModelLoading(Message):
    """A network is being loaded."""

    run: int
    bundle: ModelBundle


@dataclass
class ModelLoaded(Message):
    """A network is ready to answer."""

    run: int
    bundle: ModelBundle
    model: Model


@dataclass
class PictureRead(Message):
    """A picture that belongs to a model's description can be shown."""

    run: int
    pixels: NDArray[np.uint8]


@dataclass
class FolderListed(Message):
    """The names of an image folder are known, or, if it is not `whole` yet, some of them."""

    run: int
    folder: Path
    names: Sequence[str]
    whole: bool

    def can_replace(self, message: Message) -> bool:
        """A longer list makes an unread shorter one worthless."""
        return isinstance(message, FolderListed) and message.run == self.run


@dataclass
class FilesModified(Message):
    """Images of the folder have other content than before."""

    run: int
    names: frozenset[str]


@dataclass
class FolderGone(Message):
    """The folder is not there any more; a `FolderListed` follows should it come back."""

    run: int
    folder: Path


@dataclass
class ComplianceFound(Message):
    """For some files, by name, it is known whether they can be fed to the network; an empty reason means yes."""

    run: int
    reasons: Mapping[str, str]


@dataclass
class ImageRead(Message):
    """An image is decoded and can be shown."""

    run: int
    image: MedicalImage
    view: NDArray[np.uint8]


@dataclass
class DiagnosisMade(Message):
    """The network has answered for an image."""

    run: int
    diagnosis: Diagnosis


@dataclass
class OfMethod(Message):
    """Something happened to a method."""

    run: int
    method: str


@dataclass
class MethodStarted(OfMethod):
    """A method has begun its work."""


@dataclass
class MethodAdvanced(OfMethod):
    """A method has come further."""

    done: int
    total: int

    def can_replace(self, message: Message) -> bool:
        """A newer report of the same method makes an unread older one worthless."""
        return isinstance(message, MethodAdvanced) and (message.run, message.method) == (self.run, self.method)


@dataclass
class MapSharpened(OfMethod):
    """A running method has a better map than before."""

    map: SaliencyMap
    statistics: GridStatistics

    def can_replace(self, message: Message) -> bool:
        """A sharper map makes an unread older one worthless."""
        return isinstance(message, MapSharpened) and (message.run, message.method) == (self.run, self.method)


@dataclass
class MethodEnded(OfMethod):
    """A method is not at work any more; the explanation holds all maps that there are now, None if there are none."""

    explanation: Explanation | None


@dataclass
class MapFinished(MethodEnded):
    """A method has made its map."""


@dataclass
class MethodStopped(MethodEnded):
    """A method was stopped before it had a map; one that it made earlier is still there."""


@dataclass
class MethodFailed(MethodEnded):
    """A method could not make its map; one that it made earlier counts no more."""

    reason: str
    failure: Failure


@dataclass
class ExplanationSaved(Message):
    """Results lie on the disk."""

    path: Path


@dataclass
class JobFailed(Message):
    """A job ended in a failure that a person can understand and act on.

    `what` is the job, a key of `xaimed_tui.background.failure.DOING`; `reason` is one safe line.
    """

    what: str
    run: int
    reason: str
    failure: Failure


@dataclass
class FaultFound(Message):
    """A job hit a fault of the program itself; the log has the details."""

    failure: Failure
