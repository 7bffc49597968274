"""The private parts of PyTorch that the engine needs, all of them here: nothing else in the engine may touch one.

A new version of PyTorch may rename or move them without a word. `tests/engine/acceleration/test_torch_private.py` says
which have changed. The operators of oneDNN are those that PyTorch's own compiler puts into what it compiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import fx, nn

How = tuple[list[int], list[int], list[int], int]
"""A convolution's padding, stride, dilation and groups."""


def convolve(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, how: How, *, relu: bool
) -> torch.Tensor:
    """A convolution, and a ReLU if there is one, in one go: (B, C, H, W) in, (B, K, H', W') out, on the CPU.

    Args:
        inputs: of the weight's dtype, float32 or bfloat16.
        weight: from `lay_out_weight`.
        bias: (K,) or None.
        how: as `weight` was laid out for.
        relu: whether negative values of the result become 0.

    Raises:
        AttributeError: this build of PyTorch lacks oneDNN's operators.
    """
    unary = "relu" if relu else "none"
    return cast("torch.Tensor", torch.ops.mkldnn._convolution_pointwise(inputs, weight, bias, *how, unary, [], ""))


def convolve_and_add(
    inputs: torch.Tensor,
    other: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    how: How,
    *,
    relu: bool,
) -> torch.Tensor:
    """The same as `convolve`, with `other`, of the result's shape and dtype, added before the ReLU."""
    unary = "relu" if relu else None
    result = torch.ops.mkldnn._convolution_pointwise.binary(
        inputs, other, weight, bias, *how, "add", 1.0, unary, [], None
    )
    return cast("torch.Tensor", result)


def lay_out_weight(weight: torch.Tensor, how: How, size: list[int]) -> torch.Tensor:
    """A convolution's (K, C, h, w) weight in the memory layout that oneDNN is fastest with.

    Args:
        weight: float32 or bfloat16, on the CPU.
        how: how the convolution goes over its input.
        size: (B, C, H, W) of the input; the weight serves inputs of other sizes too.

    Raises:
        AttributeError: this build of PyTorch lacks oneDNN's operators.
    """
    return cast("torch.Tensor", torch.ops.mkldnn._reorder_convolution_weight(weight, *how, size))


def cpu_computes_in_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16, so that it is faster than float32.

    Newer versions of PyTorch also say it in public, by `torch.cpu.get_capabilities`; the oldest that the engine allows
    need not have that.
    """
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def fuse_batch_norm(graph: fx.GraphModule) -> nn.Module:
    """A copy of a graph in evaluation mode, its batch normalisation folded into the convolutions where that works."""
    from torch.fx.experimental.optimization import fuse  # late: few networks come here, and it imports much

    return fuse(graph, no_trace=True)


def hooks_of(network: nn.Module) -> Iterator[dict[int, object]]:
    """The dictionaries of all hooks of a network's modules: what is added to one is called, what is deleted is not."""
    for module in network.modules():
        for name, value in vars(module).items():
            if name.endswith("_hooks") and isinstance(value, dict):
                yield value
