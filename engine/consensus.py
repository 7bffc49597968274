"""How far the methods agree: counts per cell (paper, section 3.2) and the rank correlation of their maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEPENDENCE_NOTE = (
    "Grad-CAM and Grad-CAM++ use the same activations and gradients: where both mark a cell, that is not two "
    "independent votes."
)


@dataclass(frozen=True, slots=True)
class Consensus:
    """The cumulative map.

    Attributes:
        counts: (3, 3) int; how many methods have the cell among their three. They sum to three per map that is not
            constant: 12 for a full set.
        methods: keys of the methods counted, in order.
        correlation: Spearman's rank correlation of every pair of maps over their pixels, in [-1, 1]; NaN where one of the
            two is constant. Keys are (method, method) in the order of `methods`.
    """

    counts: NDArray[np.int64]
    methods: tuple[str, ...]
    correlation: Mapping[tuple[str, str], float]
