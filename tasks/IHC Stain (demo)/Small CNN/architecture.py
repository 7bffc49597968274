"""The network of the demo task: a small convolutional classifier for 48x48 RGB patches of an IHC picture."""

import torch
from torch import nn

INPUT_SIZE = (48, 48)
CHANNELS = 3
CLASSES = ("DAB", "nuclei", "background")
# Zero after normalisation is the colour of unstained stroma, so that a hidden pixel means "no stain here".
MEAN = (0.85, 0.85, 0.87)
STD = (0.20, 0.22, 0.25)
ACTIVATION = "none"
TARGET_LAYER = "features.13"  # the last block, behind its batch norm and ReLU


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    """Return a 3x3 convolution that keeps the size, its batch norm and its ReLU."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class SmallCNN(nn.Module):
    """Map normalised patches (B, 3, 48, 48) to logits (B, 3) of DAB, nuclei, background.

    The last block (``features.13``) gives a map of 12x12. The head sees a 3x3 mosaic of its means, not one mean
    over the whole patch, so that it can tell where in the patch something lies.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_block(3, 16),
            nn.MaxPool2d(2),
            *_block(16, 32),
            nn.MaxPool2d(2),
            *_block(32, 32),
            *_block(32, 48),
        )
        self.pool = nn.AvgPool2d(4)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(48 * 9, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return the logits of normalised patches; softmax gives the probabilities."""
        logits: torch.Tensor = self.head(self.pool(self.features(patches)))
        return logits


def build_model() -> nn.Module:
    """Return the network with untrained weights."""
    return SmallCNN()
