"""Everything the engine may raise on purpose.

Each error says what happened, to which file or thing, and what to do next. Only the front ends turn errors into text,
by `str(error)` or `error.message`; a programming error (TypeError, ...) is never wrapped in one of these.
"""

from __future__ import annotations

import errno
from pathlib import Path

from engine.text import safe_text

IMAGE_CODES = {
    "bits": "fewer bits of a sample are used than the file has, or more than was said",
    "burned-in": "a patient's name may be written into the pixels",
    "changed": "the file holds another image than the one that was explained, or was written while it was read",
    "channels": "samples that are neither grey, colour nor declared transparency",
    "codec-missing": "a package that its decoding needs is not installed",
    "colour": "grey where the model wants colours, or colours where it wants grey",
    "damaged": "the file is cut short, or its content is not what its format says",
    "empty": "the file has no bytes",
    "frame": "it has no frame, slice or volume such as is named",
    "memory": "there is not enough memory to decode it",
    "missing": "there is no such file or folder",
    "modality": "it was taken by another kind of device than the model is made for, by none, or nobody knows by which",
    "nameless": "a DICOM file that does not say which object of which study it is",
    "no-decoder": "the process that decodes pictures could not be started",
    "no-image": "a folder without images, or without any that the model takes",
    "no-pixels": "a DICOM object that holds no picture, or a NIfTI file of a surface",
    "not-a-file": "a folder, a pipe or a device in place of a file",
    "not-a-folder": "a file in place of a folder",
    "not-an-image": "the file is of no format that is read, and of none that is known",
    "orientation": "how it lies in the patient is not known, or said in two ways",
    "shape": "its sides are in another proportion than the model's input",
    "size": "it has fewer or more pixels a side than the model takes",
    "stack": "several pictures: pages, frames, slices",
    "too-large": "more bytes or pixels than are read",
    "too-slow": "decoding it takes too long",
    "transparent": "parts are transparent, and what lies behind them is not known",
    "unlike-training": "it does not look like what the model was trained on",
    "unreadable": "the file system does not let it be read",
    "unsupported": "a format, compression, depth or colour space that is not read",
    "window": "nobody says which values are black and white",
}
"""The codes of refusals and warnings about images, for programs; what each says. A test compares them with the code."""


class XAIMedError(Exception):
    """A failure that a person can understand and act on.

    Args:
        cause: what happened, as a clause without a full stop: `the file is truncated`.
        subject: the file, task, model or option it happened to; shown first.
        remedy: what to do about it, as an imperative without a full stop.
        code: for programs, what kind of failure this is; None for that of the class. Codes are stable, texts are not.
    """

    code = "error"

    def __init__(
        self,
        cause: str,
        *,
        subject: str | Path | None = None,
        remedy: str | None = None,
        code: str | None = None,
    ) -> None:
        if code is not None:
            self.code = code
        self.cause = cause
        self.subject = None if subject is None else str(subject)
        self.remedy = remedy
        super().__init__(cause)

    @property
    def message(self) -> str:
        """The whole error in one line of at most 4,000 characters, safe to print: `subject: cause; remedy`."""
        parts = f"{self.subject}: {self.cause}" if self.subject else self.cause
        if self.remedy:
            parts = f"{parts}; {self.remedy}"
        return safe_text(parts, limit=4_000)

    def __str__(self) -> str:
        return self.message


class ImageError(XAIMedError):
    """An image file that cannot be read, or is not allowed to be (format, limits, truncation)."""

    code = "unreadable"


class NotCompliantError(XAIMedError):
    """An image that was read but cannot be fed to this model without inventing content."""

    code = "not-compliant"


class TaskError(XAIMedError):
    """A task or task folder that does not exist or cannot be listed."""

    code = "task"


class BundleError(XAIMedError):
    """A model folder that cannot be used: missing files, a wrong `model.toml`, weights that do not fit the network."""

    code = "model"


class LibraryError(XAIMedError):
    """A task or model that could not be added, changed, removed or restored; what was there is as it was."""

    code = "library"


class ApprovalError(XAIMedError):
    """An approval of a model's code that could not be given, kept or taken back."""

    code = "approval"


class DeviceError(XAIMedError):
    """A device or precision that was requested and is not available, or a device that ran out of memory."""

    code = "device"


class OutOfMemoryError(DeviceError):
    """The device, or the machine, ran out of memory."""

    code = "memory"


class ExplanationError(XAIMedError):
    """A map that could not be made: unknown class, method or layer, a parameter out of range, a NaN output."""

    code = "explanation"


class NotFiniteError(ExplanationError):
    """A network that gave NaN or infinity instead of numbers."""

    code = "not-finite"


class ExportError(XAIMedError):
    """Results that could not be written; nothing was left under a final name."""

    code = "export"


class Stopped(XAIMedError):
    """The user stopped the work before there was anything worth keeping."""

    code = "stopped"

    def __init__(self, subject: str | None = None, cause: str = "stopped before a first result") -> None:
        super().__init__(cause, subject=subject)


NO_MEMORY = (
    "MemoryError",
    "llocate memory",
    "enough memory",
    "failed to map segment",
    "pthread_create",
    "out of memory",
)
"""What Python, the loader, torch and OpenBLAS say when there is too little memory."""

INSTALL_APART = "install XAIMed in an environment of its own, for example with pipx"
"""What to do where other packages stand in the way of XAIMed's, or of the libraries it needs."""


def from_surroundings(error: BaseException) -> XAIMedError | None:
    """Return what a person can act on where an error comes from the surroundings; None if it is the program's own.

    Python and the libraries say in many ways that memory, files or threads have run out, or that a library cannot be
    loaded; none of them is a fault in the program. An error of ours is returned as it is.
    """
    if isinstance(error, XAIMedError):
        return error
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if isinstance(error, MemoryError) or number == errno.ENOMEM or any(words in text for words in NO_MEMORY):
        return OutOfMemoryError(
            "there is not enough memory", remedy="close other programs, or allow this one more (ulimit -v)"
        )
    if number in (errno.EMFILE, errno.ENFILE):
        return XAIMedError(
            "too many files are open", remedy="allow this program more of them (ulimit -n)", code="files"
        )
    if "No usable temporary directory" in text:
        return XAIMedError(
            "no folder for temporary files can be written", remedy="set TMPDIR to one that can", code="temporary"
        )
    if "can't start new thread" in text:
        return XAIMedError(
            "no more threads can be started",
            remedy="close other programs, or allow this one more (ulimit -u)",
            code="threads",
        )
    if isinstance(error, ImportError):
        return XAIMedError(f"a library cannot be loaded ({text})", remedy=INSTALL_APART, code="library-missing")
    return None


def as_ours(error: Exception) -> XAIMedError:
    """Return what a front end may say of any error: ours as it is, the surroundings' in our words, else a fault."""
    return from_surroundings(error) or XAIMedError(
        f"a fault in the program: {type(error).__name__}: {error}",
        remedy="set XAIMED_TRACEBACK=1 to see where it arose",
        code="fault",
    )
