"""Decoding pictures in a process apart, so that a crash, a hang or a flood in a decoder costs one file and no more.

The process is started at the first picture and kept; see `engine.images.decoding.worker` for what it does. It is ended
when a picture takes too long, another takes its place, and it ends by itself when this program has ended, however that
was.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import ImageError
from engine.images.decoding.protocol import READY, Decoded, Refusal, parse_answer
from engine.images.header import SAVE_AGAIN, Header, Limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.unsignedinteger]

_START = 60.0
"""Seconds that the process may take to get ready, on however busy a machine; a fifth of a second is usual."""

_TIMES, _MORE = 2.0, 10.0
"""By the clock it may take twice the limit on processor's time and ten seconds more: for what sleeps, not works."""

_LINE = 1 << 16
_KEPT = 2
"""Idle processes that are kept; more are there only while more pictures are decoded at once."""

_PIPE = 1 << 20
"""Bytes in a pipe, the most that may be asked for: large pictures pass in half the time."""

_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from engine.images.decoding.worker import main; main()"


def decode_apart(data: bytes, path: Path, limits: Limits) -> tuple[Integers, Header]:
    """Decode a picture, see `engine.images.decoding.pixels.decode`.

    Raises:
        ImageError: it is refused, took too long, or made its decoder crash; or the process could not be started.
    """
    return _ask("pixels", data, path, limits)


def header_apart(data: bytes, path: Path, limits: Limits) -> Header:
    """What a picture says about itself, for formats whose headers only native code reads.

    Raises:
        ImageError: as `decode_apart`.
    """
    return _ask("header", data, path, limits)[1]


def get_ready() -> None:
    """Start the process without waiting for it, so that the first picture need not wait; nothing if there is one."""
    if not _idle:
        with contextlib.suppress(OSError):  # whoever needs it will be told
            _give_back(_Process())


class _GoneError(Exception):
    """The process ended, or was ended, before it had answered in full."""


class _Process:
    """A process that decodes one picture after another."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-c", _BOOT, *_module_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.sep,  # a working directory would be kept busy, and nothing is to be imported from there
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl+C and a closed terminal are for this program
        )
        self.late = False
        self._ready = False
        if sys.platform == "linux":
            import fcntl

            for stream in self._streams:
                with contextlib.suppress(OSError):  # this user has as much of it as is allowed
                    fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, _PIPE)

    @property
    def _streams(self) -> tuple[io.BufferedWriter, io.BufferedReader]:
        assert isinstance(self.process.stdin, io.BufferedWriter)
        assert isinstance(self.process.stdout, io.BufferedReader)
        return self.process.stdin, self.process.stdout

    def wait_until_ready(self) -> None:
        """See that it runs.

        Raises:
            _GoneError: it does not.
        """
        if not self._ready:
            with self._ended_after(_START):
                if self._streams[1].readline(_LINE) != READY:
                    raise _GoneError
            self._ready = True

    def ask(
        self, wanted: Literal["pixels", "header"], data: bytes, limits: Limits
    ) -> tuple[Refusal | Decoded, NDArray[np.uint8]]:
        """Send a request; the answer and its pixels' bytes.

        Raises:
            _GoneError: there is none.
        """
        import numpy as np

        requests, answers = self._streams
        with self._ended_after(_TIMES * limits.seconds + _MORE):
            requests.write(json.dumps({"wanted": wanted, "bytes": len(data), "limits": asdict(limits)}).encode())
            requests.write(b"\n")
            requests.write(data)
            requests.flush()
            line = answers.readline(_LINE)
            if not line.endswith(b"\n"):
                raise _GoneError
            answer = parse_answer(line, limits, pixels=wanted == "pixels")
            pixels = np.empty(0 if isinstance(answer, Refusal) else answer.bytes, dtype=np.uint8)
            if answers.readinto(pixels.data) < pixels.size:
                raise _GoneError
        return answer, pixels

    def end(self) -> int:
        """End it; its exit status, negative for a signal."""
        self.process.kill()
        for stream in self._streams:
            with contextlib.suppress(OSError):  # what it did not take any more
                stream.close()
        return self.process.wait()

    def abandon(self) -> None:
        """In a copy of this program: leave the process to the original."""
        for stream in self._streams:
            with contextlib.suppress(OSError, ValueError):
                os.close(stream.fileno())

    @contextlib.contextmanager
    def _ended_after(self, seconds: float) -> Iterator[None]:
        """End it if what is done meanwhile takes longer. Pipes that break are one of `_GoneError`'s reasons."""
        done = threading.Event()

        def watch() -> None:
            if not done.wait(seconds):
                self.late = True
                self.process.kill()

        watcher = threading.Thread(target=watch, name="watching the decoder", daemon=True)
        watcher.start()
        try:
            yield
        except (OSError, ValueError) as error:  # a broken pipe, or an answer that is none
            raise _GoneError from error
        finally:
            done.set()
            watcher.join()


_idle: list[_Process] = []


def _ask(wanted: Literal["pixels", "header"], data: bytes, path: Path, limits: Limits) -> tuple[Integers, Header]:
    import numpy as np

    process = _take(path)
    try:
        answer, pixels = process.ask(wanted, data, limits)
    except _GoneError as error:
        raise _gone(process, path, limits) from error
    except BaseException:
        process.end()  # interrupted in the middle of an answer
        raise
    _give_back(process)
    if isinstance(answer, Refusal):
        raise ImageError(answer.cause, subject=path, remedy=answer.remedy)
    header = answer.header
    return pixels.view("<u2" if header.bit_depth == 16 else np.uint8).reshape(answer.shape), header


def _take(path: Path) -> _Process:
    """A process that is ready.

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
            except _GoneError:
                process.end()
                continue
            return process
        process.end()  # it was ended from outside while it waited
    try:
        process = _Process()
    except OSError as error:
        raise _not_started(path, (error.strerror or str(error)).lower()) from error
    try:
        process.wait_until_ready()
    except _GoneError as error:
        raise _not_started(path, f"it ended with status {process.end()}") from error
    except BaseException:
        process.end()
        raise
    return process


def _give_back(process: _Process) -> None:
    if len(_idle) < _KEPT:
        _idle.append(process)
    else:
        process.end()


def _not_started(path: Path, reason: str) -> ImageError:
    return ImageError(
        f"the process that decodes pictures cannot be started ({reason})", subject=path, remedy="close other programs"
    )


def _gone(process: _Process, path: Path, limits: Limits) -> ImageError:
    """Why a process did not answer in full; it is ended."""
    late = process.late
    # One that crashed may not have been seen to yet, and one whose answer made no sense is still there.
    try:
        status = process.process.wait(0.5)
    except subprocess.TimeoutExpired:
        status = 0
    process.end()
    if late or (sys.platform != "win32" and status == -signal.SIGPROF):
        return ImageError(f"decoding it takes longer than {limits.seconds:g} s", subject=path, remedy=SAVE_AGAIN)
    named = ""
    if status < 0:
        with contextlib.suppress(ValueError):
            named = f" ({signal.Signals(-status).name})"
    return ImageError(f"its decoder crashed{named}", subject=path, remedy=SAVE_AGAIN)


def _module_path() -> list[str]:
    """Where the process finds modules: where this one does, but nowhere relative to the working directory."""
    places = [place for place in sys.path if Path(place).is_absolute()]
    home = str(Path(__file__).resolve().parents[3])
    return places if any(os.path.realpath(place) == home for place in places) else [home, *places]


def end_all() -> None:
    """End the processes that wait for pictures; the next one starts another."""
    while _idle:
        _idle.pop().end()


def _forget_all() -> None:
    while _idle:
        _idle.pop().abandon()


atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
