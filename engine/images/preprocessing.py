"""What a network sees of an image, and what people are shown of it: the same region in two sets of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engine.images.bits import shown_values, unit_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.bundle.model_bundle import InputSpec
    from engine.images.image import MedicalImage

Value = TypeVar("Value", np.float32, np.uint8)

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""


def unit_view(image: MedicalImage, spec: InputSpec) -> NDArray[np.float32]:
    """Return the part of the image that the network sees, before it is resized.

    Returns:
        (h, w, C) float32 in [0, 1] (8 bit / 255, 16 bit / 65535, see `engine.images.bits`) at the image's resolution,
        with the spec's channels: grey is repeated, RGB becomes luma. For `fit` the padding has the spec's mean colour.
    """
    values = _in_channels(unit_values(image, spec), spec.channels)
    return _region(values, spec, np.asarray(spec.mean, dtype=np.float32))


def network_input(image: MedicalImage, spec: InputSpec) -> NDArray[np.float32]:
    """Return the image as it is fed to the network.

    The view is resized by Pillow, channel by channel in 32-bit floats: bilinear, with antialiasing where it shrinks. A
    view that already has the input's size is passed on bit for bit. Then (value - mean) / std per channel.

    Returns:
        (C, H, W) float32, contiguous.
    """
    resized = _resized(unit_view(image, spec), spec.size)
    mean = np.asarray(spec.mean, dtype=np.float32)
    std = np.asarray(spec.std, dtype=np.float32)
    return np.ascontiguousarray(((resized - mean) / std).transpose(2, 0, 1))


def picture_view(image: MedicalImage, spec: InputSpec) -> NDArray[np.uint8]:
    """Return the part of the image that the network sees, for people to look at.

    Returns:
        (h, w, C) uint8 in the image's own colours, C 1 or 3, read-only. 16-bit values are divided by 257 and rounded,
        which maps 0..65535 to 0..255, fewer significant bits likewise: there is no stretch of contrast, so a dark image
        stays dark.
    """
    channels = image.pixels.shape[2]
    mean = _in_channels(np.asarray(spec.mean, dtype=np.float32), channels)
    view = _region(shown_values(image, spec), spec, np.round(mean * 255).astype(np.uint8))
    view.setflags(write=False)
    return view


def _in_channels(values: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Convert (..., C) values to another number of channels."""
    if values.shape[-1] == channels:
        return values
    if channels == 3:
        return np.repeat(values, 3, axis=-1)
    red, green, blue = (values[..., c] * np.float32(weight) for c, weight in enumerate(LUMA))
    luma: NDArray[np.float32] = red + green + blue
    return np.minimum(luma, np.float32(1))[..., None]


def _region(values: NDArray[Value], spec: InputSpec, padding: NDArray[Value]) -> NDArray[Value]:
    """Return the view's (h, w, C) part of (H, W, C) values, padded where the view is larger."""
    height, width, channels = values.shape
    rows, columns = view_size(height, width, spec)
    if rows <= height and columns <= width:
        return values[centred(height, rows), centred(width, columns)]
    padded = np.empty((rows, columns, channels), dtype=values.dtype)
    padded[...] = padding
    padded[centred(rows, height), centred(columns, width)] = values
    return padded


def _resized(values: NDArray[np.float32], size: Sequence[int]) -> NDArray[np.float32]:
    """Resize (h, w, C) values to (H, W, C)."""
    height, width = size
    if values.shape[:2] == (height, width):
        return values
    from PIL import Image

    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(values[..., c])).resize((width, height), Image.Resampling.BILINEAR)
        )
        for c in range(values.shape[2])
    ]
    return np.stack(channels, axis=2)


def view_size(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """Return (rows, columns) of the view of an image, at the image's own resolution.

    `stretch` shows the whole image; `crop` the largest centred part with the aspect ratio of the network's input;
    `fit` the whole image, padded to that ratio. Rows and columns are rounded to whole pixels.
    """
    if spec.resize == "stretch":
        return height, width
    rows, columns = spec.size
    wider = width * rows > height * columns  # than the network's input
    # (2 a + b) // (2 b) is a / b rounded to the nearest whole number, without floats.
    if (spec.resize == "crop") == wider:
        return height, max(1, (2 * height * columns + rows) // (2 * rows))
    return max(1, (2 * width * rows + columns) // (2 * columns)), width


def centred(outer: int, inner: int) -> slice:
    """Return the slice of the `inner` pixels in the middle of `outer`; an odd rest leaves one more pixel after them."""
    start = (outer - inner) // 2
    return slice(start, start + inner)
