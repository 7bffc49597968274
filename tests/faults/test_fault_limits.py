"""What the system does not grant (memory, files, a directory, streams) is one line with a remedy, never a traceback."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import ROOT
from terminal import Terminal

from engine.errors import BundleError, from_surroundings
from engine.storage.places import bundled_tasks
from xaimed_tui.background.failure import failure_of

DEMO = "IHC Stain (demo)"
IMAGE = str(min((bundled_tasks() / DEMO / "Small CNN" / "samples").glob("*.png")))
START = "import sys; from xaimed_tui.__main__ import main; sys.exit(main())"
PREDICT = ("predict", IMAGE, "--task", DEMO)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")


def run(*arguments: str, before: Callable[[], object], **streams: int) -> subprocess.CompletedProcess[str]:
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(
        # -P, as an installed command does without the working directory in its path, too.
        [sys.executable, "-P", "-c", START, *arguments],
        text=True,
        check=False,
        timeout=120,
        preexec_fn=before,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **given,  # type: ignore[call-overload]
    )


def limit(kind: int, most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (most, most))


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert done.stdout in (None, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("xaimed: ")
    assert all(word in line for word in words), line
    assert "fault" not in line


@pytest.mark.parametrize("command", ["predict", "explain", "app"])
def test_a_removed_working_directory_is_said(command: str, tmp_path: Path) -> None:
    gone = tmp_path / "gone"

    def leave() -> None:
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    arguments = {"predict": PREDICT, "explain": ("explain", *PREDICT[1:], "--out", str(tmp_path)), "app": ("demo",)}
    done = run(*arguments[command], before=leave)
    assert_one_line(done, "the working directory is gone (no such file or directory); change to another one")


def test_commands_that_need_no_working_directory_work_without_one(tmp_path: Path) -> None:
    def leave() -> None:
        os.chdir(tmp_path)
        tmp_path.rmdir()

    assert DEMO in run("tasks", before=leave).stdout


@pytest.mark.parametrize("megabytes", [300, 1500])
def test_too_little_memory_for_torch_is_said(megabytes: int) -> None:
    done = run(*PREDICT, before=limit(resource.RLIMIT_AS, megabytes << 20))
    assert_one_line(done, "there is not enough memory; close other programs, or allow this one more (ulimit -v)")


@pytest.mark.parametrize(("most", "words"), [(8, "too many files are open"), (12, "(too many open files)")])
def test_too_few_open_files_are_said(most: int, words: str) -> None:
    assert_one_line(run(*PREDICT, before=limit(resource.RLIMIT_NOFILE, most)), words, "ulimit")


def test_that_no_file_can_be_written_is_said(tmp_path: Path) -> None:
    arguments = ("explain", *PREDICT[1:], "--methods", "gradcam", "--out", str(tmp_path))
    assert_one_line(run(*arguments, before=limit(resource.RLIMIT_FSIZE, 0)), IMAGE, "; ")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_that_cannot_be_written_still_gives_1() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = run("predict", "/nothing.png", "--task", DEMO, before=lambda: None, stderr=full)
    finally:
        os.close(full)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_picture_is_read_whichever_stream_is_closed(closed: int) -> None:
    done = run(*PREDICT, before=lambda: os.close(closed))
    assert done.returncode == 0, done.stderr
    assert closed == 1 or IMAGE in done.stdout


@pytest.mark.parametrize(
    ("closed", "said"), [("sys.stdin.close()", b"needs a terminal"), ("os.close(0)", b"needs a terminal")]
)
def test_the_app_needs_standard_input(closed: str, said: bytes, tmp_path: Path) -> None:
    if closed == "os.close(0)":
        code = f"import os, sys\n{closed}\nos.execv(sys.executable, [sys.executable, '-c', {START!r}])"
    else:
        code = f"import sys\n{closed}\nsys.argv = ['xaimed']\n{START}"
    terminal = Terminal.python(code, tmp_path, {**os.environ, "PYTHONPATH": str(ROOT)})
    assert terminal.wait()[0] == 1
    assert said in terminal.bytes
    assert b"Traceback" not in terminal.bytes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "memory"),
        (OSError(12, "Cannot allocate memory"), "memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
            "memory",
        ),
        (OSError(24, "Too many open files"), "files"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "temporary"),
        (RuntimeError("can't start new thread"), "threads"),
        (ModuleNotFoundError("No module named 'x'"), "library-missing"),
        (BundleError("broken"), "model"),
    ],
)
def test_errors_of_the_surroundings_are_known(error: Exception, code: str) -> None:
    known = from_surroundings(error)
    assert known is not None
    assert known.code == code
    assert failure_of("pytorch", error).title != "A fault in the program"


def test_errors_of_the_program_stay_faults() -> None:
    for error in (ValueError("no"), KeyError("x"), OSError(5, "Input/output error")):
        assert from_surroundings(error) is None
        assert failure_of("pytorch", error).title == "A fault in the program"
