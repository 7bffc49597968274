"""HiResCAM (Draelos and Carin 2020) for XAIMed: gradients times activations, element by element, summed over channels.

Where Grad-CAM averages each channel's gradients first, HiResCAM keeps them in their places. The map is the package's
(`pytorch_grad_cam`), enlarged bilinearly to the size of the network's input.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import nn

from engine import Choices, Request, SaliencyMap, scaled_map
from engine.errors import ExplanationError, Stopped
from engine.explainers.base import Reporter

if TYPE_CHECKING:
    from engine import Classifier


@dataclass(frozen=True)
class HiResCam:
    """The method at the layer that was chosen, else at the classifier's default one."""

    choices: Choices
    key: ClassVar[str] = "hirescam"

    def explain(self, request: Request) -> SaliencyMap:
        """The map for one image and one class.

        Raises:
            Stopped: stopped before the pass.
            ExplanationError: the layer gives no map, or the class's score does not depend on it.
        """
        from pytorch_grad_cam import HiResCAM  # late: seconds of import

        if request.stop.is_set():
            raise Stopped(self.key)
        classifier = request.classifier
        layer = self.choices.layer or classifier.default_layer
        classifier.anatomy.check_layer(layer)
        module = classifier.network.get_submodule(layer)
        started = time.perf_counter()
        tensor = request.tensor.detach().clone().requires_grad_(True)
        with classifier.exact(), torch.enable_grad(), HiResCAM(_Logits(classifier), [module]) as cam:
            # Behind the package's own hook: an in-place ReLU would change the activation under its hands.
            handle = module.register_forward_hook(lambda _, __, output: output.clone())
            try:
                logits = cam.activations_and_grads(tensor)
                classifier.target_logit(logits[0], request.target).backward()
            finally:
                handle.remove()
            record = cam.activations_and_grads
            if not record.gradients:
                raise ExplanationError(
                    "the class's score does not depend on this layer", subject=layer, remedy="choose another layer"
                )
            activations, gradients = record.activations[0].cpu().numpy(), record.gradients[0].cpu().numpy()
            coarse = cam.get_cam_image(tensor, module, None, activations, gradients, False)
        positive = torch.from_numpy(np.maximum(coarse, 0.0)).double()[None]
        raw = nn.functional.interpolate(positive, request.size, mode="bilinear", align_corners=False)[0, 0].numpy()
        if not np.isfinite(raw).all():
            raise ExplanationError("no valid map: a gradient or an activation is NaN or infinite", subject=layer)
        Reporter(self.key, 1, request.progress).report(1)
        return scaled_map(
            raw,
            request,
            method=self.key,
            parameters={"layer": layer, "gradient_of": "logit", "device": classifier.device, "precision": "fp32"},
            started=started,
        )


class _Logits(nn.Module):
    """The network up to its logits, as the package wants it."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier.network
        self._logits = classifier.logits

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        return self._logits(tensor)
