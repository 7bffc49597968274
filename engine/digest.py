"""What identifies a model folder: a digest over all of its files."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from engine.errors import BundleError
from engine.files import UnusableFileError, chunks_of

SKIPPED = "__pycache__"
MOST_FILES = 10_000

_known: dict[tuple[int, int, int, int, int], str] = {}


def folder_digest(folder: Path) -> str:
    """Hex SHA-256 over all regular files below a folder, `__pycache__` left out.

    It is taken over one line per file, in the order of their relative paths' bytes: the path (with `/`), a NUL byte,
    the size in decimal, a NUL byte, the hex SHA-256 of the content, and a line feed. Files that did not change since
    they were hashed by this process (device, inode, size, modification and change time) are not read again.

    Raises:
        BundleError: a link leads out of the folder or to a folder, something is neither file nor folder, there are more
            than 10,000 files, or one cannot be read.
    """
    lines: list[tuple[bytes, bytes]] = []
    for path in _files(folder, Path(os.path.realpath(folder))):
        name = os.fsencode(path.relative_to(folder).as_posix())
        size, content = _hashed(path)
        lines.append((name, b"%d\0%s\n" % (size, content.encode())))
        if len(lines) > MOST_FILES:
            raise BundleError(
                f"the model folder holds more than {MOST_FILES:,} files",
                subject=folder,
                remedy="keep data sets elsewhere",
            )
    lines.sort()
    digest = hashlib.sha256()
    for name, rest in lines:
        digest.update(name + b"\0" + rest)
    return digest.hexdigest()


def _files(folder: Path, root: Path) -> list[Path]:
    """All files below a folder; links only where they lead to a file inside `root`."""
    found: list[Path] = []
    waiting = [folder]
    while waiting and len(found) <= MOST_FILES:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError as error:
            raise BundleError(
                f"it cannot be read: {error.strerror}", subject=error.filename, remedy="ask for permission to read it"
            ) from error
        for entry in entries:
            path = Path(entry.path)
            if entry.name == SKIPPED:
                continue
            if entry.is_symlink():
                target = Path(os.path.realpath(path))
                if not target.is_relative_to(root) or not target.is_file():
                    raise BundleError(
                        "a link in a model folder must lead to a file in the same folder",
                        subject=path,
                        remedy="put a copy in its place",
                    )
                found.append(path)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            elif entry.is_file(follow_symlinks=False):
                found.append(path)
            else:
                raise BundleError("this is neither a file nor a folder", subject=path, remedy="remove it")
    return found


def _hashed(path: Path) -> tuple[int, str]:
    """Size and hex SHA-256 of a file."""
    try:
        state = path.stat()
    except OSError as error:
        raise BundleError(f"it cannot be read: {error.strerror}", subject=path) from error
    key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    if stat.S_ISREG(state.st_mode) and key in _known:
        return state.st_size, _known[key]
    digest, size = hashlib.sha256(), 0
    try:
        for piece in chunks_of(path):
            digest.update(piece)
            size += len(piece)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    if size == state.st_size:
        _known[key] = digest.hexdigest()
    return size, digest.hexdigest()
