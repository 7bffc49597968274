"""*Stable*: does the map name the same cells when chance, or noise that nobody sees, is another?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.acceleration.tuning import untuned
from engine.errors import Stopped
from engine.evidence.thresholds import (
    COPIES,
    CORRELATION_FOR_NO,
    CORRELATION_FOR_YES,
    FEWEST_RELIABLE,
    OPEN_FOR_NO,
    SAME_THREE_FOR_YES,
)
from engine.network.feeding import DeclaredFeeding
from engine.progress import Progress, no_progress
from engine.results.cells import TOP
from engine.results.certainty import reliability_of
from engine.results.evidence import Stable, Verdict
from engine.results.statistics import GridStatistics, grid_statistics

if TYPE_CHECKING:
    from engine.explainers.base import Request
    from engine.network.classifier import Classifier
    from engine.results.saliency import SaliencyMap

QUESTION = "stable"

Explain = Callable[["Request"], "SaliencyMap"]

PassTogether = Callable[[Sequence["Request"]], None]
"""Passes the images of several requests in one batch, so that making their maps passes nothing."""


def judge_settled(saliency: SaliencyMap, statistics: GridStatistics) -> Stable | None:
    """Return whether the chance of the samples may have chosen the three cells; None for methods that draw no samples.

    It costs nothing: a sampling method knows the errors of its cells.
    """
    if saliency.constant:
        return Stable(Verdict.UNKNOWN, why="a constant map names no cells")
    if saliency.cells is None:
        return None
    settled = sum(cell not in statistics.ties for cell in statistics.top)
    why = f"{settled} of its {TOP} cells are settled at 99 %"
    if statistics.certain:
        verdict = Verdict.YES
    elif (
        settled == 0
        and len(statistics.ties) >= OPEN_FOR_NO
        and (reliable := reliability_of(saliency)) < FEWEST_RELIABLE
    ):
        verdict = Verdict.NO
        why = f"{why}, and {1 - reliable:.0%} of what tells its cells apart is chance"
    else:
        verdict = Verdict.UNKNOWN
    return Stable(verdict, settled=statistics.certain, settled_cells=settled, why=why)


def ask_stable(
    request: Request, saliency: SaliencyMap, explain: Explain, pass_together: PassTogether | None = None
) -> Stable:
    """Return whether a map stays the same under noise of one grey level, which nobody sees.

    Args:
        request: as for the map itself; its seed is that of the noise. Hold its lock.
        saliency: the map, of a method that draws no samples.
        explain: makes the method's map for a request.
        pass_together: makes the passes for some of the copies before that, where the method can.

    Raises:
        Stopped: stopped before the end.
        ExplanationError: a map could not be made.
    """
    statistics = grid_statistics(saliency)
    if (settled := judge_settled(saliency, statistics)) is not None:
        return settled
    level = grey_level(request.classifier, request.tensor)
    generator = torch.Generator().manual_seed(request.seed)
    correlations, same = [], 0
    batch = untuned(request.tensor, "fp32").batch
    together: list[Request] = []
    for copy in range(COPIES):
        if request.stop.is_set():
            raise Stopped(QUESTION)
        if not together:
            for _ in range(min(batch, COPIES - copy)):
                noise = level * torch.randn(request.tensor.shape, generator=generator).to(request.tensor.device)
                together.append(replace(request, tensor=request.tensor + noise, kept={}, progress=no_progress))
            if pass_together is not None:
                pass_together(together)
        found = grid_statistics(explain(together.pop(0)))
        same += set(found.top) == set(statistics.top)
        correlations.append(_correlation(statistics.mean.ravel(), found.mean.ravel()))
        request.progress(Progress(QUESTION, copy + 1, COPIES))
    correlation, share = float(np.mean(correlations)), same / COPIES
    if correlation < CORRELATION_FOR_NO:
        verdict = Verdict.NO
    elif correlation >= CORRELATION_FOR_YES and share >= SAME_THREE_FOR_YES:
        verdict = Verdict.YES
    else:
        verdict = Verdict.UNKNOWN
    why = f"under noise that nobody sees, {same} of {COPIES} copies name the same three cells"
    return Stable(verdict, copies=COPIES, correlation=correlation, same_three=share, why=why)


def grey_level(classifier: Classifier, tensor: torch.Tensor) -> torch.Tensor:
    """Return one of 255 grey levels in the units of the network's input, (1, C, 1, 1) or broadcastable.

    For a preprocessing function whose normalisation nobody knows, it is 1/255 of the range of this input.
    """
    spec = classifier.bundle.input
    if isinstance(classifier.feeding, DeclaredFeeding):
        low, high = spec.value_range
        return torch.tensor([(high - low) / 255 / std for std in spec.std], device=tensor.device)[None, :, None, None]
    return (tensor.max() - tensor.min()) / 255


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the correlation of nine cell means with nine others; 0 where either are all equal."""
    if not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
