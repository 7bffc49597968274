"""The masked-forward loop: it passes many masked copies of one image through the network, batch by batch.

LIME and RISE share it. It draws and applies the masks of one batch at a time and keeps only the network's outputs, so
nothing of the size (samples, H, W) is ever in memory, and a map of another class needs no new passes.
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
from engine.explainers.activation_table.table import Activations, FirstLayers, Images, RunPart, find_first_layers
from engine.explainers.base import Request
from engine.explainers.superpixels import SuperpixelMasks
from engine.progress import StopSignal
from engine.results.caution import Caution
from engine.results.saliency import Parameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

DrawMasks = Callable[[int, int], torch.Tensor]
"""Returns the masks of samples start..stop-1, (n, 1, H, W) on the device, float32 in [0, 1] or bool; 1 shows."""

REDUCED_TOLERANCE = 0.01
"""Reduced precision may change no probability by more than this."""

REDUCED_SHARE = 0.02
"""Nor may it change the target's probability by more than this share (root mean square) of what the masks change.

Rounding is not noise, so more samples do not average it out: at a share of 0.1, LIME's coefficients on the bundled demo
moved by up to nine of their standard errors."""

_CHECKED = 32
"""Samples passed in both precisions to compare them."""
_CLASSES_KEPT = 16
"""If a network has more classes, only the outputs of those that are asked for are kept."""

_Kept = TypeVar("_Kept")


class MaskedForward:
    """The loop for one image.

    Attributes:
        precision: the precision in use; see `settle_precision`.
        batch: images a pass; halved when the device runs out of memory.
        warnings: a sentence for every change that had to be made on the way.
        reused: samples of the last run that did not have to be passed again.
        looked_up: convolutions whose results were looked up in the last run that passed anything, see
            `engine.explainers.activation_table.table`.
    """

    def __init__(
        self,
        request: Request,
        hidden: torch.Tensor,
        draw: DrawMasks,
        tuning: Tuning,
        columns: tuple[int, ...] | None = None,
    ) -> None:
        """Prepare a loop without passing anything yet.

        Args:
            request: the image and the network; hold its lock.
            hidden: (1, C, H, W) or broadcastable: what shows where a mask is 0.
            draw: returns the masks.
            tuning: batch size and precision to begin with.
            columns: indices of the classes whose outputs are kept, the request's among them; None for all of them, or
                those that are asked for if there are many.
        """
        self.classifier, self._draw = request.classifier, draw
        self._format = request.classifier.memory_format
        self._image = request.tensor.contiguous(memory_format=self._format)
        self._hidden = hidden.expand_as(self._image).contiguous(memory_format=self._format)
        self._tuning, self.precision, self.batch = tuning, tuning.precision, tuning.batch
        self.warnings: list[Caution] = []
        self.reused = self.looked_up = 0
        self._first: FirstLayers | None = None
        self._columns = kept_columns(request) if columns is None else columns
        self._target = request.target
        self._outputs: dict[str, list[torch.Tensor]] = {}
        self._checked: tuple[torch.Tensor, torch.Tensor] | None = None
        self._just_checked = self._first_checked = 0

    def settle_precision(self, target: int, stop: StopSignal) -> None:
        """If the precision is `auto`, use reduced precision only if this image and class allow it.

        The first masked images are passed once in both precisions; they count as samples. Float32 is used if any
        probability changes by more than 0.01, or the target class's by more than a fiftieth of what the masks
        themselves change it.

        Args:
            target: index of the class to explain.
            stop: asked before every pass; once it is set, nothing is settled, and `run` passes nothing either.
        """
        self._target = target
        fastest = self._tuning.precision
        if self.classifier.precision != "auto" or fastest == "fp32":
            return
        checked = self._checked or self._check(fastest, stop)
        if checked is None:
            return
        change, exact = checked
        rounding, effect = float(change[:, target].square().mean().sqrt()), float(exact[:, target].std())
        coarse = float(change.abs().max()) > REDUCED_TOLERANCE or rounding > REDUCED_SHARE * effect
        self.precision = "fp32" if coarse else fastest
        if not self.warnings:  # a warning means that the device ran out of memory and the batch was halved
            self.batch = self._tuning.batch_for(self.precision)

    def follow(self, other: MaskedForward, target: int) -> None:
        """Take the precision that `other`, a loop for the same image and class, has settled.

        Args:
            other: the other loop.
            target: index of the class to explain.
        """
        self._target, self.precision, self.batch = target, other.precision, other.batch

    def run(self, total: int, stop: StopSignal, looks: Sequence[int] = ()) -> Iterator[int]:
        """Yield how many samples are done, batch by batch, until `total` or until stopped.

        Samples that this loop has already passed are not passed again. A batch ends at every look. While the first
        layers are prepared, the same count is yielded.

        Args:
            total: number of samples.
            stop: asked before every pass.
            looks: sample counts at which the caller looks at the result; ending a batch there makes what it finds
                independent of the batch size.

        Raises:
            ExplanationError: the network gave NaN or infinity.
            torch.OutOfMemoryError: not even a single image fits into the device's memory.
        """
        kept = sum(len(part) for part in self._outputs.get(self.precision, ()))
        # The samples of the precision check were passed for this very run.
        self.reused, self._just_checked = kept - self._just_checked, 0
        borders = sorted({*(look for look in looks if 0 < look < total), total})
        first = borders[0]
        # The caller sees the same counts as without kept samples, so `certain` stops at the same one.
        yield from (border for border in borders if border <= kept)
        borders = [border for border in borders if border > kept]
        if not borders:
            return
        try:
            # Only the samples up to the first look are sure to be passed: the table has to pay off by then. Whether it
            # does may not depend on what other classes have needed before, or their maps would change this one's.
            for _ in self._prepare(first - self._first_checked, stop):
                yield kept
            yield from self._pass(kept, borders, stop)
        finally:
            self._first = None  # the table is large, and the loop itself is kept for other classes

    def outputs(self, count: int) -> NDArray[np.float64]:
        """Return the target class's probabilities for the first samples, (count,).

        Raises:
            ExplanationError: the network gave NaN or infinity.
        """
        column = self._columns.index(self._target)
        values = torch.cat([part[:, column] for part in self._outputs[self.precision]])[:count].cpu().numpy()
        if not np.isfinite(values).all():
            raise NotFiniteError(
                "no valid map: the network gave NaN or infinity for a masked image",
                subject=subject_of(self.classifier.bundle),
                remedy="try --precision fp32" if self.precision != "fp32" else "check the model's weights",
            )
        return np.asarray(values)

    def parameters(self) -> dict[str, Parameter]:
        """Return how the passes were made, for the record."""
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
        """Fill the table of the first layers if that pays off for so many samples; yield after each pass."""
        self.looked_up = 0
        masks = self._draw
        if not isinstance(masks, SuperpixelMasks) or stop.is_set():
            return

        def images(rows: torch.Tensor) -> torch.Tensor:
            return self._masked(masks.spread(rows))

        def run(layers: nn.Module, activations: Activations) -> Activations:
            with self.classifier.many_passes(self.precision), self.classifier.watched():
                return tuple(layers(*activations))

        pace, out_of_memory = Pace(self.classifier.device), False
        try:
            with self.classifier.many_passes("fp32"), self.classifier.watched():
                network, readout = self.classifier.fast_copy().network, self.classifier.anatomy.readout
                found = find_first_layers(network, self._image, masks, samples, readout)
            for _ in found.fill(images, run, self.batch) if found is not None else ():
                pace.given()
                yield
                if stop.is_set():
                    return
            if found is not None and self._agrees(found, images, run, samples):
                self._first, self.looked_up = found, found.convolutions
        except torch.cuda.OutOfMemoryError:
            out_of_memory = True
        # Outside the `except` block: inside it, the error still holds the table. Without it the network may have room.
        if out_of_memory:
            found = None
            torch.cuda.empty_cache()

    def _agrees(self, found: FirstLayers, images: Images, run: RunPart, samples: int) -> bool:
        """Whether table and network agree on some samples; the first is left out, as it shows every superpixel."""
        last = min(samples, 1 + CHECKED_SAMPLES)
        for start in range(1, last, self.batch):
            stop = min(start + self.batch, last)
            if not found.agrees(images, run, start, stop):
                return False
            whole = self._passed(start, stop, self.precision)
            change = self._passed(start, stop, self.precision, found) - whole
            if not float(change.abs().max()) <= REDUCED_TOLERANCE / 10:  # written so that NaN disagrees
                return False
        return True

    def _check(self, fastest: str, stop: StopSignal) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Pass the first masked images in both precisions.

        Returns:
            By how much reduced precision changes their probabilities, and the float32 probabilities, (n, K) each;
            None if stopped.
        """
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
        self._checked = (reduced - exact).cpu(), exact.cpu()
        self._just_checked = self._first_checked = len(exact)
        return self._checked

    def _keep(self, probabilities: torch.Tensor, precision: str) -> None:
        if len(self._columns) < probabilities.shape[1]:
            probabilities = probabilities[:, list(self._columns)]
        self._outputs.setdefault(precision, []).append(probabilities)

    def _probabilities(self, start: int, stop: int, precision: str) -> torch.Tensor:
        """Return the (n, K) probabilities of samples start..stop-1, in more passes if memory runs out."""
        parts: list[torch.Tensor] = []
        at = start
        while at < stop:
            end = min(at + self.batch, stop)
            try:
                parts.append(self._passed(at, end, precision, self._first))
            except torch.cuda.OutOfMemoryError:
                if self._first is not None:
                    self._first = None  # the table is the first thing to give up
                elif end - at > 1:
                    self.batch = (end - at) // 2
                    said = f"The device ran out of memory; the batch was halved to {self.batch}."
                    self.warnings.append(Caution("memory", said))
                else:
                    raise  # `Classifier.with_memory` then starts the method again on the CPU
                torch.cuda.empty_cache()
                continue
            at = end
        return torch.cat(parts)

    def _passed(self, start: int, stop: int, precision: str, first: FirstLayers | None = None) -> torch.Tensor:
        classifier = self.classifier
        if first is not None:
            # Outside `many_passes`: autocast would round the float32 numbers by which the table is indexed.
            activations = first.look_up(start, stop)
            with classifier.many_passes(precision):
                return classifier.probabilities(classifier.scores(first.rest, *activations))
        with classifier.many_passes(precision):
            return classifier.probabilities(classifier.logits(self._masked(self._draw(start, stop)), fast=True))

    def _masked(self, masks: torch.Tensor) -> torch.Tensor:
        # One weight a value, in the same memory layout: broadcasting one weight over three channels takes three times
        # as long. With weights of 0 and 1, `lerp` returns the hidden and the shown values exactly.
        weights = masks.to(self._image.dtype).expand(-1, self._image.shape[1], -1, -1)
        return torch.lerp(self._hidden, self._image, weights.contiguous(memory_format=self._format))


def kept_or_made(request: Request, key: Hashable, make: Callable[[], _Kept], kind: type[_Kept]) -> _Kept:
    """Return what an earlier request for the same image and parameters has kept, or make and keep it.

    Another class of the image then needs no new passes.

    Args:
        request: its `kept` is the cache.
        key: the method's parameters and seed.
        make: makes the object, which contains a `MaskedForward`.
        kind: the object's class.
    """
    # A loop keeps the outputs of some classes only, which are of no use to others.
    key = key, kept_columns(request)
    found = request.kept.get(key)
    if isinstance(found, kind):
        return found
    made = make()
    if len(key[1]) > 1:
        request.kept[key] = made
    return made


def kept_columns(request: Request, most: int = _CLASSES_KEPT) -> tuple[int, ...]:
    """Return the indices of the classes whose outputs are kept: all, or with more than `most` those asked for."""
    count = len(request.classifier.classes)
    return tuple(range(count)) if count <= most else tuple(sorted({request.target, *request.others}))


def prepared_tuning(request: Request) -> Tuning:
    """Return the batch size and precision for this classifier; measured once, see `engine.acceleration.tuning`.

    If each image has to be passed by itself, there is nothing to measure.
    """
    classifier = request.classifier
    if classifier.one_at_a_time:
        return Tuning(1, "fp32" if classifier.precision == "auto" else classifier.precision)

    def probe(images: torch.Tensor, precision: str) -> None:
        with classifier.many_passes(precision):
            classifier.probabilities(classifier.logits(images, fast=True)).cpu()  # `cpu` waits for the GPU

    return tune(
        probe,
        request.tensor,
        model=classifier.bundle.digest,
        device=classifier.device,
        asked=classifier.precision,
    )
