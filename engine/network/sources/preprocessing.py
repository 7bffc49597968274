"""How the makers of a named network feed it, as torchvision and timm describe it: for the `[input]` of a new model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.bundle.specs import ColourOrder, NetworkSpec, Plain, Resize
from engine.network.sources.named import check_name, import_package

_UNIT = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a network is fed, as a package or a file of its makers says.

    Attributes:
        size: (height, width) in pixels.
        mean, std: one number for each channel, 1 or 3.
        resize: as in `InputSpec`.
        origin: who says so, as a clause: `timm's description of resnet18.a1_in1k`.
        colour_order, value_range: as in `InputSpec`.
        arguments: arguments of the network without which this preprocessing would not be right.
        notes: a sentence for each way in which XAIMed differs from what is described.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize
    origin: str
    colour_order: ColourOrder = "rgb"
    value_range: tuple[float, float] = _UNIT
    arguments: Mapping[str, Plain] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, object]:
        """The keys of `[input]` that say this, by their names, in the order of the section."""
        unusual: dict[str, object] = {}
        if self.colour_order != "rgb":
            unusual["colour_order"] = self.colour_order
        if self.value_range != _UNIT:
            unusual["value_range"] = self.value_range
        return {
            "size": self.size,
            "channels": len(self.mean),
            "resize": self.resize,
            "mean": self.mean,
            "std": self.std,
            **unusual,
        }


def default_preprocessing(spec: NetworkSpec, subject: str | Path) -> Preprocessing | None:
    """Return how the weights that a network's makers publish are fed; whoever trained it anew may do otherwise.

    Nothing is downloaded, and no network is built.

    Args:
        spec: the source, and the arguments with which it is built: these may change size and channels.
        subject: what errors are about.

    Returns:
        None for packages that do not describe it: MONAI, and transformers, where a file of the model's folder does.

    Raises:
        BundleError: the package is not installed, or has no such network.
    """
    check_name(spec, subject)
    module = import_package(spec.package, subject)
    if spec.package == "torchvision":
        return _of_torchvision(spec, module.get_model_weights(spec.name).DEFAULT.transforms())
    if spec.package == "timm":
        return of_timm(spec, module.get_pretrained_cfg(spec.name).to_dict(), f"timm's description of {spec.name}")
    return None


def _of_torchvision(spec: NetworkSpec, preset: object) -> Preprocessing:
    # The presets have no common type; these are the attributes of `ImageClassification`, which all networks here use.
    crop, shorter = _side(getattr(preset, "crop_size", 224)), _side(getattr(preset, "resize_size", 256))
    notes = _cut(crop / shorter, "torchvision") + _filter(str(getattr(preset, "interpolation", "")), "torchvision")
    arguments: dict[str, Plain] = {}
    if spec.name in ("googlenet", "inception_v3"):
        arguments["transform_input"] = True
        notes += (
            "torchvision's own weights, and those fine-tuned from them, need transform_input = true; set it to false "
            "if the network was trained from scratch.",
        )
    mean, std = _in_channels(spec, getattr(preset, "mean", ()), getattr(preset, "std", ()))
    return Preprocessing(
        _size(spec, (crop, crop)),
        mean,
        std,
        "crop",
        f"torchvision's description of {spec.name}",
        arguments=arguments,
        notes=notes,
    )


def of_timm(spec: NetworkSpec, config: Mapping[str, object], origin: str) -> Preprocessing:
    """Return what a configuration of timm says, its own or that of a folder."""
    channels, height, width = _shape(config.get("input_size"))
    mode = config.get("crop_mode") or "center"
    fraction = config.get("crop_pct")
    notes = _filter(str(config.get("interpolation", "")), "timm")
    if mode == "center" and isinstance(fraction, int | float):
        notes = _cut(float(fraction), "timm") + notes
    means, stds = _in_channels(spec, config.get("mean"), config.get("std"))
    if len(means) == 1 and len(_numbers(config.get("mean"))) == 3:
        notes += ("Mean and std are the averages of those of the three colours.",)
    if len(means) not in (1, 3) or len(means) != len(stds):
        means, stds = (0.0,) * channels, (1.0,) * channels
        notes += (f"{origin[:1].upper()}{origin[1:]} gives no mean and std: values in [0, 1] are assumed.",)
    resize: Resize = "stretch" if mode == "squash" else "fit" if mode == "border" else "crop"
    return Preprocessing(_size(spec, (height, width)), means, stds, resize, origin, notes=notes)


def _shape(value: object) -> tuple[int, int, int]:
    """Return (channels, height, width); timm's usual ones if the value is something else."""
    match value:
        case [int(channels), int(height), int(width)] if channels in (1, 3):
            return channels, height, width
    return 3, 224, 224


def _size(spec: NetworkSpec, usual: tuple[int, int]) -> tuple[int, int]:
    """Return the size that the arguments ask for, else the usual one."""
    for name in ("img_size", "image_size", "input_size"):
        match spec.arguments.get(name):
            case bool():
                continue
            case int(side):
                return side, side
            case (int(height), int(width)):
                return height, width
    return usual


def _in_channels(spec: NetworkSpec, mean: object, std: object) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std for the network's channels: for one channel the mean of those of three."""
    means, stds = _numbers(mean), _numbers(std)
    if spec.arguments.get("in_chans") == 1 and len(means) == len(stds) == 3:
        return (round(sum(means) / 3, 6),), (round(sum(stds) / 3, 6),)
    return means, stds


def _numbers(value: object) -> tuple[float, ...]:
    if isinstance(value, Sequence) and all(isinstance(number, int | float) for number in value):
        return tuple(float(number) for number in value)
    return ()


def _side(value: object) -> int:
    first = value[0] if isinstance(value, Sequence) else value
    return int(first) if isinstance(first, int | float) else 224


def _cut(fraction: float, who: str) -> tuple[str, ...]:
    if fraction >= 1:
        return ()
    return (f"{who} shows the network the middle {fraction:.1%} of the image; XAIMed shows all of its shorter side.",)


def _filter(name: str, who: str) -> tuple[str, ...]:
    if "bicubic" not in name.lower():
        return ()
    return (f"{who} resizes with a bicubic filter, XAIMed with a bilinear one.",)
