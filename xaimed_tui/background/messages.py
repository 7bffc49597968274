"""What the background reports to the screens: past-tense messages that read as the story of a session.

Messages of jobs that a newer job may replace carry the number of their `ticket`; receivers ignore those of an older
ticket (see `jobs.py`).
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
    from engine.images.eye import EyeWindow
    from engine.images.image import MedicalImage
    from engine.library.tasks import Task
    from engine.library.trash import Removed
    from engine.results.diagnosis import Diagnosis
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from engine.trust.permission import Review
    from xaimed_tui.background.backend import Group, Model
    from xaimed_tui.background.failure import Failure


@dataclass
class TorchImported(Message):
    """PyTorch is imported; networks can be loaded."""


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
    """What can be restored is known."""

    removed: tuple[Removed, ...]


@dataclass
class ModelReviewed(Message):
    """A model's code was read, for a person to review."""

    ticket: int
    review: Review


@dataclass
class ModelApproved(Message):
    """A model's code was approved to run, which is stored."""

    bundle: ModelBundle


@dataclass
class CheckAdvanced(Message):
    """A model is being checked; the method of this key has begun."""

    method: str


@dataclass
class CheckPaced(Message):
    """A model is being checked; `done` of `total` samples of all methods have been drawn."""

    done: int
    total: int


@dataclass
class ModelChecked(Message):
    """A model was checked; the lines say with what result, and are not made safe yet."""

    passed: bool
    lines: tuple[str, ...]


@dataclass
class ModelLoading(Message):
    """A network is being loaded."""

    ticket: int
    bundle: ModelBundle


@dataclass
class ModelLoaded(Message):
    """A network is ready to answer."""

    ticket: int
    bundle: ModelBundle
    model: Model


@dataclass
class PictureRead(Message):
    """A picture that belongs to a model's description can be shown."""

    ticket: int
    pixels: NDArray[np.uint8]


@dataclass
class FolderListed(Message):
    """The names in an image folder are known; only some of them if the list is not `whole` yet.

    Attributes:
        ticket: of the listing.
        folder: the folder.
        names: of the images, in order.
        whole: whether these are all.
        groups: which of them belong together: series, and slices of volumes.
    """

    ticket: int
    folder: Path
    names: Sequence[str]
    whole: bool
    groups: Sequence[Group] = ()

    def can_replace(self, message: Message) -> bool:
        """A longer list replaces an unread shorter one."""
        return isinstance(message, FolderListed) and message.ticket == self.ticket


@dataclass
class FilesModified(Message):
    """The content of some images of the folder has changed."""

    ticket: int
    names: frozenset[str]


@dataclass
class FolderGone(Message):
    """The folder is gone; a `FolderListed` follows if it comes back."""

    ticket: int
    folder: Path


@dataclass
class ComplianceFound(Message):
    """It is known for some files, by name, whether they can be fed to the network; an empty reason means yes."""

    ticket: int
    reasons: Mapping[str, str]


@dataclass
class ImageRead(Message):
    """An image is decoded and can be shown.

    Attributes:
        ticket: of the job.
        image: the image.
        view: the part of it that the network sees.
        window: through which the network gets it, and in words; None for a colour image.
    """

    ticket: int
    image: MedicalImage
    view: NDArray[np.uint8]
    window: tuple[EyeWindow, str] | None = None


@dataclass
class ImageWindowed(Message):
    """An image was drawn through a window for the eye."""

    image: MedicalImage
    view: NDArray[np.uint8]


@dataclass
class WholeImageDrawn(Message):
    """All of an image was drawn, of which the network sees a part: through a window for the eye, or the network's."""

    image: MedicalImage
    window: EyeWindow | None
    view: NDArray[np.uint8]


@dataclass
class InputPictured(Message):
    """There is a picture of what the network was given of an image."""

    image: MedicalImage
    picture: NDArray[np.uint8]


@dataclass
class DiagnosisMade(Message):
    """The network has answered for an image."""

    ticket: int
    diagnosis: Diagnosis


@dataclass
class OfMethod(Message):
    """Something happened to a method."""

    ticket: int
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
        """A newer report of the same method replaces an unread older one."""
        return isinstance(message, MethodAdvanced) and (message.ticket, message.method) == (self.ticket, self.method)


@dataclass
class MapSharpened(OfMethod):
    """A running method has a better map than before."""

    map: SaliencyMap
    statistics: GridStatistics

    def can_replace(self, message: Message) -> bool:
        """A sharper map replaces an unread older one."""
        return isinstance(message, MapSharpened) and (message.ticket, message.method) == (self.ticket, self.method)


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
    """A method could not make its map; one that it made earlier no longer counts."""

    reason: str
    failure: Failure


@dataclass
class MethodPostponed(OfMethod):
    """The exact cells take long: they go on once the maps are made."""


@dataclass
class ExactFound(OfMethod):
    """The exact cells are known under one fill more; under all of them if that is the `whole`.

    The explanation is None while there is no map.
    """

    explanation: Explanation | None
    exact: ExactCells
    whole: bool


@dataclass
class QuestionAsked(OfMethod):
    """A question about a map is being asked: so many of all that are to be asked are done.

    A map's questions together may take so many `seconds`, without what is measured once for the network.
    """

    question: str
    done: int
    total: int
    seconds: float

    def can_replace(self, message: Message) -> bool:
        """The next question replaces an unread one."""
        return isinstance(message, QuestionAsked) and message.ticket == self.ticket


@dataclass
class EvidenceFound(OfMethod):
    """There is an answer more to the questions about the maps; the last one if that is the `whole`."""

    explanation: Explanation
    whole: bool

    def can_replace(self, message: Message) -> bool:
        """Newer evidence holds an unread older one's answers."""
        return isinstance(message, EvidenceFound) and message.ticket == self.ticket


@dataclass
class SavingProgressed(Message):
    """So many files of an explanation are written."""

    done: int
    total: int

    def can_replace(self, message: Message) -> bool:
        """Newer progress makes an unread older one unnecessary."""
        return isinstance(message, SavingProgressed)


@dataclass
class SavingStopped(Message):
    """Saving was stopped; nothing was written."""


@dataclass
class ExplanationSaved(Message):
    """Results are on the disk; `no_map` says why there are no Parametric Maps among them where they were asked for."""

    path: Path
    no_map: str = ""


@dataclass
class JobFailed(Message):
    """A job ended in a failure that a person can understand and act on.

    `what` is the job, a key of `xaimed_tui.background.failure.DOING`; `reason` is one safe line; `code` is that of the
    error, see `engine.errors`.
    """

    what: str
    ticket: int
    reason: str
    failure: Failure
    code: str = ""


@dataclass
class FaultFound(Message):
    """A job failed because of a fault in the program itself; the log has the details."""

    failure: Failure
