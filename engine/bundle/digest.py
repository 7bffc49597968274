"""Digests of a model folder: one for each file, and one over all of them."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from engine.errors import BundleError
from engine.storage import places
from engine.storage.reading import UnusableFileError, chunks_of, open_regular

SKIPPED = "__pycache__"
MOST_FILES = 10_000
MOST_BYTES = 64 * 2**30
"""Limit for all files together. Hashing more takes minutes, and a sparse file can claim any size."""

_SETTLED = 2.0
"""Seconds that must pass before a file's digest is remembered: two quick changes may leave it the same times."""

_CHUNK_BYTES = 2**20
_SPARSE_FROM_BYTES = 2**30
"""Files up to this size are hashed even if they are all holes."""

_MOST_COMPRESSION = 100
"""The highest ratio believed of a file system that compresses. Weights hardly compress at all."""

_remembered: dict[tuple[int, int, int, int, int], str] = {}
"""Hex SHA-256 of files that this process has hashed, by `_state_key`."""


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Size in bytes and hex SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model folder at one moment. Every file is read at most once.

    Attributes:
        files: digest of every regular file, by its path in the folder with `/`, as Python decodes file names.
        kept: content of the files asked for, exactly as hashed, by the same paths.
        digest: see `digest_of`.
    """

    files: Mapping[str, FileDigest]
    kept: Mapping[str, bytes]
    digest: str


def digest_of(files: Mapping[str, FileDigest]) -> str:
    """Return the hex SHA-256 over one line per file, sorted by the bytes of the relative paths.

    A line is the path (with `/`), a NUL byte, the size in decimal, a NUL byte, the hex SHA-256 of the content, and a
    line feed.
    """
    digest = hashlib.sha256()
    for name, file in sorted((os.fsencode(name), file) for name, file in files.items()):
        # No path contains a NUL byte, so different files never give the same bytes.
        digest.update(b"%s\0%d\0%s\n" % (name, file.size, file.sha256.encode()))
    return digest.hexdigest()


def take_snapshot(folder: Path, keep: Mapping[str, int | None] | None = None, *, fresh: bool = False) -> Snapshot:
    """Hash every regular file below a folder. Whatever is named `__pycache__` is left out.

    Args:
        folder: the model folder.
        keep: files at the top of the folder whose content is wanted, with the most bytes to keep of each (None for
            all). The content kept is exactly what was hashed.
        fresh: read every file. Otherwise a file that this process has hashed before is not read again if device, inode,
            size and times of modification and change are still the same.

    Raises:
        BundleError: a link leads out of the folder, to a folder or into `__pycache__`; a file has a second name (a hard
            link) elsewhere; something is neither file nor folder; there are more than 10,000 files or 64 GiB; a large
            file is almost all holes; or one cannot be read.
    """
    wanted = keep or {}
    files: dict[str, FileDigest] = {}
    kept: dict[str, bytes] = {}
    for name, path in _walk(folder):
        if name in wanted:
            files[name], kept[name] = _read_and_hash(path, wanted[name])
        else:
            files[name] = _hashed(path, fresh=fresh)
    return Snapshot(MappingProxyType(files), MappingProxyType(kept), digest_of(files))


def _walk(folder: Path) -> list[tuple[str, Path]]:
    """Return relative path and path of all files below a folder, links to files inside it included."""
    root = places.real_path(folder)
    found: list[tuple[str, Path]] = []
    size = 0
    names_inside: Counter[tuple[int, int]] = Counter()  # by device and inode
    hard_links: list[tuple[tuple[int, int], int, Path]] = []
    for entry in _entries(folder):
        path = Path(entry.path)
        if entry.is_symlink():
            _check_link(path, root)
        elif entry.is_file(follow_symlinks=False):
            state = _state(path)
            size += state.st_size
            _refuse_sparse(path, state)
            names_inside[state.st_dev, state.st_ino] += 1
            if state.st_nlink > 1:
                hard_links.append(((state.st_dev, state.st_ino), state.st_nlink, path))
        else:
            raise BundleError("this is neither a file nor a folder", subject=path, remedy="remove it")
        if size > MOST_BYTES:
            raise BundleError(
                f"the model folder holds more than {MOST_BYTES / 2**30:.0f} GiB",
                subject=folder,
                remedy="keep data sets elsewhere",
            )
        found.append((path.relative_to(folder).as_posix(), path))
        if len(found) > MOST_FILES:
            raise BundleError(
                f"the model folder holds more than {MOST_FILES:,} files",
                subject=folder,
                remedy="keep data sets elsewhere",
            )
    # Some installers hard-link the files of packages, ours among them, into several environments. The digests that
    # come with the bundled models guard those.
    if not root.is_relative_to(places.real_path(places.bundled_tasks())):
        for key, count, path in hard_links:
            if count > names_inside[key]:
                raise BundleError(
                    "the file has another name outside the model folder (a hard link), through which it can be changed",
                    subject=path,
                    remedy="put a copy in its place",
                )
    return found


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder except the folders, in no particular order."""
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError as error:
            raise BundleError("it no longer exists", subject=error.filename, remedy="choose another model") from error
        except OSError as error:
            raise BundleError(
                f"it cannot be read: {error.strerror}", subject=error.filename, remedy="ask for permission to read it"
            ) from error
        for entry in entries:
            if entry.name == SKIPPED:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            else:
                yield entry


def _refuse_sparse(path: Path, state: os.stat_result) -> None:
    """Refuse a large file that takes up almost no space: hashing its zeros could take for ever."""
    blocks = getattr(state, "st_blocks", None)  # of 512 bytes each; Windows has no such field
    if blocks is not None and state.st_size > _SPARSE_FROM_BYTES and blocks * 512 < state.st_size // _MOST_COMPRESSION:
        raise BundleError(
            f"the file claims {state.st_size:,} bytes and takes {blocks * 512:,} on the disk",
            subject=path,
            remedy="remove it, or copy the model again",
        )


def _check_link(path: Path, root: Path) -> None:
    target = places.real_path(path)
    if (
        not target.is_relative_to(root)
        or not target.is_file()
        or SKIPPED in target.relative_to(root).parts  # a file in there is not hashed under its own name
    ):
        raise BundleError(
            "a link in a model folder must lead to a file in the same folder",
            subject=path,
            remedy="put a copy in its place",
        )


def _state(path: Path, *, follow: bool = False) -> os.stat_result:
    try:
        return path.stat(follow_symlinks=follow)
    except OSError as error:
        raise BundleError(f"it cannot be read: {error.strerror}", subject=path) from error


def _hashed(path: Path, *, fresh: bool) -> FileDigest:
    """Return a file's digest; unless `fresh`, the remembered one if the file looks unchanged."""
    state = _state(path, follow=True)
    if not fresh and stat.S_ISREG(state.st_mode) and _state_key(state) in _remembered:
        return FileDigest(state.st_size, _remembered[_state_key(state)])
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(open_regular(path), "rb", buffering=0) as file:
            opened = os.fstat(file.fileno())  # not `state`: another file may have replaced it
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    except OSError as error:
        raise BundleError(f"it cannot be read: {(error.strerror or str(error)).lower()}", subject=path) from error
    if size == opened.st_size and abs(time.time() - max(opened.st_mtime, opened.st_ctime)) > _SETTLED:
        _remembered[_state_key(opened)] = digest.hexdigest()
    return FileDigest(size, digest.hexdigest())


def _state_key(state: os.stat_result) -> tuple[int, int, int, int, int]:
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _read_and_hash(path: Path, limit: int | None) -> tuple[FileDigest, bytes]:
    """Return a file's digest and its first `limit` bytes; all of them if `limit` is None."""
    try:
        if limit is None:  # a whole file, such as weights: joining chunks would take twice the memory
            with os.fdopen(open_regular(path), "rb", buffering=0) as file:
                content = file.read()
            return FileDigest(len(content), hashlib.sha256(content).hexdigest()), content
        digest, size, kept = hashlib.sha256(), 0, []
        for chunk in chunks_of(path):
            digest.update(chunk)
            if size < limit:
                kept.append(chunk[: limit - size])
            size += len(chunk)
        return FileDigest(size, digest.hexdigest()), b"".join(kept)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    except OSError as error:
        raise BundleError(f"it cannot be read: {(error.strerror or str(error)).lower()}", subject=path) from error
    except MemoryError as error:
        raise BundleError(
            "it does not fit into this machine's memory", subject=path, remedy="use a machine with more memory"
        ) from error
