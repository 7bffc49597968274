"""LIME over several segmentations: how they are drawn, how they share the samples, and what their spread says.

Where the superpixels' borders lie is chance, too. On the bundled network, LIME's cell means change more from one
segmentation to the next than with the samples: of 32 pairs of runs that were both certain of their three cells, but
with other numbers of superpixels, 17 named other cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.explainers.superpixels import Superpixels, superpixels
from engine.results.cells import CELLS
from engine.results.saliency import CellEstimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_A_SUPERPIXEL = 2
"""Samples that a segmentation needs for each of its superpixels."""

_FEWEST, _MOST = 0.7, 1.4
"""The number of superpixels aimed at varies between these shares of the number wanted: 35 to 70 for 50."""


def split_samples(samples: int, segmentations: int, wanted: int) -> tuple[int, ...]:
    """Return the number of samples of each segmentation; fewer segmentations where there are few samples.

    Args:
        samples: in all.
        segmentations: how many to share them, at most.
        wanted: number of superpixels wanted.
    """
    count = max(min(segmentations, samples // (FEWEST_A_SUPERPIXEL * wanted)), 1)
    return tuple(samples // count + (number < samples % count) for number in range(count))


def draw_superpixels(picture: NDArray[np.float32], wanted: int, draw: np.random.Generator) -> Superpixels:
    """Return superpixels of a random number and place: about `wanted`, in a grid that is shifted at random.

    Args:
        picture: (H, W, C) in [0, 1], C 1 or 3.
        wanted: number of superpixels about which the number varies.
        draw: the source of the random numbers.
    """
    # The logarithm is uniform: twice as many are as likely as half as many.
    aim = round(wanted * _FEWEST * (_MOST / _FEWEST) ** draw.random())
    spacing = max(round((picture.shape[0] * picture.shape[1] / aim) ** 0.5), 1)
    down, right = (int(shift) for shift in draw.integers(0, spacing, 2))
    return superpixels(picture, max(aim, 2), (down, right))


def pooled_cells(
    means: Sequence[NDArray[np.float64]], covariances: Sequence[NDArray[np.float64]], looks: int
) -> CellEstimate:
    """Return the mean of several segmentations' cell means, with its error.

    Two parts make up the variance of a difference between two cells: that of the samples, which each segmentation's fit
    tells, and that of the segmentations. With five of them, the spread of one difference says little (4 degrees of
    freedom), so the second part is pooled over all 36 differences. These vary together; how many of them are
    independent follows from their covariance.

    Args:
        means: (9,) cell means of every segmentation.
        covariances: (9, 9) of these means, as far as the samples go.
        looks: as in `CellEstimate`.
    """
    count, cells = len(means), len(CELLS)
    mean, sampled = np.mean(means, axis=0), np.mean(covariances, axis=0)
    if count < 2:
        return CellEstimate(mean, sampled, looks, 0.0)
    # A difference does not change if all cells rise together, so what all have in common is taken off.
    centring = np.eye(cells) - 1.0 / cells
    apart = (np.asarray(means) - mean) @ centring
    spread = apart.T @ apart / (count - 1)
    # The mean over all pairs of Var(a - b) is 2 / 8 of the trace; each of the two cells gets half of it.
    pooled, known = (float(np.trace(matrix)) / (cells - 1) for matrix in (spread, centring @ sampled @ centring))
    between = max(pooled - known, 0.0)
    freedom = (count - 1) * _independent(spread, count - 1)
    return CellEstimate(mean, (sampled + between * np.eye(cells)) / count, looks, freedom)


def _independent(spread: NDArray[np.float64], freedom: int) -> float:
    """Return how many independent directions a covariance has, tr(S)^2 / tr(S^2), without the bias of an estimate.

    For a covariance estimated with f degrees of freedom, E[tr(s)^2] = tr(S)^2 + 2/f tr(S^2) and
    E[tr(s^2)] = (1 + 1/f) tr(S^2) + 1/f tr(S)^2. With one degree of freedom both are the same, and nothing is known.
    """
    first, second = float(np.trace(spread)) ** 2, float((spread**2).sum())
    if freedom < 2 or not second > 0.0:
        return 1.0
    squared, of_squares = np.linalg.solve([[1.0, 2.0 / freedom], [1.0 / freedom, 1.0 + 1.0 / freedom]], [first, second])
    most = len(CELLS) - 1.0
    return float(np.clip(squared / of_squares, 1.0, most)) if of_squares > 0.0 else most
