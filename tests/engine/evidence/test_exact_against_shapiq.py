"""The exact cells of a real image for every bundled model, against the `shapiq` package (for tests only)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from engine import Classifier, MedicalImage, read_bundle
from engine.explanation.exact import explain_exact
from engine.results.cells import CELLS, cell_slices
from engine.storage.places import bundled_tasks

shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed; it computes the same values independently")

MODELS = sorted(path.parent for path in bundled_tasks().glob("*/*/weights.*"))


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_values_and_interactions_are_those_of_shapiq(folder) -> None:  # type: ignore[no-untyped-def]
    model = Classifier.load(read_bundle(folder), device="cpu", precision="fp32")
    height, width = model.bundle.input.size
    # A real picture that scikit-image brings along: stained tissue, or a grey photograph.
    picture = data.immunohistochemistry() if model.bundle.input.channels == 3 else data.camera()
    image = MedicalImage.from_array(picture[100 : 100 + height, 100 : 100 + width])
    ours = explain_exact(model, image, fills=["mean"])
    fed, target = model.tensor(image), model.class_index(ours.target)

    def game(coalitions: np.ndarray) -> np.ndarray:
        """The probability of each (n, 9) choice of cells; everything else is 0 after normalisation."""
        images = torch.zeros(len(coalitions), *fed.shape[1:])
        for i, (rows, columns) in enumerate(cell_slices(*fed.shape[-2:]).values()):
            shown = torch.from_numpy(coalitions[:, i].astype(bool))
            images[shown, :, rows, columns] = fed[0, :, rows, columns]
        with torch.inference_mode():
            passed = torch.cat([model.logits(part) for part in images.split(32)])
            return model.probabilities(passed)[:, target].numpy()

    theirs = shapiq.ExactComputer(game, n_players=len(CELLS))
    values, pairs = theirs("SV", 1), theirs("SII", 2)
    found = ours.fills["mean"]
    np.testing.assert_allclose(found.shapley.ravel(), [values[i,] for i in range(9)], atol=1e-6)
    for i in range(9):
        for j in range(i + 1, 9):
            assert found.interactions[i, j] == pytest.approx(pairs[i, j], abs=1e-5)  # a sum of four rounded values
