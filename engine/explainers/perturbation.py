"""The one masked-forward loop: many masked copies of one image through the network, batch by batch.

LIME and RISE share it. Masks are drawn in batches, applied and handed on with the class probabilities; nothing of the
size (samples, H, W) is ever held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from engine.classifier import Classifier
from engine.errors import DeviceError, ExplanationError
from engine.explainers.base import Request
from engine.progress import StopSignal
from engine.tuning import Tuning, tune

DrawMasks = Callable[[int, int], torch.Tensor]
"""Gives samples start..stop-1 as (n, 1, H, W) masks on the device, float32 in [0, 1] or bool; 1 shows the image."""

REDUCED_TOLERANCE = 0.01
"""By how much reduced precision may move a probability before it is given up."""

REDUCED_SHARE = 0.2
"""By how much, root mean square, as a share of what the masks move it: near 0 and 1 a rounding of 1e-4 can be more than
the whole effect of a mask, and a map of it would be a map of rounding."""

_CHECKED = 32


@dataclass(frozen=True, slots=True)
class MaskedBatch:
    """One batch of the loop.

    Attributes:
        start, stop: the samples it holds, counted from 0; `stop` is excluded.
        masks: (n, 1, H, W) as drawn.
        probabilities: (n, K) float64 on the device.
    """

    start: int
    stop: int
    masks: torch.Tensor
    probabilities: torch.Tensor


@dataclass(slots=True)
class MaskedForward:
    """The loop for one image.

    Attributes:
        classifier: the network; its lock must be held.
        image: (1, C, H, W) normalised input.
        hidden: (1, C, H, W) or broadcastable: what shows where a mask is 0.
        draw: gives the masks.
        precision: the one used, settled when the loop is made.
        batch: images a pass; halved when the device runs out of memory.
        warnings: sentences about what had to be changed on the way.
    """

    classifier: Classifier
    image: torch.Tensor
    hidden: torch.Tensor
    draw: DrawMasks
    precision: str = "fp32"
    batch: int = 16
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def prepare(cls, request: Request, hidden: torch.Tensor, draw: DrawMasks, tuning: Tuning) -> MaskedForward:
        """A loop at the tuned batch size and precision; `auto` keeps reduced precision only where this image allows it.

        The first masked images are passed in both precisions. If any probability moves by more than 0.01, or the target
        class's by more than a fifth of what the masks themselves move it, float32 is taken.
        """
        loop = cls(request.classifier, request.tensor, hidden, draw, precision=tuning.precision, batch=tuning.batch)
        if request.classifier.precision == "auto" and loop.precision != "fp32":
            masks = draw(0, _CHECKED)
            reduced = loop._probabilities(masks)
            loop.precision = "fp32"
            exact = loop._probabilities(masks)
            moved = reduced - exact
            rounding = float(moved[:, request.target].square().mean().sqrt())
            effect = float(exact[:, request.target].std())
            if float(moved.abs().max()) <= REDUCED_TOLERANCE and rounding <= REDUCED_SHARE * effect:
                loop.precision = tuning.precision
        return loop

    def run(self, total: int, stop: StopSignal, looks: Sequence[int] = ()) -> Iterator[MaskedBatch]:
        """Yield the samples in order until `total`, or until stopped; a batch never reaches across a look.

        Args:
            total: number of samples.
            stop: asked before every pass.
            looks: sample counts at which the caller wants to look at the result, so that what it finds there does not
                depend on the batch size.

        Raises:
            ExplanationError: the network gave NaN or infinity.
            DeviceError: not even a single image fits into the device's memory.
        """
        borders = sorted({*(look for look in looks if 0 < look < total), total})
        start = 0
        for border in borders:
            while start < border:
                if stop.is_set():
                    return
                end = min(start + self.batch, border)
                masks = self.draw(start, end)
                yield MaskedBatch(start, end, masks, self._probabilities(masks))
                start = end

    def _probabilities(self, masks: torch.Tensor) -> torch.Tensor:
        """(n, K) probabilities of the masked images, in as many passes as memory wants."""
        parts: list[torch.Tensor] = []
        at = 0
        while at < len(masks):
            chunk = masks[at : at + self.batch]
            try:
                with self.classifier.many_passes(self.precision):
                    logits = self.classifier.logits(self._masked(chunk), folded=True)
                    parts.append(self.classifier.probabilities(logits))
            except torch.cuda.OutOfMemoryError as error:
                if len(chunk) == 1:
                    raise DeviceError(
                        "not even one image fits into the device's memory",
                        subject=self.classifier.device,
                        remedy="use --device cpu",
                    ) from error
                self.batch = max(1, len(chunk) // 2)
                torch.cuda.empty_cache()
                self.warnings.append(f"The device ran out of memory; the batch was halved to {self.batch}.")
                continue
            at += len(chunk)
        result = torch.cat(parts)
        if not bool(torch.isfinite(result).all()):
            raise ExplanationError(
                "no valid map: the network gave NaN or infinity for a masked image",
                subject=f"{self.classifier.bundle.task}/{self.classifier.bundle.name}",
                remedy="try --precision fp32" if self.precision != "fp32" else "check the model's weights",
            )
        return result

    def _masked(self, masks: torch.Tensor) -> torch.Tensor:
        if masks.dtype == torch.bool:
            masked = torch.where(masks, self.image, self.hidden)
        else:
            masked = torch.lerp(self.hidden.expand_as(self.image), self.image, masks)
        return masked.contiguous(memory_format=torch.channels_last)


def prepared_tuning(request: Request) -> Tuning:
    """Batch size and precision for this classifier; measured once per model and device, see `engine.tuning`."""
    classifier = request.classifier
    classifier.fold(request.tensor)

    def probe(images: torch.Tensor, precision: str) -> None:
        with classifier.many_passes(precision):
            classifier.probabilities(classifier.logits(images, folded=True)).cpu()

    return tune(
        probe,
        request.tensor,
        model=classifier.bundle.digest,
        device=classifier.device,
        asked=classifier.precision,
    )
