"""The decoding process: it reads files' bytes from one pipe and answers with pixels through another.

A decoder is native code that is given bytes from anywhere. Here it can crash, hang or ask for all memory, and the
program only notices that one file is refused. `engine.images.decoding.decoding_process` starts and asks this process: a
request is a line of JSON and bytes of a file, an answer is a line of JSON and the pixels (see `protocol`). The pipes'
descriptors are its first two arguments. Standard input and output are not used, since anything may print there.

This process also sets limits that the system enforces whatever a decoder does: processor time, memory, no core dump (it
would contain the picture), no writing to files. They are not a sandbox: code that takes over a decoder can do whatever
the user can.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import ImageError
from engine.images.decoding.budget import READING_HEADER, WatchedFile
from engine.images.decoding.fetched import FetchedFile
from engine.images.decoding.hanging import EndedIfItHangs
from engine.images.decoding.opening import damaged, load_plugins, open_picture
from engine.images.decoding.pixels import decode
from engine.images.decoding.protocol import DICOM_REQUESTS, NIFTI_REQUESTS, OPENED, READY, SCAN_REQUESTS
from engine.images.dicom.serving import HEADER_TIMES, load_pydicom
from engine.images.dicom.serving import answer as dicom_answer
from engine.images.header import SAVE_AGAIN, Limits
from engine.images.nifti.serving import answer as nifti_answer
from engine.images.nifti.serving import get_ready as get_nibabel_ready

_Answer = tuple[dict[str, object], memoryview]
"""What is sent: a line of JSON, and the bytes of the pixels."""

_BEYOND = 1.0
"""Seconds of processor time beyond the limit that is checked at a decoder's reads; then the system ends the process."""

_BEYOND_HEADER = 0.3
"""The same while the header is read."""

MEMORY = 6 * 2**30
"""Bytes of address space; the largest pictures allowed need a third of it."""

_NAME = Path("picture")


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = _channels()
    _confine()
    import numpy  # noqa: F401 - now, so that the first request need not wait for it

    load_plugins()
    _discard(2)  # until now, it could say why this process does not start; from now on, decoders write there
    with contextlib.suppress(BrokenPipeError):  # the program has ended
        answers.write(READY)
        answers.flush()
        while line := requests.readline():
            asked = json.loads(line)
            sent = requests.read(asked["sent"])
            if len(sent) < asked["sent"]:
                return
            limits = Limits(**asked["limits"])
            with EndedIfItHangs(requests.fileno()) as ending:
                opened = partial(_opened, answers, ending, limits)
                if (wanted := asked["wanted"]) == "pixels":
                    work = partial(_pixels, sent, limits, opened)
                else:
                    fetch = partial(_fetch, requests, answers, ending)
                    file = FetchedFile(asked["bytes"], sent, fetch)
                    if wanted == "header":
                        work = partial(_header, file, asked["bytes"], limits)
                    else:
                        answer_scan = nifti_answer if wanted in NIFTI_REQUESTS else dicom_answer
                        work = partial(answer_scan, wanted, file, asked["bytes"], asked["part"], _NAME, limits, opened)
                scan = wanted in SCAN_REQUESTS
                # Not within the limit: importing pydicom or nibabel takes as long as a hundred headers.
                if wanted in DICOM_REQUESTS:
                    loaded, _ = _answer(_load_pydicom, scan=True)
                    if loaded:
                        work = partial(_same, loaded)
                elif wanted in NIFTI_REQUESTS:
                    get_nibabel_ready(_NAME)
                times = HEADER_TIMES if scan else 1
                ending.after(times * limits.header_seconds + _BEYOND_HEADER)
                answer, pixels = _answer(work, scan=scan)
                del work
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.write(pixels)
            answers.flush()
            # While this process waits for the next request, it holds no picture.
            del sent, pixels


def _answer(work: Callable[[], _Answer], *, scan: bool) -> _Answer:
    """Return what some work answers, or the refusal that it ends with; of a DICOM or NIfTI file it quotes nothing."""
    try:
        return work()
    except ImageError as error:
        return _refused(error)
    except MemoryError as error:
        return _refused(damaged(error, _NAME))
    # A decoder may raise anything on hostile bytes. Whatever it is, only this file is refused and the process goes on.
    except Exception as error:
        said = "" if scan else f": {error}"  # it may quote the header, with the patient's name
        cause = f"its decoder failed ({type(error).__name__}{said})"
        return _refused(ImageError(cause[:2000], remedy=SAVE_AGAIN, code="damaged"))


def _header(file: FetchedFile, size: int, limits: Limits) -> _Answer:
    watched = WatchedFile(cast("BinaryIO", file), size, limits.header_seconds, READING_HEADER)
    picture, header, _ = open_picture(watched, _NAME, limits)
    picture.close()
    return {"header": asdict(header), "shape": [0, 0, 1], "warnings": []}, memoryview(b"")


def _pixels(data: bytes, limits: Limits, opened: Callable[[], None]) -> _Answer:
    array, header, warnings = decode(data, _NAME, limits, opened)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    answer: dict[str, object] = {
        "header": asdict(header),
        "shape": list(array.shape),
        "warnings": [[warning.code, warning] for warning in warnings],
    }
    return answer, little.data.cast("B")


def _load_pydicom() -> _Answer:
    load_pydicom(_NAME)
    return {}, memoryview(b"")


def _same(answer: dict[str, object]) -> _Answer:
    return answer, memoryview(b"")


def _fetch(requests: BinaryIO, answers: BinaryIO, ending: EndedIfItHangs, place: int, length: int) -> bytes:
    """Ask the program for a piece of the file whose header is being read; empty at the file's end."""
    with ending.listening():
        answers.write(b"%d %d\n" % (place, length))
        answers.flush()
        sent = int(requests.readline())
        piece = requests.read(sent)
    if len(piece) < sent:
        raise BrokenPipeError
    return piece


def _opened(answers: BinaryIO, ending: EndedIfItHangs, limits: Limits) -> None:
    """Tell the program that the header has passed, and allow the time for decoding."""
    answers.write(OPENED)
    answers.flush()
    ending.after(limits.seconds + _BEYOND)


def _refused(error: ImageError) -> _Answer:
    return {"cause": error.cause, "remedy": error.remedy, "code": error.code}, memoryview(b"")


def _channels() -> tuple[BinaryIO, BinaryIO]:
    """Return the streams of requests and of answers, and discard what is written to descriptor 1."""
    requests, answers = (os.dup(int(descriptor)) for descriptor in sys.argv[1:3])
    _discard(1)  # on Windows it was that of the answers
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _discard(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _confine() -> None:
    """Set the limits that hold until the process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program decides when this process ends
    if sys.platform == "win32":
        return
    import resource

    # A process inherits which signals are ignored or blocked, but these two must be able to end it.
    for number in (signal.SIGPROF, signal.SIGIO):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGIO))
    limits = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, **({"RLIMIT_AS": MEMORY} if sys.platform == "linux" else {})}
    for name, most in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        # The hard limit, too, so that nothing in this process can raise it again.
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
