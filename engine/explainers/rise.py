"""RISE: what the output does when random parts of the image are hidden (Petsiuk, Das, Saenko 2018).

The paper's estimator, sum(f_i M_i) / (N p), carries the random density of the masks as noise. The `centred` one is the
covariance of output and mask, cov(f, M) / p: the same map less a constant, without that noise. A linear regression of f
on the mask's means over a 6x6 grid serves as a control variate: its part of the covariance is known exactly from how
masks are drawn, so only what it leaves unexplained has to be estimated.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from engine.cells import GRID, part_weights
from engine.certainty import unsettled_cells
from engine.errors import Stopped
from engine.explainers.base import FEWEST_SAMPLES, Reporter, Request, looks_until, scaled_map, unmoved
from engine.explainers.perturbation import MaskedBatch, MaskedForward, prepared_tuning
from engine.explainers.rise_masks import RiseMasks
from engine.saliency import CellEstimate, Parameter, SaliencyMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REGRESSORS = 6
"""Cells a side of the grid whose mask means are the control variate; two a side of each cell of the 3x3 grid."""

_ENOUGH = 4
"""Samples a regression coefficient must have; with fewer, the control variate would add noise and is left out."""


@dataclass(frozen=True, slots=True)
class Rise:
    """RISE with its parameters.

    Attributes:
        samples: masks, N in the paper.
        grid: cells a side of the coarse mask, s in the paper.
        probability: that a cell shows the image, p in the paper.
        estimator: `centred`, or `paper` for comparison.
        until: `certain` stops at one of a few fixed sample counts once the three top cells are settled.
    """

    samples: int = 4000
    grid: int = 7
    probability: float = 0.5
    estimator: Literal["centred", "paper"] = "centred"
    until: Literal["samples", "certain"] = "samples"
    key: str = field(default="rise", init=False)

    def explain(self, request: Request) -> SaliencyMap:
        """See `Explainer.explain`. Hidden pixels are 0 after normalisation, the data set's mean colour."""
        tuning = prepared_tuning(request)
        started = time.perf_counter()
        masks = RiseMasks(request.size, self.grid, self.probability, request.seed, request.classifier.device)
        hidden = torch.zeros(1, device=request.tensor.device)
        loop = MaskedForward.prepare(request, hidden, masks, tuning)
        looks = looks_until(self.samples) if self.until == "certain" else (self.samples,)
        evidence = RiseEvidence(masks, request.target, self.estimator, len(looks))
        reporter = Reporter(self.key, self.samples, request.progress)

        def result(stopped: bool = False) -> SaliencyMap:
            return scaled_map(
                evidence.raw(),
                request,
                method=self.key,
                parameters=self._parameters(loop, evidence),
                started=started,
                samples=evidence.count,
                seed=request.seed,
                cells=evidence.cells(),
                constant=evidence.constant(),
                stopped=stopped,
                warnings=tuple(loop.warnings),
            )

        for batch in loop.run(self.samples, request.stop, looks):
            evidence.add(batch)
            if self.until == "certain" and batch.stop in looks and not unsettled_cells(evidence.cells()):
                break
            ready = evidence.count >= FEWEST_SAMPLES and batch.stop < self.samples and reporter.wants_preview()
            reporter.report(batch.stop, result() if ready else None)
        stopped = evidence.count < self.samples and request.stop.is_set()
        if evidence.count < min(FEWEST_SAMPLES, self.samples):
            raise Stopped("RISE")
        return result(stopped)

    def _parameters(self, loop: MaskedForward, evidence: RiseEvidence) -> dict[str, Parameter]:
        return {
            "samples": self.samples,
            "until": self.until,
            "grid": self.grid,
            "probability": self.probability,
            "estimator": self.estimator,
            "control_variate": evidence.regressed,
            "hidden": "0 after normalisation (the mean colour)",
            "device": loop.classifier.device,
            "precision": loop.precision,
            "batch": loop.batch,
            "batch_norm_folded": loop.classifier.folded,
        }


class RiseEvidence:
    """What has been seen so far, reduced to sums: the map of the target class can be had from it at any time.

    With d = M - p and the rows r = (f - c, w - p, 1), it keeps sum(r d) as (rows, H * W) in float64, and f, the block
    means w and the cell means of every sample's mask.
    """

    def __init__(self, masks: RiseMasks, target: int, estimator: str, looks: int) -> None:
        """Start with nothing seen.

        Args:
            masks: where the masks come from.
            target: index of the class to explain.
            estimator: `centred` or `paper`.
            looks: how often the choice of cells may be looked at.
        """
        height, width = masks.size
        self._masks, self._target, self._estimator, self._looks = masks, target, estimator, looks
        side = min(_REGRESSORS, height, width)
        self._blocks = tuple(part_weights(side, length) for length in masks.size)
        self._thirds = tuple(part_weights(GRID, length) for length in masks.size)
        device = masks.device
        self._on_device = [
            tuple(torch.tensor(w, dtype=torch.float32, device=device) for w in pair)
            for pair in (self._blocks, self._thirds)
        ]
        rows = 1 + side * side + 1
        self._sums = torch.zeros(rows, height * width, dtype=torch.float64, device=device)
        self._centre: torch.Tensor | None = None
        self._outputs: list[torch.Tensor] = []
        self._block_means: list[torch.Tensor] = []
        self._cell_means: list[torch.Tensor] = []
        self.count = 0

    @property
    def regressed(self) -> bool:
        """Whether there are samples enough for the control variate."""
        coefficients = self._blocks[0].shape[0] ** 2
        return self._estimator == "centred" and self.count >= _ENOUGH * coefficients

    def add(self, batch: MaskedBatch) -> None:
        """Take in one batch."""
        p = self._masks.probability
        masks = batch.masks[:, 0]
        f = batch.probabilities[:, self._target]
        if self._centre is None:
            # Any constant near f keeps the sums small; the first sample's does not depend on the batch size.
            self._centre = f[:1].clone()
        blocks, cells = ((rows @ masks @ columns.T).flatten(1) - p for rows, columns in self._on_device)
        ones = torch.ones(len(masks), 1, device=masks.device)
        table = torch.cat([(f - self._centre).float()[:, None], blocks, ones], dim=1)
        self._sums += table.T @ (masks - p).flatten(1)
        self._outputs.append(f)
        self._block_means.append(blocks)
        self._cell_means.append(cells)
        self.count += len(masks)

    def outputs(self) -> NDArray[np.float64]:
        """(N,) probabilities of the target class."""
        return self._stack(self._outputs)

    def constant(self) -> bool:
        """Whether the output moved by no more than float32's rounding."""
        return unmoved(self.outputs())

    def raw(self) -> NDArray[np.float64]:
        """(H, W): the map in units of probability, before scaling."""
        p, n = self._masks.probability, self.count
        assert self._centre is not None
        sums = self._sums.cpu().numpy()
        weighted, ones = sums[0], sums[-1]
        centre = float(self._centre)
        if self._estimator == "paper":
            # sum(f M) = sum((f - c)(M - p)) + c sum(M - p) + p sum(f)
            total = weighted + centre * ones + p * self.outputs().sum()
            return np.asarray((total / (n * p)).reshape(self._masks.size))
        residual = weighted - (self.outputs().mean() - centre) * ones
        if not self.regressed:
            return np.asarray((residual / (n * p)).reshape(self._masks.size))
        slopes, _ = self._regression()
        means = self._stack(self._block_means).mean(axis=0)
        residual = residual - slopes @ (sums[1:-1] - means[:, None] * ones)
        return np.asarray((self._known(slopes, None) + residual.reshape(self._masks.size) / n) / p)

    def cells(self) -> CellEstimate:
        """The cell means of `raw` and their covariance."""
        p, n = self._masks.probability, self.count
        f, cells = self.outputs(), self._stack(self._cell_means)
        if self._estimator == "paper":
            terms = f[:, None] * (cells + p) / p
            known = np.zeros(GRID * GRID)
            freedom = n
        elif self.regressed:
            slopes, residual = self._regression()
            terms = residual[:, None] * cells / p
            known = self._known(slopes, self._thirds).ravel() / p
            freedom = n - len(slopes)
        else:
            terms = (f - f.mean())[:, None] * cells / p
            known = np.zeros(GRID * GRID)
            freedom = n - 1
        spread = np.cov(terms.T, bias=True) if n > 1 else np.full((9, 9), np.inf)
        return CellEstimate(known + terms.mean(axis=0), spread / max(freedom, 1), self._looks)

    def _regression(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Least-squares slopes of f on the block means, and the residuals."""
        f, blocks = self.outputs(), self._stack(self._block_means)
        centred, regressors = f - f.mean(), blocks - blocks.mean(axis=0)
        # Smooth masks make some block means nearly the same: directions that carry next to nothing are left out.
        inverse = np.linalg.pinv(regressors.T @ regressors, rcond=1e-8, hermitian=True)
        slopes = inverse @ (regressors.T @ centred)
        return slopes, centred - regressors @ slopes

    def _known(self, slopes: NDArray[np.float64], onto: tuple[NDArray[np.float64], ...] | None) -> NDArray[np.float64]:
        """The exact covariance of the regression's prediction with every pixel, or with averages of pixels."""
        p = self._masks.probability
        rows, columns = self._masks.covariance()
        side = self._blocks[0].shape[0]
        grid = slopes.reshape(side, side)
        left, right = self._blocks[0] @ rows, self._blocks[1] @ columns
        if onto is not None:
            left, right = left @ onto[0].T, right @ onto[1].T
        return np.asarray(p * (1.0 - p) * (left.T @ grid @ right))

    @staticmethod
    def _stack(parts: list[torch.Tensor]) -> NDArray[np.float64]:
        return torch.cat(parts).double().cpu().numpy()
