"""What facts of a DICOM frame and of a NIfTI slice have in common: values with a window, and a place in a patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.images.dicom.facts import VoiLut, Window

_OPPOSITES = str.maketrans("LRAPHF", "RLPAFH")
_OBLIQUE = 0.2
"""The least share of a direction that is worth a letter: 12 degrees."""


class ScanFacts(Protocol):
    """What is kept of a header whose values need a window before people, or a network, see them."""

    @property
    def photometric(self) -> str:
        """`MONOCHROME1` if low values are white, another `MONOCHROME2`, or how colours are stored."""

    @property
    def rows(self) -> int:
        """Rows of pixels."""

    @property
    def columns(self) -> int:
        """Columns of pixels."""

    @property
    def bits(self) -> int:
        """How many bits of a stored sample are significant, 1 to 64."""

    @property
    def allocated(self) -> int:
        """How many bits a stored sample takes."""

    @property
    def low(self) -> float:
        """The least value that a pixel may have; of floats, that it has."""

    @property
    def high(self) -> float:
        """The greatest value likewise."""

    @property
    def unit(self) -> str:
        """The unit of its values, as `HU`; empty if it is not known."""

    @property
    def windows(self) -> tuple[Window, ...]:
        """The file's own, the first of which is meant where one is taken."""

    @property
    def lut(self) -> VoiLut | None:
        """A table of the file in their place."""

    @property
    def padding(self) -> tuple[float, float] | None:
        """The lowest and the highest value that fill up the picture and are no image."""

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Millimetres between the centres of two rows, and of two columns; None if not known."""

    @property
    def aspect(self) -> float:
        """The height of a pixel divided by its width."""

    @property
    def letters(self) -> tuple[str, str, str, str] | None:
        """Where in the patient the left, right, upper and lower edges of the picture lie; None if not known."""

    @property
    def grey(self) -> bool:
        """Whether it has one value a pixel, to which a window applies."""

    @property
    def inverted(self) -> bool:
        """Whether its low values are white."""


def opposite(letters: str) -> str:
    """Return the letters of the opposite direction in the patient."""
    return letters.translate(_OPPOSITES)


def letters_of(direction: Sequence[float]) -> str:
    """Return the letters of a direction in the patient, the strongest first: of (0.9, 0.4, 0) they are `LP`.

    Args:
        direction: (3,) a unit vector towards the patient's left, back and head, as DICOM has them.
    """
    named = zip(direction, ("LR", "PA", "HF"), strict=True)
    strong = sorted(((abs(part), pair[part < 0]) for part, pair in named if abs(part) >= _OBLIQUE), reverse=True)
    return "".join(letter for _, letter in strong)
