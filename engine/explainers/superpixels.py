"""Split an image into about 50 superpixels, and make masks that show or hide them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.acceleration.transfer import on_device

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLACK = 0.2
"""By how much the count may differ from the number wanted, as a share of it: 40 to 60 are good enough for 50."""

_ASK_FOR = (1.0, 1.2, 1.4, 1.7)
"""How many superpixels to request of SLIC, as multiples of the number wanted; tried in this order."""
# SLIC compares colours in Lab, whose lightness goes up to 100, but grey values in [0, 1].
_COLOUR_COMPACTNESS = (10.0, 20.0)
_GREY_COMPACTNESS = (0.1, 0.3)


@dataclass(frozen=True, slots=True)
class Superpixels:
    """A segmentation.

    Attributes:
        labels: (H, W) int64, 0..count-1; every label is used.
        count: number of superpixels, S.
        how: the algorithm and its parameters, for the record.
    """

    labels: NDArray[np.int64]
    count: int
    how: str


class SuperpixelMasks:
    """Masks that show or hide whole superpixels.

    Attributes:
        labels: (H, W) int64 on the device, 0..count-1.
        count: number of superpixels, S.
    """

    def __init__(self, segments: Superpixels, shown: NDArray[np.int_], device: torch.device) -> None:
        """Store which superpixels the samples show.

        Args:
            segments: the superpixels.
            shown: (N, S) of 0 and 1, a row a sample.
            device: where the masks are made.
        """
        self.labels, self.count = torch.from_numpy(segments.labels).to(device), segments.count
        self._shown = shown

    def __call__(self, start: int, stop: int) -> torch.Tensor:
        """Return the masks of samples start..stop-1, (stop - start, 1, H, W) float32."""
        return self.spread(self.rows(start, stop))

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Return which superpixels samples start..stop-1 show, (stop - start, S) float32 of 0 and 1."""
        return on_device(self._shown[start:stop].astype(np.float32), self.labels.device)

    def spread(self, rows: torch.Tensor) -> torch.Tensor:
        """Turn (n, S) rows into (n, 1, H, W) masks."""
        return rows.gather(1, self.labels.flatten().expand(len(rows), -1)).view(-1, 1, *self.labels.shape)


def superpixels(picture: NDArray[np.float32], wanted: int = 50, shift: tuple[int, int] = (0, 0)) -> Superpixels:
    """Return about `wanted` SLIC superpixels.

    On pictures with few colours SLIC returns fewer than requested (24 to 29 for 50 on 50x50 patches of tissue), so
    more are requested, and more compact ones, until the count is within 20 %. If it never is, SLIC without a
    compactness (SLICO), whose superpixels are more regular, is tried, too, and the closest count wins. A picture with
    fewer pixels than `wanted` gets one superpixel a pixel.

    Args:
        picture: (H, W, C) in [0, 1], C 1 or 3.
        wanted: number of superpixels to aim at.
        shift: by how many rows and columns to shift the grid from which SLIC starts.
    """
    from skimage.segmentation import slic

    colour = picture.shape[2] == 3
    down, right = shift
    # The grid starts at the picture's corner, so a border that mirrors the picture shifts it.
    padded = np.pad(picture, ((down, 0), (right, 0), (0, 0)), mode="symmetric")
    enlarged = padded.shape[0] * padded.shape[1] / (picture.shape[0] * picture.shape[1])
    data = padded.astype(np.float64) if colour else padded[..., 0].astype(np.float64)
    shifted = f", shifted by {down} and {right}" if shift != (0, 0) else ""
    axis = -1 if colour else None
    found: list[Superpixels] = []
    for compactness in _COLOUR_COMPACTNESS if colour else _GREY_COMPACTNESS:
        for factor in _ASK_FOR:
            ask = round(wanted * factor * enlarged)
            labels = slic(data, n_segments=ask, compactness=compactness, start_label=0, channel_axis=axis)
            result = _counted(labels[down:, right:], f"slic(n_segments={ask}, compactness={compactness:g}{shifted})")
            if abs(result.count - wanted) <= SLACK * wanted:
                return result
            found.append(result)
    ask = round(wanted * enlarged)
    labels = slic(data, n_segments=ask, slic_zero=True, start_label=0, channel_axis=axis)
    found.append(_counted(labels[down:, right:], f"slic(n_segments={ask}, slic_zero{shifted})"))
    return min(found, key=lambda result: abs(result.count - wanted))


def _counted(labels: NDArray[np.int_], how: str) -> Superpixels:
    """Number the superpixels 0..S-1 without gaps, so that each has its column in the samples."""
    used, dense = np.unique(labels, return_inverse=True)
    return Superpixels(dense.reshape(labels.shape).astype(np.int64), len(used), how)
