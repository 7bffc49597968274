"""A table of a network's first activations under superpixel masks: computed once, then looked up.

An early activation has a small receptive field and sees few superpixels, mostly two or three, each of them shown or
hidden. However many samples are drawn, it can only take the four or eight values of these combinations. They are
computed once and kept in a table. A sample looks up its activations there and passes only through the layers after
them. The activations are the network's own: nothing is approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import fx, nn

from engine.acceleration.fast_copy import ROUNDING
from engine.explainers.activation_table.cuts import Cut, best_cuts, part
from engine.explainers.superpixels import SuperpixelMasks

Activations = tuple[torch.Tensor, ...]
Images = Callable[[torch.Tensor], torch.Tensor]
"""Returns (n, C, H, W) images whose superpixels are shown or hidden by (n, S) rows of 1 and 0."""
RunPart = Callable[[nn.Module, Activations], Activations]
"""Passes activations through a part of the network, in the precision in use."""


class FirstLayers:
    """A network's first layers, and the table of their results.

    Attributes:
        rest: the layers after them; takes their results and returns the network's output.
        convolutions: number of convolutions among the first layers.
    """

    def __init__(self, network: fx.GraphModule, cuts: Sequence[Cut], masks: SuperpixelMasks) -> None:
        """Cut a network; the table is still empty.

        Args:
            network: traced.
            cuts: at least one, from front to back; the layers before the last cut are looked up.
            masks: how superpixels are shown and hidden.
        """
        self.rest, self.convolutions = part(network, cuts[-1], None), cuts[-1].convolutions
        self._cuts = cuts
        self._parts = [part(network, *ends) for ends in zip((None, *cuts), cuts, strict=False)]
        self._masks = masks
        self._table: _Table | None = None

    def fill(self, images: Images, run: RunPart, batch: int) -> Iterator[None]:
        """Pass everything that a place can see, cut by cut, and write the results down; yield after each pass.

        Args:
            images: makes the images.
            run: passes activations through a part of the network.
            batch: images a pass.
        """
        previous: _Table | None = None
        for cut, layers in zip(self._cuts, self._parts, strict=True):
            table = _Table(cut)
            # Image i shows the superpixels of colour c if bit c of i is set.
            shown = (torch.arange(cut.passes, device=cut.colours.device)[:, None] >> cut.colours & 1).float()
            for start in range(0, cut.passes, batch):
                rows = shown[start : start + batch]
                table.note(rows, run(layers, (images(rows),) if previous is None else previous.look_up(rows)))
                yield
            previous = table
        self._table = previous

    def agrees(self, images: Images, run: RunPart, start: int, stop: int) -> bool:
        """Whether the full table and the layers give the same results for samples start..stop-1.

        Args:
            images, run: as for `fill`.
            start, stop: at most one batch.
        """
        computed: Activations = (images(self._masks.rows(start, stop)),)
        for layers in self._parts:
            computed = run(layers, computed)
        return all(map(_agrees, self.look_up(start, stop), computed))

    def look_up(self, start: int, stop: int) -> Activations:
        """Return the layers' results for samples start..stop-1, channels last; the table must be full."""
        assert self._table is not None
        return self._table.look_up(self._masks.rows(start, stop))


def _agrees(found: torch.Tensor, computed: torch.Tensor) -> bool:
    """Whether activations differ only by rounding; NaN never agrees."""
    allowed = max(ROUNDING, 2 * torch.finfo(computed.dtype).eps)
    return float((found - computed).abs().max()) <= allowed * float(computed.abs().max())


class _Table:
    """The results that cross a cut, for every combination of superpixels that a place sees."""

    def __init__(self, cut: Cut) -> None:
        self._places = [_Places(field) for field in cut.crossing.values()]
        self._values: list[torch.Tensor] = []

    def note(self, rows: torch.Tensor, results: Activations) -> None:
        """Write down the results for (n, S) rows of shown superpixels."""
        if not self._values:
            self._values = [
                # NaN, so that a combination that is never noted cannot pass for a result.
                values.new_full((places.combinations, values.shape[1]), torch.nan)
                for places, values in zip(self._places, results, strict=True)
            ]
        for places, known, values in zip(self._places, self._values, results, strict=True):
            # One image at a time: within an image no combination occurs twice, so the result of `index_copy_`, which
            # writes in no fixed order, is always the same.
            for numbers, image in zip(places.numbers(rows), values, strict=True):
                known.index_copy_(0, numbers, image.flatten(1).T)

    def look_up(self, rows: torch.Tensor) -> Activations:
        """Return the results for (n, S) rows of shown superpixels, channels last."""
        return tuple(
            known.index_select(0, places.numbers(rows).flatten()).view(len(rows), *places.size, -1).permute(0, 3, 1, 2)
            for places, known in zip(self._places, self._values, strict=True)
        )


class _Places:
    """Numbers for the combinations of superpixels at every place of an activation map, counted through all places."""

    def __init__(self, field: torch.Tensor) -> None:
        """Number the combinations.

        Args:
            field: (S, H', W') bool, which superpixels a place sees.
        """
        self.size = field.shape[1], field.shape[2]
        seen = field.flatten(1)
        # The superpixels that a place sees are the bits of its combinations' numbers.
        # In floats, since a GPU multiplies no matrices of integers. They are exact up to 2^24 combinations a place.
        self._worth = torch.where(seen, 2.0 ** (seen.cumsum(0) - 1), 0.0)
        counts = 2 ** seen.sum(0)
        self._first = counts.cumsum(0) - counts
        self.combinations = int(counts.sum())

    def numbers(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the numbers of the combinations that (n, S) float32 rows of shown superpixels make, (n, H' * W')."""
        return (rows @ self._worth).long() + self._first


def find_first_layers(
    network: nn.Module, image: torch.Tensor, masks: SuperpixelMasks, samples: int, readout: Sequence[str] = ()
) -> FirstLayers | None:
    """Return the first layers that are worth a table, which is still empty; None if no layer is.

    Args:
        network: the network to cut; one that is not a traced graph gives None.
        (others): as for `best_cuts`.
    """
    if not isinstance(network, fx.GraphModule):
        return None
    cuts = best_cuts(network, image, masks, samples, readout)
    return FirstLayers(network, cuts, masks) if cuts else None
