"""The log after native libraries have written to it: text in which nothing acts on the terminal of who reads it."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from pathlib import Path

_PIECE = 1 << 20
_ODD = re.compile(rb"[^\n\t -~]")
_ACTS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def size_of(log: Path) -> int:
    """Bytes of the log; 0 where there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def make_plain(log: Path, since: int) -> None:
    """Put `?` in the place of each byte after the first `since` that acts on a terminal, hides, or is no text.

    Records are written so that there is none; what libraries write to descriptors is not. The file keeps its length,
    so that another program may write to it meanwhile.
    """
    with contextlib.suppress(OSError), log.open("r+b", buffering=0) as file:
        file.seek(since)
        while piece := file.read(_PIECE):
            if _ODD.search(piece) and (plain := _plain(piece)) != piece:
                file.seek(-len(piece), os.SEEK_CUR)
                file.write(plain)


def _plain(piece: bytes) -> bytes:
    """The same number of bytes."""
    characters = piece.decode("utf-8", "surrogateescape")
    kept = (c if c in "\n\t" or unicodedata.category(c) not in _ACTS else "?" * _length(c) for c in characters)
    return "".join(kept).encode("utf-8")


def _length(character: str) -> int:
    return len(character.encode("utf-8", "surrogateescape"))
