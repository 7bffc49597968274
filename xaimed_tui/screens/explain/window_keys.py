"""Keys and words for how an image is looked at: its window for the eye, and what the network was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from xaimed_tui.screens.explain.seeing import Seeing
from xaimed_tui.widgets.look_keys import Offer

if TYPE_CHECKING:
    from xaimed_tui.screens.explain.pannable_view import PannableView
    from xaimed_tui.session.scene import Scene

GIVEN_BINDING = Binding("v", "given", "As given")
GIVEN_OFFER: Offer = ("What the network was given, in place of the image", "v", "given")

WINDOW_BINDINGS: tuple[BindingType, ...] = (
    Binding("comma,shift+down", "window(-1, 0)", "Level down", key_display=",", show=False),
    Binding("full_stop,shift+up", "window(1, 0)", "Level", key_display=", ."),
    Binding("less_than_sign,shift+left", "window(0, -1)", "Narrower window", key_display="<", show=False),
    Binding("greater_than_sign,shift+right", "window(0, 1)", "Width", key_display="< >"),
    Binding("w", "own_window", "Network's window"),
    GIVEN_BINDING,
)

WINDOW_OFFERS: tuple[Offer, ...] = (
    ("Raise the level of the window, for the eye only", ".", "window(1, 0)"),
    ("Lower the level of the window, for the eye only", ",", "window(-1, 0)"),
    ("A wider window, for the eye only", ">", "window(0, 1)"),
    ("A narrower window, for the eye only", "<", "window(0, -1)"),
    ("The window of the network again", "w", "own_window"),
    GIVEN_OFFER,
)

_A_ROW, _A_COLUMN = 0.5, 0.25
"""Steps that dragging by a row moves the level, and by a column the width."""


class WindowKeys(Seeing):
    """A mixin for screens with `WINDOW_BINDINGS` that show one picture of a scene."""

    WINDOW_ACTIONS: ClassVar[tuple[str, ...]] = ("window", "own_window", "given")

    @property
    def shows_image(self) -> bool:
        """Whether the picture is the image itself, not a map on it."""
        raise NotImplementedError

    @property
    def shows_map_alone(self) -> bool:
        """Whether nothing of the image is seen."""
        raise NotImplementedError

    @property
    def windowed(self) -> bool:
        """Whether a window changes the picture: a grey image, or a map on it."""
        as_given = self.shows_image and self.scene.shown_given is not None
        return self.scene.window is not None and not as_given and not self.shows_map_alone

    def offers_window(self, action: str, parameters: tuple[object, ...]) -> bool:
        """Whether one of `WINDOW_ACTIONS` changes something now."""
        scene = self.scene
        if action == "given":
            return self.shows_image and scene.diagnosis is not None
        if action == "own_window":
            return self.windowed and scene.eye is not None
        level, width = parameters
        assert isinstance(level, int)
        assert isinstance(width, int)
        return self.windowed and self._moves(level, width)

    def why_no_window(self, action: str) -> str:
        """Return the sentence for one of `WINDOW_ACTIONS` that changes nothing."""
        scene = self.scene
        if action == "given":
            return "The network was given nothing." if self.shows_image else "This is a map: Tab leads to the image."
        if scene.window is None:
            return "The image is in colour: it has no window."
        if self.shows_image and scene.shown_given is not None:
            return "This is what the network was given: v shows the image again."
        if self.shows_map_alone:
            return "The map is shown alone: there is no image below it."
        return "This is the window of the network." if action == "own_window" else "The window goes no further."

    def _moves(self, level: float, width: float) -> bool:
        scene = self.scene
        if scene.window is None or scene.image is None:
            return False
        before = scene.eye or scene.window[0]
        return before.moved(scene.image, level, width) != before

    def action_window(self, level: float, width: float) -> None:
        """Move the window by so many steps, for the eye only."""
        scene = self.scene
        if scene.window is not None and scene.image is not None:
            self.look_through((scene.eye or scene.window[0]).moved(scene.image, level, width))

    def action_own_window(self) -> None:
        """Look through the network's window again."""
        self.look_through(None)

    def on_pannable_view_dragged(self, message: PannableView.Dragged) -> None:
        """Move the window by the mouse: up raises the level, to the right is wider."""
        if self.windowed:
            self.action_window(-_A_ROW * message.rows, _A_COLUMN * message.columns)


def window_words(scene: Scene, room: int, *, of_image: bool = True) -> str:
    """Say through which window the image is looked at, and which one the network gets; empty for a colour image.

    Args:
        scene: what is shown.
        room: columns that there are; in few of them only the numbers are said.
        of_image: whether this stands below the image, which may be shown as the network was given it.
    """
    fed, numbers = ("", "") if scene.window is None else (scene.window[1], scene.window[0].words)
    if of_image and (given := scene.shown_given) is not None:
        height, width, channels = given.shape
        size = f"{width}x{height} {'RGB' if channels == 3 else 'grey'}"
        through = (f", window {fed}", f", window {numbers}", f", {numbers}") if fed else ("",)
        said = [f"as the network was given it: {size}{through[0]}", *(f"{size}{each}" for each in through), size]
    elif scene.window is None:
        return ""
    elif scene.eye is None:
        said = [f"window {fed}", f"window {numbers}", numbers]
    else:
        eye = scene.eye.words
        gets = f"; the network gets {fed}" if scene.bundle is not None else ""
        said = [f"window {eye}, for the eye only{each}" for each in (gets, "")]
        said += [f"{eye}, for the eye only", f"{eye}, eye only", eye]
    return next((words for words in said if len(words) <= room), said[-1])
