"""The keys that change how pictures are shown; the same on every screen with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual.binding import Binding, BindingType

from xaimed_tui.app_services import services
from xaimed_tui.preferences.look import DISPLAYS, Display, Look

if TYPE_CHECKING:
    from textual.widget import Widget

LOOK_BINDINGS: tuple[BindingType, ...] = (
    Binding("o", "display", "View"),
    Binding("u", "fill", "Fill"),
    Binding("m", "colormap", "Colours", show=False),
    Binding("left_square_bracket", "opacity(-1)", "Less opaque", key_display="[", show=False),
    Binding("right_square_bracket", "opacity(1)", "More opaque", key_display="]", show=False),
)

Offer = tuple[str, str, str]
"""A command of the palette: its name, its key or a word about it, its action."""

LOOK_OFFERS: tuple[Offer, ...] = (
    ("Overlay, map alone, or cells", "o", "display"),
    ("Hide cells in another way, for the exact cells", "u", "fill"),
    ("Change the colours of the maps", "m", "colormap"),
    ("Let the map cover less of the image", "[", "opacity(-1)"),
    ("Let the map cover more of the image", "]", "opacity(1)"),
)


class LookKeys:
    """A mixin for screens and views with `LOOK_BINDINGS`: they draw their pictures again when the look has changed."""

    @property
    def look(self) -> Look:
        """How pictures are shown."""
        raise NotImplementedError

    displays: Sequence[Display] = DISPLAYS
    """The displays that pictures are shown in here."""

    @property
    def fills(self) -> Sequence[str]:
        """The fills for which the exact cells are known here."""
        return ()

    @property
    def why_no_fill(self) -> str:
        """The sentence for the key of the fills where it changes nothing."""
        if not self.fills:
            return "The exact cells are not known yet."
        return "The exact cells are known for one way to hide cells only."

    def look_changed(self) -> None:
        """Draw the pictures again."""
        raise NotImplementedError

    def steps_opacity(self, parameters: tuple[object, ...]) -> bool:
        """Whether the key with these parameters changes the opacity: at either end it does not."""
        (step,) = parameters
        return isinstance(step, int) and self.look.opacity_after(step) != self.look.opacity

    def no_more_opacity(self, parameters: tuple[object, ...]) -> str:
        """Return the sentence for the key with these parameters where the opacity is at its end."""
        return f"The map cannot cover {'more' if parameters[0] == 1 else 'less'} of the image."

    def action_display(self) -> None:
        """Go on to the next display: overlay, map alone, cells on the image, as far as they are shown here."""
        self.look.next_display(self.displays)
        self._changed()

    def action_fill(self) -> None:
        """Show the exact cells for the next way to hide cells."""
        self.look.next_fill(self.fills)
        self._changed()

    def action_colormap(self) -> None:
        self.look.next_colormap()
        self._changed()

    def action_opacity(self, step: int) -> None:
        """Let the map cover more of the image, or less."""
        self.look.step_opacity(step)
        self._changed()

    def _changed(self) -> None:
        app = services(cast("Widget", self))
        app.remember_look()
        app.draw_once(self.look_changed)
