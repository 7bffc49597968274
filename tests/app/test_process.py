"""The app as a process on a real (pseudo) terminal: what it imports, what it leaves behind, and how quickly it goes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from fake_program import program
from terminal import Terminal

HEAVY = ("torch", "torchvision", "skimage", "lime", "pytorch_grad_cam", "matplotlib", "PIL", "scipy", "sklearn")


def test_importing_the_app_brings_in_nothing_heavy() -> None:
    code = f"import sys, xaimed_tui.app; print([name for name in {(*HEAVY, 'numpy')!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_home_is_painted_before_anything_heavy_is_imported() -> None:
    code = textwrap.dedent(f"""
        import asyncio, sys
        from xaimed_tui.app import XAIMedApp
        from xaimed_tui.background.backend import Engine
        import threading
        go = threading.Event()
        class Waiting(Engine):
            def warm_up(self): go.wait(20)
            def warm_methods(self): pass
            def list_tasks(self): go.wait(20); return ()
        async def main():
            app = XAIMedApp(Waiting())
            async with app.run_test(size=(120, 40)) as pilot:
                await pilot.pause(0.3)
                await pilot.press("2", "3", "1")
                print([name for name in {HEAVY!r} if name in sys.modules], app.screen.query("#guide-pane Markdown"))
                go.set()
        asyncio.run(main())
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("[]")


def test_what_native_libraries_write_goes_to_the_log_and_not_onto_the_screen(tmp_path: Path) -> None:
    native = 'os.write(2, b"NATIVE-TWO\\x1b[2J\\n"); os.write(1, b"NATIVE-ONE\\xc2\\x9b\\n"); print("PYTHON-PRINT")'
    terminal = Terminal.python(program("nothing", native), tmp_path)
    terminal.read_until(b"ready")
    terminal.press(b"\x11")
    status, _ = terminal.wait()
    assert status == 0
    assert b"NATIVE" not in terminal.bytes
    assert b"PYTHON-PRINT" not in terminal.bytes
    log = Path(os.environ["XDG_STATE_HOME"], "xaimed", "xaimed.log").read_text(encoding="utf-8")
    assert "NATIVE-TWO?[2J\n" in log, "made safe in the end"
    assert "NATIVE-ONE??\n" in log


def test_after_the_app_the_descriptors_are_what_they_were() -> None:
    code = textwrap.dedent("""
        import os, sys
        from xaimed_tui.startup.start import native_output_in_log, open_log
        open_log()
        with native_output_in_log():
            os.write(1, b"native"); os.write(2, b"native")
            sys.__stderr__.write("drawn"); sys.__stderr__.flush()
        os.write(1, b"one"); os.write(2, b"two")
        print("three"); print("four", file=sys.stderr)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("onethree\n", "drawntwofour\n")


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    code = "from xaimed_tui.startup.start import open_log; print(open_log())"
    state = tmp_path / "state"
    state.write_text("a file where a folder should be")
    for place, said in ((state, f"{state}/xaimed/xaimed.log cannot be written (not a directory): "), (tmp_path, "")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, "XDG_STATE_HOME": str(place)},
        )
        assert done.stdout.startswith(said or "\n")


def test_without_a_terminal_the_app_says_so_and_fails(tmp_path: Path) -> None:
    code = "import sys; from xaimed_tui.startup.start import start; sys.exit(start())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"xaimed: the app needs a terminal.*\n", done.stderr)


def test_a_storm_of_sizes_leaves_the_app_at_work_in_the_last_one(tmp_path: Path) -> None:
    stale = {"COLUMNS": "150", "LINES": "45"}  # as some shells export them
    terminal = Terminal.python(program("nothing"), tmp_path, stale)
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b" Layer")  # offered once there is a network
    terminal.press(b"e")
    sizes = [(20, 5), (200, 60), (1, 1), (80, 24), (37, 9), (160, 50)]
    for round_ in range(60):
        terminal.resize(*sizes[round_ % len(sizes)])
        terminal.read(0.005)
    terminal.resize(80, 24)
    seen, quiet = -1, 0
    while quiet < 3:  # until nothing more is drawn; a busy machine draws late
        quiet = quiet + 1 if seen == len(terminal.bytes) else 0
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
