"""Grad-CAM (Selvaraju et al. 2016) and Grad-CAM++ (Chattopadhyay et al. 2018), by the `pytorch_grad_cam` package.

Several denominators of Grad-CAM++ have been published; the package uses sum(A) * g^3. Gradients are those of the logit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from engine.errors import ExplanationError, NotFiniteError, Stopped
from engine.explainers.base import Reporter, Request, scaled_map
from engine.explainers.cam_package import import_cam_package
from engine.network.layers.info import LayerInfo
from engine.network.layers.recorded import recorded
from engine.results.caution import Caution
from engine.results.saliency import Parameter, SaliencyMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.network.classifier import Classifier


@dataclass(frozen=True, slots=True)
class GradCam:
    """Grad-CAM or Grad-CAM++.

    Attributes:
        key: which of the two.
        layer: name of the target layer in `named_modules()`; None for the classifier's default layer.
    """

    key: Literal["gradcam", "gradcam++"] = "gradcam"
    layer: str | None = None

    def explain(self, request: Request) -> SaliencyMap:
        """See `Explainer.explain`; the package's map is enlarged bilinearly to the input's size."""
        if request.stop.is_set():
            raise Stopped(self.key)
        classifier = request.classifier
        classifier.require_layers(self.key)
        layer = self.layer if self.layer is not None else classifier.default_layer
        info = classifier.anatomy.check_layer(layer)
        kind = _recording(self.key)
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
                shared = self._pass(classifier, tensor, request.target, info)
                request.kept["cam"] = shared
            # The package gets what one pass gave. Its own hooks know only modules, and take their first run.
            cam.target_layers = [layer]
            record = cam.activations_and_grads
            record.activations, record.gradients = [shared.activations], [shared.gradients]
            values = cam.aggregate_multi_layers(cam.compute_cam_per_layer(tensor, None, False))[0]
            # The package scales its map, so only the weighted sum still has the range in the method's own units.
            weights, raw = cam.weights, np.maximum(cam.weighted_sum, 0.0)
        if not np.isfinite(values).all() or not np.isfinite(raw).all():
            raise NotFiniteError(
                "no valid map: a gradient or an activation is NaN or infinite",
                subject=f"{self.key} at {layer}",
                remedy="check the model's weights, or choose another layer",
            )
        positive = float(raw.max()) > 0.0
        Reporter(self.key, 1, request.progress).report(1)
        return scaled_map(
            np.asarray(values, dtype=np.float64),
            request,
            method=self.key,
            parameters=self._parameters(classifier, info),
            started=started,
            raw_range=(float(raw.min()), float(raw.max())),
            constant=not positive,
            warnings=(*_doubts(self.key, weights, positive), *classifier.anatomy.doubts_at(info)),
        )

    def _pass(self, classifier: Classifier, tensor: torch.Tensor, target: int, layer: LayerInfo) -> _Pass:
        with recorded(classifier.network, layer) as record:
            score = classifier.target_logit(classifier.logits(tensor)[0], target)
        if record.tensor is None:
            raise ExplanationError(
                "did not run for this image", subject=f"{self.key} at {layer.name}", remedy="choose another layer"
            )
        # The graph begins at the layer, so without it nothing led from there to the score.
        (gradient,) = torch.autograd.grad(score, record.tensor, allow_unused=True) if score.requires_grad else (None,)
        if gradient is None:
            # The code may have switched gradients off.
            sets = "".join(f" ({caution.removesuffix('.')})" for caution in classifier.state_cautions)
            raise ExplanationError(
                f"the class's score does not depend on this layer{sets}",
                subject=f"{self.key} at {layer.name}",
                remedy="choose another layer",
            )
        activations, gradients = (record.maps(each.detach()).cpu().clone() for each in (record.tensor, gradient))
        return _Pass((layer.name, target), activations, gradients)

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
    """Activations and gradients of one forward and backward pass, shared by Grad-CAM and Grad-CAM++."""

    of: tuple[str, int]
    activations: torch.Tensor
    gradients: torch.Tensor


def _recording(key: str) -> Any:
    """Return a subclass of the package's class that records the channel weights and the unscaled weighted sum."""
    package = import_cam_package()
    kind: Any = package.GradCAM if key == "gradcam" else package.GradCAMPlusPlus

    class Recording(kind):  # type: ignore[misc]  # the package has no types, so its classes are `Any`
        weights: NDArray[np.float32]
        weighted_sum: NDArray[np.float32]

        def get_cam_weights(self, tensor: Any, layer: Any, targets: Any, activations: Any, gradients: Any) -> Any:
            self.weights = super().get_cam_weights(tensor, layer, targets, activations, gradients)
            return self.weights

        def get_cam_image(self, *arguments: Any) -> Any:
            self.weighted_sum = super().get_cam_image(*arguments)
            return self.weighted_sum

    return Recording


def _doubts(key: str, weights: NDArray[np.float32], positive: bool) -> Iterator[Caution]:
    if not positive:
        said = "No part of this layer speaks for this class: the whole weighted sum is zero or below."
        yield Caution("nothing-positive", said)
    if key == "gradcam++" and bool((weights < 0).any()):
        # The weights are sums of max(g, 0) * alpha, so one is negative only if a denominator is: sum(A) < 0.
        yield Caution(
            "formula",
            "Grad-CAM++'s formula does not hold at this layer, whose activations sum to less than zero in some "
            "channels; a layer behind a ReLU suits it better.",
        )


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
