"""A network with random weights instead of what it learnt: of its last layer, of the later half, of all (Adebayo 2018).

A map that stays the same shows the image rather than the network (Adebayo et al. 2018, "Sanity checks for saliency
maps"). Weights are drawn in the size of the learnt ones, and the statistics of batch normalisation are measured anew,
so that activations neither vanish nor explode: a map of a dead network would differ for that reason alone.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import nn

if TYPE_CHECKING:
    from engine.network.classifier import Classifier

Depth = Literal["head", "half", "all"]
"""How much of a network gets random weights: the layer that gives the scores, the later half of the layers, or all."""

DEPTHS: tuple[Depth, ...] = get_args(Depth)

_NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def randomised(classifier: Classifier, depth: Depth, inputs: torch.Tensor, seed: int) -> Classifier:
    """Return a classifier like this one around a copy of its network with random weights; this one stays as it is.

    Args:
        classifier: the trained network; hold its lock.
        depth: how much of the network gets random weights.
        inputs: (B, C, H, W) on its device, to measure the statistics of batch normalisation with.
        seed: of the weights.

    Raises:
        ValueError: the network has no layer with weights.
        Exception: the network cannot be copied.
    """
    # Whatever is made in inference mode could not take part in a pass with gradients.
    with torch.inference_mode(mode=False), torch.no_grad():
        made = classifier.around(copy.deepcopy(classifier.network))
        layers = layers_with_weights(made, inputs[:1])
        if not layers:
            raise ValueError("the network has no layer with weights")
        chosen = {"head": layers[-1:], "half": layers[len(layers) // 2 :], "all": layers}[depth]
        generator = torch.Generator().manual_seed(seed)
        for layer in chosen:
            for parameter in layer.parameters(recurse=False):
                size = float(parameter.double().square().mean().sqrt())
                parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
        _measure_statistics(made, inputs)
    return made


def layers_with_weights(classifier: Classifier, image: torch.Tensor) -> list[nn.Module]:
    """Return the modules that hold a matrix or filters themselves, in the order in which they first run.

    Modules that do not run for this image come first. Normalisations, which hold only vectors, are not among them.

    Args:
        classifier: the network; the hooks that are set are removed again.
        image: (1, C, H, W) input on its device.
    """
    holders = [
        module
        for module in classifier.network.modules()
        if any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
    ]
    order: dict[int, int] = {}

    def note(module: nn.Module, _: object) -> None:
        order.setdefault(id(module), len(order))

    handles = [module.register_forward_pre_hook(note) for module in holders]
    try:
        with classifier.exact(), torch.no_grad():
            classifier.logits(image)
    finally:
        for handle in handles:
            handle.remove()
    return sorted(holders, key=lambda module: order.get(id(module), -1))


def _measure_statistics(classifier: Classifier, inputs: torch.Tensor) -> None:
    """Set the running statistics of batch normalisation to those of the inputs."""
    layers = [
        module
        for module in classifier.network.modules()
        if isinstance(module, _NORMALISATIONS) and module.track_running_stats
    ]
    # A single value has no variance, and with each image by itself the deepest layers may have just one.
    if not layers or classifier.one_at_a_time or len(inputs) < 2:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the average over all passes, here of one
        layer.train()
    try:
        with classifier.exact():
            classifier.logits(inputs)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
