"""What Visualize & Explain shows at the moment: the network, the image, the answer, the maps so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xaimed_tui.preferences.look import Look

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.bundle.model_bundle import ModelBundle
    from engine.explanation.explain import Explanation
    from engine.images.eye import EyeWindow
    from engine.images.image import MedicalImage
    from engine.results.cells import Cell
    from engine.results.diagnosis import Diagnosis
    from engine.results.exact_cells import ExactCells
    from xaimed_tui.background.backend import Model


@dataclass
class Scene:
    """The network and the image that are looked at, and what is known of them.

    Attributes:
        bundle, model: the network in use.
        target: class to explain, None for the predicted one.
        layer: the layer that the CAMs use, None for the model's default.
        image, pixels: the image and the part of it that the network sees, once read.
        diagnosis: the network's answer, once made.
        explanation: the maps made so far.
        exact: the exact cells, under the fills done so far; they may be known before there is a map.
        words: what to say instead of an image while there is none.
        window: the window through which the network gets the image, and in words; None for a colour image.
        eye: the window through which it is looked at instead; None for the network's. It goes on for its series.
        seen: the image through that window, once drawn.
        as_given: whether what the network was given is shown, too; it stays so for the next one.
        given: a picture of that, once made.
        whole: all of the image, of which the network sees a part, once drawn, and through which window.
        goes_on: whether the next image's answer is awaited after one: the cards go on saying what can be made.
        cell: the cell pointed out in every picture, with its numbers below them; None for no cell.
        look: how pictures are shown; it stays the same for the next image.
    """

    bundle: ModelBundle | None = None
    model: Model | None = None
    target: str | None = None
    layer: str | None = None
    image: MedicalImage | None = None
    pixels: NDArray[np.uint8] | None = None
    diagnosis: Diagnosis | None = None
    explanation: Explanation | None = None
    exact: ExactCells | None = None
    words: str = ""
    window: tuple[EyeWindow, str] | None = None
    eye: EyeWindow | None = None
    seen: NDArray[np.uint8] | None = None
    as_given: bool = False
    given: NDArray[np.uint8] | None = None
    whole: tuple[EyeWindow | None, NDArray[np.uint8]] | None = None
    goes_on: bool = False
    cell: Cell | None = None
    look: Look = field(default_factory=Look)

    @property
    def explained_class(self) -> str | None:
        """The class that maps are made for."""
        return self.target or (self.diagnosis.predicted if self.diagnosis is not None else None)

    @property
    def offers(self) -> bool:
        """Whether the cards say how their maps are made: also from one image to the next, where it stays true."""
        return self.diagnosis is not None or self.goes_on

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The image as people look at it: through the network's window or their own, once it is drawn."""
        return self.pixels if self.eye is None else self.seen

    @property
    def shown_given(self) -> NDArray[np.uint8] | None:
        """What the network was given, if it is shown now."""
        return self.given if self.as_given and self.diagnosis is not None else None

    @property
    def seen_share(self) -> tuple[float, float]:
        """How much of the image's width and height the network sees, of its middle; beyond 1 there is padding."""
        if self.image is None or self.pixels is None:
            return 1.0, 1.0
        return self.pixels.shape[1] / self.image.width, self.pixels.shape[0] / self.image.height

    @property
    def sees_all(self) -> bool:
        """Whether the network sees just the image: no part of it alone, and no padding around it."""
        return self.seen_share == (1.0, 1.0)

    @property
    def shown_whole(self) -> NDArray[np.uint8] | None:
        """All of the image as people look at it; until it is drawn, what the network sees of it."""
        return self.shown if self.sees_all or self.whole is None else self.whole[1]

    def forget_image(self) -> None:
        """Forget the image and all that belongs to it: none of it may be drawn any more."""
        self.image = self.pixels = self.diagnosis = self.explanation = self.exact = None
        self.window = self.seen = self.given = self.whole = None
        self.goes_on = False
