"""What is pasted into the app on a real terminal: text, however it looks, at once, and never an order to the app."""

from __future__ import annotations

import itertools
import os
import re
import sys
import time
from pathlib import Path

import pytest
from closing_program import program
from terminal import Terminal, homes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")

RICH = b"\x1b[48;4000;4000;9;9t\x1b[8;400;400t\x1b[A\x1b[<0;5;5M\x1b]52;c;aGk=\x07q1eg\x1b"
HUGE = b"\x1b[48;4000;4000;40000;40000t"


SAYS = """
from xaimed_tui.app import XAIMedApp
XAIMedApp.say_of_input = lambda self, text: Path("said").write_text(text)
"""
"""What the app says is written to a file: on the terminal, only the cells that change are sent."""


def started(place: Path) -> Terminal:
    """The app with an image open, on a terminal of 120x40 by the system's own account."""
    code = program().replace("start.Engine = Engine", SAYS + "start.Engine = Engine")
    terminal = Terminal.python(code, place, homes(place))
    terminal.resize(120, 40)
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b"confidence")
    return terminal


def send(terminal: Terminal, keys: bytes) -> None:
    while keys:  # the line takes only so much at a time
        terminal.press(keys[:1024])
        keys = keys[1024:]
        terminal.read(0.0)


def said(place: Path, terminal: Terminal) -> str:
    """What the app says of its input; waits for it."""
    end = time.monotonic() + 30
    while not ((place / "said").exists() and (place / "said").read_text()) and time.monotonic() < end:
        terminal.read(0.05)
    return (place / "said").read_text()


def quiet(terminal: Terminal, seconds: float = 0.5) -> None:
    """Read until nothing comes for so long; a cursor may go on blinking."""
    seen, end = -1, time.monotonic() + 5
    while seen < len(terminal.bytes) and time.monotonic() < end:
        seen = len(terminal.bytes)
        terminal.read(seconds)


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def leave(terminal: Terminal) -> None:
    terminal.press(b"\x11")
    assert terminal.wait()[0] == 0


def rows_drawn(written: bytes) -> list[int]:
    return [int(row) for row in re.findall(rb"\x1b\[(\d+);\d+H", written)]


@pytest.mark.parametrize("marks", [(b"\x1b[200~", b"\x1b[201~"), (b"", b"")], ids=["marked", "not marked"])
def test_a_paste_full_of_escapes_is_text_and_costs_a_moment(marks: tuple[bytes, bytes], tmp_path: Path) -> None:
    terminal = started(tmp_path)
    quiet(terminal)
    before, since = processor(terminal.pid), len(terminal.bytes)
    send(terminal, marks[0] + RICH * (60_000 // len(RICH)) + marks[1])
    quiet(terminal, 1.0)
    assert processor(terminal.pid) - before < 1.0  # it took 8 s; 0.1 to 0.2 s are usual, on a quiet machine
    written = terminal.bytes[since:]
    assert max(rows_drawn(written), default=0) <= 40
    if marks[0]:
        assert not (tmp_path / "said").exists()
    else:
        assert said(tmp_path, terminal) == "Much text came at once: it was taken as pasted, not as keys."
    since = len(terminal.bytes)
    terminal.press(b"f")
    terminal.read_until(b"Image folder", since=since)
    since = len(terminal.bytes)
    send(terminal, b"\x15\x1b[200~/a\x1b[31m-\x1b]0;b\x07c\x1b[201~")
    terminal.read_until(b"/a[31m-]0;bc", since=since)
    leave(terminal)


def test_a_paste_of_which_the_end_never_comes_ends_by_itself(tmp_path: Path) -> None:
    terminal = started(tmp_path)
    terminal.press(b"f")
    terminal.read_until(b"Image folder")
    quiet(terminal)
    since = len(terminal.bytes)
    terminal.press(b"\x15\x1b[200~/some-where")
    terminal.read_until(b"/some-where", since=since, seconds=20)
    terminal.press(b"-else")
    terminal.read_until(b"-else", since=since, seconds=20)
    leave(terminal)


def test_of_a_paste_without_end_the_app_says_that_it_took_the_first_part(tmp_path: Path) -> None:
    terminal = started(tmp_path)
    quiet(terminal)
    send(terminal, b"\x1b[200~" + b"many words " * 100_000 + b"\x1b[201~")
    assert said(tmp_path, terminal).startswith("Only the first part of the pasted text was taken")
    leave(terminal)


def test_no_report_makes_the_app_larger_than_the_terminal(tmp_path: Path) -> None:
    terminal = started(tmp_path)
    quiet(terminal)
    since = len(terminal.bytes)
    terminal.press(HUGE + b"\x1b[8;4000;4000t" + HUGE * 3)
    quiet(terminal)
    terminal.press(b"\x1b[?2048;1$y")  # the terminal reports its sizes by itself
    terminal.read_until(b"\x1b[?1016h", since=since)
    terminal.press(HUGE)
    quiet(terminal)
    terminal.press(b"1")
    terminal.read_until(b"What next", since=since)
    quiet(terminal)
    assert max(rows_drawn(terminal.bytes[since:]), default=0) <= 40
    since = len(terminal.bytes)
    terminal.resize(90, 30)  # without a report: it may have come before the system knew
    end = time.monotonic() + 30
    for key in itertools.cycle((b"2", b"1")):
        since = len(terminal.bytes)
        terminal.press(key)
        quiet(terminal)
        if 20 < max(rows_drawn(terminal.bytes[since:]), default=0) <= 30:
            break
        assert time.monotonic() < end, "it never took the new size"
    leave(terminal)


def test_arrows_that_nobody_could_press_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    terminal = started(tmp_path)
    quiet(terminal)
    before = processor(terminal.pid)
    send(terminal, b"\x1b[A\x1b[B" * 4000)
    assert said(tmp_path, terminal).startswith("More keys came at once than anyone presses: ")
    assert processor(terminal.pid) - before < 10
    leave(terminal)
