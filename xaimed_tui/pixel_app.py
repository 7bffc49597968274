"""An app that sends its terminal only what it does not show already, and whose pictures may be pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import events

from xaimed_tui.render.pixel_screen import PixelScreen
from xaimed_tui.terminal.colour_depth import depth_of
from xaimed_tui.terminal.ordered_keys import OrderedKeys
from xaimed_tui.terminal.query import size_of_a_character
from xaimed_tui.terminal.textual_private import CompositorUpdate, UpdatedApp, driver_of

if TYPE_CHECKING:
    from textual.driver import Driver

    from xaimed_tui.terminal.query import Pixels


class PixelApp(OrderedKeys, UpdatedApp):
    """An app that knows what stands on its terminal, and how that shows pixels.

    Attributes:
        pixels: how the terminal shows pixels; None if pictures are drawn as text.
        pixel_screen: what the terminal shows.
    """

    def __init__(self, pixels: Pixels | None) -> None:
        super().__init__()
        self.pixels = None if depth_of(self) == "none" else pixels
        self.pixel_screen = PixelScreen() if self.pixels is None else self._pixel_screen(self.pixels)
        self._measured = size_of_a_character()

    def _pixel_screen(self, pixels: Pixels) -> PixelScreen:
        from xaimed_tui.render.kitty import Kitty  # late: importing numpy would delay Home
        from xaimed_tui.render.sixel_terminal import SixelTerminal

        if pixels.protocol == "kitty":
            return PixelScreen(Kitty())
        # Functions, because the size of the screen and of a character may change. The repaint waits its turn: it is
        # asked for while an update is being written, and would clear the notes that this update makes.
        return PixelScreen(
            SixelTerminal(
                last_row=lambda: self.size.height - 1,
                cell=lambda: None if self.pixels is None else self.pixels.cell,
                repaint=lambda: self.call_later(self._repaint),
                most=pixels.most,
            )
        )

    def get_driver_class(self) -> type[Driver]:
        """Return Textual's driver, on Linux and macOS with what it lacks."""
        usual = super().get_driver_class()
        if usual.__name__ != "LinuxDriver":  # Windows, or one chosen by the environment
            return usual
        from xaimed_tui.terminal.driver import TerminalDriver  # late: it needs termios

        return TerminalDriver

    def update_to_send(self, update: CompositorUpdate) -> CompositorUpdate:
        """The update without what stands on the terminal already."""
        return self.pixel_screen.update(update)

    def on_mount(self) -> None:
        """Draw again after another program has used the terminal."""
        self.app_resume_signal.subscribe(self, lambda _: self.draw_screen_again())

    def on_resize(self, event: events.Resize) -> None:
        """Paint everything: what a terminal shows after a change of size is unknown, and its characters may differ."""
        if self.pixels is not None:
            self._measure(event)
        self._repaint()

    def _measure(self, event: events.Resize) -> None:
        measured = size_of_a_character()
        # A terminal that reports its size in band says the pixels with it, also where the system does not know them.
        if event.pixel_size is not None and event.size.area:
            measured = event.pixel_size.height // event.size.height, event.pixel_size.width // event.size.width
        if self.pixels is not None and measured is not None and min(measured) > 0 and measured != self._measured:
            self._measured = measured  # until this changes, the size that the terminal itself answered is used
            self.pixels = replace(self.pixels, cell=measured)
            self._draw_all_again()

    def _draw_all_again(self) -> None:
        from xaimed_tui.widgets.image_view import ImageView

        for screen in self.screen_stack:
            for view in screen.query(ImageView):
                view.draw_again()

    def draw_screen_again(self) -> None:
        """Send the whole screen with its pictures, because another program may have written to the terminal."""
        self._repaint(pictures=True)

    def _repaint(self, *, pictures: bool = False) -> None:
        self.pixel_screen.forget(pictures=pictures)
        if self.screen_stack:
            self.screen.refresh()

    def forget_pictures(self) -> None:
        """Make the terminal drop all pictures."""
        protocol = self.pixel_screen.protocol
        farewell = "" if protocol is None else protocol.forget_all()
        if farewell and (driver := driver_of(self)) is not None:
            driver.write(farewell)

    def on_unmount(self) -> None:
        """Leave no pictures at the terminal, however the app ends."""
        self.forget_pictures()
