"""The decoding process: it reads files' bytes from one pipe and answers with pixels through another.

A decoder is native code that is given bytes from anywhere. Here it can crash, hang or ask for all memory, and the
program only notices that one file is refused. `engine.images.decoding.client` starts this process and talks to it: a
request is a line of JSON and the file's bytes, an answer is a line of JSON and the pixels. The pipes' descriptors are
its first two arguments. Standard input and output are not used, since anything may print there.

This process also sets limits that the system enforces whatever a decoder does: processor time, memory, no core dump (it
would contain the picture), no writing to files. They are not a sandbox: code that takes over a decoder can do whatever
the user can.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from engine.errors import ImageError
from engine.images.decoding.opening import damaged, open_picture
from engine.images.decoding.pixels import decode
from engine.images.decoding.protocol import READY
from engine.images.header import SAVE_AGAIN, Limits

_BEYOND = 1.0
"""Seconds of processor time beyond the limit that is checked at a decoder's reads; then the system ends the process."""

_MEMORY = 6 * 2**30
"""Bytes of address space; the largest pictures allowed need a third of it."""

_NAME = Path("picture")


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = _channels()
    _confine()
    import numpy  # noqa: F401 - now, so that the first request need not wait for it
    from PIL import Image  # noqa: F401

    _discard(2)  # until now, it could say why this process does not start; from now on, decoders write there
    with contextlib.suppress(BrokenPipeError):  # the program has ended
        answers.write(READY)
        answers.flush()
        while line := requests.readline():
            asked = json.loads(line)
            data = requests.read(asked["bytes"])
            if len(data) < asked["bytes"]:
                return
            with _ended_if_it_hangs(requests.fileno(), asked["limits"]["seconds"]):
                answer, pixels = _answer(asked["wanted"], data, Limits(**asked["limits"]))
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.write(pixels)
            answers.flush()
            # While this process waits for the next request, it holds no picture.
            del data, pixels


def _answer(wanted: str, data: bytes, limits: Limits) -> tuple[dict[str, object], memoryview]:
    try:
        if wanted == "header":
            picture, header, _ = open_picture(io.BytesIO(data), len(data), _NAME, limits)
            picture.close()
            return {"header": asdict(header), "shape": [0, 0, 1], "warnings": []}, memoryview(b"")
        array, header, warnings = decode(data, _NAME, limits)
    except ImageError as error:
        return _refused(error)
    except MemoryError as error:
        return _refused(damaged(error, _NAME))
    # A decoder may raise anything on hostile bytes. Whatever it is, only this file is refused and the process goes on.
    except Exception as error:
        cause = f"its decoder failed ({type(error).__name__}: {error})"
        return _refused(ImageError(cause[:2000], remedy=SAVE_AGAIN, code="damaged"))
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    answer: dict[str, object] = {
        "header": asdict(header),
        "shape": list(array.shape),
        "warnings": [[warning.code, warning] for warning in warnings],
    }
    return answer, little.data.cast("B")


def _refused(error: ImageError) -> tuple[dict[str, object], memoryview]:
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
    for ending in (signal.SIGPROF, signal.SIGIO):
        signal.signal(ending, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGIO))
    limits = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, **({"RLIMIT_AS": _MEMORY} if sys.platform == "linux" else {})}
    for name, most in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        # The hard limit, too, so that nothing in this process can raise it again.
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


@contextlib.contextmanager
def _ended_if_it_hangs(requests: int, seconds: float) -> Iterator[None]:
    """Make the system end this process if the body computes for longer, or if the program ends before it is done.

    Both use signals that end a process by default, so no decoder can hold them up.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    flags = fcntl.fcntl(requests, fcntl.F_GETFL)
    fcntl.fcntl(requests, fcntl.F_SETOWN, os.getpid())
    # SIGIO if the program ends: until the answer it sends nothing.
    fcntl.fcntl(requests, fcntl.F_SETFL, flags | os.O_ASYNC)
    gone = select.poll()  # the program may have ended before that
    gone.register(requests, select.POLLHUP)
    if gone.poll(0):
        raise BrokenPipeError
    signal.setitimer(signal.ITIMER_PROF, seconds + _BEYOND)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        fcntl.fcntl(requests, fcntl.F_SETFL, flags)
