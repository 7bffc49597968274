"""Ctrl+Z: the shell gets its terminal back, and the app comes back whole; without such a shell it says so."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest
from app_driver import make_app, notices, press, settled
from checkout import ROOT, SUPPORT
from terminal import Terminal, homes
from textual.widgets import TextArea

from tests.torture.monkey import modes_left, terminal_left, words_in

BASH = shutil.which("bash")
TMUX = shutil.which("tmux")

PROGRAM = """
import sys
sys.path[:0] = [{root!r}, {support!r}]
from fakes import FakeEngine
import xaimed_tui.startup.start as start

class Engine(FakeEngine):
    def __init__(self, *_):
        super().__init__()

start.Engine = Engine
sys.exit(start.start(flags={{"images": {images!r}}}))
"""


def environment(place: Path) -> dict[str, str]:
    return {**homes(place), "HOME": str(place), "PS1": "PROMPT$ "}


def write_program(place: Path, images: str = "half") -> str:
    """The command that starts the app on the fake engine."""
    code = PROGRAM.format(root=str(ROOT), support=str(SUPPORT), images=images)
    (place / "program.py").write_text(code, encoding="utf-8")
    return f"{sys.executable} program.py"


def shell(place: Path, command: str) -> Terminal:
    """An interactive shell with job control, in which the app shows an image."""
    assert BASH is not None
    terminal = Terminal([BASH, "--norc", "-i"], place, environment(place))
    terminal.resize(120, 40)
    terminal.read_until(b"PROMPT$ ")
    # Exported, they would hide the terminal's own size.
    terminal.press(f"unset COLUMNS LINES; {command}\r".encode())
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b"confidence")
    return terminal


def after(terminal: Terminal, keys: bytes, *words: bytes) -> bytes:
    """What is written from these keys on, until some words have come one after another."""
    since = len(terminal.bytes)
    terminal.press(keys)
    for word in words:
        terminal.read_until(word, since=since)
    return terminal.bytes[since:]


def told_by_bash(terminal: Terminal, command: bytes, words: bytes) -> bytes:
    """What is written after a command, until bash has told something of its jobs, which it does before a prompt."""
    since = len(terminal.bytes)
    terminal.press(command)
    end = time.monotonic() + 20
    while words not in terminal.bytes[since:]:
        assert time.monotonic() < end, terminal.bytes[since:]
        time.sleep(0.3)
        terminal.press(b"\r")
        terminal.read(0.2)
    return terminal.bytes[since:]


needs_bash = pytest.mark.skipif(BASH is None, reason="there is no bash, whose job control this needs")


@needs_bash
def test_ctrl_z_gives_the_shell_its_terminal_and_fg_brings_the_app_back_in_the_new_size(tmp_path: Path) -> None:
    terminal = shell(tmp_path, write_program(tmp_path))
    after(terminal, b"\x1a", b"Stopped", b"PROMPT$ ")
    assert modes_left(terminal.bytes) == ("pastes are bracketed",), "bash brackets pastes at its prompt"
    settings = after(terminal, b"stty -a; echo do''ne\r", b"done")
    assert b" icanon" in settings
    assert b" echo " in settings
    terminal.resize(100, 30)
    since = len(terminal.bytes)
    after(terminal, b"fg\r", b"\x1b[?1049h", b"confidence")
    screen = pyte.Screen(100, 30)
    stream = pyte.ByteStream(screen)
    end = time.monotonic() + 20
    while "? Help" not in screen.display[-1] or "confidence" not in "\n".join(screen.display):
        assert time.monotonic() < end, "\n".join(screen.display)
        terminal.read(0.3)
        stream.feed(terminal.bytes[since:])
        since = len(terminal.bytes)
    after(terminal, b"1", b"What next")
    # Once more, and gone in the end.
    after(terminal, b"\x1a", b"Stopped")
    after(terminal, b"fg\r", b"What next")
    after(terminal, b"\x11", b"PROMPT$ ")
    assert b"status=0" in after(terminal, b"echo status=$?\r", b"status=0")
    terminal.press(b"exit\r")
    assert terminal.wait()[0] == 0


@needs_bash
def test_a_stopped_app_waits_in_the_background_and_ends_when_it_is_killed(tmp_path: Path) -> None:
    terminal = shell(tmp_path, write_program(tmp_path))
    after(terminal, b"\x1a", b"Stopped", b"PROMPT$ ")
    # It cannot draw while the shell has the terminal: like every program that would, it stops again.
    assert b"\x1b[?1049h" not in told_by_bash(terminal, b"bg\r", b"Stopped")
    after(terminal, b"fg\r", b"confidence")
    after(terminal, b"\x1a", b"Stopped")
    assert b"\x1b[?1049h" not in told_by_bash(terminal, b"kill %1\r", b"Exit 143")
    terminal.press(b"exit\r")
    terminal.wait()


@needs_bash
def test_a_script_that_started_the_app_stops_with_it(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\n{write_program(tmp_path)}\necho wrapped $?\n", encoding="utf-8")
    script.chmod(0o755)
    terminal = shell(tmp_path, "./script.sh")
    after(terminal, b"\x1a", b"Stopped", b"PROMPT$ ")
    after(terminal, b"fg\r", b"confidence")
    after(terminal, b"\x11", b"wrapped 0")
    terminal.press(b"exit\r")
    terminal.wait()


@needs_bash
def test_pictures_are_taken_away_before_and_sent_again_afterwards(tmp_path: Path) -> None:
    terminal = shell(tmp_path, write_program(tmp_path, "kitty"))
    terminal.read_until(b"\x1b_G")
    stopped = after(terminal, b"\x1a", b"Stopped", b"PROMPT$ ")
    assert b"a=d" in stopped, "the terminal drops its pictures"
    assert b"\x1b_G" in after(terminal, b"fg\r", b"\x1b_G")
    after(terminal, b"\x11", b"PROMPT$ ")
    terminal.press(b"exit\r")
    terminal.wait()


@pytest.mark.skipif(TMUX is None, reason="there is no tmux")
def test_ctrl_z_and_fg_in_tmux(tmp_path: Path) -> None:
    assert TMUX is not None
    command = write_program(tmp_path)
    socket = tmp_path / "tmux"

    def tmux(*arguments: str) -> str:
        run = [TMUX, "-S", str(socket), "-f", "/dev/null", *arguments]
        kept = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
        given = {**kept, **environment(tmp_path), "TERM": "xterm-256color"}
        return subprocess.run(run, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=30).stdout

    def until(words: str) -> None:
        end = time.monotonic() + 40
        while words not in (shown := tmux("capture-pane", "-p")):
            assert time.monotonic() < end, shown
            time.sleep(0.2)

    tmux("new-session", "-d", "-x", "120", "-y", "40", "sh -c 'exec bash --norc -i'")
    try:
        tmux("send-keys", "PS1='READY:'", "Enter")
        until("\nREADY:")
        tmux("send-keys", command, "Enter")
        until("ready")
        tmux("send-keys", "d")
        until("confidence")
        tmux("send-keys", "C-z")
        until("Stopped")
        assert tmux("display-message", "-p", "#{alternate_on}#{mouse_any_flag}").strip() == "00"
        tmux("send-keys", "fg", "Enter")
        until("confidence")
        tmux("send-keys", "C-q")
        until("READY:fg")
        assert tmux("display-message", "-p", "#{alternate_on}#{mouse_any_flag}").strip() == "00"
    finally:
        tmux("kill-server")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Terminal, list[object]]]:
    """The app as the only program of a terminal, with no shell above it; and the terminal's settings before."""
    write_program(tmp_path)
    terminal = Terminal([sys.executable, "program.py"], tmp_path, environment(tmp_path))
    before = termios.tcgetattr(terminal.descriptor)
    terminal.resize(120, 40)
    terminal.read_until(b"ready")
    yield terminal, before
    os.close(terminal.descriptor)


def quits_well(terminal: Terminal, before: list[object]) -> None:
    """Ctrl+Q ends it and leaves the terminal as it was."""
    terminal.press(b"\x11")
    assert terminal.wait()[0] == 0
    assert terminal_left(terminal, before) == ()


@pytest.mark.parametrize("way", ["key", "signal"])
def test_where_no_shell_could_continue_it_the_app_says_so_and_goes_on(
    way: str, alone: tuple[Terminal, list[object]]
) -> None:
    terminal, before = alone
    if way == "key":
        terminal.press(b"\x1a")
    else:
        os.kill(terminal.pid, signal.SIGTSTP)
    terminal.read_until(b"Not suspended")
    terminal.press(b"d")
    terminal.read_until(b"confidence")
    quits_well(terminal, before)


def test_sigcont_alone_changes_nothing_and_is_forgotten_by_the_end(alone: tuple[Terminal, list[object]]) -> None:
    terminal, before = alone
    for _ in range(3):
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.read(0.2)
    quits_well(terminal, before)


def test_after_a_stop_that_nobody_can_prepare_for_the_screen_is_drawn_again(
    alone: tuple[Terminal, list[object]],
) -> None:
    terminal, before = alone
    os.kill(terminal.pid, signal.SIGSTOP)
    os.waitpid(terminal.pid, os.WUNTRACED)
    termios.tcsetattr(terminal.descriptor, termios.TCSANOW, before)  # as a shell does
    since = len(terminal.bytes)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.read_until(b"What next", since=since)
    assert not termios.tcgetattr(terminal.descriptor)[3] & termios.ICANON
    assert "What next" in words_in(terminal.bytes[since:])
    quits_well(terminal, before)


async def test_where_text_is_written_ctrl_z_takes_back_what_was_typed() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "m")
        for _ in range(9):  # to "Describe the task"
            await press(pilot, "down")
            if "Describe the task" in str(app.screen.query_one("#choices-list").current):  # type: ignore[attr-defined]
                break
        await press(pilot, "enter")
        area = app.screen.query_one(TextArea)
        text = area.text
        await press(pilot, "x", "ctrl+z")
        assert area.text == text
        assert "Not suspended" not in notices(app)
        await press(pilot, "escape", "1", "ctrl+z")
        await settled(pilot)
        assert "does not let a program be suspended" in notices(app), "there is no terminal here"
