"""Scale images and maps to the size at which they are drawn, without interpolating between their pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

Part = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels of a scaled picture, the last two exclusive: make only this part of it."""

LONGEST_SIDE = 16_384
"""No side of a picture is enlarged beyond this: a strip of 1 x 20,000 pixels stays a strip, and a header may say that
pixels are a hundred times higher than wide."""

_OVERSAMPLING = 4
"""From this enlargement on, nobody can see that some enlarged pixels are one pixel wider than others."""


def true_size(height: int, width: int, aspect: float) -> tuple[int, int]:
    """Return the (height, width) in square pixels that has the shape of height x width pixels which are not square.

    No side becomes shorter, so that nothing is lost, unless the other would become longer than `LONGEST_SIDE`.

    Args:
        height, width: in pixels.
        aspect: the height of a pixel divided by its width.
    """
    high, wide = (height * aspect, float(width)) if aspect >= 1 else (float(height), width / aspect)
    share = min(max(LONGEST_SIDE, height, width) / max(high, wide), 1.0)
    return max(round(high * share), 1), max(round(wide * share), 1)


def scale_pixels(pixels: NDArray[np.uint8], height: int, width: int, part: Part | None = None) -> NDArray[np.uint8]:
    """Scale an (h, w, 1) or (h, w, 3) image to (height, width, 3) uint8; return only `part` of it if given."""
    if pixels.shape[2] == 1:
        plane = np.asarray(_scale(Image.fromarray(np.ascontiguousarray(pixels[:, :, 0])), height, width, part))
        return np.repeat(plane[:, :, None], 3, axis=2)
    return np.asarray(_scale(Image.fromarray(np.ascontiguousarray(pixels)), height, width, part))


def scale_steps(steps: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale (h, w) steps of a colormap to (height, width) uint8."""
    return np.asarray(_scale(Image.fromarray(np.ascontiguousarray(steps)), height, width))


def scale_values(values: NDArray[np.float32], height: int, width: int, part: Part | None = None) -> NDArray[np.float32]:
    """Scale an (h, w) map to (height, width) float32; return only `part` of it if given."""
    plane = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(_scale(plane, height, width, part))


def _scale(image: Image.Image, height: int, width: int, part: Part | None = None) -> Image.Image:
    """Scale by area averaging: a drawn pixel is the mean of what it covers, so enlarged pixels stay sharp squares."""
    old_width, old_height = image.size
    top, left, bottom, right = part or (0, 0, height, width)
    size = (right - left, bottom - top)
    scale_x, scale_y = old_width / width, old_height / height
    # Products of floats may lie just outside the image, which Pillow refuses.
    box = (left * scale_x, top * scale_y, min(right * scale_x, old_width), min(bottom * scale_y, old_height))
    if width <= old_width and height <= old_height:
        smaller = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
        return smaller if part is None else smaller.crop((left, top, right, bottom))
    whole = width % old_width == 0 and height % old_height == 0
    if whole or min(width / old_width, height / old_height) >= _OVERSAMPLING:
        return image.resize(size, Image.Resampling.NEAREST, box=box)
    # Not a whole number: enlarge by a whole number that is too large, then average. Pillow's BOX alone would make some
    # pixels wider than their neighbours.
    across = -(-_OVERSAMPLING * width // old_width)
    down = -(-_OVERSAMPLING * height // old_height)
    x, y = int(box[0]), int(box[1])
    image = image.crop((x, y, min(math.ceil(box[2]), old_width), min(math.ceil(box[3]), old_height)))
    larger = image.resize((image.width * across, image.height * down), Image.Resampling.NEAREST)
    within = ((box[0] - x) * across, (box[1] - y) * down, (box[2] - x) * across, (box[3] - y) * down)
    within = (*within[:2], min(within[2], larger.width), min(within[3], larger.height))
    return larger.resize(size, Image.Resampling.BOX, box=within)
