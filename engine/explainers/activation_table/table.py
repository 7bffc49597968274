"""The first layers of a network under superpixel masks: passed once for all that a place can see, then looked up.

An early activation has a small receptive field and so sees few superpixels, mostly two or three, each of them shown or
hidden. However many samples are drawn, it has only the four or eight values of these combinations. They are passed
once and kept in a table; a sample finds its activations there and goes only through the layers behind them. The
activations are the network's own: nothing is approximated.
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
"""Gives (n, C, H, W) images in which (n, S) rows of 0 and 1 show and hide superpixels."""
Run = Callable[[nn.Module, Activations], Activations]
"""Passes activations through a part of the network in the precision that is used."""


class FirstLayers:
    """A network's first layers, and the table of what they give.

    Attributes:
        rest: the network behind them; takes what they give and gives what the network gives.
        convolutions: how many of the network's are among them.
    """

    def __init__(self, network: fx.GraphModule, cuts: Sequence[Cut], masks: SuperpixelMasks) -> None:
        """Cut a network; the table is empty.

        Args:
            network: traced.
            cuts: at least one, from front to back; the layers before the last are looked up.
            masks: how superpixels are shown and hidden.
        """
        self.rest, self.convolutions = part(network, cuts[-1], None), cuts[-1].convolutions
        self._cuts = cuts
        self._parts = [part(network, *ends) for ends in zip((None, *cuts), cuts, strict=False)]
        self._masks = masks
        self._table: _Table | None = None

    def fill(self, images: Images, run: Run, batch: int) -> Iterator[None]:
        """Pass all that a place can see, cut by cut, and write down what comes out; yield after each pass.

        Args:
            images: hides and shows superpixels.
            run: passes a part of the network.
            batch: images a pass.
        """
        before: _Table | None = None
        for cut, layers in zip(self._cuts, self._parts, strict=True):
            table = _Table(cut)
            shown = (torch.arange(cut.passes, device=cut.colours.device)[:, None] >> cut.colours & 1).float()
            for start in range(0, cut.passes, batch):
                rows = shown[start : start + batch]
                table.note(rows, run(layers, (images(rows),) if before is None else before.look_up(rows)))
                yield
            before = table
        self._table = before

    def agrees(self, images: Images, run: Run, start: int, stop: int) -> bool:
        """Whether the table, once it is full, gives for the samples start..stop-1 what the layers give.

        Args:
            images, run: as for `fill`.
            start, stop: no more than a pass takes.
        """
        given: Activations = (images(self._masks.rows(start, stop)),)
        for layers in self._parts:
            given = run(layers, given)
        return all(map(_agrees, self.look_up(start, stop), given))

    def look_up(self, start: int, stop: int) -> Activations:
        """What the layers give for the samples start..stop-1, channels last; the table must be full."""
        assert self._table is not None
        return self._table.look_up(self._masks.rows(start, stop))


def _agrees(found: torch.Tensor, given: torch.Tensor) -> bool:
    """Whether activations are the same but for rounding; NaN never is."""
    allowed = max(ROUNDING, 2 * torch.finfo(given.dtype).eps)
    return float((found - given).abs().max()) <= allowed * float(given.abs().max())


class _Table:
    """What is handed on at a cut, for every combination of superpixels that a place sees."""

    def __init__(self, cut: Cut) -> None:
        self._places = [_Places(field) for field in cut.handed.values()]
        self._values: list[torch.Tensor] = []

    def note(self, rows: torch.Tensor, given: Activations) -> None:
        """Write down what comes out for (n, S) rows of shown superpixels."""
        if not self._values:
            self._values = [
                values.new_full((places.combinations, values.shape[1]), torch.nan)
                for places, values in zip(self._places, given, strict=True)
            ]
        for places, known, values in zip(self._places, self._values, given, strict=True):
            # One image at a time: each meets a combination once at most, so nothing is written twice in no order.
            for numbers, image in zip(places.numbers(rows), values, strict=True):
                known.index_copy_(0, numbers, image.flatten(1).T)

    def look_up(self, rows: torch.Tensor) -> Activations:
        """What comes out for (n, S) rows of shown superpixels, channels last."""
        return tuple(
            known.index_select(0, places.numbers(rows).flatten()).view(len(rows), *places.size, -1).permute(0, 3, 1, 2)
            for places, known in zip(self._places, self._values, strict=True)
        )


class _Places:
    """The combinations of superpixels at each place of an activation map, numbered through."""

    def __init__(self, field: torch.Tensor) -> None:
        """Number them.

        Args:
            field: (S, H', W') bool, which superpixels a place sees.
        """
        self.size = field.shape[1], field.shape[2]
        seen = field.flatten(1)
        self._worth = torch.where(seen, 2.0 ** (seen.cumsum(0) - 1), 0.0)
        counts = 2 ** seen.sum(0)
        self._first = counts.cumsum(0) - counts
        self.combinations = int(counts.sum())

    def numbers(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, H' * W') numbers of the combinations that (n, S) float32 rows of shown superpixels give."""
        return (rows @ self._worth).long() + self._first


def find_first_layers(
    network: nn.Module, image: torch.Tensor, masks: SuperpixelMasks, samples: int, readout: Sequence[str] = ()
) -> FirstLayers | None:
    """The first layers that are worth a table for so many samples, the table still empty; None if no layer is.

    Args:
        network: its graph is cut; one that was not traced has none.
        (others): as for `best_cuts`.
    """
    if not isinstance(network, fx.GraphModule):
        return None
    cuts = best_cuts(network, image, masks, samples, readout)
    return FirstLayers(network, cuts, masks) if cuts else None
