"""Watches an image folder: which files come, go or change, and whether the folder exists at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.images.listing import is_listed

_STAMP_EVERY = 500
"""Milliseconds after which the folder's stamp is taken again. Its modification time shows what no event reports: what
happened before watching began, and what other machines do on a network file system."""

_SETTLE = 300
"""Milliseconds for which events are collected into one change."""

_POLL_EVERY = 2000
"""Milliseconds after which all files are examined again where the system reports no events."""


@dataclass(frozen=True, slots=True)
class FolderChange:
    """A change to a folder.

    Attributes:
        there: whether the folder exists.
        listing: whether files came or went, so that it must be listed again.
        modified: names of images that were written: changed in place, added, or put in place of others.
    """

    there: bool = True
    listing: bool = False
    modified: frozenset[str] = frozenset()


def watch_folder(folder: Path, stop: threading.Event) -> Iterator[FolderChange]:
    """Yield the changes to a folder (not to its subfolders) until `stop` is set, which takes half a second to notice.

    The first change comes at once and is empty. Everything that happens after it is reported, so list the folder
    then. Where the system cannot report any more events, all files are examined every two seconds.
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
            stop.wait(_STAMP_EVERY / 1000)
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
        except (OSError, RuntimeError):  # no watches left, or the folder has just gone
            if _stamp(folder) is None:
                stamp = None
            elif polling:
                raise
            else:
                polling = True  # the next pass compares with the old stamp, so nothing is missed


_Stamp = tuple[int, int, int]


def _stamp(folder: Path) -> _Stamp | None:
    """Return which folder this is and when a file last came or went; None if there is no folder."""
    try:
        status = folder.stat()
        return (status.st_dev, status.st_ino, status.st_mtime_ns) if folder.is_dir() else None
    except OSError:
        return None


def _events(
    folder: Path, stop: threading.Event, stamp: _Stamp, *, polling: bool
) -> Iterator[tuple[FolderChange | None, _Stamp | None]]:
    """Yield changes, each with the folder's stamp after it, until the folder is gone or another has taken its place."""
    from watchfiles import Change, watch

    for events in watch(
        folder,
        watch_filter=None,
        recursive=False,
        debounce=_SETTLE,
        stop_event=stop,
        rust_timeout=_STAMP_EVERY,
        # So that the stamp is taken again even if nothing was reported.
        yield_on_timeout=True,
        raise_interrupt=False,
        # None, not False: then watchfiles polls by itself under WSL.
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
        if now is None or now[:2] != stamp[:2]:  # gone, or another folder: events would still be those of the old one
            yield None, now
            return
        stamp = now
