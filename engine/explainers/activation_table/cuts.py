"""Choose where to cut a network, so that its first layers' results for superpixel masks can be looked up.

Two superpixels can be shown and hidden together if no activation at the cut sees both. Colour the superpixels such that
any two seen together differ: then 2^colours images show everything that an activation can see. At a deeper cut,
activations see more, so it needs more images. These pass only through the layers since the previous cut, so a chain of
cuts costs less than its last cut alone.
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
"""Samples that are passed with and without the table, to check it before it is used."""

_WORTH_IT = 0.05
"""A table must save at least this share of all multiplications, since finding the cuts and copying take time, too."""
_LONGEST_FILL = 64
"""Filling the table may take as long as so many passes of the network: until it is full, a stop leaves no map."""
_MOST_BYTES = 2**27
"""Largest size of a table."""
_MOST_PIXELS = 2**25
"""Superpixels times pixels: beyond this, the receptive fields take seconds and gigabytes."""
_LOOKING_UP = 24.0
"""Cost of looking up one activation, in multiplications of a convolution (measured on a CPU)."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A place to cut a network.

    Attributes:
        end: number of the graph's nodes before it.
        crossing: the nodes before it whose results are used after it, with their receptive fields, (S, H', W') bool.
        colours: (S,) colours of the superpixels, from 0.
        convolutions: number of convolutions before it.
        work: multiplications before it, an image.
        looking_up: cost of looking up the results of `crossing`, in multiplications an image.
    """

    end: int
    crossing: dict[fx.Node, torch.Tensor]
    colours: torch.Tensor
    convolutions: int
    work: float
    looking_up: float

    @property
    def passes(self) -> int:
        """Number of images that show all combinations of superpixels seen together."""
        return 1 << int(self.colours.max()) + 1


def best_cuts(
    network: fx.GraphModule, image: torch.Tensor, masks: SuperpixelMasks, samples: int, readout: Sequence[str] = ()
) -> tuple[Cut, ...]:
    """Return the chain of cuts that saves most, from front to back; empty if none saves enough.

    Args:
        network: traced; shapes are recorded in its graph.
        image: (1, C, H, W) input; the first of its size is passed once.
        masks: how superpixels are shown and hidden.
        samples: smallest number of samples that will be passed.
        readout: names of modules that must stay after the last cut.
    """
    if masks.count * masks.labels.numel() > _MOST_PIXELS:
        return ()
    # LIME asks for each of its segmentations.
    if network.meta.get("shapes_for") != image.shape:
        note_shapes(network, image)
        network.meta["shapes_for"] = image.shape
    whole = sum(_multiplications(network, node) for node in network.graph.nodes)
    # Before it is used, a table is checked at the cost of about two passes for each of these samples.
    most, best = (_WORTH_IT * samples + 2 * CHECKED_SAMPLES) * whole, tuple[Cut, ...]()
    chains: list[tuple[float, tuple[Cut, ...]]] = [(0.0, ())]  # with the cost of filling their last table
    for cut in _cuts(network, masks, samples, readout, whole):
        extended = [(cost + cut.passes * _between(chain, cut), (*chain, cut)) for cost, chain in chains]
        cheapest = min(extended, key=lambda chain: chain[0])
        if cheapest[0] > _LONGEST_FILL * whole:
            break  # later cuts take even longer
        chains.append(cheapest)
        saved = samples * (cut.work - cut.looking_up) - cheapest[0]
        if saved > most:
            most, best = saved, cheapest[1]
    return best


def part(network: fx.GraphModule, begin: Cut | None, end: Cut | None) -> fx.GraphModule:
    """Return the part of a network between two cuts, before the first or after the last; it shares the modules.

    The part takes the results that cross its first cut, and returns a tuple of those that cross its last. Each part is
    made only once, because torch never frees the source code of a graph module.
    """
    made: dict[tuple[int, int | None], fx.GraphModule] = network.meta.setdefault("parts", {})
    key = begin.end if begin else 0, end.end if end else None
    if key in made:
        return made[key]
    graph, nodes = fx.Graph(), list(network.graph.nodes)
    copies = {node: graph.placeholder(node.name) for node in (begin.crossing if begin else ())}
    for number, node in enumerate(nodes):
        if node.op == "get_attr" or number in range(key[0], key[1] or len(nodes)):
            copies[node] = graph.node_copy(node, copies.__getitem__)
    if end:
        graph.output(tuple(copies[node] for node in end.crossing))
    return made.setdefault(key, fx.GraphModule(network, graph))


def _between(chain: tuple[Cut, ...], cut: Cut) -> float:
    """Return an image's cost from a chain's end to a cut, in multiplications, with looking up and writing."""
    return cut.work + cut.looking_up + (chain[-1].looking_up - chain[-1].work if chain else 0.0)


def _cuts(
    network: fx.GraphModule, masks: SuperpixelMasks, samples: int, readout: Sequence[str], whole: int
) -> Iterator[Cut]:
    """Yield all places after a convolution where the crossing results are local and their table is not too large."""
    nodes = list(network.graph.nodes)
    fields: dict[fx.Node, torch.Tensor] = {}
    work, convolutions = 0, 0
    for end, node in enumerate(nodes, start=1):
        if work == whole or (node.op == "call_module" and node.target in readout):
            return  # the layers after the last convolution stay together
        own = _multiplications(network, node)
        work += own
        convolutions += own > 0
        if (field := receptive_field(network, node, fields, masks)) is not None:
            fields[node] = field
        later = set(nodes[end:])
        # `get_attr` nodes do not cross a cut: every part reads the parameters itself.
        read = [node for node in nodes[:end] if node.op != "get_attr" and not later.isdisjoint(node.users)]
        if not work or not read or not all(node in fields for node in read):
            continue
        crossing = {node: fields[node] for node in read}
        looking_up = _LOOKING_UP * sum(prod(shape_of(node)[1:]) for node in read)
        cut = Cut(end, crossing, _colours(list(crossing.values())), convolutions, work, looking_up)
        if cut.passes >= samples:
            return  # later activations see even more superpixels
        entries = (int((2 ** field.sum(0)).sum()) * shape_of(node)[1] for node, field in crossing.items())
        if 4 * sum(entries) <= _MOST_BYTES:  # 4 bytes a float32
            yield cut


def _multiplications(network: fx.GraphModule, node: fx.Node) -> int:
    """Return a convolution's multiplications, an image; 0 for any other node."""
    convolution = convolution_of(network, node)
    return 0 if convolution is None else prod(shape_of(node)[1:]) * convolution.weight[0].numel()


def _colours(fields: list[torch.Tensor]) -> torch.Tensor:
    """Colour the superpixels with numbers from 0, (S,), so that any two seen together differ."""
    # Greedy, from the superpixels with the most neighbours on: a small number of colours, not always the smallest.
    # As floats, since torch multiplies no matrices of booleans.
    flat = [field.flatten(1).float() for field in fields]
    together = torch.stack([seen @ seen.T for seen in flat]).amax(0).cpu() > 0
    colours = torch.full((len(together),), -1)
    for superpixel in together.sum(1).argsort(descending=True, stable=True).tolist():
        taken = set(colours[together[superpixel]].tolist())
        colours[superpixel] = next(colour for colour in range(len(together)) if colour not in taken)
    return colours.to(fields[0].device)
