"""Trace networks with torch.fx without its side effects on other threads and on the network itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import fx, nn

_tracing = threading.Lock()


def trace(network: nn.Module) -> fx.GraphModule:
    """Return a network's graph, which shares the network's modules; their attributes are restored afterwards.

    Args:
        network: no other thread may use it during the call; other networks may be used.

    Raises:
        Exception: anything that the network's own code raises when it is called with proxies for tensors.
    """
    before = [(module, dict(vars(module))) for module in network.modules()]
    try:
        # torch.fx patches methods of `nn.Module` while it traces. Two traces at once would restore each other's patch.
        with _tracing:
            return fx.GraphModule(network, _Tracer().trace(network))
    finally:
        # A `forward` that stores tensors in attributes has stored proxies.
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)


def module_of(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return the module that a node calls, or None if it calls none."""
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def note_shapes(network: fx.GraphModule, example: torch.Tensor) -> None:
    """Record the shape of every node's result for an example; `shape_of` returns it.

    torch's own `ShapeProp` prints a traceback when the network fails, and does not raise the network's own error.

    Args:
        network: one pass is made through it.
        example: (B, C, H, W); it is not changed, even if the network changes its input in place.

    Raises:
        Exception: anything that the network raises.
    """
    _Shapes(network).run(example.clone())


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Return the recorded shape of a node's result; empty if the result is not a tensor."""
    return cast("tuple[int, ...]", node.meta.get("shape", ()))


class _Shapes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        n.meta["shape"] = tuple(result.shape) if isinstance(result, torch.Tensor) else ()
        return result


class _Tracer(fx.Tracer):
    """Leaves other threads alone: during a trace, torch.fx sends the calls of all modules in all threads here."""

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
