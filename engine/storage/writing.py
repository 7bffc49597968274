"""Write files whole: after a crash, or with two programs at once, a file is the new one or the old one, never half."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from engine.storage.partial import partial_file

SHARED = 0o666
"""Mode of files in a tasks folder, as far as the umask allows: other people may use the same folder."""

_PRIVATE = 0o600
"""Mode of the user's own files, which tell what this user looked at and approved."""

_PATIENCE = 10.0
"""Seconds to wait for another program that holds the lock, which normally takes milliseconds."""


def replace_file(path: Path, content: bytes, *, mode: int = _PRIVATE) -> None:
    """Write `content` to a file, replacing what is there; after a crash the file is the old one or the new one.

    What a crash leaves beside it is removed at the next start, or when the file is next written.

    Args:
        path: the file; it need not exist.
        content: its whole content.
        mode: who may read and write it, as far as the umask allows; by default its owner alone.

    Raises:
        OSError: it could not be written; the old file is unchanged.
    """
    with _written(path, content, mode) as partial:
        partial.replace(path)
    flush_folder(path.parent)


def make_file(path: Path, content: bytes, *, mode: int = _PRIVATE) -> None:
    """Create a file with this content, whole or not at all; see `replace_file`.

    Raises:
        FileExistsError: it exists already; another program may just have created it.
        OSError: it could not be created.
    """
    with _written(path, content, mode) as partial:
        os.link(partial, path)  # a rename would replace a file that another program has just created
    flush_folder(path.parent)


@contextlib.contextmanager
def _written(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Yield a hidden file beside `path` with the content, flushed to disk; it is removed unless it was renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(path, mode) as partial:
        with os.fdopen(os.open(partial, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)), "wb") as file:
            file.write(content)
            file.flush()
            # Before the rename: after a power cut, the name could otherwise lead to an empty file.
            os.fsync(file.fileno())
        if partial.stat().st_size != len(content):
            raise OSError(errno.EIO, "the file is shorter than what was written", str(path))
        yield partial


def flush_folder(folder: Path) -> None:
    """Flush a folder to disk, so that its files' names survive a power cut, on file systems that can do so.

    Raises:
        OSError: the disk failed.
    """
    # Windows cannot open a folder like a file.
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
    """Let only one thread of one program at a time change a file.

    The lock is a file `<name>.lock` beside it, which stays. It is released when its holder ends, even in a crash.
    Reading needs no lock, because files are replaced whole.

    Raises:
        OSError: the folder cannot be written to, the lock is a link, or another program has held it for ten seconds.
    """
    from filelock import FileLock, Timeout  # late: it takes time to import, and most runs change nothing

    path.parent.mkdir(parents=True, exist_ok=True)
    # Never a soft lock instead, which may outlive a program that crashed.
    lock = FileLock(path.with_name(f"{path.name}.lock"), _PATIENCE, _PRIVATE, fallback_to_soft=False)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock)
        except Timeout:
            raise OSError(errno.EBUSY, "another program is writing it and does not end", str(path)) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            # On a network file system without locks, the last of two programs that write at once wins.
        yield
