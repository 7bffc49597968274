"""What a model's code or a native library writes past Python reaches neither the terminal nor the results."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from factories import MODEL_CODE, make_model
from harmful import UTF8_HARM, assert_harmless
from PIL import Image
from terminal import Terminal

from engine.cli.console import print_failure, print_line
from engine.cli.streams import aside, own_streams
from engine.storage.places import log_file

WRITES = f"""
import atexit, ctypes, os, sys, threading
def say():
    for number in (1, 2):
        os.write(number, {UTF8_HARM!r}.encode() + b" NATIVE")
    for stream in (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__):
        print({UTF8_HARM!r}, "PYTHON", file=stream)
    ctypes.CDLL(None).printf(b"\\x1b[2J BUFFERED")
atexit.register(say)
say()
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """`predict` with a model that writes wherever it can, while it is loaded, when it works and at the very end."""
    code = WRITES + MODEL_CODE.replace("return", "say(); return")
    make_model(tmp_path / "tasks" / "Lungs" / "Loud", code=code, approved=True)
    Image.new("RGB", (9, 9), "teal").save(tmp_path / "a.png")
    program = [sys.executable, "-m", "xaimed_tui", "--tasks", str(tmp_path / "tasks")]
    return [*program, "predict", str(tmp_path / "a.png"), "--task", "Lungs"]


def test_json_stays_json_and_the_log_has_what_was_written(command: list[str]) -> None:
    done = subprocess.run([*command, "--json"], capture_output=True, check=True, timeout=60)
    (answer,) = json.loads(done.stdout)
    assert answer["classes"] == ["healthy", "ill"]
    assert_harmless(done.stderr, seen=False)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("xaimed: a model's code or a library printed ")
    assert line.endswith(f" bytes; they are in the log: {log_file()}")
    log = log_file().read_bytes()
    assert_harmless(log)
    for words in (b"NATIVE", b"PYTHON", b"BUFFERED"):
        assert words in log
    assert log_file().stat().st_mode & 0o077 == 0


def test_on_a_terminal_only_the_command_itself_is_seen(command: list[str], tmp_path: Path) -> None:
    terminal = Terminal(command, tmp_path)
    terminal.wait()
    assert b"Probabilities" in terminal.bytes
    assert b"they are in the log" in terminal.bytes
    assert b"Loading" in terminal.bytes, "the bar is seen"
    assert_harmless(terminal.bytes, seen=False)
    for words in (b"NATIVE", b"PYTHON", b"BUFFERED", b"\x1b[2J"):
        assert words not in terminal.bytes


def test_where_native_code_ended_the_program_is_said(command: list[str], tmp_path: Path) -> None:
    make_model(tmp_path / "tasks" / "Lungs" / "Loud", code=f"import os\n{WRITES}\nos.abort()", approved=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGABRT
    assert done.stderr.startswith("Fatal Python error: Aborted\n")
    assert "architecture.py" in done.stderr
    assert_harmless(done.stderr.encode(), seen=False)


def test_afterwards_all_streams_are_what_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        out = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="utf-8")
        patch.setattr("sys.stdout", out)
        with own_streams(for_good=False):
            os.write(1, b"past\n")
            with aside():
                print("beside")
            print_line("one")
            print_failure("two")
        assert sys.stdout is out
    os.write(1, b"three\n")
    captured = capfd.readouterr()
    assert captured.out == "one\nthree\n"
    assert captured.err.startswith("xaimed: two\nxaimed: a model's code or a library printed 12 bytes; ")
    assert log_file().read_text(encoding="utf-8").endswith(" 12 bytes were printed:\npast\nbeside\n")


def test_what_is_written_without_end_is_kept_in_part(capfd: pytest.CaptureFixture[str]) -> None:
    with own_streams(for_good=False):
        for number in range(30_000):
            os.write(2, b"%d\n" % number)
    assert "printed 168,890 bytes" in capfd.readouterr().err
    log = log_file().read_text(encoding="utf-8")
    assert log.endswith("\n29998\n29999\n")
    assert 60_000 < len(log) < 66_000


def test_a_log_that_cannot_be_written_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with own_streams(for_good=False):
        os.write(1, b"past")
    assert "4 bytes; they are lost, as the log cannot be written (not a directory)" in capfd.readouterr().err


@pytest.mark.parametrize("for_good", [False, True])
def test_a_model_that_prints_does_not_fail_for_a_full_disk(for_good: bool) -> None:
    code = f"""
import sys, tempfile
tempfile.TemporaryFile = lambda **options: open("/dev/full", "r+b", **options)
from engine.cli.streams import aside, discard_later_output, own_streams
with own_streams(for_good={for_good}):
    with aside():
        print("lost")
    print("kept")
discard_later_output()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "kept\n", "")


@pytest.mark.parametrize("closed", ["1", "2", "1 2"])
def test_a_stream_that_was_closed_stays_so(closed: str, tmp_path: Path) -> None:
    code = (
        f"import os\nfor number in {[int(n) for n in closed.split()]}: os.close(number)\n"
        "os.execv({0!r}, [{0!r}, '-m', 'xaimed_tui', '--tasks', {1!r}, 'tasks'])".format(sys.executable, str(tmp_path))
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" or "2" not in closed
