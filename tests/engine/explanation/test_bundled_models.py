"""The bundled models, on their own samples and, where the training data lie beside the project, on those."""

from __future__ import annotations

import csv
import io
import json
import runpy
import sys
import tomllib
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from checkout import ROOT
from numpy.typing import NDArray
from PIL import Image

from engine.authoring.selftest import run_selftest
from engine.bundle.model_bundle import read_bundle
from engine.cli.main import run
from engine.evaluation.alterations import COLOUR
from engine.explainers.registry import METHODS
from engine.explainers.settings import Settings
from engine.explanation.explain import explain
from engine.images.image import MedicalImage, read_image
from engine.library.tasks import list_tasks
from engine.network.classifier import Classifier
from engine.results.cells import cell_slices
from engine.storage.places import bundled_tasks

DATA = ROOT.parent / "shared" / "data"
MODELS = sorted(path.parent.relative_to(bundled_tasks()) for path in bundled_tasks().glob("*/*/weights.pt"))


def _images(archive: str, count: int, folder: Path) -> list[Path]:
    path = DATA / archive
    if not path.exists():
        pytest.skip("the training data do not lie beside the project")
    with zipfile.ZipFile(path) as packed:
        names = [n for n in packed.namelist() if n.endswith((".png", ".jpg")) and "mask" not in n]
        chosen = np.random.default_rng(0).choice(sorted(names), count, replace=False)
        for name in chosen:
            (folder / name.replace("/", "_")).write_bytes(packed.read(str(name)))
    return sorted(folder.iterdir())


def test_all_are_there_and_usable() -> None:
    tasks = list_tasks((bundled_tasks(),))
    assert {task.name: [model.name for model in task.models] for task in tasks} == {
        "Brain Tumour MRI": ["Narrow ResNet", "Narrow ResNet, plain"],
        "HIS Breast Cancer": ["Paper CNN"],
        "IHC Stain (demo)": ["Small CNN"],
    }
    assert all(model.usable and model.picture and model.description for task in tasks for model in task.models)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_bundled_model_is_small_needs_no_assumption_and_passes_its_selftest(model: Path) -> None:
    folder = bundled_tasks() / model
    assert (folder / "weights.pt").stat().st_size < 10_000_000
    assert (folder / "train.py").exists()
    classifier = Classifier.load(read_bundle(folder), device="cpu")
    assert classifier.assumed == ()
    assert "fit.npz" in classifier.bundle.files
    result = run_selftest(classifier)
    assert result is not None
    assert result.failure == ""


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_description_begins_with_what_the_network_cannot_do_and_gives_figures_with_intervals(model: Path) -> None:
    bundle = read_bundle(bundled_tasks() / model)
    first, empty, heading, *_ = bundle.description.splitlines()
    assert first.startswith(bundle.name)
    assert (empty, heading) == ("", "WHAT IT CANNOT DO")
    assert "--only-score" in bundle.description
    performance = tomllib.loads((bundle.path / "model.toml").read_text(encoding="utf-8"))["performance"]

    def told(key: str, name: str | None = None) -> str:
        found, limits = performance[key], performance[f"{key}_interval"]
        value, (low, high) = (found, limits) if name is None else (found[name], limits[name])
        return f"{value:.3f} ({low:.2f} to {high:.2f})"

    assert f"area under the ROC curve {told('test_auroc')}" in bundle.description
    assert f"balanced accuracy {told('test_balanced_accuracy')}" in bundle.description
    for name in bundle.output.classes:
        row = "  ".join(told(f"test_{figure}", name) for figure in ("precision", "recall", "f1"))
        assert row in bundle.description, name
    limits = performance["test_auroc_interval"]
    assert limits[0] <= performance["test_auroc"] <= limits[1] + 0.005  # rounded to two digits


def test_the_plain_network_for_mri_is_the_other_one_but_for_its_weights() -> None:
    taught, plain = (bundled_tasks() / "Brain Tumour MRI" / name for name in ("Narrow ResNet", "Narrow ResNet, plain"))
    assert (taught / "architecture.py").read_bytes() == (plain / "architecture.py").read_bytes()
    first, second = (read_bundle(folder) for folder in (taught, plain))
    assert (first.input, first.output, first.explain) == (second.input, second.output, second.explain)


def test_rise_and_the_cams_point_at_the_stain_that_fills_the_bottom_of_a_demo_patch() -> None:
    bundle = read_bundle(bundled_tasks() / "IHC Stain (demo)" / "Small CNN")
    assert bundle.samples is not None
    (sample,) = bundle.samples.glob("dab-bottom-half*.png")
    settings = Settings(methods=("rise", "gradcam", "gradcam++"), target="DAB", samples={"rise": 600})
    explanation = explain(Classifier.load(bundle, device="cpu", precision="fp32"), read_image(sample), settings)
    for statistics in explanation.statistics.values():
        assert all(row > 0 for row, _ in statistics.top)


@pytest.mark.parametrize(
    ("task", "model", "archive"),
    [
        ("HIS Breast Cancer", "Paper CNN", "idc/patches.zip"),
        ("Brain Tumour MRI", "Narrow ResNet", "brain_mri/slices.zip"),
    ],
)
def test_real_images_are_explained_and_the_statistics_are_those_of_the_maps(
    task: str, model: str, archive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    images = _images(archive, 2, tmp_path / "in")
    arguments = [
        "explain",
        *images,
        "--task",
        task,
        "--model",
        model,
        "--samples",
        "rise=64,lime=100",
        "--device",
        "cpu",
    ]
    status = run([*map(str, arguments), "--out", str(tmp_path / "out")], open_app=lambda _: 99)
    assert (status, capsys.readouterr().err) == (0, "")
    for image in images:
        folder = tmp_path / "out" / image.stem
        record = json.loads((folder / "explanation.json").read_text(encoding="ascii"))
        maps = np.load(folder / "saliency.npz")
        assert set(record["methods"]) == set(maps) == set(METHODS)
        with (folder / "statistics.csv").open(newline="") as table:
            rows = list(csv.DictReader(table))
        assert len(rows) == 9 * len(METHODS)
        for row in rows:
            values = maps[row["method"]].astype(np.float64)
            cell = values[cell_slices(*values.shape)[int(row["row"]), int(row["column"])]]
            for name in ("mean", "median", "min", "max", "std"):
                assert float(row[name]) == pytest.approx(float(getattr(np, name)(cell)), abs=1e-12)


def _unseen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the patches that the IDC network was not trained on, from its own train.py's split."""
    sizes = types.ModuleType("architecture")
    monkeypatch.setitem(sys.modules, "architecture", sizes)  # what the file takes from it, the split does not need
    split = runpy.run_path(str(folder / "patches.py"))["split"]
    with zipfile.ZipFile(DATA / "idc/patches.zip") as packed:
        names = sorted(name for name in packed.namelist() if name.endswith(".png"))
    patients = np.array([int(Path(name).name.split("_")[0]) for name in names])
    return [names[row] for row in split(patients, 0).test]


def test_the_idc_network_is_as_right_as_its_description_says_and_holds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DATA / "idc/patches.zip").exists():
        pytest.skip("the training data do not lie beside the project")
    folder = bundled_tasks() / "HIS Breast Cancer" / "Paper CNN"
    stated = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))["performance"]
    unseen, rng = _unseen(folder, monkeypatch), np.random.default_rng(0)
    model = Classifier.load(read_bundle(folder), device="cpu")

    def recall(pixels: list[NDArray[np.uint8]], label: int) -> float:
        return float(np.mean([model.diagnose(MedicalImage.from_array(one)).index == label for one in pixels]))

    with zipfile.ZipFile(DATA / "idc/patches.zip") as packed:
        for label, name in enumerate(("NO-IDC", "IDC")):
            chosen = rng.choice([one for one in unseen if one.endswith(f"class{label}.png")], 150, replace=False)
            pixels = [np.asarray(Image.open(io.BytesIO(packed.read(str(one)))).convert("RGB")) for one in chosen]
            clean = recall(pixels, label)
            assert clean == pytest.approx(stated["test_recall"][name], abs=0.09)  # 150 patches spread by 0.03
    altered = {one.name: one for one in COLOUR}
    for alteration in ("JPEG 90, 4:2:0", "blur, sd 0.5 pixels", "noise, sd 0.02"):
        assert recall([altered[alteration].apply(one, rng) for one in pixels], 1) >= clean - 0.08, alteration
