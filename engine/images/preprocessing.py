"""What a network sees of an image, and what people are shown of it: the same region in two sets of values."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engine.images.bits import shown_values, unit_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.bundle.model_bundle import InputSpec
    from engine.images.eye import EyeWindow
    from engine.images.image import MedicalImage

Value = TypeVar("Value", np.float32, np.uint8)
Real = TypeVar("Real", np.float32, np.float64)

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""


def unit_view(image: MedicalImage, spec: InputSpec) -> NDArray[np.float32]:
    """Return the part of the image that the network sees, before it is resized.

    Returns:
        (h, w, C) float32 in [0, 1] (8 bit / 255, 16 bit / 65535, see `engine.images.bits`) at the image's resolution,
        with the spec's channels: grey is repeated, RGB becomes luma. Colours are red, green, blue, whatever order the
        network takes them in. For `fit` the padding has the spec's mean colour.
    """
    values = _in_channels(unit_values(image, spec), spec.channels)
    return _region(values, spec, mean_colour(spec))


def network_input(image: MedicalImage, spec: InputSpec) -> NDArray[np.float32]:
    """Return the image as it is fed to the network.

    The view is resized by Pillow, channel by channel in 32-bit floats: bilinear, with antialiasing where it shrinks. A
    view that already has the input's size is passed on bit for bit. Then the channels are put into the network's order,
    the values spread over the spec's range, and (value - mean) / std taken per channel.

    Returns:
        (C, H, W) float32, contiguous, whatever the network's layout (see `engine.network.layout`).
    """
    resized = _resized(unit_view(image, spec), spec.size)
    if spec.colour_order == "bgr":
        resized = resized[..., ::-1]
    if not spec.is_unit:
        low, high = spec.value_range
        resized = resized * np.float32(high - low) + np.float32(low)
    mean = np.asarray(spec.mean, dtype=np.float32)
    std = np.asarray(spec.std, dtype=np.float32)
    return np.ascontiguousarray(((resized - mean) / std).transpose(2, 0, 1))


def unit_from_input(
    fed: NDArray[np.float32],
    spec: InputSpec,
    dtype: type[Real] = np.float32,  # type: ignore[assignment]  # a type variable has no default for mypy
) -> NDArray[Real]:
    """Return what a network is fed with as the colours that it stands for: the reverse of `network_input`.

    Args:
        fed: (..., C, H, W).
        spec: how it was made.
        dtype: what to compute in.

    Returns:
        (..., C, H, W) red, green, blue or grey in [0, 1], or a little outside where rounding left it.
    """
    mean, std = (np.asarray(values, dtype=dtype)[:, None, None] for values in (spec.mean, spec.std))
    unit: NDArray[Real] = fed * std + mean
    if not spec.is_unit:
        low, high = spec.value_range
        unit = (unit - dtype(low)) / dtype(high - low)
    return unit[..., ::-1, :, :] if spec.colour_order == "bgr" else unit


def mean_colour(spec: InputSpec) -> NDArray[np.float32]:
    """Return the colour that is 0 after normalisation: (C,) float32 red, green, blue or grey in [0, 1]."""
    zero = np.zeros((spec.channels, 1, 1), dtype=np.float32)
    return unit_from_input(zero, spec)[:, 0, 0]


def picture_view(image: MedicalImage, spec: InputSpec, window: EyeWindow | None = None) -> NDArray[np.uint8]:
    """Return the part of the image that the network sees, for people to look at.

    Args:
        image: the image; with a window, a grey one.
        spec: what the network takes.
        window: what to look through in place of what is declared.

    Returns:
        (h, w, C) uint8 in the image's own colours, C 1 or 3, read-only. 16-bit values are divided by 257 and rounded,
        which maps 0..65535 to 0..255, fewer significant bits likewise: there is no stretch of contrast, so a dark image
        stays dark.
    """
    channels = image.pixels.shape[2]
    mean = _in_channels(mean_colour(spec), channels)
    values = shown_values(image, spec) if window is None else window.shown(image)
    view = _region(values, spec, np.round(mean * 255).astype(np.uint8))
    view.setflags(write=False)
    return view


def fed_picture(image: MedicalImage, spec: InputSpec) -> NDArray[np.uint8]:
    """Return what a network is given as a picture: after window, crop, change of size and of colours.

    Returns:
        (H, W, C) uint8 red, green, blue or grey at the size of the network's input, read-only.
    """
    unit = unit_from_input(network_input(image, spec), spec)
    picture: NDArray[np.uint8] = np.rint(np.clip(unit.transpose(1, 2, 0), 0.0, 1.0) * np.float32(255)).astype(np.uint8)
    picture.setflags(write=False)
    return picture


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


def view_place(height: int, width: int, spec: InputSpec) -> tuple[int, int, int, int]:
    """Return (top, left, rows, columns) of the view of an image, in its pixels; negative where the view is padded."""
    rows, columns = view_size(height, width, spec)
    if rows <= height and columns <= width:
        return centred(height, rows).start, centred(width, columns).start, rows, columns
    return -centred(rows, height).start, -centred(columns, width).start, rows, columns


def centred(outer: int, inner: int) -> slice:
    """Return the slice of the `inner` pixels in the middle of `outer`; an odd rest leaves one more pixel after them."""
    start = (outer - inner) // 2
    return slice(start, start + inner)
