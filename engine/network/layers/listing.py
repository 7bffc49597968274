"""List a network's layers from the graph of a pass, and name the one that the CAMs look at by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.network.layers.choice import Flow
from engine.network.layers.info import LayerInfo, MapAxes


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a network that give maps.

    Attributes:
        listed: those that people choose from, in order of execution: what modules give, without those that pass on what
            they are given, what operations give that every path to the scores passes through, and the default.
        named: all that can be chosen, by every name that they have.
        default: the name of the one that the CAMs look at unless another is chosen; empty if there is none.
        others: names of the layers beside the default through which the rest reaches the scores.
    """

    listed: tuple[LayerInfo, ...] = ()
    named: Mapping[str, LayerInfo] = field(default_factory=dict)
    default: str = ""
    others: tuple[str, ...] = ()


def list_layers(flow: Flow, kinds: Mapping[str, str]) -> Layers:
    """List the layers of a recorded pass.

    Args:
        flow: of the pass.
        kinds: the class of each module, by its name.
    """
    found, choice = _Found(flow, kinds), flow.choose()
    named: dict[str, LayerInfo] = {}
    listed = []
    for node in flow.maps:
        layer = found.layer(node)
        for name in found.all_names(node):
            named[name] = (
                layer if name == layer.name else replace(layer, name=name, kind=kinds.get(name, layer.kind), also=())
            )
        worth_a_line = layer.name in kinds or found.is_own_step(node) or node == choice.node
        if layer.name and worth_a_line and node in flow.leading:
            listed.append(layer)
    default = "" if choice.node is None else found.name_for_people(choice.node)
    others = tuple(name for node in choice.others if (name := found.name_for_people(node)))
    return Layers(tuple(listed), named, default, others)


class _Found:
    """The names of nodes."""

    def __init__(self, flow: Flow, kinds: Mapping[str, str]) -> None:
        self._flow, self._kinds = flow, kinds
        self._modules: dict[int, list[str]] = {}
        for name, node in flow.graph.outputs.items():
            self._modules.setdefault(node, []).append(name)
        self._passing = set(flow.dominators)

    def layer(self, node: int) -> LayerInfo:
        axes, made = self._flow.maps[node], self._flow.graph.nodes[node]
        name, *also = self._own_names(node) or [made.name]
        return LayerInfo(
            name,
            self._flow.channels(node),
            axes.height,
            axes.width,
            self._kinds.get(name, made.operation),
            tuple(also),
            branch=node not in self._passing,
            axes=None if axes == MapAxes(1, (2, 3), axes.height, axes.width) else axes,
        )

    def all_names(self, node: int) -> list[str]:
        own = self._flow.graph.nodes[node].name
        return self._modules.get(node, []) + ([own] if own else [])

    def name_for_people(self, node: int) -> str:
        """Return the name of the outermost module that gives a tensor, else that of its operation.

        A tensor of compiled code has no name; that of the next one before it is taken.
        """
        for each in (node, *self._flow.earlier(node)):
            if names := self._own_names(each) or self.all_names(each):
                return names[-1]
        return ""

    def is_own_step(self, node: int) -> bool:
        """Whether an operation in no module's place is worth a line: everything passes through it, and it computes."""
        return node in self._passing and self._flow.is_step(node)

    def _own_names(self, node: int) -> list[str]:
        """Return the names of the modules that make a tensor, the innermost first, without those that pass it on.

        A module that runs at several places is named only if no other one gives the tensor.
        """
        graph = self._flow.graph
        own = [name for name in self._modules.get(node, []) if graph.inputs.get(name) != node]
        return [name for name in own if graph.runs[name] == 1] or own
