"""The app as a process on a real (pseudo) terminal: what it imports, what it leaves behind, and how quickly it goes."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "skimage", "lime", "pytorch_grad_cam", "matplotlib", "PIL", "scipy", "sklearn")

WORKS = """
import os, sys, threading, time
sys.path.insert(0, {tests!r})
from fakes import FakeEngine
import xaimed_tui.start as start

class Engine(FakeEngine):
    def __init__(self, tasks=None):
        super().__init__()
        self.hold({held!r})

    def warm_up(self):
        {native}
        super().warm_up()

start.RealEngine = Engine
status = start.start()
print("left with", status)
"""


def test_importing_the_app_brings_in_nothing_heavy() -> None:
    code = f"import sys, xaimed_tui.app; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_home_is_painted_before_anything_heavy_is_imported() -> None:
    code = textwrap.dedent(f"""
        import asyncio, sys
        from xaimed_tui.app import XAIMedApp
        from xaimed_tui.facade import RealEngine
        import threading
        go = threading.Event()
        class Engine(RealEngine):
            def warm_up(self): go.wait(20)
            def warm_methods(self): pass
            def list_tasks(self): go.wait(20); return ()
        async def main():
            app = XAIMedApp(Engine())
            async with app.run_test(size=(120, 40)) as pilot:
                await pilot.pause(0.3)
                await pilot.press("2", "3", "1")
                print([name for name in {HEAVY!r} if name in sys.modules], app.screen.query("#guide-pane Markdown"))
                go.set()
        asyncio.run(main())
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("[]")


class Terminal:
    """A process on a pseudo terminal of 120x40."""

    def __init__(self, code: str, tmp_path: Path) -> None:
        self.bytes = b""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", COLUMNS="120", LINES="40")
            os.chdir(tmp_path)
            os.execv(sys.executable, [sys.executable, "-c", code])

    def read_until(self, what: bytes, *, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while what not in self.bytes:
            assert time.monotonic() < end, f"{what!r} never came: {self.bytes[-2000:]!r}"
            if not self._read(0.1):
                assert what in self.bytes, f"ended without {what!r}: {self.bytes[-2000:]!r}"

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return True
        try:
            got = os.read(self.descriptor, 65536)
        except OSError:
            return False
        self.bytes += got
        return bool(got)

    def press(self, keys: bytes) -> None:
        os.write(self.descriptor, keys)

    def wait(self, *, seconds: float = 30.0) -> tuple[int, float]:
        """Exit status and the seconds it took from now."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            self._read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status), time.monotonic() - begin
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it did not end")


def program(held: str, native: str = "pass") -> str:
    return WORKS.format(tests=str(Path(__file__).parent), held=held, native=native)


@pytest.mark.parametrize("held", ["warm_up", "rise"])
def test_ctrl_q_gives_the_terminal_back_at_once_while_a_thread_is_stuck(held: str, tmp_path: Path) -> None:
    terminal = Terminal(program(held), tmp_path)
    if held == "warm_up":
        terminal.read_until(b"loading the network library")
    else:
        terminal.read_until(b"ready")
        terminal.press(b"d")
        terminal.read_until(b"confidence")
        terminal.press(b"r")
        terminal.read_until(b"2,000/4,000")
    terminal.press(b"\x11")
    status, seconds = terminal.wait()
    assert status == 0
    assert b"\x1b[?1049l" in terminal.bytes  # the normal screen is back
    assert terminal.bytes.rindex(b"\x1b[?25h") > terminal.bytes.rindex(b"\x1b[?25l")  # and the cursor
    assert seconds < 3.0  # alone on a machine it is 0.3 s; this one may be busy with other tests


def test_what_native_libraries_write_goes_to_the_log_and_not_onto_the_screen(tmp_path: Path) -> None:
    native = 'os.write(2, b"NATIVE-TWO\\n"); os.write(1, b"NATIVE-ONE\\n"); print("PYTHON-PRINT")'
    terminal = Terminal(program("nothing", native), tmp_path)
    terminal.read_until(b"ready")
    terminal.press(b"\x11")
    status, _ = terminal.wait()
    assert status == 0
    assert b"NATIVE" not in terminal.bytes
    assert b"PYTHON-PRINT" not in terminal.bytes
    log = Path(os.environ["XDG_STATE_HOME"], "xaimed", "xaimed.log").read_text(encoding="utf-8")
    assert "NATIVE-TWO" in log
    assert "NATIVE-ONE" in log


def test_after_the_app_the_descriptors_are_what_they_were() -> None:
    code = textwrap.dedent("""
        import os, sys
        from xaimed_tui.start import native_output_in_log, open_log
        open_log()
        with native_output_in_log():
            os.write(1, b"native"); os.write(2, b"native")
            sys.__stderr__.write("drawn"); sys.__stderr__.flush()
        os.write(1, b"one"); os.write(2, b"two")
        print("three"); print("four", file=sys.stderr)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("onethree\n", "drawntwofour\n")


def test_without_a_terminal_the_app_says_so_and_fails(tmp_path: Path) -> None:
    code = "import sys; from xaimed_tui.start import start; sys.exit(start())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"xaimed: the app needs a terminal.*\n", done.stderr)
