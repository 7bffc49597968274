"""The process in which pictures are decoded: it takes files' bytes from standard input and answers with pixels.

A decoder is native code that is given bytes from anywhere. Here it can crash, hang, or ask for all memory without the
program noticing more than that one file was refused. `engine.images.decoding.client` starts this process and talks
to it: a request is a line of JSON and the file's bytes, an answer is a line of JSON and the pixels.

Some limits are set here, because the system keeps them whatever a decoder does: processor's time, memory, no core dump
(it would hold the picture), no writing to files. They are no sandbox: what takes over a decoder can do what the user
can.
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
"""Seconds of the processor beyond the limit that is kept at a decoder's reads, after which the process is ended."""

_MEMORY = 6 * 2**30
"""Bytes of addresses; the largest pictures that are read take a third of it."""

_NAME = Path("picture")


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = _channels()
    _confine()
    import numpy  # noqa: F401 - before the first request, not with it
    from PIL import Image  # noqa: F401

    with contextlib.suppress(BrokenPipeError):  # whoever asked has gone
        answers.write(READY)
        answers.flush()
        while line := requests.readline():
            asked = json.loads(line)
            data = requests.read(asked["bytes"])
            if len(data) < asked["bytes"]:
                return
            with _ended_if_it_hangs(asked["limits"]["seconds"]):
                answer, pixels = _answer(asked["wanted"], data, Limits(**asked["limits"]))
            answers.write(json.dumps(answer).encode() + b"\n")
            answers.write(pixels)
            answers.flush()
            del data, pixels


def _answer(wanted: str, data: bytes, limits: Limits) -> tuple[dict[str, object], memoryview]:
    try:
        if wanted == "header":
            picture, header = open_picture(io.BytesIO(data), len(data), _NAME, limits)
            picture.close()
            return {"header": asdict(header), "shape": [0, 0, 1]}, memoryview(b"")
        array, header = decode(data, _NAME, limits)
    except ImageError as error:
        return _refused(error)
    except MemoryError as error:
        return _refused(damaged(error, _NAME))
    # A decoder given hostile bytes may raise anything; whatever it is costs this file, and the process goes on.
    except Exception as error:
        cause = f"its decoder failed ({type(error).__name__}: {error})"
        return _refused(ImageError(cause[:2000], remedy=SAVE_AGAIN))
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {"header": asdict(header), "shape": list(array.shape)}, little.data.cast("B")


def _refused(error: ImageError) -> tuple[dict[str, object], memoryview]:
    return {"cause": error.cause, "remedy": error.remedy}, memoryview(b"")


def _channels() -> tuple[BinaryIO, BinaryIO]:
    """Where requests come from and answers go; what native code writes to descriptors 1 and 2 goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return sys.stdin.buffer, answers


def _confine() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks decides when it is over
    if sys.platform == "win32":
        return
    import resource

    for ends in (signal.SIGPROF, signal.SIGIO):
        signal.signal(ends, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGIO))
    limits = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, **({"RLIMIT_AS": _MEMORY} if sys.platform == "linux" else {})}
    for name, most in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


@contextlib.contextmanager
def _ended_if_it_hangs(seconds: float) -> Iterator[None]:
    """While it lasts, the system ends this process if it computes for longer, or if whoever asked has gone.

    Both are signals whose default is to end the process, so that no decoder can hold them up.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    flags = fcntl.fcntl(0, fcntl.F_GETFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC)  # SIGIO when standard input is hung up; nothing is sent meanwhile
    gone = select.poll()
    gone.register(0, select.POLLHUP)
    if gone.poll(0):
        raise BrokenPipeError
    signal.setitimer(signal.ITIMER_PROF, seconds + _BEYOND)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        fcntl.fcntl(0, fcntl.F_SETFL, flags)
