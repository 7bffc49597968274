"""The pictures that hidden cells show, one for each way to hide them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from engine.bundle.specs import Fill
from engine.errors import Stopped
from engine.explainers.fills import blur_fill, blur_words, mean_fill
from engine.progress import NeverStop, StopSignal
from engine.results.cells import GRID, cell_slices

if TYPE_CHECKING:
    from engine.explainers.base import Request

_LONGEST = 224
"""Longest side at which a picture is inpainted: the equation has as many unknowns as a cell has pixels."""

_NEVER_STOP = NeverStop()


def hidden_picture(request: Request, fill: Fill) -> tuple[torch.Tensor, str]:
    """Return what hidden cells show, and that in words.

    Every fill is one picture of the whole input, from which the hidden cells are cut: a cell shows the same whichever
    other cells are hidden with it.

    Args:
        request: the image; its seed is the noise's.
        fill: `mean`, `blur`, `inpaint` or `noise`.

    Returns:
        (1, C, H, W) on the device of `request.tensor`.

    Raises:
        Stopped: stopped while the picture was being made.
    """
    tensor = request.tensor
    if fill == "mean":
        return mean_fill(tensor), request.classifier.feeding.hidden
    if fill == "blur":
        return blur_fill(tensor), blur_words(tensor)
    if fill == "inpaint":
        return inpaint_fill(tensor, request.stop), "each cell drawn anew from the image around it (biharmonic)"
    return noise_fill(tensor, request.seed), f"pixels of the image in random places, seed {request.seed}"


def inpaint_fill(tensor: torch.Tensor, stop: StopSignal = _NEVER_STOP) -> torch.Tensor:
    """Return the image with every cell continued from what lies around it, by scikit-image's biharmonic equation.

    The result is smooth, so a large image is made smaller for it. The CPU computes it in float64, so that it is the
    same on every device.

    Args:
        tensor: (1, C, H, W) input of the network.
        stop: asked before every cell.

    Raises:
        Stopped: stopped before the end.
    """
    from skimage.restoration import inpaint_biharmonic  # late: scikit-image

    pixels, size = tensor.detach().double().cpu(), tensor.shape[-2:]
    smaller = [max(round(side * _LONGEST / max(size)), GRID) for side in size]
    if max(size) > _LONGEST:
        pixels = functional.interpolate(pixels, smaller, mode="area")
    picture = pixels[0].permute(1, 2, 0).numpy()
    filled = np.empty_like(picture)
    for rows, columns in cell_slices(*picture.shape[:2]).values():
        if stop.is_set():
            raise Stopped("inpaint")
        unknown = np.zeros(picture.shape[:2], dtype=bool)
        unknown[rows, columns] = True
        filled[rows, columns] = inpaint_biharmonic(picture, unknown, channel_axis=-1)[rows, columns]
    drawn = torch.from_numpy(filled).permute(2, 0, 1)[None]
    if max(size) > _LONGEST:
        drawn = functional.interpolate(drawn, size, mode="bilinear", align_corners=False)
    return drawn.to(tensor.device, tensor.dtype)


def noise_fill(tensor: torch.Tensor, seed: int) -> torch.Tensor:
    """Return the image's own pixels, drawn at random for every place: its colours stay, its shapes go.

    Args:
        tensor: (1, C, H, W) input of the network.
        seed: the same seed gives the same picture.
    """
    pixels = tensor[0].detach().flatten(1).cpu().numpy()
    drawn = np.random.default_rng(seed).integers(pixels.shape[1], size=pixels.shape[1])
    return torch.from_numpy(pixels[:, drawn].reshape(tensor.shape)).to(tensor.device)
