"""Watching an image folder: which files came, went or changed, and whether the folder is there at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.images.listing import is_listed

_LOOK_EVERY = 500
"""Milliseconds between two looks at the folder itself. Its own time of change tells what no event does: what happened
before the watching began, and what other machines do on a network file system."""

_SETTLE = 300
"""Milliseconds for which events are gathered."""

_POLL_EVERY = 2000
"""Milliseconds between two looks at all files where the system reports no events."""


@dataclass(frozen=True, slots=True)
class FolderChange:
    """Something happened to a folder.

    Attributes:
        there: whether the folder is there.
        listing: whether files came or went; list it again.
        modified: names of images that were written: in place, or put there, perhaps in the place of others.
    """

    there: bool = True
    listing: bool = False
    modified: frozenset[str] = frozenset()


def watch_folder(folder: Path, stop: threading.Event) -> Iterator[FolderChange]:
    """What happens to a folder (not below it) until `stop` is set; takes half a second to notice that.

    The first change says nothing and comes at once: what happens after it is told, so list the folder then. Where the
    system has no events left to give, all files are looked at every two seconds.
    """
    polling = False
    there = True
    stamp = _stamp(folder)
    yield FolderChange()
    while not stop.is_set():
        if stamp is None:
            if there:
                there = False
                yield FolderChange(there=False)
            stop.wait(_LOOK_EVERY / 1000)
            stamp = _stamp(folder)
            continue
        if not there:
            there = True
            yield FolderChange(listing=True)
        try:
            for change, now in _events(folder, stop, stamp, polling=polling):
                stamp = now
                if change is not None:
                    yield change
        except (OSError, RuntimeError):  # no watches left, or the folder went just now
            if _stamp(folder) is None:
                stamp = None
            elif polling:
                raise
            else:
                polling = True  # from the stamp there was, so that nothing is missed


_Stamp = tuple[int, int, int]


def _stamp(folder: Path) -> _Stamp | None:
    """Which folder it is and when a file last came or went; None if there is no folder."""
    try:
        status = folder.stat()
        return (status.st_dev, status.st_ino, status.st_mtime_ns) if folder.is_dir() else None
    except OSError:
        return None


def _events(
    folder: Path, stop: threading.Event, stamp: _Stamp, *, polling: bool
) -> Iterator[tuple[FolderChange | None, _Stamp | None]]:
    """Changes, each with the folder's stamp after it; ends when another folder, or none, stands in its place."""
    from watchfiles import Change, watch

    for events in watch(
        folder,
        watch_filter=None,
        recursive=False,
        debounce=_SETTLE,
        stop_event=stop,
        rust_timeout=_LOOK_EVERY,
        yield_on_timeout=True,
        raise_interrupt=False,
        force_polling=polling or None,
        poll_delay_ms=_POLL_EVERY,
        ignore_permission_denied=True,
    ):
        now = _stamp(folder)
        names = {Path(path).name for kind, path in events if kind != Change.deleted}
        modified = frozenset(name for name in names if is_listed(name))
        changed = now is not None and now != stamp
        if changed or modified:
            yield FolderChange(listing=changed, modified=modified), now
        if now is None or now[:2] != stamp[:2]:
            yield None, now
            return
        stamp = now
