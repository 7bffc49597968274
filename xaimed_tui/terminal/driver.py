"""The driver of a terminal on Linux and macOS: it survives any input, Ctrl+Q overtakes, and it can be suspended."""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import select
import signal
import termios
import time
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from textual import events
from textual.drivers.linux_driver import LinuxDriver
from textual.messages import InBandWindowResize

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
        self._event_loop = asyncio.get_running_loop()
        signal.signal(signal.SIGTSTP, self._told_to_stop if may_stop else signal.SIG_IGN)
        signal.signal(signal.SIGCONT, self._told_to_go_on)

    # Input

    def run_input_thread(self) -> None:
        """Read keys and the mouse until the driver is told to stop; no input ends this."""
        parser = XTermParser()
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        stopped, pasting, tail = self.exit_event, False, b""
        while not stopped.is_set():
            got = self._read_some()
            if got is None:  # the terminal is gone; `leave_on_hangup` notices that, too, and ends the process
                stopped.wait(_TICK)
                continue
            # A Ctrl+Q that comes alone was typed, even if the end of a paste before it got lost.
            if got == _QUIT_BYTE and pasting:
                self._quit_now()
            pasting = _pasting(tail + got, before=pasting)
            tail = (tail + got)[-5:]  # a mark may come in two pieces
            try:
                for message in chain(parser.feed(decode(got)) if got else (), parser.tick()):
                    if parser.terminal_pixel_size is not None and 0 in tuple(parser.terminal_pixel_size):
                        # Some terminals report no pixels; Textual divides by them. The mouse is in characters then.
                        parser.terminal_pixel_size = None
                    self.process_message(message)
            except Exception:  # whatever the parser does not understand: the next keys must still count
                log.exception("%d bytes of input that cannot be understood", len(got))
                parser = XTermParser()

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
        if isinstance(message, events.Key) and message.key == QUIT and self._quit_now():
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


def _pasting(got: bytes, *, before: bool) -> bool:
    """Return whether a bracketed paste has begun and not ended after this input."""
    begin, end = got.rfind(b"\x1b[200~"), got.rfind(b"\x1b[201~")
    return before if begin == end else begin > end


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
