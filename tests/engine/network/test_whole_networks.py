"""Model folders whose network is one file: ONNX, which is data, and TorchScript, which is a program to approve."""

from __future__ import annotations

import io
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import approve, make_image, make_model
from networks import small_cnn
from torch import nn

from engine.authoring.draft import draft
from engine.bundle.model_bundle import ModelBundle, read_bundle
from engine.bundle.torchscript import code_in
from engine.errors import BundleError
from engine.explainers.settings import Settings
from engine.explanation.explain import explain
from engine.network.classifier import Classifier
from engine.network.sources.torchscript import build_torchscript
from engine.trust.permission import review, standing_of, words_about

IMAGE = make_image(height=24, width=24)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch would rather have another format
        yield


class Writing(nn.Module):
    """Writes a file when it is loaded, as a TorchScript program can."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place, self.inner = place, small_cnn()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, self.place)
        return self.inner(x)


class Sevenfold(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * 7


def saved(network: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(network), file)  # type: ignore[no-untyped-call]
    return file.getvalue()


def make_script(folder: Path, data: bytes | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.torchscript").write_bytes(saved(small_cnn()) if data is None else data)
    (folder / "model.toml").write_text('[input]\nsize = [24, 24]\n[output]\nclasses = ["a", "b", "c"]\n')
    return folder


def test_a_torchscript_program_runs_only_once_it_is_approved(tmp_path: Path) -> None:
    folder = make_script(tmp_path / "Task" / "Model")
    bundle = read_bundle(folder)
    assert (bundle.runs_code, bundle.architecture, bundle.code_file) == (True, None, "model.torchscript")
    with pytest.raises(BundleError, match="was not approved on this machine"):
        Classifier.load(bundle)
    seen = review(folder)
    # torch puts more into the name where the process has scripted another Sequential before.
    assert re.search(
        r"def forward\(self: __torch__\.torch\.nn\.modules\.container\.\S*Sequential", seen.code["model.torchscript"]
    )
    assert any("model.torchscript is a program that torch runs" in line for line in words_about(seen))
    approve(folder)
    twin = small_cnn()
    with torch.no_grad():
        expected = torch.softmax(twin(Classifier.load(bundle).tensor(IMAGE)), 1)[0].numpy()
    np.testing.assert_allclose(Classifier.load(bundle).diagnose(IMAGE).probabilities, expected, atol=1e-5)


def test_a_torchscript_program_is_explained_by_methods_that_only_ask(tmp_path: Path) -> None:
    folder = make_script(tmp_path / "Task" / "Model")
    approve(folder)
    found = Classifier.load(read_bundle(folder))
    made = explain(found, IMAGE, Settings(samples={"lime": 100, "rise": 100}))
    assert set(made.maps) == {"lime", "rise"}
    assert all("no layer can be looked at" in failure for failure in made.failures.values())
    assert any("TorchScript runs this network" in sentence for sentence in made.assumed)


def test_what_torchscript_does_not_tell_is_the_case_is_said(tmp_path: Path) -> None:
    folder = make_script(tmp_path / "Task" / "Model", b"PK no archive")
    approve(folder)
    with pytest.raises(BundleError, match=r"cannot be loaded as TorchScript .*torch\.jit\.save"):
        Classifier.load(read_bundle(folder))
    assert "cannot be shown" in code_in(b"PK no archive")


def test_the_code_of_a_torchscript_program_is_shown_before_it_is_approved(tmp_path: Path, xaimed: Run) -> None:
    tasks = tmp_path / "tasks"
    make_script(tasks / "Task" / "Model", saved(Writing(str(tmp_path / "written"))))
    status, out, _ = xaimed("--tasks", tasks, "trust", "Task/Model", "--yes")
    assert status == 0
    assert "torch.save" in out
    assert "a program that torch runs" in out
    assert not (tmp_path / "written").exists(), "showing and approving runs nothing"


def written_again(data: bytes, change: Callable[[str, bytes], tuple[str, bytes]]) -> bytes:
    """The archive with names and contents of its code changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(*(change(name, content) if "/code/" in name else (name, content)))
    return file.getvalue()


def test_code_is_shown_whose_files_have_names_in_capitals() -> None:
    data = written_again(saved(Sevenfold()), lambda name, content: (name.replace("code", "CODE").upper(), content))
    data = data.replace(b"ARCHIVE/CODE", b"archive/CODE")
    assert "torch.mul" in code_in(data)
    assert float(build_torchscript(data, Path("m"))(torch.ones(1, 3, 4, 4))[0, 0]) == 7


def test_code_that_torch_finds_by_another_list_of_contents_does_not_run() -> None:
    data = written_again(saved(Sevenfold()), lambda name, content: (name, content))
    shown = written_again(data, lambda name, content: (name, content.replace(b", 7)", b", 1)")))
    both = data[:-22] + shown  # the end says where `data` has its list, and `shown` has its own before the end
    assert ", 1)" in code_in(both)
    assert ", 7)" not in code_in(both)
    assert float(torch.jit.load(io.BytesIO(both))(torch.ones(1, 3, 4, 4))[0, 0]) == 7  # type: ignore[no-untyped-call]
    with pytest.raises(BundleError, match="torch finds other code in it than was shown"):
        build_torchscript(both, Path("m"))


# ONNX in a folder


@pytest.fixture
def bundle(tmp_path: Path) -> ModelBundle:
    onnx_models = pytest.importorskip("onnx_models")
    return read_bundle(onnx_models.make_onnx_model(tmp_path / "Task" / "Model"))


def test_an_onnx_network_needs_no_approval(bundle: ModelBundle) -> None:
    assert (bundle.runs_code, standing_of(bundle).state) == (False, "no code")
    assert bundle.built_from == "no code of its own: model.onnx is the network"
    assert not explain(Classifier.load(bundle), IMAGE, Settings(samples={"lime": 100, "rise": 16})).failures
    (bundle.path / "model.onnx").write_bytes(b"another")
    with pytest.raises(BundleError, match="changed after it was read"):
        Classifier.load(bundle)


def test_what_is_not_declared_is_read_off_the_onnx_file(tmp_path: Path) -> None:
    onnx_models = pytest.importorskip("onnx_models")
    folder = onnx_models.make_onnx_model(tmp_path / "Task" / "Model", onnx_models.small_onnx(layout="nhwc"))
    (folder / "model.toml").unlink()
    found = Classifier.load(read_bundle(folder))
    assert (found.bundle.input.size, found.bundle.input.layout) == ((24, 24), "nhwc")
    assert "The input size is not declared: 24 x 24 pixels (height x width), as in model.onnx." in found.assumed
    assert found.diagnose(IMAGE).probabilities.sum() == pytest.approx(1)


def test_a_model_toml_is_drafted_from_an_onnx_file(tmp_path: Path) -> None:
    onnx_models = pytest.importorskip("onnx_models")
    uint8 = onnx_models.onnx.TensorProto.UINT8
    model = onnx_models.small_onnx(layout="nhwc", dtype=uint8, size=(24, 30))
    folder = onnx_models.make_onnx_model(tmp_path / "Task" / "Model", model)
    (folder / "model.toml").unlink()
    text = draft(read_bundle(folder))
    (folder / "model.toml").write_text(text)
    spec = read_bundle(folder).input
    assert (spec.size, spec.layout, spec.value_range) == ((24, 30), "nhwc", (0.0, 255.0))
    assert "height, width; as in model.onnx" in text
    assert 'activation = "softmax"' in text
    assert Classifier.load(read_bundle(folder)).anatomy.outputs == 3


def test_weights_beside_an_onnx_file_belong_to_the_model(tmp_path: Path) -> None:
    onnx_models = pytest.importorskip("onnx_models")
    model = onnx_models.small_onnx()
    tensor = model.graph.initializer[0]
    weights = tensor.raw_data
    onnx_models.onnx.external_data_helper.set_external_data(tensor, "model.onnx.data", 0, len(weights))
    tensor.ClearField("raw_data")
    folder = onnx_models.make_onnx_model(tmp_path / "Task" / "Model", model)
    with pytest.raises(BundleError, match=r"put 'model\.onnx\.data' beside it"):
        Classifier.load(read_bundle(folder))
    (folder / "model.onnx.data").write_bytes(weights)
    assert Classifier.load(read_bundle(folder)).anatomy.outputs == 3


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("architecture.py", "x = 1", "there is architecture.py as well"),
        ("weights.pt", "x", "both weights.pt and model.onnx"),
        ("model.toml", '[network]\nsource = "timm:resnet18"\n', r"\[network\] does not go with it"),
        ("model.toml", "[network]\narguments = { a = 1 }\n", r"\[network\] does not go with it"),
    ],
)
def test_a_whole_network_stands_alone(tmp_path: Path, name: str, content: str, words: str) -> None:
    folder = tmp_path / "Task" / "Model"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"x")
    (folder / name).write_text(content)
    with pytest.raises(BundleError, match=words):
        read_bundle(folder)


def test_without_the_extra_an_onnx_model_says_what_to_install(
    bundle: ModelBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx2torch", None)
    with pytest.raises(BundleError, match=r"package onnx2torch.*pip install 'xaimed\[onnx\]'"):
        Classifier.load(bundle)


def test_models_with_code_are_as_they_were(tmp_path: Path) -> None:
    bundle = read_bundle(make_model(tmp_path / "Task" / "Model", approved=True))
    assert (bundle.runs_code, bundle.code_file) == (True, "architecture.py")
