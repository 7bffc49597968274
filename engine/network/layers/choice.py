"""Choose the layer that the CAMs look at by default: the last maps through which every path to the scores passes.

From there the choice steps back to the maps that carry the meaning: over pooling that leaves a grid, reshaping and the
powers of a pooling; over a norm if it follows a non-linearity; in transformers to what the last attention reads, since
what a class token has read already says nothing of the places afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

from engine.network.layers.axes import map_axes
from engine.network.layers.dominators import immediate_dominators, leading_to
from engine.network.layers.graph import IMAGE, PassGraph
from engine.network.layers.info import MapAxes

_RESHAPING = frozenset(
    [
        "reshape",
        "view",
        "flatten",
        "unflatten",
        "squeeze",
        "unsqueeze",
        "view_as",
        "reshape_as",
        "contiguous",
        "clone",
        "permute",
        "transpose",
        "swapaxes",
        "swapdims",
        "movedim",
        "moveaxis",
        "getitem",
        "narrow",
        "slice",
        "chunk",
        "split",
        "data",
        "detach",
        "dropout",
        "dropout2d",
        "feature_dropout",
        "alias",
        "to",
        "float",
    ]
)
_NORMS = frozenset(
    ["batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize", "local_response_norm"]
)
_NONLINEAR = frozenset(
    [
        "relu",
        "relu6",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "hardtanh",
        "hardsigmoid",
        "elu",
        "selu",
        "celu",
        "leaky_relu",
        "prelu",
        "rrelu",
        "softplus",
        "softsign",
        "tanh",
        "sigmoid",
        "threshold",
        "clamp",
        "clamp_min",
        "glu",
    ]
)
_POWERS = frozenset(("pow", "square", "sqrt"))
_CLAMPS = frozenset(("clamp", "clamp_min"))
_ATTENTION = frozenset(("scaled_dot_product_attention", "multi_head_attention_forward"))
_BESIDE_SOFTMAX = _RESHAPING | {"type_as", "half", "expand", "masked_fill", "nan_to_num"}
"""What may lie between the softmax of an attention and the product with the values."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The default layer.

    Attributes:
        node: its node; None if no tensor with maps leads to the scores.
        others: nodes of the layers beside it, if there are several scales or paths and it is only one of them.
    """

    node: int | None
    others: tuple[int, ...] = ()


class Flow:
    """What of a pass leads to the scores, and through where all of it passes.

    Attributes:
        graph: of the pass.
        score: the node of the scores.
        leading: the nodes from which a path leads to the scores.
    """

    def __init__(self, graph: PassGraph, score: int) -> None:
        self.graph, self.score = graph, score
        self._above = immediate_dominators(graph)
        self.leading = leading_to(graph, score)
        self._users = graph.users()

    @cached_property
    def dominators(self) -> tuple[int, ...]:
        """The nodes through which every path to the scores passes, from the last to the first after the image."""
        return tuple(self._back_from(self.score))

    @cached_property
    def maps(self) -> dict[int, MapAxes]:
        """How those nodes that hold maps hold them; masks and numbers of places have no gradient, so they are none."""
        nodes = enumerate(self.graph.nodes)
        found = {index: map_axes(node.axes) for index, node in nodes if index != IMAGE and node.floating}
        return {index: axes for index, axes in found.items() if axes is not None and _area(axes) > 1}

    def channels(self, index: int) -> int:
        """The channels of a node that holds maps."""
        at = self.maps[index].channels
        return 1 if at is None else self.graph.nodes[index].shape[at]

    def choose(self) -> Choice:
        """Choose the default layer."""
        last = next((index for index in self.dominators if index in self.maps), None)
        settled = None if last is None else self._settled(last)
        ends = dict.fromkeys(self._settled(index) for index in self._ends())
        finer = [index for index in ends if settled is None or _area(self.maps[index]) < _area(self.maps[settled])]
        if not finer:
            return Choice(settled)
        best = max(ends, key=lambda index: (self.channels(index), index))
        return Choice(best, tuple(index for index in ends if index != best))

    def is_step(self, index: int) -> bool:
        """Whether a node is more than another node in another shape, or than what a non-linearity is given."""
        users = [self.graph.nodes[each].operation for each in self._users[index] if each in self.leading]
        before_non_linearity = len(users) == 1 and users[0] in _NONLINEAR
        return self.graph.nodes[index].operation not in _RESHAPING and not before_non_linearity

    @cached_property
    def attentions(self) -> tuple[int, ...]:
        """The results of attention that lead to the scores."""
        return tuple(index for index in sorted(self.leading) if self._is_attention(index))

    def earlier(self, index: int) -> Iterator[int]:
        """Yield the dominators with maps before a node, from the last to the first."""
        return (each for each in self.dominators if each < index and each in self.maps)

    def _settled(self, index: int) -> int:
        """Step back from a node with maps, as the module's docstring says."""
        return self._stepped_back(self._before_attention(index))

    def _before_attention(self, index: int) -> int:
        read = self.attentions
        if not read or read[-1] > index:
            return index
        before = next(self.earlier(read[-1]), index)
        return before if self._grid(before) == self._grid(index) else index

    def _is_attention(self, index: int) -> bool:
        """Whether a node is the result of an attention: places weighed by a softmax."""
        node = self.graph.nodes[index]
        if node.operation in _ATTENTION:
            return True
        if node.operation not in ("matmul", "einsum") or len(node.inputs) < 2:
            return False
        weights = node.inputs[0]
        while self.graph.nodes[weights].operation in _BESIDE_SOFTMAX:
            weights = self.graph.nodes[weights].inputs[0]
        return self.graph.nodes[weights].operation == "softmax"

    def _stepped_back(self, index: int) -> int:
        same = [index]  # the same values, only reshaped
        powers = False
        while (before := self._above[index]) in self.maps:
            node = self.graph.nodes[index]
            alone = node.inputs == (before,)
            alike = self._grid(before) == self._grid(index) and self.channels(before) == self.channels(index)
            tokens = alike and self.maps[index].tokens
            if alone and alike and node.operation in _RESHAPING:
                same.append(before)
            elif alone and node.operation in _POWERS | (_CLAMPS if powers else frozenset()):
                powers = True
                same = [before]
            elif (
                (alone and "pool" in node.operation)
                or (alone and node.operation in _NORMS and self.graph.nodes[before].operation in _NONLINEAR)
                # Tokens get their positions, or tokens of no place are put before them.
                or (tokens and (node.operation == "cat" or (alone and node.operation == "add")))
            ):
                same = [before]
            else:
                break
            index = before
        return max(same, key=lambda each: (each in self._given, not self.maps[each].tokens, -same.index(each)))

    @cached_property
    def _given(self) -> frozenset[int]:
        """The nodes of the tensors that modules give."""
        return frozenset(self.graph.outputs.values())

    def _grid(self, index: int) -> tuple[int, int]:
        return self.maps[index].height, self.maps[index].width

    def _ends(self) -> list[int]:
        """Return the nodes with maps behind which a path leads to the scores without any more maps."""
        bare: set[int] = set()
        for index in range(len(self.graph.nodes) - 1, IMAGE, -1):
            if index in self.maps or index not in self.leading:
                continue
            if index == self.score or not bare.isdisjoint(self._users[index]):
                bare.add(index)
        return [
            index for index in sorted(self.leading) if index in self.maps and not bare.isdisjoint(self._users[index])
        ]

    def _back_from(self, index: int) -> Iterator[int]:
        while index != IMAGE:
            yield index
            index = self._above[index]


def _area(axes: MapAxes) -> int:
    return prod((axes.height, axes.width))
