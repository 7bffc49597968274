"""Failures as screens: what, why, what to do, the log; and going on afterwards."""

from __future__ import annotations

import base64
import inspect
import logging
import re
from pathlib import Path

import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text
from fakes import FakeEngine

from engine.errors import (
    BundleError,
    ExplanationError,
    ExportError,
    ImageError,
    NotFiniteError,
    OutOfMemoryError,
    TaskError,
    XAIMedError,
)
from engine.storage.places import log_file
from xaimed_tui.background import jobs
from xaimed_tui.background.failure import failure_of
from xaimed_tui.screens.failure import LOG_SHOWN, FailureScreen, LogScreen, end_of_log

BIG = (160, 50)


@pytest.mark.parametrize(
    ("error", "title", "why"),
    [
        (OutOfMemoryError("there is not enough memory", subject="T/M", remedy="end"), "Out of memory", "T/M: there is"),
        (MemoryError(), "Out of memory", "MemoryError"),
        (BundleError("weights.pt is missing"), "The model cannot be used", "Weights.pt is missing."),
        (NotFiniteError("no valid map"), "The network gave no numbers", "No valid map."),
        (ImageError("the file is truncated"), "The image cannot be read", "The file is truncated."),
        (ExportError("the disk is full"), "Nothing was saved", "The disk is full."),
        (ExplanationError("there is no class x"), "Not done", "There is no class x."),
        (
            TypeError("\x1b[2J"),
            "A fault in the program",
            "XAIMed met a fault of its own while saving.\n\nTypeError: ␛[2J",
        ),
    ],
)
def test_every_failure_has_a_heading_of_its_own_and_says_why(error: Exception, title: str, why: str) -> None:
    failure = failure_of("save", error)
    assert failure.title == title
    assert failure.why.startswith(why)
    assert str(log_file()) in failure.words


def test_the_four_failures_that_people_meet_most_tell_more_than_their_cause() -> None:
    kinds: list[type[XAIMedError]] = [OutOfMemoryError, BundleError, NotFiniteError, ImageError]
    more = [failure_of("method", kind("x")).more for kind in kinds]
    assert len({*more}) == 4
    assert all(len(text) > 60 for text in more)
    assert failure_of("tasks", TaskError("x")).more == ""


def clipboard(app) -> list[str]:
    copied: list[str] = []
    app.copy_to_clipboard = copied.append
    return copied


@pytest.mark.parametrize("job", sorted(set(re.findall(r'_guarded\(\s*"(\w+)"', inspect.getsource(jobs)))))
def test_a_fault_in_any_job_is_told_in_a_sentence_that_says_what_was_being_done(job: str) -> None:
    assert " while " in failure_of(job, RuntimeError("x")).why
    assert f"while {job}." not in failure_of(job, RuntimeError("x")).why


async def test_a_failure_is_copied_leads_to_the_log_and_is_left_again() -> None:
    engine = FakeEngine(failures={"load": BundleError("weights.pt is missing", subject="M", remedy="copy it")})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        copied = clipboard(app)
        await press(pilot, *TO_IMAGES)
        text = screen_text(app)
        assert "The model cannot be used" in text
        assert "What to do  Copy it." in text
        assert "xaimed.log" in re.sub(r"[\s│]", "", text)  # a long path is wrapped
        await press(pilot, "c", "l")
        assert copied[0].startswith("The model cannot be used\n\nM: weights.pt is missing.")
        assert isinstance(app.screen, LogScreen)
        await press(pilot, "escape", "enter")
        assert app.screen is app.screen_stack[0]


async def test_copying_sends_the_words_to_the_terminal_s_clipboard(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        written: list[str] = []
        monkeypatch.setattr(app._driver, "write", written.append)
        app.show_failure(failure_of("save", ExportError("the disk is full")))
        await press(pilot, "c")
        sequence = next(text for text in written if text.startswith("\x1b]52;c;"))
        assert "The disk is full." in base64.b64decode(sequence[7:].rstrip("\x07")).decode()


async def test_a_method_that_failed_is_looked_at_with_enter() -> None:
    engine = FakeEngine(failures={"rise": NotFiniteError("no valid map: NaN", remedy="try fp32")})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "r")
        assert "⏎ Detail" in screen_text(app).splitlines()[-1]
        await press(pilot, "enter")
        assert isinstance(app.screen, FailureScreen)
        assert "The network gave no numbers" in screen_text(app)


async def test_an_unreadable_image_is_said_in_its_place_and_in_full_with_enter() -> None:
    app = make_app(FakeEngine(names=("broken.png", "a.png")))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        assert app.screen is app.screen_stack[0], "no dialog while one looks through a folder"
        for line in ("broken.png: the file is", "truncated; copy it again"):  # as the card wraps it
            assert line in screen_text(app)
        await press(pilot, "enter")
        assert "The image cannot be read" in screen_text(app)
        await press(pilot, "escape", "home")
        assert app.explain.check_action("open", ()) is False


async def test_the_log_is_shown_from_anywhere_made_safe_its_end_first() -> None:
    log_file().parent.mkdir(parents=True, exist_ok=True)
    log_file().write_bytes(b"old\n" + b"line\n" * 300 + b"\x1b[2Jnative \xff\n")
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "ctrl+l")
        assert "␛[2Jnative \\xff" in screen_text(app)
        assert "old" not in screen_text(app)


def test_of_a_large_log_only_the_end_is_read_from_a_line_s_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert end_of_log(path) == "There is no log: it could not be written, or it was deleted."
    path.touch()
    assert end_of_log(path) == "The log is empty."  # a full disk says nothing of what went wrong
    path.write_bytes(b"x" * LOG_SHOWN + b"\nlast\n")
    assert end_of_log(path) == "last"


async def test_what_failed_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        app = make_app(FakeEngine(failures={"rise": ExplanationError("no valid map", subject="RISE")}))
        async with app.run_test(size=BIG) as pilot:
            await press(pilot, *TO_IMAGES, "r")
    assert "RISE: no valid map" in caplog.text
