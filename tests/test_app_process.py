"""The app as a process on a real (pseudo) terminal: what it imports, what it leaves behind, and how quickly it goes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from terminal import Terminal

HEAVY = ("torch", "torchvision", "skimage", "lime", "pytorch_grad_cam", "matplotlib", "PIL", "scipy", "sklearn")

WORKS = """
import os, sys, threading, time
sys.path.insert(0, {tests!r})
from fakes import FakeEngine
import xaimed_tui.start as start

class Engine(FakeEngine):
    def __init__(self, tasks=None, settings=None):
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
    code = f"import sys, xaimed_tui.app; print([name for name in {(*HEAVY, 'numpy')!r} if name in sys.modules])"
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


def program(held: str, native: str = "pass") -> str:
    return WORKS.format(tests=str(Path(__file__).parent), held=held, native=native)


@pytest.mark.parametrize("held", ["warm_up", "rise"])
def test_ctrl_q_gives_the_terminal_back_at_once_while_a_thread_is_stuck(held: str, tmp_path: Path) -> None:
    terminal = Terminal.python(program(held), tmp_path)
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
    terminal = Terminal.python(program("nothing", native), tmp_path)
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


def test_a_storm_of_sizes_leaves_the_app_at_work_in_the_last_one(tmp_path: Path) -> None:
    terminal = Terminal.python(program("nothing"), tmp_path, {})
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b" Layer")  # offered once there is a network
    terminal.press(b"e")
    sizes = [(20, 5), (200, 60), (1, 1), (80, 24), (37, 9), (160, 50)]
    for round_ in range(60):
        terminal.resize(*sizes[round_ % len(sizes)])
        terminal.read(0.005)
    terminal.resize(80, 24)
    seen = -1
    while seen < len(terminal.bytes):  # until nothing more is drawn
        seen = len(terminal.bytes)
        terminal.read(1.0)
    before = len(terminal.bytes)
    terminal.press(b"1")
    terminal.read_until(b"What next", since=before)
    terminal.press(b"\x11")
    assert terminal.wait()[0] == 0
    last = terminal.bytes[before:]
    rows = [int(row) for row in re.findall(rb"\x1b\[(\d+);\d+H", last)]
    assert rows
    assert max(rows) <= 24, "nothing is drawn below the last size"


def test_the_app_ends_by_itself_when_its_terminal_is_killed(tmp_path: Path) -> None:
    terminal = Terminal.python(program("rise"), tmp_path)
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b"confidence")
    terminal.press(b"r")
    terminal.read_until(b"2,000/4,000")
    terminal.hang_up()
    status, seconds = terminal.wait()
    assert seconds < 10.0
    assert status != 127
