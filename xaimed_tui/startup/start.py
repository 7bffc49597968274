"""Start the app on a terminal, and leave it quickly."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.cli.console import is_terminal, print_failure
from engine.storage import places
from engine.text import safe_text
from xaimed_tui.background.backend import Engine
from xaimed_tui.background.failure import fault_line
from xaimed_tui.background.garbage import Garbage
from xaimed_tui.preferences.remembered import StateFile
from xaimed_tui.preferences.settings import load_settings
from xaimed_tui.startup.leaving import Leaving, TerminalBefore, leave_before_start, leave_on_hangup, leave_on_signals
from xaimed_tui.startup.log import make_plain, native_output_in_log, open_log, size_of
from xaimed_tui.terminal.query import pixels_for

SAVING = 5.0
"""Seconds to wait for results that are being saved when the app is left."""

THREADS = 32
"""Jobs at a time: one of each kind, and those on disks that do not answer. Python's default on two cores is six."""

SWITCHING = 0.001
"""Seconds after which a thread that computes in Python yields to the one that draws. Python's default of 5 ms, a few
times for each key, adds up."""

LAST_WORDS = 0.5
"""Seconds that writing the app's state may take when the app is left: its disk may be gone."""


def start(
    *,
    tasks: Path | None = None,
    task: str | None = None,
    model: str | None = None,
    folder: Path | None = None,
    flags: Mapping[str, object] | None = None,
) -> int:
    """Run the app until the person leaves it, which ends the process. Return a status only if it cannot start.

    Threads that still compute or import are not waited for: the terminal is restored, the logs are flushed, and the
    process ends.
    """
    # Textual reads keys from standard input and draws on standard error; where standard output goes does not matter.
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        print_failure("the app needs a terminal; for scripts there are commands, see xaimed --help")
        return 1
    before = TerminalBefore()
    leave_before_start()
    # Before the app is imported: a collection during the import would take its time from the first paint.
    garbage = Garbage()
    no_log = open_log()
    logged = size_of(places.log_file())
    settings, problems = load_settings(flags or {})
    memory = StateFile(places.app_state())
    from xaimed_tui.app import XAIMedApp

    pixels, doubts = pixels_for(settings.images)  # before the app runs: it would take the answers for keys
    app = XAIMedApp(
        Engine(tasks, settings),
        task=task,
        model=model,
        folder=folder,
        settings=settings,
        memory=memory,
        pixels=pixels,
        problems=(*problems, *doubts, *filter(None, [memory.problem, no_log])),
        garbage=garbage,
        leave=lambda status: leaving.now(status),
        leave_soon=lambda status: leave_soon(status),
    )

    def last_words() -> None:
        app.finish_saving(SAVING)
        if memory.changed:
            last = threading.Thread(target=memory.write, daemon=True)
            last.start()
            last.join(LAST_WORDS)
        logging.shutdown()
        # Last, because everything above may still write to the log.
        make_plain(places.log_file(), logged)

    leaving = Leaving(app.give_back_terminal, last_words, before.restore_in_haste)
    sys.setswitchinterval(SWITCHING)
    try:
        loop = asyncio.new_event_loop()
    except OSError:
        sys.unraisablehook = lambda _: None  # it would print a traceback when the half-made loop is thrown away
        raise
    loop.set_default_executor(ThreadPoolExecutor(THREADS))

    def leave_soon(status: int) -> None:
        # While the app is suspended, the loop waits; and there is nothing to give back.
        app.leave(status) if app.suspended else leaving.soon(status, loop, app.leave)

    leave_on_signals(leave_soon)
    leave_on_hangup(last_words, leave_soon)
    with native_output_in_log():
        # With a loop of our own `run` does not wait for the threads of the loop's executor, as asyncio.run() would.
        try:
            app.run(loop=loop)
        except Exception as error:  # before or after the app's own loop, which lets none through
            app.fault_met(error)
    # Reached only after a fault in the program, perhaps in the middle of taking the terminal.
    before.restore_settings()
    what = "a fault in the program ended the app" + (f": {fault_line(app.fault)}" if app.fault else "")
    where = no_log or f"The traceback is in {safe_text(places.log_file(), limit=400)}."
    print(f"xaimed: {what}. {where}", file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return leaving.now(app.return_code or 1)
