"""Networks that give NaN, infinity or one answer to everything: no valid result, and never a confidence level."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from app_driver import press, settled, until
from factories import MODEL_CODE, make_image, make_model
from networks import classifier, small_cnn
from PIL import Image
from torch import nn

from engine.cli.main import run
from engine.errors import BundleError, ExplanationError
from engine.explainers.settings import Settings
from engine.explanation.explain import explain
from engine.network.classifier import Classifier
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background import messages
from xaimed_tui.background.backend import Engine

FORWARD = "return self.conv(x).mean((2, 3))"
SPOILED = {
    "NaN": ("return self.conv(x).mean((2, 3)) * float('nan')", "the network gave NaN or infinity"),
    "infinity": ("return self.conv(x).mean((2, 3)) / 0", "the network gave NaN or infinity"),
    "constant": ("return self.conv(x).mean((2, 3)) * 0 + torch.tensor([2.0, -1.0])", "gives the same answer whatever"),
}
WORDS = ("confidence", "healthy", "ill ", "%")
"""What would be read as an answer; the classes are `healthy` and `ill`."""


def spoiled(folder: Path, kind: str) -> Path:
    """A tasks folder with one approved model whose answers are worth nothing."""
    code = MODEL_CODE.replace(FORWARD, SPOILED[kind][0]).replace("from torch", "import torch\nfrom torch")
    make_model(folder / "Task" / "Model", code=code, approved=True)
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "patch.png"
    path.parent.mkdir()
    Image.fromarray(make_image(height=9, width=9).pixels.astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("kind", SPOILED)
def test_the_command_line_gives_no_answer_writes_nothing_and_fails(
    kind: str, tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = spoiled(tmp_path / "tasks", kind)
    for command in (["predict"], ["explain", "--out", str(tmp_path / "out")]):
        for form in ([], ["--json"]):
            status = run(
                ["--tasks", str(library), *command, str(picture), "--task", "Task", "--device", "cpu", *form],
                open_app=lambda _: 99,
            )
            shown = capsys.readouterr()
            assert status == 1
            assert "no valid result" in shown.err
            assert SPOILED[kind][1] in shown.err
            assert not [word for word in WORDS if word in shown.out]
            if form and command[0] == "predict":
                (entry,) = json.loads(shown.out)
                assert "no valid result" in entry["error"]["message"]
                assert not {"classes", "predicted", "probabilities"} & set(entry)
            else:
                assert not form or json.loads(shown.out) == []
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("kind", SPOILED)
async def test_the_app_says_so_in_the_place_of_the_answer(kind: str, tmp_path: Path, picture: Path) -> None:
    library = spoiled(tmp_path / "tasks", kind)
    app = XAIMedApp(Engine(library), task="Task", model="Model", folder=picture.parent)
    async with app.run_test(size=(200, 60)) as pilot:

        def words() -> str:
            panel = app.query("DiagnosisPanel")
            return str(panel.first().render()) if panel else ""

        await until(pilot, lambda: SPOILED[kind][1] in words(), seconds=20)
        await settled(pilot)
        panel = words()
        assert SPOILED[kind][1] in panel
        assert not [word for word in WORDS if word in panel]
        await press(pilot, "e")
        assert app.explain.explanation is None
        side = app.explain.side  # a judgement by the header alone, which was under way, finds nothing wrong
        side.post_message(messages.ComplianceFound(side._judged, {picture.name: ""}))
        await settled(pilot)
        assert SPOILED[kind][1] in words()
        assert SPOILED[kind][1] in side.reason_of(picture)


class NanWhereDark(nn.Module):
    """Gives NaN as soon as much of the image is black, as masked images are and the image itself is not."""

    def __init__(self) -> None:
        super().__init__()
        self.network = small_cnn(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dark = ((x <= 0.02).float().mean((1, 2, 3)) > 0.2)[:, None]
        return torch.where(dark, torch.nan, self.network(x))


def test_a_network_that_fails_on_masked_images_alone_has_no_map_of_those_methods() -> None:
    image = make_image(pixels=np.clip(make_image(height=24, width=24).pixels, 30, 255))
    settings = Settings(samples={"rise": 64, "lime": 300}, methods=("rise", "gradcam"))
    explanation = explain(classifier(NanWhereDark()), image, settings)
    assert set(explanation.maps) == {"gradcam"}
    assert "no valid map: the network gave NaN or infinity for a masked image" in explanation.failures["rise"]


class Deaf(nn.Module):
    """Hears the image only if it is brighter than noise ever is: `gain` times the mean of what exceeds `above`."""

    def __init__(self, gain: float, above: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.gain, self.above = gain, above

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heard = (self.conv(x).mean((2, 3)) * 0 + (x - self.above).clamp_min(0).mean((1, 2, 3))[:, None]) * self.gain
        return heard * torch.tensor([1.0, -1.0]) + torch.tensor([0.3, 0.1])


def deaf(gain: float, above: float) -> Classifier:
    return classifier(Deaf(gain, above), classes=("healthy", "ill"), activation="none")


def test_a_network_that_hears_this_image_though_not_noise_has_a_valid_result() -> None:
    image = make_image(height=24, width=24)
    assert deaf(1.0, 0.5).diagnose(image).predicted == "healthy"
    model = deaf(1.0, 900.0)  # far above what noise or any image reaches
    with pytest.raises(ExplanationError, match="no valid result: the network gives the same answer"):
        model.diagnose(image)
    model = deaf(1e-3, 0.5)  # a small but true difference
    assert model.diagnose(image).predicted == "healthy"


def test_dead_weights_are_no_result() -> None:
    network = small_cnn(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    with pytest.raises(BundleError, match="the network gives the same answer whatever it is shown"):
        classifier(network)
    model = classifier(network, activation="none")
    with pytest.raises(ExplanationError, match="no valid result: the network gives the same answer"):
        model.diagnose(make_image(height=24, width=24))
