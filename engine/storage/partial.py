"""Partial files and folders: hidden ones to write in before they are renamed, and the removal of what is left of them.

The name of each tells which process writes it, so that the next run that writes beside it can remove it if that process
was killed. A note in the user's state folder tells where it is, so that the next start of the program can remove it
wherever it is.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from engine.storage import places

_FOLDER = re.compile(r"\.xaimed-(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{16}\.partial")
# DOTALL, because a file's name may contain a line feed.
_FILE = re.compile(r"\..+\.(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{16}\.tmp", re.DOTALL)
_ABANDONED_SECONDS = 24 * 60 * 60


@contextlib.contextmanager
def partial_folder(out: Path) -> Iterator[Path]:
    """Make a hidden folder below `out`, to be renamed when it is complete; remove it otherwise, whatever happened.

    Raises:
        OSError: it could not be made.
    """
    partial = _absolute(out) / f".xaimed-{_writer()}.partial"
    with _noted(partial):
        try:
            partial.mkdir()
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # gone already if it was renamed


@contextlib.contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Name a hidden file beside `path`, to be made, and renamed when it is complete; remove it otherwise.

    What killed writers of `path` left behind is removed first.
    """
    remove_beside_file(path)
    partial = _absolute(path).with_name(f".{path.name}.{_writer()}.tmp")
    with _noted(partial):
        try:
            yield partial
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()


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
        if partial.name == entry.name and _abandoned(entry.name, noted):
            # Before its note: if this program is killed in between, the next start still finds the rest.
            _remove(partial)
            with contextlib.suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108 - an entry of scandir


def remove_beside(out: Path) -> None:
    """Remove what killed runs of any user left in a folder, as far as permissions allow.

    Raises:
        OSError: the folder cannot be read.
    """
    for entry in list(os.scandir(out)):
        if not _FOLDER.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
            continue
        try:
            written = entry.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:  # its writer has just renamed it
            continue
        if _abandoned(entry.name, written):
            shutil.rmtree(entry.path, ignore_errors=True)


def remove_beside_file(path: Path) -> None:
    """Remove what killed runs left while writing a file, as far as permissions allow."""
    with contextlib.suppress(OSError):
        for leftover in list(path.parent.glob(f".{glob.escape(path.name)}.*.tmp")):
            if _abandoned(leftover.name, leftover.lstat().st_mtime):
                leftover.unlink()


def notes() -> Path:
    """The folder of notes; need not exist."""
    return places.state() / "saving"


def _abandoned(name: str, touched: float) -> bool:
    """Whether the writer is dead, or is on another machine and has not touched the file or folder for a day."""
    match = _FOLDER.fullmatch(name) or _FILE.fullmatch(name)
    if match is None:
        return False
    if match["host"] == _host():
        return not _alive(int(match["pid"]))
    return time.time() - touched > _ABANDONED_SECONDS


def _remove(partial: Path) -> None:
    """Remove a leftover, unless its name now belongs to something else."""
    if partial.is_symlink():
        return
    if _FOLDER.fullmatch(partial.name):
        shutil.rmtree(partial, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # gone already, or a folder
            partial.unlink()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay


def _writer() -> str:
    # With random digits, because several threads of one process may write to the same place.
    return f"{_host()}-{os.getpid()}-{secrets.token_hex(8)}"


def _host() -> str:
    """Return eight hexadecimal digits for this machine, because a process number is valid on one machine only."""
    return f"{zlib.crc32(socket.gethostname().encode('utf-8', 'surrogateescape')):08x}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only checks
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's process, or no process number: leave its file alone
        return True
    return True
