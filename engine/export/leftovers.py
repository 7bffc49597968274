"""The hidden folders in which results are written, and what becomes of those whose writer was killed.

A folder's name tells who writes it, so that the next run that saves beside it can remove it. A note in the user's state
folder tells where it is, so that the next start of any kind does so, wherever the results went.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from engine import places

_PARTIAL = re.compile(r"\.xaimed-(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{16}\.partial")
_ABANDONED_SECONDS = 24 * 60 * 60


@contextlib.contextmanager
def partial_folder(out: Path) -> Iterator[Path]:
    """A new hidden folder below `out`, to be renamed when it is complete; else it is removed, whatever happened.

    Raises:
        OSError: it could not be made.
    """
    partial = Path(os.path.abspath(out)) / f".xaimed-{_host()}-{os.getpid()}-{secrets.token_hex(8)}.partial"  # noqa: PTH100 - links stay
    note = notes() / partial.name
    with contextlib.suppress(OSError):  # no place for notes: then only the next run beside it will find it
        note.parent.mkdir(parents=True, exist_ok=True)
        note.symlink_to(partial)  # made in one step, unlike a file with the path in it
    try:
        partial.mkdir()
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # not there any more if it was renamed
        with contextlib.suppress(OSError):
            note.unlink()


def remove_noted() -> None:
    """Remove what killed runs of this user left anywhere; a quick look at one folder where there is nothing."""
    try:
        found = list(os.scandir(notes()))
    except OSError:
        return
    for entry in found:
        try:
            partial, noted = Path(entry.path).readlink(), entry.stat(follow_symlinks=False).st_mtime
        except OSError:
            continue
        if partial.name == entry.name and _abandoned(entry.name, noted):
            if not partial.is_symlink():
                shutil.rmtree(partial, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108 - an entry of scandir


def remove_beside(out: Path) -> None:
    """Remove what killed runs left in a folder, of whatever user, as far as that may be done.

    Raises:
        OSError: the folder cannot be read.
    """
    for entry in list(os.scandir(out)):
        if not _PARTIAL.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
            continue
        try:
            written = entry.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:  # its writer has just renamed it
            continue
        if _abandoned(entry.name, written):
            shutil.rmtree(entry.path, ignore_errors=True)


def notes() -> Path:
    """The folder of notes; need not exist."""
    return places.state() / "saving"


def _abandoned(name: str, touched: float) -> bool:
    """Whether a folder's writer died here, or was on another machine and has not touched it for a day."""
    match = _PARTIAL.fullmatch(name)
    if match is None:
        return False
    if match["host"] == _host():
        return not _alive(int(match["pid"]))
    return time.time() - touched > _ABANDONED_SECONDS


def _host() -> str:
    """Eight digits for this machine: a process number means something only here."""
    return f"{zlib.crc32(socket.gethostname().encode('utf-8', 'surrogateescape')):08x}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
