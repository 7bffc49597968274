"""The app on the fake engine, for terminals that close: a call may never end, and saving takes its time."""

from __future__ import annotations

from pathlib import Path

PROGRAM = """
import signal, sys, time
if {ignored!r}:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.path.insert(0, {tests!r})
from pathlib import Path
from fakes import FakeEngine
import xaimed_tui.startup.start as start

class Engine(FakeEngine):
    def __init__(self, *_):
        super().__init__()
        self.hold({held!r})

    def save(self, *asked):
        Path("saving").touch()
        time.sleep(1.0)
        return super().save(*asked)

start.Engine = Engine
sys.exit(start.start())
"""


def program(held: str = "nothing", *, ignored: bool = False) -> str:
    return PROGRAM.format(tests=str(Path(__file__).parent), held=held, ignored=ignored)
