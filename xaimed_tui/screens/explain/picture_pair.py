"""A picture alone, or two side by side that are magnified and moved together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal

from xaimed_tui.screens.explain.pannable_view import PannableView

if TYPE_CHECKING:
    from xaimed_tui.render.spec import PictureSpec


class PicturePair(Horizontal):
    """Shows one picture in all its room, or another beside it that is of the same image or of its middle."""

    DEFAULT_CSS = """
    PicturePair { height: 1fr; width: 100%; }
    PicturePair > PannableView { height: 100%; width: 1fr; }
    PicturePair > #second { display: none; margin-left: 1; }
    PicturePair.-two > #second { display: block; }
    """

    _share = (1.0, 1.0)

    def compose(self) -> ComposeResult:
        yield PannableView(placeholder="no picture", id="first")
        yield PannableView(placeholder="no picture", id="second")

    @property
    def first(self) -> PannableView:
        """The picture on the left, or the only one."""
        return self.query_one("#first", PannableView)

    @property
    def second(self) -> PannableView:
        """The picture on the right."""
        return self.query_one("#second", PannableView)

    def show(
        self, first: PictureSpec | None, second: PictureSpec | None = None, share: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        """Show a picture, and another one beside it if there is one.

        Args:
            first, second: the pictures.
            share: how much of the first one's width and height the second one shows of its middle; beyond 1 it has an
                edge around it.
        """
        came = second is not None and not self.has_class("-two")
        if first is not None and second is not None:
            # Of one shape they are of one size, however many pixels each has.
            first, second = replace(first, evenly=False), replace(second, evenly=False)
        self._share = share
        self.set_class(second is not None, "-two")
        self.first.show(first)
        self.second.show(second)
        if came:
            self._lead(self.first)

    def on_pannable_view_moved(self, message: PannableView.Moved) -> None:
        """Show the same place in the other picture."""
        message.stop()
        if self.has_class("-two"):
            self._lead(message.view)

    def _lead(self, view: PannableView) -> None:
        """Show in the other picture what one shows."""
        right = view is self.first
        follower = self.second if right else self.first
        x, y = (
            0.5 + (place - 0.5) / (share if right else 1 / share)
            for place, share in zip(view.centre, self._share, strict=True)
        )
        follower.follow(view.zoom, (min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)))
