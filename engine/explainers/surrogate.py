"""LIME's surrogate: which superpixels its samples show, the linear model fitted to them, and the model's errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from engine.explainers.superpixels import Superpixels
from engine.results.cells import CELLS, GRID, cell_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIDGE = 1.0
"""The penalty that `LimeBase` uses anyway. Here it serves the coefficients' errors and the record."""


@dataclass(frozen=True, slots=True)
class Surrogate:
    """The fitted linear model.

    Attributes:
        coefficients: (S,), one a superpixel, in units of probability.
        covariance: (S, S) of the coefficients: the sandwich estimator for weighted least squares (HC1).
        score: weighted R squared of the fit, at most 1.
    """

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    score: float


def neighbourhood(samples: int, count: int, seed: int) -> NDArray[np.int_]:
    """Draw which superpixels are shown, as `lime.lime_image` does: (samples, count) of 0 and 1, row 0 all 1."""
    # The legacy generator and one flat draw, as in lime: the samples are then the very same.
    shown = np.random.RandomState(seed).randint(0, 2, samples * count).reshape(samples, count)
    shown[0, :] = 1
    return shown


def fit_surrogate(shown: NDArray[np.int_], outputs: NDArray[np.float64], kernel_width: float) -> Surrogate:
    """Fit lime's surrogate to the outputs, and estimate the errors of its coefficients.

    Args:
        shown: (N, S) of 0 and 1, row 0 all ones.
        outputs: (N,) probabilities of the target class.
        kernel_width: of lime's exponential kernel.
    """
    from lime.lime_base import LimeBase
    from sklearn.metrics import pairwise_distances

    distances = pairwise_distances(shown, shown[:1], metric="cosine").ravel()
    # Without a state of its own, `LimeBase` would share numpy's global one.
    base = LimeBase(partial(_kernel, kernel_width=kernel_width), random_state=np.random.RandomState(0))
    intercept, pairs, score, _ = base.explain_instance_with_data(
        shown, outputs[:, None], distances, 0, num_features=shown.shape[1], feature_selection="none"
    )
    coefficients = np.zeros(shown.shape[1])
    # lime sorts the pairs by the size of their weights.
    for superpixel, weight in pairs:
        coefficients[superpixel] = weight
    residuals = outputs - intercept - shown @ coefficients
    covariance = _sandwich(shown.astype(np.float64), _kernel(distances, kernel_width), residuals)
    return Surrogate(coefficients, covariance, float(score))


def cell_shares(segments: Superpixels) -> NDArray[np.float64]:
    """Return the share of each cell that each superpixel covers, (9, S); `shares @ coefficients` are the cell means."""
    shares = np.zeros((GRID * GRID, segments.count))
    slices = cell_slices(*segments.labels.shape)
    for row, cell in enumerate(CELLS):
        labels = segments.labels[slices[cell]].ravel()
        shares[row] = np.bincount(labels, minlength=segments.count) / labels.size
    return shares


def _kernel(distances: NDArray[np.float64], kernel_width: float) -> NDArray[np.float64]:
    # lime's own kernel, square root included.
    return np.asarray(np.sqrt(np.exp(-(distances**2) / kernel_width**2)))


def _sandwich(
    shown: NDArray[np.float64], weights: NDArray[np.float64], residuals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sandwich estimate of the ridge coefficients' covariance: bread, meat, bread, times HC1's factor."""
    samples, count = shown.shape
    # Ridge fits the intercept without a penalty, which is the same as centring by the weighted means.
    centred = shown - np.average(shown, axis=0, weights=weights)
    bread = np.linalg.inv(centred.T @ (weights[:, None] * centred) + RIDGE * np.eye(count))
    scores = (weights * residuals)[:, None] * centred
    # There may be fewer samples than superpixels.
    freedom = max(samples - count - 1, 1)
    return np.asarray(bread @ (scores.T @ scores) @ bread * (samples / freedom))
