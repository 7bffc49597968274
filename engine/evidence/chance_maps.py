"""Maps that know nothing of the network, to hold a map against: random ones as smooth as it is, and a centre blob."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOB = 0.25
"""Standard deviation of the centre blob as a share of each side: half of its mass lies in the middle ninth or so."""


def random_maps(values: NDArray[np.floating], count: int, seed: int) -> NDArray[np.float64]:
    """Return random maps with the spectrum of a map: as rough and as smooth as it is, and bright in random places.

    The phases of the map's Fourier transform are replaced by those of white noise (Theiler et al. 1992, surrogate
    data).

    Args:
        values: (H, W) map.
        count: how many maps to make.
        seed: the same seed gives the same maps.

    Returns:
        (count, H, W), with the map's mean and variance up to rounding.
    """
    generator = np.random.default_rng(seed)
    amplitudes = np.abs(np.fft.rfft2(np.asarray(values, dtype=np.float64)))
    noise = np.fft.rfft2(generator.standard_normal((count, *values.shape)))
    # The phases of real noise keep the symmetry that makes the result real. A coefficient of exactly 0 has none.
    sizes = np.abs(noise)
    phases = np.divide(noise, sizes, out=np.ones_like(noise), where=sizes > 0.0)
    phases[:, 0, 0] = 1.0  # the mean keeps its sign
    return np.asarray(np.fft.irfft2(amplitudes * phases, s=values.shape))


def centre_blob(height: int, width: int) -> NDArray[np.float64]:
    """Return a (height, width) Gaussian in the middle of the image, 1 at its peak."""
    rows, columns = (
        np.exp(-0.5 * (((np.arange(length) + 0.5) / length - 0.5) / _BLOB) ** 2) for length in (height, width)
    )
    return np.asarray(np.outer(rows, columns))
