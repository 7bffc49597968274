"""The app in a terminal that closes, and in surroundings that lack what others have."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from closing_program import program
from terminal import Terminal


def open_sample(terminal: Terminal) -> None:
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b"confidence")


def end_of(terminal: Terminal, *, seconds: float) -> int:
    """The exit status; fails if it does not end in time, which is measured generously for a busy machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(terminal.pid, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(terminal.pid, signal.SIGKILL)
    os.waitpid(terminal.pid, 0)
    raise AssertionError("it did not end")


@pytest.mark.parametrize("ignored", [False, True], ids=["as usual", "started with nohup"])
@pytest.mark.parametrize("held", ["warm_up", "rise"])
def test_when_the_terminal_is_closed_the_app_ends_whatever_runs(held: str, ignored: bool, tmp_path: Path) -> None:
    terminal = Terminal.python(program(held, ignored=ignored), tmp_path)
    if held == "warm_up":
        terminal.read_until(b"loading PyTorch")
    else:
        open_sample(terminal)
        terminal.press(b"r")
        terminal.read_until(b"2,000/4,000")
    os.close(terminal.descriptor)
    assert end_of(terminal, seconds=10) == 129
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["closed", "quit"])
def test_what_is_being_saved_when_the_app_is_left_is_saved(way: str, tmp_path: Path) -> None:
    terminal = Terminal.python(program(), tmp_path)
    open_sample(terminal)
    terminal.press(b"g")
    terminal.read_until("┏".encode())
    terminal.press(b"w")
    terminal.read_until(b"xaimed-results")
    terminal.press(b"\r")
    end = time.monotonic() + 20
    while not (tmp_path / "saving").exists() and time.monotonic() < end:
        terminal.read(0.02)
    if way == "closed":
        os.close(terminal.descriptor)
        assert end_of(terminal, seconds=10) == 129
    else:
        terminal.press(b"\x11")
        assert terminal.wait()[0] == 0
    assert (tmp_path / "xaimed-results" / "patch-01" / "explanation.json").exists()


@pytest.mark.parametrize("length", [5_000, 20_000])
def test_what_a_program_writes_before_it_ends_is_seen_in_full_on_a_busy_machine(length: int, tmp_path: Path) -> None:
    terminal = Terminal.python(f"import sys; sys.stdout.write('x' * {length})", tmp_path)
    time.sleep(0.5)  # the program has written all that the terminal takes, and has ended if that was all
    assert terminal.wait()[0] == 0
    assert terminal.bytes == b"x" * length
