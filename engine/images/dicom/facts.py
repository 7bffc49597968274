"""What is kept of a DICOM header: what the pixels mean, and what people may be shown. Nothing in it names a patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.images.scan import opposite

Shape = Literal["linear", "linear_exact", "sigmoid"]
BurnedIn = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Window:
    """A window of the file, on values after the modality LUT (PS3.3, C.11.2.1.2).

    Attributes:
        centre, width: as the file says them.
        shape: the function that the file names.
    """

    centre: float
    width: float
    shape: Shape = "linear"


@dataclass(frozen=True, slots=True)
class VoiLut:
    """A table of the file that takes the place of a window (PS3.3, C.11.2.1.1).

    Attributes:
        first: the value, after the modality LUT, that the first entry is for.
        top: the entry that stands for white.
        entries: from black to white, 0 to `top`; values before the first and after the last have theirs.
    """

    first: int
    top: int
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DicomFacts:
    """What is kept of the header of one frame.

    Texts are words of closed lists, see `engine.images.dicom.words`: what a file writes into these tags beyond them,
    such as a name, is dropped. So is all else that a header holds.

    Attributes:
        kind: what the standard calls such objects, as `CT Image`.
        modality: its code, as `CT`; empty if the file has none of the standard's.
        photometric: the photometric interpretation of the file, as `MONOCHROME1`.
        frames: how many the file has.
        frame: which of them this is, from 1.
        rows, columns: of pixels.
        bits: how many of a stored sample are significant, 1 to 64.
        allocated: how many bits a stored sample takes.
        low, high: the range of the values after the modality LUT; of floats, that of the frame's own values.
        unit: of these values, as `HU`; empty if it is not known.
        coding: how the pixels are stored, as `JPEG 2000`.
        windows: the file's own, the first of which is meant where one is taken.
        lut: a table of the file in their place.
        padding: the lowest and the highest value after the modality LUT that fill up the frame and are no image.
        body_part, view, laterality: codes, as `CHEST`, `PA` and `L`; empty where the file has none.
        spacing: millimetres between the centres of two rows, and of two columns; None if not known.
        aspect: the height of a pixel divided by its width.
        edges: where in the patient the right and the lower edge of the picture lie, as `("L", "F")`; None if not known.
        burned_in: whether the file says that its pixels show who the patient is.
        series: a hash that is the same for the images of a series, and for no others; never shown or written.
        series_number, instance_number: as the device counted.
        position: along the normal of the slices, in millimetres; None if not known.
        description: of the series, only its words of the trade.
    """

    kind: str
    modality: str
    photometric: str
    frames: int
    frame: int
    rows: int
    columns: int
    bits: int
    allocated: int
    low: float
    high: float
    unit: str = ""
    coding: str = ""
    windows: tuple[Window, ...] = ()
    lut: VoiLut | None = None
    padding: tuple[float, float] | None = None
    body_part: str = ""
    view: str = ""
    laterality: str = ""
    spacing: tuple[float, float] | None = None
    aspect: float = 1.0
    edges: tuple[str, str] | None = None
    burned_in: BurnedIn = "unknown"
    series: str = ""
    series_number: int = 0
    instance_number: int = 0
    position: float | None = None
    description: str = ""

    @property
    def grey(self) -> bool:
        """Whether it has one value a pixel, to which a window applies."""
        return self.photometric.startswith("MONOCHROME")

    @property
    def inverted(self) -> bool:
        """Whether its low values are white."""
        return self.photometric == "MONOCHROME1"

    @property
    def letters(self) -> tuple[str, str, str, str] | None:
        """Where in the patient the left, right, upper and lower edges of the picture lie; None if not known."""
        if self.edges is None:
            return None
        right, lower = self.edges
        return opposite(right), right, opposite(lower), lower
