"""The same methods as others write them, in float32 and in the layout that torch gives (NCHW)."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from tests.benchmarks.common import make_image, make_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from engine.network.classifier import Classifier


@dataclass(frozen=True, slots=True)
class Plain:
    """A network as its owner would use it without the engine.

    Attributes:
        network: in evaluation mode, contiguous weights.
        probabilities: (B, outputs) logits to (B, K).
        tensor: (1, C, H, W) normalised input.
        picture: (H, W, 3) float64 in [0, 1], what lime is given.
        mean, std: of the normalisation.
        target: index of the class to explain.
    """

    network: nn.Module
    probabilities: Callable[[torch.Tensor], torch.Tensor]
    tensor: torch.Tensor
    picture: NDArray[np.float64]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    target: int

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(B, K) probabilities of normalised images."""
        return self.probabilities(self.network(images))


def make_plain(classifier: Classifier) -> Plain:
    """The classifier's network without the engine."""
    request, spec = make_request(classifier), classifier.bundle.input

    def probabilities(outputs: torch.Tensor) -> torch.Tensor:
        if classifier.one_logit:  # the bundled network ends in its own sigmoid
            return torch.cat([1.0 - outputs, outputs], dim=1)
        return torch.softmax(outputs, dim=1)

    network = copy.deepcopy(classifier.network).to(memory_format=torch.contiguous_format)
    picture = make_image(spec.size[0]).pixels.astype("float64") / 255.0
    tensor = request.tensor.contiguous(memory_format=torch.contiguous_format)
    target = 0 if classifier.one_logit else request.target
    return Plain(network, probabilities, tensor, picture, spec.mean, spec.std, target)


def rise_masks(count: int, size: tuple[int, int], grid: int = 7, p: float = 0.5) -> torch.Tensor:
    """(count, 1, H, W) float32 masks, all at once, as in `eclique/RISE`, `explanations.py`."""
    from skimage.transform import resize

    cell = [math.ceil(side / grid) for side in size]
    up = [(grid + 1) * c for c in cell]
    random = np.random.RandomState(0)
    grids = (random.rand(count, grid, grid) < p).astype("float32")
    masks = np.empty((count, *size), dtype=np.float32)
    for i in range(count):
        y, x = random.randint(0, cell[0]), random.randint(0, cell[1])
        large = resize(grids[i], up, order=1, mode="reflect", anti_aliasing=False)
        masks[i] = large[y : y + size[0], x : x + size[1]]
    return torch.from_numpy(masks[:, None])


def rise_of_the_paper(plain: Plain, masks: torch.Tensor, p: float = 0.5, batch: int = 100) -> torch.Tensor:
    """(K, H, W): equation 6 of Petsiuk et al. 2018, as its reference code computes it, batch 100."""
    with torch.no_grad():
        outputs = [plain(masks[i : i + batch] * plain.tensor) for i in range(0, len(masks), batch)]
    flat = masks.reshape(len(masks), -1)
    return (torch.cat(outputs).float().T @ flat / (len(masks) * p)).reshape(-1, *masks.shape[2:])


def rise_of_xaitk(plain: Plain, count: int, batch: int = 100) -> NDArray[np.float64]:
    """(K, H, W): `xaitk_saliency`'s RISE, debiased as it comes; it holds all masks, and hands on images one by one."""
    from smqtk_classifier import ClassifyImage
    from xaitk_saliency.impls.gen_image_classifier_blackbox_sal.rise import RISEStack

    class Blackbox(ClassifyImage):  # type: ignore[misc]  # no types
        def get_labels(self) -> list[int]:
            with torch.no_grad():
                return list(range(plain(plain.tensor).shape[1]))

        def classify_images(self, images: Iterable[NDArray[np.float32]]) -> Iterator[dict[int, float]]:
            stream = iter(images)
            while pictures := list(islice(stream, batch)):
                stacked = torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())
                with torch.no_grad():
                    yield from (dict(enumerate(row)) for row in plain(stacked).tolist())

        def get_config(self) -> dict[str, object]:
            return {}

    normalised = np.ascontiguousarray(plain.tensor[0].permute(1, 2, 0).numpy())
    result: NDArray[np.float64] = RISEStack(n=count, s=7, p1=0.5, seed=0).generate(normalised, Blackbox())
    return result


def lime_as_it_comes(plain: Plain, samples: int, labels: NDArray[np.int64] | None) -> int:
    """`lime.lime_image` with its defaults; the number of superpixels.

    Args:
        plain: the network.
        samples: `num_samples`.
        labels: superpixels to use instead of the package's own quickshift.
    """
    from lime.lime_image import LimeImageExplainer

    mean, std = (np.array(values, dtype=np.float32) for values in (plain.mean, plain.std))

    def classify(images: NDArray[np.float64]) -> NDArray[np.float64]:
        normalised = (images.astype(np.float32) - mean) / std
        with torch.no_grad():
            return np.asarray(plain(torch.from_numpy(normalised.transpose(0, 3, 1, 2).copy())).numpy())

    options: dict[str, Any] = {} if labels is None else {"segmentation_fn": lambda _: labels}
    with redirect_stderr(io.StringIO()):  # its progress bar
        found = LimeImageExplainer(random_state=0).explain_instance(
            plain.picture, classify, top_labels=1, num_samples=samples, **options
        )
    return len(np.unique(found.segments))


def quickshift_count(picture: NDArray[np.float64]) -> int:
    """How many superpixels lime's own segmentation finds."""
    from lime.wrappers.scikit_image import SegmentationAlgorithm

    segment = SegmentationAlgorithm("quickshift", kernel_size=4, max_dist=200, ratio=0.2, random_seed=0)
    return len(np.unique(segment(picture)))


def captum_lime(plain: Plain, samples: int, labels: NDArray[np.int64], batch: int) -> torch.Tensor:
    """captum's Lime on the same superpixels; its default batch of 1 would be unfair, so it gets the best one."""
    from captum.attr import Lime

    mask = torch.from_numpy(labels)[None, None]
    with torch.no_grad():
        result: torch.Tensor = Lime(plain).attribute(
            plain.tensor, target=plain.target, feature_mask=mask, n_samples=samples, perturbations_per_eval=batch
        )
    return result


def captum_gradcam(plain: Plain, layer: str) -> torch.Tensor:
    """captum's Grad-CAM, enlarged to the input's size."""
    from captum.attr import LayerAttribution, LayerGradCam

    maps = LayerGradCam(plain.network, plain.network.get_submodule(layer)).attribute(
        plain.tensor, target=plain.target, relu_attributions=True
    )
    enlarged: torch.Tensor = LayerAttribution.interpolate(maps, tuple(plain.tensor.shape[2:]), "bilinear")
    return enlarged.detach()
