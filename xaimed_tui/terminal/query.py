"""What the terminal says about itself: in the environment, and in answer to one query if it is asked."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.cli.console import is_terminal

QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[?1;1;0S\x1b[>q\x1b[c"
"""Can you draw an image of one pixel? How large is a character? How many colours may a Sixel picture have? What is your
name? And what are you? Every terminal answers the last question."""

USUAL_CELL = (20, 10)
"""Height and width of a character in pixels if they are not known: those of the terminal that Sixel was made for."""

ENOUGH_COLOURS = 64
"""Colours from which a Sixel picture shows tissue better than half blocks do."""

MOST_OF_XTERM = 16
"""Sixel pictures that XTerm keeps, see `render/sixel_terminal.py`."""

PATIENCE = 1.0
PATIENCE_OVER_SSH = 4.0
"""Seconds to wait for the answer to the last question."""

_KITTY = re.compile(rb"\x1b_Gi=31;OK\x1b\\")
_CELL = re.compile(rb"\x1b\[6;([0-9]{1,4});([0-9]{1,4})t")
_COLOURS = re.compile(rb"\x1b\[\?1;0;([0-9]{1,6})S")
_NAME = re.compile(rb"\x1bP>\|([\x20-\x7e]{1,60})\x1b\\")
_LAST = re.compile(rb"\x1b\[\?([0-9;]{1,100})c")
_LONGEST = 4096
"""Bytes after which the input is not an answer."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """How the terminal shows pixels.

    Attributes:
        protocol: Kitty's, or Sixel.
        cell: height and width of a character in pixels; None if they are not known. Sixel needs them.
        colours: the most that a Sixel picture may have.
        most: pictures that a terminal with Sixel keeps at a time; 0 for as many as there is room for.
    """

    protocol: Literal["kitty", "sixel"]
    cell: tuple[int, int] | None = None
    colours: int = 256
    most: int = 0

    @property
    def aspect(self) -> float:
        """Height of a character divided by its width, within the limits of any font (1 to 4)."""
        return 2.0 if self.cell is None else min(max(self.cell[0] / self.cell[1], 1.0), 4.0)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a terminal answered.

    Attributes:
        answered: whether it answered in time.
        kitty: whether it draws images sent by Kitty's graphics protocol.
        sixel: whether it says that it draws Sixel images.
        cell: height and width of a character in pixels, None if it did not say.
        colours: the most that a Sixel picture may have; None if it did not say.
        name: what it calls itself, with its version; empty if it did not say.
    """

    answered: bool = False
    kitty: bool = False
    sixel: bool = False
    cell: tuple[int, int] | None = None
    colours: int | None = None
    name: str = ""


def over_ssh(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal is at the other end of an SSH connection."""
    return bool(environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"))


def multiplexer(environment: Mapping[str, str] = os.environ) -> str:
    """Return `tmux` or `screen` if the terminal is inside one of them, otherwise an empty text."""
    term = environment.get("TERM", "")
    if environment.get("TMUX") or term.startswith("tmux"):
        return "tmux"
    return "screen" if environment.get("STY") or term.startswith("screen") else ""


def parse_answers(answer: bytes) -> Answers:
    """Find the answers among the bytes that came; everything else is ignored."""
    last, cell = _LAST.search(answer), _CELL.search(answer)
    colours, name = _COLOURS.search(answer), _NAME.search(answer)
    return Answers(
        answered=last is not None,
        kitty=_KITTY.search(answer) is not None,
        # The first number is what the terminal is; a 4 among those after it means Sixel.
        sixel=last is not None and b"4" in last[1].split(b";")[1:],
        cell=(int(cell[1]), int(cell[2])) if cell is not None and int(cell[1]) and int(cell[2]) else None,
        colours=int(colours[1]) if colours is not None else None,
        name=name[1].decode("ascii") if name is not None else "",
    )


def ask(source: int, sink: int, *, patience: float) -> Answers:
    """Send the query, and wait until the last of its questions is answered or `patience` seconds are over.

    Args:
        source, sink: descriptors of one terminal, to read from and to write to.
        patience: seconds. What comes later is discarded if it has arrived by the time the app starts.
    """
    import termios  # late: not on every system, and without it no terminal can be asked
    import tty

    before = termios.tcgetattr(source)
    got = b""
    try:
        # Otherwise the terminal would echo the answers, and hold them back until a line ends.
        tty.setcbreak(source, termios.TCSANOW)
        os.write(sink, QUERY)
        end = time.monotonic() + patience
        while _LAST.search(got) is None and len(got) < _LONGEST and (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([source], [], [], left)
            if not ready or not (more := os.read(source, 1024)):
                break
            got += more
    finally:
        termios.tcsetattr(source, termios.TCSAFLUSH, before)  # discards unread input: the app would take it for keys
    return parse_answers(got)


def ask_this_terminal() -> Answers:
    """Ask the terminal that the program runs on. A terminal that cannot be asked counts as one that did not answer."""
    source, sink = sys.__stdin__, sys.__stderr__
    if source is None or sink is None or not (is_terminal(source) and is_terminal(sink)):
        return Answers()
    if os.environ.get("TERM") in (None, "", "dumb"):
        return Answers()
    patience = PATIENCE_OVER_SSH if over_ssh() else PATIENCE
    try:
        return ask(source.fileno(), sink.fileno(), patience=patience)
    except (ImportError, OSError):
        return Answers()


def size_of_a_character() -> tuple[int, int] | None:
    """Return height and width of a character in pixels as the system knows them; None if it does not."""
    stream = sys.__stderr__
    try:
        rows, columns, width, height = (0, 0, 0, 0) if stream is None else _window(stream.fileno())
    except ValueError:  # it is closed
        return None
    cell = height // max(rows, 1), width // max(columns, 1)
    return cell if min(cell) > 0 else None


def size_of_the_window(descriptor: int) -> tuple[int, int] | None:
    """Return columns and rows of a terminal as the system knows them; None if it does not."""
    rows, columns, _, _ = _window(descriptor)
    return (columns, rows) if columns > 0 and rows > 0 else None


def _window(descriptor: int) -> tuple[int, int, int, int]:
    """Return rows, columns, width and height in pixels of a terminal; zeros are not known."""
    try:
        import fcntl
        import struct
        import termios

        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    except (ImportError, OSError, ValueError):
        return 0, 0, 0, 0
    return rows, columns, width, height


def pixels_for(images: str) -> tuple[Pixels | None, tuple[str, ...]]:
    """Return how the terminal shows pixels, None for half blocks, and sentences about what is not certain.

    Only `auto` asks the terminal, and not within tmux or screen, which pass no images on.

    Args:
        images: the setting of that name.
    """
    if images == "half" or (images == "auto" and multiplexer()):
        return None, ()
    measured = size_of_a_character()
    if images == "auto":
        return best_pixels(ask_this_terminal(), measured), ()
    if images == "kitty":
        return Pixels("kitty", measured), ()
    doubts: tuple[str, ...] = ()
    if measured is None:
        doubts = ("The size of a character in pixels is not known; 10x20 is assumed. --images auto asks the terminal.",)
    # Nobody asks the terminal for its name here, but XTerm sets this variable to it.
    return Pixels("sixel", measured or USUAL_CELL, most=_pictures_kept(os.environ.get("XTERM_VERSION", ""))), doubts


def best_pixels(answers: Answers, measured: tuple[int, int] | None) -> Pixels | None:
    """Return the best that a terminal says it can do: Kitty's protocol, else Sixel, else half blocks (None).

    Args:
        answers: what it answered.
        measured: height and width of a character in pixels, as the system knows them.
    """
    cell = answers.cell or measured
    if answers.kitty:
        return Pixels("kitty", cell)
    colours = 256 if answers.colours is None else min(answers.colours, 256)
    if answers.sixel and cell is not None and colours >= ENOUGH_COLOURS:
        return Pixels("sixel", cell, colours, most=_pictures_kept(answers.name))
    return None


def _pictures_kept(name: str) -> int:
    return MOST_OF_XTERM if name.lower().startswith("xterm(") else 0
