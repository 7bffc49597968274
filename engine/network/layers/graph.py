"""Record one pass of a network as a graph: which tensor was made from which others, by what, and where.

The network's Python runs as it is, so control flow, functions, modules that run twice and operations in place are
recorded as they happen. Not seen is what leaves torch, as numpy arrays or Python numbers do; `PassGraph.leaks` tells of
it.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from torch import nn

from engine.acceleration.torch_private import OperatorMode
from engine.network.layers.axes import Axes, Call, axes_of_image, unknown
from engine.network.layers.axes_rules import axes_after
from engine.network.layers.scopes import Scopes, Writes, all_tensors, operation_name, part_name

IMAGE = 0
"""The node of the image."""

_LEAVING_TORCH = frozenset(
    {"item", "tolist", "numpy", "bool", "float", "int", "index", "array", "complex", "equal", "allclose", "is_nonzero"}
)
"""Operations that give Python or numpy what a tensor holds."""

_OVERWRITING = frozenset({"copy", "fill", "zero", "set"})
"""Operations in place after which nothing of what the tensor was before is left."""


@dataclass(frozen=True, slots=True)
class Node:
    """A tensor at one moment of a pass; an operation in place makes a new node of the same tensor.

    Attributes:
        operation: what made it, as `engine.network.layers.scopes.operation_name` gives it.
        inputs: nodes that it was made from and that depend on the image.
        shape: of the tensor.
        axes: what its axes are.
        name: of its operation's result; empty if it cannot be named.
        floating: whether it holds floating-point numbers, so that a gradient may lead to it.
    """

    operation: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    axes: Axes
    name: str = ""
    floating: bool = True


@dataclass
class PassGraph:
    """The graph of a pass. Nodes are in order of execution, the image first.

    Attributes:
        nodes: those that depend on the image.
        outputs: for each module, the node of the tensor that it gave in its last run, if it gave one tensor.
        inputs: for each module, the node of the first tensor that it got in its last run.
        runs: how often each module ran.
        leaks: how often values that depend on the image left torch, so that the graph may lack something.
        strangers: how many tensors of unknown origin operations got: constants, or results of compiled code.
    """

    nodes: list[Node] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)
    leaks: int = 0
    strangers: int = 0

    def users(self) -> list[list[int]]:
        """Return for each node the nodes made from it."""
        users: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for each in node.inputs:
                users[each].append(index)
        return users


class PassRecorder(Scopes):
    """Records passes through a network in this thread while it is open. Gradients have to be off.

    Attributes:
        graph: what was recorded.
    """

    def __init__(self, network: nn.Module, image: torch.Tensor, *, operators: bool = False) -> None:
        """Begin a graph with the (B, C, H, W) image, which is the network's input.

        Args:
            network: the network.
            image: its input.
            operators: whether to follow compiled code, such as TorchScript, as well; the pass then takes longer.
        """
        super().__init__(network)
        self.graph = PassGraph([Node("image", (), tuple(image.shape), axes_of_image(image.shape))])
        # Nodes of tensors by their `id`, which another tensor may have later; None for what the image does not reach.
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int | None]] = {}
        self._stored: dict[int, int | None] = {}
        self._leaked: set[int] = set()
        self._inside = False
        self._operators: AbstractContextManager[object] = _Operators(self) if operators else nullcontext()
        attributes = [list(vars(module).values()) for module in network.modules()]
        for constant in (*network.parameters(), *network.buffers(), *all_tensors(attributes)):
            self._known[id(constant)] = (weakref.ref(constant), None)
        self._note(image, IMAGE)

    def __enter__(self) -> PassRecorder:
        """Start to record."""
        super().__enter__()
        self._operators.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop recording."""
        self._operators.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)

    def node_of(self, tensor: torch.Tensor) -> int | None:
        """Return the node of a tensor as it is now; None if it does not depend on the image as far as is known."""
        reference, node = self._known.get(id(tensor), (None, None))
        if reference is not None and reference() is tensor:
            return node
        # Compiled code makes views of which Python sees nothing; they lie where a known tensor lies.
        return self._stored.get(_storage(tensor))

    def entered(self, name: str, inputs: Sequence[torch.Tensor]) -> None:
        """Note what a module is given."""
        self.graph.runs[name] += 1
        found = next((node for each in inputs if (node := self.node_of(each)) is not None), None)
        if found is not None:
            self.graph.inputs[name] = found

    def left(self, name: str, inputs: Sequence[torch.Tensor], output: object) -> object:
        """Note what a module gives."""
        self.graph.outputs.pop(name, None)
        if isinstance(output, torch.Tensor):
            if not self._is_known(output) and self._nodes(inputs):
                self.graph.leaks += 1
                self.graph.strangers += 1
                shape, floating = tuple(output.shape), output.is_floating_point()
                self._add(Node("opaque", self._nodes(inputs), shape, unknown(shape), floating=floating), output)
            if (node := self.node_of(output)) is not None:
                self.graph.outputs[name] = node
        return None

    def called(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> object:
        """Call an operation, note its results, and return them; what it calls itself is not noted."""
        if self._inside:
            return function(*arguments, **keywords)
        inputs = list(all_tensors((arguments, keywords)))
        before = {id(each): self.graph.nodes[node].axes for each in inputs if (node := self.node_of(each)) is not None}
        writes = Writes(inputs)
        self._inside = True
        try:
            result = function(*arguments, **keywords)
            call = Call(operation_name(function), function, arguments, keywords, before)
            for index, written in enumerate(writes.found()):
                self._written(call, inputs, written, "" if index else name)
            for number, (part, made) in enumerate(_parts(name, result)):
                if not any(made is each for each in inputs):
                    self._made(call, inputs, made, part, number)
        finally:
            self._inside = False
        # `Tensor.float` has the same name as `float(tensor)`, and gives a tensor.
        left_torch = call.operation in _LEAVING_TORCH and next(all_tensors(result), None) is None
        if left_torch and (lost := self._nodes(inputs)):
            self.graph.leaks += 1
            self._leaked.update(lost)
        return result

    def _made(self, call: Call, inputs: Sequence[torch.Tensor], made: torch.Tensor, name: str, number: int = 0) -> None:
        nodes = self._nodes(inputs)
        if not nodes:
            self._note(made, None)
            return
        shape = tuple(made.shape)
        axes = axes_after(call, shape, number)
        self._add(Node(call.operation, nodes, shape, axes, name, made.is_floating_point()), made)

    def _written(self, call: Call, inputs: Sequence[torch.Tensor], written: torch.Tensor, name: str) -> None:
        """Note an operation in place. What else lies in the same memory depends on its result from now on."""
        others = [each for each in inputs if each is not written] if call.operation in _OVERWRITING else inputs
        self._made(call, others, written, name)
        if (new := self.node_of(written)) is None:
            return
        place = _storage(written)
        for key, (reference, node) in list(self._known.items()):
            if (other := reference()) is None:
                del self._known[key]
            elif other is not written and _storage(other) == place != 0:
                old = () if node is None else (node,)
                axes = unknown(other.shape) if node is None else self.graph.nodes[node].axes
                shape, floating = tuple(other.shape), other.is_floating_point()
                self._add(Node("alias", (*old, new), shape, axes, floating=floating), other)

    def _add(self, node: Node, tensor: torch.Tensor) -> None:
        self.graph.nodes.append(node)
        self._note(tensor, len(self.graph.nodes) - 1)

    def _note(self, tensor: torch.Tensor, node: int | None) -> None:
        self._known[id(tensor)] = (weakref.ref(tensor), node)
        if place := _storage(tensor):
            self._stored[place] = node

    def _is_known(self, tensor: torch.Tensor) -> bool:
        reference, _ = self._known.get(id(tensor), (None, None))
        return (reference is not None and reference() is tensor) or _storage(tensor) in self._stored

    def _nodes(self, inputs: Sequence[torch.Tensor]) -> tuple[int, ...]:
        """Return the nodes of those inputs that depend on the image, each once."""
        nodes = dict.fromkeys(node for each in inputs if (node := self.node_of(each)) is not None)
        if not all(map(self._is_known, inputs)):
            self.graph.strangers += 1
            nodes |= dict.fromkeys(self._leaked)  # it may have been made from what left torch
        return tuple(nodes)


class _Operators(OperatorMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """Sees the operators that compiled code calls, which no `TorchFunctionMode` is told of."""

    def __init__(self, recorder: PassRecorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self._recorder = recorder

    def __torch_dispatch__(
        self, operator: Any, _: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        return self._recorder.called("", operator, args, kwargs or {})


def _parts(name: str, result: object) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors in an operation's result, each with its name."""
    if isinstance(result, torch.Tensor):
        yield name, result
    elif isinstance(result, Sequence):
        for part, each in enumerate(result):
            if isinstance(each, torch.Tensor):
                yield (part_name(name, part) if name else ""), each
            else:
                yield from (("", inner) for inner in all_tensors(each))
    else:
        yield from (("", inner) for inner in all_tensors(result))


def _storage(tensor: torch.Tensor) -> int:
    """Return where a tensor's memory begins; 0 if it has none of its own, as a sparse one."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0
