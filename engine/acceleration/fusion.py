"""Fuse convolutions with the addition and ReLU after them, on the CPU, with weights packed for oneDNN beforehand.

PyTorch's compiler uses the same operators, but it needs a C++ compiler on the machine and half a minute for a network.
Rewriting the graph needs neither. The operators are not a public interface (`engine.acceleration.torch_private`): if
they are missing or reject a network, the network stays as it is.
"""

from __future__ import annotations

import operator
from typing import cast

import torch
from torch import fx, nn
from torch.nn import functional

from engine.acceleration.torch_private import convolve, convolve_and_add, fuse_batch_norm, lay_out_weight
from engine.acceleration.tracing import module_of, note_shapes, shape_of, trace

_ADDITIONS = (operator.add, torch.add)
_DTYPES = (torch.float32, torch.bfloat16)


def fuse_convolutions(network: nn.Module, example: torch.Tensor) -> fx.GraphModule | None:
    """Return a copy of a network with fused convolutions, or None if nothing can be fused.

    The copy's passes may be autocast to bfloat16. The caller has to check that its outputs are the same.

    Args:
        network: in evaluation mode, float32, on the CPU; the copy shares its modules.
        example: (B, C, H, W) float32 input; its size decides how the weights are packed.
    """
    try:
        with torch.no_grad():
            fused = trace(network)
            note_shapes(fused, example)
            found = [node for node in fused.graph.nodes if _fits(fused, node)]
            for number, node in enumerate(found):
                _replace(fused, node, f"fused_{number}")
            fused.graph.lint()
            fused.recompile()
            # One pass, so that operators that reject this network raise their error here.
            fused(example[:1])
    # Tracing runs the bundle's own code, which may raise anything, and some builds of torch lack the operators.
    except Exception:
        return None
    return fused if found else None


class FusedConvolution(nn.Module):
    """relu(convolution + other) in one operator; both the addition and the ReLU are optional.

    Args:
        convolution: two-dimensional, zero-padded, float32.
        size: (B, C, H, W) of its input.
        relu: whether negative values of the result become 0.
    """

    def __init__(self, convolution: nn.Conv2d, size: list[int], *, relu: bool) -> None:
        super().__init__()
        self.convolution = convolution
        self._size = size
        self._how = (
            list(cast("tuple[int, int]", convolution.padding)),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self._relu = relu
        self._packed: dict[torch.dtype, tuple[torch.Tensor, torch.Tensor | None]] = {}

    def forward(self, inputs: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        """Map (B, C, H, W) to (B, K, H', W'); `other`, of the result's shape, is added before the ReLU."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        weight, bias = self._weights(dtype)
        inputs = inputs.to(dtype)
        if other is None:
            return convolve(inputs, weight, bias, self._how, relu=self._relu)
        return convolve_and_add(inputs, other.to(dtype), weight, bias, self._how, relu=self._relu)

    def extra_repr(self) -> str:
        """Return what `print` adds to the module's name: what follows the convolution."""
        return "then relu" if self._relu else "then none"

    def _weights(self, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor | None]:
        if dtype not in self._packed:
            if dtype not in _DTYPES:
                raise TypeError(f"no fused convolution in {dtype}")
            weight, bias = self.convolution.weight.detach().to(dtype), self.convolution.bias
            packed = lay_out_weight(weight, self._how, self._size)
            self._packed[dtype] = packed, None if bias is None else bias.detach().to(dtype)
        return self._packed[dtype]


def _fits(network: fx.GraphModule, node: fx.Node) -> bool:
    module = module_of(network, node)
    return (
        isinstance(module, nn.Conv2d)
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.weight.dtype is torch.float32
    )


def _replace(network: fx.GraphModule, node: fx.Node, name: str) -> None:
    """Replace a convolution, and the addition and ReLU after it if any, by one fused convolution."""
    chain, other = [node], None
    if (addition := _only_user(node)) is not None and (other := _added(addition, node)) is not None:
        chain.append(addition)
    relu = (follower := _only_user(chain[-1])) is not None and _is_relu(network, follower)
    if relu:
        chain.append(cast("fx.Node", follower))
    source = cast("fx.Node", node.args[0])
    module = FusedConvolution(cast("nn.Conv2d", module_of(network, node)), list(shape_of(source)), relu=relu)
    network.add_module(name, module)
    # At the chain's end, because the addition's other summand may be computed after the convolution.
    with network.graph.inserting_before(chain[-1]):
        new = network.graph.call_module(name, (source,) if other is None else (source, other))
    # It has the shape that `shape_of` returns.
    new.meta = chain[-1].meta
    chain[-1].replace_all_uses_with(new)
    # From the end, since only a node without users can be erased.
    for old in reversed(chain):
        network.graph.erase_node(old)


def _only_user(node: fx.Node) -> fx.Node | None:
    # A result that something else uses, too, must still be computed, so it cannot disappear into a fused operator.
    return next(iter(node.users)) if len(node.users) == 1 else None


def _added(addition: fx.Node, node: fx.Node) -> fx.Node | None:
    """Return the node that is added to `node`, if it is another map of the same shape."""
    # Keywords rule it out: `torch.add` may scale a summand by `alpha=`.
    if addition.op != "call_function" or addition.target not in _ADDITIONS or addition.kwargs:
        return None
    others = [argument for argument in addition.args if argument is not node]
    if len(addition.args) != 2 or len(others) != 1 or not isinstance(others[0], fx.Node):
        return None
    return others[0] if shape_of(others[0]) == shape_of(node) else None


def _is_relu(network: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(module_of(network, node), nn.ReLU)
    if node.op == "call_function":
        return node.target in (functional.relu, torch.relu)
    return node.op == "call_method" and node.target in ("relu", "relu_")


def fold_batch_norm(network: nn.Module) -> nn.Module | None:
    """Return a copy of a network, in evaluation mode, with batch normalisation folded; None if that is impossible.

    torch.fx traces the network, which fails if the network branches on values, for example. A network with nothing to
    fold gives None, too. The caller has to check that the copy's outputs are the same.
    """
    norms = _norms(network)
    if norms == 0:
        return None
    try:
        folded = fuse_batch_norm(trace(network))
    # Tracing runs the bundle's own code with proxies for tensors, so it may raise anything.
    except Exception:
        return None
    return folded if _norms(folded) < norms else None


def _norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
