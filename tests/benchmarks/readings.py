"""Does `models check --labelled` find how a network's images are read? Ten networks whose settings are removed.

    python -m tests.benchmarks.readings [--data FOLDER] [--each N] [--overlap X] [--json FILE]

Small networks are trained in seconds on images made here, each with another reading of their pixels: colours in the
order red, green, blue or the other way round, values of 0 to 1, -1 to 1 or 0 to 255, ImageNet's mean and std, the
images' own, inverted, the centre or all of an image. With FOLDER (`idc/patches.zip` and `brain_mri/slices.zip`, which
the models' `train.py` read) two of the ten are the bundled ones for breast tissue and for brains. Every setting is then
removed, and the readings are ranked on N images of each class; the small networks have not seen theirs before.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import ROOT, say, settle_environment, table, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from engine.bundle.specs import InputSpec
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier

    Pictures = tuple[list[NDArray[np.uint8]], list[int]]

SIDE = 32
STEPS = 160


@dataclass(frozen=True)
class Case:
    """A network to train: its name, the reading that it is trained with in words, and what that is.

    Attributes:
        values: `InputSpec`'s fields; a mean of None stands for the training images' own mean and std.
        norm: whether it has batch normalisation.
        shape: height and width of the images.
    """

    name: str
    reading: str
    values: dict[str, Any]
    channels: int = 3
    norm: bool = True
    shape: tuple[int, int] = (SIDE, SIDE)


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
HALF = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
CASES = (
    Case("as they are", "RGB, 0..1", {}),
    Case("torchvision's", "RGB, ImageNet's mean and std", IMAGENET),
    Case("OpenCV's, not divided", "BGR, 0..255", {"colour_order": "bgr", "value_range": (0.0, 255.0)}),
    Case(
        "Keras's VGG",
        "BGR, 0..255 less ImageNet's mean",
        {"colour_order": "bgr", "value_range": (0.0, 255.0), "mean": (103.939, 116.779, 123.68)},
    ),
    Case("-1 to 1, no norm", "RGB, -1..1", HALF, norm=False),
    Case("own mean, OpenCV's", "BGR, these images' own mean and std", {"colour_order": "bgr", "mean": None}),
    Case("inverted grey", "grey, inverted, 0..1", {"value_range": (1.0, 0.0)}, channels=1),
    Case("centre, torchvision's", "RGB, ImageNet's mean and std, crop", {**IMAGENET, "resize": "crop"}, shape=(32, 56)),
    Case("own mean, no norm", "RGB, these images' own mean and std", {"mean": None}, norm=False),
    Case("grey, -1 to 1", "grey, -1..1", {"mean": (0.5,), "std": (0.5,)}, channels=1, norm=False),
)


def pictures(
    count: int, seed: int, *, channels: int = 3, shape: tuple[int, int] = (SIDE, SIDE), overlap: float = 1.0
) -> Pictures:
    """Make images of three classes: a blob on tissue, whose colour, brightness and size overlap between the classes.

    Beside the centre of a wide image lie blobs that mean nothing.

    Args:
        count: how many.
        seed: of their random numbers.
        channels: 1 or 3.
        shape: height and width.
        overlap: how much the classes overlap; at 0 they differ in nothing else.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    height, width = shape
    y, x = np.mgrid[0:height, 0:width]
    made, labels = [], []
    tissue = np.array([0.82, 0.62, 0.72])
    blobs = np.array([[0.72, 0.36, 0.40], [0.45, 0.38, 0.72], [0.60, 0.50, 0.55]])
    for number in range(count):
        label = number % 3
        picture = tissue + 0.05 * rng.standard_normal(3) + 0.06 * rng.standard_normal((height, width, 3))
        places = [(height / 2 + rng.normal(0, 3), width / 2 + rng.normal(0, 3), label)]
        if width > height:
            places += [(height / 2, side, int(rng.integers(3))) for side in (5, width - 6)]
        for row, column, kind in places:
            size = rng.uniform(3.5, 7.0)
            mask = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * size**2))[..., None]
            colour = blobs[kind] + 0.11 * overlap * rng.standard_normal(3)
            if channels == 1:
                colour = np.array([0.62, 0.45, 0.30])[kind] + 0.07 * overlap * rng.standard_normal(1)
            picture = picture * (1 - mask) + colour * mask
        if channels == 1:
            picture = picture.mean(2, keepdims=True)
        made.append((picture.clip(0, 1) * 255).round().astype(np.uint8))
        labels.append(label)
    return made, labels


def small_network(channels: int, *, norm: bool) -> nn.Module:
    """Three convolutions and a dense layer."""
    from torch import nn

    def stage(before: int, after: int) -> list[nn.Module]:
        return [
            nn.Conv2d(before, after, 3, padding=1),
            *([nn.BatchNorm2d(after)] if norm else []),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]

    return nn.Sequential(
        *stage(channels, 12), *stage(12, 24), *stage(24, 24), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 3)
    )


def true_spec(case: Case, images: Sequence[NDArray[np.uint8]]) -> InputSpec:
    """The reading that a case is trained with."""
    import numpy as np

    from engine.bundle.specs import InputSpec

    plain = InputSpec(
        size=(SIDE, SIDE), channels=case.channels, mean=(0.0,) * case.channels, std=(1.0,) * case.channels
    )
    values = dict(case.values)
    if values.get("mean", 0) is None:
        pixels = np.concatenate([image.reshape(-1, case.channels) for image in images]) / 255
        turn = slice(None, None, -1) if values.get("colour_order") == "bgr" else slice(None)
        values |= {"mean": tuple(pixels.mean(0)[turn]), "std": tuple(pixels.std(0)[turn])}
    return replace(plain, **values)


def trained(case: Case, seed: int, *, overlap: float = 1.0) -> nn.Module:
    """A network trained with the case's reading."""
    import numpy as np
    import torch

    from engine.images.image import MedicalImage
    from engine.images.preprocessing import network_input

    images, labels = pictures(360, seed, channels=case.channels, shape=case.shape, overlap=overlap)
    spec = true_spec(case, images)
    fed = torch.from_numpy(np.stack([network_input(MedicalImage.from_array(image), spec) for image in images]))
    targets = torch.tensor(labels)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = small_network(case.channels, norm=case.norm)
        # As people do where values are large: a rate that learns at all.
        optimiser = torch.optim.Adam(network.parameters(), lr=3e-3 if case.norm else 2e-3)
        for _ in range(STEPS):
            rows = torch.randint(0, len(fed), (48,))
            loss = torch.nn.functional.cross_entropy(network(fed[rows]), targets[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


def without_settings(network: nn.Module, channels: int, size: tuple[int, int], classes: int) -> Classifier:
    """The network with nothing but the size of its input."""
    from types import MappingProxyType

    from engine.bundle.model_bundle import ModelBundle
    from engine.bundle.specs import ExplainSpec, InputSpec, OutputSpec
    from engine.network.classifier import Classifier

    path = Path("a task") / "a model"
    spec = InputSpec(size=size, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)
    bundle = ModelBundle(
        task="a task",
        name="a model",
        path=path,
        weights=path / "weights.pt",
        architecture=path / "architecture.py",
        input=spec,
        output=OutputSpec(classes=tuple(f"class {place}" for place in range(classes))),
        explain=ExplainSpec(),
        assumed=(),
        description="",
        picture=None,
        samples=None,
        notes=MappingProxyType({}),
        digest="0" * 64,
    )
    return Classifier(bundle, network)


def ranked(classifier: Classifier, images: Sequence[MedicalImage], labels: Sequence[int], truth: str) -> dict[str, Any]:
    """Where the true reading stands, and what is said."""
    from engine.authoring.readings import judge, plausible_readings

    started = time.perf_counter()
    readings = plausible_readings(classifier.bundle.input, images)
    verdict = judge(classifier, readings, images, labels)
    names = [(judged.reading.said, *judged.reading.alike) for judged in verdict.ranked]
    place = next((place for place, said in enumerate(names, start=1) if truth in said), 0)
    found = verdict.ranked[place - 1]
    return {
        "truth": truth,
        "place": place,
        "of": len(names),
        "probability": round(found.probability, 3),
        "right": f"{found.right}/{verdict.images}",
        "first": names[0][0] if place != 1 else "",
        "told": verdict.told,
        "rivals": len(verdict.rivals),
        "kept": place > 0 and not found.excluded,
        "seconds": round(time.perf_counter() - started, 1),
    }


def small_cases(each: int, cases: Sequence[Case] = CASES, *, overlap: float = 1.0) -> Iterator[dict[str, Any]]:
    """Train and rank the small networks."""
    from engine.images.image import MedicalImage

    for seed, case in enumerate(cases):
        network = trained(case, seed, overlap=overlap)
        images, labels = pictures(3 * each, 1000 + seed, channels=case.channels, shape=case.shape, overlap=overlap)
        classifier = without_settings(network, case.channels, (SIDE, SIDE), 3)
        yield {
            "network": case.name,
            **ranked(classifier, [MedicalImage.from_array(image) for image in images], labels, case.reading),
        }


def bundled_cases(data: Path, each: int) -> Iterator[dict[str, Any]]:
    """Rank the readings of the two bundled networks that have data, whose images are read with their own mean."""
    import numpy as np
    from PIL import Image

    from engine.bundle.model_bundle import read_bundle
    from engine.images.image import MedicalImage
    from engine.network.classifier import Classifier

    for folder, archive, labelled, truth in (
        ("HIS Breast Cancer/Paper CNN", "idc/patches.zip", _idc, "RGB, these images' own mean and std"),
        ("Brain Tumour MRI/Narrow ResNet", "brain_mri/slices.zip", _mri, "grey, these images' own mean and std"),
    ):
        classifier = Classifier.load(read_bundle(ROOT / "tasks" / folder), device="cpu")
        bundle = classifier.bundle
        count = bundle.input.channels
        bare = replace(bundle.input, mean=(0.0,) * count, std=(1.0,) * count)
        with zipfile.ZipFile(data / archive) as files:
            names = [
                (name, label) for name in sorted(files.namelist()) if (label := labelled(name, classifier.classes))
            ]
            images, labels = [], []
            for place, wanted in enumerate(classifier.classes):
                of_class = [name for name, label in names if label == wanted]
                for row in np.linspace(0, len(of_class) - 1, each).astype(int):
                    picture = Image.open(io.BytesIO(files.read(of_class[row]))).convert("L" if count == 1 else "RGB")
                    pixels = np.asarray(picture)
                    images.append(MedicalImage.from_array(pixels))
                    labels.append(place)
        classifier.bundle = replace(bundle, input=bare)
        yield {"network": folder.rpartition("/")[2], **ranked(classifier, images, labels, truth)}


def _idc(name: str, classes: Sequence[str]) -> str:
    return classes[int(name.removesuffix(".png")[-1])] if name.endswith(".png") else ""


def _mri(name: str, classes: Sequence[str]) -> str:
    return name.partition("/")[0] if name.endswith(".jpg") else ""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="with the bundled models' data")
    parser.add_argument("--each", type=int, default=16, metavar="N", help="images of each class (default: 16)")
    parser.add_argument("--overlap", type=float, default=1.0, metavar="X", help="of the classes made here (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    settle_environment()
    rows = list(bundled_cases(arguments.data, arguments.each)) if arguments.data else []
    rows += list(small_cases(arguments.each, CASES[: 10 - len(rows)], overlap=arguments.overlap))
    columns = ("network", "truth", "place", "of", "probability", "right", "told", "rivals", "kept", "first", "seconds")
    say(table(columns, [[str(row[column]) for column in columns] for row in rows]))
    first = sum(row["place"] == 1 for row in rows)
    kept = sum(row["kept"] for row in rows)
    say(f"The true reading ranks first in {first} of {len(rows)}; it is never excluded in {kept}.")
    if arguments.json:
        write_json(arguments.json, {"networks": rows, "first": first})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
