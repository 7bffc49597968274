"""How an image is looked at: through a window for the eye only, and as the network was given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from xaimed_tui.background import messages

if TYPE_CHECKING:
    from textual.widget import Widget

    from engine.images.eye import EyeWindow
    from xaimed_tui.background.jobs import Jobs
    from xaimed_tui.session.scene import Scene


class Seeing:
    """A mixin for views of a scene: asks for its image in other ways, and receives it.

    Attributes:
        scene: what is shown.
    """

    scene: Scene

    @property
    def jobs(self) -> Jobs:
        """The background work of the scene."""
        raise NotImplementedError

    def seen_otherwise(self) -> None:
        """Draw the pictures again: the image, or how it is looked at, has changed."""
        raise NotImplementedError

    def look_through(self, window: EyeWindow | None) -> None:
        """Look at the image through another window; None for that of the network."""
        scene = self.scene
        if scene.eye is None:
            scene.seen = scene.pixels  # until the first one is drawn
        scene.eye = window
        if window is None:
            scene.seen = None
        elif scene.image is not None:
            self.jobs.look_through(cast("Widget", self), scene.image, scene.bundle, window)
        self.seen_otherwise()

    def look_on(self) -> None:
        """Look at another image as at the one before: through the same window if it is of the same series."""
        scene = self.scene
        if scene.image is not None and scene.eye is not None:
            self.look_through(scene.eye if scene.eye.fits(scene.image) else None)

    def action_given(self) -> None:
        """Show what the network was given, or the image alone again."""
        self.scene.as_given = not self.scene.as_given
        self.ask_for_input()
        self.seen_otherwise()

    def ask_for_input(self) -> None:
        """Have a picture made of what the network was given, if it is to be shown."""
        scene = self.scene
        wanted = scene.as_given and scene.given is None and scene.diagnosis is not None
        if wanted and scene.image is not None and scene.bundle is not None:
            self.jobs.picture_input(cast("Widget", self), scene.image, scene.bundle)

    def on_image_windowed(self, message: messages.ImageWindowed) -> None:
        """Show the image through the window, unless another image or the network's window is shown by now."""
        if message.image is self.scene.image and self.scene.eye is not None:
            self.scene.seen = message.view
            self.seen_otherwise()

    def on_whole_image_drawn(self, message: messages.WholeImageDrawn) -> None:
        """Show all of the image."""
        if message.image is self.scene.image:
            self.scene.whole = message.window, message.view
            self.seen_otherwise()

    def on_input_pictured(self, message: messages.InputPictured) -> None:
        """Show what the network was given."""
        if message.image is self.scene.image:
            self.scene.given = message.picture
            self.seen_otherwise()
