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
    cell: Cell | None = None
    look: Look = field(default_factory=Look)

    @property
    def explained_class(self) -> str | None:
        """The class that maps are made for."""
        return self.target or (self.diagnosis.predicted if self.diagnosis is not None else None)

    def forget_image(self) -> None:
        """Forget the image and all that belongs to it: none of it may be drawn any more."""
        self.image = self.pixels = self.diagnosis = self.explanation = self.exact = None
