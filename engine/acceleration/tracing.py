"""Networks as graphs, by torch.fx, without what it does to other threads and leaves behind in the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import fx, nn

_one_at_a_time = threading.Lock()


def trace(network: nn.Module) -> fx.GraphModule:
    """A network's graph, which shares its modules; the network has the attributes that it had before.

    Args:
        network: nobody else may use it meanwhile; other networks may be used in other threads.

    Raises:
        Exception: whatever the network's own code raises when it is given stand-ins for tensors.
    """
    before = [(module, dict(vars(module))) for module in network.modules()]
    try:
        with _one_at_a_time:  # each puts back what it found in the place of `nn.Module`'s methods
            return fx.GraphModule(network, _Tracer().trace(network))
    finally:
        for module, attributes in before:  # else what its `forward` keeps in them would be stand-ins
            vars(module).clear()
            vars(module).update(attributes)


def module_of(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that a node calls, if it calls one."""
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def note_shapes(network: fx.GraphModule, example: torch.Tensor) -> None:
    """Note the shape of what every node gives for an example; see `shape_of`.

    torch's own `ShapeProp` prints a traceback when the network fails, and raises another error than the network's.

    Args:
        network: is passed once.
        example: (B, C, H, W); it stays as it is, whatever the network does to its input.

    Raises:
        Exception: whatever the network raises.
    """
    _Shapes(network).run(example.clone())


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The noted shape of what a node gives; empty where that is no tensor."""
    return cast("tuple[int, ...]", node.meta.get("shape", ()))


class _Shapes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        n.meta["shape"] = tuple(result.shape) if isinstance(result, torch.Tensor) else ()
        return result


class _Tracer(fx.Tracer):
    """Lets other threads pass: while it traces, the calls of all modules everywhere come by here."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)
