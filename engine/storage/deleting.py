"""Delete folders, the only place that does: never into another mount, through no link, and with word of what is left.

A folder that XAIMed is to delete may hold a mount: a data set bound into a model's samples, a container's volume, an
NFS or sshfs share. What lies behind it is not ours to delete.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST_OPEN = 40
"""Folders open at once, one within the other. Deeper ones are first moved up, so that no depth exhausts anything."""

OTHER_MOUNT = "another file system is mounted there"


@dataclass(frozen=True, slots=True)
class Left:
    """Something that was not deleted.

    Attributes:
        path: where it is.
        reason: why it is still there, as a clause.
    """

    path: Path
    reason: str


def delete(path: Path) -> tuple[Left, ...]:
    """Delete a file, a link or a folder with all that is in it, except what is in another mount.

    Links are deleted, not followed. A folder in which something is left stays, too. Nothing there is nothing to do.

    Returns:
        What was left, and why; empty if all is gone.
    """
    if os.open not in os.supports_dir_fd:
        return _delete_by_paths(path)
    parent, name = path.parent, path.name
    try:
        above = os.open(parent, os.O_RDONLY | _FOLDER)
    except FileNotFoundError:
        return ()
    except OSError as error:
        return (Left(path, _reason(error)),)
    with _closing(above):
        work = _Deletion()
        work.entry(above, name, path, 0)
        return tuple(work.left)


def mounts_below(path: Path) -> tuple[Path, ...]:
    """Return where other file systems are mounted on a folder or anywhere below it, in order; links are not followed.

    On Linux the kernel's table tells, so folders that may not be read are covered; elsewhere the folders are walked.
    """
    real = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 - the last part may itself be a link
    try:
        points = _mount_points()
    except OSError:
        walked = (Path(folder) for folder, _, _ in os.walk(path))
        return tuple(sorted(folder for folder in walked if folder.is_mount()))
    return tuple(sorted(Path(point) for point in points if point == real or point.startswith(real + os.sep)))


def _mount_points() -> list[str]:
    """Return all mount points of this process's mount namespace.

    Raises:
        OSError: this system has no such table.
    """
    with Path("/proc/self/mountinfo").open("rb") as table:
        fields = [line.split(b" ") for line in table]
    # Spaces, tabs, line feeds and backslashes are written in octal (proc_pid_mountinfo(5)).
    points = (field[4] for field in fields if len(field) > 4)
    return [os.fsdecode(_unescaped(point)) for point in points]


def _unescaped(point: bytes) -> bytes:
    for code, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        point = point.replace(code, plain)
    return point


class _Deletion:
    """One call of `delete`: it opens every folder relative to the one above, so that nobody can put a link in between.

    Attributes:
        left: what was left so far.
    """

    def __init__(self) -> None:
        self.left: list[Left] = []
        self._top = -1
        """Descriptor of the topmost folder, into which those that lie too deep are moved."""
        self._moved: list[str] = []
        """Names of those that were moved there and wait for their turn."""

    def entry(self, parent: int, name: str, path: Path, depth: int, mount: object = None) -> bool:
        """Delete one entry of an open folder; return whether it is gone.

        Args:
            parent: descriptor of the open folder.
            name: the entry's.
            path: for the report.
            depth: how many folders that are deleted are open.
            mount: that in which all must lie; None for the topmost entry, whose own mount it is.
        """
        try:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)  # a file that something is mounted on is busy
                return True
            if depth >= _MOST_OPEN:
                return self._move_up(parent, name)
            inside = os.open(name, os.O_RDONLY | _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
            with _closing(inside):
                if mount is None:
                    self._top = inside
                here = _mount_of(inside)
                # The folder that holds the topmost entry tells whether that is itself a mount.
                if here != (_mount_of(parent) if mount is None else mount):
                    return self._leave(path, OTHER_MOUNT)
                with os.scandir(inside) as entries:
                    names = [entry.name for entry in entries]
                gone = [self.entry(inside, below, path / below, depth + 1, here) for below in names]
                while mount is None and self._moved:
                    below = self._moved.pop()
                    gone.append(self.entry(inside, below, path / below, 1, here))
            if all(gone):
                os.rmdir(name, dir_fd=parent)
                return True
        except FileNotFoundError:
            return True
        except OSError as error:
            return self._leave(path, _reason(error))
        return False

    def _move_up(self, parent: int, name: str) -> bool:
        higher = f".deep-{secrets.token_hex(8)}"
        os.rename(name, higher, src_dir_fd=parent, dst_dir_fd=self._top)  # of a mount: EBUSY or EXDEV, so it is left
        self._moved.append(higher)
        return True

    def _leave(self, path: Path, reason: str) -> bool:
        self.left.append(Left(path, reason))
        return False


_FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


def _mount_of(descriptor: int) -> object:
    """Return what tells the mount of an open folder from others.

    The device alone does not: a folder bound from the same disk has the same.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError), Path(f"/proc/self/fdinfo/{descriptor}").open("rb") as facts:
            for line in facts:
                if line.startswith(b"mnt_id:"):
                    return line
    return os.fstat(descriptor).st_dev


def _delete_by_paths(path: Path) -> tuple[Left, ...]:
    """Delete where folders cannot be opened: on Windows, whose mounts are junctions, which count as links."""
    import shutil

    try:
        if path.is_dir() and not path.is_symlink() and not path.is_mount():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        return (Left(path, _reason(error)),)
    return ()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
