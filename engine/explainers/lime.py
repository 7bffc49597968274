"""LIME: a linear model of the output over superpixels that are shown or hidden (Ribeiro, Singh, Guestrin 2016).

The `lime` package itself fits the surrogate (`LimeBase`). Only its slow way of hiding superpixels is replaced, by a
gather on the device. Samples, distances, weights and coefficients are those of `lime.lime_image`. The map is the
average over several segmentations (`engine.explainers.segmentations`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from engine.acceleration.tuning import Tuning
from engine.errors import ExplanationError, Stopped
from engine.explainers.base import Reporter, Request, interim_looks, scaled_map, unmoved, weak_effect
from engine.explainers.fills import blur_fill, blur_words
from engine.explainers.perturbation import MaskedForward, kept_or_made, prepared_tuning
from engine.explainers.segmentations import FEWEST_A_SUPERPIXEL, draw_superpixels, pooled_cells, split_samples
from engine.explainers.superpixels import SuperpixelMasks, Superpixels, superpixels
from engine.explainers.surrogate import RIDGE, Surrogate, cell_shares, fit_surrogate, neighbourhood
from engine.results.caution import Caution
from engine.results.certainty import unsettled_cells
from engine.results.saliency import CellEstimate, Parameter, SaliencyMap

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Lime:
    """LIME with its parameters.

    Attributes:
        samples: perturbed images, the original included; the segmentations share them.
        superpixels: number of superpixels to aim at.
        kernel_width: of the exponential kernel on the cosine distance.
        segmentations: whose maps are averaged. 1 is the paper's LIME: the errors of its cells, and so `certain`, hold
            for its one segmentation only.
        until: `certain` stops at one of a few fixed sample counts once the three top cells are settled.
        fill: what a hidden superpixel shows: its own mean colour, or the image blurred (`engine.explainers.fills`).
    """

    samples: int = 1000
    superpixels: int = 50
    kernel_width: float = 0.25
    segmentations: int = 5
    until: Literal["samples", "certain"] = "samples"
    fill: Literal["own-mean", "blur"] = "own-mean"
    key: str = field(default="lime", init=False)

    def explain(self, request: Request) -> SaliencyMap:
        """See `Explainer.explain`. The map keeps the coefficients' signs."""
        tuning = prepared_tuning(request)
        started = time.perf_counter()
        kept = kept_or_made(request, (self, request.seed), _Kept, _Kept)
        shares = split_samples(self.samples, self.segmentations, self.superpixels)
        looks = self._looks(shares)
        reporter = Reporter(self.key, self.samples, request.progress)
        fitted: list[_Fitted] = []

        def result(fits: Sequence[_Fitted], stopped: bool = False) -> SaliencyMap:
            cells = self._cells(fits, len(looks))
            outputs = np.concatenate([fit.outputs for fit in fits])
            constant = unmoved(outputs)
            doubts = () if constant else (*weak_effect(outputs, cells), *_doubts(fits))
            said = (warning for part in kept.parts for warning in part.loop.warnings)
            return scaled_map(
                np.mean([fit.painted for fit in fits], axis=0) if len(fits) > 1 else fits[0].painted,
                request,
                method=self.key,
                parameters=self._parameters(request, fits),
                started=started,
                samples=len(outputs),
                seed=request.seed,
                cells=cells,
                constant=constant,
                stopped=stopped,
                warnings=(*dict.fromkeys(said), *doubts),
            )

        done = before = looked = 0
        settled = False
        for number, share in enumerate(shares):
            part = kept.part(number, lambda: self._start(request, tuning, number, shares))  # noqa: B023
            if number:
                part.loop.follow(kept.parts[number - 1].loop, request.target)
            else:
                part.loop.settle_precision(request.target, request.stop)
            now, enough = 0, min(share, FEWEST_A_SUPERPIXEL * part.segments.count)
            # A loop ends a batch at every look, so a single segmentation's interim looks are its own.
            for now in part.loop.run(share, request.stop, looks if len(shares) == 1 else ()):
                done = before + now
                # The same count may come twice, while the first layers are prepared.
                if self.until == "certain" and done in looks and now >= enough and done != looked:
                    looked = done
                    saliency = result([*fitted, _fitted(part, now, self.kernel_width)])
                    cells = saliency.cells
                    settled = cells is not None and not saliency.constant and not unsettled_cells(cells)
                    if settled:
                        break
                preview = None
                if (fitted or now >= enough) and done < self.samples and reporter.wants_preview():
                    current = [_fitted(part, now, self.kernel_width)] if now >= enough else []
                    preview = result([*fitted, *current])
                reporter.report(done, preview)
            if now >= enough:
                fitted.append(_fitted(part, now, self.kernel_width))
            before += now
            if settled or now < share:
                break
        if not fitted:
            raise Stopped("LIME")
        return result(fitted, stopped=done < self.samples and not settled)

    def _looks(self, shares: Sequence[int]) -> tuple[int, ...]:
        """Return at which sample counts the choice of cells is looked at: after each segmentation but the first."""
        if self.until == "samples":
            return (self.samples,)
        return interim_looks(self.samples) if len(shares) == 1 else tuple(accumulate(shares))[1:]

    def _start(self, request: Request, tuning: Tuning, number: int, shares: Sequence[int]) -> _Part:
        seed, draw = request.seed, None
        if len(shares) > 1:
            sequence = np.random.SeedSequence((request.seed, number))
            seed, draw = int(sequence.generate_state(1)[0]), np.random.default_rng(sequence.spawn(1)[0])
        segments = self._segments(request, draw)
        shown = neighbourhood(shares[number], segments.count, seed)
        masks = SuperpixelMasks(segments, shown, request.tensor.device)
        if self.fill == "blur":
            hidden = blur_fill(request.tensor)
        else:
            hidden = mean_colours(request.tensor, masks.labels, segments.count)
        return _Part(segments, shown, MaskedForward(request, hidden, masks, tuning))

    def _segments(self, request: Request, draw: np.random.Generator | None = None) -> Superpixels:
        """Return a segmentation: one drawn at random, or without `draw` that of the paper's LIME."""
        picture = request.classifier.feeding.unit(request.tensor[0].cpu().numpy())
        if draw is None:
            segments = superpixels(picture, self.superpixels)
        else:
            segments = draw_superpixels(picture, self.superpixels, draw)
        if segments.count < 2:
            raise ExplanationError(
                "the image cannot be split into superpixels", subject="LIME", remedy="use a larger input size"
            )
        return segments

    def _cells(self, fits: Sequence[_Fitted], looks: int) -> CellEstimate:
        """Return the cells' means and their errors."""
        # Cell means are linear in the coefficients: for A x, the covariance is A Cov(x) A^T.
        each = [(fit.shares @ fit.fit.coefficients, fit.shares @ fit.fit.covariance @ fit.shares.T) for fit in fits]
        if self.segmentations == 1:
            return CellEstimate(*each[0], looks)
        means, covariances = zip(*each, strict=True)
        return pooled_cells(means, covariances, looks)

    def _parameters(self, request: Request, fits: Sequence[_Fitted]) -> dict[str, Parameter]:
        loops = [fit.part.loop for fit in fits]
        counts = [fit.part.segments.count for fit in fits]
        return {
            "samples": self.samples,
            "until": self.until,
            "segmentations": len(fits),
            "segmentations_wanted": self.segmentations,
            "segmentation": "; ".join(fit.part.segments.how for fit in fits),
            "superpixels": round(sum(counts) / len(counts)),
            "superpixels_wanted": self.superpixels,
            "kernel_width": self.kernel_width,
            "distance": "cosine",
            "surrogate": f"Ridge({RIDGE:g})",
            "surrogate_r2": round(sum(fit.fit.score for fit in fits) / len(fits), 6),
            "fill": self.fill,
            "hidden": blur_words(request.tensor) if self.fill == "blur" else "mean colour of the superpixel",
            **loops[-1].parameters(),
            "passes_reused": sum(loop.reused for loop in loops),
            "convolutions_looked_up": min(loop.looked_up for loop in loops),
        }


@dataclass(frozen=True, slots=True)
class _Part:
    """One segmentation, which superpixels its samples show, and their passes."""

    segments: Superpixels
    shown: NDArray[np.int_]
    loop: MaskedForward


@dataclass(slots=True)
class _Kept:
    """What a later request for another class of the same image uses again: the segmentations begun so far."""

    parts: list[_Part] = field(default_factory=list)

    def part(self, number: int, make: Callable[[], _Part]) -> _Part:
        """Return a segmentation by its number; make it if it is the next one."""
        if number == len(self.parts):
            self.parts.append(make())
        return self.parts[number]


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What one segmentation's first samples give.

    Attributes:
        part: the segmentation.
        outputs: (n,) probabilities of the class.
        fit: the surrogate.
        shares: (9, S), see `cell_shares`.
    """

    part: _Part
    outputs: NDArray[np.float64]
    fit: Surrogate
    shares: NDArray[np.float64]

    @property
    def painted(self) -> NDArray[np.float64]:
        """(H, W), the coefficient of each pixel's superpixel."""
        return self.fit.coefficients[self.part.segments.labels]

    @property
    def explained(self) -> float:
        """How much of the variance the surrogate explains: R squared, adjusted for the number of superpixels."""
        samples = len(self.outputs)
        freedom = max(samples - self.part.segments.count - 1, 1)
        return 1.0 - (1.0 - self.fit.score) * (samples - 1) / freedom


def _fitted(part: _Part, count: int, kernel_width: float) -> _Fitted:
    outputs = part.loop.outputs(count)
    return _Fitted(part, outputs, fit_surrogate(part.shown[:count], outputs, kernel_width), cell_shares(part.segments))


def mean_colours(tensor: torch.Tensor, labels: torch.Tensor, count: int) -> torch.Tensor:
    """Return the image with every superpixel in its mean colour, (1, C, H, W).

    The CPU adds up the pixels: a GPU adds in any order, so the same image would not give the same map bit for bit.

    Args:
        tensor: (1, C, H, W).
        labels: (H, W) of 0..count-1.
        count: number of superpixels.
    """
    flat, pixels = labels.flatten().cpu(), tensor[0].flatten(1).double().cpu()
    sums = torch.zeros(pixels.shape[0], count, dtype=torch.float64).index_add_(1, flat, pixels)
    means = sums / torch.bincount(flat, minlength=count)
    return means[:, flat].reshape(tensor.shape).to(tensor.device, tensor.dtype)


def _doubts(fits: Sequence[_Fitted]) -> tuple[Caution, ...]:
    doubts = []
    fewest, explained = min(fit.part.segments.count for fit in fits), sum(fit.explained for fit in fits) / len(fits)
    if fewest < 15:
        doubts.append(Caution("coarse", f"Only {fewest} superpixels could be found: the map is coarse."))
    if explained < 0.3:
        said = f"The linear surrogate explains little of the network here (R2 {explained:.2f})."
        doubts.append(Caution("poor-fit", said))
    return tuple(doubts)
