"""What holds for all tests: a home of their own, and one folder for the pictures of the screens."""

from __future__ import annotations

import gc
import itertools
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import OPENED, Run
from pytest_textual_snapshot import SVGImageExtension
from snapshot_pin import refuse_update
from textual._styles_cache import StylesCache

from engine.threads import settle_threads

if TYPE_CHECKING:
    from syrupy.location import PyTestLocation


def _snapshots(cls: type[SVGImageExtension], *, test_location: PyTestLocation) -> str:
    return str(Path(__file__).parents[1] / "snapshots" / Path(test_location.filepath).stem)


settle_threads()  # as the program does, before any test imports torch

# At module level, not in a fixture: syrupy asks for it when it looks for unused snapshots, after all tests. There is no
# setting for it, and a class of our own would not be the one that the plug-in compares with: hence the assignment.
SVGImageExtension.dirname = classmethod(_snapshots)  # type: ignore[method-assign, assignment]


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to draw snapshots anew under another Textual than the pinned one; let Ctrl+C interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell sets it for what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    refuse_update(config)


def pytest_collection_finish() -> None:
    """Look for garbage every few tests only: looking five times a test took a third of the time of those of the app."""
    gc.collect()
    gc.freeze()  # what was imported stays
    gc.set_threshold(50_000, 4, 7)  # the app: (700, 10, 200), as often through all of it, but seldom through the new


def pytest_runtest_teardown() -> None:
    """Let go of the lines drawn on a thousand widgets of apps that ended: Textual's cache of two colours keeps them."""
    StylesCache.get_inner_outer.cache_clear()  # type: ignore[attr-defined]  # mypy takes a cached method for a plain one


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Reports go from process to process as UTF-8; what harmful names left in them must not end the run."""
    report = yield
    report.sections = [(title, _encodable(text)) for title, text in report.sections]
    if (text := report.longreprtext) != _encodable(text):
        report.longrepr = _encodable(text)
    return report


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders. Counted here: for the next number, pytest looks through all that it made, longer at each test."""
    homes = tmp_path_factory.mktemp("homes")
    return (homes / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_places(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this person's settings gets in, nothing gets out."""
    home = next(_homes)
    home.mkdir()
    for name in ("CACHE", "DATA", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    for name in ("XAIMED_TASKS", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def xaimed(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line, run in this process."""
    from engine.cli.main import run

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments], open_app=lambda _: OPENED)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
