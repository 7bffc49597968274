"""Whether the choice of the three top cells is settled, or may be due to the chance of the random masks."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from engine.results.cells import CELLS, GRID, TOP, Cell, rank_cells

if TYPE_CHECKING:
    from engine.results.saliency import CellEstimate, SaliencyMap

CONFIDENCE = 0.99
"""How sure a choice of three cells must be to be called certain."""

_PAIRS = TOP * (GRID * GRID - TOP)


def separation_quantile(looks: int, freedom: float = math.inf) -> float:
    """Return how many standard errors the means of two cells must differ by to count as separated.

    The choice is wrong only if one of the 3 x 6 pairs (chosen, not chosen) is in the wrong order, so each pair gets an
    equal share of the error probability, and each look at the running result another (Bonferroni on both counts).

    Args:
        looks: how often the choice is looked at.
        freedom: degrees of freedom of the errors, see `CellEstimate`; 0 gives infinity.
    """
    share = (1.0 - CONFIDENCE) / (_PAIRS * max(looks, 1))
    if freedom <= 0.0:
        return math.inf
    if math.isinf(freedom):
        return NormalDist().inv_cdf(1.0 - share)
    from scipy.special import stdtrit  # late: only LIME needs it, which imports scipy anyway

    return float(stdtrit(freedom, 1.0 - share))


def unsettled_cells(estimate: CellEstimate) -> tuple[Cell, ...]:
    """Return the cells whose place among the three is not settled, in reading order; none if the choice is certain.

    A chosen cell and another one are separated if their means differ by more than `separation_quantile` standard errors
    of the difference, the cells' covariance included. Without any spread (variance 0), any difference settles it.
    """
    order = [CELLS.index(cell) for cell in rank_cells(estimate.means.reshape(GRID, GRID))]
    quantile = separation_quantile(estimate.looks, estimate.freedom)
    open_cells: set[int] = set()
    for chosen in order[:TOP]:
        for other in order[TOP:]:
            gap = float(estimate.means[chosen] - estimate.means[other])
            own, others, both = (
                float(estimate.covariance[pair]) for pair in ((chosen, chosen), (other, other), (chosen, other))
            )
            # Var(a - b) = Var(a) + Var(b) - 2 Cov(a, b).
            variance = own + others - 2.0 * both  # rounding may make it negative
            # Written so that NaN, from an infinite quantile, leaves a pair open.
            if not math.isfinite(variance) or not gap > quantile * math.sqrt(max(variance, 0.0)):
                open_cells |= {chosen, other}
    return tuple(CELLS[i] for i in sorted(open_cells))


def equal_at_the_border(means: np.ndarray) -> tuple[Cell, ...]:
    """Return the cells of an exact map that tie for the last of the three places; none if the fourth cell is lower."""
    order = rank_cells(means)
    border = float(means[order[TOP - 1]])
    if float(means[order[TOP]]) < border:
        return ()
    return tuple(cell for cell in CELLS if float(means[cell]) == border)


def reliability_of(saliency: SaliencyMap) -> float:
    """Return which share of the variance of the nine cell means is not the chance of the samples, in [0, 1]."""
    if saliency.cells is None:
        return 1.0
    means, covariance = saliency.cells.means, saliency.cells.covariance
    # What all nine have in common, ranks do not show.
    centring = np.eye(len(means)) - 1.0 / len(means)
    chance = float(np.trace(centring @ covariance @ centring))
    spread = float(((means - means.mean()) ** 2).sum())
    return max(0.0, 1.0 - chance / spread) if spread > 0.0 else 0.0
