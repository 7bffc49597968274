"""The private parts of PyTorch that the engine computes with; no module but this and `torch_settings` may use any.

A new version of PyTorch may rename or move them without notice. `tests/engine/acceleration/test_torch_private.py` says
which have changed. The operators of oneDNN are those that PyTorch's own compiler emits.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import cast

import torch
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode as OperatorMode

__all__ = [
    "How",
    "OperatorMode",
    "archive_records",
    "archive_size",
    "convolve",
    "convolve_and_add",
    "cpu_computes_in_bfloat16",
    "fuse_batch_norm",
    "hooks_of",
    "lay_out_weight",
    "write_count",
]

How = tuple[list[int], list[int], list[int], int]
"""A convolution's padding, stride, dilation and groups."""


def archive_records(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name, without that of the archive, and content of each file in an archive, as `torch.load` finds them.

    Raises:
        RuntimeError: it cannot be read.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(data))
    for name in reader.get_all_records():
        yield name, reader.get_record(name)


def archive_size(data: bytes) -> int:
    """Return how many bytes all files of an archive have, unpacked, as `torch.load` finds them.

    Raises:
        RuntimeError: it cannot be read.
    """
    reader = torch._C.PyTorchFileReader(io.BytesIO(data))
    return sum(reader.get_record_size(name) for name in reader.get_all_records())


def convolve(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, how: How, *, relu: bool
) -> torch.Tensor:
    """Compute a convolution, and a ReLU if there is one, in one operation on the CPU: (B, C, H, W) to (B, K, H', W').

    Args:
        inputs: of the weight's dtype, float32 or bfloat16.
        weight: from `lay_out_weight`.
        bias: (K,) or None.
        how: the same as for `lay_out_weight`.
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
    """Do the same as `convolve`, but add `other`, of the result's shape and dtype, before the ReLU."""
    unary = "relu" if relu else None
    result = torch.ops.mkldnn._convolution_pointwise.binary(
        inputs, other, weight, bias, *how, "add", 1.0, unary, [], None
    )
    return cast("torch.Tensor", result)


def lay_out_weight(weight: torch.Tensor, how: How, size: list[int]) -> torch.Tensor:
    """Return a convolution's (K, C, h, w) weight in the memory layout that is fastest for oneDNN.

    Args:
        weight: float32 or bfloat16, on the CPU.
        how: the convolution's padding, stride, dilation and groups.
        size: (B, C, H, W) of the input; the weight can be used for inputs of other sizes too.

    Raises:
        AttributeError: this build of PyTorch lacks oneDNN's operators.
    """
    return cast("torch.Tensor", torch.ops.mkldnn._reorder_convolution_weight(weight, *how, size))


def cpu_computes_in_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16, so that it is faster than float32.

    Newer versions of PyTorch have the public `torch.cpu.get_capabilities`; the oldest that the engine allows may not.
    """
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def fuse_batch_norm(graph: fx.GraphModule) -> nn.Module:
    """Return a copy of a graph in evaluation mode, with batch normalisation folded into convolutions where possible."""
    from torch.fx.experimental.optimization import fuse  # late: few networks need it, and it imports a lot

    return fuse(graph, no_trace=True)


def hooks_of(network: nn.Module) -> Iterator[dict[int, object]]:
    """Yield the dictionaries of the hooks of a network's modules; adding or deleting an entry does so with a hook."""
    for module in network.modules():
        for name, value in vars(module).items():
            if name.endswith("_hooks") and isinstance(value, dict):
                yield value


def write_count(tensor: torch.Tensor) -> int:
    """Return how often a tensor, or a view of it, has been written to; -1 if torch does not count (inference mode)."""
    return -1 if tensor.is_inference() else tensor._version
