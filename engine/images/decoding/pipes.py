"""Start a Python process that talks to this program by pipes of its own, not by standard input and output."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CAPACITY = 1 << 20
"""Bytes that a pipe holds, the most that Linux grants by default: large pictures pass in half the time."""

_MOST = 1 << 16
"""The most bytes of standard error that are kept."""


@dataclass(frozen=True, slots=True)
class Piped:
    """A process with its pipes.

    Attributes:
        process: the process.
        requests, answers: the pipe to it, and the pipe from it.
        errors: descriptor from which its standard error can be read without waiting; None on Windows.
    """

    process: subprocess.Popen[bytes]
    requests: io.BufferedWriter
    answers: io.BufferedReader
    errors: int | None

    def said(self) -> str:
        """Return the beginning of what it has written to standard error so far."""
        if self.errors is None:
            return ""
        try:
            return os.read(self.errors, _MOST).decode("utf-8", "backslashreplace")
        except OSError:  # it has written nothing
            return ""

    def close(self) -> None:
        """Close the pipes."""
        for stream in (self.requests, self.answers):
            with contextlib.suppress(OSError):  # closing flushes what the process did not take
                stream.close()
        if self.errors is not None:
            os.close(self.errors)

    def abandon(self) -> None:
        """Close the pipes without sending what is still buffered; for the child of a fork."""
        for stream in (self.requests, self.answers):
            with contextlib.suppress(OSError, ValueError):
                os.close(stream.fileno())
        if self.errors is not None:
            os.close(self.errors)


def start_python(code: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Piped:
    """Start Python with this code.

    Standard input and output are the null device there, so that nothing that is printed gets between the answers, and
    neither a `sitecustomize` nor a `.pth` file is run, which may do anything. (Windows passes no other descriptors:
    there the code must copy descriptor 1 before it imports anything that might print.)

    Args:
        code: what to run. Its first two arguments are the descriptors of the requests and of the answers.
        arguments: further arguments.
        environment: all environment variables.

    Raises:
        OSError: the process cannot be started.
    """
    # -S: without sitecustomize and .pth files. -P: nothing is imported from the working directory. -B: no bytecode.
    python = [sys.executable, "-S", "-P", "-B", "-c", code]
    if sys.platform == "win32":
        process = subprocess.Popen(
            [*python, "0", "1", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.sep,
            env=environment,
        )
        assert isinstance(process.stdin, io.BufferedWriter)
        assert isinstance(process.stdout, io.BufferedReader)
        return Piped(process, process.stdin, process.stdout, None)
    opened: list[int] = []
    try:
        for _ in range(3):
            opened += _pipe()
        requests, to_process, from_process, answers, errors, standard_error = opened
        os.set_blocking(errors, False)
        # Nobody reads it while the process runs: what does not fit into the pipe is dropped, and nothing waits.
        os.set_blocking(standard_error, False)
        process = subprocess.Popen(
            [*python, str(requests), str(answers), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=standard_error,
            pass_fds=(requests, answers),
            cwd=os.sep,  # or the working directory would stay in use
            env=environment,
            start_new_session=True,  # Ctrl+C and a closed terminal concern this program only
        )
    except BaseException:
        for descriptor in opened:
            os.close(descriptor)
        raise
    for descriptor in (requests, answers, standard_error):
        os.close(descriptor)
    return Piped(process, os.fdopen(to_process, "wb"), os.fdopen(from_process, "rb"), errors)


if sys.platform != "win32":
    import fcntl

    def _pipe() -> tuple[int, int]:
        """Return the reading and the writing end of a pipe, both above 2, which a process has for its own."""
        ends = os.pipe()
        if min(ends) <= 2:  # this program's own were closed
            copies = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
            for end in ends:
                os.close(end)
            ends = (copies[0], copies[1])
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # this user's pipes already have as much as is allowed
                fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, _CAPACITY)
        return ends
