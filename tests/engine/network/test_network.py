"""Bundles on disk become networks, or are refused with the file, the cause and the remedy."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from factories import approve
from safetensors.torch import save_file

from engine.bundle.model_bundle import read_bundle
from engine.errors import BundleError, OutOfMemoryError
from engine.network.loading import build_network

_CODE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3))
"""


def _weights() -> dict[str, torch.Tensor]:
    return {"conv.weight": torch.ones(2, 3, 3, 3), "conv.bias": torch.zeros(2)}


def _bundle(folder: Path, code: str = _CODE, weights: object = None, name: str = "weights.pt"):
    (folder / "architecture.py").write_text(code)
    path = folder / name
    content = _weights() if weights is None else weights
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif name.endswith(".safetensors"):
        save_file(content, path)
    else:
        torch.save(content, path)
    approve(folder)
    return read_bundle(folder)


def test_one_class_without_arguments_is_enough(tmp_path: Path) -> None:
    network = build_network(_bundle(tmp_path))
    assert not network.training
    assert torch.equal(network.conv.weight, torch.ones(2, 3, 3, 3))


def test_build_model_is_preferred_and_safetensors_are_read(tmp_path: Path) -> None:
    code = _CODE + "\nclass Other(Net):\n    pass\n\ndef build_model():\n    return Other()\n"
    network = build_network(_bundle(tmp_path, code, name="weights.safetensors"))
    assert type(network).__name__ == "Other"


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path) -> None:
    halves = {key: value.half() for key, value in _weights().items()}
    assert build_network(_bundle(tmp_path, weights=halves)).conv.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import a_package_that_is_not_there\n", "a_package_that_is_not_there"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("x = 1\n", "found: none"),
        (_CODE + "\nclass Other(nn.Module):\n    pass\n", "found: Net, Other"),
        ("def build_model():\n    return 7\n", "gave a int"),
        ("def build_model():\n    raise ValueError('no')\n", "ValueError: no"),
    ],
)
def test_code_that_gives_no_network_is_refused(tmp_path: Path, code: str, cause: str) -> None:
    with pytest.raises(BundleError, match=cause) as caught:
        build_network(_bundle(tmp_path, code))
    assert "architecture.py" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"conv.bias": None}, "lacks conv.bias"),
        ({"conv.scale": torch.ones(1)}, "has conv.scale that the architecture does not have"),
        ({"conv.bias": torch.zeros(3)}, r"conv.bias has the shape \(3,\), the architecture expects \(2,\)"),
        ({"conv.bias": torch.tensor([0.0, float("nan")])}, "conv.bias holds NaN"),
        ({"conv.bias": torch.tensor([0.0, float("inf")])}, "conv.bias holds NaN or infinite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, torch.Tensor | None], cause: str
) -> None:
    weights = {key: value for key, value in {**_weights(), **change}.items() if value is not None}
    with pytest.raises(BundleError, match=cause) as caught:
        build_network(_bundle(tmp_path, weights=weights))
    assert "weights.pt" in caught.value.message


def test_a_whole_network_is_not_loaded_and_the_command_that_imports_it_is_named(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, weights=torch.nn.Linear(2, 2))
    with pytest.raises(BundleError, match="other than a state_dict of tensors: a whole network") as caught:
        build_network(bundle)
    assert f"xaimed models import {bundle.weights}" in caught.value.message


def test_a_pickle_that_needs_code_is_not_loaded_and_the_command_that_converts_it_is_named(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, weights=pickle.dumps(torch.nn.Linear(2, 2)))
    with pytest.raises(BundleError, match="was not loaded") as caught:
        build_network(bundle)
    assert f"xaimed models convert {bundle.weights}" in caught.value.message


def test_a_checkpoint_with_more_than_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="other than a state_dict"):
        build_network(_bundle(tmp_path, weights={"state_dict": _weights(), "epoch": 3}))


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_damaged_weights_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="weights"):
        build_network(_bundle(tmp_path, weights=b"\x00\x01 not weights", name=name))
    bundle = _bundle(tmp_path, name=name)
    with pytest.raises(BundleError):
        build_network(_bundle(tmp_path, weights=bundle.weights.read_bytes()[:-40], name=name))


def test_dataclasses_of_the_bundle_find_their_module(tmp_path: Path) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + _CODE.replace(
        "class Net", "@dataclass\nclass Options:\n    size: int = 3\n\nclass Net"
    )
    assert type(build_network(_bundle(tmp_path, code))).__name__ == "Net"


def test_a_file_that_the_bundles_code_misses_is_not_mistaken_for_its_own(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not run: FileNotFoundError"):
        build_network(_bundle(tmp_path, "open('not-there')\n"))


def test_too_little_memory_is_not_taken_for_a_fault_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = _CODE + "\ndef build_model():\n    raise MemoryError\n"
    with pytest.raises(OutOfMemoryError, match=r"architecture\.py: there is not enough memory"):
        build_network(_bundle(tmp_path, code))
    bundle = _bundle(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(OutOfMemoryError, match=r"weights\.pt: there is not enough memory"):
        build_network(bundle)


@pytest.mark.parametrize("end", ["", "\ndef build_model(width, depth=1):\n    return Net(width)\n"])
def test_declared_arguments_go_to_build_model_or_to_the_class(tmp_path: Path, end: str) -> None:
    code = _CODE.replace("__init__(self)", "__init__(self, width)", 1).replace("(3, 2, 3)", "(3, width, 3)") + end
    (tmp_path / "model.toml").write_text("[network]\narguments = { width = 2 }\n")
    assert build_network(_bundle(tmp_path, code)).conv.out_channels == 2


def test_arguments_that_are_missing_or_too_many_are_named_with_the_section(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("[network]\narguments = { width = 2 }\n")
    with pytest.raises(BundleError, match=r"Net\(\) cannot be called.*'width'; correct arguments under \[network\]"):
        build_network(_bundle(tmp_path))
    code = _CODE.replace("__init__(self)", "__init__(self, width)", 1)
    (tmp_path / "model.toml").unlink()
    with pytest.raises(BundleError, match=r"Net\(\) cannot be called.*missing a required argument: 'width'"):
        build_network(_bundle(tmp_path, code))
