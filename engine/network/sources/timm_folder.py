"""A folder of timm, as its hub keeps models: `config.json` with the architecture's name, and `model.safetensors`."""

from __future__ import annotations

from pathlib import Path

from engine.bundle.checks import arguments as checked
from engine.bundle.checks import source as checked_source
from engine.bundle.keys import WrongValueError
from engine.bundle.specs import NetworkSpec
from engine.errors import BundleError
from engine.network.sources.folders import DescribedFolder, json_object, texts, weights_in
from engine.network.sources.named import check_name
from engine.network.sources.preprocessing import of_timm

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def describe(folder: Path) -> DescribedFolder | None:
    """Return what the folder says of its model; None if it is no folder of timm.

    Raises:
        BundleError: see `engine.network.sources.folders.describe_folder`.
    """
    path = folder / "config.json"
    config = json_object(path)
    if config is None or not isinstance(name := config.get("architecture"), str):
        return None
    inner = config.get("pretrained_cfg")
    # An older form has these values beside the architecture.
    usual = inner if isinstance(inner, dict) else config
    count = config.get("num_classes", usual.get("num_classes"))
    given = dict(extra) if isinstance(extra := config.get("model_args"), dict) else {}
    if isinstance(count, int):
        given.setdefault("num_classes", count)
    shape = usual.get("input_size")
    if isinstance(shape, list) and len(shape) == 3:
        if shape[0] != 3:
            given.setdefault("in_chans", shape[0])
        if usual.get("fixed_input_size"):
            given.setdefault("img_size", shape[1:])
    try:
        spec = NetworkSpec(checked_source(f"timm:{name}"), checked(given))
    except WrongValueError as error:
        raise BundleError(f"its architecture and model_args {error}", subject=path, remedy="correct them") from error
    check_name(spec, path)
    classes = texts(config.get("label_names")) or texts(usual.get("label_names"))
    return DescribedFolder(
        format="a folder of timm",
        network=spec,
        weights=weights_in(folder, _WEIGHTS),
        classes=classes if classes and len(classes) == count else None,
        multilabel=False,
        preprocessing=of_timm(spec, usual, "the folder's config.json"),
    )
