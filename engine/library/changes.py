"""Changes the task library: adds tasks; describes, removes and restores tasks and models.

Changes are made in one folder, the first of the tasks folders, under its lock. A new task or model is put together in a
staging folder beside the tasks and then renamed, so that an interrupted change leaves nothing that is listed. Bundled
tasks are never changed: removing hides them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.bundle.model_bundle import DESCRIPTION
from engine.errors import LibraryError
from engine.library import hidden, trash
from engine.library.names import allowed_name, as_shown, check_name, place_of, stays_below
from engine.library.tasks import TASK_DESCRIPTION, find_model_folder, find_task_folder, model_names, task_names
from engine.library.trash import Removed
from engine.storage.deleting import OTHER_MOUNT, Left, mounts_below
from engine.storage.partial import partial_folder, remove_beside
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import SHARED, flush_folder, locked, replace_file

MOST_DESCRIPTION = 64_000
"""The most bytes of a description; more would not be shown."""

_REMEDIES = {
    errno.ENOSPC: "free some space on the disk of the tasks folder",
    errno.EDQUOT: "free some space on the disk of the tasks folder",
    errno.EACCES: "ask for permission to write to the tasks folder",
    errno.EPERM: "ask for permission to write to the tasks folder",
    errno.EROFS: "use --tasks to choose a folder other than the tasks folder",
}

_LOCK = ".library"


def description_from(argument: str) -> str:
    """Return the description that an argument names as a file or contains as text.

    Raises:
        LibraryError: the file cannot be used, or there is no file of a name that looks like a file's.
    """
    with contextlib.suppress(OSError, ValueError):  # not a possible path: then it is the text itself
        if os.path.lexists(argument):
            try:
                return read_limited(Path(argument), MOST_DESCRIPTION).decode("utf-8-sig")
            except UnusableFileError as error:
                raise LibraryError(error.cause, subject=argument, remedy=error.remedy) from error
            except UnicodeDecodeError as error:
                raise LibraryError("it is not UTF-8 text", subject=argument, remedy="save it as UTF-8") from error
    if not any(character.isspace() for character in argument) and ("/" in argument or Path(argument).suffix):
        raise LibraryError(
            "there is no such file", subject=argument, remedy="check the path, or give the description itself"
        )
    return argument


def add_task(folders: Sequence[Path], task: str, description: str) -> Path:
    """Make a task without models; return its folder.

    Args:
        folders: the tasks folders (`engine.storage.places.task_folders`); the task is made in the first.
        task: its name.
        description: its text, at most 64,000 bytes in UTF-8.

    Raises:
        TaskError: the name is not allowed.
        LibraryError: there is already such a task, or it could not be made. Nothing was added.
    """
    check_name("task", task)
    content = encoded(description)
    folder = _changeable(folders)
    with changing(folder, f"task {task}", "nothing was added"):
        place = place_of(folder, task)
        if task in task_names(folders) or os.path.lexists(place):
            raise LibraryError(
                "there is a task of that name already", subject=task, remedy="choose another name, or remove that task"
            )
        with staging(folder) as made:
            replace_file(made / TASK_DESCRIPTION, content, mode=SHARED)
            made.rename(place)
        flush_folder(folder)
    return place


def describe(folders: Sequence[Path], task: str, description: str, model: str | None = None) -> Path:
    """Replace the description of a task or a model; return the folder of that task or model.

    A model's approval covers its description, so a new description ends the approval.

    Raises:
        TaskError, BundleError: there is no such task or model.
        LibraryError: it is a bundled one, or the text could not be written. The old text is as it was.
    """
    content = encoded(description)
    place = find_task_folder(folders, task) if model is None else find_model_folder(folders, task, model)
    folder = place.parent if model is None else place.parent.parent
    subject = _subject(task, model)
    refuse_bundled(folder, subject)
    name = TASK_DESCRIPTION if model is None else DESCRIPTION
    with changing(folder, subject, "its description is as it was"):
        place = place_of(folder, task, model)
        replace_file(place / name, content, mode=SHARED)
    return place


def remove(folders: Sequence[Path], task: str, model: str | None = None) -> Removed:
    """Move a task, or a model of it, into the trash; a bundled one is hidden from this user instead.

    Args:
        folders: the tasks folders.
        task, model: names. A name that is not allowed may also be given as it is shown; in the trash it is replaced by
            one that is allowed.

    Raises:
        TaskError, BundleError: there is no such task or model.
        LibraryError: it could not be moved and is where it was.
    """
    task = as_shown(task, task_names(folders))
    if model is None:
        place = find_task_folder(folders, task)
    else:
        model = as_shown(model, model_names(folders, task))
        place = find_model_folder(folders, task, model, unchecked=True)
    folder = place.parent if model is None else place.parent.parent
    subject = _subject(task, model)
    if hidden.is_bundled(folder):
        if len(folders) < 2:
            refuse_bundled(folder, subject)
        gone = Removed(task, model, trash.now(), None)
        with library_errors(subject, "it is still shown"):
            hidden.hide(gone.name, gone.time)
        return gone
    with changing(folder, subject, "it is where it was"):
        if model is not None and not stays_below(place.parent, folder):
            raise LibraryError(
                "its task's folder is a link that leads out of the tasks folder",
                subject=subject,
                remedy="delete it there",
            )
        if mounts := mounts_below(place):
            raise LibraryError(
                f"another file system is mounted in it ({mounts[0]}), and emptying the trash must not reach it",
                subject=subject,
                remedy=f"unmount it first: umount {shlex.quote(str(mounts[0]))}",
            )
        # A name that is not allowed could not be given to `restore`.
        return trash.put_away(folder, place, allowed_name(task), None if model is None else allowed_name(model))


def removed(folders: Sequence[Path]) -> tuple[Removed, ...]:
    """Return all that can be restored, the last removed first: what is in the trash, and what is hidden.

    Raises:
        LibraryError: the trash cannot be read.
    """
    folder = folders[0]
    with library_errors(str(folder), "what was removed is not known"):
        found = list(trash.in_trash(folder))
    for name, time in hidden.hidden_names(folders).items():
        task, slash, model = name.partition("/")
        found.append(Removed(task, model if slash else None, time, None))
    return tuple(sorted(found, key=lambda gone: (gone.time, gone.name), reverse=True))


def restore(folders: Sequence[Path], task: str, model: str | None = None) -> Removed:
    """Restore the task or model of that name that was removed last.

    Raises:
        TaskError: a name is not allowed.
        LibraryError: nothing of that name was removed, its place is taken, or it could not be moved.
    """
    check_name("task", task)
    subject = _subject(task, model)
    found = next((gone for gone in removed(folders) if (gone.task, gone.model) == (task, model)), None)
    if found is None:
        raise LibraryError("nothing of that name was removed", subject=subject, remedy=_what_was_removed(folders))
    folder = _changeable(folders)
    if found.path is None:
        with library_errors(subject, "it is still hidden"):
            hidden.unhide(found.name)
        return found
    with changing(folder, subject, "it is still in the trash"):
        place = place_of(folder, task, model)
        if not place.parent.is_dir():
            raise LibraryError(f"its task {task} is not there", subject=subject, remedy="restore the task first")
        if os.path.lexists(place):
            raise LibraryError(
                "there is another one of that name now", subject=subject, remedy="remove that one, then restore"
            )
        trash.put_back(found, place)
    return found


def purge(folders: Sequence[Path], unwanted: Sequence[Removed]) -> None:
    """Delete what is in the trash for good; leave what is hidden as it is.

    Of something in which another file system is mounted, nothing is deleted; the rest of the trash is.

    Raises:
        LibraryError: not all of it could be deleted; the first thing that was left is named, with the reason.
    """
    folder = _changeable(folders)
    left: list[Left] = []
    with changing(folder, str(folder / trash.TRASH), "not all of it was deleted"):
        for gone in unwanted:
            if gone.path is not None:
                left += trash.delete_for_good(gone)
    if left:
        more = f", and {len(left) - 1} more" if len(left) > 1 else ""
        raise LibraryError(
            f"not all of it was deleted: {left[0].reason}",
            subject=f"{left[0].path}{more}",
            remedy="unmount it, then empty the trash again"
            if left[0].reason == OTHER_MOUNT
            else "change its permissions, then empty the trash again",
        )


# What changes have in common


@contextlib.contextmanager
def changing(folder: Path, subject: str, outcome: str) -> Iterator[None]:
    """Hold the lock of a tasks folder, which is made if need be; first delete what interrupted changes left there.

    Args:
        folder: the tasks folder.
        subject: what is changed, for errors.
        outcome: how things stand if it fails, as a clause.

    Raises:
        LibraryError: in place of every OSError.
    """
    with library_errors(subject, outcome, folder), locked(folder / _LOCK):
        remove_beside(folder)
        trash.tidy(folder)
        yield


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a folder to put something together in, which is not listed as a task; delete it unless it was renamed."""
    with partial_folder(folder) as made:
        yield made


def refuse_bundled(folder: Path, subject: str) -> None:
    """Refuse to change the folder of the bundled tasks.

    Raises:
        LibraryError: it is that folder.
    """
    if hidden.is_bundled(folder):
        raise LibraryError(
            "what comes with XAIMed cannot be changed",
            subject=subject,
            remedy="add a task of your own with xaimed tasks add",
        )


def _changeable(folders: Sequence[Path]) -> Path:
    """Return the tasks folder in which changes are made.

    Raises:
        LibraryError: it is that of the bundled tasks.
    """
    refuse_bundled(folders[0], str(folders[0]))
    return folders[0]


@contextlib.contextmanager
def library_errors(subject: str, outcome: str, folder: Path | None = None) -> Iterator[None]:
    """Raise a LibraryError in place of every OSError; it names the tasks folder if that was to be changed."""
    try:
        yield
    except OSError as error:
        cause = (error.strerror or str(error)).lower()
        place = f" ({error.filename})" if error.filename else ""
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is not None and folder is not None:
            remedy = f"{remedy}: {folder}"
        raise LibraryError(f"{cause}{place}; {outcome}", subject=subject, remedy=remedy) from error


def encoded(description: str) -> bytes:
    """Return a description as the bytes to write.

    Raises:
        LibraryError: it is too long, or not text.
    """
    try:
        content = description.encode()
    except UnicodeEncodeError as error:
        raise LibraryError("it is not UTF-8 text", subject="the description", remedy="save it as UTF-8") from error
    if len(content) > MOST_DESCRIPTION:
        raise LibraryError(
            f"it has {len(content):,} bytes; at most {MOST_DESCRIPTION:,} are kept",
            subject="the description",
            remedy="shorten it",
        )
    return content if content.endswith(b"\n") else content + b"\n"


def _subject(task: str, model: str | None) -> str:
    return f"task {task}" if model is None else f"{task}/{model}"


def _what_was_removed(folders: Sequence[Path]) -> str:
    names = list(dict.fromkeys(gone.name for gone in removed(folders)))
    if not names:
        return "nothing can be restored"
    return f"what was removed is {', '.join(names[:20])}"
