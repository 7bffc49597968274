"""Which tensors every path from the image to the scores passes through: the dominators of a pass's graph."""

from __future__ import annotations

from engine.network.layers.graph import IMAGE, PassGraph


def immediate_dominators(graph: PassGraph) -> list[int]:
    """Return for each node the last one that every path from the image to it passes through; for the image itself.

    Cooper, Harvey and Kennedy 2001. The nodes are in topological order, so one round is enough.
    """
    found = [IMAGE] * len(graph.nodes)
    for index, node in enumerate(graph.nodes):
        if index == IMAGE:
            continue
        nearest = node.inputs[0]
        for other in node.inputs[1:]:
            while nearest != other:
                if nearest > other:
                    nearest = found[nearest]
                else:
                    other = found[other]
        found[index] = nearest
    return found


def leading_to(graph: PassGraph, target: int) -> set[int]:
    """Return the nodes from which a path leads to the target, with the target itself."""
    reached, waiting = {target}, [target]
    while waiting:
        for each in graph.nodes[waiting.pop()].inputs:
            if each not in reached:
                reached.add(each)
                waiting.append(each)
    return reached
