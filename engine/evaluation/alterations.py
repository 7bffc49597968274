"""What happens to pictures on their way to a network: compression, blur, noise, other brightness, a small movement.

Each alteration takes a `uint8` image, (H, W) or (H, W, C), and returns one of the same shape and type. A network that
holds up gives it the answer that it gave before: see `engine.evaluation.robustness`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHROMA = {"4:4:4": 0, "4:2:0": 2}
"""Pillow's numbers for how colour is subsampled in a JPEG: not at all, or to half of the width and the height."""


@dataclass(frozen=True, slots=True)
class Alteration:
    """One alteration.

    Attributes:
        name: for tables: `JPEG 90, 4:2:0`.
        apply: returns the altered image. Its random numbers come from the generator alone.
    """

    name: str
    apply: Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]


def jpeg(image: NDArray[np.uint8], quality: int, subsampling: str = "4:2:0") -> NDArray[np.uint8]:
    """Return an image as it comes back from a JPEG file.

    Args:
        image: (H, W) or (H, W, 1) grey, or (H, W, 3) RGB.
        quality: of Pillow (libjpeg), 1 to 95.
        subsampling: of the colour: `4:2:0`, as most programs write it, or `4:4:4`. A grey image has none.
    """
    grey = image.ndim == 2 or image.shape[2] == 1
    picture = Image.fromarray(image.reshape(image.shape[:2]) if grey else image)
    written = io.BytesIO()
    if grey:
        picture.save(written, "JPEG", quality=quality)
    else:
        picture.save(written, "JPEG", quality=quality, subsampling=_CHROMA[subsampling])
    with Image.open(written) as read:
        return np.asarray(read).reshape(image.shape)


def blur(image: NDArray[np.uint8], sd: float) -> NDArray[np.uint8]:
    """Return an image blurred by a Gaussian of `sd` pixels, each channel alone; it is mirrored at its borders."""
    return _as_uint8(ndimage.gaussian_filter(image.astype(np.float64), (sd, sd, 0)[: image.ndim], mode="reflect"))


def noise(image: NDArray[np.uint8], sd: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return an image with Gaussian noise, drawn for each value alone; `sd` is a share of the full scale of 255."""
    return _as_uint8(image + 255 * sd * rng.standard_normal(image.shape))


def brightness(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Return an image with all of its values multiplied."""
    return _as_uint8(factor * image.astype(np.float64))


def contrast(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Return an image whose values lie `factor` times as far from their mean."""
    mean = image.mean()
    return _as_uint8(mean + factor * (image - mean))


def rotation(image: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Return an image turned about its centre, anticlockwise; the border's values fill what becomes empty."""
    turned = ndimage.rotate(image.astype(np.float64), degrees, reshape=False, order=1, mode="nearest")
    return _as_uint8(turned)


def shift(image: NDArray[np.uint8], down: float, right: float) -> NDArray[np.uint8]:
    """Return an image moved by shares of its height and width; the border's values fill what becomes empty."""
    by = (down * image.shape[0], right * image.shape[1], 0)[: image.ndim]
    return _as_uint8(ndimage.shift(image.astype(np.float64), by, order=1, mode="nearest"))


def _as_uint8(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _still(change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Callable[..., NDArray[np.uint8]]:
    """Return an alteration that draws no random number."""
    return lambda image, _rng: change(image)


def _drawn(sd: float) -> Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]:
    return lambda image, rng: noise(image, sd, rng)


_BLUR_AND_NOISE = (
    *(Alteration(f"blur, sd {sd:g} pixels", _still(partial(blur, sd=sd))) for sd in (0.5, 1.0)),
    *(Alteration(f"noise, sd {sd:g}", _drawn(sd)) for sd in (0.02, 0.04)),
    *(Alteration(f"brightness x {factor:g}", _still(partial(brightness, factor=factor))) for factor in (0.9, 1.1)),
)

COLOUR = (
    *(
        Alteration(f"JPEG {quality}, {chroma}", _still(partial(jpeg, quality=quality, subsampling=chroma)))
        for quality in (95, 90, 75, 50)
        for chroma in ("4:4:4", "4:2:0")
    ),
    *_BLUR_AND_NOISE,
)
"""For RGB patches: 14 alterations."""

GREY = (
    *(Alteration(f"JPEG {quality}", _still(partial(jpeg, quality=quality))) for quality in (95, 90, 75, 50)),
    *_BLUR_AND_NOISE,
    *(Alteration(f"contrast x {factor:g}", _still(partial(contrast, factor=factor))) for factor in (0.8, 1.25)),
    *(Alteration(f"turned by {angle:+g} degrees", _still(partial(rotation, degrees=angle))) for angle in (-5, 5)),
    Alteration("shifted by 4 % of each side", _still(partial(shift, down=0.04, right=0.04))),
)
"""For grey slices: 15 alterations. Those of colour fall away; contrast and small movements come in."""
