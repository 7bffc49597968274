"""Leaving: by key, by signal, and when the terminal is gone; nothing is waited for, and nothing stays behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import SUPPORT
from fake_program import program
from terminal import Terminal, homes

from tests.torture.monkey import modes_left

MAIN = "import sys; from xaimed_tui.__main__ import main; sys.argv[1:] = {arguments!r}; sys.exit(main())"


def home(place: Path) -> dict[str, str]:
    """A home of its own, on a terminal of 120x40."""
    return {**homes(place), "COLUMNS": "120", "LINES": "40"}


def rise_runs(place: Path) -> Terminal:
    """The app on an engine whose RISE never ends."""
    terminal = Terminal.python(program("rise"), place, home(place))
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b"confidence")
    terminal.press(b"r")
    terminal.read_until(b"2,000/4,000")
    return terminal


def imports_are_stuck(place: Path) -> Terminal:
    """The app on an engine whose import never ends."""
    terminal = Terminal.python(program("warm_up"), place, home(place))
    terminal.read_until(b"loading PyTorch")
    return terminal


def torch_is_imported(place: Path) -> Terminal:
    """The app itself, at some moment of importing torch, which lets nobody else work at times."""
    terminal = Terminal.python(MAIN.format(arguments=[]), place, home(place))
    terminal.read_until(b"loading PyTorch")
    end = time.monotonic() + random.uniform(0, 1.5)
    while time.monotonic() < end:
        terminal.read(0.05)
    return terminal


def assert_given_back(terminal: Terminal) -> None:
    """The terminal is as it was."""
    written = terminal.bytes
    assert written.rindex(b"\x1b[?1049l") > written.rindex(b"\x1b[?1049h")  # the normal screen
    assert written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l")  # the cursor
    assert written.rindex(b"\x1b[?1000l") > written.rindex(b"\x1b[?1000h")  # no mouse
    assert written.rindex(b"\x1b[?2004l") > written.rindex(b"\x1b[?2004h")  # no bracketed paste


@pytest.mark.parametrize("begin", [rise_runs, imports_are_stuck, torch_is_imported])
def test_ctrl_q_gives_the_terminal_back_within_a_second(begin: Callable[[Path], Terminal], tmp_path: Path) -> None:
    taken = []
    for number in range(9):  # three times, and again as long as other tests keep the machine busy
        place = tmp_path / str(number)
        place.mkdir()
        terminal = begin(place)
        terminal.press(b"\x11")
        status, seconds = terminal.wait()
        assert status == 0
        assert_given_back(terminal)
        taken.append(seconds)
        if len(taken) >= 3 and min(taken) < 1.0:
            break
    assert min(taken) < 1.0, taken
    assert sorted(taken)[-2] < 3.0, taken  # one may have met the moment when another test took the machine


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGQUIT, 131), (signal.SIGHUP, 129)],
)
def test_a_signal_gives_the_terminal_back_and_is_told_by_the_status(
    number: signal.Signals, expected: int, tmp_path: Path
) -> None:
    terminal = rise_runs(tmp_path)
    os.kill(terminal.pid, number)
    status, seconds = terminal.wait()
    assert status == expected
    assert seconds < 3.0
    assert_given_back(terminal)
    assert modes_left(terminal.bytes) == ()
    assert termios.tcgetattr(terminal.descriptor)[3] & termios.ICANON, "the terminal itself is there, and usual again"
    assert b"Traceback" not in terminal.bytes
    remembered = json.loads((tmp_path / "state" / "xaimed" / "app.json").read_bytes())
    assert remembered["task"] == "IHC Stain (demo)", "what was to be written was"


def test_a_terminal_that_takes_no_more_bytes_does_not_keep_the_app(tmp_path: Path) -> None:
    terminal = rise_runs(tmp_path)
    for columns in range(40, 160):  # nobody reads what is drawn
        terminal.resize(columns, 50)
        terminal.press(b"\x14")  # the next theme: everything is drawn anew
        time.sleep(0.02)
    os.kill(terminal.pid, signal.SIGTERM)
    end = time.monotonic() + 15
    while (done := os.waitpid(terminal.pid, os.WNOHANG))[0] == 0:
        assert time.monotonic() < end, "it did not end"
        time.sleep(0.05)
    assert os.waitstatus_to_exitcode(done[1]) == 143


_EMULATOR = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from terminal import Terminal

from tests.torture.monkey import modes_left
terminal = Terminal.python({code!r}, Path({place!r}), {environment!r})
terminal.read_until(b"confidence", seconds=120)
terminal.press(b"r")
terminal.read_until(b"/1,000,000", seconds=120)
Path("runs").write_text(str(terminal.pid))
while terminal.read(1.0):
    pass
"""


def marked(mark: str) -> list[int]:
    """The processes, zombies left out, whose environment has a mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_nothing_is_left_when_the_terminals_program_is_killed_while_rise_runs(tmp_path: Path) -> None:
    mark = f"XAIMED_TEST={tmp_path}"
    environment = {**home(tmp_path), "XAIMED_TEST": str(tmp_path)}
    arguments = ["--rise-samples", "1000000", "--until", "samples", "demo"]
    code = textwrap.dedent(_EMULATOR).format(
        tests=str(SUPPORT),
        code=MAIN.format(arguments=arguments),
        place=str(tmp_path),
        environment=environment,
    )
    emulator = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, start_new_session=True)
    try:
        runs = tmp_path / "runs"
        end = time.monotonic() + 150
        while not (runs.exists() and runs.read_text(encoding="ascii")):
            assert time.monotonic() < end
            assert emulator.poll() is None
            time.sleep(0.05)
        assert int(runs.read_text(encoding="ascii")) in marked(mark)
        time.sleep(1.2)  # where one is gets written down
    finally:
        emulator.kill()
        emulator.wait()
    end = time.monotonic() + 10
    while left := marked(mark):
        assert time.monotonic() < end, left
        time.sleep(0.05)
    remembered = json.loads((tmp_path / "state" / "xaimed" / "app.json").read_bytes())
    assert remembered["task"] == "IHC Stain (demo)"
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".partial")]


def shows_an_image(place: Path, held: str = "nothing") -> Terminal:
    terminal = Terminal.python(program(held), place, home(place))
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b"confidence")
    return terminal


@pytest.mark.parametrize(
    ("keys", "shows"),
    [
        (b"t", b"Class to explain"),
        (b"f", b"Image folder"),
        (b"?", b"Help"),
        (b"\x10", b"Search for commands"),
        (b"\x10\x1b[5~\r\r", b""),
        (b"\x1b[200~" + 40_000 * b"words " + b"\x1b[201~", b""),
        (b"f\x1b[200~" + 4_000 * b"words ", b""),
    ],
    ids=["dialog", "folder dialog", "help", "palette", "palette, keys at once", "paste", "paste without its end"],
)
def test_ctrl_q_overtakes_whatever_is_open_or_coming_in(keys: bytes, shows: bytes, tmp_path: Path) -> None:
    terminal = shows_an_image(tmp_path)
    since = len(terminal.bytes)
    while keys:  # the line takes only so much at a time
        terminal.press(keys[:1024])
        keys = keys[1024:]
        terminal.read(0.001)
    if shows:
        terminal.read_until(shows, since=since)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        terminal.read(0.1)
    terminal.press(b"\x11")
    status, seconds = terminal.wait()
    assert status == 0
    assert seconds < 3.0
    assert modes_left(terminal.bytes) == ()


def test_ctrl_q_overtakes_a_folder_that_is_being_read(tmp_path: Path) -> None:
    terminal = Terminal.python(program("list_images"), tmp_path, home(tmp_path))
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read_until(b"Small CNN")
    terminal.press(b"\x11")
    status, seconds = terminal.wait()
    assert status == 0
    assert seconds < 3.0


def test_ctrl_q_overtakes_keys_that_wait(tmp_path: Path) -> None:
    terminal = shows_an_image(tmp_path)
    terminal.press(b"e")
    terminal.read_until(b"1 of 4" if b"1 of 4" in terminal.bytes else "\u250f".encode())
    terminal.press(b"om[]" * 500 + b"\x11")
    status, seconds = terminal.wait()
    assert status == 0
    assert seconds < 3.0
    assert modes_left(terminal.bytes) == ()


def test_a_terminal_is_restored_once_though_what_is_being_saved_takes_longer(tmp_path: Path) -> None:
    terminal = shows_an_image(tmp_path, "save")
    terminal.press(b"g")
    terminal.read_until(b"done")
    since = len(terminal.bytes)
    terminal.press(b"w")
    terminal.read_until(b"cancel", since=since)
    terminal.press(b"\r")
    while not (tmp_path / "held").exists():
        terminal.read(0.1)
    terminal.press(b"\x11")
    status, seconds = terminal.wait()
    assert status == 0
    assert 4 < seconds < 8, "it waited for the saving, but not for ever"
    assert terminal.bytes.count(b"\x1b[?1049l") == 1
    assert terminal.bytes.count(b"\x1b[<u") == 1, "a second one would end what another program has asked for"


CRASHES = """
import xaimed_tui.app

def crash(*_):
    raise KeyError("no \\x1b[2Jsuch thing")

{where} = crash
"""


@pytest.mark.parametrize(
    "where",
    ["xaimed_tui.app.XAIMedApp.action_demo", "xaimed_tui.app.XAIMedApp.on_mount", "xaimed_tui.app.XAIMedApp.compose"],
)
def test_a_crash_is_told_in_one_line_on_the_restored_terminal(where: str, tmp_path: Path) -> None:
    terminal = Terminal.python(program("nothing", before=CRASHES.format(where=where)), tmp_path, home(tmp_path))
    if where.endswith("demo"):
        terminal.read_until(b"ready")
        terminal.press(b"d")
    status, _ = terminal.wait()
    assert status == 1
    assert modes_left(terminal.bytes) == ()
    assert termios.tcgetattr(terminal.descriptor)[3] & termios.ICANON
    said = terminal.bytes[terminal.bytes.rindex(b"\x1b[?1049l") :].decode()
    assert "xaimed: a fault in the program ended the app: KeyError: " in said
    log = tmp_path / "state" / "xaimed" / "xaimed.log"
    assert f"The traceback is in {log}." in said
    assert "Traceback (most" not in terminal.bytes.decode()
    assert "\x1b[2J" not in said
    assert "in crash" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "keys",
    [b"\xff\xfe\xe9", b"\x1b[?2048;0$y\x1b[48;40;120;0;0t\x1b[<0;5;5M\x1b[<0;5;5m", b"\x1b[<0;1\x1b[\x1b]\x00"],
    ids=["not UTF-8", "a terminal of 0x0 pixels", "sequences cut short"],
)
def test_nothing_that_comes_from_the_terminal_ends_the_app(keys: bytes, tmp_path: Path) -> None:
    terminal = Terminal.python(program("nothing"), tmp_path, home(tmp_path))
    terminal.read_until(b"ready")
    terminal.press(keys)
    terminal.read(0.5)
    terminal.press(b"d")
    terminal.read_until(b"confidence")
    terminal.press(b"\x11")
    assert terminal.wait()[0] == 0
    assert modes_left(terminal.bytes) == ()


STUCK = "import xaimed_tui.app; xaimed_tui.app.XAIMedApp.action_demo = lambda *_: time.sleep(60)"


def test_an_app_that_is_stuck_restores_the_terminal_and_ends_on_ctrl_q(tmp_path: Path) -> None:
    terminal = Terminal.python(program("nothing", before=STUCK), tmp_path, home(tmp_path))
    terminal.read_until(b"ready")
    terminal.press(b"d")
    terminal.read(0.5)
    terminal.press(b"\x11")
    status, seconds = terminal.wait()
    assert status == 0
    assert seconds < 10
    assert modes_left(terminal.bytes) == ()
    assert termios.tcgetattr(terminal.descriptor)[3] & termios.ICANON
