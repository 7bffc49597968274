"""The app as a program of its own, on an engine that computes nothing."""

from __future__ import annotations

from pathlib import Path

WORKS = """
import os, sys, threading, time
sys.path.insert(0, {tests!r})
from fakes import FakeEngine
import xaimed_tui.startup.start as start

class Engine(FakeEngine):
    def __init__(self, tasks=None, settings=None):
        super().__init__()
        self.hold({held!r})

    def _call(self, what, *details, stop=None):
        if what == {held!r}:
            open("held", "w").close()
        super()._call(what, *details, stop=stop)

    def warm_up(self):
        {native}
        super().warm_up()

start.Engine = Engine
{before}
start.start()
"""


def program(held: str, native: str = "pass", before: str = "") -> str:
    """Its code.

    Args:
        held: the call of the engine that never ends; once it is made, a file `held` appears in the working directory.
        native: runs as a library's code would.
        before: runs before the app starts.
    """
    return WORKS.format(tests=str(Path(__file__).parent), held=held, native=native, before=before)
