"""The first layers of a network under superpixel masks: passed once for all that a place can see, then looked up.

An early activation has a small receptive field and so sees few superpixels, mostly two or three, each of them shown or
hidden. However many samples are drawn, it has only the four or eight values of these combinations. They are passed
once and kept in a table; a sample finds its activations there and goes only through the layers behind them. The
activations are the network's own: nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import fx, nn

from engine.explainers.receptive_fields import convolution_of, map_shape, receptive_field
from engine.explainers.superpixels import SuperpixelMasks

PassFirst = Callable[[nn.Module, torch.Tensor], tuple[torch.Tensor, ...]]
"""Passes the image through the first layers, of which (n, S) rows show superpixels."""

_MOST_BYTES = 2**27
_LOOKING_UP = 24.0
"""What looking up one activation costs, in multiplications of a convolution (measured on a CPU)."""
_ROUNDING = 1e-4
"""Largest difference of activations, relative to the largest, that may come from float32's rounding."""


class FirstLayers:
    """A network cut in two, and the table of what its first part gives.

    Attributes:
        first: (B, C, H, W) images in, a tuple of activations out.
        rest: takes these and gives what the network gives.
        passes: how many images fill the table.
        convolutions: how many of the network's are in `first`.
    """

    def __init__(self, network: fx.GraphModule, cut: _Cut, masks: SuperpixelMasks) -> None:
        """See `find_first_layers`."""
        self.first, self.rest = _parts(network, cut)
        self.passes, self.convolutions = cut.passes, cut.convolutions
        self._masks, self._colours = masks, cut.colours
        self._places = [_Places(field) for field in cut.handed.values()]
        self._tables: list[torch.Tensor] = []

    def fill(self, passed: PassFirst, batch: int) -> Iterator[int]:
        """Pass what a place can see and write down the result; yield how many images are done, pass by pass.

        Superpixels that no activation sees together have one colour and are shown and hidden together.

        Args:
            passed: the first layers in the precision that is used.
            batch: images a pass.
        """
        bits = torch.arange(self.passes, device=self._colours.device)[:, None] >> self._colours & 1
        for start in range(0, self.passes, batch):
            rows = bits[start : start + batch].float()
            self._note(rows, passed(self.first, rows))
            yield start + len(rows)

    def agrees(self, passed: PassFirst, count: int) -> bool:
        """Whether the table, once it is full, gives for the first samples what the layers give.

        Args:
            passed: as for `fill`.
            count: number of samples.
        """
        return all(map(_agrees, self.look_up(0, count), passed(self.first, self._masks.rows(0, count))))

    def look_up(self, start: int, stop: int) -> tuple[torch.Tensor, ...]:
        """The activations of the samples start..stop-1, as `first` gives them, channels last."""
        rows = self._masks.rows(start, stop)
        return tuple(
            table.index_select(0, places.numbers(rows).flatten()).view(len(rows), *places.size, -1).permute(0, 3, 1, 2)
            for places, table in zip(self._places, self._tables, strict=True)
        )

    def _note(self, rows: torch.Tensor, given: tuple[torch.Tensor, ...]) -> None:
        if not self._tables:
            self._tables = [
                values.new_full((places.combinations, values.shape[1]), torch.nan)
                for places, values in zip(self._places, given, strict=True)
            ]
        for places, table, values in zip(self._places, self._tables, given, strict=True):
            # One image at a time: each meets a combination once at most, so nothing is written twice in no order.
            for numbers, image in zip(places.numbers(rows), values, strict=True):
                table.index_copy_(0, numbers, image.flatten(1).T)


def _agrees(found: torch.Tensor, given: torch.Tensor) -> bool:
    """Whether activations are the same but for rounding; NaN never is."""
    allowed = max(_ROUNDING, 2 * torch.finfo(given.dtype).eps)
    return float((found - given).abs().max()) <= allowed * float(given.abs().max())


class _Places:
    """The combinations of superpixels at each place of an activation map, numbered through."""

    def __init__(self, field: torch.Tensor) -> None:
        """Number them.

        Args:
            field: (S, H', W') bool, which superpixels a place sees.
        """
        self.size = field.shape[1], field.shape[2]
        seen = field.flatten(1)
        self._values = torch.where(seen, 2.0 ** (seen.cumsum(0) - 1), 0.0)
        counts = 2 ** seen.sum(0)
        self._first = counts.cumsum(0) - counts
        self.combinations = int(counts.sum())

    def numbers(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, H' * W') numbers of the combinations that (n, S) float32 rows of shown superpixels give."""
        return (rows @ self._values).long() + self._first


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where a network is cut.

    Attributes:
        end: number of the graph's nodes in the first part.
        handed: the nodes of the first part that the second reads, with their receptive fields, (S, H', W') bool.
        colours: (S,) of the superpixels.
        convolutions: how many are in the first part.
    """

    end: int
    handed: dict[fx.Node, torch.Tensor]
    colours: torch.Tensor
    convolutions: int

    @property
    def passes(self) -> int:
        return 1 << int(self.colours.max()) + 1


def find_first_layers(
    network: nn.Module, image: torch.Tensor, masks: SuperpixelMasks, samples: int
) -> FirstLayers | None:
    """The first layers that are worth a table for so many samples, the table still empty; None if no layer is.

    Args:
        network: its graph is cut; one that was not traced has none.
        image: (1, C, H, W) input, for the sizes of its activations.
        masks: how superpixels are shown and hidden.
        samples: that will be passed at least.
    """
    from torch.fx.passes.shape_prop import ShapeProp

    if not isinstance(network, fx.GraphModule):
        return None
    ShapeProp(network).propagate(image)
    _, cut = max(_cuts(network, masks, samples), key=lambda found: found[0], default=(0.0, None))
    return None if cut is None else FirstLayers(network, cut, masks)


def _cuts(network: fx.GraphModule, masks: SuperpixelMasks, samples: int) -> Iterator[tuple[float, _Cut]]:
    """How many multiplications a cut saves, and the cut, for those that save something."""
    nodes = list(network.graph.nodes)
    fields: dict[fx.Node, torch.Tensor] = {}
    layers = [convolution_of(network, node) for node in nodes]
    total = sum(layer is not None for layer in layers)
    work, convolutions = 0.0, 0
    for end, (node, convolution) in enumerate(zip(nodes, layers, strict=True), start=1):
        if convolutions == total:
            return  # what reads the last one's result stays together
        if convolution is not None:
            work += prod(map_shape(node)) * convolution.weight[0].numel()
            convolutions += 1
        if (field := receptive_field(network, node, fields, masks)) is not None:
            fields[node] = field
        behind = set(nodes[end:])
        read = [node for node in nodes[:end] if node.op != "get_attr" and not behind.isdisjoint(node.users)]
        if convolutions == 0 or not all(node in fields for node in read):
            continue
        handed = {node: fields[node] for node in read}
        cut = _Cut(end, handed, _colours(list(handed.values())), convolutions)
        if cut.passes >= samples:
            return  # what lies behind sees more still
        looking_up = _LOOKING_UP * sum(prod(map_shape(node)) for node in handed)
        saved = samples * (work - looking_up) - cut.passes * (work + looking_up)
        size = sum(_Places(field).combinations * map_shape(node)[0] for node, field in handed.items()) * 4
        if saved > 0 and size <= _MOST_BYTES:
            yield saved, cut


def _parts(network: fx.GraphModule, cut: _Cut) -> tuple[fx.GraphModule, fx.GraphModule]:
    """The two parts of a network, which share its modules."""
    nodes = list(network.graph.nodes)
    first, rest = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in nodes[: cut.end]:
        copies[node] = first.node_copy(node, copies.__getitem__)
    first.output(tuple(copies[node] for node in cut.handed))
    copies = {node: rest.placeholder(node.name) for node in cut.handed}
    for node in nodes:
        if node.op == "get_attr" or node in nodes[cut.end :]:
            copies[node] = rest.node_copy(node, copies.__getitem__)
    return fx.GraphModule(network, first), fx.GraphModule(network, rest)


def _colours(fields: list[torch.Tensor]) -> torch.Tensor:
    """(S,) numbers from 0: superpixels that are seen together have different ones; the most entangled come first."""
    flat = [field.flatten(1).float() for field in fields]
    together = torch.stack([seen @ seen.T for seen in flat]).amax(0).cpu() > 0
    colours = torch.full((len(together),), -1)
    for superpixel in together.sum(1).argsort(descending=True, stable=True).tolist():
        taken = set(colours[together[superpixel]].tolist())
        colours[superpixel] = next(colour for colour in range(len(together)) if colour not in taken)
    return colours.to(fields[0].device)
