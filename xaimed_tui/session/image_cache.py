"""The last few images with what was found out about them, so that going back to one is instant."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage
    from engine.results.diagnosis import Diagnosis


@dataclass(frozen=True, slots=True)
class Known:
    """An image, the part of it that the network sees, the network's answer, and the maps made."""

    image: MedicalImage
    pixels: NDArray[np.uint8]
    diagnosis: Diagnosis
    explanation: Explanation | None

    @property
    def bytes(self) -> int:
        """Memory held, to within a few kilobytes."""
        held = self.image.pixels.nbytes + self.pixels.nbytes
        if self.explanation is not None:
            held += self.explanation.view.nbytes + sum(made.values.nbytes for made in self.explanation.maps.values())
        return held


class Kept:
    """The images looked at last, as many as fit.

    Args:
        limit: bytes; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[Hashable, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, key: Hashable, known: Known) -> None:
        """Keep an image; those not looked at for the longest time make room for it."""
        self._known.pop(key, None)
        self._known[key] = known
        while sum(other.bytes for other in self._known.values()) > self._limit:
            self._known.popitem(last=False)

    def get(self, key: Hashable) -> Known | None:
        """What is known of an image; None if nothing is any more."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def drop(self, key: Hashable) -> None:
        """What was known of an image is not true any more."""
        self._known.pop(key, None)
