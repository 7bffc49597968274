"""A picture that can be magnified and moved, by keys and by the mouse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textual.message import Message

from xaimed_tui.terminal.colour_depth import depth_of
from xaimed_tui.widgets.image_view import ImageView

if TYPE_CHECKING:
    from textual import events

    from xaimed_tui.render.placement import Placement
    from xaimed_tui.render.spec import PictureSpec

ZOOMS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""How many times larger than what fits a picture can be."""

_RIGHT = 3
"""The number of the right button."""

_STEP = 4
"""A key moves the picture by a fourth of what is seen."""


class PannableView(ImageView):
    """An `ImageView` with a magnification and a centre; both stay when the picture changes."""

    @dataclass
    class Magnified(Message):
        """The picture is shown larger or smaller than before."""

        zoom: int

    @dataclass
    class Moved(Message):
        """Another part of the picture is shown, or it in another magnification."""

        view: PannableView

    @dataclass
    class Dragged(Message):
        """The mouse was dragged in a way that does not move the picture: with the right button, or over all of it."""

        columns: int
        rows: int

    zoom = 1
    """How many times larger than what fits the picture is."""

    _centre = (0.5, 0.5)
    _whole_picture: PictureSpec | None = None
    _held = False
    _moving = False  # the picture, while the button is held

    def show(self, picture: PictureSpec | None) -> None:
        """Show a picture at the current magnification and centre."""
        self._whole_picture = picture
        self.picture = None if picture is None else replace(picture, zoom=self.zoom, centre=self._centre)

    def magnify(self, step: int, *, under: tuple[int, int] | None = None) -> None:
        """Show the picture larger (1) or smaller (-1); the point `under` a character of the view stays there."""
        index = min(max(ZOOMS.index(self.zoom) + step, 0), len(ZOOMS) - 1)
        if ZOOMS[index] == self.zoom:
            return
        before = self._place()
        self.zoom = ZOOMS[index]
        if before is not None and under is not None:
            # The point of the picture below the middle of that character, 0 to 1 from side to side.
            x = (under[0] - before.left + before.offset[0] + 0.5) / before.whole_columns
            y = (under[1] - before.top + before.offset[1] + 0.5) / before.whole_rows
            after = self._place()
            if after is not None:
                # The centre from which that point lies below the same character at the new size.
                self._centre = (
                    x - (under[0] - after.left + 0.5 - after.columns / 2) / after.whole_columns,
                    y - (under[1] - after.top + 0.5 - after.rows / 2) / after.whole_rows,
                )
        self._keep_inside()
        self.show(self._whole_picture)
        self.post_message(self.Moved(self))
        self.post_message(self.Magnified(self.zoom))

    def fit(self) -> None:
        """Show all of the picture."""
        self.zoom, self._centre = 1, (0.5, 0.5)
        self.show(self._whole_picture)
        self.post_message(self.Moved(self))
        self.post_message(self.Magnified(self.zoom))

    @property
    def centre(self) -> tuple[float, float]:
        """The point (x, y) of the picture in the middle of the view, each from 0 to 1."""
        return self._centre

    def follow(self, zoom: int, centre: tuple[float, float]) -> None:
        """Show the picture as another view shows its own."""
        self.zoom, self._centre = zoom, centre
        self._keep_inside()
        self.show(self._whole_picture)

    def pan(self, right: int, down: int) -> None:
        """Move the view right and down by so many steps."""
        place = self._place()
        if place is not None:
            self._move(right * max(place.columns // _STEP, 1), down * max(place.rows // _STEP, 1))

    def _move(self, columns: int, rows: int) -> None:
        place = self._place()
        if place is None or self.zoom == 1:
            return
        # From the rounded offset that is shown, so that a step moves the picture by exactly so many characters.
        self._centre = (
            (place.offset[0] + columns + place.columns / 2) / place.whole_columns,
            (place.offset[1] + rows + place.rows / 2) / place.whole_rows,
        )
        self._keep_inside()
        self.show(self._whole_picture)
        self.post_message(self.Moved(self))

    def _keep_inside(self) -> None:
        """Stop at the edges: a step beyond one would have to be undone before the picture moves back."""
        place = self._place()
        if place is not None:
            half_x, half_y = place.columns / place.whole_columns / 2, place.rows / place.whole_rows / 2
            x, y = self._centre
            self._centre = (min(max(x, half_x), 1 - half_x), min(max(y, half_y), 1 - half_y))

    def _place(self) -> Placement | None:
        from xaimed_tui.render.placement import placement_of

        size, picture = self.content_size, self._whole_picture
        if picture is None or not size.area:
            return None
        # As in `render`, or the point below the mouse would be another one.
        pixels = None if depth_of(self.app) == "none" else self.pixels
        shown = replace(picture, zoom=self.zoom, centre=self._centre)
        return placement_of(shown, size.width, size.height, pixels)

    # The mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._held = True
        self._moving = self.zoom > 1 and event.button != _RIGHT
        self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._held = False
        self.release_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the picture, or report it."""
        if self._held and (event.delta_x or event.delta_y):
            if self._moving:
                self._move(-event.delta_x, -event.delta_y)
            else:
                self.post_message(self.Dragged(event.delta_x, event.delta_y))
        super().on_mouse_move(event)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Magnify around the pointer."""
        self._wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Shrink around the pointer."""
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, step: int) -> None:
        event.stop()
        offset = event.get_content_offset(self)
        self.magnify(step, under=None if offset is None else (offset.x, offset.y))
