"""RISE: how the output changes when random parts of the image are hidden (Petsiuk, Das, Saenko 2018).

The paper's estimator, sum(f_i M_i) / (N p), contains the random density of the masks as noise. The `centred` one is the
covariance of output and mask, cov(f, M) / p: the same map less a constant, without that noise. A linear regression of f
on the mask's means over a 6x6 grid serves as a control variate. Its part of the covariance follows exactly from how
masks are drawn, so only the part that it does not explain has to be estimated. Masks come in antithetic pairs, a grid
and its complement (Hammersley and Morton 1956): interactions of an even number of places cancel within a pair.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from engine.acceleration.tuning import Tuning
from engine.errors import Stopped
from engine.explainers.base import (
    FEWEST_SAMPLES,
    Reporter,
    Request,
    absence,
    interim_looks,
    scaled_map,
    unmoved,
    weak_effect,
)
from engine.explainers.fills import blur_fill, blur_words, mean_fill
from engine.explainers.perturbation import MaskedForward, kept_or_made, prepared_tuning
from engine.explainers.rise_masks import RiseMasks
from engine.results.cells import GRID, part_weights
from engine.results.certainty import unsettled_cells
from engine.results.saliency import CellEstimate, Parameter, SaliencyMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REGRESSORS = 6
"""Blocks a side of the grid whose mask means are the control variate: two a side of each cell of the 3x3 grid."""

_SAMPLES_A_COEFFICIENT = 4
"""With fewer samples for each regression coefficient, the control variate would add noise and is not used."""


@dataclass(frozen=True, slots=True)
class Rise:
    """RISE with its parameters.

    Attributes:
        samples: masks, N in the paper.
        grid: cells a side of the coarse mask, s in the paper.
        probability: that a cell shows the image, p in the paper.
        estimator: `centred`, or `paper` for comparison.
        until: `certain` stops at one of a few fixed sample counts once the three top cells are settled.
        fill: what hidden pixels show: 0 after normalisation (`mean`), or the image blurred (`engine.explainers.fills`).
    """

    samples: int = 4000
    grid: int = 7
    probability: float = 0.5
    estimator: Literal["centred", "paper"] = "centred"
    until: Literal["samples", "certain"] = "samples"
    fill: Literal["mean", "blur"] = "mean"
    key: str = field(default="rise", init=False)

    def explain(self, request: Request) -> SaliencyMap:
        """See `Explainer.explain`. Unless `fill` says otherwise, hidden pixels are the data set's mean colour."""
        tuning = prepared_tuning(request)
        started = time.perf_counter()
        kept = kept_or_made(request, (self, request.seed), lambda: self._start(request, tuning), _Kept)
        masks, loop = kept.masks, kept.loop
        own, hidden = (float(value) for value in kept.probabilities(request)[:, request.target])
        blank = hidden if math.isfinite(hidden) else None
        loop.settle_precision(request.target, request.stop)
        looks = interim_looks(self.samples) if self.until == "certain" else (self.samples,)
        reporter = Reporter(self.key, self.samples, request.progress)
        done, settled = 0, False

        def result(stopped: bool = False) -> SaliencyMap:
            estimate = RiseEstimate(masks, loop.outputs(done), self.estimator, len(looks))
            cells = estimate.cells()
            absent = () if blank is None else absence(request, own, blank)
            doubts = weak_effect(loop.outputs(done), cells, signed=self.estimator == "centred", absent=absent)
            return scaled_map(
                estimate.raw(),
                request,
                method=self.key,
                parameters=self._parameters(request, loop, estimate),
                started=started,
                samples=done,
                seed=request.seed,
                cells=cells,
                constant=estimate.constant,
                stopped=stopped,
                warnings=(*loop.warnings, *(() if estimate.constant else doubts)),
                blank=blank,
            )

        for done in loop.run(self.samples, request.stop, looks):
            if self.until == "certain" and done in looks:
                estimate = RiseEstimate(masks, loop.outputs(done), self.estimator, len(looks))
                settled = not estimate.constant and not unsettled_cells(estimate.cells())
                if settled:
                    break
            ready = FEWEST_SAMPLES <= done < self.samples and reporter.wants_preview()
            reporter.report(done, result() if ready else None)
        if done < min(FEWEST_SAMPLES, self.samples):
            raise Stopped("RISE")
        return result(stopped=done < self.samples and not settled)

    def _start(self, request: Request, tuning: Tuning) -> _Kept:
        # The paper draws its masks one by one: pairs would make its estimator look better than it is.
        pairs = self.estimator == "centred"
        device = request.classifier.device
        masks = RiseMasks(request.size, self.grid, self.probability, request.seed, device, antithetic=pairs)
        hidden = blur_fill(request.tensor) if self.fill == "blur" else mean_fill(request.tensor)
        return _Kept(masks, MaskedForward(request, hidden, masks, tuning), hidden)

    def _parameters(self, request: Request, loop: MaskedForward, estimate: RiseEstimate) -> dict[str, Parameter]:
        return {
            "samples": self.samples,
            "until": self.until,
            "grid": self.grid,
            "probability": self.probability,
            "estimator": self.estimator,
            "control_variate": estimate.regressed,
            "antithetic": estimate.antithetic,
            "fill": self.fill,
            "hidden": blur_words(request.tensor) if self.fill == "blur" else request.classifier.feeding.hidden,
            **loop.parameters(),
        }


@dataclass(slots=True)
class _Kept:
    """What a later request for another class of the same image uses again.

    Attributes:
        masks: the stream of masks.
        loop: with the outputs.
        hidden: (1, C, H, W), what hidden pixels show.
    """

    masks: RiseMasks
    loop: MaskedForward
    hidden: torch.Tensor
    _ends: NDArray[np.float64] | None = None

    def probabilities(self, request: Request) -> NDArray[np.float64]:
        """Return the (2, K) probabilities of the classes for the image, and where all of it is hidden."""
        if self._ends is None:
            with request.classifier.many_passes("fp32"):  # one by one: there may be room for no more
                logits = []
                for each in (request.tensor, self.hidden):
                    if request.stop.is_set():
                        raise Stopped("RISE")
                    logits.append(request.classifier.logits(each))
            self._ends = request.classifier.probabilities(torch.cat(logits)).cpu().numpy()
        return self._ends


class RiseEstimate:
    """The map of one class and the errors of its cells, from the first masks and their outputs.

    It works on the masks' coarse grids, from which the means over cells and blocks and the weighted sums follow.
    """

    def __init__(self, masks: RiseMasks, outputs: NDArray[np.float64], estimator: str, looks: int) -> None:
        """Store the masks and outputs.

        Args:
            masks: the stream of masks.
            outputs: (N,) probabilities of the class for the first N masks.
            estimator: `centred` or `paper`.
            looks: how many interim looks at the choice of cells are planned.
        """
        self._masks, self._outputs, self._estimator, self._looks = masks, outputs, estimator, looks
        # A block needs at least one pixel.
        side = min(_REGRESSORS, *masks.size)
        self._blocks = tuple(part_weights(side, length) for length in masks.size)
        self._thirds = tuple(part_weights(GRID, length) for length in masks.size)

    @property
    def constant(self) -> bool:
        """Whether the outputs differ by no more than float32 rounding."""
        return unmoved(self._outputs)

    @property
    def antithetic(self) -> bool:
        """Whether the masks come in pairs."""
        return self._masks.antithetic

    @property
    def regressed(self) -> bool:
        """Whether the control variate is used: not with the paper's estimator, nor with few samples."""
        coefficients = self._blocks[0].shape[0] ** 2
        return self._estimator == "centred" and len(self._outputs) >= _SAMPLES_A_COEFFICIENT * coefficients

    def raw(self) -> NDArray[np.float64]:
        """Return the unscaled map in units of probability, (H, W)."""
        p, count = self._masks.probability, len(self._outputs)
        if self._estimator == "paper":
            return self._masks.weighted_sum(self._outputs) / (count * p)
        slopes, residuals = self._regression
        # cov(f, M) = cov(fit, M) + cov(residuals, M). The residuals have the mean 0, so the mean of products is enough.
        return (self._known(slopes) + self._masks.weighted_sum(residuals) / count) / p

    def cells(self) -> CellEstimate:
        """Return the cell means of `raw` and their covariance."""
        p, count = self._masks.probability, len(self._outputs)
        means = self._masks.part_means(self._thirds, count)
        if self._estimator == "paper":
            terms, known, fitted = self._outputs[:, None] * means / p, np.zeros(GRID * GRID), 0
        else:
            slopes, residuals = self._regression
            terms = residuals[:, None] * (means - p) / p
            known = self._known(slopes, self._thirds).ravel() / p
            fitted = 1 + len(slopes)
        mean = terms.mean(axis=0)
        if self._masks.antithetic and count > 1:  # only pairs are independent; a last single mask adds next to nothing
            terms = (terms[: count - 1 : 2] + terms[1::2]) / 2.0
        # The fit makes the residuals too small and the slopes uncertain: a factor of n / (n - fitted) each.
        freedom = max(len(terms) - fitted, 1)
        # A mean has the variance cov / n; with both factors that is cov / n * (n / freedom)^2.
        spread = np.cov(terms.T, bias=True) * len(terms) / freedom**2
        return CellEstimate(known + mean, spread, self._looks)

    @cached_property
    def _regression(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least-squares slopes of f on the block means (none without the control variate), and the residuals."""
        centred = self._outputs - self._outputs.mean()
        if not self.regressed:
            return np.zeros(0), centred
        blocks = self._masks.part_means(self._blocks, len(centred))
        regressors = blocks - blocks.mean(axis=0)
        # Smooth masks make some block means nearly equal, so directions with next to no variance are left out.
        inverse = np.linalg.pinv(regressors.T @ regressors, rcond=1e-8, hermitian=True)
        slopes = inverse @ (regressors.T @ centred)
        return slopes, centred - regressors @ slopes

    def _known(
        self, slopes: NDArray[np.float64], onto: tuple[NDArray[np.float64], ...] | None = None
    ) -> NDArray[np.float64]:
        """Return the exact covariance of the regression's prediction with every pixel, or with averages of pixels.

        Args:
            slopes: of the regression; none gives 0.
            onto: averaging weights of rows and columns; None for every pixel.
        """
        if not len(slopes):
            return np.zeros(1)
        p = self._masks.probability
        rows, columns = self._masks.covariance()
        # The masks' covariance is a kernel for rows times one for columns, so each axis is averaged by itself.
        left, right = self._blocks[0] @ rows, self._blocks[1] @ columns
        if onto is not None:
            left, right = left @ onto[0].T, right @ onto[1].T
        return np.asarray(p * (1.0 - p) * (left.T @ slopes.reshape(len(left), len(right)) @ right))
