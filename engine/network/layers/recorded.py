"""Record the tensor that a layer gives in a pass, and let gradients begin there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from engine.network.layers.info import LayerInfo
from engine.network.layers.scopes import Scopes, Writes, all_tensors, part_name


class Recorded:
    """What a layer gave in the last pass, at its last run.

    Attributes:
        tensor: as the layer gives it, a leaf of the autograd graph; None if the layer has not run.
    """

    def __init__(self, layer: LayerInfo) -> None:
        self._layer = layer
        self.tensor: torch.Tensor | None = None

    def maps(self, tensor: torch.Tensor, image: int = 0) -> torch.Tensor:
        """Return an image's part of `tensor`, or of its gradient, as (1, C, h, w) maps."""
        return self._layer.maps(tensor, image)

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
def recorded(network: nn.Module, layer: LayerInfo, record: Recorded | None = None) -> Iterator[Recorded]:
    """Record a layer's tensor in the network's passes while the context is open.

    Nothing before the layer gets a gradient from what comes after it. In-place operations after the layer leave the
    recorded tensor as it is.

    Args:
        network: the module whose passes are recorded; parameters of it that need no gradient make it quicker.
        layer: of this network.
        record: what to record with; None for a new one.
    """
    record = record or Recorded(layer)
    with _changed(network, layer.name, record.begin_at):
        yield record


@contextmanager
def replaced(network: nn.Module, layer: LayerInfo, tensor: torch.Tensor) -> Iterator[None]:
    """Let a layer give `tensor` in every run while the context is open, without gradients."""

    def put(made: object) -> object:
        if not isinstance(made, torch.Tensor):
            return made
        try:
            return made.copy_(tensor)
        except RuntimeError:  # as in `Recorded.begin_at`
            return tensor.clone()

    with _changed(network, layer.name, put):
        yield


@contextmanager
def _changed(network: nn.Module, name: str, change: Callable[[object], object]) -> Iterator[None]:
    """Call `change` with what a layer gives at every run; the network goes on with what that returns."""
    modules = dict(network.named_modules())
    if name not in modules:
        with _Results(network, name, change):
            yield
        return
    # It is called after the hooks that the module has already, so it gets what the network goes on with.
    handle = modules[name].register_forward_hook(lambda _, __, output: change(output))
    try:
        yield
    finally:
        handle.remove()


class _Results(Scopes):
    """Calls `change` with what one operation gives."""

    def __init__(self, network: nn.Module, name: str, change: Callable[[object], object]) -> None:
        super().__init__(network)
        self._name, self._change = name, change

    def called(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> object:
        writes = Writes(list(all_tensors((arguments, keywords))))
        result = function(*arguments, **keywords)
        if isinstance(result, torch.Tensor) or result is None:
            if name != self._name:
                return result
            written = writes.found()
            changed = self._change(written[0] if written else result)
            return changed if isinstance(result, torch.Tensor) else result
        if not isinstance(result, tuple | list):
            return result
        parts = list(result)
        for at, part in enumerate(parts):
            if part_name(name, at) == self._name:
                parts[at] = self._change(part)
                # A named tuple, as `torch.max` gives, is made of an iterable too.
                return type(result)(parts)
        return result
