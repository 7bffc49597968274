"""LIME: a linear model of the output over superpixels that are shown or hidden (Ribeiro, Singh, Guestrin 2016).

The `lime` package itself fits the surrogate (`LimeBase`). Only its slow way of hiding superpixels is replaced, by a
gather on the device. Samples, distances, weights and coefficients are those of `lime.lime_image`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from engine.acceleration.tuning import Tuning
from engine.errors import ExplanationError, Stopped
from engine.explainers.base import Reporter, Request, interim_looks, scaled_map, unmoved, weak_effect
from engine.explainers.fills import blur_fill, blur_words
from engine.explainers.perturbation import MaskedForward, kept_or_made, prepared_tuning
from engine.explainers.superpixels import SuperpixelMasks, Superpixels, superpixels
from engine.results.caution import Caution
from engine.results.cells import CELLS, GRID, cell_slices
from engine.results.certainty import unsettled_cells
from engine.results.saliency import CellEstimate, Parameter, SaliencyMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The penalty that `LimeBase` uses anyway. Here it serves the coefficients' errors and the record.
_RIDGE = 1.0
_FEWEST_A_SUPERPIXEL = 2


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


@dataclass(frozen=True, slots=True)
class Lime:
    """LIME with its parameters.

    Attributes:
        samples: perturbed images, the original included.
        superpixels: number of superpixels to aim at.
        kernel_width: of the exponential kernel on the cosine distance.
        until: `certain` stops at one of a few fixed sample counts once the three top cells are settled.
        fill: what a hidden superpixel shows: its own mean colour, or the image blurred (`engine.explainers.fills`).
    """

    samples: int = 1000
    superpixels: int = 50
    kernel_width: float = 0.25
    until: Literal["samples", "certain"] = "samples"
    fill: Literal["own-mean", "blur"] = "own-mean"
    key: str = field(default="lime", init=False)

    def explain(self, request: Request) -> SaliencyMap:
        """See `Explainer.explain`. The map keeps the coefficients' signs."""
        tuning = prepared_tuning(request)
        started = time.perf_counter()
        kept = kept_or_made(request, (self, request.seed), lambda: self._start(request, tuning), _Kept)
        segments, shown, loop = kept.segments, kept.shown, kept.loop
        loop.settle_precision(request.target, request.stop)
        enough = min(self.samples, _FEWEST_A_SUPERPIXEL * segments.count)
        looks = interim_looks(self.samples) if self.until == "certain" else (self.samples,)
        shares = cell_shares(segments)
        reporter = Reporter(self.key, self.samples, request.progress)
        done, looked, settled = 0, 0, False

        def result(stopped: bool = False) -> SaliencyMap:
            outputs = loop.outputs(done)
            fit = fit_surrogate(shown[:done], outputs, self.kernel_width)
            # Cell means are linear in the coefficients: for A x, the covariance is A Cov(x) A^T.
            cells = CellEstimate(shares @ fit.coefficients, shares @ fit.covariance @ shares.T, len(looks))
            constant = unmoved(outputs)
            doubts = () if constant else (*weak_effect(outputs, cells), *_doubts(segments, fit))
            return scaled_map(
                fit.coefficients[segments.labels],
                request,
                method=self.key,
                parameters=self._parameters(request, loop, segments, fit),
                started=started,
                samples=done,
                seed=request.seed,
                cells=cells,
                constant=constant,
                stopped=stopped,
                warnings=(*loop.warnings, *doubts),
            )

        for done in loop.run(self.samples, request.stop, looks):
            # The same count may come twice, while the first layers are prepared.
            if self.until == "certain" and done in looks and done >= enough and done != looked:
                looked = done
                saliency = result()
                settled = saliency.cells is not None and not saliency.constant and not unsettled_cells(saliency.cells)
                if settled:
                    break
            ready = enough <= done < self.samples and reporter.wants_preview()
            reporter.report(done, result() if ready else None)
        if done < enough:
            raise Stopped("LIME")
        return result(stopped=done < self.samples and not settled)

    def _start(self, request: Request, tuning: Tuning) -> _Kept:
        segments = self._segments(request)
        shown = neighbourhood(self.samples, segments.count, request.seed)
        masks = SuperpixelMasks(segments, shown, request.tensor.device)
        if self.fill == "blur":
            hidden = blur_fill(request.tensor)
        else:
            hidden = mean_colours(request.tensor, masks.labels, segments.count)
        return _Kept(segments, shown, MaskedForward(request, hidden, masks, tuning))

    def _segments(self, request: Request) -> Superpixels:
        picture = request.classifier.feeding.unit(request.tensor[0].cpu().numpy())
        segments = superpixels(picture, self.superpixels)
        if segments.count < 2:
            raise ExplanationError(
                "the image cannot be split into superpixels", subject="LIME", remedy="use a larger input size"
            )
        return segments

    def _parameters(
        self, request: Request, loop: MaskedForward, segments: Superpixels, fit: Surrogate
    ) -> dict[str, Parameter]:
        return {
            "samples": self.samples,
            "until": self.until,
            "segmentation": segments.how,
            "superpixels": segments.count,
            "superpixels_wanted": self.superpixels,
            "kernel_width": self.kernel_width,
            "distance": "cosine",
            "surrogate": f"Ridge({_RIDGE:g})",
            "surrogate_r2": round(fit.score, 6),
            "fill": self.fill,
            "hidden": blur_words(request.tensor) if self.fill == "blur" else "mean colour of the superpixel",
            **loop.parameters(),
            "convolutions_looked_up": loop.looked_up,
        }


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a later request for another class of the same image uses again."""

    segments: Superpixels
    shown: NDArray[np.int_]
    loop: MaskedForward


def neighbourhood(samples: int, count: int, seed: int) -> NDArray[np.int_]:
    """Draw which superpixels are shown, as `lime.lime_image` does: (samples, count) of 0 and 1, row 0 all 1."""
    # The legacy generator and one flat draw, as in lime: the samples are then the very same.
    shown = np.random.RandomState(seed).randint(0, 2, samples * count).reshape(samples, count)
    shown[0, :] = 1
    return shown


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
    bread = np.linalg.inv(centred.T @ (weights[:, None] * centred) + _RIDGE * np.eye(count))
    scores = (weights * residuals)[:, None] * centred
    # There may be fewer samples than superpixels.
    freedom = max(samples - count - 1, 1)
    return np.asarray(bread @ (scores.T @ scores) @ bread * (samples / freedom))


def _doubts(segments: Superpixels, fit: Surrogate) -> tuple[Caution, ...]:
    doubts = []
    if segments.count < 15:
        doubts.append(Caution("coarse", f"Only {segments.count} superpixels could be found: the map is coarse."))
    if fit.score < 0.3:
        said = f"The linear surrogate explains little of the network here (R2 {fit.score:.2f})."
        doubts.append(Caution("poor-fit", said))
    return tuple(doubts)
