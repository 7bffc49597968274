"""Try by experiment what a graph does not tell: whether all that decides the scores passes through a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

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
        """Return the layers with a default through which everything passes, if there is one among the last few."""
        order = dict.fromkeys((layers.default, *layers.others, *(layer.name for layer in reversed(layers.listed))))
        for name in [name for name in order if name in layers.named][:_MOST_TRIALS]:
            layer = layers.named[name]
            if self.all_passes_through(layer):
                named: Mapping[str, LayerInfo] = {**layers.named, name: replace(layer, branch=False)}
                listed = tuple(replace(each, branch=False) if each.is_named(name) else each for each in layers.listed)
                return Layers(listed, named, name)
        return layers

    def all_passes_through(self, layer: LayerInfo) -> bool:
        """Whether the scores of another image become this one's if the layer gives what it gave for this one."""
        this, other = self._images
        with torch.no_grad():
            with recorded(self._network, layer) as record:
                own = self._pass(this)
            different = self._pass(other)
            if record.tensor is None or own is None or different is None:
                return False
            try:
                with replaced(self._network, layer, record.tensor.detach()):
                    transplanted = self._pass(other)
            except RuntimeError:  # its shape depends on the image
                return False
        if transplanted is None:
            return False
        return float((transplanted - own).abs().max()) <= _CLOSE * float((different - own).abs().max())

    def speaks(self, layer: LayerInfo) -> bool:
        """Whether the scores depend on the places of a layer's map, not only on tokens beside them."""
        with torch.enable_grad(), recorded(self._network, layer) as record:
            scores = self._pass(self._images[0])
        if record.tensor is None or scores is None or not scores.requires_grad:
            return False
        # Not their plain sum: a softmax's is 1 for any image.
        weighed = (scores * torch.linspace(1.0, 2.0, scores.shape[-1])).sum()
        (gradient,) = torch.autograd.grad(weighed, record.tensor, allow_unused=True)
        return gradient is not None and bool(layer.maps(gradient).any())

    def _pass(self, images: torch.Tensor) -> torch.Tensor | None:
        return self._scores(self._network(images.clone()))
