"""Tiny networks whose answers can be worked out by hand, wrapped as classifiers, and superpixels as plain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from factories import make_bundle, make_image
from torch import nn

from engine.bundle.model_bundle import Activation, ExplainSpec, InputSpec, OutputSpec
from engine.explainers.base import Request
from engine.explainers.superpixels import Superpixels
from engine.images.image import MedicalImage
from engine.network.classifier import Classifier, Precision


def classifier(
    network: nn.Module,
    *,
    size: tuple[int, int] = (24, 24),
    channels: int = 3,
    classes: tuple[str, ...] | None = None,
    activation: Activation | None = None,
    multilabel: bool = False,
    threshold: float | None = None,
    temperature: float = 1.0,
    explain: ExplainSpec | None = None,
    precision: Precision = "fp32",
) -> Classifier:
    """A classifier around a network; inputs are values in [0, 1], neither shifted nor scaled."""
    bundle = replace(
        make_bundle(),
        assumed=(),
        input=InputSpec(size=size, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels),
        output=OutputSpec(
            classes=classes, activation=activation, multilabel=multilabel, threshold=threshold, temperature=temperature
        ),
        explain=explain or ExplainSpec(),
    )
    return Classifier(bundle, network, precision=precision)


def request(model: Classifier, image: MedicalImage | None = None, *, target: int = 0, seed: int = 1) -> Request:
    """A request for one map, with no progress and no stop."""
    height, width = model.bundle.input.size
    image = image or make_image(height=height, width=width, channels=model.bundle.input.channels)
    return Request(classifier=model, tensor=model.tensor(image), target=target, seed=seed)


class MeanOfOneChannel(nn.Module):
    """One logit: `scale` times the mean of the first channel, plus `shift`; the convolution copies that channel."""

    def __init__(self, channels: int = 3, scale: float = 2.0, shift: float = 0.0, *, sigmoid: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dense = nn.Linear(1, 1)
        self.act = nn.Sigmoid() if sigmoid else nn.Identity()
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 0] = 1.0
            self.conv.bias.zero_()
            self.dense.weight.fill_(scale)
            self.dense.bias.fill_(shift)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.dense(self.pool(self.conv(x)).flatten(1)))


def small_cnn(
    classes: int = 3, *, channels: int = 3, size: int = 24, vgg_head: bool = False, inplace: bool = False, seed: int = 0
) -> nn.Sequential:
    """Two convolutions and a head, with seeded random weights; raw logits out."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    side = size // 4
    head: list[nn.Module] = (
        [nn.Flatten(), nn.Linear(8 * side * side, 16), nn.ReLU(), nn.Linear(16, classes)]
        if vgg_head
        else [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)]
    )
    network = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        *head,
    ).eval()
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(6.0)  # so that classes differ
    torch.random.set_rng_state(generator_state)
    return network


def squares(side: int, count: int) -> Superpixels:
    """A picture of `side` by `side` pixels in `count` by `count` squares."""
    row = np.arange(side) * count // side
    return Superpixels(row[:, None] * count + row, count * count, "squares")
