"""Keep the last few images with their results, so that going back to one is instant."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.explanation.explain import Explanation
    from engine.images.eye import EyeWindow
    from engine.images.image import MedicalImage
    from engine.results.diagnosis import Diagnosis
    from engine.results.exact_cells import ExactCells


@dataclass(frozen=True, slots=True)
class CachedImage:
    """An image, the part of it that the network sees and through which window, its answer, maps and exact cells."""

    image: MedicalImage
    pixels: NDArray[np.uint8]
    diagnosis: Diagnosis
    explanation: Explanation | None
    exact: ExactCells | None = None
    window: tuple[EyeWindow, str] | None = None

    @property
    def bytes(self) -> int:
        """Bytes held, to within a few kilobytes."""
        held = self.image.pixels.nbytes + self.pixels.nbytes
        if self.explanation is not None:
            held += self.explanation.view.nbytes + sum(made.values.nbytes for made in self.explanation.maps.values())
        if self.exact is not None:
            held += sum(
                array.nbytes
                for found in self.exact.fills.values()
                for array in (found.values, found.shapley, found.interactions, found.kept_ranks, found.hidden_ranks)
            )
        return held


class ImageCache:
    """The images viewed last, as many as fit.

    Args:
        limit: bytes; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._images: OrderedDict[Hashable, CachedImage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._images)

    def keep(self, key: Hashable, image: CachedImage) -> None:
        """Keep an image; those not viewed for the longest time make room for it."""
        self._images.pop(key, None)
        self._images[key] = image
        # The image itself goes, too, if it alone is larger than the limit.
        while sum(other.bytes for other in self._images.values()) > self._limit:
            self._images.popitem(last=False)

    def get(self, key: Hashable) -> CachedImage | None:
        """Return an image with its results; None if it is not kept any more."""
        if key in self._images:
            self._images.move_to_end(key)
        return self._images.get(key)

    def drop(self, key: Hashable) -> None:
        """Forget an image whose results are no longer true."""
        self._images.pop(key, None)
