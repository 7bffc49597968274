"""Networks whose evidence is known, and images for them: shapes in some of the nine cells decide, others do not.

Two kinds. A *built* network has the shapes themselves as filters, so that nothing else can speak for a class. A
*trained* one is a small convolutional network that has learnt to tell the shapes apart, and may have learnt more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier
    from engine.results.cells import Cell

CLASSES = ("neither", "first", "second")
IMAGES, STEPS = 160, 140
"""Of a trained network: images to learn from, and batches of 16 of them."""


@dataclass(frozen=True, slots=True)
class Case:
    """An image in which the evidence for the class `first` is known.

    Attributes:
        image: the image.
        evidence: (H, W) in [0, 1]: 1 on the shapes that speak for the class, smooth at their edges.
        cells: the cells that they lie in, 1 to 4.
    """

    image: MedicalImage
    evidence: NDArray[np.float64]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class World:
    """A network with what is needed to make images for it.

    Attributes:
        classifier: the network; its classes are `CLASSES`.
        kind: `built` or `trained`.
        size: (H, W) of its input.
        shapes: (3, 3, k, k) pictures of the two classes' shapes and of one that means nothing, in colour.
    """

    classifier: Classifier
    kind: str
    size: tuple[int, int]
    shapes: NDArray[np.float32]

    def cases(self, generator: np.random.Generator, count: int) -> Iterator[Case]:
        """Yield images that the network takes for the class `first`, sure enough that something can be lost."""
        found = tries = 0
        while found < count and tries < 40 * count:
            tries += 1
            case = draw_case(self.shapes, self.size, generator)
            answer = self.classifier.diagnose(case.image)
            if answer.predicted == CLASSES[1] and float(answer.probabilities[1]) > 0.6:
                found += 1
                yield case


def make_world(seed: int, kind: str) -> World:
    """Make a network of a kind; the same seed gives the same one."""
    import torch

    from engine.network.classifier import Classifier

    generator = np.random.default_rng(seed)
    size = ((33, 33), (36, 45), (42, 36))[int(generator.integers(3))]
    shapes = draw_shapes(int(generator.choice((7, 9))), generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _built(shapes, size, generator) if kind == "built" else _trained(shapes, size, generator)
    classifier = Classifier.from_module(
        network,
        size=size,
        name=f"{kind} {seed}",
        device="cpu",
        precision="fp32",
        classes=CLASSES,
        activation="none",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )
    return World(classifier, kind, size, shapes)


def draw_shapes(side: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return three different shapes, each with a colour of its own: (3, 3, side, side), differences from grey."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius, reach = np.hypot(y, x), (side - 1) / 2
    kinds = [
        (radius <= reach).astype(float),
        ((radius <= reach) & (radius >= reach - 2)).astype(float),
        (np.maximum(abs(y), abs(x)) >= reach - 1).astype(float),
        (np.minimum(abs(y), abs(x)) <= 1).astype(float),
        (abs(abs(y) - abs(x)) <= 1).astype(float),
        (y % 4 < 2).astype(float),
        (x % 4 < 2).astype(float),
    ]
    chosen = generator.choice(len(kinds), 3, replace=False)
    colours = generator.uniform(0.15, 0.4, (3, 3)) * generator.choice((-1.0, 1.0), (3, 3))
    return np.stack([kinds[k] * colour[:, None, None] for k, colour in zip(chosen, colours, strict=True)]).astype(
        np.float32
    )


def draw_case(
    shapes: NDArray[np.float32], size: tuple[int, int], generator: np.random.Generator, *, first: int | None = None
) -> Case:
    """Draw an image: shapes of the first class in 1 to 4 cells, of the second in 0 to 2, of the third in 0 to 2."""
    from scipy.ndimage import gaussian_filter

    from engine.images.image import MedicalImage
    from engine.results.cells import CELLS, cell_slices

    height, width = size
    pixels = np.full((3, height, width), 0.5)
    pixels += generator.uniform(-0.1, 0.1, (3, 1, 1))
    pixels += np.linspace(-1, 1, width) * generator.uniform(-0.08, 0.08)
    pixels += generator.normal(0.0, 0.03, pixels.shape)
    evidence = np.zeros(size)
    counts = (int(generator.integers(1, 5)) if first is None else first, *generator.integers(0, 3, 2))
    places = [CELLS[i] for i in generator.permutation(9)]
    slices, side = cell_slices(*size), shapes.shape[-1]
    own: list[Cell] = []
    for kind, count in enumerate(counts):
        for cell in (places.pop() for _ in range(count)):
            rows, columns = slices[cell]
            top = int(generator.integers(rows.start, rows.stop - side + 1))
            left = int(generator.integers(columns.start, columns.stop - side + 1))
            pixels[:, top : top + side, left : left + side] += shapes[kind] * generator.uniform(0.85, 1.1)
            if kind == 0:
                own.append(cell)
                evidence[top : top + side, left : left + side] = 1.0
    evidence = gaussian_filter(evidence, 1.5)
    array = np.rint(pixels.clip(0, 1).transpose(1, 2, 0) * 255).astype(np.uint8)
    return Case(MedicalImage.from_array(array), evidence, tuple(sorted(own)))


def _built(shapes: NDArray[np.float32], size: tuple[int, int], generator: np.random.Generator) -> nn.Module:
    """Filters of the shapes themselves, smoothed, pooled and weighted."""
    import torch
    from torch import nn

    side = shapes.shape[-1]
    filters = torch.from_numpy(shapes - shapes.mean((2, 3), keepdims=True))
    # A shape of the right colour gives about 1 in the middle; inputs are divided by the std of 0.25.
    filters = filters / (filters * torch.from_numpy(shapes)).sum((1, 2, 3), keepdim=True) * 0.25
    network = nn.Sequential(
        nn.Conv2d(3, 3, side, padding=side // 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    with torch.no_grad():
        network[0].weight.copy_(filters)
        network[0].bias.fill_(-0.55)
        mixed = torch.zeros(6, 3, 3, 3)
        for unit in range(6):
            mixed[unit, unit % 3] = torch.from_numpy(generator.uniform(0.2, 1.0, (3, 3)))
        network[3].weight.copy_(mixed)
        network[3].bias.zero_()
        taken = torch.from_numpy(np.stack([_pixels(shapes, size, generator, n) for n in (0, 0, 0, 2, 2, 2)])).float()
        pooled = network[:7](taken)
        typical = pooled[3:].mean(0) - pooled[:3].mean(0)
        one = float(typical[[0, 3]].sum()) / 2  # what one shape of the first class adds to its two units
        gain = float(generator.uniform(2.0, 5.0)) / one / 2
        weights = torch.zeros(3, 6)
        weights[1, [0, 3]], weights[2, [1, 4]] = gain, gain * float(generator.uniform(0.3, 1.0))
        network[7].weight.copy_(weights)
        network[7].bias.copy_(torch.tensor([float(generator.uniform(0.5, 2.5)), 0.0, 0.0]))
    return network


def _trained(shapes: NDArray[np.float32], size: tuple[int, int], generator: np.random.Generator) -> nn.Module:
    import torch
    from torch import nn

    ending: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 3)]
    if generator.random() < 0.5:
        ending = [nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(216, 32), nn.ReLU(), nn.Linear(32, 3)]
    network = nn.Sequential(
        nn.Conv2d(3, 12, 5, padding=2),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        *ending,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    network.train()
    labels = torch.from_numpy(generator.integers(0, 3, IMAGES))
    drawn = [_pixels(shapes, size, generator, None if label == 1 else 0, second=label == 2) for label in labels]
    pixels = torch.from_numpy(np.stack(drawn)).float()
    for _ in range(STEPS):
        batch = torch.from_numpy(generator.integers(0, IMAGES, 16))
        loss = nn.functional.cross_entropy(network(pixels[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def _pixels(
    shapes: NDArray[np.float32],
    size: tuple[int, int],
    generator: np.random.Generator,
    first: int | None,
    *,
    second: bool = False,
) -> NDArray[np.float64]:
    """Return the input (3, H, W) of a drawn image; of the second class if its shapes are drawn as the first's."""
    given = shapes[[1, 0, 2]] if second else shapes
    case = draw_case(given, size, generator, first=None if second else first)
    return (case.image.pixels.transpose(2, 0, 1) / 255.0 - 0.5) / 0.25
