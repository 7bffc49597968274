"""What went wrong, for people: what, why, what to do about it, and where the details are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import (
    BundleError,
    DeviceError,
    ExportError,
    ImageError,
    NotCompliantError,
    NotFiniteError,
    OutOfMemoryError,
    XAIMedError,
    from_surroundings,
)
from engine.storage.places import log_file
from engine.text import safe_text

DOING = {
    "pytorch": "importing PyTorch",
    "tasks": "reading the tasks",
    "change": "changing the task library",
    "removed": "reading the trash",
    "review": "reading a model's code",
    "approval": "storing an approval",
    "model": "loading the network",
    "check": "checking a model",
    "picture": "reading a model's picture",
    "folder": "reading the folder",
    "watch": "watching the folder",
    "image": "opening the image",
    "method": "making a saliency map",
    "save": "saving",
}

_WORDS: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        OutOfMemoryError,
        "Out of memory",
        "LIME and RISE need the most, the CAMs the least. Fewer programs, a smaller image or another device help.",
    ),
    (MemoryError, "Out of memory", "End other programs, or use a smaller image. What was made before is still there."),
    (
        NotFiniteError,
        "The network gave no numbers",
        "Its answer or a gradient was NaN or infinite, so there is no map to show. Other images may work. If none "
        "does, its weights are damaged, or it was trained for other inputs than model.toml says.",
    ),
    (BundleError, "The model cannot be used", "The files of the model are wrong or do not fit together. "
     "`xaimed models check` tests them; other models are not affected."),
    (ImageError, "The image cannot be read", "The other images are not affected. If the file is still being written, "
     "it is read again once it is whole."),
    (NotCompliantError, "The image does not fit the model", "An image is never altered to make it fit."),
    (DeviceError, "The device cannot be used", "The setting `device` says where to compute."),
    (ExportError, "Nothing was saved", "Nothing was left under a final name. The maps are still in the app."),
)  # fmt: skip
"""For each error its heading, and what to know besides its cause and remedy. The first that fits counts."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure to be shown; all texts are safe.

    Attributes:
        title: what happened, in a few words.
        why: the cause, with the file or object that it concerns.
        remedy: what to do about it; may be empty.
        more: what else is good to know.
        log: the file with the details.
    """

    title: str
    why: str
    remedy: str
    more: str
    log: Path

    @property
    def words(self) -> str:
        """The whole text, for copying."""
        remedy = f"What to do: {self.remedy}\n\n" if self.remedy else ""
        return f"{self.why}\n\n{remedy}{self.more}\n\nLog: {safe_text(self.log)}"


def failure_of(doing: str, error: BaseException) -> Failure:
    """Return the words for an error that ended a job (a key of `DOING`); an error not raised on purpose is a fault."""
    if not isinstance(error, MemoryError):  # which has words of its own
        error = from_surroundings(error) or error
    title, more = next(((title, more) for kind, title, more in _WORDS if isinstance(error, kind)), ("", ""))
    if isinstance(error, XAIMedError):
        why = safe_text(f"{error.subject}: {error.cause}" if error.subject else error.cause, limit=2000)
        return Failure(title or "Not done", _sentence(why), _sentence(safe_text(error.remedy or "")), more, log_file())
    line = fault_line(error, 2000)
    if title:
        return Failure(title, line, "", more, log_file())
    why = f"XAIMed met a fault of its own while {DOING.get(doing, doing)}.\n\n{line}"
    more = "The details are in the log. Nothing else is lost; you can go on."
    return Failure("A fault in the program", why, "", more, log_file())


def fault_line(error: BaseException, limit: int = 300) -> str:
    """Return what was raised, in one safe line."""
    return safe_text(f"{type(error).__name__}: {error}", limit=limit)


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}." if clause and clause[-1] not in ".!?" else clause
