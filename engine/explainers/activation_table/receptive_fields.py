"""Find the superpixels in the receptive field of each activation, for the local layers of a traced network."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import torch
from torch import fx, nn
from torch.nn import functional

from engine.acceleration.fusion import FusedConvolution
from engine.acceleration.tracing import module_of, shape_of
from engine.explainers.superpixels import SuperpixelMasks

_MODULES = (
    *(nn.BatchNorm2d, nn.Identity, nn.Dropout, nn.Dropout2d, nn.PReLU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU),
    *(nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh),
)
"""Modules whose result at a place depends, in evaluation mode, only on their input at that place."""
_FUNCTIONS = (
    *(operator.add, operator.iadd, operator.mul, operator.imul, operator.sub, torch.add, torch.mul, torch.sub),
    *(functional.relu, functional.relu6, functional.leaky_relu, functional.elu, functional.gelu, functional.silu),
    *(functional.hardswish, torch.relu, torch.sigmoid, torch.tanh),
)
_METHODS = ("add", "add_", "mul", "mul_", "relu", "relu_", "sigmoid", "tanh", "contiguous")


def receptive_field(
    network: fx.GraphModule, node: fx.Node, fields: Mapping[fx.Node, torch.Tensor], masks: SuperpixelMasks
) -> torch.Tensor | None:
    """Return which superpixels each place of a node's result sees, (S, H', W') bool; None if that is unknown.

    Args:
        network: traced, in evaluation mode, with recorded shapes.
        node: one of its graph's nodes.
        fields: the receptive fields of the nodes before it.
        masks: knows the image's superpixels.
    """
    seen: torch.Tensor | None = None
    if node.op == "placeholder":
        seen = masks.labels == torch.arange(masks.count, device=masks.labels.device)[:, None, None]
    elif node.all_input_nodes and all(source in fields for source in node.all_input_nodes):
        # As floats, since max pooling takes no booleans.
        seen = _seen_through(network, node, [fields[source].float() for source in node.all_input_nodes])
    return seen > 0 if seen is not None and seen.shape[1:] == shape_of(node)[2:] else None


def _seen_through(network: fx.GraphModule, node: fx.Node, sources: list[torch.Tensor]) -> torch.Tensor | None:
    """Return what a node sees if its inputs see `sources`; None if that is unknown."""
    module = module_of(network, node)
    # A place sees whatever any place under the kernel sees: the maximum over the kernel, also for an average pool.
    convolution = convolution_of(network, node)
    if convolution is not None:
        if isinstance(convolution.padding, str) or convolution.padding_mode != "zeros":
            return None
        # Padded by hand, since max pooling refuses a padding of more than half its kernel.
        down, across = convolution.padding
        seen = functional.pad(sources[0], (across, across, down, down))
        # Rows, then columns: for a kernel of 7x7 that compares 14 values and not 49.
        (high, wide), (below, beside), (rows, columns) = (
            convolution.kernel_size,
            convolution.stride,
            convolution.dilation,
        )
        seen = functional.max_pool2d(seen, (high, 1), (below, 1), 0, (rows, 1))
        seen = functional.max_pool2d(seen, (1, wide), (1, beside), 0, (1, columns))
        return _together([seen, *sources[1:]])
    if isinstance(module, nn.MaxPool2d) and not module.return_indices:
        return functional.max_pool2d(
            sources[0], module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode
        )
    if isinstance(module, nn.AvgPool2d):
        return functional.max_pool2d(
            sources[0], module.kernel_size, module.stride, module.padding, ceil_mode=module.ceil_mode
        )
    if isinstance(module, nn.BatchNorm2d) and module.running_mean is None:
        return None  # it normalises by the whole batch, even in evaluation mode
    # Not isinstance: a subclass may have a `forward` of its own.
    known = {"call_module": type(module) in _MODULES, "call_function": node.target in _FUNCTIONS}
    return _together(sources) if known.get(node.op, node.target in _METHODS) else None


def _together(sources: list[torch.Tensor]) -> torch.Tensor | None:
    """Return what is seen by a result that combines `sources` place by place; None if their sizes differ."""
    if any(source.shape != sources[0].shape for source in sources):
        return None
    return torch.stack(sources).amax(0)


def convolution_of(network: fx.GraphModule, node: fx.Node) -> nn.Conv2d | None:
    """Return the convolution that a node calls, fused or not; None for any other node."""
    module = module_of(network, node)
    module = module.convolution if isinstance(module, FusedConvolution) else module
    return module if isinstance(module, nn.Conv2d) else None
