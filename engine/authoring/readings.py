"""Which reading of its images fits a network: the plausible ones are tried on images whose classes are known.

A reading is what a pixel becomes before it is fed: the order of the colours, the range of the values, mean and std,
inversion, and how an image gets the network's size. Each is judged by the likelihood of the known classes, compared
image by image with the best; what the images cannot tell apart is not told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch

from engine.bundle.specs import ColourOrder, InputSpec, Resize
from engine.images.preprocessing import network_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE = 103.939, 116.779, 123.68
"""ImageNet's mean in the order blue, green, red, on values from 0 to 255, as networks from Caffe and Keras take it."""

_LAPSE = 0.01
"""The share of its answers that any network may get wrong for no reason: one image cannot decide the matter alone."""

_BATCH = 16
_CHANCE = 0.05
"""A difference between two readings counts as real if chance makes one so large less often than this."""

_MATTERS = 0.02
"""Differences of the mean logarithm below this do not matter, however certain they are."""

_COMPARED = 6
"""Readings that feed the network the same numbers for so many images are one."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a pixel becomes before it is fed to the network.

    Attributes:
        spec: how it is fed.
        said: in words, such as `RGB, 0..1, ImageNet's mean and std`.
        alike: in words, other readings that feed it exactly the same numbers for these images.
        declared: whether it is what the bundle declares, or assumes.
    """

    spec: InputSpec
    said: str
    alike: tuple[str, ...] = ()
    declared: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """How a reading fits.

    Attributes:
        reading: the reading.
        likelihoods: (N,) the logarithm of the probability of each image's class, with a lapse of 1 %.
        right: how many images get their class.
        behind: by how much the mean of the logarithms is less than the best reading's.
        error: the standard error of that difference.
        excluded: whether the difference is more than chance, for so many readings.
    """

    reading: Reading
    likelihoods: NDArray[np.float64]
    right: int
    behind: float = 0.0
    error: float = 0.0
    excluded: bool = False

    @property
    def probability(self) -> float:
        """The geometric mean of the probabilities of the images' classes."""
        return math.exp(float(self.likelihoods.mean()))


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The readings, the best first.

    Attributes:
        ranked: the readings.
        images: how many images they were tried on.
        guessing: geometric mean of the probabilities if the answer were each class's share of the images.
        above_guessing: whether the best reading is better than that by more than chance.
    """

    ranked: tuple[Judged, ...]
    images: int
    guessing: float
    above_guessing: bool

    @property
    def best(self) -> Judged:
        """The reading that fits best."""
        return self.ranked[0]

    @property
    def rivals(self) -> tuple[Judged, ...]:
        """The readings that these images do not tell from the best."""
        return tuple(judged for judged in self.ranked[1:] if not judged.excluded)

    @property
    def told(self) -> bool:
        """Whether one reading fits better than all others."""
        return self.above_guessing and not self.rivals

    @property
    def declared(self) -> Judged:
        """The reading that the bundle declares or assumes."""
        return next(judged for judged in self.ranked if judged.reading.declared)

    @property
    def contradicts(self) -> bool:
        """Whether another reading than the declared one fits better by more than chance."""
        return self.above_guessing and self.declared.excluded


def plausible_readings(spec: InputSpec, images: Sequence[MedicalImage]) -> tuple[Reading, ...]:
    """Return the readings that are tried, each once; the first is the declared one.

    Args:
        spec: what the bundle declares or assumes.
        images: those that they will be tried on.
    """
    made = [Reading(spec, "as model.toml says" if _is_declared(spec) else "as it is assumed", declared=True)]
    made += [Reading(each, said) for resize in _resizes(spec, images) for each, said in _values(spec, images, resize)]
    distinct: list[Reading] = []
    seen: dict[bytes, int] = {}
    # Spread over the classes, which lie one behind the other.
    few = _Feeder([images[row] for row in np.linspace(0, len(images) - 1, _COMPARED).astype(int)])
    for reading in made:
        fed = np.concatenate([few.fed(place, reading.spec).ravel() for place in range(_COMPARED)])
        key = np.round(fed, 4).tobytes()
        if key in seen:
            place = seen[key]
            distinct[place] = replace(distinct[place], alike=(*distinct[place].alike, reading.said))
        else:
            seen[key] = len(distinct)
            distinct.append(reading)
    return tuple(distinct)


def _is_declared(spec: InputSpec) -> bool:
    usual = InputSpec(size=spec.size, channels=spec.channels)
    return replace(spec, mean=usual.mean, std=usual.std) != usual or any(spec.mean) or set(spec.std) != {1.0}


def _resizes(spec: InputSpec, images: Sequence[MedicalImage]) -> tuple[Resize, ...]:
    height, width = spec.size
    if all(image.width * height == image.height * width for image in images):
        return (spec.resize,)  # all three are the same
    return (spec.resize, *(kind for kind in get_args(Resize) if kind != spec.resize))


def _values(spec: InputSpec, images: Sequence[MedicalImage], resize: Resize) -> Iterator[tuple[InputSpec, str]]:
    """Yield what is done with the values, in all orders of the colours, as it is and inverted."""
    orders: tuple[ColourOrder, ...] = get_args(ColourOrder) if spec.channels == 3 else ("rgb",)
    plain = replace(_plain(spec), resize=resize)
    own_mean, own_std = _own(plain, images)
    three = spec.channels == 3
    for order in orders:
        for inverted in (False, True):
            turn = slice(None, None, -1) if order == "bgr" else slice(None)
            mean, std = own_mean[turn], own_std[turn]
            known = IMAGENET if three else ((0.449,), (0.226,))
            kinds: list[tuple[str, float, Sequence[float], Sequence[float]]] = [
                ("0..1", 1.0, _all(spec, 0.0), _all(spec, 1.0)),
                ("ImageNet's mean and std", 1.0, *known),
                ("-1..1", 1.0, _all(spec, 0.5), _all(spec, 0.5)),
                ("these images' own mean and std", 1.0, [1 - m for m in mean] if inverted else mean, std),
                ("0..255", 255.0, _all(spec, 0.0), _all(spec, 1.0)),
            ]
            if three and not inverted:
                caffe = CAFFE if order == "bgr" else CAFFE[::-1]
                kinds.append(("0..255 less ImageNet's mean", 255.0, caffe, _all(spec, 1.0)))
            for name, top, m, s in kinds:
                yield (
                    replace(
                        plain,
                        colour_order=order,
                        value_range=(top, 0.0) if inverted else (0.0, top),
                        mean=tuple(round(float(v), 4) for v in m),
                        std=tuple(round(float(v), 4) for v in s),
                    ),
                    _words(spec, order, name, resize, inverted=inverted),
                )


def _words(spec: InputSpec, order: str, name: str, resize: str, *, inverted: bool) -> str:
    parts = [order.upper() if spec.channels == 3 else "grey", "inverted" if inverted else "", name]
    return ", ".join([*(part for part in parts if part), *([resize] if resize != spec.resize else [])])


def _all(spec: InputSpec, value: float) -> tuple[float, ...]:
    return (value,) * spec.channels


def _own(plain: InputSpec, images: Sequence[MedicalImage]) -> tuple[list[float], list[float]]:
    """Return mean and std of the images' values in [0, 1], per channel."""
    values = np.concatenate(
        [network_input(image, plain).reshape(plain.channels, -1) for image in images], axis=1, dtype=np.float64
    )
    return list(values.mean(1)), [max(float(s), 0.01) for s in values.std(1)]


class _Feeder:
    """Feeds images in one reading after another; what all readings share is computed once."""

    def __init__(self, images: Sequence[MedicalImage]) -> None:
        self._images = images
        self._plain: dict[tuple[int, Resize], NDArray[np.float32]] = {}

    def fed(self, place: int, spec: InputSpec) -> NDArray[np.float32]:
        """Return what `network_input` returns for one of the images, but for rounding: (C, H, W) float32."""
        if spec.resize == "fit":  # its padding depends on the mean
            return network_input(self._images[place], spec)
        key = place, spec.resize
        if key not in self._plain:
            self._plain[key] = network_input(self._images[place], _plain(spec))
        low, high = spec.value_range
        unit = self._plain[key][::-1] if spec.colour_order == "bgr" else self._plain[key]
        mean, std = (np.asarray(values, dtype=np.float32)[:, None, None] for values in (spec.mean, spec.std))
        fed: NDArray[np.float32] = (unit * np.float32(high - low) + np.float32(low) - mean) / std
        return fed


def _plain(spec: InputSpec) -> InputSpec:
    """Return how values in [0, 1] are fed as they are, in the order red, green, blue."""
    return replace(
        spec, colour_order="rgb", value_range=(0.0, 1.0), mean=(0.0,) * spec.channels, std=(1.0,) * spec.channels
    )


def judge(
    classifier: Classifier,
    readings: Sequence[Reading],
    images: Sequence[MedicalImage],
    labels: Sequence[int],
    *,
    advanced: Callable[[float, float], None] = lambda done, total: None,
) -> Verdict:
    """Try readings on images whose classes are known.

    Args:
        classifier: the network; its lock is taken. How its bundle feeds images does not matter.
        readings: one of them is the declared one.
        images: compliant with the model.
        labels: the index of each image's class.
        advanced: told how many readings have been tried, and of how many.
    """
    found = []
    feeder = _Feeder(images)
    for done, reading in enumerate(readings):
        probabilities = _answers(classifier, reading.spec, feeder, len(images))
        of_label = probabilities[np.arange(len(labels)), list(labels)]
        likelihoods = np.log((1 - _LAPSE) * of_label + _LAPSE / probabilities.shape[1])
        right = int((probabilities.argmax(1) == np.asarray(labels)).sum())
        found.append(Judged(reading, likelihoods, right))
        advanced(done + 1, len(readings))
    return _verdict(found, labels, len(classifier.classes))


def _answers(classifier: Classifier, spec: InputSpec, feeder: _Feeder, count: int) -> NDArray[np.float64]:
    """Return the (N, K) probabilities for the images."""

    def work() -> list[NDArray[np.float64]]:
        parts = []
        for start in range(0, count, _BATCH):
            fed = np.stack([feeder.fed(place, spec) for place in range(start, min(start + _BATCH, count))])
            tensor = torch.from_numpy(fed).to(classifier.device, memory_format=classifier.memory_format)
            with classifier.exact(), torch.inference_mode():
                parts.append(classifier.probabilities(classifier.logits(tensor)).cpu().numpy())
        return parts

    with classifier.lock:
        # A reading far from the true one may overflow: it then says nothing.
        return np.nan_to_num(np.concatenate(classifier.with_memory(work)), nan=0.0)


def _verdict(found: list[Judged], labels: Sequence[int], classes: int) -> Verdict:
    # Where two say the same, what is declared stands first; otherwise the order in which they are listed.
    ranked = sorted(found, key=lambda judged: -round(float(judged.likelihoods.mean()), 9))
    best = ranked[0]
    compared = max(len(ranked) - 1, 1)
    judged = [best]
    for other in ranked[1:]:
        mean, error, beyond = _difference(best.likelihoods - other.likelihoods, compared)
        judged.append(replace(other, behind=mean, error=error, excluded=beyond))
    shares = np.bincount(np.asarray(labels), minlength=classes) / len(labels)
    guesses = np.log((1 - _LAPSE) * shares[list(labels)] + _LAPSE / classes)
    _, _, above = _difference(best.likelihoods - guesses, compared)
    return Verdict(tuple(judged), len(labels), math.exp(float(guesses.mean())), above)


def _difference(differences: NDArray[np.float64], comparisons: int) -> tuple[float, float, bool]:
    """Return the mean of paired differences, its standard error, and whether it is more than chance.

    By Student's t, for the least favourable of so many comparisons (Bonferroni).
    """
    from scipy.stats import t

    count = len(differences)
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(count))
    if mean <= 0:
        return mean, error, False
    limit = float(t.ppf(1 - _CHANCE / comparisons, count - 1))
    return mean, error, mean > max(limit * error, _MATTERS)
