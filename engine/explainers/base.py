"""What the methods share: the request they get, and the way from raw numbers to a saliency map."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.progress import NeverStop, Progress, ProgressCallback, StopSignal, no_progress
from engine.results.caution import ABSENCE, Caution
from engine.results.cells import TOP
from engine.results.diagnosis import probability_text
from engine.results.saliency import CellEstimate, Parameter, SaliencyMap

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from engine.network.classifier import Classifier

PREVIEW_EVERY = 0.25
"""Shortest time between two previews of a running method, in seconds."""

FEWEST_SAMPLES = 16
"""A method that is stopped before this many samples has no map worth showing."""

_FIRST_LOOK = 250
"""Samples at the first interim look; every further look costs certainty, see `engine.results.certainty`."""

_SMALL_EFFECT = 0.01
"""Nobody would act upon a change of probability below this."""

_ROUNDING = 1e-5
"""Differences of logits up to this are float32 rounding."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one map.

    Attributes:
        classifier: the network; the caller holds its lock.
        tensor: (1, C, H, W) normalised input on the classifier's device.
        target: index of the class to explain.
        seed: of the method's random numbers, below 2**32.
        progress: told how far the method is.
        stop: asked before every pass.
        kept: cache for results that later requests for this image can use again, by parameters.
        others: indices of the classes of which later requests for this image will ask.
    """

    classifier: Classifier
    tensor: torch.Tensor
    target: int
    seed: int
    progress: ProgressCallback = no_progress
    stop: StopSignal = field(default_factory=NeverStop)
    kept: dict[Hashable, object] = field(default_factory=dict)
    others: tuple[int, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the network's input, and therefore of the map."""
        return int(self.tensor.shape[-2]), int(self.tensor.shape[-1])


class Explainer(Protocol):
    """An explanation method with its parameters set."""

    @property
    def key(self) -> str:
        """The method's key, e.g. `rise`."""

    def explain(self, request: Request) -> SaliencyMap:
        """Return the map for one image and one class.

        If stopped, return the best map so far with `stopped=True`.

        Raises:
            Stopped: stopped before there was a map worth showing.
            ExplanationError: the network gave NaN, or the method cannot work on this network.
        """


def scaled_map(
    raw: NDArray[np.float64],
    request: Request,
    *,
    method: str,
    parameters: Mapping[str, Parameter],
    started: float,
    samples: int = 0,
    seed: int | None = None,
    cells: CellEstimate | None = None,
    raw_range: tuple[float, float] | None = None,
    constant: bool = False,
    stopped: bool = False,
    warnings: tuple[str, ...] = (),
    blank: float | None = None,
) -> SaliencyMap:
    """Scale a raw (H, W) map to [0, 1] by its own minimum and maximum.

    Args:
        raw: in the method's own units.
        raw_range: the range to record if `raw` is already scaled.
        constant: whether the differences in `raw` are only rounding; the map is then all zeros.
        started: `time.perf_counter()` when the method began.
        (others): as in `SaliencyMap`.
    """
    low, high = float(raw.min()), float(raw.max())
    recorded = raw_range if raw_range is not None else (low, high)
    if constant or not high > low:
        # An empty range is what `SaliencyMap.constant` looks at.
        recorded = (recorded[0], recorded[0])
        values = np.zeros(raw.shape, dtype=np.float32)
        said = "This map is constant: it says nothing about where the network looked."
        warnings = (*warnings, Caution("constant", said))
    else:
        values = ((raw - low) / (high - low)).astype(np.float32)
    if stopped:
        said = f"Stopped after {samples:,} samples: the map is less certain than a complete one."
        warnings = (*warnings, Caution("stopped", said))
    values.setflags(write=False)
    return SaliencyMap(
        method=method,
        target=request.classifier.classes[request.target],
        values=values,
        raw_min=recorded[0],
        raw_max=recorded[1],
        samples=samples,
        seed=seed,
        seconds=time.perf_counter() - started,
        parameters=MappingProxyType(dict(parameters)),
        stopped=stopped,
        cells=cells,
        warnings=warnings,
        blank=blank,
    )


def unmoved(outputs: NDArray[np.float64]) -> bool:
    """Whether (N,) probabilities differ by no more than float32 rounding of their logits."""
    # The derivative of a probability by its logit is p (1 - p).
    slope = float((outputs * (1.0 - outputs)).max())
    return float(np.ptp(outputs)) <= _ROUNDING * slope


def absence(request: Request, own: float, blank: float) -> tuple[Caution, ...]:
    """Return the warning that the class is what the network says where it sees nothing, if that is so.

    Args:
        request: the image and the class.
        own: probability of the class for the image.
        blank: the same where the whole image is hidden.
    """
    if blank < own:
        return ()
    classes, target = request.classifier.classes, request.classifier.classes[request.target]
    remedy = ""
    if not request.classifier.bundle.output.multilabel:
        other = f"“{classes[1 - request.target]}”" if len(classes) == 2 else "another class"
        remedy = f" Explain {other} to see what speaks for that one."
    return (
        Caution(
            ABSENCE,
            f"With the whole image hidden, the network says “{target}” with {probability_text(blank, 3)}, no less than "
            f"for the image ({probability_text(own, 3)}): this class is its answer where it sees nothing, and what the "
            f"image shows as a whole speaks against it.{remedy}",
        ),
    )


def weak_effect(
    outputs: NDArray[np.float64], cells: CellEstimate, *, signed: bool = True, absent: Sequence[Caution] = ()
) -> tuple[Caution, ...]:
    """Return the warnings for a map whose brightest places mean little.

    Every map is stretched to [0, 1] whatever its range, and it has three top cells even if no cell speaks for the
    class.

    Args:
        outputs: (N,) probabilities of the target class under the masks.
        cells: the estimated cell means.
        signed: whether a mean below 0 speaks against the class (it does not with the estimator of the RISE paper).
        absent: the warning of `absence`, which takes the place of the one that cells speak against the class.
    """
    said = []
    effect = float(np.ptp(outputs))
    if effect < _SMALL_EFFECT:
        said.append(
            Caution(
                "weak-effect",
                f"Hardly any effect: hiding parts of the image moves the probability by {effect:.2g} at most, "
                "so this map shows differences that hardly matter.",
            )
        )
    means = np.sort(cells.means)[::-1][:TOP]
    against = int((means <= 0.0).sum())
    if absent:
        said += absent
    elif signed and against:
        which = "None of the three cells speaks" if against == TOP else f"Only {TOP - against} of the three cells speak"
        rest = "they are" if against == TOP else "the others are"
        sentence = f"{which} for this class; {rest} merely those that speak least against it."
        said.append(Caution("cells-against", sentence))
    return tuple(said)


class Reporter:
    """Reports a running method's progress, sometimes with a preview."""

    def __init__(self, method: str, total: int, progress: ProgressCallback) -> None:
        self._method, self._total, self._progress = method, total, progress
        self._next_preview = time.perf_counter() + PREVIEW_EVERY / 2

    def wants_preview(self) -> bool:
        """Whether it is time for another preview."""
        return self._progress is not no_progress and time.perf_counter() >= self._next_preview

    def report(self, done: int, preview: SaliencyMap | None = None) -> None:
        """Send one report, with a preview if there is one."""
        self._progress(Progress(self._method, done, self._total, preview))
        if preview is not None:
            # `seconds` is the time since the start: previews become rarer as the map changes less and less.
            pause = max(PREVIEW_EVERY, 0.1 * preview.seconds)
            self._next_preview = time.perf_counter() + pause


def interim_looks(total: int) -> tuple[int, ...]:
    """Return the sample counts at which `until="certain"` looks at its result: doubling from 250, and the total."""
    looks, look = [], _FIRST_LOOK
    while look < total:
        looks.append(look)
        look *= 2
    return (*looks, total)
