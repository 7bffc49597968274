"""Folded batch normalisation gives the same answers, and what cannot be folded stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from factories import make_image
from networks import classifier, request
from torch import nn

from engine.explainers.rise import Rise


class Normalised(nn.Module):
    """A convolution with batch normalisation behind it, and a sigmoid at the end."""

    def __init__(self, *, branches: bool = False, norm_last: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.dense, self.act = nn.Linear(4, 1), nn.Sigmoid()
        self.branches, self.norm_last = branches, norm_last
        with torch.no_grad():
            for values in (*self.parameters(), self.norm.running_mean):
                values.copy_(torch.randn(values.shape, generator=generator))
            self.norm.running_var.copy_(torch.rand(4, generator=generator) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(torch.relu(self.conv(x))) if self.norm_last else torch.relu(self.norm(self.conv(x)))
        if self.branches and x.sum() < -1e9:
            return x
        return self.act(self.dense(x.mean((2, 3))))


def test_a_folded_network_gives_the_same_logits_and_the_original_is_untouched() -> None:
    model = classifier(Normalised())
    tensor = request(model).tensor
    before = model.logits(tensor)
    assert model.fast_copy().folded
    assert torch.equal(model.logits(tensor), before)
    torch.testing.assert_close(model.logits(tensor, fast=True), before, atol=1e-5, rtol=1e-5)
    assert isinstance(model.network.norm, nn.BatchNorm2d)


@pytest.mark.parametrize("options", [{"branches": True}, {"norm_last": True}])
def test_what_cannot_be_folded_is_used_as_it_is(options: dict[str, bool]) -> None:
    model = classifier(Normalised(**options))
    tensor = request(model).tensor
    assert not model.fast_copy().folded
    assert torch.equal(model.logits(tensor, fast=True), model.logits(tensor))


def test_a_copy_that_answers_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "engine.acceleration.fast_copy.fold_batch_norm", lambda network: Normalised(norm_last=True).eval()
    )
    model = classifier(Normalised())
    assert not model.fast_copy().folded


def test_maps_are_the_same_to_1e_5_and_say_that_they_were_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image(height=24, width=24)
    folded = Rise(samples=200).explain(request(classifier(Normalised()), image, target=1))
    assert folded.parameters["batch_norm_folded"] is True
    monkeypatch.setattr("engine.acceleration.fast_copy.fold_batch_norm", lambda network: None)
    plain = Rise(samples=200).explain(request(classifier(Normalised()), image, target=1))
    assert plain.parameters["batch_norm_folded"] is False
    np.testing.assert_allclose(folded.values, plain.values, atol=1e-5)
