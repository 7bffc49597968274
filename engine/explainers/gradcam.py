"""Grad-CAM, Grad-CAM++ and HiResCAM: one forward and backward pass, by the `pytorch_grad_cam` package.

`engine.explainers.cam_formulas` has the formulas. Gradients are those of the logit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from engine.errors import ExplanationError, NotFiniteError, Stopped
from engine.explainers.base import Reporter, Request, scaled_map
from engine.explainers.cam_formulas import CamKey, recording, share_below_zero
from engine.explainers.cam_silence import is_sure, silence, without_gradient
from engine.network.layers.info import LayerInfo
from engine.network.layers.recorded import recorded
from engine.results.caution import Caution
from engine.results.saliency import Parameter, SaliencyMap

if TYPE_CHECKING:
    from engine.network.classifier import Classifier

_MOST_BELOW_ZERO = 0.5
"""Share of the channels from which on Grad-CAM++ is refused, because its formula does not hold for them."""


_FORMULA = Caution(
    "formula",
    "Grad-CAM++'s formula does not hold at this layer, whose activations sum to less than zero in some channels; a "
    "layer behind a ReLU suits it better.",
)


@dataclass(frozen=True, slots=True)
class GradCam:
    """Grad-CAM, Grad-CAM++ or HiResCAM.

    Attributes:
        key: which of them.
        layer: name of the target layer in `named_modules()`; None for the classifier's default layer.
    """

    key: CamKey = "gradcam"
    layer: str | None = None

    def explain(self, request: Request) -> SaliencyMap:
        """See `Explainer.explain`; the package's map is enlarged bilinearly to the input's size."""
        if request.stop.is_set():
            raise Stopped(self.key)
        classifier, info = request.classifier, self._layer(request.classifier)
        layer, kind = info.name, recording(self.key)
        started = time.perf_counter()
        tensor = request.tensor.detach().clone()
        with (
            restored(classifier.network),
            classifier.exact(),
            classifier.watched(),
            torch.enable_grad(),
            kind(_Logits(classifier), []) as cam,
        ):
            shared = request.kept.get("cam")
            if not isinstance(shared, _Pass) or shared.of != (layer, request.target):
                (shared,) = self._passes(classifier, tensor, request.target, info)
                request.kept["cam"] = shared
            below = self._below_zero(shared.activations, layer) if self.key == "gradcam++" else 0.0
            # The package gets what one pass gave. Its own hooks know only modules, and take their first run.
            cam.target_layers = [layer]
            record = cam.activations_and_grads
            record.activations, record.gradients = [shared.activations], [shared.gradients]
            values = cam.aggregate_multi_layers(cam.compute_cam_per_layer(tensor, None, False))[0]
            # The package scales its map, so only the weighted sum still has the range in the method's own units.
            raw = np.maximum(cam.weighted_sum, 0.0)
        if not np.isfinite(values).all() or not np.isfinite(raw).all():
            raise NotFiniteError(
                "no valid map: a gradient or an activation is NaN or infinite",
                subject=f"{self.key} at {layer}",
                remedy="check the model's weights, or choose another layer",
            )
        positive = float(raw.max()) > 0.0
        silent = silence(shared.gradients, positive=positive, inverted=shared.inverted, sure=shared.sure)
        Reporter(self.key, 1, request.progress).report(1)
        return scaled_map(
            np.asarray(values, dtype=np.float64),
            request,
            method=self.key,
            parameters=self._parameters(classifier, info),
            started=started,
            raw_range=(float(raw.min()), float(raw.max())),
            constant=not positive,
            warnings=(
                *([] if silent is None else [silent]),
                *([_FORMULA] if below else []),
                *classifier.anatomy.doubts_at(info),
            ),
        )

    def pass_together(self, requests: Sequence[Request]) -> None:
        """Pass the images of several requests in one batch; their maps then need no passes of their own.

        Where the network or the layer does not take batches, nothing is passed.

        Args:
            requests: for one class, of one classifier and input size; hold the lock.
        """
        classifier, target = requests[0].classifier, requests[0].target
        if classifier.one_at_a_time:
            return
        tensor = torch.cat([request.tensor.detach() for request in requests])
        with restored(classifier.network), classifier.exact(), classifier.watched(), torch.enable_grad():
            passes = self._passes(classifier, tensor, target, self._layer(classifier))
        for request, found in zip(requests, passes, strict=False):  # there may be none
            request.kept["cam"] = found

    def _layer(self, classifier: Classifier) -> LayerInfo:
        classifier.require_layers(self.key)
        return classifier.anatomy.check_layer(self.layer if self.layer is not None else classifier.default_layer)

    def _passes(self, classifier: Classifier, tensor: torch.Tensor, target: int, layer: LayerInfo) -> list[_Pass]:
        """Pass (B, C, H, W) images, and return what each gave; nothing if the layer does not hold B images' maps."""
        subject, count = f"{self.key} at {layer.name}", len(tensor)
        with recorded(classifier.network, layer) as record:
            logits = classifier.logits(tensor)
        if record.tensor is None:
            raise ExplanationError("did not run for this image", subject=subject, remedy="choose another layer")
        if count > 1 and layer.images(record.tensor) != count:
            return []
        # No image's score depends on another image, so the gradient of their sum is that of each.
        score = classifier.target_logit(logits, target).sum()
        inverted = classifier.activation if classifier.inverted else ""
        # The graph begins at the layer, so without it nothing led from there to the score.
        (gradient,) = torch.autograd.grad(score, record.tensor, allow_unused=True) if score.requires_grad else (None,)
        if gradient is None:
            raise without_gradient(classifier, layer, tensor[:1], target, subject)
        found = []
        for image in range(count):
            activations, gradients = (
                record.maps(each.detach(), image).cpu().clone() for each in (record.tensor, gradient)
            )
            sure = is_sure(classifier, logits[image].detach(), target)
            found.append(_Pass((layer.name, target), activations, gradients, inverted, sure))
        return found

    def _below_zero(self, activations: torch.Tensor, layer: str) -> float:
        """Return the share of channels for which Grad-CAM++'s formula does not hold.

        Raises:
            ExplanationError: it holds for less than half of them.
        """
        share = share_below_zero(activations.numpy())
        if share > _MOST_BELOW_ZERO:
            raise ExplanationError(
                f"its formula does not hold at this layer: in {share:.0%} of the channels the activations sum to less "
                "than zero",
                subject=f"{self.key} at {layer}",
                remedy="choose a layer behind a ReLU, or another method",
                code="formula",
            )
        return share

    def _parameters(self, classifier: Classifier, layer: LayerInfo) -> dict[str, Parameter]:
        return {
            "layer": layer.name,
            "layer_channels": layer.channels,
            "layer_size": f"{layer.height}x{layer.width}",
            "gradient_of": "logit",
            "device": classifier.device,
            "precision": "fp32",
        }


@dataclass(frozen=True, slots=True)
class _Pass:
    """Activations and gradients of one forward and backward pass, shared by the CAMs.

    Attributes:
        of: the layer and the target.
        activations, gradients: (1, C, H, W), on the CPU.
        inverted, sure: see `silence`.
    """

    of: tuple[str, int]
    activations: torch.Tensor
    gradients: torch.Tensor
    inverted: str
    sure: bool


class _Logits(nn.Module):
    """The classifier's network up to its logits, as a module for the package."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier.network
        self._logits = classifier.logits

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._logits(tensor)


@contextmanager
def restored(network: nn.Module) -> Iterator[None]:
    """Restore a network's modes, gradients and `requires_grad` at the end; until then no parameter gets a gradient."""
    modes = [(module, module.training) for module in network.modules()]
    parameters = [(parameter, parameter.requires_grad, parameter.grad) for parameter in network.parameters()]
    for parameter, _, _ in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            # Not `train()`, which would also change the modes of all modules inside this one.
            module.training = training
        for parameter, required, gradient in parameters:
            parameter.requires_grad_(required)
            parameter.grad = gradient
