"""A MONAI bundle: `configs/metadata.json`, a configuration that names the network's class, and `models/model.pt`.

The configuration of a MONAI bundle can hold expressions (`$...`) and the names of any Python object. Neither is ever
evaluated: the class must be one of `engine.network.sources.named`, and its arguments plain values or references
(`@name`) to plain values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from engine.bundle.checks import arguments as checked
from engine.bundle.keys import WrongValueError
from engine.bundle.specs import NetworkSpec
from engine.errors import BundleError
from engine.network.sources.folders import DescribedFolder, json_object, texts, weights_in
from engine.network.sources.named import names_of
from engine.network.sources.preprocessing import Preprocessing

_CONFIGS = ("inference", "train", "evaluate")
_NETWORKS = ("network_def", "network", "model", "net")
_WEIGHTS = ("models/model.pt", "models/model.safetensors", "model.pt")
_OWN_KEYS = frozenset({"_target_", "_requires_", "_disabled_", "_desc_", "_mode_"})
_LEFT_OUT = frozenset({"pretrained", "progress"})
_MOST_STEPS = 10


def describe(folder: Path) -> DescribedFolder | None:
    """Return what the bundle says of its model; None if the folder is no MONAI bundle.

    Raises:
        BundleError: see `engine.network.sources.folders.describe_folder`.
    """
    place = folder / "configs" if (folder / "configs" / "metadata.json").is_file() else folder
    metadata = json_object(place / "metadata.json")
    if metadata is None or not metadata.keys() & {"monai_version", "network_data_format"}:
        return None
    path, config, definition = _definition(place)
    target = str(definition.get("_target_"))
    name = _our_name(target)
    if name is None:
        raise BundleError(
            f"its network is {target}, which is none of MONAI's networks for images that XAIMed builds",
            subject=path,
            remedy="write an architecture.py for it",
        )
    notes: list[str] = []
    given: dict[str, object] = {}
    for key, value in definition.items():
        if key in _OWN_KEYS:
            continue
        if key in _LEFT_OUT:
            notes.append(f"{key} of {path.name} is left out: the weights are those in the folder.")
            continue
        given[key] = _plain(value, config, path, key)
    if given.get("spatial_dims", 2) != 2:
        raise BundleError(
            f"its network takes volumes (spatial_dims = {given['spatial_dims']}), and XAIMed explains images",
            subject=path,
            remedy="use a network of two dimensions",
        )
    try:
        arguments = checked(given)
    except WrongValueError as error:
        raise BundleError(f"the arguments of its network {error}", subject=path, remedy="correct them") from error
    described = metadata.get("network_data_format")
    formats = described if isinstance(described, dict) else {}
    preprocessing = _preprocessing(_first(formats.get("inputs")))
    notes.append(f"The transforms of {path.name} are not read: check [input] against them.")
    return DescribedFolder(
        format="a MONAI bundle",
        network=NetworkSpec(f"monai:{name}", arguments),
        weights=weights_in(folder, _WEIGHTS),
        classes=texts(_first(formats.get("outputs")).get("channel_def")),
        multilabel=False,
        preprocessing=preprocessing,
        notes=tuple(notes),
    )


def _definition(place: Path) -> tuple[Path, Mapping[str, object], Mapping[str, object]]:
    """Return the file that defines the network, its content, and the definition."""
    seen = []
    for name in _CONFIGS:
        path = place / f"{name}.json"
        if (config := json_object(path)) is None:
            continue
        seen.append(path)
        for key in _NETWORKS:
            if isinstance(definition := config.get(key), dict) and "_target_" in definition:
                return path, config, definition
    if seen:
        raise BundleError(
            f"it names no class of the network ({', '.join(_NETWORKS)}), or only in an expression, and expressions are "
            "never evaluated",
            subject=seen[0],
            remedy="write an architecture.py for it",
        )
    raise BundleError(
        "there is no inference.json or train.json that names the network (YAML is not read)",
        subject=place,
        remedy="save one of them as JSON",
    )


def _our_name(target: str) -> str | None:
    """Return our name of a class, given bare or with the modules in which MONAI has it."""
    match = re.fullmatch(r"(?:monai\.networks\.nets\.(?:[a-z_0-9]+\.)?)?([A-Za-z0-9_]+)", target)
    by_lower = {name.lower(): name for name in names_of("monai")}  # MONAI has its classes in several spellings
    return by_lower.get(match[1].lower()) if match else None


def _plain(value: object, config: Mapping[str, object], path: Path, key: str) -> object:
    """Return a value, or the plain value to which it refers. Nothing is evaluated.

    Raises:
        BundleError: it is an expression, or refers to one or to nothing.
    """
    if isinstance(value, list):
        return [_plain(one, config, path, key) for one in value]
    for _ in range(_MOST_STEPS):
        if not (isinstance(value, str) and value.startswith("@")):
            break
        found: object = config
        for step in re.split(r"::|#", value[1:]):
            found = found.get(step) if isinstance(found, dict) else None
        value = found
    if value is None or (isinstance(value, str) and value[:1] in ("$", "@", "%")):
        shown = "nothing" if value is None else "a reference to itself" if value[:1] == "@" else f"{value[:60]}"
        raise BundleError(
            f"the network's argument {key} is {shown}, and expressions are never evaluated",
            subject=path,
            remedy="put the value itself in its place",
        )
    return value


def _first(formats: object) -> Mapping[str, object]:
    """Return the description of a network's first input or output; empty without one."""
    if isinstance(formats, dict):
        return next((each for each in formats.values() if isinstance(each, dict)), {})
    return {}


def _preprocessing(described: Mapping[str, object]) -> Preprocessing | None:
    """Return what the metadata say of the input; None if they do not say its size."""
    shape, channels = described.get("spatial_shape"), described.get("num_channels")
    if not (isinstance(shape, list) and len(shape) == 2 and all(isinstance(side, int) for side in shape)):
        return None
    count = channels if channels in (1, 3) and isinstance(channels, int) else 3
    limits = described.get("value_range")
    low, high = (0.0, 1.0)
    if isinstance(limits, list) and len(limits) == 2 and all(isinstance(end, int | float) for end in limits):
        low, high = float(limits[0]), float(limits[1])
    return Preprocessing(
        (shape[0], shape[1]),
        (0.0,) * count,
        (1.0,) * count,
        "stretch",
        "the bundle's metadata.json",
        value_range=(low, high) if low < high else (0.0, 1.0),
    )
