"""Whether an image is unlike those that a network was fitted with, judged by `fit.npz`; numpy only.

Two things are looked at: simple numbers about the pixels that the network is fed with, and the network's penultimate
activations, which come with the pass that diagnoses. Their distances from the images of the fit are Mahalanobis
distances: over all numbers about the pixels; along the main directions of the activations; and beside those (the
residual of a principal component analysis). An image is unlike when one distance is beyond its limit. The limits were
set on patients whose images had no part in the fit (see `engine.network.fitting`).

An image within all limits is not thereby suitable: it may show something that looks the same by these numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.bundle.fit_npz import MOST_FEATURES, PARTS, Fit
from engine.images.preprocessing import LUMA
from engine.results.caution import Caution

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODE = "unlike-training"

_SEEN = "seen"
_WORDS = {
    "colour": "its colour",
    "contrast": "its brightness and contrast",
    "flat": "how much of it is of one even colour",
    "texture": "how fine its detail is",
    _SEEN: "what the network sees in it",
}

_LEVEL = 1 / 256
"""One grey level, about: added before logarithms, so that a blank image has a finite number."""

_EVEN = 1 / 512
"""Neighbours that differ by less are of the same 8-bit value, whatever resizing rounded."""

_LAGS = (1, 2, 4, 8)
_RANKS = (0.02, 0.25, 0.5, 0.75, 0.98)
_ENOUGH_PIXELS = 20_000
"""About as many pixels, evenly spread, are sorted for the levels of a larger image."""

_DENSITY_FROM = 1 / 255
_SHARE_FLOOR = 0.02
_FLAT_FLOOR = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """How far N images are from those of a fit; 1 is as far as the limit.

    Attributes:
        kinds: (N, 3) in pixels, along the axes of the activations, beside them.
        parts: (N, 4) in the parts of the numbers about the pixels, each by itself.
    """

    kinds: NDArray[np.float64]
    parts: NDArray[np.float64]

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Which images (N,) are unlike; those whose distance is not a number, too."""
        beyond: NDArray[np.bool_] = ~(self.kinds.max(axis=1) <= 1.0)
        return beyond


def why_unlike(fit: Fit, unit: NDArray[np.float32], activations: NDArray[np.float32] | None) -> Caution | None:
    """Return a warning if an image is unlike those that the network was fitted with, else None.

    Args:
        fit: of the network.
        unit: (C, H, W) as fed to the network, before it is normalised: in [0, 1].
        activations: (F,) of the fit's layer in the same pass, as `pooled` gives them; None where the fit has none.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # a network may give infinite activations
        features = None if activations is None or not fit.layer else activations[None]
        found = distances(fit, statistics(unit)[None], features)
    if not found.beyond[0]:
        return None
    by_pixels = found.kinds[0].argmax() == 0  # argmax takes NaN for the highest
    reason = _WORDS[PARTS[int(found.parts[0].argmax())] if by_pixels else _SEEN]
    return Caution(
        CODE,
        f"This image is unlike those that the network was fitted with ({reason}), so its answer may mean nothing.",
    )


def distances(fit: Fit, numbers: NDArray[np.float64], features: NDArray[np.float32] | None) -> Distances:
    """Return how far images are from those of a fit.

    Args:
        fit: what to compare with.
        numbers: (N, S) as `statistics` gives them.
        features: (N, F) activations, or None to compare the pixels only.
    """
    apart = numbers - fit.mean
    kinds = np.zeros((len(numbers), 3))
    kinds[:, 0] = mahalanobis(apart, fit.covariance) / fit.limits[0]
    if features is not None and fit.centre.size:
        along, beside = activation_distances(fit, features)
        kinds[:, 1], kinds[:, 2] = along / fit.limits[1], beside / fit.limits[2]
    parts = np.empty((len(numbers), len(PARTS)))
    for column, where in enumerate(part_slices(numbers.shape[1])):
        parts[:, column] = mahalanobis(apart[:, where], fit.covariance[where, where]) / fit.part_limits[column]
    return Distances(kinds, parts)


def mahalanobis(apart: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Mahalanobis lengths (N,) of differences (N, S), divided by the root of S."""
    squares = (apart * np.linalg.solve(covariance, apart.T).T).sum(axis=1)
    lengths: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0.0) / apart.shape[1])
    return lengths


def activation_distances(fit: Fit, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances (N,) of activations (N, F) along the fit's axes and beside them, in standard deviations."""
    apart = features.astype(np.float64) - fit.centre
    along = apart @ fit.axes.T
    beside = apart - along @ fit.axes
    inside = np.sqrt((along**2 / fit.variances).mean(axis=1)) if fit.variances.size else np.zeros(len(apart))
    return inside, np.sqrt((beside**2).sum(axis=1) / fit.rest)


def goes_with(fit: Fit, channels: int) -> bool:
    """Return whether a fit has the numbers about pixels that `statistics` gives for images of so many channels."""
    return fit.mean.size == statistics(np.zeros((channels, 2, 2), dtype=np.float32)).size


def pooled(activations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a layer's input as (B, F) with F at most `MOST_FEATURES`.

    Args:
        activations: (B, F), (B, C, H, W) of a convolution, or (B, T, F) of a linear layer for T tokens. Places and
            tokens are averaged; of more than `MOST_FEATURES` numbers, neighbours are.
    """
    if activations.ndim < 2:
        return np.zeros((len(activations), 0), dtype=np.float32)
    if activations.ndim == 3:
        activations = activations.mean(axis=1)
    elif activations.ndim > 3:
        activations = activations.reshape(*activations.shape[:2], -1).mean(axis=2)
    wide = activations.shape[1]
    if wide > MOST_FEATURES:
        each = -(-wide // MOST_FEATURES)
        starts = np.arange(0, wide, each)
        sizes = np.diff(np.append(starts, wide))
        activations = np.asarray(np.add.reduceat(activations, starts, axis=1) / sizes, dtype=np.float32)
    return activations.astype(np.float32, copy=False)


def part_slices(count: int) -> tuple[slice, slice, slice, slice]:
    """Return where the `PARTS` are among the `count` numbers that `statistics` gives."""
    contrast, texture = 1 + len(_RANKS), len(_LAGS)
    colour = count - contrast - 1 - texture
    flat = colour + contrast
    return slice(0, colour), slice(colour, flat), slice(flat, flat + 1), slice(flat + 1, count)


def statistics(unit: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return simple numbers about an image's pixels, part by part: colour, contrast, flat areas, texture.

    Args:
        unit: (C, H, W) in [0, 1], C 1 or 3.

    Returns:
        (S,) float64. Shares and spreads are transformed so that they are about normally distributed in natural images:
        shares by the logit, spreads by the logarithm.
    """
    flat = unit.reshape(len(unit), -1)
    grey = unit[0] if len(unit) == 1 else np.tensordot(np.asarray(LUMA, dtype=np.float32), unit, axes=1)
    spread = np.log(float(grey.std(dtype=np.float64)) + _LEVEL)
    levels = np.quantile(grey.ravel()[:: max(1, grey.size // _ENOUGH_PIXELS)], _RANKS)
    return np.array(
        [
            *flat.mean(axis=1, dtype=np.float64),
            *(_tint(flat, grey.ravel()) if len(unit) == 3 else ()),
            spread,
            *levels,
            _logit(_even_share(unit), _FLAT_FLOOR),
            *_texture(grey, spread),
        ],
        dtype=np.float64,
    )


def _tint(flat: NDArray[np.float32], grey: NDArray[np.float32]) -> list[float]:
    """Return seven numbers about the colours of (3, P) pixels beyond their mean.

    Saturation; the spread of red against green and of yellow against blue, and how each goes with brightness; and for
    how much of the colour green, or blue, is absorbed most, which tells stains apart, thick or thin.
    """
    red, green, blue = flat
    saturation = float((flat.max(axis=0) - flat.min(axis=0)).mean(dtype=np.float64))
    numbers = [float(np.log(saturation + _LEVEL))]
    centred = grey - grey.mean()
    power = float((centred.astype(np.float64) ** 2).mean()) + _LEVEL**2
    for opponent in (red - green, (red + green) / 2 - blue):
        apart = opponent - opponent.mean()
        numbers.append(float(np.log(apart.std(dtype=np.float64) + _LEVEL)))
        numbers.append(float((apart * centred).mean(dtype=np.float64)) / power)
    density = -np.log(np.maximum(flat, np.float32(_DENSITY_FROM)))
    strength = density.max(axis=0) - density.min(axis=0)
    most = density.argmax(axis=0)
    whole = float(strength.sum(dtype=np.float64)) + 1e-9
    shares = (float(strength[most == channel].sum(dtype=np.float64)) / whole for channel in (1, 2))
    return [*numbers, *(_logit(share, _SHARE_FLOOR) for share in shares)]


def _even_share(unit: NDArray[np.float32]) -> float:
    """Return the share of pixels that have the value of their right and their lower neighbour."""
    right = np.abs(np.diff(unit, axis=2)).max(axis=0)[:-1]
    below = np.abs(np.diff(unit, axis=1)).max(axis=0)[:, :-1]
    same = (right < _EVEN) & (below < _EVEN)
    return float(same.mean()) if same.size else 1.0


def _texture(grey: NDArray[np.float32], spread: float) -> list[float]:
    """Return how quickly brightness changes: at 1 pixel against all of it, then at 1 against 2, 2 against 4, ..."""
    changes = []
    for lag in _LAGS:
        sideways, down = np.abs(grey[:, lag:] - grey[:, :-lag]), np.abs(grey[lag:] - grey[:-lag])
        both = [float(part.mean(dtype=np.float64)) for part in (sideways, down) if part.size]
        changes.append(float(np.log((sum(both) / len(both) if both else 0.0) + _LEVEL)))
    return [changes[0] - spread, *(near - far for near, far in pairwise(changes))]


def _logit(share: float, floor: float) -> float:
    return float(np.log((share + floor) / (1.0 - share + floor)))
