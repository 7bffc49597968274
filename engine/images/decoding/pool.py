"""The processes that decode pictures: kept for the next picture, asked, and ended when one fails.

The first starts with the first picture. If a picture takes too long, the process is killed, and the next picture starts
another. They end by themselves when this program ends, however that happens.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.errors import INSTALL_APART, ImageError
from engine.images.decoding.budget import DECODING
from engine.images.decoding.decoding_process import DecodingProcess, GoneError, not_started
from engine.images.decoding.protocol import Refusal
from engine.images.dicom.opening import AGAIN
from engine.images.dicom.serving import HEADER_TIMES
from engine.images.header import SAVE_AGAIN, Limits
from engine.storage.reading import UnusableFileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Answer = TypeVar("_Answer")

_KEPT = 2
"""Idle processes to keep; there are more only while more pictures are decoded at once."""

# Threads share it without a lock: `pop` and `append` are atomic, and one process too many does no harm.
_idle: list[DecodingProcess] = []


def ask(work: Callable[[DecodingProcess], _Answer], path: Path, limits: Limits) -> _Answer:
    """Return what a process answers, and keep it for the next picture.

    Args:
        work: asks it.
        path: the picture, for errors.
        limits: those it is asked with.
    """
    process = _take(path)
    try:
        answer = work(process)
    except GoneError as error:
        raise _gone(process, path, limits) from error
    except UnusableFileError:  # the process is not concerned
        _give_back(process)
        raise
    except BaseException:
        process.end()  # interrupted: the rest of this answer would be taken for the next one
        raise
    _give_back(process)
    return answer


def ask_about(
    path: Path, limits: Limits, work: Callable[[DecodingProcess], tuple[Refusal | _Answer, NDArray[np.uint8]]]
) -> tuple[_Answer, NDArray[np.uint8]]:
    """Return what a process answers about a file that it is sent in pieces, and the bytes that follow."""
    try:
        answer, sent = ask(work, path, limits)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    return not_refused(answer, path), sent


def not_refused(answer: Refusal | _Answer, path: Path) -> _Answer:
    """Return the answer about a picture.

    Raises:
        ImageError: it is a refusal.
    """
    if isinstance(answer, Refusal):
        raise ImageError(answer.cause, subject=path, remedy=answer.remedy, code=answer.code)
    return answer


def _take(path: Path) -> DecodingProcess:
    """Return a process that is ready: an idle one, or else a new one.

    Raises:
        ImageError: none could be started.
    """
    while True:
        try:
            process = _idle.pop()
        except IndexError:
            break
        if process.process.poll() is None:
            try:
                process.wait_until_ready()
            except GoneError:
                process.end()
                continue
            return process
        process.end()  # it was killed from outside while it was idle
    try:
        process = DecodingProcess()
    except OSError as error:
        lacking = error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
        remedy = "close other programs, or raise the limits that ulimit -a shows" if lacking else INSTALL_APART
        raise not_started(path, (error.strerror or str(error)).lower(), remedy) from error
    try:
        process.wait_until_ready()
    except GoneError as error:
        raise process.why_not_ready(path) from error
    except BaseException:
        process.end()
        raise
    return process


def _give_back(process: DecodingProcess) -> None:
    """Keep a process for the next picture, or end it if enough are idle."""
    if len(_idle) < _KEPT:
        _idle.append(process)
    else:
        process.end()


def get_ready() -> None:
    """Start the process unless there is one, without waiting for it, so that the first picture need not wait."""
    if not _idle:
        with contextlib.suppress(OSError):  # the first picture will report it
            _give_back(DecodingProcess())


def _gone(process: DecodingProcess, path: Path, limits: Limits) -> ImageError:
    """End a process that did not answer in full, and return the error that says why it did not."""
    late = process.late()
    # A crashed process may take a moment to show its status; one whose answer made no sense is still running.
    try:
        status = process.process.wait(0.5)
    except subprocess.TimeoutExpired:
        status = 0
    process.end()
    remedy, times = (AGAIN, HEADER_TIMES) if process.scan_wanted else (SAVE_AGAIN, 1)
    # SIGPROF is the worker's own limit on processor time.
    if late or (sys.platform != "win32" and status == -signal.SIGPROF):
        seconds = limits.seconds if process.work == DECODING else times * limits.header_seconds
        return ImageError(
            f"{process.work} takes longer than {seconds:g} s", subject=path, remedy=remedy, code="too-slow"
        )
    signal_name = ""
    if status < 0:
        with contextlib.suppress(ValueError):
            signal_name = f" ({signal.Signals(-status).name})"
    return ImageError(f"its decoder crashed{signal_name}", subject=path, remedy=remedy, code="damaged")


def end_all() -> None:
    """End the idle processes; the next picture starts another."""
    while _idle:
        _idle.pop().end()


def _forget_all() -> None:
    while _idle:
        _idle.pop().abandon()


atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    # A child inherits the pipes. If it used them, parent and child would get each other's answers.
    os.register_at_fork(after_in_child=_forget_all)
