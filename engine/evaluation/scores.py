"""How often a network is right on labelled images, and the 95 % intervals of it by patient.

Images of one patient resemble each other, so 3,000 images of 40 patients tell what 40 patients tell. The intervals
are therefore made by drawing patients anew, with all of their images (the cluster bootstrap). With few patients its
percentiles lie too close together; they are widened as Hesterberg (2015, Am Stat 69:371, section 4.3) proposes.

An interval says where the figure of all patients like these may lie. The figure of a *single* further set of as many
patients varies about that in turn: half as far again out is nothing unusual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from engine.bundle.model_toml import toml_string

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 2000
"""How often the patients are drawn anew."""

LEVEL = 0.95

_AT_ONCE = 100
"""Draws whose areas are computed at once: of 3,000 images they take 2.4 MB an array."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What the answers to labelled images are worth; K classes.

    Attributes:
        confusion: (K, K) counts; rows are the truth, columns the answer.
        recall: (K,) of each class, the share of its images that were recognised; NaN for a class without images.
        precision: (K,) the share of right answers among those that name the class; NaN for a class never named.
        f1: (K,) the harmonic mean of both.
        accuracy: the share of right answers.
        balanced_accuracy: the mean of the classes' recalls.
        auroc: the area under the ROC curve: of the second class where there are two, else the mean over the classes,
            each against all others. NaN where a class has no images.
    """

    confusion: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    f1: NDArray[np.float64]
    accuracy: float
    balanced_accuracy: float
    auroc: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the limits of its 95 % interval by patient; NaN where they are not defined."""

    value: float
    low: float
    high: float

    @property
    def defined(self) -> bool:
        """Whether there is a figure: there is no recall of a class without images."""
        return not math.isnan(self.value)

    @property
    def bounded(self) -> bool:
        """Whether there are limits: one patient gives none."""
        return self.defined and not math.isnan(self.low)

    def __str__(self) -> str:
        """Write it as `0.966 (0.91 to 1.00)`."""
        return f"{self.value:.3f} ({self.low:.2f} to {self.high:.2f})"

    def limits(self) -> list[float]:
        """Return both limits, rounded to two digits, for `[performance]` in a model.toml."""
        return [round(self.low, 2) + 0.0, round(self.high, 2) + 0.0]  # no -0.0


@dataclass(frozen=True, slots=True)
class ScoresByPatient:
    """The scores of a set of patients, with intervals; see `Scores` for what each is.

    Attributes:
        patients: how many there are.
        images: how many images of them.
    """

    patients: int
    images: int
    recall: tuple[Interval, ...]
    precision: tuple[Interval, ...]
    f1: tuple[Interval, ...]
    accuracy: Interval
    balanced_accuracy: Interval
    auroc: Interval

    def performance(self, classes: Sequence[str], of: str = "test") -> list[str]:
        """Return the lines of `[performance]` in a model.toml: each defined figure with the limits of its interval.

        Args:
            classes: their names.
            of: which patients these are; the keys begin with it.
        """

        def of_all(name: str, found: Interval) -> list[str]:
            limits = [f"{of}_{name}_interval = {found.limits()}"] if found.bounded else []
            return [f"{of}_{name} = {found.value:.3f}", *limits] if found.defined else []

        def of_each(name: str, found: Sequence[Interval]) -> list[str]:
            pairs = [(toml_string(key), each) for key, each in zip(classes, found, strict=True)]
            values = ", ".join(f"{key} = {each.value:.3f}" for key, each in pairs if each.defined)
            limits = ", ".join(f"{key} = {each.limits()}" for key, each in pairs if each.bounded)
            return [f"{of}_{name} = {{ {values} }}", f"{of}_{name}_interval = {{ {limits} }}"]

        return [
            *of_all("auroc", self.auroc),
            *of_all("balanced_accuracy", self.balanced_accuracy),
            *of_each("recall", self.recall),
            *of_each("precision", self.precision),
            *of_each("f1", self.f1),
        ]

    def lines(self, classes: Sequence[str]) -> list[str]:
        """Return the lines of a table: a head, a row for each class, then what concerns all classes."""
        width = max(len("class"), *map(len, classes))
        rows = zip(classes, self.precision, self.recall, self.f1, strict=True)
        return [
            f"{'class':<{width}}  {'precision':<20}  {'recall':<20}  F1",
            *(f"{name:<{width}}  {p!s:<20}  {r!s:<20}  {f}" for name, p, r, f in rows),
            f"balanced accuracy {self.balanced_accuracy}, accuracy {self.accuracy}",
            f"area under the ROC curve {self.auroc}",
        ]


def answers(probabilities: NDArray[np.floating], threshold: float | None = None) -> NDArray[np.int64]:
    """Return the class (N,) that is named for each image, by the engine's own rule.

    Args:
        probabilities: (N, K), or (N,) of the second of two classes.
        threshold: of two classes, the probability from which on the second is named: `[output] threshold` of a network
            with a single logit. Without it 0.5 for (N,); for (N, K) the most probable class is named.

    Raises:
        ValueError: a threshold is given for more classes than two.
    """
    table = _table(probabilities)
    if threshold is None and probabilities.ndim == 2:
        likeliest: NDArray[np.int64] = np.argmax(table, axis=1)
        return likeliest
    if table.shape[1] != 2:
        raise ValueError("only two classes can have a threshold")
    return (table[:, 1] >= (0.5 if threshold is None else threshold)).astype(np.int64)


def score(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    threshold: float | None = None,
) -> Scores:
    """Return the scores of the answers to labelled images.

    Args:
        labels: (N,) the true class of each, from 0.
        probabilities: (N, K), or (N,) of the second of two classes. Logits of a single output serve, too, with a
            `threshold` on their scale.
        threshold: see `answers`.
    """
    table = _table(probabilities)
    confusion = _confusions(labels, answers(probabilities, threshold), table.shape[1]).sum(axis=0)
    found = _from_counts(confusion)
    auroc = _areas(labels, table, np.ones((1, len(labels))))[0]
    overall = float(found["accuracy"]), float(found["balanced_accuracy"]), float(auroc)
    return Scores(confusion, found["recall"], found["precision"], found["f1"], *overall)


def score_by_patient(
    labels: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    patients: NDArray[np.generic],
    threshold: float | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> ScoresByPatient:
    """Return the scores of the answers to labelled images, with their 95 % intervals by patient.

    Args:
        labels: (N,) as for `score`.
        probabilities: (N, K) or (N,) as for `score`.
        patients: (N,) the patient of each image, as numbers or strings.
        threshold: see `answers`.
        seed: of the draws; the same seed gives the same intervals.
        draws: how often the patients are drawn anew. Draws in which a figure is not defined, as a class has no image
            in them, do not count for it.
    """
    table = _table(probabilities)
    classes = table.shape[1]
    names, patient = np.unique(patients, return_inverse=True)
    of_patient = np.zeros((len(names), classes, classes))
    np.add.at(of_patient, patient, _confusions(labels, answers(probabilities, threshold), classes))
    rng = np.random.default_rng(seed)
    times = np.stack(
        [np.bincount(row, minlength=len(names)) for row in rng.integers(len(names), size=(draws, len(names)))]
    )
    drawn = _from_counts(np.tensordot(times, of_patient, 1))
    drawn["auroc"] = np.concatenate(
        [_areas(labels, table, times[start : start + _AT_ONCE, patient]) for start in range(0, draws, _AT_ONCE)]
    )
    whole = score(labels, probabilities, threshold)
    having = (of_patient.sum(axis=2) > 0).sum(axis=0)  # patients with images of each class
    fewest = int(having.min())

    def classwise(name: str) -> tuple[Interval, ...]:
        values = getattr(whole, name)
        return tuple(_interval(values[k], drawn[name][:, k], int(having[k])) for k in range(classes))

    return ScoresByPatient(
        len(names),
        len(labels),
        classwise("recall"),
        classwise("precision"),
        classwise("f1"),
        _interval(whole.accuracy, drawn["accuracy"], len(names)),
        _interval(whole.balanced_accuracy, drawn["balanced_accuracy"], fewest),
        _interval(whole.auroc, drawn["auroc"], fewest),
    )


def mean_by_patient(
    values: NDArray[np.generic], patients: NDArray[np.generic], *, seed: int = 0, draws: int = DRAWS
) -> Interval:
    """Return the mean of one value for each image (N,), such as whether a map hits, with its interval by patient."""
    names, patient = np.unique(patients, return_inverse=True)
    sums, counts = np.bincount(patient, weights=values.astype(np.float64)), np.bincount(patient)
    chosen = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    drawn = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    return _interval(float(sums.sum() / counts.sum()), drawn, len(names))


def _table(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.stack([1 - probabilities, probabilities], axis=1) if probabilities.ndim == 1 else probabilities


def _confusions(labels: NDArray[np.integer], named: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return the confusion matrix of each image alone, (N, K, K)."""
    each = np.zeros((len(labels), classes, classes))
    each[np.arange(len(labels)), labels.astype(np.int64), named] = 1
    return each


def _from_counts(confusion: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return what confusion matrices (..., K, K) tell, by the names of `Scores`."""
    right = confusion.diagonal(axis1=-2, axis2=-1)
    true, named = confusion.sum(axis=-1), confusion.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = right / true
        return {
            "recall": recall,
            "precision": right / named,
            "f1": 2 * right / (true + named),
            "accuracy": right.sum(axis=-1) / true.sum(axis=-1),
            "balanced_accuracy": recall.mean(axis=-1),
        }


def _areas(
    labels: NDArray[np.integer], table: NDArray[np.floating], weights: NDArray[np.integer] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `Scores.auroc` (D,) of images that are weighted in D ways, (D, N)."""
    ranked = (1,) if table.shape[1] == 2 else range(table.shape[1])  # of two classes, both have the same area
    mean: NDArray[np.float64] = np.mean([_area(labels == k, table[:, k], weights) for k in ranked], axis=0)
    return mean


def _area(
    positive: NDArray[np.bool_], value: NDArray[np.floating], weights: NDArray[np.integer] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the areas under the ROC curve (D,): the share of pairs in which the positive image has the higher value.

    Pairs of equal values count as half. NaN where no positive or no negative image has a weight.
    """
    order = np.argsort(value, kind="stable")
    positive, value, weights = positive[order], value[order], weights[:, order]
    starts = np.flatnonzero(np.r_[True, value[1:] != value[:-1]])
    ups = np.add.reduceat(weights * positive, starts, axis=1)
    downs = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = np.cumsum(downs, axis=1) - downs / 2
    with np.errstate(invalid="ignore"):
        areas: NDArray[np.float64] = (ups * below).sum(axis=1) / (ups.sum(axis=1) * downs.sum(axis=1))
    return areas


def _interval(value: float, drawn: NDArray[np.float64], count: int) -> Interval:
    """Return a figure of `count` patients and the limits between which its draws lie; see the module."""
    kept = drawn[~np.isnan(drawn)]
    if not len(kept) or count < 2:
        return Interval(float(value), float("nan"), float("nan"))
    wide = np.sqrt(count / (count - 1)) * stats.t.ppf((1 + LEVEL) / 2, count - 1)
    share = stats.norm.cdf(-wide)
    low, high = np.quantile(kept, [share, 1 - share])
    return Interval(float(value), float(low), float(high))
