"""Decodes pictures in a separate process, so that a decoder that crashes, hangs or eats memory costs one file only.

The process starts with the first picture and is kept; see `engine.images.decoding.worker` for what it does. If a
picture takes too long, the process is killed and the next picture starts another. The process ends by itself when this
program ends, however that happens.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
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
from engine.images.dicom.answers import parse_dicom, parse_listed, parse_origin_answer, with_entries
from engine.images.dicom.header import AGAIN
from engine.images.dicom.serving import HEADER_TIMES
from engine.images.header import SAVE_AGAIN, Header, Limits
from engine.images.nifti.answers import parse_nifti
from engine.storage.reading import UnusableFileError, read_piece

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.images.dicom.facts import DicomFacts
    from engine.images.dicom.origin import DicomOrigin
    from engine.images.nifti.facts import VolumeFacts
    from engine.results.caution import Caution

    Integers = NDArray[np.unsignedinteger]

_Answer = TypeVar("_Answer")


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

_KEPT = 2
"""Idle processes to keep; there are more only while more pictures are decoded at once."""

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


def decode_separately(data: bytes, path: Path, limits: Limits) -> tuple[Integers, Header, tuple[Caution, ...]]:
    """Decode a picture in the separate process; see `engine.images.decoding.pixels.decode`.

    Raises:
        ImageError: the picture is refused, takes too long or crashes its decoder; or the process cannot be started.
    """
    import numpy as np

    answer, pixels = _ask(lambda process: process.pixels(data, limits), path, limits)
    decoded = _not_refused(answer, path)
    # The worker sends little-endian values on every machine.
    array = pixels.view("<u2" if decoded.header.bit_depth == 16 else np.uint8).reshape(decoded.shape)
    return array, decoded.header, decoded.warnings


def header_separately(file: BinaryIO, size: int, path: Path, limits: Limits) -> Header:
    """Read a picture's header in the separate process, which is sent only the pieces of the file that it asks for.

    Args:
        file: the picture's file, open for reading.
        size: of the file, in bytes.
        path: its name, for errors.
        limits: beyond which it is refused.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    try:
        answer = _ask(lambda process: process.header(file, size, limits), path, limits)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    return _not_refused(answer, path).header


def dicom_separately(
    file: BinaryIO, size: int, frame: int, path: Path, limits: Limits
) -> tuple[NDArray[np.unsignedinteger] | NDArray[np.float32], DicomFacts]:
    """Decode a frame of a DICOM file in the separate process, which is sent only the pieces that it asks for.

    Args:
        file: open for reading.
        size: of the file, in bytes.
        frame: its number, from 1.
        path: the file's name, for errors.
        limits: beyond which it is refused.

    Returns:
        (H, W, C) pixels, see `engine.images.dicom.pixels.frame_pixels`, and what is kept of the header.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    seconds = HEADER_TIMES * limits.header_seconds + limits.seconds
    answer, sent = _ask_about(
        path,
        limits,
        lambda process: process.scan(
            "dicom", file, size, (frame,), limits, seconds, partial(parse_dicom, limits=limits, pixels=True)
        ),
    )
    kind: dict[str, str] = {"u1": "u1", "u2": "<u2", "f4": "<f4"}
    pixels = sent[: answer.pixel_bytes].view(kind[answer.sample]).reshape(answer.shape)
    return pixels, with_entries(answer.facts, sent[answer.pixel_bytes :].tobytes())


def dicom_header_separately(file: BinaryIO, size: int, path: Path, limits: Limits) -> DicomFacts:
    """Read the header of a DICOM file, for its first frame; see `dicom_separately`. Its table has no entries.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    seconds = HEADER_TIMES * limits.header_seconds
    answer, _ = _ask_about(
        path,
        limits,
        lambda process: process.scan(
            "dicom-header", file, size, (1,), limits, seconds, partial(parse_dicom, limits=limits, pixels=False)
        ),
    )
    return answer.facts


def dicom_origin_separately(file: BinaryIO, size: int, frame: int, path: Path, limits: Limits) -> DicomOrigin:
    """Read what objects made of a frame of a DICOM file take over from it; see `dicom_separately`.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    try:
        answer = _ask(lambda process: process.origin(file, size, frame, limits), path, limits)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    return _not_refused(answer, path)


def dicomdir_separately(file: BinaryIO, size: int, path: Path, limits: Limits) -> tuple[str, ...]:
    """Return the names of the files that a DICOMDIR lists, with `/`; see `engine.images.dicom.directory`.

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    seconds = HEADER_TIMES * limits.header_seconds
    _, sent = _ask_about(
        path, limits, lambda process: process.scan("dicomdir", file, size, (), limits, seconds, parse_listed)
    )
    return tuple(sent.tobytes().decode("utf-8", "replace").splitlines())


def nifti_separately(
    file: BinaryIO, size: int, part: tuple[int, ...] | None, path: Path, limits: Limits
) -> tuple[VolumeFacts, NDArray[np.generic]]:
    """Read a volume of a NIfTI file, or one slice, in the separate process, which is sent only what it asks for.

    Args:
        file: open for reading.
        size: of the file, in bytes.
        part: the volume's number, from 1; of a slice also the file's axis across which it lies, and its place along
            that, from 0; None for the header alone.
        path: the file's name, for errors.
        limits: beyond which it is refused.

    Returns:
        What is kept of the header, and (X, Y, Z) voxels as they are stored, little endian, or (X, Y, Z, channels).

    Raises:
        ImageError: as `decode_separately`; or the system cannot read the file.
    """
    import numpy as np

    seconds = HEADER_TIMES * limits.header_seconds + (0.0 if part is None else limits.seconds)
    wanted = "nifti-header" if part is None else "nifti"
    answer, sent = _ask_about(
        path,
        limits,
        lambda process: process.scan(
            wanted, file, size, part or (), limits, seconds, partial(parse_nifti, limits=limits, wanted=part)
        ),
    )
    facts, shape = answer.facts, answer.block
    if not facts.grey:
        return facts, np.moveaxis(sent.reshape((facts.voxel_bytes, *shape), order="F"), 0, 3)
    return facts, sent.view(f"<{facts.sample}").reshape(shape, order="F")


def get_ready() -> None:
    """Start the process unless there is one, without waiting for it, so that the first picture need not wait."""
    if not _idle:
        with contextlib.suppress(OSError):  # the first picture will report it
            _give_back(_Process())


class _GoneError(Exception):
    """The process ended, or was killed, before it had answered in full."""


class _Process:
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
            _GoneError: it ended or was killed before that.
        """
        if not self._ready:
            with self._killed_after(_START):
                if self._pipes.answers.readline(_LINE) != READY:
                    raise _GoneError
            self._ready = True

    def pixels(self, data: bytes, limits: Limits) -> tuple[Refusal | Decoded, NDArray[np.uint8]]:
        """Have a picture decoded; return the answer and the bytes of its pixels, (n,).

        Raises:
            _GoneError: there is no answer, or not all of it.
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
            _GoneError: there is no answer.
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
            _GoneError, UnusableFileError: as `header`.
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
            _GoneError, UnusableFileError: as `header`.
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
            raise _GoneError
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
            raise _GoneError
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
            return _not_started(path, f"it takes longer than {_START:g} s", "try again when the computer is less busy")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        # Of a traceback the last line says what happened; of a message by the system or a library, the first one.
        why = lines[-1 if "Traceback" in said else 0][:500] if lines else ""
        killed = sys.platform != "win32" and status == -signal.SIGKILL
        lacks_memory = killed or any(word in said for word in NO_MEMORY)
        return _not_started(
            path,
            f"it ended with status {status}{why and ': '}{why}",
            "close other programs, or allow this one more memory (ulimit -v)" if lacks_memory else INSTALL_APART,
        )

    def abandon(self) -> None:
        """Close the pipes to the process; called in the child of a fork, because the process belongs to the parent."""
        self._pipes.abandon()

    @contextlib.contextmanager
    def _killed_after(self, seconds: float) -> Iterator[None]:
        """Kill the process if the body takes longer; raise `_GoneError` for a broken pipe or a senseless answer."""
        try:
            with self._deadline.within(seconds):
                yield
        except (OSError, ValueError) as error:  # a broken pipe, or from `parse_answer`
            raise _GoneError from error


# Threads share it without a lock: `pop` and `append` are atomic, and one process too many does no harm.
_idle: list[_Process] = []


def _ask(work: Callable[[_Process], _Answer], path: Path, limits: Limits) -> _Answer:
    """Return what a process answers, and keep it for the next picture.

    Args:
        work: asks it.
        path: the picture, for errors.
        limits: those it is asked with.
    """
    process = _take(path)
    try:
        answer = work(process)
    except _GoneError as error:
        raise _gone(process, path, limits) from error
    except UnusableFileError:  # the process is not concerned
        _give_back(process)
        raise
    except BaseException:
        process.end()  # interrupted: the rest of this answer would be taken for the next one
        raise
    _give_back(process)
    return answer


def _ask_about(
    path: Path, limits: Limits, work: Callable[[_Process], tuple[Refusal | _Answer, NDArray[np.uint8]]]
) -> tuple[_Answer, NDArray[np.uint8]]:
    """Return what a process answers about a file that it is sent in pieces, and the bytes that follow."""
    try:
        answer, sent = _ask(work, path, limits)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    return _not_refused(answer, path), sent


def _not_refused(answer: Refusal | _Answer, path: Path) -> _Answer:
    if isinstance(answer, Refusal):
        raise ImageError(answer.cause, subject=path, remedy=answer.remedy, code=answer.code)
    return answer


def _take(path: Path) -> _Process:
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
            except _GoneError:
                process.end()
                continue
            return process
        process.end()  # it was killed from outside while it was idle
    try:
        process = _Process()
    except OSError as error:
        lacking = error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
        remedy = "close other programs, or raise the limits that ulimit -a shows" if lacking else INSTALL_APART
        raise _not_started(path, (error.strerror or str(error)).lower(), remedy) from error
    try:
        process.wait_until_ready()
    except _GoneError as error:
        raise process.why_not_ready(path) from error
    except BaseException:
        process.end()
        raise
    return process


def _give_back(process: _Process) -> None:
    """Keep a process for the next picture, or end it if enough are idle."""
    if len(_idle) < _KEPT:
        _idle.append(process)
    else:
        process.end()


def _not_started(path: Path, reason: str, remedy: str) -> ImageError:
    return ImageError(
        f"the process that decodes pictures cannot be started ({reason})",
        subject=path,
        remedy=remedy,
        code="no-decoder",
    )


def _gone(process: _Process, path: Path, limits: Limits) -> ImageError:
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


def _module_path() -> list[str]:
    """Return this program's module path for the process, without what is relative to the working directory."""
    places = [place for place in sys.path if Path(place).is_absolute()]
    home = str(Path(__file__).resolve().parents[3])
    # In a checkout, this package may have been found through the working directory, which was just left out.
    return places if any(os.path.realpath(place) == home for place in places) else [home, *places]


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
