"""A narrow ResNet with attention pooling for grey MRI slices of 160x160 pixels, three classes."""

import torch
from torch import nn

INPUT_SIZE = (160, 160)
CHANNELS = 1
CLASSES = ("meningioma", "glioma", "pituitary")
MEAN = (0.156,)
STD = (0.167,)
ACTIVATION = "softmax"
TARGET_LAYER = "final_relu"

_STEM, _WIDTHS = 16, (32, 64, 128)


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, as in He et al. 2016 (basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.first_relu = nn.ReLU()
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.second_relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.first_relu(self.first_norm(self.first(x)))
        return self.second_relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class NarrowResNet(nn.Module):
    """Map normalised slices (B, 1, 160, 160) to probabilities (B, 3) of meningioma, glioma, pituitary tumour.

    A stem and three stages halve the map to 10x10. `attention` weighs the 10x10 places (the weights sum to one), and
    the head sees the features' weighted mean beside their plain mean. `final` is the last convolution whose map holds
    what the head reads; it has a bias and no batch norm, so its map is what the ReLU after it sees.
    """

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(
            nn.Conv2d(1, _STEM, 3, 2, 1, bias=False),
            nn.BatchNorm2d(_STEM),
            nn.ReLU(),
            nn.Conv2d(_STEM, _STEM, 3, 1, 1, bias=False),
            nn.BatchNorm2d(_STEM),
            nn.ReLU(),
        )
        stages = [stem]
        for inputs, outputs in zip((_STEM, *_WIDTHS[:-1]), _WIDTHS, strict=True):
            stages.append(nn.Sequential(_Block(inputs, outputs, 2), _Block(outputs, outputs, 1)))
        self.stages = nn.ModuleList(stages)
        self.attention = nn.Conv2d(_WIDTHS[-1], 1, 1)
        self.final = nn.Conv2d(_WIDTHS[-1], _WIDTHS[-1], 3, padding=1)
        self.final_relu = nn.ReLU()
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * _WIDTHS[-1], len(CLASSES))
        self.softmax = nn.Softmax(dim=1)

    def maps(self, slices: torch.Tensor) -> list[torch.Tensor]:
        """Return the feature maps of the stem and the three stages, finest first."""
        found = []
        for stage in self.stages:
            slices = stage(slices)
            found.append(slices)
        return found

    def pooled_logits(self, coarsest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits (B, 3) and the attention's logits (B, 100) of the last stage's map."""
        features = self.final_relu(self.final(coarsest)).flatten(2)
        places = self.attention(coarsest).flatten(1)
        attended = (features * places.softmax(dim=1).unsqueeze(1)).sum(dim=2)
        logits: torch.Tensor = self.head(self.dropout(torch.cat([attended, features.mean(dim=2)], dim=1)))
        return logits, places

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of normalised slices; the logits are the input of `softmax`."""
        probabilities: torch.Tensor = self.softmax(self.pooled_logits(self.maps(slices)[-1])[0])
        return probabilities


def build_model() -> nn.Module:
    """Return the network with untrained weights."""
    return NarrowResNet()
