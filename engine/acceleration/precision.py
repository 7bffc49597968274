"""Reduced precision where the work is, float32 where it would show: convolutions, and what reads their result.

The layers behind the last convolution cost next to nothing, but there the few bits of bf16 are those of the logits
themselves. In float32 they leave a fifth to a half of the rounding that autocast by itself gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def reduced_convolutions(network: nn.Module, readout: Sequence[str], kind: str, reduced: torch.dtype) -> Iterator[None]:
    """While it is open, passes of a network are autocast, but from the first module of `readout` on in float32.

    Args:
        network: its passes, each on its own, begin with reduced precision.
        readout: names of modules behind the last convolution; those that the network lacks (as a folded one lacks its
            normalisation) or does not call (as a traced one does not call a bundle's own) are passed over.
        kind: type of the device, `cpu` or `cuda`.
        reduced: bfloat16 or float16.
    """
    modules = dict(network.named_modules())

    def begin(_: nn.Module, __: object) -> None:
        torch.set_autocast_dtype(kind, reduced)

    def exact(_: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...]:
        torch.set_autocast_dtype(kind, torch.float32)  # still on: what was computed before meets float32's weights
        return tuple(
            value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
            for value in inputs
        )

    with torch.autocast(kind, dtype=reduced):  # which at its end puts back what autocast was
        handles = [network.register_forward_pre_hook(begin)]
        handles += [modules[name].register_forward_pre_hook(exact) for name in readout if name in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
