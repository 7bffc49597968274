"""Why a CAM has nothing to show: a gradient that is cut, that vanishes, or that is mostly rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.errors import ExplanationError
from engine.network.layers.info import LayerInfo
from engine.network.layers.recorded import Recorded, recorded
from engine.results.caution import Caution

if TYPE_CHECKING:
    from engine.network.classifier import Classifier

_SURE = 1e-5
"""The gradient of the logarithm of a probability nearer to 1 than this consists of rounding to more than a per cent."""

_ALWAYS_THE_SAME = 0
"""Seed of the noise that a layer's output is disturbed with."""


def without_gradient(
    classifier: Classifier, layer: LayerInfo, tensor: torch.Tensor, target: int, subject: str
) -> ExplanationError:
    """Return the refusal of a layer to which no gradient leads.

    Args:
        classifier: the network.
        layer: the layer.
        tensor: (1, C, H, W) input.
        target: index of the class.
        subject: the method and the layer.
    """
    # The code may have switched gradients off.
    sets = "".join(f" ({caution.removesuffix('.')})" for caution in classifier.state_cautions)
    if _depends(classifier, layer, tensor, target):
        return ExplanationError(
            "the network's code cuts the gradient between this layer and the class's score, by torch.no_grad, detach "
            f"or a function that has no gradient{sets}",
            subject=subject,
            remedy="choose a layer behind the cut, or a method that looks at no layer",
            code="gradient-cut",
        )
    return ExplanationError(
        f"the class's score does not depend on this layer{sets}", subject=subject, remedy="choose another layer"
    )


class _Disturbed(Recorded):
    """Adds noise to what a layer gives, so that everything that depends on it changes."""

    def begin_at(self, made: object) -> object:
        if isinstance(made, torch.Tensor):
            generator = torch.Generator().manual_seed(_ALWAYS_THE_SAME)
            noise = torch.randn(made.shape, generator=generator).to(made) * made.abs().mean().clamp_min(1e-6)
            try:
                made.add_(noise)  # in place, as in `Recorded`: the network's code may go on with the tensor itself
            except RuntimeError:  # many elements at one place in memory
                return made + noise
        return made


def _depends(classifier: Classifier, layer: LayerInfo, tensor: torch.Tensor, target: int) -> bool:
    """Whether the class's score changes if noise is added to the layer's output."""

    def score() -> float:
        with classifier.exact(), torch.inference_mode():
            return float(classifier.target_logit(classifier.logits(tensor)[0], target))

    before = score()
    with recorded(classifier.network, layer, _Disturbed(layer)):
        return score() != before


def is_sure(classifier: Classifier, logits: torch.Tensor, target: int) -> bool:
    """Whether the score comes from a probability so near to 1 that its gradient is mostly rounding.

    Args:
        classifier: its last pass gave the logits.
        logits: (outputs,).
        target: index of the class.
    """
    if not classifier.inverted:
        return False
    score = float(logits[0 if classifier.one_logit else target])
    probability = torch.tensor(score).sigmoid() if classifier.activation == "sigmoid" else torch.tensor(score).exp()
    return float(probability) > 1.0 - _SURE


def silence(gradients: torch.Tensor, *, positive: bool, inverted: str, sure: bool) -> Caution | None:
    """Return what has to be said about a map because of its gradients; None if nothing has.

    Args:
        gradients: (1, C, H, W) of the class's score by the layer.
        positive: whether any place of the map is positive.
        inverted: the network's own activation, if the score comes from its output; else empty.
        sure: see `is_sure`.
    """
    if bool(gradients.any()):
        if sure:
            return Caution(
                "saturated",
                f"The network's own {inverted} is saturated: it rounds the class's probability, so the "
                "gradient behind this map is mostly rounding.",
            )
        if not positive:
            said = "No part of this layer speaks for this class: the whole weighted sum is zero or below."
            return Caution("nothing-positive", said)
        return None
    if inverted:
        return Caution(
            "saturated",
            f"The network's own {inverted} is saturated: it rounds the probability to 0 or 1, so its "
            "gradient is zero and this method cannot see where the network looked.",
        )
    return Caution(
        "saturated",
        "The gradient of the class's score is zero at every place of this layer, because units behind it are saturated "
        "or switched off: this method cannot see where the network looked.",
    )
