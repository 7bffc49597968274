"""Checkpoints of training programs: prefixes, Lightning, averages beside raw weights, old formats, half precision."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.torture.zoo import Made, Source, probabilities_of

Names = Callable[[str], str]

CODE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
        self.body = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))
"""


def small_net() -> nn.Module:
    """A small network of one's own, as `CODE` builds it, with random weights and statistics."""
    made: dict[str, object] = {}
    exec(CODE, made)
    torch.manual_seed(1)
    kind = made["Net"]
    assert isinstance(kind, type)
    network: nn.Module = kind()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
        network.head.weight.mul_(8)  # type: ignore[union-attr,operator]
    return network.eval()


def resnet18() -> nn.Module:
    """torchvision's ResNet-18 with two classes and random weights."""
    from torchvision.models import resnet18 as build

    torch.manual_seed(2)
    return build(num_classes=2).eval()


def checkpoint(save: Callable[[nn.Module, Path], None], name: str = "last.ckpt") -> Callable[[Path], Made]:
    """A file that `save` makes of ResNet-18; the network is not named."""

    def make(folder: Path) -> Made:
        network = resnet18()
        save(network, folder / name)
        return Made(folder / name, probabilities_of(network))

    return make


def own_code(save: Callable[[nn.Module, Path], None]) -> Callable[[Path], Made]:
    """A file that `save` makes of a small network, with the code that builds it."""

    def make(folder: Path) -> Made:
        network = small_net()
        save(network, folder / "last.ckpt")
        (folder / "net.py").write_text(CODE)
        options = ["--architecture", folder / "net.py", "--input-size", "32,32", "--yes"]
        return Made(folder / "last.ckpt", probabilities_of(network), options)

    return make


def named(network: nn.Module, names: Names = str) -> dict[str, torch.Tensor]:
    """Return a network's state_dict with other names."""
    return {names(name): value.detach().clone() for name, value in network.state_dict().items()}


def plain(network: nn.Module, path: Path) -> None:
    torch.save(network.state_dict(), path)


def prefixed(prefix: str) -> Callable[[nn.Module, Path], None]:
    return lambda network, path: torch.save(named(network, lambda name: f"{prefix}{name}"), path)


def lightning(network: nn.Module, path: Path) -> None:
    """A checkpoint as Lightning writes it, with settings that only `argparse`, numpy and pathlib know."""
    state = named(network, lambda name: f"model.{name}") | {"criterion.weight": torch.ones(3)}
    optimizer = torch.optim.AdamW(network.parameters())
    torch.save(
        {
            "epoch": 9,
            "global_step": 500,
            "pytorch-lightning_version": "2.5.0",
            "state_dict": state,
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 9}}}},
            "callbacks": {"ModelCheckpoint{}": {"best_model_score": torch.tensor(0.9), "dirpath": Path("ckpt")}},
            "optimizer_states": [optimizer.state_dict()],
            "lr_schedulers": [{"_last_lr": [np.float64(1e-3)]}],
            "hparams_name": "kwargs",
            "hyper_parameters": {
                "args": argparse.Namespace(lr=1e-3, seed=np.int64(3), out=Path("out")),
                "rate": np.float32(0.1),
            },
        },
        path,
    )


def averaged(network: nn.Module, path: Path) -> None:
    """Raw weights, and their average, which are the ones to use."""
    raw = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    torch.save({"epoch": 3, "arch": "resnet18", "state_dict": raw, "state_dict_ema": named(network)}, path)


def averaged_by_torch(network: nn.Module, path: Path) -> None:
    torch.save(torch.optim.swa_utils.AveragedModel(network).state_dict(), path)


def lightning_averaged(network: nn.Module, path: Path) -> None:
    raw = {f"model.{name}": torch.zeros_like(value) for name, value in network.state_dict().items()}
    torch.save({"state_dict": raw | named(network, lambda name: f"ema_model.module.{name}")}, path)


def compiled(network: nn.Module, path: Path) -> None:
    torch.save({"model": torch.compile(network).state_dict(), "epoch": 3}, path)


def legacy(network: nn.Module, path: Path) -> None:
    torch.save({"net": network.state_dict(), "acc": 93.1}, path, _use_new_zipfile_serialization=False)


def whole(network: nn.Module, path: Path) -> None:
    torch.save(network, path)


def data_parallel(network: nn.Module, path: Path) -> None:
    torch.save({"state_dict": nn.DataParallel(network).state_dict(), "best_acc1": torch.tensor(90.0)}, path)


def student_and_teacher(folder: Path) -> Made:
    network = resnet18()
    other = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    torch.save(
        {"teacher": other, "student": named(network, lambda name: f"module.{name}")},
        folder / "distilled.pth",
    )
    return Made(folder / "distilled.pth", probabilities_of(network), ["--key", "student"])


def safetensors(network: nn.Module, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(named(network), path)


def without_counters(network: nn.Module, path: Path) -> None:
    torch.save({name: v for name, v in network.state_dict().items() if "num_batches" not in name}, path)


def in_half(dtype: torch.dtype) -> Callable[[Path], Made]:
    """Weights in 16 bits; the source is the network with exactly these numbers."""

    def make(folder: Path) -> Made:
        network = resnet18()
        state = {name: v.to(dtype) if v.is_floating_point() else v for name, v in network.state_dict().items()}
        torch.save(state, folder / "half.pt")
        network.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in state.items()})
        return Made(folder / "half.pt", probabilities_of(network))

    return make


def new_head(folder: Path) -> Made:
    """A ResNet-18 whose head was replaced by dropout and a layer for five classes."""
    network = resnet18()
    network.fc = nn.Sequential(nn.Dropout(0.5), nn.Linear(512, 5))
    torch.save({"model_state_dict": network.state_dict(), "loss": 0.3}, folder / "best.pth")
    return Made(folder / "best.pth", probabilities_of(network), ["--network", "torchvision:resnet18"])


def grey(folder: Path) -> Made:
    """A small network of one's own for grey images."""
    torch.manual_seed(3)
    code = CODE.replace("nn.Conv2d(3, 6", "nn.Conv2d(1, 6").replace("Linear(8, 3)", "Linear(8, 1)")
    made: dict[str, object] = {}
    exec(code, made)
    kind = made["Net"]
    assert isinstance(kind, type)
    network: nn.Module = kind()
    torch.save(named(network, lambda name: f"net.{name}"), folder / "grey.pt")
    (folder / "net.py").write_text(code)
    options = ["--architecture", folder / "net.py", "--input-size", "28", "--yes", "--classes", "healthy,ill"]
    return Made(folder / "grey.pt", probabilities_of(network.eval()), options)


PREFIXES = (
    "module.",
    "model.",
    "net.",
    "network.",
    "backbone.",
    "encoder.",
    "_orig_mod.",
    "_forward_module.",
    "ema.",
    "model._orig_mod.module.",
)

SOURCES = [
    Source("ResNet-18, state_dict", "plain", checkpoint(plain, "w.pth"), layer="layer4"),
    Source("own code, state_dict", "plain", own_code(plain), small=True),
    Source("own code for grey images", "plain", grey, small=True),
    *(
        Source(f"{prefix} before ResNet-18", "prefix", checkpoint(prefixed(prefix)), layer="layer4")
        for prefix in PREFIXES
    ),
    *(Source(f"{prefix} before own code", "prefix", own_code(prefixed(prefix)), small=True) for prefix in PREFIXES[:3]),
    Source("ResNet-18 with settings", "Lightning", checkpoint(lightning), layer="layer4"),
    Source("own code with settings", "Lightning", own_code(lightning), small=True),
    Source("average in state_dict_ema", "EMA", checkpoint(averaged), layer="layer4"),
    Source("AveragedModel of torch", "EMA", checkpoint(averaged_by_torch), layer="layer4"),
    Source("beside raw weights in one state_dict", "EMA", own_code(lightning_averaged), small=True),
    Source("torch.compile", "compiled", checkpoint(compiled), layer="layer4"),
    Source("torch.save before 1.6", "legacy", checkpoint(legacy, "w.tar"), layer="layer4"),
    Source("whole network pickled", "whole", checkpoint(whole, "model.pt"), layer="layer4"),
    Source("DataParallel", "parallel", checkpoint(data_parallel, "model_best.pth.tar"), layer="layer4"),
    Source("chosen by --key", "student and teacher", student_and_teacher, layer="layer4"),
    Source("ResNet-18", "safetensors", checkpoint(safetensors, "model.safetensors"), layer="layer4"),
    Source("no num_batches_tracked", "old BatchNorm", own_code(without_counters), small=True),
    Source("float16", "half precision", in_half(torch.float16), layer="layer4"),
    Source("bfloat16", "half precision", in_half(torch.bfloat16), layer="layer4"),
    Source("dropout and a layer for five classes", "new head", new_head, layer="layer4"),
]


def saved(value: object) -> bytes:
    """Return what torch.save writes."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()
