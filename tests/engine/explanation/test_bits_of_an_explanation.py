"""The significant bits change what is fed to the network, so nothing kept for other bits may be used again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factories import make_image
from networks import MeanOfOneChannel, classifier

from engine.errors import NotCompliantError
from engine.explainers.settings import Settings
from engine.explanation.explain import explain_method
from engine.images.image import FileBits, MedicalImage


def image_of(bits: int | None) -> MedicalImage:
    """An image of 16-bit samples that use 12, of which the user says this."""
    pixels = np.round(make_image(height=24, width=24).pixels * 16)
    return replace(make_image(pixels=pixels, bit_depth=16), bits=FileBits(likely=12, user=bits))


@pytest.mark.parametrize("method", ["rise", "lime"])
def test_an_image_is_explained_anew_with_other_bits(method: str) -> None:
    settings = Settings(samples={method: 100}, seed=7)

    def values(*asked: int | None) -> np.ndarray:
        model = classifier(MeanOfOneChannel(scale=8.0))
        maps = [explain_method(model, image_of(bits), method, settings, target="positive") for bits in asked]
        return np.array([maps[-1].raw_min, maps[-1].raw_max])

    alone = values(12)
    assert not np.array_equal(alone, values(None))
    np.testing.assert_array_equal(values(None, 12), alone)


def test_the_warning_goes_with_the_diagnosis_until_it_is_settled() -> None:
    model = classifier(MeanOfOneChannel())
    assert "bits" in model.diagnose(image_of(None)).warning_codes
    assert "bits" not in model.diagnose(image_of(12)).warning_codes
    with pytest.raises(NotCompliantError) as caught:
        model.diagnose(image_of(8))
    assert caught.value.code == "bits"
