"""A folder of transformers: `config.json`, `preprocessor_config.json` and `model.safetensors`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.bundle.specs import NetworkSpec, Resize
from engine.errors import BundleError
from engine.network.sources.folders import DescribedFolder, json_object, texts, weights_in
from engine.network.sources.hugging_face import CLASSES, config_of
from engine.network.sources.preprocessing import Preprocessing
from engine.storage.reading import read_limited

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_PREPROCESSOR = "preprocessor_config.json"
_IMAGENET_STANDARD = (0.5, 0.5, 0.5)


def describe(folder: Path) -> DescribedFolder | None:
    """Return what the folder says of its model; None if it is no folder of transformers.

    Raises:
        BundleError: see `engine.network.sources.folders.describe_folder`.
    """
    path = folder / "config.json"
    if (config := json_object(path)) is None or "model_type" not in config:
        return None
    config = config_of(read_limited(path, 10_000_000), path)
    name = CLASSES[str(config["model_type"])]
    made = config.get("architectures")
    if isinstance(made, list) and made and name not in made:
        raise BundleError(
            f"its weights are those of {made[0]}, and not of an image classifier",
            subject=path,
            remedy="save the model with its classifier",
        )
    classes = texts(config.get("id2label"))
    if classes and all(label == f"LABEL_{at}" for at, label in enumerate(classes)):
        classes = None  # transformers makes these up
    described = json_object(folder / _PREPROCESSOR)
    notes = () if described else (f"There is no {_PREPROCESSOR}, so how images are fed is not known.",)
    return DescribedFolder(
        format="a folder of transformers",
        network=NetworkSpec(f"transformers:{name}"),
        weights=weights_in(folder, _WEIGHTS),
        classes=classes,
        multilabel=config.get("problem_type") == "multi_label_classification",
        preprocessing=_preprocessing(described, config) if described else None,
        files={"config.json": path},
        notes=notes,
    )


def _preprocessing(described: Mapping[str, object], config: Mapping[str, object]) -> Preprocessing:
    """Return what a `preprocessor_config.json` says, by the meaning that transformers gives to its keys."""
    notes: list[str] = []
    size, resize = described.get("size"), "stretch"
    shorter = _number(size, "shortest_edge")
    if shorter is not None:
        resize = "crop"
    height, width = _number(size, "height") or shorter, _number(size, "width") or shorter
    if height is None and isinstance(size, int):
        height = width = size
    crop = described.get("crop_size")
    if described.get("do_center_crop") and crop is not None:
        cut = _number(crop, "height") or (crop if isinstance(crop, int) else None)
        if cut is not None:
            if height is not None and cut < height:
                notes.append(
                    f"transformers shows the network the middle {cut / height:.1%} of the image; XAIMed shows all of "
                    "its shorter side."
                )
            height = width = cut
            resize = "crop"
    if height is None or width is None:
        trained = config.get("image_size")
        height = width = trained if isinstance(trained, int) else 224
        notes.append(f"The folder does not say the size of the input: {height} x {width} is assumed.")
    factor = described.get("rescale_factor", 1 / 255)
    scale = float(factor) * 255 if isinstance(factor, int | float) else 1.0
    low, high = (0.0, round(scale, 6)) if described.get("do_rescale", True) else (0.0, 255.0)
    if described.get("rescale_offset"):
        low, high = low - 1, high - 1
    normalised = bool(described.get("do_normalize", True))
    mean, std = described.get("image_mean"), described.get("image_std")
    means = _triple(mean, _IMAGENET_STANDARD) if normalised else (0.0, 0.0, 0.0)
    stds = _triple(std, _IMAGENET_STANDARD) if normalised else (1.0, 1.0, 1.0)
    if normalised and (mean is None or std is None):
        notes.append("The folder does not say mean and std: transformers' usual 0.5 is assumed.")
    if described.get("resample") == 3:
        notes.append("transformers resizes with a bicubic filter, XAIMed with a bilinear one.")
    kind: Resize = "crop" if resize == "crop" else "stretch"
    return Preprocessing(
        (height, width),
        means,
        stds,
        kind,
        f"the folder's {_PREPROCESSOR}",
        colour_order="bgr" if described.get("do_flip_channel_order") else "rgb",
        value_range=(low, high),
        notes=tuple(notes),
    )


def _number(value: object, key: str) -> int | None:
    side = value.get(key) if isinstance(value, dict) else None
    return side if isinstance(side, int) and side > 0 else None


def _triple(value: object, usual: tuple[float, ...]) -> tuple[float, ...]:
    if isinstance(value, list) and len(value) in (1, 3) and all(isinstance(one, int | float) for one in value):
        return tuple(float(one) for one in value)
    return usual
