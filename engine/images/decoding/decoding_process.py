"""One process that decodes pictures: how it is started, asked and ended. What it does is in `worker`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from engine.errors import INSTALL_APART, NO_MEMORY, ImageError
from engine.images.decoding.budget import DECODING, READING_HEADER
from engine.images.decoding.deadline import Deadline
from engine.images.decoding.fetched import MOST, PIECE
from engine.images.decoding.pipes import start_python
from engine.images.decoding.protocol import (
    OPENED,
    READY,
    SCAN_REQUESTS,
    Decoded,
    Refusal,
    parse_answer,
    parse_piece,
)
from engine.images.dicom.answers import parse_origin_answer
from engine.images.dicom.serving import HEADER_TIMES
from engine.images.header import Limits
from engine.storage.reading import UnusableFileError, read_piece

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.images.dicom.origin import DicomOrigin


class _WithBytes(Protocol):
    @property
    def bytes(self) -> int:
        """How many bytes follow the answer."""


_Sent = TypeVar("_Sent", bound=_WithBytes)

_START = 60.0
"""Seconds that the process may take to start, even on a busy machine; a fifth of a second is usual."""

_CLOCK_FACTOR, _CLOCK_MORE = 2.0, 10.0
"""On the clock, an answer may take twice the limit on processor time and ten seconds more. Only a decoder that sleeps
instead of working takes longer."""

_LINE = 1 << 16
"""The most bytes of an answer's first line."""

_BOOT = """
import sys
sys.path[:] = sys.argv[4:]
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("engine", sys.argv[3])
sys.modules["engine"] = engine = module_from_spec(spec)
spec.loader.exec_module(engine)
from engine.images.decoding.worker import main
main()
"""
"""What the process runs. Its third argument is the file of this `engine`, as the path may have another one first."""

_ENGINE = Path(__file__).resolve().parents[2] / "__init__.py"


class GoneError(Exception):
    """The process ended, or was killed, before it had answered in full."""


class DecodingProcess:
    """A process that decodes one picture after another."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._pipes = start_python(_BOOT, [str(_ENGINE), *_module_path()], environment)
        self.process = self._pipes.process
        self._deadline = Deadline(self.process)
        self.work = READING_HEADER
        self.scan_wanted = False
        self._ready = False

    def wait_until_ready(self) -> None:
        """Wait until the process has started.

        Raises:
            GoneError: it ended or was killed before that.
        """
        if not self._ready:
            with self._killed_after(_START):
                if self._pipes.answers.readline(_LINE) != READY:
                    raise GoneError
            self._ready = True

    def pixels(self, data: bytes, limits: Limits) -> tuple[Refusal | Decoded, NDArray[np.uint8]]:
        """Have a picture decoded; return the answer and the bytes of its pixels, (n,).

        Raises:
            GoneError: there is no answer, or not all of it.
        """
        with self._asked("pixels", data, len(data), limits, limits.seconds):
            line = self._line()
            if line == OPENED:
                self.work = DECODING
                line = self._line()
            answer = parse_answer(line, limits)
            pixels = self._rest(0 if isinstance(answer, Refusal) else answer.bytes)
        return answer, pixels

    def header(self, file: BinaryIO, size: int, limits: Limits) -> Refusal | Decoded:
        """Have the header of a file read; see `header_separately`.

        Raises:
            GoneError: there is no answer.
            UnusableFileError: the system cannot read the file.
        """
        with self._asked("header", read_piece(file, 0, PIECE), size, limits, limits.header_seconds):
            line, failed = self._answer_line(file)
            answer = parse_answer(line, limits, pixels=False)
        if failed is not None:
            raise failed
        return answer

    def scan(
        self,
        wanted: str,
        file: BinaryIO,
        size: int,
        part: Sequence[int],
        limits: Limits,
        seconds: float,
        parse: Callable[[bytes], Refusal | _Sent],
    ) -> tuple[Refusal | _Sent, NDArray[np.uint8]]:
        """Have a part of a DICOM or NIfTI file read; return the answer and the bytes that follow it, (n,).

        Args:
            wanted: one of `SCAN_REQUESTS`.
            file: open for reading.
            size: of the file, in bytes.
            part: which part of it, see `engine.images.dicom.serving` and `engine.images.nifti.serving`.
            limits: beyond which it is refused.
            seconds: the processor time that the answer may take.
            parse: makes the answer of its first line.

        Raises:
            GoneError, UnusableFileError: as `header`.
        """
        with self._asked(wanted, read_piece(file, 0, PIECE), size, limits, seconds, part):
            line, failed = self._answer_line(file)
            answer = parse(line)
            sent = self._rest(0 if isinstance(answer, Refusal) else answer.bytes)
        if failed is not None:
            raise failed
        return answer, sent

    def origin(self, file: BinaryIO, size: int, frame: int, limits: Limits) -> Refusal | DicomOrigin:
        """Have read what objects made of a frame take over from it.

        Raises:
            GoneError, UnusableFileError: as `header`.
        """
        seconds = HEADER_TIMES * limits.header_seconds
        with self._asked("dicom-origin", read_piece(file, 0, PIECE), size, limits, seconds, (frame,)):
            line, failed = self._answer_line(file)
            answer = parse_origin_answer(line)
        if failed is not None:
            raise failed
        return answer

    def _answer_line(self, file: BinaryIO) -> tuple[bytes, UnusableFileError | None]:
        """Send the pieces of a file that are asked for; return the answer's line, and why the file cannot be read."""
        failed: UnusableFileError | None = None
        while True:
            line = self._line()
            if line == OPENED:
                self.work = DECODING
            elif (wanted := parse_piece(line)) is None:
                return line, failed
            else:
                try:
                    with self._deadline.paused():  # a slow network is no fault of the picture
                        piece = read_piece(file, wanted[0], min(wanted[1], MOST))
                except UnusableFileError as error:
                    failed, piece = error, b""  # as if it ended there: the process gives up on it, and can go on
                self._send(b"%d\n" % len(piece), piece)

    def _rest(self, length: int) -> NDArray[np.uint8]:
        """Receive the bytes that follow an answer; how many there may be was checked with it."""
        import numpy as np

        sent = np.empty(length, dtype=np.uint8)
        if self._pipes.answers.readinto(sent.data) < length:
            raise GoneError
        return sent

    @contextlib.contextmanager
    def _asked(
        self, wanted: str, sent: bytes, size: int, limits: Limits, seconds: float, part: Sequence[int] = ()
    ) -> Iterator[None]:
        """Send a request with these bytes of a file; the body reads the answer, or the process is killed."""
        self.work, self.scan_wanted = READING_HEADER, wanted in SCAN_REQUESTS
        request = {"wanted": wanted, "bytes": size, "sent": len(sent), "limits": asdict(limits), "part": part}
        with self._killed_after(_CLOCK_FACTOR * seconds + _CLOCK_MORE):
            self._send(json.dumps(request).encode() + b"\n", sent)
            yield

    def _send(self, line: bytes, content: bytes) -> None:
        requests = self._pipes.requests
        requests.write(line)
        requests.write(content)
        requests.flush()

    def _line(self) -> bytes:
        line = self._pipes.answers.readline(_LINE)
        if not line.endswith(b"\n"):
            raise GoneError
        return line

    def late(self) -> bool:
        """Whether the process was killed because it took too long."""
        return self._deadline.missed

    def end(self) -> int:
        """Kill the process; return its exit status, negative for a signal."""
        self._deadline.end()
        self.process.kill()
        self._pipes.close()
        return self.process.wait()

    def why_not_ready(self, path: Path) -> ImageError:
        """End the process, which did not become ready, and return the error that says why it did not.

        Args:
            path: the picture that is waiting.
        """
        said = self._pipes.said()
        status = self.end()
        if self.late():
            return not_started(path, f"it takes longer than {_START:g} s", "try again when the computer is less busy")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        # Of a traceback the last line says what happened; of a message by the system or a library, the first one.
        why = lines[-1 if "Traceback" in said else 0][:500] if lines else ""
        killed = sys.platform != "win32" and status == -signal.SIGKILL
        lacks_memory = killed or any(word in said for word in NO_MEMORY)
        return not_started(
            path,
            f"it ended with status {status}{why and ': '}{why}",
            "close other programs, or allow this one more memory (ulimit -v)" if lacks_memory else INSTALL_APART,
        )

    def abandon(self) -> None:
        """Close the pipes to the process; called in the child of a fork, because the process belongs to the parent."""
        self._pipes.abandon()

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[None]:
        """Kill the process if the body takes longer; raise `GoneError` for a broken pipe or a senseless answer."""
        try:
            with self._deadline.within(seconds):
                yield
        except (OSError, ValueError) as error:  # a broken pipe, or from `parse_answer`
            raise GoneError from error


def not_started(path: Path, reason: str, remedy: str) -> ImageError:
    """Return the error that says why there is no process for the picture that waits for it."""
    return ImageError(
        f"the process that decodes pictures cannot be started ({reason})",
        subject=path,
        remedy=remedy,
        code="no-decoder",
    )


def _module_path() -> list[str]:
    """Return this program's module path for the process, without what is relative to the working directory."""
    places = [place for place in sys.path if Path(place).is_absolute()]
    home = str(Path(__file__).resolve().parents[3])
    # In a checkout, this package may have been found through the working directory, which was just left out.
    return places if any(os.path.realpath(place) == home for place in places) else [home, *places]
