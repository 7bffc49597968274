"""The driver of a terminal on Linux and macOS: it survives any input, Ctrl+Q overtakes, and it can be suspended."""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import re
import select
import shutil
import signal
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual import events
from textual.drivers.linux_driver import LinuxDriver
from textual.messages import InBandWindowResize

from xaimed_tui.terminal.pastes import HalfMark, Pasted, Pastes, without_controls
from xaimed_tui.terminal.query import size_of_the_window
from xaimed_tui.terminal.rates import Rate
from xaimed_tui.terminal.textual_private import XTermParser

if TYPE_CHECKING:
    from types import FrameType

    from textual.app import App
    from textual.message import Message

QUIT = "ctrl+q"
_QUIT_BYTE = b"\x11"

_READ = 4096
"""Bytes read at a time."""

_TICK = 0.1
"""Seconds after which a lone Escape is a key and not the beginning of a sequence."""

_REPORT = re.compile(rb"\x1b\[(?!48;)[?>]?[0-9][0-9;]*[tc]")
"""What a terminal says about its window and itself. Textual takes it for keys, apart from the report of its size."""

_KEYS_AT_ONCE, _KEYS_A_SECOND = 300, 100
_CLICKS_AT_ONCE, _CLICKS_A_SECOND = 60, 30
_OTHERS_AT_ONCE, _OTHERS_A_SECOND = 1000, 500
"""Keys, clicks, and what else comes (moves of the mouse, the wheel) that are passed on; hands make no more."""

_MOST_COLUMNS, _MOST_ROWS = 1000, 500
"""Of a terminal whose size the system does not know, as on a serial line; a report of more is false."""

_LATE = 0.2
"""Seconds within which a process that was told to stop has stopped, if it can be."""

NO_JOB_CONTROL = "Nothing could bring the app back here: it was not started by a shell with job control (bg, fg)."

log = logging.getLogger(__name__)


class TerminalDriver(LinuxDriver):
    """Textual's driver, with what it lacks.

    Its input thread ended the app at a byte that is not UTF-8 and at a report that the terminal has 0x0 pixels. A
    SIGCONT without a stop before it made it forget how the terminal was. Its suspending stopped the process also where
    nobody could continue it.

    Attributes:
        quit: what to do at once, in the input thread, when Ctrl+Q is read; None leaves the key to the app.
        suspended: whether the terminal has been given back for the time being.
    """

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        may_stop = signal.getsignal(signal.SIGTSTP) != signal.SIG_IGN
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.suspended = False
        self._may_stop = may_stop
        self._in_application_mode = False
        self._raw: list[Any] | None = None
        self._pixels_reported = False
        self._keys = Rate(_KEYS_AT_ONCE, _KEYS_A_SECOND)
        self._clicks = Rate(_CLICKS_AT_ONCE, _CLICKS_A_SECOND)
        self._others = Rate(_OTHERS_AT_ONCE, _OTHERS_A_SECOND)
        self._click_passed = True
        self._event_loop = asyncio.get_running_loop()
        signal.signal(signal.SIGTSTP, self._told_to_stop if may_stop else signal.SIG_IGN)
        signal.signal(signal.SIGCONT, self._told_to_go_on)

    # Input

    def run_input_thread(self) -> None:
        """Read keys and the mouse until the driver is told to stop; no input ends this."""
        parser = XTermParser()
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        stopped, pastes = self.exit_event, Pastes()
        while not stopped.is_set():
            got = self._read_some()
            if got is None:  # the terminal is gone; `leave_on_hangup` notices that, too, and ends the process
                stopped.wait(_TICK)
                continue
            # A Ctrl+Q that comes alone was typed, even if the end of a paste before it got lost.
            if got == _QUIT_BYTE and pastes.pasting:
                self._quit_now()
            for piece in pastes.split(got):
                if isinstance(piece, Pasted):
                    self._take_paste(piece)
                elif isinstance(piece, HalfMark):
                    parser = _parser_like(parser)
                else:
                    parser = self._parse(parser, decode(_REPORT.sub(b"", piece)))
            # So was one at the end of much that came at once.
            if got.endswith(_QUIT_BYTE) and pastes.pasting and not pastes.marked:
                self._quit_now()
            parser = self._parse(parser, "")
            self._say_what_was_left_out()

    def _parse(self, parser: XTermParser, text: str) -> XTermParser:
        """Parse input, and pass on what it means; return the parser for what comes next.

        Args:
            parser: the one so far.
            text: what was typed; if it is empty, what waits for more input is taken as it is.
        """
        size: events.Resize | None = None
        try:
            for message in parser.feed(text) if text else parser.tick():
                if parser.terminal_pixel_size is not None and 0 in tuple(parser.terminal_pixel_size):
                    # Some terminals report no pixels; Textual divides by them. The mouse is in characters then.
                    parser.terminal_pixel_size = None
                if isinstance(message, events.Resize):
                    size = self._true_size(message)
                    parser.terminal_size = size.size
                elif self._may_pass(message):
                    self.process_message(message)
        except Exception:  # whatever the parser does not understand: the next keys must still count
            log.exception("%d characters of input that cannot be understood", len(text))
            parser = _parser_like(parser)
        if size is not None:  # of many reports the last
            self.process_message(size)
        return parser

    def _take_paste(self, pasted: Pasted) -> None:
        if text := without_controls(pasted.text):
            self.process_message(events.Paste(text))
        if pasted.cut:
            self._tell(
                "say_of_input",
                "Only the first part of the pasted text was taken: it is too long, or its end did not come.",
            )
        elif not pasted.marked:
            self._tell("say_of_input", "Much text came at once: it was taken as pasted, not as keys.")

    def _say_what_was_left_out(self) -> None:
        if keys := self._keys.left_out():
            self._tell("keys_left_out", keys)

    def _may_pass(self, message: Message) -> bool:
        """Whether a message is not one of more than hands can make."""
        if isinstance(message, events.MouseDown):
            self._click_passed = self._clicks.passes()
            return self._click_passed
        if isinstance(message, events.MouseUp):  # it goes with the button that was pressed
            return self._click_passed
        return _quits(message) or (self._keys if isinstance(message, events.Key) else self._others).passes()

    def _tell(self, method: str, argument: str | int) -> None:
        tell = getattr(self._app, method, None)
        if tell is not None:
            self._event_loop.call_soon_threadsafe(tell, argument)

    # Size

    def _true_size(self, reported: events.Resize | None = None) -> events.Resize:
        """Return the terminal's size as the system knows it: a report may have been pasted, or come from anywhere.

        Args:
            reported: what it says about pixels is kept, and what it says about characters if the system knows nothing.
        """
        size = size_of_the_window(self.fileno)
        if size is None:
            columns, rows = shutil.get_terminal_size() if reported is None else reported.size
            size = min(columns, _MOST_COLUMNS), min(rows, _MOST_ROWS)
        pixels = None if reported is None else reported.pixel_size
        return events.Resize.from_dimensions(size, None if pixels is None else (pixels.width, pixels.height))

    def _told_of_a_size(self, _number: int, _frame: FrameType | None) -> None:
        # Textual asks the environment first, where a size stays what it was when the shell exported it; and once a
        # terminal reports its sizes it waits for the report, which may have come before the system knew the new size.
        self.send_message(self._true_size())

    def _read_some(self) -> bytes | None:
        """Return what has come, nothing after a while without input, or None if the terminal is gone."""
        try:
            ready, _, _ = select.select([self.fileno], [], [], _TICK)
            if not ready:
                return b""
            return os.read(self.fileno, _READ) or None
        except (OSError, ValueError):
            return None

    def process_message(self, message: Message) -> None:
        """Pass a message on to the app; Ctrl+Q overtakes all that wait."""
        if isinstance(message, InBandWindowResize) and message.supported:
            self._pixels_reported = True
        if _quits(message) and self._quit_now():
            return
        super().process_message(message)

    def _quit_now(self) -> bool:
        """Leave ahead of all keys that wait; False if the app has to take the key itself."""
        leave = getattr(self._app, "leave_now", None)
        return leave is not None and leave()

    # Application mode

    def start_application_mode(self) -> None:
        """Take the terminal."""
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual gives it no types
        signal.signal(signal.SIGWINCH, self._told_of_a_size)
        true = self._true_size()
        if tuple(true.size) != tuple(shutil.get_terminal_size()):  # which Textual has told the app
            self.send_message(true)
        self._in_application_mode = True
        with suppress(termios.error):
            self._raw = termios.tcgetattr(self.fileno)

    def stop_application_mode(self) -> None:
        """Give the terminal back; do nothing if that was done already."""
        if self._in_application_mode:
            self._in_application_mode = False
            if self._pixels_reported:
                self.write("\x1b[?1016l")  # Textual switches the mouse to pixels, but not back
            super().stop_application_mode()

    # Suspending

    def why_not_stop(self) -> str:
        """Return why the process cannot be suspended, as far as that is known beforehand; empty if it can."""
        # A session leader has no shell above it: the only process of a terminal's tab, of tmux, of `docker exec`.
        return "" if self._may_stop and os.getsid(0) != os.getpid() else NO_JOB_CONTROL

    def stop(self, *, group: bool = True) -> str:
        """Give the terminal back, stop the process, and take the terminal again once it is continued.

        Args:
            group: whether to stop all of the process group, so that a shell also notices if the app was started by
                another program, such as a script or `uv run`; otherwise only this process.

        Returns:
            Why the process was not stopped; empty if it was.
        """
        if why := self.why_not_stop():
            return why
        self.suspend_application_mode()
        self.suspended = True
        stopped = _stop_process(group=group)
        while not self._in_foreground():
            # Continued in the background, as by `bg`: it may not write on the terminal, so it stops again.
            if not _stop_process(group=True):
                time.sleep(_TICK)
        self.suspended = False
        self.resume_application_mode()
        return "" if stopped else NO_JOB_CONTROL

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self.fileno) == os.getpgrp()
        except OSError:  # not the controlling terminal: nobody else is in the foreground
            return True

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        # In the loop, not here: whatever was interrupted may be writing to the terminal.
        suspend = getattr(self._app, "suspend_soon", None)
        if suspend is not None and not self.suspended:
            self._event_loop.call_soon_threadsafe(suspend)

    def _told_to_go_on(self, _number: int, _frame: FrameType | None) -> None:
        """Take the terminal again after a stop that nobody can prepare for (SIGSTOP)."""
        if not self.suspended:
            self._event_loop.call_soon_threadsafe(self._take_again)

    def _take_again(self) -> None:
        if not self._in_application_mode or not self._in_foreground():
            return
        if self._raw is not None:
            with suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self._raw)
        # What shells change while a program is stopped; the rest is as it was.
        self.write("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h\x1b[?1004h\x1b[?2004h")
        self.flush()
        if (again := getattr(self._app, "draw_screen_again", None)) is not None:
            again()


def _quits(message: Message) -> bool:
    return isinstance(message, events.Key) and message.key == QUIT


def _parser_like(parser: XTermParser) -> XTermParser:
    """Return a parser that knows of the terminal what another does, and waits for nothing."""
    fresh = XTermParser()
    for name in ("last_x", "last_y", "mouse_pixels", "terminal_size", "terminal_pixel_size"):
        setattr(fresh, name, getattr(parser, name))
    return fresh


def _stop_process(*, group: bool) -> bool:
    """Stop, and return once continued; False if the system refuses, because nobody could continue the process."""
    continued = False

    def noted(_number: int, _frame: FrameType | None) -> None:
        nonlocal continued
        continued = True

    after = signal.signal(signal.SIGCONT, noted)
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        # SIGTSTP, not SIGSTOP: that one would also stop a process that no shell can continue.
        os.kill(0 if group else os.getpid(), signal.SIGTSTP)
        end = time.monotonic() + _LATE
        while not continued and time.monotonic() < end:
            time.sleep(0.01)
        if continued and group:
            # `kill -CONT` continues one process only; its helpers, which decode images, stopped with it.
            signal.signal(signal.SIGCONT, signal.SIG_IGN)
            os.kill(0, signal.SIGCONT)
    finally:
        signal.signal(signal.SIGTSTP, handler)
        signal.signal(signal.SIGCONT, after)
    return continued
