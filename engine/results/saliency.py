"""The saliency map, which every explanation method returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.results.caution import codes_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Parameter = str | int | float | bool | None
"""A value that a parameter of a method may have; all of them can be written as JSON."""


@dataclass(frozen=True, slots=True)
class CellEstimate:
    """What a sampling method knows about the nine cell means of its map, in the map's raw units.

    Attributes:
        means: (9,) float64, in reading order.
        covariance: (9, 9) float64, of the estimated means; cells are correlated, so differences need it.
        looks: how often the choice of cells may be looked at during the run; each makes certainty harder to claim.
        freedom: degrees of freedom of Student's t for the errors; infinity for the normal distribution, 0 where a part
            of the error is not known at all.
    """

    means: NDArray[np.float64]
    covariance: NDArray[np.float64]
    looks: int = 1
    freedom: float = math.inf


@dataclass(frozen=True, slots=True)
class SaliencyMap:
    """Where a method says the network looked, for one image and one class.

    Attributes:
        method: the method's key, such as `rise` or `gradcam++`.
        target: name of the class that is explained.
        values: (H, W) float32 in [0, 1] at the network's input size, read-only.
        raw_min, raw_max: the range before scaling; equal for a constant map.
        samples: masked images used (0 for the CAMs).
        seed: seed of the random numbers, None where none were drawn.
        seconds: wall time from start to map.
        parameters: every parameter used, device and precision among them.
        stopped: True if the user stopped it before all samples were used.
        cells: the cell means and their covariance, for sampling methods.
        warnings: sentences that must be shown with the map; those of a known kind are `Caution`s.
        blank: probability of the class where the whole image is hidden as this method hides parts of it; None for
            methods that do not know it.
    """

    method: str
    target: str
    values: NDArray[np.float32]
    raw_min: float
    raw_max: float
    samples: int = 0
    seed: int | None = None
    seconds: float = 0.0
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    stopped: bool = False
    cells: CellEstimate | None = None
    warnings: tuple[str, ...] = ()
    blank: float | None = None

    @property
    def constant(self) -> bool:
        """True if the map says nothing: all its values are equal."""
        return self.raw_max <= self.raw_min

    @property
    def warning_codes(self) -> tuple[str, ...]:
        """The codes of the warnings, in their order."""
        return codes_of(self.warnings)

    @property
    def cell_errors(self) -> NDArray[np.float64] | None:
        """(3, 3) standard error of each cell's mean, in units of `values`; None for methods that draw no samples."""
        if self.cells is None or self.constant:
            return None
        import numpy as np

        # The covariance is in raw units; `values` are raw values, moved and divided by their range.
        return np.sqrt(np.diag(self.cells.covariance)).reshape(3, 3) / (self.raw_max - self.raw_min)
