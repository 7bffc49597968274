"""Build an image classifier of transformers from the `config.json` in its folder: no code of the folder, no network.

The class must be one of transformers' own in `CLASSES`. Of the configuration only the fields that the class's
configuration declares are used, and none that names code, other models or ways to compute.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from engine.bundle.specs import NetworkSpec
from engine.errors import BundleError
from engine.storage.documents import DocumentError, parse_json

CLASSES: Mapping[str, str] = {
    "beit": "BeitForImageClassification",
    "bit": "BitForImageClassification",
    "convnext": "ConvNextForImageClassification",
    "convnextv2": "ConvNextV2ForImageClassification",
    "cvt": "CvtForImageClassification",
    "data2vec-vision": "Data2VecVisionForImageClassification",
    "deit": "DeiTForImageClassification",
    "dinov2": "Dinov2ForImageClassification",
    "dinov2_with_registers": "Dinov2WithRegistersForImageClassification",
    "efficientnet": "EfficientNetForImageClassification",
    "focalnet": "FocalNetForImageClassification",
    "hgnet_v2": "HGNetV2ForImageClassification",
    "hiera": "HieraForImageClassification",
    "levit": "LevitForImageClassification",
    "mobilenet_v1": "MobileNetV1ForImageClassification",
    "mobilenet_v2": "MobileNetV2ForImageClassification",
    "mobilevit": "MobileViTForImageClassification",
    "mobilevitv2": "MobileViTV2ForImageClassification",
    "poolformer": "PoolFormerForImageClassification",
    "pvt": "PvtForImageClassification",
    "pvt_v2": "PvtV2ForImageClassification",
    "regnet": "RegNetForImageClassification",
    "resnet": "ResNetForImageClassification",
    "segformer": "SegformerForImageClassification",
    "swiftformer": "SwiftFormerForImageClassification",
    "swin": "SwinForImageClassification",
    "swinv2": "Swinv2ForImageClassification",
    "vit": "ViTForImageClassification",
    "vit_msn": "ViTMSNForImageClassification",
}
"""The classes that can be built, by `model_type`. Left out are those that wrap a model of another package, such as
`timm_wrapper`, and those that take more than an image."""

_NOT_TAKEN = frozenset(
    {
        *(
            "_out_features",
            "_out_indices",
            "architectures",
            "attn_implementation",
            "auto_map",
            "chunk_size_feed_forward",
        ),
        *("dtype", "is_encoder_decoder", "label2id", "output_attentions", "output_hidden_states", "return_dict"),
        *("quantization_config", "torch_dtype", "transformers_version"),
    }
)
"""Fields of every configuration that are about code, precision or output, and not about the network."""

_LARGEST = 1_000_000
"""What the numbers of a field may be together."""


def config_of(data: bytes, path: Path) -> dict[str, object]:
    """Read a `config.json`, and check that it is that of a network which can be built.

    Raises:
        BundleError: it is no JSON object, needs code of its own, or is of another kind.
    """
    try:
        config = parse_json(data)
    except DocumentError as error:
        raise BundleError(str(error), subject=path, remedy="copy the folder again") from error
    if not isinstance(config, dict):
        raise BundleError("it is not a configuration", subject=path, remedy="copy the folder again")
    if "auto_map" in config:
        raise BundleError(
            "the network is made by code of its own (auto_map), which XAIMed never runs",
            subject=path,
            remedy="write an architecture.py for it",
        )
    if (kind := str(config.get("model_type"))) not in CLASSES:
        raise BundleError(
            f"it is of the kind {kind}, which is none of transformers' image classifiers that XAIMed builds",
            subject=path,
            remedy="write an architecture.py for it",
        )
    return config


def make_from_config(spec: NetworkSpec, data: bytes | None, subject: str | Path) -> object:
    """Build the class that a source names, from the content of `config.json`, with random weights.

    Raises:
        BundleError: there is no configuration, or it is that of another class.
        Exception: whatever transformers raises for values that do not fit.
    """
    if data is None:
        raise BundleError(f"{spec.source} needs the config.json of its folder", subject=subject, remedy="add it")
    if spec.arguments:
        raise BundleError(
            f"{spec.source} takes no arguments: its config.json says all", subject=subject, remedy="remove them"
        )
    path = subject.with_name("config.json") if isinstance(subject, Path) else Path("config.json")
    config = config_of(data, path)
    kind = str(config["model_type"])
    if CLASSES[kind] != spec.name:
        raise BundleError(
            f"it is that of {CLASSES[kind]}, and [network] source names {spec.name}",
            subject=path,
            remedy="correct one of them",
        )
    auto = importlib.import_module("transformers.models.auto.configuration_auto")
    make_config = auto.CONFIG_MAPPING[kind]
    # The number of classes comes from their names, which not every version declares as a parameter.
    known = {*inspect.signature(make_config.__init__).parameters, "id2label"} - {"self", *_NOT_TAKEN}
    taken = {name: value for name, value in config.items() if name in known}
    _check_numbers(taken, path)
    if "num_labels" in known and isinstance(labels := taken.get("id2label"), dict):  # else a default of 1,000 counts
        taken["num_labels"] = len(labels)
    # Eager attention is plain PyTorch; other implementations may be looked up on the network.
    made = make_config(**taken, attn_implementation="eager")
    network: object = getattr(importlib.import_module("transformers"), spec.name)(made)
    if isinstance(network, nn.Module):
        _speak_published_names(network, path)
    return network


def _check_numbers(taken: Mapping[str, object], path: Path) -> None:
    """Refuse numbers that no network has: some are lengths of lists that are made before any parameter.

    Raises:
        BundleError: names the field.
    """
    for name, given in taken.items():
        total, waiting = 0.0, [given]
        while waiting:
            value = waiting.pop()
            if isinstance(value, int | float):
                total += min(abs(value), _LARGEST + 1)  # a whole number may be too large for a float
            elif isinstance(value, list | dict):
                waiting += value.values() if isinstance(value, dict) else value
        if total > _LARGEST:
            raise BundleError(
                f"{name} has numbers of more than {_LARGEST:,} together", subject=path, remedy="correct it"
            )


def _speak_published_names(network: nn.Module, path: Path) -> None:
    """Let `state_dict` and `load_state_dict` of a network use the names that files of weights have.

    From version 5 on transformers calls modules by other names than in the files that it reads and writes. Which is
    which is found out by sending a number for each tensor through its own conversion.

    Raises:
        BundleError: the files hold the tensors in another form, not only under other names.
    """
    try:
        conversion = importlib.import_module("transformers.core_model_loading")
    except ImportError:  # before version 5 the names are the same
        return
    own = network.state_dict()
    numbered = {
        name: torch.tensor(float(at), device="cpu").expand(value.shape) for at, (name, value) in enumerate(own.items())
    }
    names = list(own)
    inside: dict[str, str] = {}
    for published, value in conversion.revert_weight_conversion(network, numbered).items():
        name = names[int(value.flatten()[0])]
        if value.shape != own[name].shape or name in inside.values():
            break
        inside[published] = name
    if len(inside) != len(own):
        raise BundleError(
            "this version of transformers keeps the network's weights in another form than files do",
            subject=path,
            remedy="write an architecture.py for it",
        )
    outside = {name: published for published, name in inside.items()}

    def rename(state: dict[str, torch.Tensor], prefix: str, names: Mapping[str, str]) -> None:
        renamed = {f"{prefix}{names[key[len(prefix) :]]}": state.pop(key) for key in _below(state, prefix, names)}
        state.update(renamed)

    # torch gives these two no types.
    network.register_state_dict_post_hook(  # type: ignore[no-untyped-call]
        lambda module, state, prefix, _: rename(state, prefix, outside)
    )
    network.register_load_state_dict_pre_hook(  # type: ignore[no-untyped-call]
        lambda module, state, prefix, *_: rename(state, prefix, inside)
    )


def _below(state: Mapping[str, object], prefix: str, names: Mapping[str, str]) -> list[str]:
    return [key for key in state if key.startswith(prefix) and key[len(prefix) :] in names]
