"""Where a network is cut, so that what its first layers give for superpixel masks can be looked up, and the parts.

Superpixels that no activation of a cut sees together can be shown and hidden together. Given colours such that those
seen together differ, 2^colours images show all that can be seen. A cut further back sees more and wants more images;
these go through the layers since the cut before alone, so a chain of cuts costs less than its last one by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import fx

from engine.acceleration.tracing import note_shapes, shape_of
from engine.explainers.activation_table.receptive_fields import convolution_of, receptive_field
from engine.explainers.superpixels import SuperpixelMasks

CHECKED_SAMPLES = 8
"""Samples that are passed with and without looking up before that is relied upon."""

_WORTH_IT = 0.05
"""The share of all multiplications that must be saved: finding the layers and copying take time, too."""
_LONGEST_FILL = 64
"""Passes of the whole network that filling the table may take: until then there is no map to show, nor to stop with."""
_MOST_BYTES = 2**27
_MOST_PIXELS = 2**25
"""Superpixels times pixels: receptive fields of larger images take seconds and gigabytes."""
_LOOKING_UP = 24.0
"""What looking up one activation costs, in multiplications of a convolution (measured on a CPU)."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A place to cut a network.

    Attributes:
        end: number of the graph's nodes before it.
        handed: those of them that are read behind it, with their receptive fields, (S, H', W') bool.
        colours: (S,) of the superpixels, from 0.
        convolutions: how many are before it.
        work: multiplications before it, for an image.
        looking_up: what it costs to look up what is handed on, in multiplications.
    """

    end: int
    handed: dict[fx.Node, torch.Tensor]
    colours: torch.Tensor
    convolutions: int
    work: float
    looking_up: float

    @property
    def passes(self) -> int:
        """Images that show all combinations of superpixels that are seen together."""
        return 1 << int(self.colours.max()) + 1


def best_cuts(
    network: fx.GraphModule, image: torch.Tensor, masks: SuperpixelMasks, samples: int, readout: Sequence[str] = ()
) -> tuple[Cut, ...]:
    """The chain of cuts that saves most for so many samples, from front to back; empty if none is worth it.

    Args:
        network: traced; shapes are noted in its graph.
        image: (1, C, H, W) input; it is passed once.
        masks: how superpixels are shown and hidden.
        samples: that will be passed at least.
        readout: names of modules that stay behind the last cut.
    """
    if masks.count * masks.labels.numel() > _MOST_PIXELS:
        return ()
    note_shapes(network, image)
    whole = sum(_multiplications(network, node) for node in network.graph.nodes)
    most, best = (_WORTH_IT * samples + 2 * CHECKED_SAMPLES) * whole, tuple[Cut, ...]()
    chains: list[tuple[float, tuple[Cut, ...]]] = [(0.0, ())]  # what filling the last table costs
    for cut in _cuts(network, masks, samples, readout, whole):
        ways = [(cost + cut.passes * _between(chain, cut), (*chain, cut)) for cost, chain in chains]
        cheapest = min(ways, key=lambda way: way[0])
        if cheapest[0] > _LONGEST_FILL * whole:
            break  # those behind take longer still
        chains.append(cheapest)
        saved = samples * (cut.work - cut.looking_up) - cheapest[0]
        if saved > most:
            most, best = saved, cheapest[1]
    return best


def part(network: fx.GraphModule, begin: Cut | None, end: Cut | None) -> fx.GraphModule:
    """What lies between two cuts, or before the first, or behind the last; it shares the network's modules.

    It takes what is handed on at its beginning and gives a tuple of what is handed on at its end. A part is made once,
    as torch keeps its source for ever.
    """
    made: dict[tuple[int, int | None], fx.GraphModule] = network.meta.setdefault("parts", {})
    key = begin.end if begin else 0, end.end if end else None
    if key in made:
        return made[key]
    graph, nodes = fx.Graph(), list(network.graph.nodes)
    copies = {node: graph.placeholder(node.name) for node in (begin.handed if begin else ())}
    for number, node in enumerate(nodes):
        if node.op == "get_attr" or number in range(key[0], key[1] or len(nodes)):
            copies[node] = graph.node_copy(node, copies.__getitem__)
    if end:
        graph.output(tuple(copies[node] for node in end.handed))
    return made.setdefault(key, fx.GraphModule(network, graph))


def _between(chain: tuple[Cut, ...], cut: Cut) -> float:
    """Multiplications of an image from a chain's end to a cut, looking up and writing down included."""
    return cut.work + cut.looking_up + (chain[-1].looking_up - chain[-1].work if chain else 0.0)


def _cuts(
    network: fx.GraphModule, masks: SuperpixelMasks, samples: int, readout: Sequence[str], whole: int
) -> Iterator[Cut]:
    """All places behind a convolution where what is handed on is local, and no more to look up than there is room."""
    nodes = list(network.graph.nodes)
    fields: dict[fx.Node, torch.Tensor] = {}
    work, convolutions = 0, 0
    for end, node in enumerate(nodes, start=1):
        if work == whole or (node.op == "call_module" and node.target in readout):
            return  # what reads the last convolution's result stays together
        own = _multiplications(network, node)
        work += own
        convolutions += own > 0
        if (field := receptive_field(network, node, fields, masks)) is not None:
            fields[node] = field
        behind = set(nodes[end:])
        read = [node for node in nodes[:end] if node.op != "get_attr" and not behind.isdisjoint(node.users)]
        if not work or not read or not all(node in fields for node in read):
            continue
        handed = {node: fields[node] for node in read}
        looking_up = _LOOKING_UP * sum(prod(shape_of(node)[1:]) for node in read)
        cut = Cut(end, handed, _colours(list(handed.values())), convolutions, work, looking_up)
        if cut.passes >= samples:
            return  # what lies behind sees more still
        rows = (int((2 ** field.sum(0)).sum()) * shape_of(node)[1] for node, field in handed.items())
        if 4 * sum(rows) <= _MOST_BYTES:
            yield cut


def _multiplications(network: fx.GraphModule, node: fx.Node) -> int:
    """A convolution's, for an image; 0 for everything else."""
    convolution = convolution_of(network, node)
    return 0 if convolution is None else prod(shape_of(node)[1:]) * convolution.weight[0].numel()


def _colours(fields: list[torch.Tensor]) -> torch.Tensor:
    """(S,) numbers from 0: superpixels that are seen together have different ones; the most entangled come first."""
    flat = [field.flatten(1).float() for field in fields]
    together = torch.stack([seen @ seen.T for seen in flat]).amax(0).cpu() > 0
    colours = torch.full((len(together),), -1)
    for superpixel in together.sum(1).argsort(descending=True, stable=True).tolist():
        taken = set(colours[together[superpixel]].tolist())
        colours[superpixel] = next(colour for colour in range(len(together)) if colour not in taken)
    return colours.to(fields[0].device)
