"""Keep a log from growing without end, whoever writes to it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

MOST_BYTES = 2_000_000
"""Beyond this size a log is begun anew."""

_KEPT = 500_000
"""Bytes of its end that are then kept beside it."""


def keep_small(log: Path, most: int = MOST_BYTES) -> bool:
    """Begin a log anew if it is too long, and keep its end beside it as `<name>.1`; whether that was done.

    The file itself stays and is emptied: whoever appends to it goes on, native libraries with a descriptor of their own
    included. What is written in that moment may be lost.
    """
    with contextlib.suppress(OSError), log.open("r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= most:
            return False
        file.seek(size - min(_KEPT, size))
        end = file.read(_KEPT)
        if os.fstat(file.fileno()).st_size < size:
            return False  # another program has just done it, and what it kept must stay
        beside = log.with_name(f"{log.name}.1")
        beside.unlink(missing_ok=True)  # perhaps a link
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as kept:
            kept.write(end)
        file.truncate(0)
        return True
    return False
