"""What hidden pixels show: the blur, and RISE and LIME with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks import classifier, request, small_cnn

from engine.explainers import perturbation
from engine.explainers.fills import blur_fill, blur_words, mean_fill
from engine.explainers.lime import Lime
from engine.explainers.rise import Rise


def test_a_blur_keeps_the_mean_and_takes_what_is_finer_than_a_cell() -> None:
    rows = torch.arange(48.0)
    fine = torch.cos(torch.pi * (rows + 0.5) / 2.0)  # four pixels a period, far below sigma
    blurred = blur_fill(fine.expand(1, 3, 36, 48))
    assert blurred.dtype == torch.float32
    assert blurred.shape == (1, 3, 36, 48)
    assert float(blurred.abs().max()) < 1e-3
    # A cosine that fits the reflection is scaled by exp(-(sigma w)^2 / 2): sigma is 48 / 12 = 4.
    w = torch.pi * 2 / 48
    coarse = torch.cos(w * (rows + 0.5))
    found = blur_fill(coarse.expand(1, 1, 36, 48))[0, 0, 7]
    torch.testing.assert_close(found, coarse * float(np.exp(-((4 * w) ** 2) / 2)), atol=2e-4, rtol=0)
    assert blur_words(fine.expand(1, 3, 36, 48)) == "the image blurred by a Gaussian, sigma 4 pixels"


def test_an_image_smaller_than_the_kernel_is_blurred_and_one_colour_stays() -> None:
    torch.testing.assert_close(blur_fill(torch.full((1, 2, 3, 40), 0.25)), torch.full((1, 2, 3, 40), 0.25))
    assert mean_fill(torch.ones(1, 2, 3, 4)).tolist() == torch.zeros(1, 2, 3, 4).tolist()


@pytest.mark.parametrize("method", [Rise(samples=200, fill="blur"), Lime(samples=200, fill="blur")])
def test_hidden_pixels_show_the_blurred_image(method: Rise | Lime, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(classifier(small_cnn(3)), target=1)
    blurred, shown = blur_fill(asked.tensor), 0
    masked = perturbation.MaskedForward._masked

    def watched(self: perturbation.MaskedForward, masks: torch.Tensor) -> torch.Tensor:
        nonlocal shown
        images = masked(self, masks)
        hidden = (masks == 0).expand_as(images)
        torch.testing.assert_close(images[hidden], blurred.expand_as(images)[hidden])
        shown += int(hidden.sum())
        return images

    monkeypatch.setattr(perturbation.MaskedForward, "_masked", watched)
    saliency = method.explain(asked)
    assert saliency.parameters["fill"] == "blur"
    assert saliency.parameters["hidden"] == "the image blurred by a Gaussian, sigma 2 pixels"
    assert not saliency.constant
    assert shown > 0
