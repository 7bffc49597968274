"""Starting the app on a terminal, and leaving it quickly."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from engine import places
from engine.text import safe_text
from xaimed_tui.facade import RealEngine
from xaimed_tui.garbage import Garbage
from xaimed_tui.hangup import leave_on_hangup
from xaimed_tui.leaving import leave, leave_on_signals
from xaimed_tui.memory import Memory
from xaimed_tui.plain_log import make_plain, size_of
from xaimed_tui.settings import load_settings
from xaimed_tui.terminal import pixels_for

SAVING = 5.0
"""Seconds that are waited, when the app is left, for results that are being saved."""

THREADS = 32
"""Jobs at the same time: one of each kind, and disks that do not answer. On two cores Python would give them six."""

SWITCHING = 0.001
"""Seconds after which a thread that computes in Python lets the one in that draws; 5 ms, a few times a key, add up."""

LAST_WORDS = 0.5
"""Seconds that writing down where one was may take when the app is left: the disk may be one that is gone."""


def start(
    *,
    tasks: Path | None = None,
    task: str | None = None,
    model: str | None = None,
    folder: Path | None = None,
    flags: Mapping[str, object] | None = None,
) -> int:
    """Run the app until the person leaves it, which ends the process; returns a status only if it cannot be begun.

    Threads that are still computing or importing are not waited for: the terminal is restored, the logs are flushed,
    and the process ends.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        print("xaimed: the app needs a terminal; for scripts there are commands, see xaimed --help", file=sys.stderr)
        return 1
    garbage = Garbage()
    no_log = open_log()
    logged = size_of(places.log_file())
    settings, problems = load_settings(flags or {})
    memory = Memory(places.app_state())
    from xaimed_tui.app import XAIMedApp

    pixels, doubts = pixels_for(settings.images)  # now: once the app runs, its keys would get the answers
    app = XAIMedApp(
        RealEngine(tasks, settings),
        task=task,
        model=model,
        folder=folder,
        settings=settings,
        memory=memory,
        pixels=pixels,
        problems=(*problems, *doubts, *filter(None, [memory.problem, no_log])),
        garbage=garbage,
        leave=lambda status: leave(status, app.give_back_terminal, last_words),
    )

    def last_words() -> None:
        app.finish_saving(SAVING)
        if memory.changed:
            last = threading.Thread(target=memory.write, daemon=True)
            last.start()
            last.join(LAST_WORDS)
        logging.shutdown()
        make_plain(places.log_file(), logged)

    leave_on_hangup(last_words)
    sys.setswitchinterval(SWITCHING)
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    leave_on_signals(loop, app.leave, last_words)
    with native_output_in_log():
        # With a loop of our own `run` does not wait for the threads of the loop's executor, as asyncio.run() would.
        app.run(loop=loop)
    # Here only after a fault of the program, which Textual has shown.
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return leave(app.return_code or 0, lambda: None, last_words)


class SafeFormatter(logging.Formatter):
    """Log records in which nothing can act on the terminal of whoever reads the log."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, its line breaks kept."""
        return safe_text(super().format(record), multiline=True)


def open_log() -> str:
    """Send the program's log to its file in the state directory; a safe line says why there is none, if so."""
    try:
        places.log_file().parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(places.log_file(), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        logging.getLogger().addHandler(logging.NullHandler())
        reason = (error.strerror or str(error)).lower()
        return safe_text(
            f"{places.log_file()} cannot be written ({reason}): what goes wrong is kept nowhere.", limit=400
        )
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return ""


@contextmanager
def native_output_in_log() -> Iterator[None]:
    """While the app runs, what native libraries write to descriptors 1 and 2 goes to the log, not onto the screen.

    Textual draws on `sys.__stderr__` and asks `sys.__stdout__` for the terminal's size: both get a copy of the
    terminal's own descriptor.
    """
    try:
        sink = os.open(places.log_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        sink = os.open(os.devnull, os.O_WRONLY)
    streams: tuple[tuple[str, int], ...] = (("__stdout__", 1), ("__stderr__", 2))
    kept: list[tuple[str, int, int, TextIO | None, TextIO]] = []
    try:
        for name, number in streams:
            old = getattr(sys, name)
            if old is not None:
                old.flush()
            copy = os.dup(number)
            new = os.fdopen(os.dup(copy), "w", encoding="utf-8", errors="backslashreplace")
            kept.append((name, number, copy, old, new))
            setattr(sys, name, new)
            os.dup2(sink, number)
        yield
    finally:
        for name, number, copy, before, stream in kept:
            stream.flush()
            os.dup2(copy, number)
            os.close(copy)
            setattr(sys, name, before)
        os.close(sink)
