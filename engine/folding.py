"""Batch normalisation folded into the convolutions before it: the same network with fewer passes over memory."""

from __future__ import annotations

from torch import nn

from engine.tracing import trace


def fold_batch_norm(network: nn.Module) -> nn.Module | None:
    """A copy of a network in evaluation mode with its batch normalisation folded, or None where that cannot be done.

    torch.fx traces the network; what it cannot trace (branches on values, say) and what has nothing to fold is left
    alone. Whether the copy gives the same outputs is for the caller to check.
    """
    norms = _norms(network)
    if norms == 0:
        return None
    from torch.fx.experimental.optimization import fuse

    try:
        folded = fuse(trace(network), no_trace=True)
    # Tracing runs the bundle's own code with stand-ins for tensors: it may raise anything, and then stays as it is.
    except Exception:
        return None
    return folded if isinstance(folded, nn.Module) and _norms(folded) < norms else None


def _norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
