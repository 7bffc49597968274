"""Find the logits of a network whose own code applies a softmax, log-softmax or sigmoid at its end.

A module such as `nn.Softmax` can be asked for its input. A call such as `F.log_softmax(x / T, dim=1)` inside `forward`
cannot, but PyTorch tells of it. The gradient of a probability or its logarithm vanishes where the network is sure, and
the gradient of the logit does not, so the CAMs need the logit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch.overrides import TorchFunctionMode

_KINDS = {"softmax": "softmax", "log_softmax": "log_softmax", "sigmoid": "sigmoid", "expit": "sigmoid"}
"""The activation behind a function's name; those of `torch.special` begin with `special_`."""

_TOLERANCE = 1e-5
"""Probabilities that differ by no more, or by no more than their own precision, are the same."""


class FinalActivation(TorchFunctionMode):
    """While it is entered, remembers the input and the output of the last softmax, log-softmax or sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[str, torch.Tensor, torch.Tensor] | None = None

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call a function of PyTorch."""
        output = func(*args, **(kwargs or {}))
        if kind := _KINDS.get(getattr(func, "__name__", "").removeprefix("special_")):
            given = args[0] if args else (kwargs or {}).get("input")
            if isinstance(given, torch.Tensor) and isinstance(output, torch.Tensor):
                self._last = kind, given, output
        return output

    def logits(self, output: torch.Tensor, activation: str) -> torch.Tensor | None:
        """Return the input of the activation that gave the network's output, (B, K); None if it is not known.

        Args:
            output: (B, K), the network's output.
            activation: what the network applies at its end, see `NetworkOnDevice.activation`.
        """
        if self._last is None:
            return None
        kind, given, made = self._last
        # Code that computes in half precision often gives float32 back.
        if made.numel() != output.numel() or not torch.equal(made.reshape(output.shape).to(output.dtype), output):
            return None
        given = given.reshape(output.shape)
        with torch.no_grad():
            exact = given.double()
            expected = torch.sigmoid(exact) if kind == "sigmoid" else torch.softmax(exact, dim=1)
            probabilities = made.reshape(output.shape).double()
            if kind == "log_softmax":
                probabilities = probabilities.exp()
            # Not so if it went over another dimension.
            same = torch.allclose(expected, probabilities, rtol=0.0, atol=max(_TOLERANCE, torch.finfo(made.dtype).eps))
        return given if same and kind == activation else None
