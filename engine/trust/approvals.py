"""The file that keeps the user's approvals of models, outside every model folder.

It is JSON, replaced as a whole under a lock, so that two programs can approve at once and a crash leaves the file as it
was. A file that cannot be read approves nothing. A damaged one is set aside under another name, and the user is told.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from engine.bundle.digest import FileDigest, digest_of
from engine.errors import ApprovalError
from engine.storage import places
from engine.storage.documents import parse_json
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import locked, replace_file

_VERSION = 1
_MOST_BYTES = 200_000_000
_ASIDE = ".set-aside-"


@dataclass(frozen=True, slots=True)
class Approval:
    """A user's approval of a model folder.

    Attributes:
        path: the folder, with links as they led at the time.
        digest: of the folder (`engine.bundle.digest.digest_of`).
        files: digest of each of its files, by relative path.
        time: of the approval, in UTC, as ISO 8601 with seconds.
        user: the name by which the system knows the user.
    """

    path: Path
    digest: str
    files: Mapping[str, FileDigest]
    time: str
    user: str


@dataclass(frozen=True, slots=True)
class Approvals:
    """All approvals of this user on this machine.

    Attributes:
        all: in the order in which they were given.
        problem: a sentence if the file could not be read, else empty. If it could not, nothing is approved.
    """

    all: tuple[Approval, ...] = ()
    problem: str = ""


def read_approvals() -> Approvals:
    """Read the approvals. A damaged file is set aside and `problem` says so; nothing is raised."""
    path = places.approvals()
    try:
        return Approvals(_read(path))
    except _DamagedError:
        return _set_aside(path)
    except _UnreadableError as error:
        return Approvals(problem=f"The approvals in {path} cannot be read ({error}), so nothing counts as approved.")


def add_approval(path: Path, files: Mapping[str, FileDigest]) -> Approval:
    """Record that this user approves the folder with these files now; this replaces an older approval of the folder.

    Raises:
        ApprovalError: it could not be written.
    """
    approval = Approval(
        path=places.real_path(path),
        digest=digest_of(files),
        files=MappingProxyType(dict(files)),
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        user=_user(),
    )
    _change(lambda before: (*(kept for kept in before if kept.path != approval.path), approval))
    return approval


def remove_approvals(unwanted: Callable[[Approval], bool]) -> tuple[Approval, ...]:
    """Withdraw the unwanted approvals; return them.

    Raises:
        ApprovalError: the file could not be read or written.
    """
    withdrawn: list[Approval] = []

    def without(before: tuple[Approval, ...]) -> tuple[Approval, ...]:
        withdrawn.extend(approval for approval in before if unwanted(approval))
        return tuple(approval for approval in before if approval not in withdrawn)

    _change(without)
    return tuple(withdrawn)


def files_set_aside() -> tuple[Path, ...]:
    """Return the damaged files that were set aside and still exist, by name."""
    path = places.approvals()
    try:
        return tuple(sorted(path.parent.glob(f"{path.name}{_ASIDE}*")))
    except OSError:
        return ()


class _DamagedError(Exception):
    """The file exists but does not hold approvals."""


class _UnreadableError(Exception):
    """The file may hold approvals, but this program cannot read them; the text is a clause."""


def _change(change: Callable[[tuple[Approval, ...]], tuple[Approval, ...]]) -> None:
    path = places.approvals()
    try:
        with locked(path):
            try:
                before = _read(path)
            except _DamagedError:
                path.rename(_name_aside(path))
                before = ()
            after = change(before)
            if after != before:
                replace_file(path, _to_json(after))
    except _UnreadableError as error:
        raise ApprovalError(f"the approvals cannot be read ({error})", subject=path, remedy="fix that first") from error
    except OSError as error:
        raise ApprovalError(
            f"the approvals cannot be written: {(error.strerror or str(error)).lower()}",
            subject=path,
            remedy="make this file and its folder writable, or set XDG_DATA_HOME to another folder",
        ) from error


def _set_aside(path: Path) -> Approvals:
    try:
        with locked(path):
            try:
                return Approvals(_read(path))  # another program has just set it aside, and perhaps recorded an approval
            except _DamagedError:
                aside = _name_aside(path)
                path.rename(aside)
    except (OSError, _UnreadableError):
        return Approvals(problem=f"The approvals in {path} are damaged, so nothing counts as approved.")
    return Approvals(
        problem=f"The approvals were damaged and were set aside as {aside}; everything needs to be approved again."
    )


def _name_aside(path: Path) -> Path:
    stem = f"{path.name}{_ASIDE}{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}"
    number, aside = 1, path.with_name(stem)
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{stem}-{number}")
    return aside


def _read(path: Path) -> tuple[Approval, ...]:
    if not os.path.lexists(path):
        return ()
    if problem := _others_may_write(path):
        raise _UnreadableError(problem)
    try:
        data = read_limited(path, _MOST_BYTES)
    except UnusableFileError as error:
        raise _UnreadableError(error.cause) from error
    try:
        content = parse_json(data)
        if not isinstance(content, dict):
            raise _DamagedError
        if isinstance(content.get("version"), int) and content["version"] > _VERSION:
            raise _UnreadableError("a newer XAIMed wrote them")
        if content["version"] != _VERSION:
            raise _DamagedError
        return tuple(_from_json(entry) for entry in content["approvals"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _DamagedError from error


def _others_may_write(path: Path) -> str:
    """Say in a clause how others could have written approvals here; empty if they could not, or it cannot be told."""
    if not hasattr(os, "geteuid"):
        return ""
    # The folder's group may write to it: many systems give each user a group of their own.
    # In a sticky folder (0o1000, as /tmp) others may add files but not replace this one; of a file it means nothing.
    for place, writers, guarded in ((path, 0o022, 0), (path.parent, 0o002, 0o1000)):
        try:
            state = place.stat()
        except OSError:
            continue  # reading the file will report it
        # Root can write everywhere anyway.
        if state.st_uid not in (os.geteuid(), 0):
            return f"{place} belongs to another user"
        if state.st_mode & writers and not state.st_mode & guarded:
            return f"others may write to {place}: run chmod go-w"
    return ""


def _from_json(entry: Mapping[str, object]) -> Approval:
    """Return an approval, or raise one of the errors that `_read` takes for damage."""
    path, digest, time, user, listed = (entry[key] for key in ("path", "digest", "time", "user", "files"))
    if not (isinstance(path, str) and isinstance(time, str) and isinstance(user, str) and isinstance(listed, dict)):
        raise TypeError
    files = {}
    for name, (size, sha256) in listed.items():
        if not (isinstance(size, int) and isinstance(sha256, str)):
            raise TypeError
        files[name] = FileDigest(size, sha256)
    if digest_of(files) != digest:
        raise ValueError
    return Approval(Path(path), digest, MappingProxyType(files), time, user)


def _to_json(approvals: tuple[Approval, ...]) -> bytes:
    entries = [
        {
            "path": str(approval.path),
            "digest": approval.digest,
            "time": approval.time,
            "user": approval.user,
            "files": {name: [file.size, file.sha256] for name, file in sorted(approval.files.items())},
        }
        for approval in approvals
    ]
    # In ASCII, names that are not UTF-8 survive as escaped surrogates.
    return (json.dumps({"version": _VERSION, "approvals": entries}, indent=1, ensure_ascii=True) + "\n").encode("ascii")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container without a name for this user
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"
