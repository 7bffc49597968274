"""What stands on the six cards of Visualize & Explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.content import Content

from engine.explanation import METHODS
from engine.text import safe_text
from xaimed_tui.method_run import MethodRun
from xaimed_tui.names import METHOD_KEYS
from xaimed_tui.screens.pictures import agreement_caption, agreement_picture, method_picture
from xaimed_tui.widgets.card import Card, method_caption, method_state

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.explanation import Explanation
    from engine.images.raster import MedicalImage

Display = Literal["overlay", "map", "cells"]
DISPLAYS: tuple[Display, ...] = ("overlay", "map", "cells")


@dataclass(frozen=True)
class Shown:
    """What the cards need to know.

    Attributes:
        image, pixels: the image and the part of it that the network sees, once read.
        answered: whether the network has answered for it.
        words: what to say in the original's place while there is none.
        display: how maps are shown.
        now: by the jobs' clock.
        explanation: the maps made so far.
    """

    image: MedicalImage | None
    pixels: NDArray[np.uint8] | None
    answered: bool
    words: str
    display: Display
    now: float
    explanation: Explanation | None


def show_original(card: Card, shown: Shown) -> None:
    """The image, its name and size."""
    from xaimed_tui.render.spec import PictureSpec

    image = shown.image
    if image is None or shown.pixels is None:
        card.show(None, words=shown.words)
        return
    colour = "grey" if image.colour == "grey" else "RGB"
    facts = f"{safe_text(image.path.name)}\n{image.width}x{image.height} {colour}, {image.bit_depth} bit"
    card.show(PictureSpec(shown.pixels), caption=Content(facts))


def show_method(card: Card, run: MethodRun, shown: Shown) -> None:
    """A method's map, its state, its three cells."""
    card.show(
        method_picture(shown.pixels, run.map, run.statistics, shown.display),
        words=_words(run, answered=shown.answered),
        state=method_state(run),
        caption=method_caption(run, card.size.width - 2, shown.now),
    )


def show_progress(card: Card, run: MethodRun, shown: Shown) -> None:
    """The words of a method's card only: the picture has not changed."""
    card.caption(method_caption(run, card.size.width - 2, shown.now), method_state(run))
    if run.map is None:
        card.view.placeholder = _words(run, answered=shown.answered)


def show_agreement(card: Card, shown: Shown) -> None:
    """The counts of the maps made so far."""
    if shown.explanation is None or shown.pixels is None:
        card.show(None, words="counts where the methods agree" if shown.answered else "")
        return
    state = f"{len(shown.explanation.consensus.methods)} of {len(METHODS)}"
    card.show(agreement_picture(shown.explanation), state=state, caption=agreement_caption(shown.explanation))


def _words(run: MethodRun, *, answered: bool) -> str:
    match run.state:
        case "failed":
            return "no map"
        case "waiting":
            return "waits for its turn"
        case "running":
            return "at work…"
        case "stopped":
            return "stopped before a first map"
    if not answered:
        return ""
    key = next(key for key, method in METHOD_KEYS.items() if method == run.method)
    return f"{key} makes this map\ne makes all four"
