"""What is no file of weights, or fits no network: it is refused with the true cause and the step that helps."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tests.torture.sources.checkpoints import named, resnet18
from tests.torture.zoo import Made, Source


def file(content: bytes, name: str = "weights.pt") -> Callable[[Path], Made]:
    """A file with this content."""

    def make(folder: Path) -> Made:
        (folder / name).write_bytes(content)
        return Made(folder / name)

    return make


def arrays() -> bytes:
    out = io.BytesIO()
    np.savez(out, weight=np.ones((3, 3)))
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("best.pth", b"x")
    return out.getvalue()


def cut_short(folder: Path) -> Made:
    torch.save(resnet18().state_dict(), folder / "whole.pt")
    (folder / "cut.pt").write_bytes((folder / "whole.pt").read_bytes()[:1_000_000])
    return Made(folder / "cut.pt")


def another_network(folder: Path) -> Made:
    torch.save(resnet18().state_dict(), folder / "w.pt")
    return Made(folder / "w.pt", options=["--network", "torchvision:resnet34"])


def two_alike(folder: Path) -> Made:
    network = resnet18()
    torch.save({"student": named(network), "teacher": named(network)}, folder / "w.pt")
    return Made(folder / "w.pt")


def optimizer_only(folder: Path) -> Made:
    torch.save({"optimizer": {"state": {0: {"exp_avg": torch.ones(3, 3)}}}, "epoch": 3}, folder / "w.pt")
    return Made(folder / "w.pt")


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 + 1",)


def calls_code(folder: Path) -> Made:
    torch.save({"state_dict": resnet18().state_dict(), "hook": _Trap()}, folder / "w.pt")
    return Made(folder / "w.pt")


def of_no_known_network(folder: Path) -> Made:
    torch.save({f"block{i}.weight": torch.ones(3, i + 1) for i in range(9)}, folder / "w.pt")
    return Made(folder / "w.pt")


SOURCES = [
    Source("Keras", "refused", file(b"\x89HDF\r\n\x1a\n" + bytes(200), "model.h5"), refused="tf2onnx", small=True),
    Source("NumPy arrays", "refused", file(arrays()), refused="an archive of NumPy arrays (.npz)", small=True),
    Source("zip archive", "refused", file(zipped()), refused="it is a zip archive", small=True),
    Source("7z archive", "refused", file(b"7z\xbc\xaf\x27\x1c" + bytes(50)), refused="it is a 7z archive", small=True),
    Source(
        "Git LFS pointer",
        "refused",
        file(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"),
        refused="a Git LFS pointer",
        small=True,
    ),
    Source("web page", "refused", file(b"<!DOCTYPE html><html></html>"), refused="a web page (HTML)", small=True),
    Source("empty file", "refused", file(b""), refused="it is empty; copy or download it again", small=True),
    Source("text", "refused", file(b"no weights\n"), refused="it is a text", small=True),
    Source("plain pickle", "refused", file(pickle.dumps({"a": 1})), refused="xaimed models convert", small=True),
    Source("cut short", "refused", cut_short, refused="that is cut short or damaged"),
    Source("calls code", "refused", calls_code, refused="would run code that it names (builtins.eval)"),
    Source("of another network", "refused", another_network, refused="the network lacks"),
    Source("two networks alike", "refused", two_alike, refused="it holds 2 networks"),
    Source("an optimizer only", "refused", optimizer_only, refused="it holds no network", small=True),
    Source("of no known network", "refused", of_no_known_network, refused="of no network that is known", small=True),
]
