"""Images and maps to the size at which they are drawn, without inventing anything between their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OVERSAMPLING = 4
"""From this enlargement on, pixels whose sizes differ by one can be told by nobody."""


def scale_pixels(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 of a (h, w, 1) or (h, w, 3) image."""
    if pixels.shape[2] == 1:
        plane = np.asarray(_scale(Image.fromarray(np.ascontiguousarray(pixels[:, :, 0])), height, width))
        return np.repeat(plane[:, :, None], 3, axis=2)
    return np.asarray(_scale(Image.fromarray(np.ascontiguousarray(pixels)), height, width))


def scale_steps(steps: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(height, width) uint8 of (h, w) steps of a colormap."""
    return np.asarray(_scale(Image.fromarray(np.ascontiguousarray(steps)), height, width))


def scale_values(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """(height, width) float32 of a (h, w) map."""
    plane = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(_scale(plane, height, width))


def _scale(image: Image.Image, height: int, width: int) -> Image.Image:
    """Area averaging: a drawn pixel is the mean of what lies under it, so enlarged pixels stay sharp squares."""
    old_width, old_height = image.size
    if width <= old_width and height <= old_height:
        return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    whole = width % old_width == 0 and height % old_height == 0
    if whole or min(width / old_width, height / old_height) >= _OVERSAMPLING:
        return image.resize((width, height), Image.Resampling.NEAREST)
    # Between the whole numbers: enlarge by one that is plainly too large, then average. Pillow's BOX alone would
    # make some pixels wider than their neighbours.
    across = -(-_OVERSAMPLING * width // old_width)
    down = -(-_OVERSAMPLING * height // old_height)
    larger = image.resize((old_width * across, old_height * down), Image.Resampling.NEAREST)
    return larger.resize((width, height), Image.Resampling.BOX)
