"""*Of this network*: does a method's map change when the network's weights are random? (Adebayo et al. 2018.)

It is measured once for each model and method, on four images. A map that stays what it was shows edges of the image, or
what the method always shows, and not what this network has learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.errors import ExplanationError, Stopped, XAIMedError
from engine.evidence.random_weights import DEPTHS, Depth, randomised
from engine.evidence.thresholds import CHANGED_BELOW, FEWEST_MAPS, FEWEST_RELIABLE, UNCHANGED_FROM
from engine.progress import Progress, ProgressCallback, StopSignal, no_progress
from engine.results.certainty import reliability_of
from engine.results.consensus import spearman
from engine.results.evidence import OfThisNetwork, Verdict
from engine.results.statistics import grid_statistics

if TYPE_CHECKING:
    from engine.explainers.base import Request
    from engine.network.classifier import Classifier
    from engine.results.saliency import SaliencyMap

QUESTION = "of_this_network"

IMAGES = 4
"""On how many images a method is measured."""

MOST_SAMPLES = 500
"""Samples of a map at most: the question asks for large differences."""

Explain = Callable[["Request"], "SaliencyMap"]

_IN_WORDS = {"half": "the later half", "all": "all"}


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a model and a method.

    Attributes:
        correlations: mean Spearman rank correlation of the map's pixels with those of the trained network's, by how
            many layers had random weights: `head`, `half`, `all`. 0 for a map that became constant. Depths at which the
            method cannot work are left out.
        shared: how many of the three cells both maps have on average, by the same.
        images: on how many images: those whose map of the trained network is not constant.
        reliability: of the nine cell means of the trained network's map, in [0, 1]: 1 for methods that draw no samples.
    """

    correlations: Mapping[str, float]
    shared: Mapping[str, float]
    images: int
    reliability: float = 1.0


def inputs_of(classifier: Classifier, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return four inputs: the first four of those given, filled up with mirrored copies of them.

    Args:
        classifier: the network; what it takes is kept in its memory format.
        tensors: (1, C, H, W) inputs, at least one.
    """
    made = list(tensors[:IMAGES])
    for axes in ((-1,), (-2,), (-2, -1)):
        made += [tensor.flip(axes) for tensor in tensors]
    return [tensor.contiguous(memory_format=classifier.memory_format) for tensor in made[:IMAGES]]


@dataclass(slots=True)
class Measurement:
    """A measurement that is made image by image; one that is stopped goes on where it was.

    Attributes:
        requests: one for each image and the class to explain, of the trained network.
        seed: of the random weights of the first image; the next images have the next seeds.
        known: what was found, by the number of the image; None for one whose map of the trained network is constant.
    """

    requests: Sequence[Request]
    seed: int
    known: dict[int, _OfImage | None] = field(default_factory=dict)

    def run(self, explain: Explain, *, progress: ProgressCallback = no_progress, stop: StopSignal) -> Figures:
        """Measure what is missing, and return the figures. The network stays as it is.

        Args:
            explain: makes the method's map for a request.
            progress: told after every map.
            stop: asked before every map, and by the method before every pass.

        Raises:
            Stopped: stopped before the end.
            ExplanationError: the trained network has no map that is not constant, its weights cannot be made random, or
                the method never works with random weights.
        """
        for number in range(len(self.requests)):
            if number not in self.known:
                self.known[number] = self._of_image(number, explain, progress, stop)
        own = [found for found in self.known.values() if found is not None]
        if not own:
            raise ExplanationError("its maps of the trained network are constant", subject=QUESTION)
        depths = [depth for depth in DEPTHS if any(depth in found.pairs for found in own)]
        if not depths:
            raise ExplanationError("it cannot work with random weights", subject=QUESTION)
        means = {
            depth: np.mean([found.pairs[depth] for found in own if depth in found.pairs], axis=0) for depth in depths
        }
        return Figures(
            MappingProxyType({depth: float(mean[0]) for depth, mean in means.items()}),
            MappingProxyType({depth: float(mean[1]) for depth, mean in means.items()}),
            len(own),
            float(np.mean([found.reliability for found in own])),
        )

    def _of_image(self, number: int, explain: Explain, progress: ProgressCallback, stop: StopSignal) -> _OfImage | None:
        request, maps = self.requests[number], 1 + len(DEPTHS)

        def made(asked: Request, place: int) -> SaliencyMap:
            if stop.is_set():
                raise Stopped(QUESTION)

            def work() -> SaliencyMap:
                # The network may have moved to the CPU since the request was made, or for this very map.
                tensor = asked.tensor.to(asked.classifier.device)
                return explain(replace(asked, tensor=tensor, kept={}, progress=no_progress, stop=stop))

            with asked.classifier.lock:
                found = asked.classifier.with_memory(work)
            if found.stopped:
                raise Stopped(QUESTION)
            progress(Progress(QUESTION, number * maps + place, len(self.requests) * maps))
            return found

        own = made(request, 1)
        if own.constant:
            return None
        inputs = torch.cat([each.tensor for each in self.requests])
        pairs: dict[str, tuple[float, float]] = {}
        for place, depth in enumerate(DEPTHS, start=2):
            # Other weights for every image: a single draw may have, by chance, much of what was learnt.
            other = _random(request.classifier, depth, inputs, self.seed + number)
            try:
                found = made(replace(request, classifier=other), place)
            except Stopped:
                raise
            except ExplanationError:  # such as a formula that does not hold for these activations
                continue
            pairs[depth] = (_correlation(own, found), float(_shared(own, found)))
        return _OfImage(pairs, reliability_of(own))


@dataclass(frozen=True, slots=True)
class _OfImage:
    """What was found on one image.

    Attributes:
        pairs: rank correlation with the map of the trained network, and how many of the three cells are shared, by
            depth.
        reliability: see `Figures`.
    """

    pairs: Mapping[str, tuple[float, float]]
    reliability: float


def judge_figures(figures: Figures) -> OfThisNetwork:
    """Return what the figures of a model and a method say.

    A map that does not change although most of the network is random gets a *no*. One that changes then, but hardly
    notices that the last layer is random, shows what the network sees and not what makes it decide: that cannot be a
    *yes*, and the reason says so.
    """
    deep = {depth: value for depth, value in figures.correlations.items() if depth != "head"}
    deepest, highest = max(deep.items(), key=lambda item: item[1], default=("", -1.0))
    head = figures.correlations.get("head", -1.0)
    if figures.images < FEWEST_MAPS:
        verdict, why = Verdict.UNKNOWN, "too few of its maps show anything"
    elif highest >= UNCHANGED_FROM:
        verdict, why = Verdict.NO, f"the map hardly changes when {_IN_WORDS[deepest]} of the network is random"
    elif figures.reliability < FEWEST_RELIABLE:
        verdict, why = Verdict.UNKNOWN, "with so few samples the map changes by chance alone"
    elif head >= CHANGED_BELOW:
        verdict, why = Verdict.UNKNOWN, "the map hardly notices that the last layer, which decides, is random"
    elif highest >= CHANGED_BELOW:
        verdict, why = (
            Verdict.UNKNOWN,
            f"the map changes only in part when {_IN_WORDS[deepest]} of the network is random",
        )
    else:
        verdict, why = Verdict.YES, "the map changes when the network's weights are random"
    return OfThisNetwork(verdict, figures.correlations, figures.shared, figures.images, why)


def _random(classifier: Classifier, depth: Depth, inputs: torch.Tensor, seed: int) -> Classifier:
    if classifier.black_box:
        raise ExplanationError(f"{classifier.black_box}, so its weights cannot be made random", subject=QUESTION)
    try:
        with classifier.lock:
            return classifier.with_memory(lambda: randomised(classifier, depth, inputs.to(classifier.device), seed))
    except (XAIMedError, KeyboardInterrupt):
        raise
    except Exception as error:  # a network's code may raise anything when it is copied
        raise ExplanationError(
            f"its weights cannot be made random ({type(error).__name__}: {error})", subject=QUESTION
        ) from error


def _correlation(own: SaliencyMap, other: SaliencyMap) -> float:
    # Rounding may take it beyond 1.
    return 0.0 if other.constant else float(np.clip(spearman(own, other), -1.0, 1.0))


def _shared(own: SaliencyMap, other: SaliencyMap) -> int:
    return len(set(grid_statistics(own).top) & set(grid_statistics(other).top))
