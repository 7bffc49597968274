"""The copy of a network that the many passes of the sampling methods go through: the same answers in less time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import nn

from engine.acceleration.fusion import fold_batch_norm, fuse_convolutions

Scores = Callable[[nn.Module, torch.Tensor], torch.Tensor]
"""A network's logits of a batch, in float32."""

ROUNDING = 1e-4
"""Largest difference of logits or activations, relative to their size, that may come from float32's rounding."""


@dataclass(frozen=True, slots=True)
class FastCopy:
    """A network for many passes.

    Attributes:
        network: the copy, or the network itself where nothing could be done.
        folded: whether its batch normalisation is folded into its convolutions.
        fused: whether its convolutions take what follows them along, see `engine.acceleration.fusion`.
    """

    network: nn.Module
    folded: bool = False
    fused: bool = False


def make_fast_copy(network: nn.Module, example: torch.Tensor, scores: Scores, *, fuse: bool) -> FastCopy:
    """The fastest copy whose logits for the example differ from the network's by no more than float32's rounding.

    Args:
        network: in evaluation mode, float32; it stays as it is.
        example: (B, C, H, W) input on the network's device.
        scores: gives the logits.
        fuse: whether to fuse convolutions, which takes a network on the CPU.
    """

    @cache
    def expected() -> torch.Tensor:
        return scores(network, example)

    def agrees(copy: nn.Module) -> bool:
        moved = float((expected() - scores(copy, example)).abs().max())
        return moved <= ROUNDING * max(float(expected().abs().max()), 1e-3)

    found = FastCopy(network)
    folded = fold_batch_norm(network)
    if folded is not None:
        folded.to(memory_format=torch.channels_last)
        if agrees(folded):
            found = FastCopy(folded, folded=True)
    fused = fuse_convolutions(found.network, example) if fuse else None
    if fused is not None and agrees(fused):
        found = replace(found, network=fused, fused=True)
    return found
