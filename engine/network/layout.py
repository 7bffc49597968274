"""Feed networks that take their channels last (B, H, W, C): everything else in the engine is (B, C, H, W)."""

from __future__ import annotations

from functools import cache

import torch
from torch import fx, nn


def take_channels_first(network: nn.Module) -> nn.Module:
    """Return a network that takes (B, H, W, C) as one that takes (B, C, H, W): it permutes what it is given.

    The modules keep their names, so that layers are found under those that their author knows. Call it only once for a
    network.

    Args:
        network: it is changed in place, unless it has a `forward` that is not its class's.
    """
    if isinstance(network, fx.GraphModule):
        _permute_in_graph(network)
    elif "forward" in vars(network) or isinstance(network, torch.jit.ScriptModule):
        return _ChannelsFirst(network)
    else:
        # A module around it would put its own name before those of all layers, and a hook is not traced.
        network.__class__ = _permuting(type(network))  # type: ignore[arg-type]  # a class has a hash of its own
    return network


def _permute_in_graph(network: fx.GraphModule) -> None:
    given = next(node for node in network.graph.nodes if node.op == "placeholder")
    with network.graph.inserting_after(given):
        permuted = network.graph.call_method("permute", (given, 0, 2, 3, 1))
    given.replace_all_uses_with(permuted, delete_user_cb=lambda user: user is not permuted)
    network.recompile()


@cache
def _permuting(kind: type[nn.Module]) -> type[nn.Module]:
    class Permuting(kind):  # type: ignore[misc, valid-type]  # its base is only known at run time
        def forward(self, images: torch.Tensor) -> object:
            return super().forward(images.permute(0, 2, 3, 1))

    Permuting.__name__ = Permuting.__qualname__ = kind.__name__
    return Permuting


class _ChannelsFirst(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> object:
        return self.network(images.permute(0, 2, 3, 1))
