"""The one masked-forward loop: many masked copies of one image through the network, batch by batch.

LIME and RISE share it. Masks are drawn in batches and applied; what is kept of them are the network's outputs alone, so
nothing of the size (samples, H, W) is ever held, and a map of another class needs no new passes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import nn

from engine.acceleration.transfer import Pace
from engine.acceleration.tuning import Tuning, tune
from engine.bundle.model_bundle import subject_of
from engine.errors import NotFiniteError
from engine.explainers.activation_table.cuts import CHECKED_SAMPLES
from engine.explainers.activation_table.table import Activations, FirstLayers, Images, Run, find_first_layers
from engine.explainers.base import Request
from engine.explainers.superpixels import SuperpixelMasks
from engine.progress import StopSignal
from engine.results.saliency import Parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

DrawMasks = Callable[[int, int], torch.Tensor]
"""Gives samples start..stop-1 as (n, 1, H, W) masks on the device, float32 in [0, 1] or bool; 1 shows the image."""

REDUCED_TOLERANCE = 0.01
"""By how much reduced precision may move a probability before it is given up."""

REDUCED_SHARE = 0.02
"""By how much, root mean square, as a share of what the masks move it. Rounding is no noise that more samples average
out: at a share of 0.1 LIME's coefficients on the bundled demo moved by up to nine of their standard errors."""

_CHECKED = 32
_CLASSES_KEPT = 16
"""Of networks with more classes only the target's outputs are kept."""

_Kept = TypeVar("_Kept")


class MaskedForward:
    """The loop for one image.

    Attributes:
        precision: the one used; see `settle_precision`.
        batch: images a pass; halved when the device runs out of memory.
        warnings: sentences about what had to be changed on the way.
        reused: samples of the last run that an earlier one had passed already.
        looked_up: convolutions whose results the last run that passed anything looked up, see
            `engine.explainers.activation_table.table`.
    """

    def __init__(self, request: Request, hidden: torch.Tensor, draw: DrawMasks, tuning: Tuning) -> None:
        """Prepare a loop at the tuned batch size and precision; nothing is passed yet.

        Args:
            request: the image and the network, whose lock must be held.
            hidden: (1, C, H, W) or broadcastable: what shows where a mask is 0.
            draw: gives the masks.
            tuning: batch size and precision.
        """
        self.classifier, self._draw = request.classifier, draw
        self._image = request.tensor.contiguous(memory_format=torch.channels_last)
        self._hidden = hidden.expand_as(self._image).contiguous(memory_format=torch.channels_last)
        self._tuning, self.precision, self.batch = tuning, tuning.precision, tuning.batch
        self.warnings: list[str] = []
        self.reused = self.looked_up = 0
        self._first: FirstLayers | None = None
        self._all_classes = len(request.classifier.classes) <= _CLASSES_KEPT
        self._target = request.target
        self._outputs: dict[str, list[torch.Tensor]] = {}
        self._checked: tuple[torch.Tensor, torch.Tensor] | None = None
        self._just_checked = 0

    def settle_precision(self, target: int, stop: StopSignal) -> None:
        """With `auto`, keep reduced precision only where this image and class allow it.

        The first masked images are passed in both precisions, once; they count among the samples. If any probability
        moves by more than 0.01, or the target class's by more than a fiftieth of what the masks themselves move it,
        float32 is taken.

        Args:
            target: index of the class to explain.
            stop: asked before every pass; once it is set nothing is settled, nor will `run` pass anything.
        """
        self._target = target
        fastest = self._tuning.precision
        if self.classifier.precision != "auto" or fastest == "fp32":
            return
        checked = self._checked or self._check(fastest, stop)
        if checked is None:
            return
        moved, exact = checked
        rounding, effect = float(moved[:, target].square().mean().sqrt()), float(exact[:, target].std())
        coarse = float(moved.abs().max()) > REDUCED_TOLERANCE or rounding > REDUCED_SHARE * effect
        self.precision = "fp32" if coarse else fastest
        if not self.warnings:  # else the device's memory has set it
            self.batch = self._tuning.batch_for(self.precision)

    def run(self, total: int, stop: StopSignal, looks: Sequence[int] = ()) -> Iterator[int]:
        """Yield how many samples are done, batch by batch, until `total` or until stopped.

        Samples that this loop has passed before are not passed again. A batch never reaches across a look. While the
        first layers are prepared the count stays the same.

        Args:
            total: number of samples.
            stop: asked before every pass.
            looks: sample counts at which the caller wants to look at the result, so that what it finds there does not
                depend on the batch size.

        Raises:
            ExplanationError: the network gave NaN or infinity.
            torch.OutOfMemoryError: not even a single image fits into the device's memory.
        """
        kept = sum(len(part) for part in self._outputs.get(self.precision, ()))
        self.reused, self._just_checked = kept - self._just_checked, 0
        borders = sorted({*(look for look in looks if 0 < look < total), total})
        yield from (border for border in borders if border <= kept)
        borders = [border for border in borders if border > kept]
        if not borders:
            return
        try:
            for _ in self._prepare(borders[0] - kept, stop):
                yield kept
            yield from self._pass(kept, borders, stop)
        finally:
            self._first = None  # it is large, and the loop is kept for other classes

    def outputs(self, count: int) -> NDArray[np.float64]:
        """(count,) probabilities of the target class for the first samples.

        Raises:
            ExplanationError: the network gave NaN or infinity.
        """
        column = self._target if self._all_classes else 0
        values = torch.cat([part[:, column] for part in self._outputs[self.precision]])[:count].cpu().numpy()
        if not np.isfinite(values).all():
            raise NotFiniteError(
                "no valid map: the network gave NaN or infinity for a masked image",
                subject=subject_of(self.classifier.bundle),
                remedy="try --precision fp32" if self.precision != "fp32" else "check the model's weights",
            )
        return np.asarray(values)

    def parameters(self) -> dict[str, Parameter]:
        """How the passes were made, for the record."""
        copy = self.classifier.fast_copy()
        return {
            "device": self.classifier.device,
            "precision": self.precision,
            "batch": self.batch,
            "batch_norm_folded": copy.folded,
            "convolutions_fused": copy.fused,
            "passes_reused": self.reused,
        }

    def _pass(self, done: int, borders: Sequence[int], stop: StopSignal) -> Iterator[int]:
        pace = Pace(self.classifier.device)
        for border in borders:
            while done < border:
                if stop.is_set():
                    return
                end = min(done + self.batch, border)
                self._keep(self._probabilities(done, end, self.precision), self.precision)
                pace.given()
                done = end
                yield done

    def _prepare(self, samples: int, stop: StopSignal) -> Iterator[None]:
        """Fill the table of the first layers where that is worth it for so many samples; yield after each pass."""
        self.looked_up = 0
        masks = self._draw
        if not isinstance(masks, SuperpixelMasks) or stop.is_set():
            return

        def images(rows: torch.Tensor) -> torch.Tensor:
            return self._masked(masks.spread(rows))

        def run(layers: nn.Module, activations: Activations) -> Activations:
            with self.classifier.many_passes(self.precision):
                return tuple(layers(*activations))

        pace, full = Pace(self.classifier.device), False
        try:
            with self.classifier.many_passes("fp32"):
                network, readout = self.classifier.fast_copy().network, self.classifier.anatomy.readout
                found = find_first_layers(network, self._image, masks, samples, readout)
            for _ in found.fill(images, run, self.batch) if found is not None else ():
                pace.given()
                yield
                if stop.is_set():
                    return
            if found is not None and self._alike(found, images, run, samples):
                self._first, self.looked_up = found, found.convolutions
        except torch.cuda.OutOfMemoryError:
            full = True
        if full:  # behind the `except`: until its end the error holds on to the table; the network itself may have room
            found = None
            torch.cuda.empty_cache()

    def _alike(self, found: FirstLayers, images: Images, run: Run, samples: int) -> bool:
        """Whether table and network agree on some samples; not on the first, whose superpixels are all shown."""
        last = min(samples, 1 + CHECKED_SAMPLES)
        for start in range(1, last, self.batch):
            stop = min(start + self.batch, last)
            if not found.agrees(images, run, start, stop):
                return False
            whole = self._passed(start, stop, self.precision)
            moved = self._passed(start, stop, self.precision, found) - whole
            if not float(moved.abs().max()) <= REDUCED_TOLERANCE / 10:
                return False
        return True

    def _check(self, fastest: str, stop: StopSignal) -> tuple[torch.Tensor, torch.Tensor] | None:
        """By how much reduced precision moves the first masked images' probabilities, and these; None if stopped."""
        both, count = [], len(self._draw(0, _CHECKED))
        for precision in (fastest, "fp32"):
            passed: list[torch.Tensor] = []
            while (done := sum(len(part) for part in passed)) < count:
                if stop.is_set():
                    return None
                passed.append(self._probabilities(done, min(done + self.batch, count), precision))
            both.append(torch.cat(passed))
        reduced, exact = both
        self._keep(reduced, fastest)
        self._keep(exact, "fp32")
        self._checked, self._just_checked = ((reduced - exact).cpu(), exact.cpu()), len(exact)
        return self._checked

    def _keep(self, probabilities: torch.Tensor, precision: str) -> None:
        columns = probabilities if self._all_classes else probabilities[:, self._target, None]
        self._outputs.setdefault(precision, []).append(columns)

    def _probabilities(self, start: int, stop: int, precision: str) -> torch.Tensor:
        """(n, K) probabilities of the samples start..stop-1, in as many passes as memory wants."""
        parts: list[torch.Tensor] = []
        at = start
        while at < stop:
            end = min(at + self.batch, stop)
            try:
                parts.append(self._passed(at, end, precision, self._first))
            except torch.cuda.OutOfMemoryError:
                if self._first is not None:
                    self._first = None  # the table goes first
                elif end - at > 1:
                    self.batch = (end - at) // 2
                    self.warnings.append(f"The device ran out of memory; the batch was halved to {self.batch}.")
                else:
                    raise  # then the method is run on the CPU, see `Classifier.with_memory`
                torch.cuda.empty_cache()
                continue
            at = end
        return torch.cat(parts)

    def _passed(self, start: int, stop: int, precision: str, first: FirstLayers | None = None) -> torch.Tensor:
        classifier = self.classifier
        if first is not None:
            activations = first.look_up(start, stop)
            with classifier.many_passes(precision):
                return classifier.probabilities(classifier.scores(first.rest, *activations))
        with classifier.many_passes(precision):
            return classifier.probabilities(classifier.logits(self._masked(self._draw(start, stop)), fast=True))

    def _masked(self, masks: torch.Tensor) -> torch.Tensor:
        # One weight for each value, laid out as they are: where one has to serve three channels, mixing takes three
        # times as long. Weights of 0 and 1 give what is hidden and what is shown to the last bit.
        weights = masks.to(self._image.dtype).expand(-1, self._image.shape[1], -1, -1)
        return torch.lerp(self._hidden, self._image, weights.contiguous(memory_format=torch.channels_last))


def kept_or_made(request: Request, key: Hashable, make: Callable[[], _Kept], kind: type[_Kept]) -> _Kept:
    """What an earlier request for the same image and parameters has kept, so that another class needs no new passes.

    Args:
        request: its `kept` is looked at and added to.
        key: the method's parameters and seed.
        make: makes what is kept, a `MaskedForward` in it.
        kind: the class of what is kept.
    """
    found = request.kept.get(key)
    if isinstance(found, kind):
        return found
    made = make()
    if len(request.classifier.classes) <= _CLASSES_KEPT:
        request.kept[key] = made
    return made


def prepared_tuning(request: Request) -> Tuning:
    """Batch size and precision for this classifier; measured once, see `engine.acceleration.tuning`."""
    classifier = request.classifier

    def probe(images: torch.Tensor, precision: str) -> None:
        with classifier.many_passes(precision):
            classifier.probabilities(classifier.logits(images, fast=True)).cpu()

    return tune(
        probe,
        request.tensor,
        model=classifier.bundle.digest,
        device=classifier.device,
        asked=classifier.precision,
    )
