"""What both benchmarks need: the machine's facts, networks to measure, tables and JSON.

`settle_environment` comes before anything that imports torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from engine.explainers.base import Request
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier, Precision

ROOT = Path(__file__).resolve().parents[2]
RESNETS = ("resnet18", "resnet50")
NETWORKS = ("idc", *RESNETS)


def settle_environment() -> None:
    """Threads that sleep while they wait, as in the app, and a cache of this run's own, so that tuning is measured."""
    from engine.threads import settle_threads

    settle_threads()
    if "XAIMED_BENCHMARK_CACHE" not in os.environ:  # a case's own process shares its parent's
        os.environ["XAIMED_BENCHMARK_CACHE"] = tempfile.mkdtemp(prefix="xaimed-benchmark-")
    os.environ["XDG_CACHE_HOME"] = os.environ["XAIMED_BENCHMARK_CACHE"]


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    import torch

    from engine.acceleration.tuning import native_precision

    name = platform.processor()
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        lines = facts.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "native_reduced_precision": native_precision("cpu"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load_average": load(),
    }


def load() -> list[float]:
    """Load averages over 1, 5 and 15 minutes; empty where the system does not tell."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []


def make_classifier(name: str, precision: Precision = "fp32") -> Classifier:
    """One of `NETWORKS`: the bundled one, or a torchvision one with seeded random weights at 224x224."""
    from engine.network.classifier import Classifier

    if name == "idc":
        from engine.bundle.model_bundle import read_bundle

        bundle = read_bundle(ROOT / "tasks" / "HIS Breast Cancer" / "Paper CNN")
        return Classifier.load(bundle, device="cpu", precision=precision)
    return wrap(name, resnet(name), precision=precision)


def wrap(name: str, network: nn.Module, *, precision: Precision = "fp32", size: int = 224) -> Classifier:
    """A classifier around a network that no model folder stands behind."""
    from engine.bundle.model_bundle import ExplainSpec, InputSpec, ModelBundle, OutputSpec
    from engine.network.classifier import Classifier

    nowhere = Path("benchmark") / name
    bundle = ModelBundle(
        task="Benchmark",
        name=name,
        path=nowhere,
        weights=nowhere / "weights.pt",
        architecture=nowhere / "architecture.py",
        input=InputSpec(size=(size, size), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        output=OutputSpec(activation="none"),
        explain=ExplainSpec(),
        assumed=(),
        description="",
        picture=None,
        samples=None,
        notes=MappingProxyType({}),
        digest=hashlib.sha256(name.encode()).hexdigest(),
    )
    return Classifier(bundle, network, device="cpu", precision=precision)


def resnet(name: str) -> nn.Module:
    """torchvision's network with seeded random weights."""
    import torch
    import torchvision

    torch.manual_seed(0)
    network: nn.Module = getattr(torchvision.models, name)(weights=None).eval()
    return network


def make_image(side: int) -> MedicalImage:
    """A piece of tissue (scikit-image's own example), `side` pixels a side."""
    from skimage import data

    return as_image(data.immunohistochemistry()[100 : 100 + side, 100 : 100 + side], "immunohistochemistry")


def as_image(pixels: Any, name: str) -> MedicalImage:
    """An (H, W, 3) array of 8-bit values as an image."""
    import numpy as np

    from engine.images.image import MedicalImage

    array = np.array(pixels, dtype=np.float32)
    array.setflags(write=False)
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    return MedicalImage(pixels=array, bit_depth=8, colour="rgb", path=Path(name), sha256=digest)


def make_request(classifier: Classifier) -> Request:
    """A request for the predicted class of a piece of tissue."""
    from engine.explainers.base import Request

    image = make_image(classifier.bundle.input.size[0])
    target = classifier.class_index(classifier.diagnose(image).predicted)
    return Request(classifier=classifier, tensor=classifier.tensor(image), target=target, seed=1)


def patches(count: int, folder: Path | None, side: int) -> tuple[list[MedicalImage], str]:
    """Images for the bundled network, and where they are from.

    Args:
        count: how many, at most.
        folder: pictures of (side, side) pixels; None for the IDC patches beside the checkout, half of each class, or
            else pieces of scikit-image's tissue example.
        side: in pixels.
    """
    import numpy as np
    from PIL import Image

    from engine.images.image import read_image
    from engine.images.listing import list_images

    if folder is not None:
        return [read_image(file.path) for file in list_images(folder)[:count]], str(folder)
    archive = ROOT.parent / "shared" / "data" / "idc" / "patches.zip"
    if not archive.is_file():
        from skimage import data

        tissue, steps = data.immunohistochemistry(), range(0, 512 - side, side)
        corners = [(y, x) for y in steps for x in steps][:count]
        return [as_image(tissue[y : y + side, x : x + side], f"{y}, {x}") for y, x in corners], "scikit-image's tissue"
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".png"))
        chosen: list[str] = []
        for label in ("class0", "class1"):
            of_class = [name for name in names if label in name]
            chosen += [of_class[i] for i in np.linspace(0, len(of_class) - 1, (count + 1) // 2).astype(int)]
        pictures = [np.asarray(Image.open(io.BytesIO(file.read(name))).convert("RGB")) for name in chosen]
        whole = [as_image(p, n) for p, n in zip(pictures, chosen, strict=True) if p.shape[:2] == (side, side)]
    return whole[:count], "IDC patches, half of each class"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns of text: the first is left-aligned, the others are numbers."""
    texts = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(head))]
    lines = [
        "  ".join(
            text.rjust(width) if i else text.ljust(width) for i, (text, width) in enumerate(zip(*both, strict=True))
        )
        for both in ((row, widths) for row in texts)
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return "-" if value is None else str(value)


def say(*lines: str) -> None:
    """Print at once, so that a long run can be followed."""
    print(*lines, sep="\n", flush=True)


def write_json(path: Path | None, results: Mapping[str, Any]) -> None:
    """Write the results where they were asked for, `-` for standard output."""
    if path is None:
        return
    text = json.dumps(results, indent=2) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")
