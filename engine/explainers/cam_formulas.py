"""The CAMs' formulas: the classes of the `pytorch_grad_cam` package, with Grad-CAM++'s weights in float64.

A = activations, g = gradients, S = the sum of a channel's activations. A map is the positive part of

- Grad-CAM (Selvaraju et al. 2016): the channels' sum of A, weighted by the mean of g;
- Grad-CAM++ (Chattopadhyay et al. 2018): the same, weighted by the sum of max(g, 0) g^2 / (2 g^2 + S g^3);
- HiResCAM (Draelos and Carin 2020): the channels' sum of A g.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.explainers.cam_package import import_cam_package

if TYPE_CHECKING:
    from numpy.typing import NDArray

CamKey = Literal["gradcam", "gradcam++", "hirescam"]

_CLASSES: dict[CamKey, str] = {"gradcam": "GradCAM", "gradcam++": "GradCAMPlusPlus", "hirescam": "HiResCAM"}
"""The package's class for each method."""

_ROUNDING = 1e-6
"""A sum this small beside the sum of its absolute terms may be zero: float32 activations are not exact."""


def recording(key: CamKey) -> Any:
    """Return a subclass of the package's class that records the unscaled weighted sum, (1, H, W)."""
    kind: Any = getattr(import_cam_package(), _CLASSES[key])

    class Recording(kind):  # type: ignore[misc]  # the package has no types, so its classes are `Any`
        weighted_sum: NDArray[np.floating[Any]]

        def get_cam_weights(self, tensor: Any, layer: Any, targets: Any, activations: Any, gradients: Any) -> Any:
            if key == "gradcam++":
                return plus_plus_weights(activations, gradients)
            return super().get_cam_weights(tensor, layer, targets, activations, gradients)

        def get_cam_image(self, *arguments: Any) -> Any:
            self.weighted_sum = super().get_cam_image(*arguments)
            return self.weighted_sum

    return Recording


def plus_plus_weights(activations: NDArray[np.float32], gradients: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Grad-CAM++'s channel weights, (B, C), for (B, C, H, W) activations and gradients.

    For g > 0, g^2 / (2 g^2 + S g^3) is 1 / (2 + S g), in which nothing underflows. The package adds 1e-6 to the first
    denominator instead. On networks with many units behind the layer most g^2 are smaller than that, and then its maps
    change if the weights of a layer are scaled up and those of the next one down, though no answer does.
    """
    axes = tuple(range(2, activations.ndim))
    sums = activations.sum(axis=axes, dtype=np.float64, keepdims=True)
    positive = np.maximum(gradients.astype(np.float64), 0.0)
    # Below S = 0 a denominator may be 0. Its infinite weight is then refused as no valid map.
    with np.errstate(divide="ignore", invalid="ignore"):
        weights: NDArray[np.float64] = (positive / (2.0 + sums * positive)).sum(axis=axes)
    return weights


def share_below_zero(activations: NDArray[np.float32]) -> float:
    """Return the share of channels whose activations sum to less than zero, beyond rounding.

    Grad-CAM++'s denominators are positive only for sums of zero and more.
    """
    axes = tuple(range(2, activations.ndim))
    sums = activations.sum(axis=axes, dtype=np.float64)
    sizes = np.abs(activations).sum(axis=axes, dtype=np.float64)
    return float((sums < -_ROUNDING * sizes).mean())
