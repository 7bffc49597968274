"""Partial files and folders: hidden ones to write in before they are renamed, and the removal of what is left of them.

Whoever writes one holds a lock on it (`flock`) for as long as it is hidden. So whoever can lock one knows that its
writer is dead, and may remove it. A process number proves nothing: two containers, or two machines that share a disk,
have the same ones. Two cases need more than the lock:

- A writer on another machine, or in this one before it was last started (its boot id differs): the lock must be free,
  and for a day nothing may have touched the file or folder. Some network file systems lock within one machine only.
- A file system without locks, such as NFS for folders: nothing may have touched it for a day, and its writer
  must not be seen to run.

A note in the user's state folder tells where each partial is, so that the next start of the program can remove it
wherever it is.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import re
import secrets
import stat
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from engine.storage import places
from engine.storage.deleting import delete

_WRITER = (
    r"(?P<boot>[0-9a-f]{8})-(?P<space>[0-9]+)-(?P<pid>[0-9]+)-(?P<start>[0-9]+)-[0-9a-f]{16}"
    r"|[0-9a-f]{8}-[0-9]+-[0-9a-f]{16}"  # as version 0.1 named them
)
_FOLDER = re.compile(rf"\.xaimed-(?:{_WRITER})\.partial")
# DOTALL, because a file's name may contain a line feed.
_FILE = re.compile(rf"\..+\.(?:{_WRITER})\.tmp", re.DOTALL)
_ABANDONED_SECONDS = 24 * 60 * 60
_UNKNOWN_BOOT = "00000000"
_MOST_NAME = 120
"""The most bytes of a file's name in that of its partial file, which must not become longer than a name may be."""

_TRIES = 10
"""How often to start again when somebody removes a partial between its making and its locking."""

Lock = Literal["ours", "held", "none"]
"""Whether a lock could be had: it is ours now, somebody else holds it, or this file system has none."""


@contextlib.contextmanager
def partial_folder(out: Path) -> Iterator[Path]:
    """Make a hidden folder below `out`, to be renamed when it is complete; delete it otherwise, whatever happened.

    Raises:
        OSError: it could not be made.
    """
    for _ in range(_TRIES):
        partial = _absolute(out) / f".xaimed-{_writer()}.partial"
        with _noted(partial):
            partial.mkdir()
            with contextlib.ExitStack() as held:
                try:
                    if not _held_for_life(partial, os.O_RDONLY, held):
                        continue
                    yield partial
                finally:
                    delete(partial)  # gone already if it was renamed
                return
    raise OSError("its partial folder is removed again and again")


@contextlib.contextmanager
def partial_file(path: Path, mode: int = 0o600) -> Iterator[Path]:
    """Make an empty hidden file beside `path`, to be renamed when it is complete; remove it otherwise.

    What killed writers of `path` left behind is removed first.

    Args:
        path: the file that it will become.
        mode: who may read and write it, as far as the umask allows.

    Raises:
        OSError: it could not be made.
    """
    remove_beside_file(path)
    for _ in range(_TRIES):
        partial = _absolute(path).with_name(f".{_short(path.name)}.{_writer()}.tmp")
        with _noted(partial):
            # O_EXCL: a link that someone has put in this place is not followed.
            os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
            with contextlib.ExitStack() as held:
                try:
                    if not _held_for_life(partial, os.O_RDWR, held):
                        continue
                    yield partial
                finally:
                    with contextlib.suppress(OSError):
                        partial.unlink()
                return
    raise OSError("its partial file is removed again and again")


@contextlib.contextmanager
def _noted(partial: Path) -> Iterator[None]:
    """Keep a note of where a partial file or folder is, until it is renamed or removed."""
    note = notes() / partial.name
    with contextlib.suppress(OSError):  # without a note, only the next run beside it will find it
        note.parent.mkdir(parents=True, exist_ok=True)
        note.symlink_to(partial)  # made in one step, unlike a file with the path in it
    try:
        yield
    finally:
        if not os.path.lexists(partial):  # else it could not be removed, and the next start tries again
            with contextlib.suppress(OSError):
                note.unlink()


def remove_noted() -> None:
    """Remove what this user's killed runs left anywhere; if there is nothing, this reads one folder and is quick."""
    try:
        found = list(os.scandir(notes()))
    except OSError:
        return
    for entry in found:
        try:
            partial, noted = Path(entry.path).readlink(), entry.stat(follow_symlinks=False).st_mtime
        except OSError:
            continue
        # `_noted` gives a note the name of what it leads to. What any other note leads to must stay.
        if partial.name != entry.name or not _matched(entry.name):
            continue
        # The partial before its note: if this program is killed in between, the next start still finds the rest.
        if _removed_if_abandoned(partial) if os.path.lexists(partial) else _ended(entry.name, noted):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108 - an entry of scandir


def remove_beside(out: Path) -> None:
    """Remove what killed runs of any user left in a folder, as far as permissions allow.

    Raises:
        OSError: the folder cannot be read.
    """
    for entry in list(os.scandir(out)):
        if _FOLDER.fullmatch(entry.name):
            _removed_if_abandoned(Path(entry.path))


def remove_beside_file(path: Path) -> None:
    """Remove what killed runs left while writing a file, as far as permissions allow."""
    with contextlib.suppress(OSError):
        for leftover in list(path.parent.glob(f".{glob.escape(_short(path.name))}.*.tmp")):
            if _FILE.fullmatch(leftover.name):
                _removed_if_abandoned(leftover)


def notes() -> Path:
    """The folder of notes; need not exist."""
    return places.state() / "saving"


def _held_for_life(partial: Path, access: int, held: contextlib.ExitStack) -> bool:
    """Lock a partial that was just made, until `held` is closed; whether it is still there and nobody else's.

    Raises:
        OSError: it is there and cannot be opened.
    """
    if os.name == "nt":  # has no such locks, opens no folder, and renames no open file
        return partial.exists()
    try:
        descriptor = os.open(partial, access | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    held.callback(os.close, descriptor)
    lock = _lock(descriptor)
    # Whoever tidies up may have had the lock for a moment, and removed it.
    return lock != "held" and _leads_to(partial, descriptor)


def _removed_if_abandoned(partial: Path) -> bool:
    """Remove a partial whose writer is dead; whether it is gone, or something else now has its name."""
    try:
        found = partial.lstat()
        kind, access = (stat.S_ISDIR, os.O_RDONLY) if _FOLDER.fullmatch(partial.name) else (stat.S_ISREG, os.O_RDWR)
        if not kind(found.st_mode):
            return True
        descriptor = os.open(partial, access | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        lock = _lock(descriptor)
        if lock == "held" or not _leads_to(partial, descriptor):
            return False
        match = _matched(partial.name)
        of_this_boot = match is not None and match["boot"] == _boot() != _UNKNOWN_BOOT
        if not (lock == "ours" and of_this_boot) and (
            _runs(partial.name) or time.time() - found.st_mtime <= _ABANDONED_SECONDS
        ):
            return False
        delete(partial)  # while the lock is held, so that nobody takes it over
    finally:
        os.close(descriptor)
    return not os.path.lexists(partial)


def _lock(descriptor: int) -> Lock:
    """Lock an open file or folder without waiting."""
    try:
        import fcntl
    except ImportError:  # Windows
        return "none"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "held"
    except OSError:  # NFS wants a lock's file to be open for writing, which a folder cannot be
        return "none"
    return "ours"


def _leads_to(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to what is open."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _ended(name: str, noted: float) -> bool:
    """Whether the writer of a partial that this process cannot see has ended: its note is of no use then.

    It may only not have made it yet, or write to a disk that this process does not see.
    """
    runs = _runs(name)
    return time.time() - noted > _ABANDONED_SECONDS if runs is None else not runs


def _runs(name: str) -> bool | None:
    """Whether a partial's writer runs; None if this process cannot know, as in another container or machine."""
    match = _matched(name)
    here = _boot(), _space()
    if match is None or _UNKNOWN_BOOT in here or (match["boot"], match["space"]) != here:
        return None
    return _start_of(int(match["pid"])) == match["start"] != "0"


def _matched(name: str) -> re.Match[str] | None:
    return _FOLDER.fullmatch(name) or _FILE.fullmatch(name)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay


def _short(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_MOST_NAME])


def _writer() -> str:
    """Return who writes, as part of a name; see `_WRITER`."""
    # With random digits, because several threads of one process may write to the same place.
    return f"{_boot()}-{_space()}-{os.getpid()}-{_start_of(os.getpid())}-{secrets.token_hex(8)}"


@functools.cache
def _boot() -> str:
    """Return eight hexadecimal digits for this machine since it was last started: all its containers share them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return _UNKNOWN_BOOT
    return f"{zlib.crc32(boot):08x}"


def _space() -> str:
    """Return the number of this process's PID namespace; 0 if there is none to tell."""
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    return "0"


def _start_of(pid: int) -> str:
    """Return when a process started, in clock ticks since the machine did; 0 if that is not known or it is gone."""
    try:
        # After the name in brackets, which may hold anything (proc_pid_stat(5), field 22).
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode("ascii")
    except (OSError, IndexError, OverflowError):
        return "0"
