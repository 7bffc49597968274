"""Keys and words for how an image is looked at: its window for the eye, and what the network was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from engine.images.numbers import number_text
from xaimed_tui.screens.explain.seeing import Seeing
from xaimed_tui.widgets.look_keys import Offer

if TYPE_CHECKING:
    from xaimed_tui.screens.explain.pannable_view import PannableView
    from xaimed_tui.session.scene import Scene

GIVEN_BINDING = Binding("v", "given", "As given")
GIVEN_OFFER: Offer = ("What the network was given, beside the image or in its place", "v", "given")

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

_STRETCHED = 1.02
"""From here on it is said that a picture is wider, or higher, than what it shows: less cannot be seen."""

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
    def beside(self) -> bool:
        """Whether what the network was given is shown beside the image, not in its place."""
        return False

    @property
    def in_place(self) -> bool:
        """Whether what the network was given is shown in place of the image."""
        return self.shows_image and self.scene.shown_given is not None and not self.beside

    @property
    def windowed(self) -> bool:
        """Whether a window changes the picture: a grey image, or a map on it."""
        return self.scene.window is not None and not self.in_place and not self.shows_map_alone

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
        if self.in_place:
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


def window_words(scene: Scene, room: int) -> str:
    """Say through which window the image is looked at, and which one the network gets; empty for a colour image.

    Args:
        scene: what is shown.
        room: columns that there are; in few of them only the numbers are said.
    """
    return _first_that_fits(_through(scene), room)


def original_words(scene: Scene, room: int, *, beside: bool) -> str:
    """Say that this is the original: its size, what part of it the network sees, and through which window it is seen.

    Args:
        scene: what is shown; it has an image.
        room: columns that there are.
        beside: whether all of the image is seen beside what the network was given, whose caption says its window.
    """
    image, pixels = scene.image, scene.pixels
    assert image is not None
    name = f"Original, {image.width}x{image.height}"
    kind = "" if image.scan is not None else f" {_kind(image.pixels.shape[2])}"
    parts = [""]
    if not scene.sees_all and pixels is not None:
        rows, columns = pixels.shape[:2]
        size = f"{columns}x{rows}"
        if rows > image.height or columns > image.width:
            parts = [f"; the network sees it padded to {size}"] if beside else [f", padded to {size}"]
        else:
            parts = [f"; the network sees the middle {size}", f"; middle {size} seen"]
            parts = parts if beside else [f", the middle {size}"]
    windows = [f", {words}" for words in _through(scene, network=not beside)] or [""]
    if scene.eye is None:
        said = [f"{name}{kind}{part}{window}" for part in parts for window in windows] + [f"{name}{parts[-1]}"]
    else:  # that this is no window of the network is worth more than what part it sees
        said = [f"{name}{kind}{part}{window}" for part in parts for window in windows[:-1]]
    return _first_that_fits([*said, *(f"{name}{window}" for window in windows), name], room)


def given_words(scene: Scene, room: int) -> str:
    """Say that this is what the network was given: its size, its window, and what became of the image's shape.

    Args:
        scene: what is shown; what the network was given is known.
        room: columns that there are; in few of them only the size is said.
    """
    given, pixels, image = scene.given, scene.pixels, scene.image
    assert given is not None
    height, width, channels = given.shape
    size = f"{width}x{height}" + ("" if image is not None and image.scan is not None else f" {_kind(channels)}")
    windows = [""]
    if scene.window is not None:
        numbers = scene.window[0].words
        windows = [f", window {scene.window[1]}", f", window {numbers}", f", {numbers}"]
    shape = ""
    if pixels is not None and image is not None:
        # How many times wider than in the body the picture is, against its height.
        wide = (width / pixels.shape[1]) / (height / pixels.shape[0]) * image.pixel_aspect
        if max(wide, 1 / wide) > _STRETCHED:
            shape = f", {number_text(round(max(wide, 1 / wide), 2))} times too {'wide' if wide > 1 else 'high'}"
    named = f"Given to the network, {size}"
    said = [f"{named}{window}{shape}" for window in windows]
    said += [f"To the network: {size}{windows[-1]}{shape}", *(f"{named}{tail}" for tail in (shape, *windows)), named]
    return _first_that_fits([*said, f"given: {size}{windows[-1]}", f"given: {size}", size], room)


def _through(scene: Scene, *, network: bool = True) -> list[str]:
    """Return the ways to say through which window the image is looked at, the longest first; none for a colour image.

    Args:
        scene: what is shown.
        network: whether it is said, too, which one the network gets, if that is another.
    """
    if scene.window is None:
        return []
    numbers, fed = scene.window[0].words, scene.window[1]
    if scene.eye is None:
        return [f"window {fed}", f"window {numbers}", numbers]
    eye = scene.eye.words
    said = [f"window {eye}, for the eye only", f"{eye}, for the eye only", f"{eye}, eye only", eye]
    return [f"{said[0]}; the network gets {fed}", *said] if network and scene.diagnosis is not None else said


def _kind(channels: int) -> str:
    return "RGB" if channels == 3 else "grey"


def _first_that_fits(said: Sequence[str], room: int) -> str:
    """Return the first of these texts that is not wider than there is room for, else the last; empty for none."""
    return next((words for words in said if len(words) <= room), said[-1] if said else "")
