"""One image folder: listed, watched, and listed again when files come or go, until another one is listed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import XAIMedError
from engine.text import safe_text
from xaimed_tui.background import messages
from xaimed_tui.background.backend import Engine
from xaimed_tui.background.failure import failure_of
from xaimed_tui.background.lanes import Ticket

if TYPE_CHECKING:
    from textual.app import App
    from textual.message import Message
    from textual.widget import Widget

    from engine.images.watching import FolderChange

log = logging.getLogger("xaimed.jobs")

RELIST_AFTER = 1 / 2
"""Least number of seconds between two listings of a folder to which files are written."""


@dataclass(eq=False)
class Listing:
    """The listing and watching of one folder; its ticket ends both."""

    engine: Engine
    app: App[int]
    target: Widget
    ticket: Ticket
    folder: Path

    def run(self) -> None:
        """List the folder, then watch it in a thread of its own until the ticket is withdrawn."""
        changes = self.engine.watch_folder(self.folder, self.ticket.withdrawn)
        next(changes, None)  # changes from here on are reported, so none is missed between listing and watching
        self._list()
        if not self.ticket.withdrawn.is_set():
            # Not in a lane: watching never ends by itself, and the jobs after it would wait forever.
            threading.Thread(target=self._watch, args=(changes,), name="watch", daemon=True).start()

    def _list(self, *, growing: bool = True) -> None:
        found: Sequence[str] = ()
        shown: Sequence[str] | None = None
        # Each list holds all names so far, so after the loop `found` is the complete one.
        for found in self.engine.scan_images(self.folder):
            if self.ticket.withdrawn.is_set():
                return
            if growing and found is not shown:  # the same one again is a chance to stop
                self._post(messages.FolderListed(self.ticket.number, self.folder, found, whole=False))
                shown = found
        groups = self.engine.groups(self.folder, found)
        self._post(messages.FolderListed(self.ticket.number, self.folder, found, whole=True, groups=groups))

    def _watch(self, changes: Iterator[FolderChange]) -> None:
        try:
            for change in changes:
                if not change.there:
                    self._post(messages.FolderGone(self.ticket.number, self.folder))
                if change.modified:
                    self._post(messages.FilesModified(self.ticket.number, change.modified))
                if change.listing:
                    self._list_again()
        except Exception as error:  # a fault of the program: the thread would end without a word
            log.exception("watching %s failed", safe_text(self.folder))
            self.app.post_message(messages.FaultFound(failure_of("watch", error)))

    def _list_again(self) -> None:
        begun = time.monotonic()
        try:
            self._list(growing=False)
        except XAIMedError as error:  # the folder is gone by now, which watching will report
            log.warning("%s", error)
        # A large folder takes long to list: spend at most a fifth of the time on it.
        self.ticket.withdrawn.wait(max(RELIST_AFTER, 4 * (time.monotonic() - begun)))

    def _post(self, message: Message) -> None:
        self.ticket.post(self.target, message)
