"""The app scales images by the bits that a bundle declares, and warns where nobody declares them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from networks import MeanOfOneChannel, classifier

from engine.errors import NotCompliantError
from xaimed_tui.background.backend import Engine


def test_the_bundles_bits_reach_the_view_and_the_diagnosis(tmp_path: Path) -> None:
    pixels = np.tile(np.linspace(100, 4095, 24).round().astype(np.uint16), (24, 1))
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    engine, model = Engine(), classifier(MeanOfOneChannel(channels=1), channels=1)
    image = engine.read(tmp_path / "a.tif")
    assert engine.view(image, model.bundle).max() == 16
    assert "bits" in engine.diagnose(model, image).warning_codes
    dark = engine.diagnose(model, image).probabilities[1]
    for bits, brightest in ((12, 255), (14, 64)):
        model.bundle = replace(model.bundle, input=replace(model.bundle.input, bits=bits))
        assert engine.view(image, model.bundle).max() == brightest
        diagnosis = engine.diagnose(model, image)
        assert "bits" not in diagnosis.warning_codes
        assert diagnosis.probabilities[1] > dark
    model.bundle = replace(model.bundle, input=replace(model.bundle.input, bits=10))
    with pytest.raises(NotCompliantError, match=r"highest value is 4,095"):
        engine.diagnose(model, image)
