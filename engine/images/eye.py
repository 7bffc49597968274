"""A window for the eye only: a grey image as a person wants to see it, while the network gets what is declared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.images.bits import value_span
from engine.images.dicom.windows import used_window
from engine.images.numbers import window_text
from engine.images.parts import file_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.bundle.specs import InputSpec
    from engine.images.image import MedicalImage

_LEVEL = 0.1
"""A step moves the centre by this share of the width."""

_WIDER = 1.2
"""A step makes the width so many times larger or smaller."""

_WIDEST = 4.0
"""Times the range of an image's values."""


@dataclass(frozen=True, slots=True)
class EyeWindow:
    """The values that are shown between black and white.

    Attributes:
        centre, width: in the unit of the image's values.
        series: which other images it goes on for: those of this DICOM series or NIfTI file; empty for none.
    """

    centre: float
    width: float
    series: str = ""

    @property
    def words(self) -> str:
        """Return it as physicians write it, as `40/400`."""
        return window_text(self.centre, self.width)

    def fits(self, image: MedicalImage) -> bool:
        """Whether it goes on for another image."""
        return bool(self.series) and _series(image) == self.series

    def moved(self, image: MedicalImage, level: float, width: float) -> EyeWindow:
        """Return a window with a higher centre or a larger width, by so many steps; by negative ones the opposite.

        It stays within what an image's values can be. Its numbers are rounded to a hundredth of the width.
        """
        low, high = image.value_range
        span = (high - low) or 1.0
        wide = min(max(self.width * _WIDER**width, span / 2**16), _WIDEST * span)
        unit = 10.0 ** math.floor(math.log10(wide) - 2)
        centre = min(max(self.centre + level * _LEVEL * self.width, low), high)
        return EyeWindow(round(centre / unit) * unit, round(wide / unit) * unit, self.series)

    def shown(self, image: MedicalImage) -> NDArray[np.uint8]:
        """Return a grey image's values through this window, as (H, W, 1) uint8."""
        low = np.float32(self.centre - self.width / 2)
        scaled = (image.pixels - low) * np.float32(255 / self.width)
        tones: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled).astype(np.uint8)
        return np.invert(tones) if image.scan is not None and image.scan.inverted else tones


def fed_window(image: MedicalImage, spec: InputSpec) -> EyeWindow | None:
    """Return the window through which a network gets an image; None for a colour image, which has none."""
    if image.colour != "grey":
        return None
    if image.scan is not None:
        centre, width = used_window(image, spec).numbers
        return EyeWindow(centre, width or 1.0, _series(image))  # that of a constant image has no width
    zero, top = value_span(image, spec)
    return EyeWindow(zero + top / 2, top)


def fed_words(image: MedicalImage, spec: InputSpec) -> str:
    """Return in words through which window a network gets an image, as `40/400 (the file's)`; empty for colours."""
    window = fed_window(image, spec)
    if window is None:
        return ""
    whose = used_window(image, spec).whose if image.scan is not None else "all its values"
    return f"{window.words} ({whose})"


def _series(image: MedicalImage) -> str:
    """Return what an image shares with those of its series, and with no others; empty if it belongs to none."""
    if image.dicom is not None:
        return image.dicom.series
    return "" if image.nifti is None else str(file_of(image.path))
