"""One picture that fills the screen, to be magnified and moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen

from engine.text import safe_name
from xaimed_tui.app_services import services
from xaimed_tui.preferences.look import Look
from xaimed_tui.screens.explain.cards import given_picture
from xaimed_tui.screens.explain.method_wall import MethodWall
from xaimed_tui.screens.explain.pannable_view import ZOOMS, PannableView
from xaimed_tui.screens.explain.picture_pair import PicturePair
from xaimed_tui.screens.explain.window_keys import (
    WINDOW_BINDINGS,
    WINDOW_OFFERS,
    WindowKeys,
    given_words,
    original_words,
    window_words,
)
from xaimed_tui.widgets.closing_once import ClosesOnce
from xaimed_tui.widgets.colour_bar import ColourBar
from xaimed_tui.widgets.exact_words import FILL_WORDS, shown_fill
from xaimed_tui.widgets.key_line import KeyLine
from xaimed_tui.widgets.look_keys import LOOK_BINDINGS, LOOK_OFFERS, LookKeys, Offer
from xaimed_tui.widgets.pictures import image_picture
from xaimed_tui.widgets.why_not import WhyNot
from xaimed_tui.widgets.words import FixedWords, Part
from xaimed_tui.wording import EXACT

if TYPE_CHECKING:
    from engine.images.eye import EyeWindow
    from xaimed_tui.background.jobs import Jobs
    from xaimed_tui.render.spec import PictureSpec
    from xaimed_tui.session.scene import Scene

BESIDE_FROM = 100
"""Columns from which what the network was given has room beside the image."""

_LAID_OVER = ("overlay", "agreement", "exact")
"""Styles whose colours lie over the image."""

FOLLOW_EVERY = 1 / 4
"""Seconds between updates of a map that is getting sharper."""


class ZoomScreen(WindowKeys, ClosesOnce, LookKeys, WhyNot, Screen[str]):
    """The pictures of a wall, one at a time; returns the key of the one shown last.

    Args:
        wall: holds the pictures; changes to them are shown here too.
        scene: what they show.
    """

    DEFAULT_CSS = """
    ZoomScreen { background: $background; }
    ZoomScreen #title { dock: top; height: 1; background: $panel; padding: 0 1; }
    ZoomScreen #words { height: 1; width: 100%; color: $text-muted; }
    ZoomScreen #words > FixedWords { height: 1; width: 1fr; padding: 0 1; }
    ZoomScreen #given-words { display: none; margin-left: 1; }
    ZoomScreen.-beside #given-words { display: block; }
    ZoomScreen.-beside #words > FixedWords { text-align: center; }
    ZoomScreen ColourBar { width: 100%; max-width: 100; margin: 0 1; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,z", "leave", "Back", key_display="Esc"),
        Binding("plus,equals_sign", "magnify(1)", "Larger", key_display="+"),
        Binding("minus", "magnify(-1)", "Smaller", key_display="-"),
        Binding("0", "fit", "Whole", show=False),
        Binding("left,h", "pan(-1, 0)", "Left", show=False),
        Binding("right,l", "pan(1, 0)", "Right", show=False),
        Binding("up,k", "pan(0, -1)", "Up", show=False),
        Binding("down,j", "pan(0, 1)", "Down", show=False),
        Binding("tab", "step(1)", "Next picture"),
        Binding("shift+tab", "step(-1)", "Previous picture", show=False),
        *LOOK_BINDINGS,
        *WINDOW_BINDINGS,
        Binding("question_mark", "app.help", "Help", key_display="?"),
    ]

    offered: tuple[Offer, ...] = (
        ("Larger", "+", "magnify(1)"),
        ("Smaller", "-", "magnify(-1)"),
        ("Whole picture", "0", "fit"),
        ("Next picture", "Tab", "step(1)"),
        *LOOK_OFFERS,
        *WINDOW_OFFERS,
    )

    def __init__(self, wall: MethodWall, scene: Scene) -> None:
        super().__init__()
        self._wall = wall
        self.scene = scene
        self._key = wall.active
        self._asked: tuple[str, EyeWindow | None] | None = None  # of which image all was asked for, and in which window

    def compose(self) -> ComposeResult:
        """Make the title, the picture and the colour bar."""
        yield FixedWords(id="title")
        yield PicturePair()
        yield ColourBar(self.look.colormap)
        with Horizontal(id="words"):
            yield FixedWords(id="window")
            yield FixedWords(id="given-words")
        yield KeyLine()

    def on_mount(self) -> None:
        """Show the picture, and update it while its method works."""
        self._show()
        # Cheap as long as nothing has changed: an equal picture is not drawn again.
        self.set_interval(FOLLOW_EVERY, self._show, name="follow")

    @property
    def look(self) -> Look:
        return self.scene.look

    def look_changed(self) -> None:
        """Show the picture in the new way."""
        self._wall.show_all()
        self._show()
        self.refresh_bindings()

    @property
    def fills(self) -> Sequence[str]:
        return () if self.scene.exact is None else tuple(self.scene.exact.fills)

    @property
    def jobs(self) -> Jobs:
        return self._wall.jobs

    @property
    def shows_image(self) -> bool:
        return self._key == "original"

    @property
    def shows_map_alone(self) -> bool:
        return self._style == "map"

    def seen_otherwise(self) -> None:
        """Show the picture again, as the image is looked at now."""
        self._wall.show_card(self._key)
        self._show()
        self.refresh_bindings()

    @property
    def view(self) -> PannableView:
        """The picture; where there are two, the image."""
        return self.query_one(PicturePair).first

    @property
    def beside(self) -> bool:
        return self.shows_image and self.scene.shown_given is not None and self.size.width >= BESIDE_FROM

    @property
    def _style(self) -> str:
        """The picture's style; empty while there is none."""
        picture = self._wall.card(self._key).view.picture
        return "" if picture is None else picture.style

    @property
    def _pictures(self) -> list[str]:
        """The cards that have a picture."""
        return [card.key for card in self._wall if card.view.picture is not None]

    def _show(self) -> None:
        card = self._wall.card(self._key)
        picture = card.view.picture
        given = given_picture(self.scene) if self.beside else None
        self.set_class(given is not None, "-beside")
        if given is not None:
            picture = self._whole_picture()
        elif picture is not None and self.windowed and self.scene.shown is not None:
            picture = replace(picture, pixels=self.scene.shown)
        self.query_one(PicturePair).show(picture, given, self.scene.seen_share)
        bar = self.query_one(ColourBar)
        bar.display = picture is not None and picture.style in ("overlay", "map")
        bar.colormap = self.look.colormap
        self._say_what_is_seen()
        parts: list[Part] = [(self._heading, "bold $primary")]
        if self.scene.image is not None:
            parts.append(f"  of {safe_name(self.scene.image.path.name, 60)}")
        if picture is not None and picture.style != "image":
            if picture.style == "exact" and self.scene.exact is not None:
                parts.append(f"  hidden: {FILL_WORDS[shown_fill(self.scene.exact, self.look).fill]}")
            else:
                parts.append(f"  {picture.style}")
            if picture.style in _LAID_OVER:
                parts.append(f" {picture.opacity:.0%}")
        if self.view.zoom > 1:
            parts.append((f"  {self.view.zoom}x", "bold"))
        self.query_one("#title", FixedWords).say(Content.assemble(*parts))

    @property
    def _heading(self) -> str:
        """What is seen, for the title."""
        if self.beside:
            return "Original, and what the network was given"
        return "What the network was given" if self.in_place else self._wall.card(self._key).card_name

    def _whole_picture(self) -> PictureSpec | None:
        """Return a picture of all of the image; have it drawn first, if the network sees another part of it."""
        scene = self.scene
        image, pixels = scene.image, scene.shown_whole
        if image is None or pixels is None:
            return None
        wanted = image.sha256, scene.eye
        if not scene.sees_all and scene.bundle is not None and wanted != self._asked:
            self._asked = wanted
            self.jobs.draw_whole(self, image, scene.bundle, scene.eye)
        return replace(image_picture(image, pixels), highlight=scene.cell if scene.sees_all else None)

    def _say_what_is_seen(self) -> None:
        """Say below the pictures what each is, and through which window it is seen."""
        scene, room = self.scene, self.size.width - 2
        words = ""
        if self.beside:
            room = (self.size.width - 1) // 2 - 2
            self.query_one("#given-words", FixedWords).say(given_words(scene, room))
        if self.in_place:
            words = given_words(scene, room)
        elif self.shows_image and scene.image is not None:
            words = original_words(scene, room, beside=self.beside)
        elif self.windowed:
            words = window_words(scene, room)
        self.query_one("#words").display = bool(words)
        own = self.windowed and scene.eye is not None
        self.query_one("#window", FixedWords).say(Content.assemble((words, "bold $text-warning" if own else "")))

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what changes something."""
        if not self.is_mounted:
            return True
        match action:
            case action if action in self.WINDOW_ACTIONS:
                return self.offers_window(action, parameters)
            case "magnify":
                return self.view.zoom != (ZOOMS[0] if parameters[0] == -1 else ZOOMS[-1])
            case "pan" | "fit":
                return self.view.zoom > 1
            case "step":
                return len(self._pictures) > 1
            case "display":
                return self._key not in ("original", "agreement", EXACT)
            case "fill":
                return self._key in ("agreement", EXACT) and len(self.fills) > 1
            case "colormap":
                return self._style in ("overlay", "map", "agreement", "exact")
            case "opacity":
                return self._style in _LAID_OVER and self.steps_opacity(parameters)
        return True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str:
        """Say why the picture does not change."""
        match action:
            case action if action in self.WINDOW_ACTIONS:
                return self.why_no_window(action)
            case "magnify":
                return "The picture does not get any " + ("smaller." if parameters[0] == -1 else "larger.")
            case "pan" | "fit":
                return "The whole picture is shown: + magnifies it."
            case "step":
                return "There is no other picture yet."
            case "display" | "colormap":
                return "This picture has no other view." if action == "display" else "This picture shows no map."
            case "fill":
                return self.why_no_fill if self._key in ("agreement", EXACT) else "This picture shows no exact cells."
            case "opacity" if self._style in _LAID_OVER:
                return self.no_more_opacity(parameters)
        return "This picture shows no map over an image."

    def on_resize(self) -> None:
        """Show both pictures, or one, by the room that there is."""
        self._show()
        self.refresh_bindings()

    def on_pannable_view_magnified(self) -> None:
        """Show the new magnification."""
        self._show()
        self.refresh_bindings()

    def action_magnify(self, step: int) -> None:
        self.view.magnify(step)

    def action_fit(self) -> None:
        self.view.fit()

    def action_pan(self, right: int, down: int) -> None:
        self.view.pan(right, down)

    def action_step(self, step: int) -> None:
        """Show the next card that has a picture, at the same magnification and place."""
        keys = self._pictures
        if self._key in keys:
            self._key = keys[(keys.index(self._key) + step) % len(keys)]
            services(self).draw_once(self._show_other)

    def _show_other(self) -> None:
        self._show()
        self.refresh_bindings()

    def action_leave(self) -> None:
        self.dismiss(self._key)
