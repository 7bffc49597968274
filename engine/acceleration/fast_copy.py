"""A copy of a network for the many passes of the sampling methods: the same answers in less time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import nn

from engine.acceleration.fusion import fold_batch_norm, fuse_convolutions

Scores = Callable[[nn.Module, torch.Tensor], torch.Tensor]
"""Returns a network's logits for a batch, in float32."""

ROUNDING = 1e-4
"""Differences of logits or activations up to this, relative to their size, count as float32 rounding."""


@dataclass(frozen=True, slots=True)
class FastCopy:
    """A network for many passes.

    Attributes:
        network: the copy, or the network itself if it cannot be made faster.
        folded: whether batch normalisation is folded into the convolutions.
        fused: whether convolutions are fused with the operations after them, see `engine.acceleration.fusion`.
    """

    network: nn.Module
    folded: bool = False
    fused: bool = False


def make_fast_copy(
    network: nn.Module,
    example: torch.Tensor,
    scores: Scores,
    *,
    fuse: bool,
    memory_format: torch.memory_format = torch.channels_last,
    watched: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> FastCopy:
    """Return the fastest copy whose logits for the example differ from the network's only by float32 rounding.

    Args:
        network: in evaluation mode, float32; it is not changed.
        example: (B, C, H, W) input on the network's device.
        scores: returns the logits.
        memory_format: of the copy's weights.
        fuse: whether to fuse convolutions; only for a network on the CPU.
        watched: opens a context around what runs the network's code other than by `scores`, which is tracing.
    """

    # Computed only if there is a copy to compare.
    @cache
    def expected() -> torch.Tensor:
        return scores(network, example)

    def agrees(copy: nn.Module) -> bool:
        # The floor is for logits that are all close to 0. A copy that gives NaN never agrees.
        allowed = ROUNDING * max(float(expected().abs().max()), 1e-3)
        # Alone, too: the answer for an image must not depend on its batch.
        return all(
            float((expected()[:count] - scores(copy, example[:count])).abs().max()) <= allowed
            for count in (len(example), 1)
        )

    best = FastCopy(network)
    # Folding comes first: a normalisation would stand between a convolution and the addition to fuse it with.
    with watched():
        folded = fold_batch_norm(network)
    if folded is not None:
        folded.to(memory_format=memory_format)
        if agrees(folded):
            best = FastCopy(folded, folded=True)
    with watched():
        fused = fuse_convolutions(best.network, example) if fuse else None
    if fused is not None and agrees(fused):
        best = replace(best, network=fused, fused=True)
    return best
