"""Deletion and insertion curves: does the output follow the map? (Petsiuk et al. 2018, section 4.1.)

Pixels are taken in order of falling saliency. Deletion hides them step by step; insertion uncovers them step by step on
a blurred image. If the map points at what the network uses, the area under the deletion curve is small and the area
under the insertion curve is large. The areas depend on what hides the pixels and on the step, so both are recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from engine.acceleration.tuning import Tuning
from engine.errors import ExplanationError, Stopped
from engine.explainers.base import Request
from engine.explainers.perturbation import MaskedForward, prepared_tuning
from engine.progress import NeverStop, Progress, ProgressCallback, StopSignal, no_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.saliency import SaliencyMap

Kind = Literal["deletion", "insertion"]

_KERNEL, _SIGMA = 11, 5.0
"""Size and sigma of the blurring Gaussian in pixels, as in the reference code `eclique/RISE`."""

_HIDDEN = {
    "deletion": "0 after normalisation (the mean colour)",
    "insertion": f"the image blurred by a Gaussian of {_KERNEL}x{_KERNEL} pixels, sigma {_SIGMA:g}",
}


@dataclass(frozen=True, slots=True)
class FidelityCurve:
    """How the probability of the map's class changes as pixels are deleted or inserted.

    Attributes:
        kind: `deletion` or `insertion`.
        shares: (S + 1,) share of pixels deleted or inserted, from 0 to 1.
        probabilities: (S + 1,) probabilities of the map's class.
        step: pixels a step; the last step may be smaller.
        hidden: what replaces hidden pixels.
        warnings: a sentence for every change that had to be made on the way, such as another device.
    """

    kind: Kind
    shares: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    step: int
    hidden: str
    warnings: tuple[str, ...] = ()

    @property
    def area(self) -> float:
        """Area under the curve by the trapezoid rule, in [0, 1]."""
        middles = (self.probabilities[1:] + self.probabilities[:-1]) / 2.0
        return float(middles @ np.diff(self.shares))


def fidelity_curve(
    classifier: Classifier,
    image: MedicalImage,
    saliency: SaliencyMap,
    kind: Kind,
    *,
    step: int | None = None,
    progress: ProgressCallback = no_progress,
    stop: StopSignal | None = None,
) -> FidelityCurve:
    """Return the deletion or insertion curve of a map, computed in float32.

    Args:
        classifier: the network; its lock is taken.
        image: the image that the map explains.
        saliency: a map of this image and network; pixels of equal value are taken in reading order.
        kind: which curve.
        step: pixels a step; None for the width of the input (224 at 224x224, as in the paper).
        progress: told how far the curve is.
        stop: asked before every pass.

    Raises:
        ExplanationError: the map is constant and so gives no order, it has another size or class, the step is below 1,
            or the network gave NaN.
        Stopped: stopped before the end.
        NotCompliantError: the image cannot be fed to this model.
        DeviceError: there is not enough memory on the device, nor on the CPU.
    """
    signal = stop or NeverStop()

    def measure() -> FidelityCurve:
        tensor, target = classifier.tensor(image), classifier.class_index(saliency.target)
        request = Request(classifier, tensor, target, seed=0, progress=progress, stop=signal)
        _check(saliency, request.size)
        return measured_curves(request, [saliency.values], kind, request.size[1] if step is None else step)[0]

    with classifier.lock:
        curve = classifier.with_memory(measure)
        return replace(curve, warnings=(*classifier.cautions, *curve.warnings))


def measured_curves(
    request: Request, maps: Sequence[NDArray[np.floating]], kind: Kind, step: int
) -> list[FidelityCurve]:
    """Return the curves of several maps of one image, in one run of the masked-forward loop.

    Args:
        request: the image, the network and the class; hold its lock. `progress` and `stop` are looked at every pass.
        maps: (H, W) each, not constant.
        kind: which curve.
        step: pixels a step, from 1.

    Raises:
        ExplanationError: a step below 1, or the network gave NaN.
        Stopped: stopped before the end.
    """
    if step < 1:
        raise ExplanationError(f"a step of {step} pixels is not possible", remedy="give a number from 1")
    pixels = request.size[0] * request.size[1]
    steps = -(-pixels // step)
    # Two masks are the same for all maps: nothing taken, and everything. Between them lie `inner` masks of each map.
    inner = steps - 1
    ranks = torch.from_numpy(np.stack([_ranks(values) for values in maps])).to(request.tensor.device)

    def draw(start: int, end: int) -> torch.Tensor:
        samples = torch.arange(start, end, device=ranks.device) - 2
        of = samples.clamp_min(0) // max(inner, 1)
        taken = torch.where(samples < 0, (samples + 2) * pixels, (samples % max(inner, 1) + 1) * step)
        own, taken = ranks[of.clamp_max(len(maps) - 1)][:, None], taken[:, None, None, None]
        return own >= taken if kind == "deletion" else own < taken

    # Nothing calls `settle_precision` here, so reduced precision would go unchecked.
    tuning = Tuning(prepared_tuning(request).batch_for("fp32"), "fp32")
    loop = MaskedForward(request, _hidden(kind, request.tensor), draw, tuning)
    done, total = 0, 2 + inner * len(maps)
    for done in loop.run(total, request.stop):
        request.progress(Progress(kind, done, total))
    if done < total:
        raise Stopped(kind)
    outputs = loop.outputs(total)
    shares = np.minimum(np.arange(steps + 1) * step, pixels) / pixels
    shares.setflags(write=False)
    curves = []
    for own in outputs[2:].reshape(len(maps), inner):
        probabilities = np.concatenate([outputs[:1], own, outputs[1:2]])
        probabilities.setflags(write=False)
        curves.append(FidelityCurve(kind, shares, probabilities, step, _HIDDEN[kind], tuple(loop.warnings)))
    return curves


def _check(saliency: SaliencyMap, size: tuple[int, int]) -> None:
    if saliency.constant:
        raise ExplanationError("a constant map does not rank the pixels", subject=saliency.method)
    if saliency.values.shape != size:
        raise ExplanationError(
            f"the map has {saliency.values.shape[0]}x{saliency.values.shape[1]} values, the network's input "
            f"{size[0]}x{size[1]}",
            subject=saliency.method,
            remedy="take a map that this network gave",
        )


def _ranks(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return each pixel's rank by falling value, (H, W); equal values rank in reading order."""
    order = np.argsort(-values, axis=None, kind="stable")
    ranks = np.empty(values.size, dtype=np.int64)
    ranks[order] = np.arange(values.size)
    return ranks.reshape(values.shape)


def _hidden(kind: Kind, tensor: torch.Tensor) -> torch.Tensor:
    """Return what replaces hidden pixels, (1, C, H, W) or broadcastable."""
    if kind == "deletion":
        return torch.zeros(1, device=tensor.device)
    from torchvision.transforms.v2.functional import gaussian_blur  # late: a second of import

    # The blur reflects the image at its border, so half the kernel must be smaller than the image.
    kernel = [min(_KERNEL, 2 * side - 1) for side in (tensor.shape[-1], tensor.shape[-2])]
    blurred: torch.Tensor = gaussian_blur(tensor, kernel, [_SIGMA, _SIGMA])
    return blurred
