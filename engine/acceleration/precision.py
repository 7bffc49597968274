"""Reduced precision for the convolutions, which are most of the work, and float32 for the layers after them.

The layers after the last convolution cost next to nothing, but in bf16 they round the logits themselves to a few bits.
Running them in float32 leaves a fifth to a half of the rounding error of plain autocast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def reduced_convolutions(
    network: nn.Module, readout: Sequence[str], device_type: str, reduced: torch.dtype
) -> Iterator[None]:
    """Autocast a network's passes while the context is open, but use float32 from the first module of `readout` on.

    Args:
        network: each of its passes begins with reduced precision.
        readout: names of the modules after the last convolution. Names that the network lacks (a folded copy lacks its
            normalisation) or does not call (a traced copy does not call a bundle's own modules) are skipped.
        device_type: `cpu` or `cuda`.
        reduced: bfloat16 or float16.
    """
    modules = dict(network.named_modules())

    def begin(_: nn.Module, __: object) -> None:
        # The pass before this one has ended in float32.
        torch.set_autocast_dtype(device_type, reduced)

    def exact(_: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...]:
        # Autocast stays on: it also casts reduced tensors from earlier layers to the float32 of the weights.
        torch.set_autocast_dtype(device_type, torch.float32)
        return tuple(
            value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
            for value in inputs
        )

    with torch.autocast(device_type, dtype=reduced):  # restores the dtypes set by the hooks when it ends
        handles = [network.register_forward_pre_hook(begin)]
        handles += [modules[name].register_forward_pre_hook(exact) for name in readout if name in modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
