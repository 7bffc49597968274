"""Networks are cut where looking up saves more than it costs, and by way of the cuts before where that is cheaper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import squares
from torch import fx, nn

from engine.explainers.activation_table import cuts
from engine.explainers.activation_table.cuts import best_cuts
from engine.explainers.superpixels import SuperpixelMasks, Superpixels

SIDE = 48


def test_a_cut_must_save_a_twentieth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the work is looked up: of n samples n/2 - 16/2 passes are saved, the checks cost 16: 0.45 n > 24."""
    monkeypatch.setattr(cuts, "_LOOKING_UP", 0.0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.InstanceNorm2d(8), nn.Conv2d(8, 3, 3, padding=1)
    network = fx.symbolic_trace(nn.Sequential(*layers).eval())
    masks = SuperpixelMasks(squares(SIDE, 2), np.eye(4, dtype=int), torch.device("cpu"))
    image = torch.zeros(1, 3, SIDE, SIDE)
    assert best_cuts(network, image, masks, 53) == ()
    (cut,) = best_cuts(network, image, masks, 54)
    assert cut.passes == 16


def test_a_cut_further_back_is_reached_by_way_of_those_before_it_where_that_is_cheaper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stripes: a 3x3 sees two, so 4 images; 25 rows see up to seven stripes of 4, so 128 images by themselves."""
    monkeypatch.setattr(cuts, "_LOOKING_UP", 0.0)
    layers = (
        *(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, (23, 1), padding=(11, 0))),
        *(nn.InstanceNorm2d(8), nn.Conv2d(8, 64, 3)),
    )
    network = fx.symbolic_trace(nn.Sequential(*layers).eval())
    stripes = Superpixels((np.arange(SIDE) // 4)[:, None].repeat(SIDE, 1), 12, "stripes")
    masks = SuperpixelMasks(stripes, np.eye(12, dtype=int), torch.device("cpu"))
    chain = best_cuts(network, torch.zeros(1, 3, SIDE, SIDE), masks, 5000)
    assert [(cut.convolutions, cut.passes) for cut in chain] == [(1, 4), (2, 128)]
    monkeypatch.setattr(cuts, "_WORTH_IT", 0.0)
    monkeypatch.setattr(cuts, "_LONGEST_FILL", 1000)
    monkeypatch.setattr(cuts, "_LOOKING_UP", 100.0)  # more than the first convolution itself takes
    chain = best_cuts(network, torch.zeros(1, 3, SIDE, SIDE), masks, 5000)
    assert [(cut.convolutions, cut.passes) for cut in chain] == [(2, 128)]


def test_filling_the_table_takes_no_longer_than_a_few_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the table is full there is no map to stop with, however many samples are asked for."""
    monkeypatch.setattr(cuts, "_LOOKING_UP", 0.0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 9, padding=4), nn.InstanceNorm2d(8), nn.Conv2d(8, 8, 3)
    network = fx.symbolic_trace(nn.Sequential(*layers).eval())
    masks = SuperpixelMasks(squares(SIDE, 4), np.eye(16, dtype=int), torch.device("cpu"))
    image = torch.zeros(1, 3, SIDE, SIDE)
    monkeypatch.setattr(cuts, "_WORTH_IT", 0.0)
    monkeypatch.setattr(cuts, "_LONGEST_FILL", 1000)
    assert best_cuts(network, image, masks, 10**6)[-1].convolutions == 2
    monkeypatch.setattr(cuts, "_LONGEST_FILL", 5)
    assert best_cuts(network, image, masks, 10**6)[-1].convolutions == 1
