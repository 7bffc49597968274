"""How the app ends and pauses: left by a key, ended by a fault, or suspended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from xaimed_tui.terminal.textual_private import driver_of

if TYPE_CHECKING:
    from xaimed_tui.app_services import AppServices
    from xaimed_tui.pixel_app import PixelApp

    class _Base(PixelApp, AppServices):
        """What the app is besides."""

else:
    _Base = object  # a mixin: another subclass of `App` costs 2 ms before the first paint

log = logging.getLogger(__name__)


class Endings(_Base):
    """The part of the app that stops its work and gives the terminal back, for good or for a while.

    Attributes:
        fault: what ended the app, if it was a fault of the program.
    """

    fault: Exception | None = None
    _leave: Callable[[int], object] | None
    _leave_soon: Callable[[int], object] | None

    def stop_work(self) -> None:
        """Ask all background work to end."""
        # A cached property: merely to look at it would make all the lanes, only to stop them.
        if "jobs" in vars(self):
            self.jobs.stop_everything()

    def finish_saving(self, seconds: float) -> None:
        """Wait until everything is saved, for so many seconds at most. May be called in a thread."""
        if "jobs" in vars(self):
            self.jobs.finish_saving(seconds)

    # Leaving

    async def action_quit(self) -> None:
        """Leave, whatever is running."""
        self.action_quit_now()

    def action_quit_now(self) -> None:
        """Stop all work and leave."""
        self.leave(0)

    def leave(self, status: int) -> None:
        """Stop all work and leave with an exit status, without waiting for anything."""
        self.stop_work()
        if self._leave is None:
            self.exit(status, return_code=status)
        else:
            self._leave(status)

    def leave_now(self) -> bool:
        """Leave ahead of all keys and messages that wait; may be called in any thread. False if that cannot be done."""
        if self._leave_soon is not None:
            self._leave_soon(0)
        return self._leave_soon is not None

    def on_unmount(self) -> None:
        """Stop all work, however the app ends."""
        self.stop_work()

    def give_back_terminal(self) -> None:
        """Restore the terminal; nothing can be drawn after that."""
        driver = driver_of(self)
        if driver is not None and not self.suspended:
            # First, while the driver still writes.
            self.forget_pictures()
            driver.stop_application_mode()
            driver.close()

    def fault_met(self, error: Exception) -> None:
        """Write to the log what ends the app; only the first fault is told when it has ended."""
        log.critical("a fault in the program ends the app", exc_info=error)
        self.fault = self.fault or error

    # Suspending

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave Ctrl+Z to a text area that has the focus, where it takes back what was typed."""
        return not hasattr(self.focused, "action_undo") if action == "suspend" else True

    @property
    def suspended(self) -> bool:
        """Whether the terminal has been given back for the time being."""
        return bool(getattr(driver_of(self), "suspended", False))

    def action_suspend(self) -> None:
        """Stop the app and everything that it was started with, until the shell continues them."""
        self._suspend(group=True)

    def suspend_soon(self) -> None:
        """Stop this process, as SIGTSTP asks for."""
        self._suspend(group=False)

    def _suspend(self, *, group: bool) -> None:
        driver = driver_of(self)
        stop, why_not = (getattr(driver, name, None) for name in ("stop", "why_not_stop"))
        if stop is None or why_not is None:  # not a `TerminalDriver`, which not every system has
            why = "This terminal does not let a program be suspended."
        elif not (why := why_not()):
            self.forget_pictures()
            why = stop(group=group)
            # In this way it comes after the event that tells of the new size, which the driver sends likewise.
            asyncio.run_coroutine_threadsafe(self._draw_after_resize(), asyncio.get_running_loop())
        if why:
            self.notify(why, title="Not suspended", markup=False)

    async def _draw_after_resize(self) -> None:
        self.call_later(self.draw_screen_again)
