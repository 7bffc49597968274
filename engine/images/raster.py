"""Picture files to pixels: the one place that opens images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = Literal["grey", "rgb"]


@dataclass(frozen=True, slots=True)
class MedicalImage:
    """A decoded image, as read: no scaling, no colour conversion beyond palette and opaque alpha.

    Attributes:
        pixels: (H, W, C) float32, C 1 or 3, in [0, 2**bit_depth - 1], read-only.
        bit_depth: 8 or 16.
        colour: `grey` (C = 1) or `rgb` (C = 3).
        path: the file it came from.
        sha256: hex digest of shape, depth and decoded pixels.
        metadata: allow-listed facts of the file (`format`, `orientation`, ...), safe to show.
    """

    pixels: NDArray[np.float32]
    bit_depth: int
    colour: Colour
    path: Path
    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])
