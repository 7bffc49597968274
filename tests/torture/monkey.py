"""A monkey at the app's terminal: seeded random keys, mouse, pastes, sizes and signals, and what is left of the app.

    python -m tests.torture.monkey [--seeds 1,2,3] [--seconds 60] [--size 80x24] [--engine fake|real]

Afterwards the app must be alive, its usual keys must lead to Home, and Ctrl+Q must end it within 3 seconds with status
0 and leave the terminal as it was. A monkey that leaves the app on its own (`q` on Home, a click on Quit) finds a new
one. It lives in a temporary home with copies of the tasks, and its app refuses to save anything elsewhere.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
sys.path[:0] = [path for path in (str(ROOT), str(SUPPORT)) if path not in sys.path]

import pyte  # noqa: E402
from terminal import Terminal, homes  # noqa: E402 - found beside this folder

EngineName = Literal["fake", "real"]
Size = tuple[int, int]
"""Columns and rows."""

CTRL_Q = b"\x11"
QUITTING = 3.0
"""Seconds that Ctrl+Q may take."""

_PROGRAM = """
import faulthandler, signal, sys
from pathlib import Path
faulthandler.register(signal.SIGUSR1, file=open("stacks.txt", "w"))
sys.path[:0] = [{root!r}, {support!r}]
import xaimed_tui.startup.start as start
from engine.errors import ExportError
{imports}

class Caged(Engine):
    def __init__(self, tasks=None, settings=None):
        {init}

    def save(self, explanation, wish, *how):
        if not Path(wish.folder).resolve().is_relative_to(Path({cage!r}).resolve()):
            raise ExportError("the monkey may write into its own home only", subject=str(wish.folder))
        return super().save(explanation, wish, *how)

start.Engine = Caged
sys.exit(start.start(tasks={tasks}))
"""

# Each row: the keys of which one is chosen, and how often that happens.
_MOVING = (b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[H", b"\x1b[F", b"\x1b[5~", b"\x1b[6~", b"\t", b"\x1b[Z")
_EDITING = (b"\r", b"\r\r", b"\x1b", b" ", b"\x7f", b"\x1b[3~", b"\x1b[2~", b"/", b"?", b"\x0b", b"\x15", b"\x17")
_COMMANDS = (*(b"%c" % code for code in b"123defglrhoxstwnbyzmjkqcv[]+-=0G"), b"\x12", b"\x13", b"\x14", b"\x0c")
_PALETTE = (
    b"\x10",
    b"\x10\x1b[5~",
    b"\x10\x1b[6~",
    b"\x10\r\r",
    b"\x10lo\r\r",
    b"\x10\x1b[B\r",
    b"\x10\x1b\x1b",
    b"\x10zz\r",
)
_FUNCTIONS = (
    *(b"\x1bO%c" % code for code in b"PQRS"),
    *(b"\x1b[%d~" % code for code in (15, 17, 18, 19, 20, 21, 23, 24, 25, 34)),
)
_MODIFIED = tuple(
    b"\x1b[1;%d%c" % (modifier, key) for modifier in (2, 3, 4, 5, 6, 7, 8) for key in b"ABCDHFPS"
) + tuple(b"\x1b" + bytes([code]) for code in b"abcdefghijklmnopqrstuvwxyz<>1\x7f")
# Without Ctrl+Q, which ends the app, and the first bytes of sequences. Ctrl+Z is among them.
_CONTROLS = tuple(bytes([code]) for code in range(32) if code not in (0x11, 0x1B))
# Not among them: the answer that sizes are reported in band, for then the app no longer looks at the terminal's size.
_ODD = (
    b"\x1b[97;5u",
    b"\x1b[57358u",
    b"\x1b[57421;2u",
    b"\x1b[13;2u",
    b"\x1b[I",
    b"\x1b[O",
    b"\x1b[48;24;80;0;0t",
    b"\x1b[",
    b"\x1b]",
    b"\x1b[<0;1",
    b"\xff\xfe",
    "ä€漢🔬".encode(),
    b"\x1b[?1;2c",
    b"\x1b[12;40R",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the app under one seed.

    Attributes:
        events: how many things the monkey did.
        left_by_itself: how often it left the app, which was started again.
        alive: whether the app was still running after them.
        home: whether its usual keys led to Home then.
        quitting: seconds until Ctrl+Q had ended it; None if it did not.
        status: its exit status; None if it had to be killed.
        left: what was left at the terminal that was not there before.
        words: what the app wrote last, and the end of its log, if something went wrong.
    """

    seed: int
    engine: EngineName
    size: Size
    events: int
    left_by_itself: int
    alive: bool
    home: bool
    quitting: float | None
    status: int | None
    left: tuple[str, ...]
    words: str = ""

    @property
    def well(self) -> bool:
        """Whether all is as it must be."""
        quick = self.quitting is not None and self.quitting <= QUITTING
        return self.alive and self.home and quick and self.status == 0 and not self.left


class Monkey:
    """Plays with the app on a terminal; what it does depends on its seed alone."""

    _terminal: Terminal
    _size: Size

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.events = 0
        self.done: list[bytes] = []
        """The last things that were typed."""

    def play(self, terminal: Terminal, size: Size, seconds: float) -> bool:
        """Do random things on a terminal of a size for so long; False as soon as the app has ended."""
        self._terminal, self._size = terminal, size
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._one_thing()
            self.events += 1
            # Mostly at once, as over a slow line; at times the app gets the time to settle.
            pause = self._random.choice((0.0, 0.0, 0.005, 0.02, 0.05, 0.3))
            if not self._read(pause) or not alive(self._terminal):
                return False
        return True

    def _read(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while True:
            if not self._terminal.read(max(until - time.monotonic(), 0)):
                return False
            if time.monotonic() >= until:
                return True

    def _type(self, keys: bytes) -> None:
        self.done = [*self.done[-19:], keys]
        self._terminal.press(keys)

    def _one_thing(self) -> None:
        pick = self._random
        what = pick.choices(
            ("keys", "repeat", "palette", "mouse", "drag", "wheel", "resize", "paste", "signal", "odd"),
            (40, 8, 8, 14, 4, 6, 4, 3, 3, 4),
        )[0]
        match what:
            case "keys":
                self._type(b"".join(self._key() for _ in range(pick.choice((1, 1, 1, 2, 3, 8)))))
            case "repeat":
                self._type(self._key() * pick.randint(2, 40))
            case "palette":
                self._type(pick.choice(_PALETTE))
            case "mouse":
                (x, y), button = self._place(), pick.choice((0, 0, 0, 1, 2))
                click = b"\x1b[<%d;%d;%dM\x1b[<%d;%d;%dm" % (button, x, y, button, x, y)
                self._type(click * pick.choice((1, 1, 2, 3)))
            case "drag":
                self._type(self._drag())
            case "wheel":
                turn = b"\x1b[<%d;%d;%dM" % (pick.choice((64, 65, 66, 67, 68, 81)), *self._place())
                self._type(turn * pick.randint(1, 20))
            case "resize":
                self._size = pick.choice((self._size, (1, 1), (20, 6), (80, 24), (300, 80), self._any_size()))
                self._terminal.resize(*self._size)
            case "paste":
                self._type(b"\x1b[200~" + self._pasted() + b"\x1b[201~")
            case "signal":
                os.kill(self._terminal.pid, pick.choice((signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP)))
            case "odd":
                self._type(pick.choice(_ODD))

    def _any_size(self) -> Size:
        return self._random.randint(1, 320), self._random.randint(1, 90)

    def _key(self) -> bytes:
        pick = self._random
        kinds = (_MOVING, _EDITING, _COMMANDS, _FUNCTIONS, _MODIFIED, _CONTROLS)
        return pick.choice(pick.choices(kinds, (30, 20, 40, 3, 5, 4))[0])

    def _place(self) -> Size:
        """A place on the screen; at times beyond it, as after the screen has become smaller."""
        columns, rows = self._size
        return self._random.randint(1, max(columns, 20)), self._random.randint(1, max(rows, 6))

    def _drag(self) -> bytes:
        pick = self._random
        places = [self._place() for _ in range(pick.randint(2, 12))]
        begin, last = places[0], places[-1]
        moves = b"".join(b"\x1b[<32;%d;%dM" % place for place in places[1:])
        ended = pick.random() < 0.9  # else the button is let go outside of the window
        return b"\x1b[<0;%d;%dM" % begin + moves + (b"\x1b[<0;%d;%dm" % last if ended else b"\x1b[<35;%d;%dM" % last)

    def _pasted(self) -> bytes:
        pick = self._random
        letters = pick.choice(("abc xyz", "12[]/\\\"'", "äß漢字🔬\u202e", "\t\n\r", "\x00\x07\x1b[31m"))
        return "".join(pick.choices(letters, k=pick.choice((1, 5, 80, 3000)))).encode()


def alive(terminal: Terminal) -> bool:
    """Whether the app has not ended. One that is stopped is continued, as by `fg`."""
    status = os.waitid(os.P_PID, terminal.pid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    if status is None:
        return True
    if status.si_code == os.CLD_STOPPED:
        os.waitid(os.P_PID, terminal.pid, os.WSTOPPED | os.WNOHANG)
        os.kill(terminal.pid, signal.SIGCONT)
        return True
    return False


_MODES = {
    b"7": ("lines are not broken", False),
    b"25": ("the cursor is hidden", False),
    b"1000": ("the mouse is reported", True),
    b"1002": ("drags are reported", True),
    b"1003": ("every move of the mouse is reported", True),
    b"1004": ("the focus is reported", True),
    b"1006": ("the mouse is reported in SGR", True),
    b"1015": ("the mouse is reported in urxvt's way", True),
    b"1016": ("the mouse is reported in pixels", True),
    b"1049": ("the alternate screen is shown", True),
    b"2004": ("pastes are bracketed", True),
    b"2026": ("updates are held back", True),
    b"2048": ("sizes are reported", True),
}
"""Private modes of a terminal: what is wrong if one is left in the state that is not usual, and that state."""


def modes_left(written: bytes) -> tuple[str, ...]:
    """What is unusual about a terminal's modes after all that was written to it."""
    state = {mode: usual for mode, (_, usual) in _MODES.items()}
    state = {mode: not unusual for mode, unusual in state.items()}
    for modes, last in re.findall(rb"\x1b\[\?([0-9;]+)([hl])", written):
        state |= {mode: last == b"h" for mode in modes.split(b";") if mode in state}
    left = [words for mode, (words, unusual) in _MODES.items() if state[mode] == unusual]
    # Kitty's keyboard: each push must have been popped.
    if written.count(b"\x1b[>") - len(re.findall(rb"\x1b\[>[^u]{0,8}[^0-9u]", written)) > written.count(b"\x1b[<u"):
        left.append("keys are reported in Kitty's way")
    return tuple(left)


def terminal_left(terminal: Terminal, before: Sequence[Any]) -> tuple[str, ...]:
    """What differs at the terminal from what it was `before`, by `termios.tcgetattr`."""
    try:
        now = termios.tcgetattr(terminal.descriptor)
    except termios.error:
        return modes_left(terminal.bytes)
    names = ("iflag", "oflag", "cflag", "lflag", "ispeed", "ospeed", "cc")
    changed = [name for name, one, other in zip(names, before, now, strict=True) if one != other]
    return modes_left(terminal.bytes) + ((f"termios {' '.join(changed)}",) if changed else ())


def words_in(written: bytes) -> str:
    """The words of what was written, without the sequences."""
    return re.sub(
        r"\x1b(\[[0-?]*[ -/]*[@-~]|[\]P_][^\x07\x1b]*(\x07|\x1b\\)|.)", "", written.decode("utf-8", "replace")
    )


def home_of(place: Path) -> Mapping[str, str]:
    """An environment in which everything that the app reads and writes of the person's lies in a folder."""
    # Nobody's browser opens, whatever is clicked.
    return {**homes(place), "HOME": str(place), "BROWSER": "true", "PYTHONPATH": str(ROOT)}


def start_app(place: Path, size: Size, engine: EngineName) -> Terminal:
    """The app in a folder, on a terminal of that size."""
    if engine == "real":
        tasks = place / "tasks"
        if not tasks.exists():
            shutil.copytree(ROOT / "tasks", tasks)
        imports, init = "from xaimed_tui.background.backend import Engine", "super().__init__(tasks, settings)"
        given = f"Path({str(tasks)!r})"
    else:
        imports, init, given = "from fakes import FakeEngine as Engine", "super().__init__()", "None"
    code = _PROGRAM.format(
        root=str(ROOT), support=str(SUPPORT), imports=imports, init=init, tasks=given, cage=str(place)
    )
    terminal = Terminal.python(code, place, home_of(place))
    terminal.resize(*size)
    return terminal


def watch(seed: int, *, seconds: float, size: Size, engine: EngineName = "fake", place: Path) -> Outcome:
    """Let a monkey play, and see what is left of the app.

    Args:
        seed: of what the monkey does.
        seconds: how long it plays.
        size: columns and rows at first.
        engine: the tests' own, whose answers are fixed, or the real one on copies of the bundled tasks.
        place: an empty folder.
    """
    monkey, shown = Monkey(seed), ""
    times = -1
    while True:
        times += 1
        terminal = start_app(place, size, engine)
        before = termios.tcgetattr(terminal.descriptor)
        terminal.read_until(b"\x1b[?1049h", seconds=60)
        begin = time.monotonic()
        lives = monkey.play(terminal, size, seconds)
        seconds -= time.monotonic() - begin
        home = lives and _to_home(terminal)
        lives = lives and alive(terminal)  # the last keys may have left it only now
        if lives and not home:
            os.kill(terminal.pid, signal.SIGUSR1)  # where it is stuck, if it is
            shown = _shown(terminal)
        begin = time.monotonic()
        quitting: float | None = None
        status: int | None = None
        try:
            if lives:
                terminal.press(CTRL_Q)
            status, _ = terminal.wait(seconds=30)
            quitting = time.monotonic() - begin if lives else None
        except (AssertionError, OSError):
            status = None
        left = terminal_left(terminal, before)
        os.close(terminal.descriptor)
        if lives or status != 0 or left:
            break
    outcome = Outcome(seed, engine, size, monkey.events, times, lives, home, quitting, status, left)
    if outcome.well:
        return outcome
    log = place / "state" / "xaimed" / "xaimed.log"
    logged = log.read_text("utf-8", "replace")[-3000:] if log.exists() else "(no log)"
    logged = f"{shown}\n{logged}\n{(place / 'stacks.txt').read_text('utf-8')}"
    return replace(outcome, words=f"{words_in(terminal.bytes[-3000:])[-400:]}\nlast typed: {monkey.done}\n{logged}")


def _to_home(terminal: Terminal) -> bool:
    """Whether Escape, a few times, and `1` show Home on a terminal of a usual size."""
    terminal.press(b"\x1b[201~")  # ends a paste
    terminal.resize(120, 40)
    for width in range(121, 151):
        terminal.press(b"\x1b")
        _quiet(terminal)
        terminal.press(b"1")
        since = len(terminal.bytes)
        _quiet(terminal)
        # Another size, so that all of the screen is sent.
        terminal.resize(width, 40)
        _quiet(terminal)
        if not alive(terminal):
            return False
        if "What next" in words_in(terminal.bytes[since:]):
            return True
    return False


def _shown(terminal: Terminal) -> str:
    """What stands on the screen, after it was drawn again in another size."""
    since = len(terminal.bytes)
    terminal.resize(118, 40)
    _quiet(terminal)
    screen = pyte.Screen(118, 40)
    pyte.ByteStream(screen).feed(terminal.bytes[since:])
    return "\n".join(line.rstrip() for line in screen.display)


def _quiet(terminal: Terminal, seconds: float = 0.3) -> None:
    """Read until nothing came for that long, for 10 seconds at most."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        size = len(terminal.bytes)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not terminal.read(0.05):
                return
        if len(terminal.bytes) == size:
            return


def _size(text: str) -> Size:
    columns, rows = map(int, text.split("x"))
    return columns, rows


def main(argv: Sequence[str] | None = None) -> int:
    """Let a monkey of each seed play, and print a table; 0 if all ended well."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.monkey", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="1,2,3", help="numbers, separated by commas")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each plays")
    parser.add_argument("--size", type=_size, default=(80, 24), help="columns x rows at first, such as 80x24")
    parser.add_argument("--engine", choices=("fake", "real"), default="real", help="the tests' engine, or the real one")
    arguments = parser.parse_args(argv)
    print("seed  engine  size     events  left  alive  Home  Ctrl+Q  status  left at the terminal")
    well = True
    for seed in map(int, arguments.seeds.split(",")):
        with tempfile.TemporaryDirectory(prefix="xaimed-monkey-", ignore_cleanup_errors=True) as place:
            one = watch(
                seed, seconds=arguments.seconds, size=arguments.size, engine=arguments.engine, place=Path(place)
            )
        size = f"{one.size[0]}x{one.size[1]}"
        quitting = "-" if one.quitting is None else f"{one.quitting:.1f} s"
        status = "-" if one.status is None else one.status
        alive_, home = ("yes" if true else "NO" for true in (one.alive, one.home))
        print(
            f"{one.seed:<4}  {one.engine:<6}  {size:<7}  {one.events:>6}  {one.left_by_itself:>4}  {alive_:<5}  "
            f"{home:<4}  {quitting:<6}  {status:<6}  {', '.join(one.left) or 'nothing'}",
            flush=True,
        )
        if not one.well:
            well = False
            print(one.words, flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
