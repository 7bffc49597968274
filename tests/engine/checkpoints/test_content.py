"""What a file of weights is, by its content: each kind is named as what it is, with the step that helps."""

from __future__ import annotations

import io
import json
import pickle
import shlex
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import MODEL_CODE
from safetensors.torch import save_file
from torch import nn

from engine.checkpoints.content import recognise, recognise_bytes


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protobuf message."""

    def varint(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


ONNX = field(1, 8) + field(2, b"pytorch") + field(7, field(1, b"node") * 40) + field(8, field(2, 17))
GRAPH = field(1, field(1, b"input") + field(2, b"Placeholder")) + field(4, field(1, 22))
SAVED_MODEL = field(1, 1) + field(2, GRAPH)
FOUR = b"\x00\x01\x02\x03"


def zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def saved(value: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)  # type: ignore[arg-type]
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, weight=np.ones(3))
    return file.getvalue()


def tar(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), file)
    return file.getvalue()


REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "onnx": (lambda: ONNX, "an ONNX network", "xaimed models import"),
    "torchscript": (scripted, "a TorchScript program", "xaimed models import"),
    "keras 2": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "a Keras file or other HDF5", "tf2onnx.convert --keras"),
    "keras 3": (
        lambda: zipped(**{"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b"x"}),
        "a Keras file (.keras)",
        "tf2onnx.convert --keras",
    ),
    "matlab": (lambda: b"MATLAB 7.3".ljust(512) + b"\x89HDF\r\n\x1a\n", "a MATLAB file", "exportONNXNetwork"),
    "npy": (lambda: b"\x93NUMPY\x01\x00" + bytes(99), "a NumPy array (.npy)", "torch.from_numpy"),
    "npz": (npz, "an archive of NumPy arrays (.npz)", "torch.from_numpy"),
    "saved model": (lambda: SAVED_MODEL, "a TensorFlow SavedModel", "tf2onnx.convert --saved-model"),
    "frozen graph": (lambda: GRAPH, "a frozen TensorFlow graph", "tf2onnx.convert --graphdef"),
    "tf lite": (lambda: b"\x1c\0\0\0TFL3" + bytes(99), "a TensorFlow Lite network", "tf2onnx.convert --tflite"),
    "tf index": (lambda: bytes(range(60)) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "TensorFlow checkpoint", "tf2onnx"),
    "lfs": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 97\n",
        "a Git LFS pointer",
        "git lfs pull",
    ),
    "html": (lambda: b"\n<!DOCTYPE html><html><head>Sign in</head>", "a web page (HTML)", "download the file itself"),
    "zip": (lambda: zipped(**{"weights/a.pt": FOUR}), "a zip archive", "unpack it"),
    "tar": (lambda: tar("weights.pt"), "a tar archive", "unpack it"),
    "oldest torch": (lambda: tar("sys_info"), "torch.save wrote before version 0.2", "old version of torch"),
    "gzip": (lambda: b"\x1f\x8b\x08" + FOUR, "a gzip archive", "unpack it"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c" + FOUR, "a 7z archive", "unpack it"),
    "rar": (lambda: b"Rar!\x1a\x07\x01" + FOUR, "a RAR archive", "unpack it"),
    "empty": (lambda: b"", "empty", "copy or download it again"),
    "zeros": (lambda: bytes(5_000), "zeros only, as an unfinished download does", "download it again"),
    "cut zip": (lambda: saved({"a": torch.ones(9)})[:400], "cut short or damaged", "copy or download it again"),
    "cut tensors": (
        lambda: (1_000).to_bytes(8, "little") + b'{"a":',
        "a safetensors file that is cut short",
        "copy or download it again",
    ),
    "text": (lambda: b"epoch 3, loss 0.2\n", "a text", "name the file of weights"),
    "python": (lambda: b"import torch\n", "Python code", "--architecture"),
    "json": (lambda: b'{"a": 1}', "a JSON text", "name the file of weights"),
    "index": (lambda: b'{"weight_map": {}}', "the index of weights in several", "name the folder"),
    "png": (lambda: b"\x89PNG\r\n\x1a\n" + FOUR, "a picture (PNG)", "name the file of weights"),
    "dicom": (lambda: bytes(128) + b"DICM" + FOUR, "a DICOM image", "name the file of weights"),
    "unknown": (lambda: b"\x07\x00\xff\xfe" * 9, "of no known format (it begins with 07 00 ff fe", "safetensors"),
    "pickle": (lambda: pickle.dumps({"a": [1, 2]}), "a pickle that torch.save did not write", "models convert"),
    "sklearn": (
        lambda: pickle.dumps({"sklearn.ensemble": list(range(9))}),
        "a model of scikit-learn",
        "a network of PyTorch",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_each_kind_is_named_with_the_step_that_helps_whatever_its_suffix(kind: str, tmp_path: Path) -> None:
    make, words, remedy = REFUSED[kind]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(make())
    found = recognise(path)
    assert words in found.words
    assert remedy in found.remedy
    assert found == recognise_bytes(make())
    assert ("pickle" in found.words) == (kind == "pickle")
    mended_by_a_copy = kind in ("empty", "zeros", "cut zip", "cut tensors")
    assert found.damaged == mended_by_a_copy
    assert ("again" in found.remedy and "download" in found.remedy) == mended_by_a_copy


def test_what_can_be_read_is_told_by_its_content(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.pt")
    assert recognise(tmp_path / "a.pt").kind == "safetensors"
    assert recognise_bytes(saved({"a": torch.ones(2)})).kind == "torch"
    assert recognise_bytes(saved({"a": torch.ones(2)}, _use_new_zipfile_serialization=False)).kind == "legacy"


@pytest.mark.parametrize("kind", ["html", "lfs", "keras 2", "npz", "gzip", "onnx", "empty"])
def test_adding_importing_and_converting_say_the_same_of_one_file(
    xaimed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    xaimed("tasks", "add", "Lungs", "--description", "x")
    make, words, _ = REFUSED[kind]
    (tmp_path / "w.pt").write_bytes(make())
    (tmp_path / "net.py").write_text(MODEL_CODE)
    said = {}
    for command in (
        ("models", "add", "Lungs", "CNN", "--weights", tmp_path / "w.pt", "--architecture", tmp_path / "net.py"),
        ("models", "convert", tmp_path / "w.pt"),
    ):
        status, out, err = xaimed(*command)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert f"{tmp_path / 'w.pt'}: it is {words}" in err
        said[command[1]] = err
    assert len(set(said.values())) == 1


def test_a_checkpoint_among_other_things_is_sent_to_models_import(
    xaimed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    (tmp_path / "tasks" / "Lungs" / "CNN").mkdir(parents=True)
    from factories import approve, make_model

    model = make_model(tmp_path / "tasks" / "Lungs" / "CNN2")
    state = torch.load(model / "weights.pt", weights_only=True)
    torch.save({"epoch": 3, "state_dict": state}, model / "weights.pt")
    approve(model)
    status, _, err = xaimed("models", "check", "Lungs", "CNN2")
    assert status == 1
    assert "a checkpoint with weights under 'state_dict'" in err
    assert f"run xaimed models import {shlex.quote(str(model / 'weights.pt'))}" in err


def test_the_index_in_a_folder_of_json_is_no_web_page() -> None:
    assert "JSON" in recognise_bytes(json.dumps({"model_type": "vit"}).encode()).words
