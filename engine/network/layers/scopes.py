"""Follow a pass: which module runs, which operations its own code calls, and a name for each operation's result.

The result of an operation is named `MODULE:OPERATION`, and `MODULE:OPERATION:N` from its second call in that module on:
`features.3:cat:2` is what the second `torch.cat` in the code of `features.3` gives, `:relu` what the first ReLU in the
network's own code gives. If an operation gives several tensors, `.0`, `.1` and so on follow its name. Calls are counted
anew each time the module runs, so a name means the module's last run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from engine.acceleration.torch_private import write_count

_AUGMENTED = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "ipow": "pow", "imatmul": "matmul"}
_REFLECTED = {"radd": "add", "rsub": "sub", "rmul": "mul", "rdiv": "div", "rtruediv": "div", "rpow": "pow"}
_SAME = {"concat": "cat", "concatenate": "cat", "truediv": "div", "mm": "matmul", "bmm": "matmul", "clip": "clamp"}
_NAMES = _AUGMENTED | _REFLECTED | _SAME | {"rmatmul": "matmul"}


def operation_name(function: Callable[..., Any]) -> str:
    """Return an operation's name, the same in place or not: `relu` for `F.relu`, `torch.relu_` and `Tensor.relu`."""
    name = getattr(function, "__name__", "") or type(function).__name__
    if name in ("__get__", "__set__"):  # of a property, such as `tensor.T`
        name = getattr(getattr(function, "__self__", None), "__name__", name)
    plain = name.partition(".")[0].strip("_")
    return _NAMES.get(plain, plain)


def all_tensors(value: object) -> Iterator[torch.Tensor]:
    """Yield the tensors in a value and in the lists, tuples and dictionaries inside it, from the first to the last."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from all_tensors(each)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for each in value:
            yield from all_tensors(each)


class Scopes(TorchFunctionMode):
    """While it is open, a network's passes in this thread call `entered`, `left` and `called` of a subclass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._modules = {name: module for name, module in network.named_modules() if name}
        self._handles: list[RemovableHandle] = []
        self._running: list[tuple[str, Counter[str]]] = []

    def __enter__(self) -> Scopes:
        """Watch the network's modules and the operations that they call."""
        self._running = [("", Counter())]
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_pre_hook(self._entering(name), with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._leaving(name), with_kwargs=True))
        super().__enter__()  # type: ignore[no-untyped-call]  # torch has no types here
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching."""
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]  # likewise
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def entered(self, name: str, inputs: Sequence[torch.Tensor]) -> None:
        """Take note that a module begins to run."""

    def left(self, name: str, inputs: Sequence[torch.Tensor], output: object) -> object:
        """Take note of a module's output; return another one to pass on in its place, or None."""

    def called(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> object:
        """Call an operation and return its result.

        Args:
            name: of the operation and its place, without the number of the tensor among several.
            function: the operation.
            arguments: by position.
            keywords: by name.
        """
        return function(*arguments, **keywords)

    def _entering(self, name: str) -> Callable[..., None]:
        def hook(_: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            self._running.append((name, Counter()))
            self.entered(name, list(all_tensors((arguments, keywords))))

        return hook

    def _leaving(self, name: str) -> Callable[..., object]:
        def hook(_: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: object) -> object:
            # A module whose code has caught an error inside another one leaves that one on the stack.
            while len(self._running) > 1 and self._running.pop()[0] != name:
                pass
            return self.left(name, list(all_tensors((arguments, keywords))), output)

        return hook

    def __torch_function__(
        self, function: Callable[..., Any], _: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        """Count an operation and hand it to `called`."""
        module, counts = self._running[-1]
        operation = operation_name(function)
        counts[operation] += 1
        return self.called(place_name(module, operation, counts[operation]), function, args, kwargs or {})


def place_name(module: str, operation: str, count: int) -> str:
    """Return the name of what the `count`-th call of an operation in a module's code gives."""
    return f"{module}:{operation}" if count == 1 else f"{module}:{operation}:{count}"


def part_name(place: str, part: int) -> str:
    """Return the name of one of the tensors that the operation at a place gives."""
    module, _, rest = place.partition(":")
    operation, colon, count = rest.partition(":")
    return f"{module}:{operation}.{part}{colon}{count}"


class Writes:
    """Which tensors an operation writes to: those whose count of writes goes up."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._before = [(tensor, write_count(tensor)) for tensor in tensors]

    def found(self) -> list[torch.Tensor]:
        """Return the tensors written to since this was made."""
        return [tensor for tensor, count in self._before if write_count(tensor) != count]
