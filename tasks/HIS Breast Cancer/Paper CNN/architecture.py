"""The small CNN of the XAIMed paper for invasive ductal carcinoma (its table 1), layer for layer.

The constants say how to feed the network and how to read it. `train.py` takes them from here and writes them to
`model.toml` for the app, so that what was trained is what is served.
"""

from torch import Tensor, nn

INPUT_SIZE = (50, 50)  # height, width
CHANNELS = 3  # RGB
MEAN = (0.79, 0.62, 0.72)  # per channel, on 8 bit values divided by 255
STD = (0.155, 0.22, 0.157)
ACCEPT_GREY = False  # it was trained on stains, which a grey image does not show
CLASSES = ("NO-IDC", "IDC")  # one output: negative, positive
ACTIVATION = "sigmoid"  # the network ends in it
TARGET_LAYER = "features.5"  # the last convolution with its ReLU, 25x25: table 1 counts them as one layer


class PaperCNN(nn.Module):
    """Two convolutions, each with ReLU, batch norm and max pooling; a dense layer of 256; one unit with a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, kernel_size=3, padding=1),  # 50x50x16
            nn.ReLU(),
            nn.BatchNorm2d(16),
            nn.MaxPool2d(2),  # 25x25x16
            nn.Conv2d(16, 32, kernel_size=3, padding=1),  # 25x25x32
            nn.ReLU(),
            nn.BatchNorm2d(32),
            nn.MaxPool2d(2),  # 12x12x32
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(12 * 12 * 32, 256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(256, 1),
        )
        self.probability = nn.Sigmoid()  # a module, so that its input, the logit, can be reached

    def logit(self, images: Tensor) -> Tensor:
        """Return the logits of IDC, (B, 1), of normalised images (B, 3, 50, 50)."""
        return self.classifier(self.features(images))

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities of IDC, (B, 1) in [0, 1], of normalised images (B, 3, 50, 50)."""
        return self.probability(self.logit(images))


def build_model() -> PaperCNN:
    """Return the untrained network; its weights are in `weights.pt`."""
    return PaperCNN()
