"""How many images the bundled models call unlike their training images: of patients not fitted, and of everything else.

    python -m tests.benchmarks.unlike --data FOLDER [--most N] [--json FILE]

FOLDER holds `idc/patches.zip` and `brain_mri/slices.zip`, which the models' `train.py` read. Each model's `fit.npz` is
tried with images of patients that it was not made from, with these a little changed (JPEG, brighter, darker, blurred,
twice as large), and with images that are none of its business: the other tasks', tumour masks, blanks, noise,
photographs. An image that the model refuses counts as flagged, and is counted in a column of its own, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.common import ROOT, say, settle_environment, table, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.network.classifier import Classifier

Pictures = Sequence[tuple[str, "NDArray[np.uint8]"]]
"""Patient (or another name of what belongs together) and (H, W, C) pixels."""

MODELS = {
    "HIS": ROOT / "tasks" / "HIS Breast Cancer" / "Paper CNN",
    "MRI": ROOT / "tasks" / "Brain Tumour MRI" / "Narrow ResNet",
    "MRI, plain": ROOT / "tasks" / "Brain Tumour MRI" / "Narrow ResNet, plain",
    "IHC": ROOT / "tasks" / "IHC Stain (demo)" / "Small CNN",
}
"""Folders by the task's short name, and what tells the model from the task's others."""
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "moon", "page", "rocket", "text")
CHANGES = ("JPEG 90", "10 % darker", "10 % brighter", "blurred by 0.5", "twice as large")


@contextmanager
def script_of(model: Path, script: str = "train.py") -> Iterator[ModuleType]:
    """A script of a bundled model's training as a module: it knows how the data was split."""
    name = "train_" + "".join(filter(str.isalnum, model.name))
    spec = importlib.util.spec_from_file_location(name, model / script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up there
    sys.path.insert(0, str(model))
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(model))
        sys.modules.pop("architecture", None)


def unseen(data: Path, tasks: Collection[str] = MODELS) -> tuple[dict[str, Pictures], Pictures]:
    """The images of patients (areas, for the demo) that no `fit.npz` was made from, by task; and tumour masks."""
    import numpy as np

    found: dict[str, Pictures] = {}
    masks: Pictures = ()
    if "HIS" in tasks:
        with script_of(MODELS["HIS"], "patches.py") as split:
            patches = split.read_patches(data / "idc" / "patches.zip")
            rows = split.split(patches.patients, 0).test
            found["HIS"] = [(str(patches.patients[row]), patches.rgb[row].transpose(1, 2, 0)) for row in rows]
    if "MRI" in tasks:
        with script_of(MODELS["MRI"]) as train:
            slices = train.read_slices(data / "brain_mri" / "slices.zip")
            test = slices.of(train.split_patients(slices)["test"])
            found["MRI"] = [
                (patient, pixels[..., None]) for patient, pixels in zip(test.patients, test.pixels, strict=True)
            ]
            masks = [
                (patient, mask[..., None].astype(np.uint8) * 255)
                for patient, mask in zip(test.patients, test.masks, strict=True)
            ]
    if "IHC" in tasks:
        with script_of(MODELS["IHC"]) as train:
            picture = train.data.immunohistochemistry()
            area = train.cut_patches(picture, train.stain_truth(picture), "test", train.STRIDE)
            found["IHC"] = [
                (f"rows from {y // 85 * 85}", p) for (y, _), p in zip(area.corners, area.pixels, strict=True)
            ]
    return found, masks


def none_of_its_business() -> dict[str, Pictures]:
    """Blanks, noise and photographs; all made here or by scikit-image."""
    import numpy as np
    from skimage import data

    rng = np.random.default_rng(0)
    sizes = [(side, channels) for side in (48, 50, 100, 160, 256, 512) for channels in (1, 3)]
    blanks = [np.full((96, 96, channels), level) for level in (0, 64, 128, 192, 255) for channels in (1, 3)]
    means = [np.full((50, 50, 3), (201, 158, 184)), np.full((50, 50, 3), (217, 217, 222)), np.full((50, 50, 1), 40)]
    uniform = [rng.integers(0, 256, (side, side, channels)) for side, channels in sizes for _ in range(2)]
    normal = [
        rng.normal(mean, spread, (side, side, channels)).clip(0, 255)
        for side, channels in sizes
        for mean, spread in ((128, 20), (128, 50), (180, 30), (40, 42))
    ]
    stained = [
        rng.normal(mean, spread, (side, side, 3)).clip(0, 255)
        for side in (48, 100, 200)
        for mean, spread in (((201, 158, 184), (40, 56, 40)), ((217, 217, 222), (51, 56, 64)))
    ]
    photographs = [np.atleast_3d(getattr(data, name)()) for name in PHOTOGRAPHS]
    crops = [
        picture[y : y + side, x : x + side]
        for picture in photographs
        for side in (50, 100, 150)
        for y, x in rng.integers(0, min(picture.shape[:2]) - side, (4, 2))
    ]
    sets = {
        "blanks": blanks,
        "blanks of the mean colours": means,
        "uniform noise": uniform,
        "Gaussian noise": normal,
        "noise of the stains' colours": stained,
        "photographs": photographs,
        "pieces of photographs": crops,
    }
    return {name: [("", np.asarray(p, dtype=np.uint8)) for p in pictures] for name, pictures in sets.items()}


def changed(pictures: Pictures, how: str) -> Pictures:
    """Pictures after an everyday change."""
    import numpy as np
    from PIL import Image, ImageEnhance, ImageFilter

    def by_jpeg(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=90)
        return Image.open(buffer)

    ways: Mapping[str, Callable[[Image.Image], Image.Image]] = {
        "JPEG 90": by_jpeg,
        "10 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
        "10 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
        "blurred by 0.5": lambda image: image.filter(ImageFilter.GaussianBlur(0.5)),
        "twice as large": lambda image: image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC),
    }
    images = [
        (name, Image.fromarray(p[..., 0] if p.shape[2] == 1 else np.ascontiguousarray(p))) for name, p in pictures
    ]
    return [(name, np.atleast_3d(np.asarray(ways[how](image)))) for name, image in images]


def flagged(model: Classifier, pictures: Pictures) -> dict[str, Any]:
    """How many of the pictures get the warning or are refused, and the share of the patient with the most."""
    import numpy as np

    from engine.authoring.fit_images import look_at
    from engine.errors import NotCompliantError
    from engine.images.image import MedicalImage
    from engine.network.familiarity import distances

    assert model.fit is not None
    taken, refused = [], 0
    for name, pixels in pictures:
        image = MedicalImage.from_array(pixels)
        try:
            model.tensor(image)
        except NotCompliantError:
            refused += 1
        else:
            taken.append((image, name))
    beyond, groups = np.zeros(0, dtype=bool), np.zeros(0, dtype=str)
    if taken:
        looks = look_at(model, taken)
        beyond, groups = distances(model.fit, looks.numbers, looks.features).beyond, np.asarray(looks.groups)
    return {
        "images": len(pictures),
        "flagged": (refused + int(beyond.sum())) / len(pictures),
        "refused": refused / len(pictures),
        "worst": max((float(beyond[groups == name].mean()) for name in np.unique(groups)), default=0.0),
        "patients": len(np.unique(groups)),
    }


def spread(pictures: Pictures, most: int) -> Pictures:
    """At most so many of the pictures, evenly chosen."""
    return [pictures[row * len(pictures) // most] for row in range(most)] if len(pictures) > most else pictures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with idc/patches.zip and brain_mri/slices.zip")
    parser.add_argument("--most", type=int, default=400, metavar="N", help="most images of each set but the patients'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    settle_environment()
    from engine.bundle.model_bundle import read_bundle
    from engine.network.classifier import Classifier

    patients, masks = unseen(arguments.data)
    rest, results = none_of_its_business(), {}
    for name, folder in MODELS.items():
        model = Classifier.load(read_bundle(folder), device="cpu")
        assert model.fit is not None
        task = name.partition(",")[0]
        own, few = patients[task], spread(patients[task], arguments.most)
        sets: dict[str, Pictures] = {"patients not fitted": own}
        sets |= {f"  {how}": changed(few, how) for how in CHANGES}
        sets |= {
            f"{other}'s images": spread(images, arguments.most) for other, images in patients.items() if other != task
        }
        sets |= {"tumour masks": spread(masks, arguments.most), **rest}
        found = {title: flagged(model, pictures) for title, pictures in sets.items()}
        results[name] = found
        say(f"{name}: fitted to {model.fit.made_from}")
        head = ("images", "number", "flagged %", "of them refused %", "worst patient %")
        rows = [
            (title, row["images"], *(100 * row[key] for key in ("flagged", "refused")), 100 * row["worst"])
            for title, row in found.items()
        ]
        say(table(head, [row if row[0] in ("patients not fitted",) else (*row[:4], None) for row in rows]), "")
    if arguments.json:
        write_json(arguments.json, results)


if __name__ == "__main__":
    main()
