"""LayerCAM (Jiang et al. 2021) for XAIMed: activations times their own positive gradients, summed over channels.

Where Grad-CAM averages each channel's gradients, LayerCAM keeps the positive ones in their places, so it also suits
early layers. There the paper scales the map M by tanh(2 M / max M), which brings out its weak places. The map is
enlarged bilinearly to the size of the network's input.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from engine import Choices, Declaration, Key, Request, SaliencyMap, scaled_map
from engine.errors import ExplanationError, Stopped
from engine.explainers.base import Reporter
from engine.network.layers.recorded import recorded


@dataclass(frozen=True)
class LayerCam:
    """The method at the layer that was chosen, else at the classifier's default one."""

    choices: Choices
    key: ClassVar[str] = "layercam"
    declares: ClassVar[Declaration] = Declaration(
        parameters=(Key.choice("scaling", "none", ("none", "tanh"), "tanh brings out weak places, for early layers"),),
        shares_gradients=("gradcam", "gradcam++", "hirescam"),
    )

    def explain(self, request: Request) -> SaliencyMap:
        """The map for one image and one class.

        Raises:
            Stopped: stopped before the pass.
            ExplanationError: the layer gives no map, or the class's score does not depend on it.
        """
        if request.stop.is_set():
            raise Stopped(self.key)
        classifier = request.classifier
        layer = classifier.anatomy.check_layer(self.choices.layer or classifier.default_layer)
        started = time.perf_counter()
        with classifier.exact(), torch.enable_grad(), recorded(classifier.network, layer) as record:
            score = classifier.target_logit(classifier.logits(request.tensor)[0], request.target)
            if record.tensor is None or not score.requires_grad:
                raise ExplanationError(
                    "the class's score does not depend on this layer", subject=layer.name, remedy="choose another layer"
                )
            (gradient,) = torch.autograd.grad(score, record.tensor)
        activations, gradients = record.maps(record.tensor.detach()), record.maps(gradient)
        coarse = (activations * gradients.clamp_min(0)).sum(1, keepdim=True).clamp_min(0).cpu().double()
        if not bool(torch.isfinite(coarse).all()):
            raise ExplanationError("no valid map: a gradient or an activation is NaN or infinite", subject=layer.name)
        if self.choices.parameters["scaling"] == "tanh" and float(coarse.max()) > 0:
            coarse = torch.tanh(2.0 * coarse / coarse.max())
        raw = nn.functional.interpolate(coarse, request.size, mode="bilinear", align_corners=False)[0, 0].numpy()
        Reporter(self.key, 1, request.progress).report(1)
        return scaled_map(
            raw,
            request,
            method=self.key,
            parameters={
                "layer": layer.name,
                "gradient_of": "logit",
                "device": classifier.device,
                "precision": "fp32",
                **self.choices.parameters,
            },
            started=started,
        )
