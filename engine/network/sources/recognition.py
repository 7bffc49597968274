"""Which named network a file's tensors belong to: told by their names and shapes, and only where that is certain.

The network is built without memory (torch's device "meta"), and the arguments that decide shapes are read off the
weights: the number of classes, of channels, and the size that a position table is made for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from engine.bundle.checks import source as checked_source
from engine.bundle.keys import WrongValueError
from engine.bundle.specs import NetworkSpec, Plain
from engine.checkpoints.matching import Match, Mismatch, Shapes, match, without_wrappers
from engine.errors import BundleError
from engine.network.sources.named import build_named

_UNLIKELY = 9973
"""A number of classes that no other size of a network equals: it marks the head."""

_MOST_HEADS = 6


@dataclass(frozen=True, slots=True)
class Fitted:
    """A named network that a file's tensors fit.

    Attributes:
        spec: its source, with the arguments read off the weights.
        match: how the tensors fill it.
        outputs: how many outputs its head has; None if none of its arguments decides it.
        channels: how many channels it takes.
        size: (height, width) that its position table is made for; None where it has none.
    """

    spec: NetworkSpec
    match: Match
    outputs: int | None
    channels: int
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class _Arguments:
    """The names of the arguments that decide shapes, empty where a network has none."""

    classes: str = "num_classes"
    channels: str = ""
    size: str = ""


def fit_named(source: str, given: Shapes, subject: str) -> Fitted | Mismatch:
    """Fit a file's tensors to a named network, with the arguments that they tell.

    Args:
        source: package and name, as `torchvision:resnet18`.
        given: the shapes of the file's tensors by their names.
        subject: for errors.

    Raises:
        BundleError: there is no such network, its package is not installed, or it cannot be built.
    """
    try:
        checked_source(source)
    except WrongValueError as error:
        raise BundleError(str(error), subject=subject, remedy="name it as torchvision:resnet18") from error
    known = _arguments_of(source)
    channels = _channels(given)
    arguments: dict[str, Plain] = {known.classes: _UNLIKELY}
    if known.channels and (channels != 3 or source.startswith("monai:")):
        arguments[known.channels] = channels
    shapes = _shapes(source, arguments, subject)
    size = None
    if (table := _position_table(shapes, given)) is not None and known.size:
        side, old = table
        size = (side, side)
        if side != old:
            arguments[known.size] = side
            shapes = _shapes(source, arguments, subject)
    first: Mismatch | None = None
    for outputs in _outputs(shapes, given):
        expected = {
            name: tuple(outputs if side == _UNLIKELY else side for side in shape) for name, shape in shapes.items()
        }
        found = match(expected, given)
        if isinstance(found, Match):
            given_arguments = {**arguments, known.classes: outputs}
            return Fitted(NetworkSpec(source, given_arguments), found, outputs, _channels(shapes), size)
        if first is None or found.found > first.found:
            first = found
    return first or Mismatch("it has no tensors of a head", {}, {}, 0, len(shapes))


def recognise_network(given: Shapes, subject: str) -> tuple[Fitted, ...]:
    """Return the known networks that a file's tensors fit: one is certain, several are alike, none is unknown.

    torchvision's are preferred to timm's of the same structure.

    Args:
        given: the shapes of the file's tensors by their names.
        subject: for errors.
    """
    for package in ("torchvision", "timm"):
        fitted = []
        for source in candidates(given):
            if source.startswith(f"{package}:"):
                try:
                    found = fit_named(source, given, subject)
                except BundleError:  # the package is not installed, or this version lacks the network
                    continue
                if isinstance(found, Fitted):
                    fitted.append(found)
        if fitted:
            return tuple(fitted)
    return ()


def candidates(given: Shapes) -> tuple[str, ...]:
    """Return the sources of the known networks whose names look like a file's, the likeliest first."""
    names = {without_wrappers(name) for name in given}
    found: list[str] = []
    for pattern, sources in _FAMILIES:
        if any(pattern.search(name) for name in names):
            found += sources
    return tuple(dict.fromkeys(found))


def _family(pattern: str, package: str, names: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    return re.compile(rf"(^|\.){pattern}$"), tuple(f"{package}:{name}" for name in names.split())


_FAMILIES: Sequence[tuple[re.Pattern[str], tuple[str, ...]]] = (
    _family(
        r"layer1\.0\.conv1\.weight",
        "torchvision",
        "resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d "
        "wide_resnet50_2 wide_resnet101_2",
    ),
    _family(
        r"features\.denseblock1\.denselayer1\.norm\.?1\.weight",
        "torchvision",
        "densenet121 densenet161 densenet169 densenet201",
    ),
    _family(
        r"features\.0\.weight",
        "torchvision",
        "alexnet vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn squeezenet1_0 squeezenet1_1",
    ),
    _family(r"inception3a\.branch1\.conv\.weight", "torchvision", "googlenet"),
    _family(r"Mixed_5b\.branch1x1\.conv\.weight", "torchvision", "inception_v3"),
    _family(r"features\.1\.conv\.0\.0\.weight", "torchvision", "mobilenet_v2"),
    _family(r"features\.1\.block\.0\.0\.weight", "torchvision", "mobilenet_v3_small mobilenet_v3_large"),
    _family(
        r"features\.1\.0\.block\.0\.0\.weight",
        "torchvision",
        "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 "
        "efficientnet_b6 efficientnet_b7 efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l",
    ),
    _family(r"features\.1\.0\.layer_scale", "torchvision", "convnext_tiny convnext_small convnext_base convnext_large"),
    _family(r"features\.1\.0\.attn\.qkv\.weight", "torchvision", "swin_t swin_s swin_b swin_v2_t swin_v2_s swin_v2_b"),
    _family(r"encoder\.pos_embedding", "torchvision", "vit_b_16 vit_b_32 vit_l_16 vit_l_32 vit_h_14"),
    _family(
        r"stage2\.0\.branch1\.0\.weight",
        "torchvision",
        "shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0",
    ),
    _family(r"layers\.8\.0\.layers\.0\.weight", "torchvision", "mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3"),
    _family(
        r"trunk_output\.block1\.block1-0\.f\.a\.0\.weight",
        "torchvision",
        "regnet_y_400mf regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf regnet_y_16gf regnet_x_400mf "
        "regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf regnet_x_8gf regnet_x_16gf",
    ),
    _family(r"blocks\.0\.layers\.0\.layers\.MBconv\.layers\.conv_a\.0\.weight", "torchvision", "maxvit_t"),
    _family(
        r"layer1\.0\.conv1\.weight",
        "timm",
        "resnet18 resnet26 resnet34 resnet50 resnet101 resnet18d resnet26d resnet34d resnet50d resnet101d seresnet50 "
        "resnest50d skresnet18 skresnet34 ecaresnet50t",
    ),
    _family(r"features\.denseblock1\.denselayer1\.norm1\.weight", "timm", "densenet121 densenet169 densenet201"),
    _family(
        r"conv_stem\.weight",
        "timm",
        "efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 "
        "efficientnetv2_rw_t efficientnetv2_rw_s tf_efficientnetv2_s mobilenetv3_small_100 mobilenetv3_large_100 "
        "mobilenetv2_100 mnasnet_100 ghostnet_100",
    ),
    _family(
        r"blocks\.0\.attn\.qkv\.weight",
        "timm",
        "vit_tiny_patch16_224 vit_small_patch16_224 vit_base_patch16_224 vit_large_patch16_224 vit_small_patch32_224 "
        "vit_base_patch32_224 deit_tiny_patch16_224 deit_small_patch16_224 deit_base_patch16_224 "
        "deit3_small_patch16_224 deit3_base_patch16_224",
    ),
    _family(
        r"layers\.0\.blocks\.0\.attn\.qkv\.weight",
        "timm",
        "swin_tiny_patch4_window7_224 swin_small_patch4_window7_224 swin_base_patch4_window7_224",
    ),
    _family(
        r"stages\.0\.blocks\.0\.conv_dw\.weight",
        "timm",
        "convnext_atto convnext_femto convnext_pico convnext_nano convnext_tiny convnext_small convnext_base "
        "convnextv2_atto convnextv2_femto convnextv2_nano convnextv2_tiny convnextv2_base",
    ),
)
"""Names of tensors that tell a family of networks, and the networks of it that people use."""


def _arguments_of(source: str) -> _Arguments:
    package, _, name = source.partition(":")
    if package == "torchvision":
        return _Arguments(size="image_size" if name.startswith("vit_") else "")
    if package == "timm":
        return _Arguments(channels="in_chans", size="img_size")
    if name.startswith("DenseNet"):
        return _Arguments("out_channels", "in_channels")
    if name.startswith("resnet"):
        return _Arguments(channels="n_input_channels")
    return _Arguments(channels="in_channels")


def _shapes(source: str, arguments: Mapping[str, Plain], subject: str) -> dict[str, tuple[int, ...]]:
    spec = NetworkSpec(source, arguments)
    try:
        with torch.device("meta"):  # no memory is taken there, and nothing is computed
            network = build_named(spec, subject)
    except BundleError:  # some networks compute their own sizes with tensors (RegNet)
        network = build_named(spec, subject)
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _channels(shapes: Shapes) -> int:
    """Return how many channels a network takes, 3 or 1: a convolution of one channel a group has 1 too."""
    return 3 if any(len(shape) == 4 and shape[1] == 3 for shape in shapes.values()) else 1


def _outputs(shapes: Shapes, given: Shapes) -> list[int]:
    """Return how many outputs a file's head may have, the likeliest first."""
    heads = {name: shape for name, shape in shapes.items() if _UNLIKELY in shape}
    others = Counter(shape for name, shape in shapes.items() if name not in heads)
    found: list[int] = []
    for loosely in (False, True):
        for name, shape in heads.items():
            for other, size in given.items():
                alike = len(size) == len(shape) and all(
                    wanted in (_UNLIKELY, side) for wanted, side in zip(shape, size, strict=True)
                )
                named = without_wrappers(other).endswith(name)
                if alike and (named or (loosely and len(shape) > 1 and not others[size])):
                    found.append(size[shape.index(_UNLIKELY)])
    return list(dict.fromkeys(found))[:_MOST_HEADS]


def _position_table(shapes: Shapes, given: Shapes) -> tuple[int, int] | None:
    """Return the side of the images that a file's position table is made for, and that of the network's own table."""
    name = next((name for name in shapes if name.rpartition(".")[2] in ("pos_embed", "pos_embedding")), None)
    if name is None or len(shapes[name]) != 3:
        return None
    theirs = next((shape for other, shape in given.items() if other.endswith(name)), None)
    patch = next((shape[-1] for shape in shapes.values() if len(shape) == 4), None)
    if theirs is None or len(theirs) != 3 or patch is None:
        return None
    length = shapes[name][1]
    grid = int(length**0.5)
    more = length - grid * grid  # tokens that are no patches
    new = int(max(theirs[1] - more, 0) ** 0.5)
    if new < 1 or new * new + more != theirs[1]:
        return None
    return new * patch, grid * patch
