"""Make a `Fit` from images that a network was fitted with: what they have in common, and how far they are apart.

**The limits come from patients who were not fitted**: the groups are dealt to five parts; a fit to four of them
measures the images of the fifth. Of the images measured so, 1 in 100 is to be beyond a limit: 2 in 3 of these by their
pixels, the rest by what the network sees. Other patients of the same hospital and scanner should be beyond as
rarely, which is as much as can be said.

**What is kept of a patient**: every number is over all images. A group counts for no more images than the middle-sized
one; activations far out are drawn in before the axes are sought; and there are four groups for each axis at least. So
one patient among many does not become an axis. With a handful of groups every mean is still a mean of few people: use
30 groups or more where the images are confidential.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.bundle.fit_npz import MOST_COMPONENTS, PARTS, Fit
from engine.errors import BundleError
from engine.network.familiarity import distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_GROUPS = 8
FEWEST_IMAGES = 100

_FOLDS = 5
_BEYOND = 0.01
"""Share of the images of unseen groups that may be beyond a limit."""

_BY_PIXELS, _BY_AXES, _BY_REST = 0.0066, 0.0017, 0.0017
"""How `_BEYOND` is spent. Pixels get most: they tell other tissues apart better than a small network's activations."""

_GROUPS_PER_AXIS = 4
_EXPLAINED = 0.98
_DRAWN_IN = 0.9
_LEAST_SHRINKAGE, _MOST_SHRINKAGE = 0.02, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What was measured of N images.

    Attributes:
        numbers: (N, S) `statistics` of their pixels.
        features: (N, F) activations; F is 0 where the network has no suitable layer.
        groups: of each image, the group (patient) that it belongs to.
    """

    numbers: NDArray[np.float64]
    features: NDArray[np.float32]
    groups: Sequence[str]


def make_fit(looks: Looks, *, made_for: str, layer: str, xaimed: str, subject: str) -> Fit:
    """Return the fit to images, with limits from groups that were not fitted.

    The same images in the same order give the same fit.

    Args:
        looks: what was measured of the images.
        made_for, layer, xaimed: see `Fit`.
        subject: the images, for errors.

    Raises:
        BundleError: there are too few images or groups, or the network gave NaN or infinity for one.
    """
    names, group = np.unique(np.asarray(looks.groups), return_inverse=True)
    check_enough(len(looks.groups), len(names), subject)
    finite = np.isfinite(looks.features).all() and np.isfinite(looks.numbers).all()
    if not finite:
        raise BundleError(
            "the network gave NaN or infinity for some of the images", subject=subject, remedy="check the model first"
        )
    weights = _weights(group)
    fold = (np.random.default_rng(0).permutation(len(names)) % _FOLDS)[group]
    kinds, parts = np.empty((len(group), 3)), np.empty((len(group), len(PARTS)))
    for held in range(_FOLDS):
        inside, outside = fold != held, fold == held
        part = _moments(looks.numbers[inside], looks.features[inside], group[inside])
        found = distances(part, looks.numbers[outside], looks.features[outside])
        kinds[outside], parts[outside] = found.kinds, found.parts
    limits = np.array(
        [_quantile(kinds[:, i], weights, 1 - share) for i, share in enumerate((_BY_PIXELS, _BY_AXES, _BY_REST))]
    )
    limits = np.maximum(limits, 1e-6)
    # The three together: they coincide in some images, so that fewer than intended would be beyond.
    limits *= _quantile((kinds / limits).max(axis=1), weights, 1 - _BEYOND)
    part_limits = np.array([max(_quantile(parts[:, i], weights, 1 - _BEYOND), 1e-6) for i in range(len(PARTS))])
    if not looks.features.shape[1]:
        limits[1:] = np.inf
    return replace(
        _moments(looks.numbers, looks.features, group),
        made_for=made_for,
        layer=layer,
        xaimed=xaimed,
        images=len(group),
        groups=len(names),
        held_out=float((kinds > limits).any(axis=1).mean()),
        limits=limits,
        part_limits=part_limits,
    )


def check_enough(images: int, groups: int, subject: str) -> None:
    """Check that there are enough images and groups for a fit.

    Raises:
        BundleError: there are not; the message says how many there must be.
    """
    if images < FEWEST_IMAGES or groups < FEWEST_GROUPS:
        raise BundleError(
            f"{images:,} images of {groups:,} groups are too few to tell what is usual",
            subject=subject,
            remedy=f"give at least {FEWEST_IMAGES} images of {FEWEST_GROUPS} groups (patients); --groups says which "
            "images belong together",
        )


def _moments(numbers: NDArray[np.float64], features: NDArray[np.float32], group: NDArray[np.int64]) -> Fit:
    """Return a fit with limits of 1, so that its distances are plain ones."""
    weights, count = _weights(group), len(np.unique(group))
    mean = weights @ numbers
    covariance = _shrunk(_covariance(numbers - mean, weights), np.sqrt(count * len(group)))
    centre = weights @ features.astype(np.float64)
    apart = features - centre
    lengths = np.sqrt((apart**2).sum(axis=1))
    far = _quantile(lengths, weights, _DRAWN_IN)
    apart *= np.minimum(1.0, far / np.maximum(lengths, 1e-12))[:, None]
    axes, variances, rest = _axes(_covariance(apart, weights), count // _GROUPS_PER_AXIS)
    return Fit(
        made_for="",
        xaimed="",
        layer="",
        images=len(group),
        groups=count,
        held_out=0.0,
        mean=mean,
        covariance=covariance,
        centre=centre,
        axes=axes,
        variances=variances,
        rest=rest,
        limits=np.ones(3),
        part_limits=np.ones(len(PARTS)),
    )


def _axes(covariance: NDArray[np.float64], most: int) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the main directions (k, F), the variances (k,) along them and the variance of the rest."""
    values, vectors = np.linalg.eigh(covariance) if covariance.size else (np.zeros(0), np.zeros((0, 0)))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    whole = float(values.sum())
    needed = int(np.searchsorted(np.cumsum(values), _EXPLAINED * whole)) + 1 if whole > 0 else 0
    kept = min(needed, most, MOST_COMPONENTS)
    axes = vectors[:, :kept].T.copy()
    # An eigenvector's sign is arbitrary; libraries choose differently.
    axes *= np.sign(axes[np.arange(kept), np.abs(axes).argmax(axis=1)])[:, None] if kept else 1.0
    floor = 1e-6 * whole + 1e-12
    rest = float(values[kept:].sum()) + floor
    each = rest / max(1, len(values) - kept)
    return axes, values[:kept] + each, rest


def _covariance(apart: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    product: NDArray[np.float64] = (apart * weights[:, None]).T @ apart
    return product


def _shrunk(covariance: NDArray[np.float64], independent: float) -> NDArray[np.float64]:
    """Return a covariance mixed with its diagonal, the more the fewer independent images there are for each number.

    Args:
        covariance: (S, S).
        independent: about how many images; those of one group are alike, so it lies between images and groups.
    """
    share = float(np.clip(len(covariance) / (2 * independent), _LEAST_SHRINKAGE, _MOST_SHRINKAGE))
    spread = np.diag(covariance) + 1e-6
    return (1 - share) * covariance + share * np.diag(spread)


def _weights(group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the images' weights, which sum to one: no group counts for more images than the middle-sized one."""
    _, row, count = np.unique(group, return_inverse=True, return_counts=True)
    weights = np.minimum(1.0, np.median(count) / count[row])
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def _quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    """Return the smallest of the values that at least this share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(weights[order]), share * (1 - 1e-12))
    return float(values[order][min(int(reached), len(values) - 1)])
