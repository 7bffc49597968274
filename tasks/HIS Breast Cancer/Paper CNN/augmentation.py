"""How patches are varied in training, so that the network hangs on no single stain, brightness or file format.

The alterations are those that pictures meet on their way: another stain or brightness, a blur, noise, a JPEG file.
How much of each is drawn anew for every patch, at every time that it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import architecture
import numpy as np
import simplejpeg
import torch
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor

DARKEST = 1e-6  # as in scikit-image: log(0) is avoided, and densities are in units of log(1e-6)
JPEG_QUALITIES = (50, 95)
SUBSAMPLED = 0.75  # the share of the JPEG files whose colour has half the width and height (4:2:0)


@dataclass(frozen=True)
class Augmentation:
    """What is done to a patch; each part can be left out by 0."""

    gain: float = 0.15  # each stain channel of an image is multiplied by 1 + U(-gain, gain)
    bias: float = 0.25  # ... and shifted by U(-bias, bias) times the channel's standard deviation over the data
    brightness: float = 0.1  # an image is multiplied by 1 + U(-brightness, brightness)
    gamma: float = 0.22  # ... after raising it to the power exp(U(-gamma, gamma))
    blur: float = 0.5  # the share of the patches that are blurred, by sd U(0, widest) pixels
    widest: float = 1.2
    noise: float = 0.5  # the share of the patches that get noise, of sd U(0, loudest)
    loudest: float = 0.045
    jpeg: float = 0.6  # the share of the patches that go through a JPEG file

    def without(self, part: str) -> Augmentation:
        """Return the same without `stain`, `brightness`, `blur`, `noise`, `JPEG`, or `all` of them."""
        parts = {
            "stain": {"gain": 0.0, "bias": 0.0},
            "brightness": {"brightness": 0.0, "gamma": 0.0},
            "blur": {"blur": 0.0},
            "noise": {"noise": 0.0},
            "JPEG": {"jpeg": 0.0},
        }
        chosen = parts.values() if part == "all" else [parts[part]]
        return replace(self, **{name: value for values in chosen for name, value in values.items()})


class Stains:
    """All patches as densities of haematoxylin, eosin and a residual, kept as float so that each can be changed.

    The stain vectors and units are those of `skimage.color.rgb2hed` and `hed2rgb` (Ruifrok and Johnston 2001). Unlike
    in `rgb2hed` negative densities are kept (here 29 % of eosin's): what is not augmented comes back unchanged, so that
    training sees the colours that are served.
    """

    def __init__(self, rgb: np.ndarray) -> None:
        unmix = torch.tensor(hed_from_rgb.T, dtype=torch.float32)
        self.images = torch.empty(len(rgb), 3, rgb[0, 0].size)
        self.height, self.width = rgb.shape[2:]
        for start in range(0, len(rgb), 1024):
            part = torch.from_numpy(rgb[start : start + 1024]).float().div(255).clamp(min=DARKEST)
            self.images[start : start + 1024] = unmix @ part.flatten(2).log().div(np.log(DARKEST))
        self.spread = self.images[::16].transpose(0, 1).flatten(1).std(dim=1)
        self.mix = torch.tensor(rgb_from_hed.T * np.log(DARKEST), dtype=torch.float32)

    def render(self, rows: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        """Return the images (B, 3, H, W) in [0, 1] of these rows after `density * gain + bias` (each (B, 3))."""
        offset = (bias @ self.mix.T)[:, :, None]
        images = torch.baddbmm(offset, self.mix * gain[:, None, :], self.images[rows]).exp_().clamp_(0, 1)
        return images.unflatten(2, (self.height, self.width))

    def vary(self, rows: Tensor, gain: float, bias: float, generator: torch.Generator) -> Tensor:
        """Return the images of these rows, each in a stain of its own: see `Augmentation` for `gain` and `bias`."""
        gains, biases = (torch.rand(2, len(rows), 3, generator=generator) * 2 - 1).unbind()
        return self.render(rows, 1 + gain * gains, bias * biases * self.spread)


def normalise(images: Tensor) -> Tensor:
    """Return (x - mean) / std of images (B, 3, H, W) in [0, 1], as `model.toml` asks the app to do."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (architecture.MEAN, architecture.STD))
    return (images - mean) / std


def turn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the batch with each eighth of it in another of the square's eight symmetries."""
    symmetries = torch.randperm(8, generator=generator).tolist()
    parts = [
        torch.rot90(part.flip(2) if symmetry >= 4 else part, symmetry % 4, (2, 3))
        for symmetry, part in zip(symmetries, images.chunk(8), strict=False)
    ]
    return torch.cat(parts)


def brightened(images: Tensor, brightness: float, gamma: float, generator: torch.Generator) -> Tensor:
    """Return images (B, 3, H, W) in [0, 1], each in a brightness of its own."""
    power, factor = (torch.rand(2, len(images), 1, 1, 1, generator=generator) * 2 - 1).unbind()
    return (images.clamp(min=1e-4) ** (gamma * power).exp() * (1 + brightness * factor)).clamp(0, 1)


def blurred(images: Tensor, sd: Tensor) -> Tensor:
    """Return square images (B, 3, S, S), each blurred by a Gaussian of its own `sd` (B,) pixels.

    A blur along one axis is a product with a matrix, whose rows sum to 1 at the borders, too.
    """
    place = torch.arange(images.shape[-1])
    squares = (place[:, None] - place).float() ** 2
    matrix = torch.exp(-squares / (2 * sd.clamp(min=0.05) ** 2)[:, None, None])
    matrix = (matrix / matrix.sum(2, keepdim=True))[:, None]
    return matrix @ (images @ matrix.transpose(2, 3))


def through_jpeg(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (B, 3, H, W) in [0, 1] as they come back from JPEG files of different qualities."""
    low, high = JPEG_QUALITIES
    qualities = torch.randint(low, high + 1, (len(images),), generator=generator).tolist()
    subsampled = (torch.rand(len(images), generator=generator) < SUBSAMPLED).tolist()
    pixels = images.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    decoded = [
        simplejpeg.decode_jpeg(
            simplejpeg.encode_jpeg(image, quality, "RGB", "420" if half else "444"),
        )
        for image, quality, half in zip(pixels, qualities, subsampled, strict=True)
    ]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2) / 255


def augmented(stains: Stains, rows: Tensor, recipe: Augmentation, generator: torch.Generator) -> Tensor:
    """Return these rows' images (B, 3, H, W) in [0, 1], turned and altered."""
    images = turn(stains.vary(rows, recipe.gain, recipe.bias, generator), generator)
    if recipe.brightness or recipe.gamma:
        images = brightened(images, recipe.brightness, recipe.gamma, generator)
    for chosen in _some(len(images), recipe.blur, generator):
        sd = torch.rand(len(chosen), generator=generator) * recipe.widest
        images[chosen] = blurred(images[chosen], sd)
    for chosen in _some(len(images), recipe.noise, generator):
        sd = torch.rand(len(chosen), 1, 1, 1, generator=generator) * recipe.loudest
        grains = torch.randn(len(chosen), *images.shape[1:], generator=generator)
        images[chosen] = (images[chosen] + sd * grains).clamp(0, 1)
    for chosen in _some(len(images), recipe.jpeg, generator):
        images[chosen] = through_jpeg(images[chosen], generator)
    return images


def _some(count: int, share: float, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the places of a share of `count` images, chosen at random, if there are any."""
    chosen = torch.nonzero(torch.rand(count, generator=generator) < share)[:, 0]
    if len(chosen):
        yield chosen
