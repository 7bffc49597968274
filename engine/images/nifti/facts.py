"""What is kept of a NIfTI header: how the voxels are stored and how they lie. None of its free texts is among it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.images.nifti.recognising import PLANES, Plane, slice_name
from engine.images.scan import opposite

if TYPE_CHECKING:
    from engine.images.dicom.facts import VoiLut, Window

Kind = Literal["NIfTI-1", "NIfTI-2"]
Sample = Literal["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "rgb", "rgba"]
Orientation = Literal["known", "unknown", "disputed"]

NO_PHOTOGRAPHS = ("a map of labels", "a statistical map", "a field of vectors")
"""What a volume may be that no device took, by its intent code."""

_ASPECTS = (0.01, 100.0)
"""Beyond these, the sides of a voxel are no measure of a picture."""


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What is kept of the header of a file with one volume or several of the same grid.

    Attributes:
        kind: the version of the format.
        shape: voxels along each axis, as the file stores them: the first one varies quickest.
        volumes: how many the file has.
        sample: how a voxel is stored: an integer or a float of so many bytes, or colours of one byte each.
        slope, intercept: what stored numbers are multiplied by, and what is added then.
        axes: which of the file's axes runs closest to the patient's right, front and head, or away from it.
        reversed: whether it runs away from it.
        letters: where the patient's right, front and head ends of these axes lie: `R`, `A` and `H`, or for instance
            `RA`, where they are oblique; None if the file does not say how it lies.
        orientation: whether the file says how the volume lies in the patient; `disputed` if it says two things that
            differ, of which the first is believed (sform before qform, as nibabel does).
        sides: of a voxel, along these axes.
        millimetres: whether that is their unit.
        window: the values that the file wants shown as black and as white; None if it names none.
        photograph: empty, or what the volume is in place of an image that a device took.
    """

    kind: Kind
    shape: tuple[int, int, int]
    volumes: int
    sample: Sample
    slope: float
    intercept: float
    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]
    letters: tuple[str, str, str] | None
    orientation: Orientation
    sides: tuple[float, float, float]
    millimetres: bool
    window: tuple[float, float] | None
    photograph: str = ""

    @property
    def voxel_bytes(self) -> int:
        """How many bytes a voxel takes."""
        return {"rgb": 3, "rgba": 4}.get(self.sample) or int(self.sample[1:])

    @property
    def grey(self) -> bool:
        """Whether a voxel is one number."""
        return not self.sample.startswith("rgb")

    def count(self, plane: Plane) -> int:
        """Return how many slices there are when it is cut in a plane."""
        return self.shape[self.axes[normal(plane)]]

    @property
    def only(self) -> Plane | None:
        """The plane in which it is a single slice; None if it has more whichever way it is cut."""
        return next((plane for plane in PLANES if self.count(plane) == 1), None)

    def size(self, plane: Plane) -> tuple[int, int]:
        """Return rows and columns of a slice."""
        across, up = in_plane(plane)
        return self.shape[self.axes[up]], self.shape[self.axes[across]]

    def names(self, name: str, plane: Plane) -> tuple[str, ...]:
        """Return the names of all slices in a plane, volume by volume."""
        several = self.volumes > 1
        return tuple(
            slice_name(name, plane, index, volume if several else None)
            for volume in range(1, self.volumes + 1)
            for index in range(1, self.count(plane) + 1)
        )


@dataclass(frozen=True, slots=True)
class NiftiFacts:
    """What is kept of one slice; see `engine.images.scan.ScanFacts` for what it shares with a DICOM frame.

    Attributes:
        of: the file's header.
        plane: the way it is cut.
        index: its number, from 1; see `Slice`.
        volume: the number of its volume, from 1.
        low, high: the range of its values; of floats, that of the slice's own.
    """

    of: VolumeFacts
    plane: Plane
    index: int
    volume: int
    low: float
    high: float

    @property
    def photometric(self) -> str:
        """See `ScanFacts.photometric`."""
        return "MONOCHROME2" if self.of.grey else "RGB"

    @property
    def rows(self) -> int:
        """See `ScanFacts.rows`."""
        return self.of.size(self.plane)[0]

    @property
    def columns(self) -> int:
        """See `ScanFacts.columns`."""
        return self.of.size(self.plane)[1]

    @property
    def bits(self) -> int:
        """See `ScanFacts.bits`."""
        return 8 * self.of.voxel_bytes if self.of.grey else 8

    @property
    def allocated(self) -> int:
        """See `ScanFacts.allocated`."""
        return self.bits

    @property
    def unit(self) -> str:
        """Empty: the format has no place for it."""
        return ""

    @property
    def windows(self) -> tuple[Window, ...]:
        """See `ScanFacts.windows`."""
        from engine.images.dicom.facts import Window

        if self.of.window is None or not self.grey:
            return ()
        low, high = self.of.window
        return (Window((low + high) / 2, high - low, "linear_exact"),)

    @property
    def lut(self) -> VoiLut | None:
        """None: the format has none."""
        return None

    @property
    def padding(self) -> tuple[float, float] | None:
        """None: the format has no place for it."""
        return None

    @property
    def spacing(self) -> tuple[float, float] | None:
        """See `ScanFacts.spacing`."""
        return self._sides if self.of.millimetres else None

    @property
    def aspect(self) -> float:
        """See `ScanFacts.aspect`."""
        rows, columns = self._sides
        return rows / columns if _ASPECTS[0] <= rows / columns <= _ASPECTS[1] else 1.0

    @property
    def letters(self) -> tuple[str, str, str, str] | None:
        """See `ScanFacts.letters`."""
        if self.of.letters is None:
            return None
        across, up = (self.of.letters[axis] for axis in in_plane(self.plane))
        return across, opposite(across), up, opposite(up)

    @property
    def grey(self) -> bool:
        """See `ScanFacts.grey`."""
        return self.of.grey

    @property
    def inverted(self) -> bool:
        """False: low values are black."""
        return False

    @property
    def _sides(self) -> tuple[float, float]:
        across, up = in_plane(self.plane)
        return self.of.sides[up], self.of.sides[across]


def normal(plane: Plane) -> int:
    """Return the axis along which slices follow each other: 0 to the right, 1 to the front, 2 to the head."""
    return {"sagittal": 0, "coronal": 1, "axial": 2}[plane]


def in_plane(plane: Plane) -> tuple[int, int]:
    """Return the axes that run along a slice's rows, and along its columns.

    Of both, a picture begins with the end: the patient's right is at its left edge, the front (or the head) at the top.
    """
    across, up = (axis for axis in range(3) if axis != normal(plane))
    return across, up
