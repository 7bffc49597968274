"""What hidden pixels show: pictures of the network's input that take its place where a mask hides it."""

from __future__ import annotations

import torch

BLUR_SHARE = 12
"""The blur's sigma is the larger side of the network's input divided by this: a cell keeps its colour, nothing else."""


def mean_fill(tensor: torch.Tensor) -> torch.Tensor:
    """Return 0 everywhere, which after normalisation is the data set's mean colour; of the shape of `tensor`."""
    return torch.zeros_like(tensor)


def blur_fill(tensor: torch.Tensor) -> torch.Tensor:
    """Return the image blurred by a Gaussian; at its edges the image is reflected.

    The CPU computes it in float64: the same image gives the same fill bit for bit, whatever the device.

    Args:
        tensor: (1, C, H, W) input of the network.
    """
    from scipy.ndimage import gaussian_filter  # late: a quarter of a second of import

    pixels = tensor.detach().double().cpu().numpy()
    # `reflect` repeats the pixel at the edge, and works for images smaller than the kernel, too.
    blurred = gaussian_filter(pixels, sigma=blur_sigma(tensor), axes=(2, 3), mode="reflect")
    return torch.from_numpy(blurred).to(tensor.device, tensor.dtype)


def blur_sigma(tensor: torch.Tensor) -> float:
    """Return the standard deviation of the blur in pixels, for a (1, C, H, W) input."""
    return max(tensor.shape[-2:]) / BLUR_SHARE


def blur_words(tensor: torch.Tensor) -> str:
    """Return what `blur_fill` shows, for the record."""
    return f"the image blurred by a Gaussian, sigma {blur_sigma(tensor):.4g} pixels"
