"""Try by experiment what a graph does not tell: whether all that decides the scores passes through a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from engine.network.device import is_out_of_memory
from engine.network.layers.info import LayerInfo
from engine.network.layers.listing import Layers
from engine.network.layers.recorded import recorded, replaced

_MOST_TRIALS = 16
_CLOSE = 1e-4
"""Scores this near to each other, relative to their spread over different images, are the same but for rounding."""


class Experiments:
    """Passes noise through a network, and looks at what its layers have to do with its scores.

    Args:
        network: in evaluation mode.
        shape: (B, C, H, W) of its input.
        scores: returns the scores in what the network gives.
    """

    def __init__(
        self, network: nn.Module, shape: tuple[int, ...], scores: Callable[[object], torch.Tensor | None]
    ) -> None:
        self._network = network
        self._scores = scores
        generator = torch.Generator().manual_seed(1)
        self._images = [torch.randn(shape, generator=generator) for _ in range(2)]

    def confirmed(self, layers: Layers) -> Layers:
        """Return the layers with a default through which everything passes, if there is one among the last few.

        Those that were tried before it are branches, whatever the graph says.
        """
        order = dict.fromkeys((layers.default, *layers.others, *(layer.name for layer in reversed(layers.listed))))
        for name in [name for name in order if name in layers.named][:_MOST_TRIALS]:
            passes = self.all_passes_through(layers.named[name])
            if passes is None:
                continue
            layers = _with_branch(layers, name, branch=not passes)
            if passes:
                return replace(layers, default=name, others=())
        return layers

    def all_passes_through(self, layer: LayerInfo) -> bool | None:
        """Whether the scores of another image become this one's if the layer gives what it gave for this one.

        None if it cannot be told: the images' scores are the same anyway, or the network fails for one of them.
        """
        this, other = self._images
        try:
            with torch.no_grad():
                with recorded(self._network, layer) as record:
                    own = self._pass(this)
                different = self._pass(other)
                if record.tensor is None or own is None or different is None:
                    return None
                with replaced(self._network, layer, record.tensor.detach()):
                    transplanted = self._pass(other)
        except Exception as error:  # its shape depends on the image, or the network's code raises anything for noise
            if is_out_of_memory(error):
                raise
            return None
        if transplanted is None or not bool((different != own).any()):
            return None
        return float((transplanted - own).abs().max()) <= _CLOSE * float((different - own).abs().max())

    def speaks(self, layer: LayerInfo) -> bool:
        """Whether the scores depend on the places of a layer's map, not only on tokens beside them."""
        try:
            with torch.enable_grad(), recorded(self._network, layer) as record:
                scores = self._pass(self._images[0])
        except Exception as error:  # the network's code may raise anything for noise
            if is_out_of_memory(error):
                raise
            return False
        if record.tensor is None or scores is None or not scores.requires_grad:
            return False
        # Not their plain sum: a softmax's is 1 for any image.
        weighed = (scores.ravel() * torch.linspace(1.0, 2.0, scores.numel())).sum()
        (gradient,) = torch.autograd.grad(weighed, record.tensor, allow_unused=True)
        return gradient is not None and bool(layer.maps(gradient).any())

    def _pass(self, images: torch.Tensor) -> torch.Tensor | None:
        return self._scores(self._network(images.clone()))


def _with_branch(layers: Layers, name: str, *, branch: bool) -> Layers:
    """Return the layers with one that is a branch, or is none, by all its names."""
    layer = layers.named[name]
    alike = {layer.name, *layer.also}
    listed = tuple(replace(each, branch=branch) if each.is_named(name) else each for each in layers.listed)
    for each in listed:
        if each.is_named(name):
            alike |= {each.name, *each.also}
    named = {each: replace(info, branch=branch) if each in alike else info for each, info in layers.named.items()}
    return replace(layers, listed=listed, named=named)
