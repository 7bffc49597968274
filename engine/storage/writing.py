"""Files of our own that outlast a crash and two programs at once: whole or as before, never half written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from engine.storage.partial import partial_file

SHARED = 0o666
"""Mode of files in a tasks folder, as far as the umask allows: others may look at the same folder."""

_PRIVATE = 0o600
"""Mode of the user's own files, which say what this user looked at and approved."""

_PATIENCE = 10.0
"""Seconds to wait for another program that has the lock; each has it for milliseconds."""


def replace_file(path: Path, content: bytes, *, mode: int = _PRIVATE) -> None:
    """Put `content` in the place of a file; after a crash there is the old or the new one.

    What a crash leaves beside it is removed at the next start, or when the file is written the next time.

    Args:
        path: the file; it need not exist.
        content: all of it.
        mode: who may read and write it, as far as the umask allows; its owner alone unless given.

    Raises:
        OSError: it could not be written; the old file is as it was.
    """
    with _written(path, content, mode) as partial:
        partial.replace(path)
    flush_folder(path.parent)


def make_file(path: Path, content: bytes) -> None:
    """Make a file with this content, whole or not at all; see `replace_file`.

    Raises:
        FileExistsError: it is there already, perhaps made by another program meanwhile.
        OSError: it could not be made.
    """
    with _written(path, content, _PRIVATE) as partial:
        os.link(partial, path)
    flush_folder(path.parent)


@contextlib.contextmanager
def _written(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A hidden file beside `path` with the content, flushed; it is removed if it is not renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(path) as partial:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if partial.stat().st_size != len(content):
            raise OSError(errno.EIO, "the file is shorter than what was written", str(path))
        yield partial


def flush_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut, on file systems that can do so.

    Raises:
        OSError: the disk failed.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one, among all threads and programs, who changes a file.

    The lock is a file `<name>.lock` beside it, which stays. It is let go when its holder ends, however that is.
    Reading needs no lock, as files are replaced whole.

    Raises:
        OSError: the folder cannot be written to, the lock is a link, or another program has had it for ten seconds.
    """
    from filelock import FileLock, Timeout  # late: only who changes something needs it, and it takes time to import

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{path.name}.lock"), _PATIENCE, _PRIVATE, fallback_to_soft=False)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock)
        except Timeout:
            raise OSError(errno.EBUSY, "another program is writing it and does not end", str(path)) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            # On a network file system without locks, the last of two who write at once wins.
        yield
