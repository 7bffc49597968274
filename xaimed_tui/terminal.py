"""What the terminal says of itself: by the environment, and, where it is asked to, in answer to one query."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Protocol = Literal["half", "kitty"]
"""How pictures are drawn: as half blocks, or as pixels by Kitty's graphics protocol."""

QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
"""Can you draw an image of one pixel? How large is a character? And what are you: every terminal answers that."""

PATIENCE = 1.0
PATIENCE_OVER_SSH = 4.0
"""Seconds to wait for the answer to the last question."""

_KITTY = re.compile(rb"\x1b_Gi=31;OK\x1b\\")
_CELL = re.compile(rb"\x1b\[6;([0-9]{1,4});([0-9]{1,4})t")
_LAST = re.compile(rb"\x1b\[\?([0-9;]{1,100})c")
_LONGEST = 4096
"""Bytes after which what comes is no answer."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a terminal has answered.

    Attributes:
        answered: whether it answered in time.
        kitty: whether it draws images sent by Kitty's graphics protocol.
        sixel: whether it says that it draws Sixel images.
        cell: height and width of a character in pixels, None if it did not say.
    """

    answered: bool = False
    kitty: bool = False
    sixel: bool = False
    cell: tuple[int, int] | None = None


def over_ssh(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal is at the other end of an SSH connection."""
    return bool(environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"))


def multiplexer(environment: Mapping[str, str] = os.environ) -> str:
    """`tmux` or `screen` if the terminal is inside of one, else nothing."""
    term = environment.get("TERM", "")
    if environment.get("TMUX") or term.startswith("tmux"):
        return "tmux"
    return "screen" if environment.get("STY") or term.startswith("screen") else ""


def understand(answer: bytes) -> Answers:
    """The answers among the bytes that came; everything else is passed over."""
    last, cell = _LAST.search(answer), _CELL.search(answer)
    return Answers(
        answered=last is not None,
        kitty=_KITTY.search(answer) is not None,
        sixel=last is not None and b"4" in last[1].split(b";")[1:],
        cell=(int(cell[1]), int(cell[2])) if cell is not None and int(cell[1]) and int(cell[2]) else None,
    )


def ask(source: int, sink: int, *, patience: float) -> Answers:
    """Send the query, and wait until the last of its questions is answered or `patience` seconds are over.

    Args:
        source, sink: descriptors of one terminal, to read from and to write to.
        patience: what comes later than that is thrown away, as far as it has come when the app starts.
    """
    import termios  # not on every system; nor is a terminal that can be asked
    import tty

    before = termios.tcgetattr(source)
    got = b""
    try:
        tty.setcbreak(source, termios.TCSANOW)
        os.write(sink, QUERY)
        end = time.monotonic() + patience
        while _LAST.search(got) is None and len(got) < _LONGEST and (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([source], [], [], left)
            if not ready or not (more := os.read(source, 1024)):
                break
            got += more
    finally:
        termios.tcsetattr(source, termios.TCSAFLUSH, before)
    return understand(got)


def ask_this_terminal() -> Answers:
    """Ask the terminal that the program runs on; where it cannot be asked it has not answered."""
    streams = (sys.__stdin__, sys.__stderr__)
    if any(stream is None or not stream.isatty() for stream in streams) or os.environ.get("TERM") in (None, "", "dumb"):
        return Answers()
    patience = PATIENCE_OVER_SSH if over_ssh() else PATIENCE
    try:
        return ask(sys.__stdin__.fileno(), sys.__stderr__.fileno(), patience=patience)  # type: ignore[union-attr]
    except (ImportError, OSError):
        return Answers()


def protocol_for(wish: str) -> Protocol:
    """How pictures are drawn, given the setting `images`. Only `auto` asks the terminal, and not within tmux or screen:
    these pass no images on.
    """
    if wish == "auto":
        return "kitty" if not multiplexer() and ask_this_terminal().kitty else "half"
    return "kitty" if wish == "kitty" else "half"
