"""Record the tensor that a layer gives in a pass, and let gradients begin there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from engine.network.layers.info import LayerInfo
from engine.network.layers.scopes import Scopes, Writes, part_name, tensors_in


class Recorded:
    """What a layer gave in the last pass, at its last run.

    Attributes:
        tensor: as the layer gives it, a leaf of the autograd graph; None if the layer has not run.
    """

    def __init__(self, layer: LayerInfo) -> None:
        self._layer = layer
        self.tensor: torch.Tensor | None = None

    def maps(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return `tensor`, or its gradient, as (1, C, h, w) maps."""
        return self._layer.maps(tensor)

    def begin_at(self, made: object) -> object:
        """Make a tensor the leaf, and return what the network goes on with: the same values, connected to the leaf.

        The network's code may go on with `made` itself, without the value returned: after an activation in place, say,
        or on a shortcut. So the leaf's values are written into it, where torch allows that.
        """
        if not isinstance(made, torch.Tensor):
            return made
        self.tensor = leaf = made.detach().clone().requires_grad_(True)
        try:
            if made.requires_grad:  # it comes from an earlier run of the same layer
                made.detach_()
            return made.copy_(leaf)
        except RuntimeError:  # a view among several, or many elements at one place in memory
            return leaf.clone()


@contextmanager
def recorded(network: nn.Module, layer: LayerInfo) -> Iterator[Recorded]:
    """Record a layer's tensor in the network's passes while the context is open.

    Nothing before the layer gets a gradient from what comes after it. In-place operations after the layer leave the
    recorded tensor as it is.

    Args:
        network: the module whose passes are recorded; parameters of it that need no gradient make it quicker.
        layer: of this network.
    """
    record = Recorded(layer)
    modules = dict(network.named_modules())
    if layer.name in modules:
        # It is called after the hooks that the module has already, so it gets what the network goes on with.
        handle = modules[layer.name].register_forward_hook(lambda _, __, output: record.begin_at(output))
        try:
            yield record
        finally:
            handle.remove()
    else:
        with _Results(network, layer.name, record):
            yield record


class _Results(Scopes):
    """Makes what one operation gives the leaf."""

    def __init__(self, network: nn.Module, name: str, record: Recorded) -> None:
        super().__init__(network)
        self._name, self._record = name, record

    def called(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> object:
        if not self._name.startswith(name.partition(":")[0] + ":"):
            return function(*arguments, **keywords)
        writes = Writes(list(tensors_in((arguments, keywords))))
        result = function(*arguments, **keywords)
        if isinstance(result, torch.Tensor) or result is None:
            if name != self._name:
                return result
            written = writes.found()
            begun = self._record.begin_at(written[0] if written else result)
            return begun if isinstance(result, torch.Tensor) else result
        return self._one_of(name, result)

    def _one_of(self, name: str, result: object) -> object:
        if not isinstance(result, Sequence) or isinstance(result, str):
            return result
        parts = list(result)
        at = next((at for at in range(len(parts)) if part_name(name, at) == self._name), None)
        if at is None:
            return result
        parts[at] = self._record.begin_at(parts[at])
        # A named tuple, as `torch.max` gives, is made of an iterable too.
        return type(result)(parts) if isinstance(result, tuple | list) else result
