"""What a model folder holds, byte for byte: the digests of its files, and one over all of them."""

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
"""Of all files together. To hash more takes minutes, and a file of holes can claim any size."""

_SETTLED = 2.0
"""Seconds after which a file's times tell whether it was changed; before, two changes may bear the same time."""

_PIECE = 2**20
_LARGE = 2**30
_MOST_COMPRESSED = 100
"""What a file system that compresses may save at most; weights hardly compress at all."""

_known: dict[tuple[int, int, int, int, int], str] = {}


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Size in bytes and hex SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A model folder at one moment; every file was read once.

    Attributes:
        files: digest of every regular file, by its path in the folder with `/`, as Python decodes file names.
        kept: of the files asked for, the content that was hashed, by the same paths.
        digest: see `digest_of`.
    """

    files: Mapping[str, FileDigest]
    kept: Mapping[str, bytes]
    digest: str


def digest_of(files: Mapping[str, FileDigest]) -> str:
    """Hex SHA-256 over one line per file, in the order of their relative paths' bytes.

    A line is the path (with `/`), a NUL byte, the size in decimal, a NUL byte, the hex SHA-256 of the content, and a
    line feed.
    """
    digest = hashlib.sha256()
    for name, file in sorted((os.fsencode(name), file) for name, file in files.items()):
        digest.update(b"%s\0%d\0%s\n" % (name, file.size, file.sha256.encode()))
    return digest.hexdigest()


def take_snapshot(folder: Path, keep: Mapping[str, int | None] | None = None, *, fresh: bool = False) -> Snapshot:
    """Hash every regular file below a folder, `__pycache__` (whatever it is) left out.

    Args:
        folder: the model folder.
        keep: files at the top of the folder whose content is wanted, with the most bytes to keep of each (None for
            all). It is the very content that was hashed.
        fresh: read every file. Otherwise those that this process has hashed before and that did not change since
            (device, inode, size, times of modification and change) are not read again.

    Raises:
        BundleError: a link leads out of the folder, to a folder or into `__pycache__`; a file has a second name (a hard
            link) elsewhere; something is neither file nor folder; there are more than 10,000 files or 64 GiB; a file is
            mostly a hole; or one cannot be read.
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
    """Relative path and path of all files below a folder; links only where they lead to a file inside it."""
    root = places.real_path(folder)
    found: list[tuple[str, Path]] = []
    size = 0
    names: Counter[tuple[int, int]] = Counter()
    hard_links: list[tuple[tuple[int, int], int, Path]] = []
    for entry in _entries(folder):
        path = Path(entry.path)
        if entry.is_symlink():
            _check_link(path, root)
        elif entry.is_file(follow_symlinks=False):
            state = _state(path)
            size += state.st_size
            _check_holes(path, state)
            names[state.st_dev, state.st_ino] += 1
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
    # Installers that share files between environments link those of our own package; its digests guard them.
    if not root.is_relative_to(places.real_path(places.bundled_tasks())):
        for key, count, path in hard_links:
            if count > names[key]:
                raise BundleError(
                    "the file has another name outside the model folder (a hard link), by which it can be changed",
                    subject=path,
                    remedy="put a copy in its place",
                )
    return found


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder but folders, in no order."""
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError as error:
            raise BundleError(
                "it is not there any more", subject=error.filename, remedy="choose another model"
            ) from error
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


def _check_holes(path: Path, state: os.stat_result) -> None:
    """Refuse a file that claims to be large and takes next to no space: reading it is work without end."""
    blocks = getattr(state, "st_blocks", None)
    if blocks is not None and state.st_size > _LARGE and blocks * 512 < state.st_size // _MOST_COMPRESSED:
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
        or SKIPPED in target.relative_to(root).parts  # what lies there is not hashed under its own name
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
    state = _state(path, follow=True)
    if not fresh and stat.S_ISREG(state.st_mode) and _key(state) in _known:
        return FileDigest(state.st_size, _known[_key(state)])
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(open_regular(path), "rb", buffering=0) as file:
            opened = os.fstat(file.fileno())  # not `state`: another file may have taken its place
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    except OSError as error:
        raise BundleError(f"it cannot be read: {(error.strerror or str(error)).lower()}", subject=path) from error
    if size == opened.st_size and abs(time.time() - max(opened.st_mtime, opened.st_ctime)) > _SETTLED:
        _known[_key(opened)] = digest.hexdigest()
    return FileDigest(size, digest.hexdigest())


def _key(state: os.stat_result) -> tuple[int, int, int, int, int]:
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _read_and_hash(path: Path, most: int | None) -> tuple[FileDigest, bytes]:
    """Digest of a file, and its content, or as much of it as is wanted."""
    try:
        if most is None:
            with os.fdopen(open_regular(path), "rb", buffering=0) as file:
                content = file.read()
            return FileDigest(len(content), hashlib.sha256(content).hexdigest()), content
        digest, size, pieces = hashlib.sha256(), 0, []
        for piece in chunks_of(path):
            digest.update(piece)
            if size < most:
                pieces.append(piece[: most - size])
            size += len(piece)
        return FileDigest(size, digest.hexdigest()), b"".join(pieces)
    except UnusableFileError as error:
        raise BundleError(error.cause, subject=path, remedy=error.remedy) from error
    except OSError as error:
        raise BundleError(f"it cannot be read: {(error.strerror or str(error)).lower()}", subject=path) from error
    except MemoryError as error:
        raise BundleError(
            "it does not fit into this machine's memory", subject=path, remedy="use a machine with more memory"
        ) from error
