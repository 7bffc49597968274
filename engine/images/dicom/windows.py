"""What a network is fed with of a DICOM or NIfTI image's values: the window, as the bundle declares it.

Windows are for grey values after the modality LUT (PS3.3, C.11.2.1), of NIfTI after slope and intercept; colours are
divided by their full scale. Where a file's low values are white (MONOCHROME1), black and white are exchanged behind the
window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.images.numbers import number_text
from engine.results.caution import Caution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.bundle.specs import DicomSpec, InputSpec
    from engine.images.dicom.facts import Shape, VoiLut
    from engine.images.image import MedicalImage
    from engine.images.scan import ScanFacts

Source = Literal["bundle", "file", "values", "colours"]

_Range = tuple[float, float]
_KEPT = 256
_ranges: dict[tuple[str, _Range | None, _Range | None], _Range] = {}
"""What was measured of images, by their digest, the values that fill them up, and the percentiles: it is asked for
several times an image, and takes a moment."""


@dataclass(frozen=True, slots=True)
class UsedWindow:
    """The window that an image is fed through.

    Attributes:
        source: who says so: the `bundle`, the `file`, or the image's own `values`, from their least to their greatest;
            `colours` have none.
        low, high: the values that become black and white; of a sigmoid, a quarter of whose slope they are, too.
        shape: how values between them are spread.
        lut: the file's table, in place of all that.
        guessed: whether nobody declared it.
    """

    source: Source
    low: float
    high: float
    shape: Shape = "linear_exact"
    lut: VoiLut | None = None
    guessed: bool = False

    @property
    def words(self) -> str:
        """What people are told of it."""
        if self.source == "colours":
            return ""
        if self.lut is not None:
            return f"a table of the file, from {self.lut.first:,} on"
        centre, width = self.numbers
        return f"centre {centre:g}, width {width:g} ({self.whose})"

    @property
    def numbers(self) -> tuple[float, float]:
        """Centre and width, as a file says them; of a table those of the values that it is for."""
        if self.lut is not None:
            return self.lut.first + len(self.lut.entries) / 2, float(len(self.lut.entries))
        centre, width = (self.low + self.high) / 2, self.high - self.low
        return (centre + 0.5, width + 1) if self.shape == "linear" else (centre, width)  # see `_of_file`

    @property
    def whose(self) -> str:
        """Who says so, and what is particular about it."""
        of = {"bundle": "the model's", "file": "the file's", "values": "the image's own range"}.get(self.source, "")
        curved = ", sigmoid" if self.shape == "sigmoid" else ""
        return f"{of}{', a table' if self.lut is not None else curved}"


def used_window(image: MedicalImage, spec: InputSpec) -> UsedWindow:
    """Return the window that a DICOM or NIfTI image is fed through."""
    facts, declared = image.scan, spec.dicom
    assert facts is not None
    if not facts.grey:
        return UsedWindow("colours", 0.0, facts.high)
    if declared is not None and declared.centre is not None and declared.width is not None:  # "fixed"
        half = declared.width / 2
        return UsedWindow("bundle", declared.centre - half, declared.centre + half)
    measured = declared is not None and declared.window in ("minmax", "percentile")
    if not measured and (own := _of_file(facts)) is not None:
        return own
    low, high = _range_of_values(image, declared)
    return UsedWindow("values", low, high, guessed=not measured)


def window_warnings(image: MedicalImage, spec: InputSpec) -> tuple[Caution, ...]:
    """Return the doubt about a window that nobody declared; empty for pictures."""
    if image.scan is None or not (used := used_window(image, spec)).guessed:
        return ()
    who = "Neither the file nor the model declares a window" if spec.dicom is None else "The file has no window"
    low, high = (number_text(each, used.high - used.low) for each in (used.low, used.high))
    return (
        Caution(
            "window",
            f"{who}: the image's values from {low} to {high} were spread from black to white, so the "
            "same tissue may look otherwise in another image.",
        ),
    )


def windowed(image: MedicalImage, spec: InputSpec) -> NDArray[np.float32]:
    """Return a DICOM or NIfTI image's values as (H, W, C) float32 in [0, 1], 0 for black."""
    assert image.scan is not None
    used = used_window(image, spec)
    unit = _through(image.pixels, used)
    return np.float32(1) - unit if image.scan.inverted else unit


def _range_of_values(image: MedicalImage, declared: DicomSpec | None) -> tuple[float, float]:
    """Return the least and the greatest value of an image, or its percentiles; what fills up its frame aside."""
    assert image.scan is not None
    padding = image.scan.padding
    percentiles = declared.percentiles if declared is not None and declared.window == "percentile" else None
    key = (image.sha256, padding, percentiles)
    if (known := _ranges.get(key)) is not None:
        return known
    values = image.pixels.ravel()
    if padding is not None:
        real = values[(values < padding[0]) | (values > padding[1])]
        values = real if real.size else values
    low, high = (values.min(), values.max()) if percentiles is None else np.percentile(values, percentiles)
    if len(_ranges) >= _KEPT:
        _ranges.clear()
    _ranges[key] = found = float(low), float(high)
    return found


def _of_file(facts: ScanFacts) -> UsedWindow | None:
    """Return the file's own window; its table goes first, as in pydicom (the standard leaves the choice to people)."""
    if facts.lut is not None and facts.lut.entries:
        return UsedWindow("file", 0.0, 0.0, lut=facts.lut)
    for window in facts.windows[:1]:
        centre, width = window.centre, window.width
        if window.shape == "linear":  # PS3.3, C.11.2.1.2.1: the centre of a range of whole numbers
            centre, width = centre - 0.5, width - 1
        return UsedWindow("file", centre - width / 2, centre + width / 2, window.shape)
    return None


def _through(pixels: NDArray[np.float32], used: UsedWindow) -> NDArray[np.float32]:
    """Return values as float32 in [0, 1]. Computed in float64: values of 32 bits differ by less than float32 holds."""
    if used.lut is not None:
        places = np.clip(np.floor(pixels.astype(np.float64)) - used.lut.first, 0, len(used.lut.entries) - 1)
        entries = np.asarray(used.lut.entries, dtype=np.float64) / used.lut.top
        return np.asarray(entries[places.astype(np.int64)], dtype=np.float32)
    if used.source == "colours":
        return np.asarray(np.clip(pixels / np.float32(used.high), np.float32(0), np.float32(1)), dtype=np.float32)
    values = pixels.astype(np.float64)
    width = used.high - used.low
    if used.shape == "sigmoid":  # PS3.3, C.11.2.1.3.1
        with np.errstate(over="ignore"):
            spread = 1 / (1 + np.exp(-4 * (values - (used.low + used.high) / 2) / width))
    elif width > 0:
        spread = (values - used.low) / width
    else:  # a constant image, or a window of width 1, which is a threshold
        spread = (values > used.high).astype(np.float64)
    return np.asarray(np.clip(spread, 0.0, 1.0), dtype=np.float32)
