"""Folders of timm, transformers and MONAI say what their model is; nothing of them is run or evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from engine.bundle.model_bundle import read_bundle
from engine.bundle.model_toml import toml_value
from engine.bundle.specs import NetworkSpec
from engine.errors import BundleError
from engine.network.loading import build_network
from engine.network.sources.folders import DescribedFolder, describe_folder
from engine.network.sources.named import build_named
from engine.network.sources.preprocessing import Preprocessing, default_preprocessing


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def as_bundle(found: DescribedFolder, folder: Path) -> Path:
    """The model folder that an import would make of a described one."""
    folder.mkdir(parents=True)
    shutil.copy(found.weights, folder / f"weights{'.safetensors' if found.weights.suffix == '.safetensors' else '.pt'}")
    for name, path in found.files.items():
        shutil.copy(path, folder / name)
    lines = ["[network]", f"source = {toml_value(found.network.source)}"]
    if found.network.arguments:
        lines.append(f"arguments = {toml_value(found.network.arguments)}")
    if found.preprocessing is not None:
        lines.append("[input]")
        lines += [f"{key} = {toml_value(value)}" for key, value in found.preprocessing.values.items()]
    (folder / "model.toml").write_text("\n".join(lines))
    return folder


def test_other_folders_are_none_of_these(tmp_path: Path) -> None:
    assert describe_folder(tmp_path) is None
    write(tmp_path / "config.json", {"batch_size": 3})
    write(tmp_path / "metadata.json", {"title": "something else"})
    assert describe_folder(tmp_path) is None


def test_a_description_that_is_damaged_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architecture": ')
    with pytest.raises(BundleError, match=r"config.json: it is not JSON"):
        describe_folder(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(BundleError, match=r"config.json: it is not a JSON object"):
        describe_folder(tmp_path)


# timm

_TIMM = {
    "architecture": "test_resnet",
    "num_classes": 2,
    "model_args": {"drop_rate": 0.1},
    "label_names": ["healthy", "ill"],
    "pretrained_cfg": {
        "input_size": [1, 64, 48],
        "crop_pct": 0.9,
        "crop_mode": "squash",
        "interpolation": "bicubic",
        "mean": [0.4],
        "std": [0.2],
    },
}


@pytest.fixture
def timm_folder(tmp_path: Path) -> Path:
    timm = pytest.importorskip("timm", reason="timm is in the extra networks")
    folder = tmp_path / "folder"
    write(folder / "config.json", _TIMM)
    save_file(timm.create_model("test_resnet", num_classes=2, in_chans=1).state_dict(), folder / "model.safetensors")
    return folder


def test_a_folder_of_timm_says_all(timm_folder: Path) -> None:
    found = describe_folder(timm_folder)
    assert found is not None
    assert found.network == NetworkSpec("timm:test_resnet", {"drop_rate": 0.1, "num_classes": 2, "in_chans": 1})
    assert (found.weights.name, found.classes) == ("model.safetensors", ("healthy", "ill"))
    assert found.preprocessing is not None
    assert found.preprocessing.values == {
        "size": (64, 48), "channels": 1, "resize": "stretch", "mean": (0.4,), "std": (0.2,),
    }  # fmt: skip


def test_a_bundle_of_it_answers_as_timm_does(timm_folder: Path, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm", reason="timm is in the extra networks")
    from safetensors.torch import load_file

    found = describe_folder(timm_folder)
    assert found is not None
    network = build_network(read_bundle(as_bundle(found, tmp_path / "Lungs" / "Timm")))
    source = timm.create_model("test_resnet", num_classes=2, in_chans=1).eval()
    source.load_state_dict(load_file(timm_folder / "model.safetensors"))
    image = torch.linspace(0, 1, 64 * 48).reshape(1, 1, 64, 48)
    with torch.inference_mode():
        assert torch.equal(network(image), source(image))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "hf-hub:timm/x"}, "must be one of"),
        ({"architecture": "no_such_network"}, "timm has no network for images called no_such_network"),
        ({"model_args": {"norm": {"_target_": "os.system"}}}, "and norm is a table"),
    ],
)
def test_a_folder_of_timm_with_other_things_is_refused(timm_folder: Path, change: dict[str, Any], said: str) -> None:
    write(timm_folder / "config.json", _TIMM | change)
    with pytest.raises(BundleError, match=said):
        describe_folder(timm_folder)


def test_arguments_of_a_folder_that_would_load_weights_are_refused_when_it_is_built(timm_folder: Path) -> None:
    write(timm_folder / "config.json", _TIMM | {"model_args": {"checkpoint_path": "/etc/passwd"}})
    found = describe_folder(timm_folder)
    assert found is not None
    with pytest.raises(BundleError, match="checkpoint_path, which loads or downloads weights"):
        build_named(found.network, "model.toml")


def test_a_folder_without_weights_says_which_are_looked_for(timm_folder: Path) -> None:
    (timm_folder / "model.safetensors").rename(timm_folder / "other.bin")
    with pytest.raises(BundleError, match=r"no file of weights \(model.safetensors, pytorch_model.bin\)"):
        describe_folder(timm_folder)
    write(timm_folder / "model.safetensors.index.json", {})
    with pytest.raises(BundleError, match="the weights are in several files"):
        describe_folder(timm_folder)


# transformers

_RESNET = {
    "model_type": "resnet",
    "architectures": ["ResNetForImageClassification"],
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
    "num_channels": 3,
    "id2label": {"1": "ill", "0": "healthy", "2": "other"},
}
_PREPROCESSOR = {
    "size": {"shortest_edge": 40},
    "crop_size": {"height": 32, "width": 32},
    "do_center_crop": True,
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.1, 0.2, 0.3],
    "rescale_factor": 1 / 255,
    "resample": 3,
}


@pytest.fixture
def transformers_folder(tmp_path: Path) -> Path:
    transformers = pytest.importorskip("transformers", reason="transformers is in the extra huggingface")
    folder = tmp_path / "folder"
    write(folder / "config.json", _RESNET)
    write(folder / "preprocessor_config.json", _PREPROCESSOR)
    given = {key: value for key, value in _RESNET.items() if key not in ("model_type", "architectures")}
    network = transformers.ResNetForImageClassification(transformers.ResNetConfig(**given))
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, folder / "model.safetensors")
    return folder


def test_a_folder_of_transformers_says_all(transformers_folder: Path) -> None:
    found = describe_folder(transformers_folder)
    assert found is not None
    assert found.network == NetworkSpec("transformers:ResNetForImageClassification")
    assert (found.classes, found.multilabel) == (("healthy", "ill", "other"), False)
    assert found.files == {"config.json": transformers_folder / "config.json"}
    assert found.preprocessing == Preprocessing(
        (32, 32), (0.4, 0.5, 0.6), (0.1, 0.2, 0.3), "crop", "the folder's preprocessor_config.json",
        notes=(
            "transformers shows the network the middle 80.0% of the image; XAIMed shows all of its shorter side.",
            "transformers resizes with a bicubic filter, XAIMed with a bilinear one.",
        ),
    )  # fmt: skip


def test_a_bundle_of_it_answers_as_transformers_does(transformers_folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is in the extra huggingface")
    found = describe_folder(transformers_folder)
    assert found is not None
    network = build_network(read_bundle(as_bundle(found, tmp_path / "Lungs" / "HF")))
    source = transformers.AutoModelForImageClassification.from_pretrained(transformers_folder).eval()
    image = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(network(image).logits, source(image).logits, atol=1e-6)


_TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "vit", "image_size": 32, "patch_size": 8, **_TINY},
        {"model_type": "swin", "image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2],
         "window_size": 4},
        {"model_type": "pvt", "image_size": 32, "num_encoder_blocks": 1, "depths": [1], "hidden_sizes": [8],
         "num_attention_heads": [1], "patch_sizes": [4], "strides": [4], "sequence_reduction_ratios": [1],
         "mlp_ratios": [2]},
    ],
    ids=lambda config: config["model_type"],
)  # fmt: skip
def test_files_are_read_by_the_names_that_transformers_writes_whatever_its_modules_are_called(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is in the extra huggingface")
    kind = config["model_type"]
    labels = {"id2label": {0: "healthy", 1: "ill"}, "label2id": {"healthy": 0, "ill": 1}}
    made = transformers.AutoConfig.for_model(**config, **labels, **({"num_labels": 2} if kind == "pvt" else {}))
    source = transformers.AutoModelForImageClassification.from_config(made).eval()
    source.save_pretrained(tmp_path / "folder")
    found = describe_folder(tmp_path / "folder")
    assert found is not None
    network = build_network(read_bundle(as_bundle(found, tmp_path / "Lungs" / "HF")))
    image = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(network(image).logits, source(image).logits, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auto_map": {"AutoModel": "code.Model"}}, r"code of its own \(auto_map\), which XAIMed never runs"),
        ({"model_type": "timm_wrapper"}, "of the kind timm_wrapper, which is none of"),
        ({"model_type": ["vit"]}, "none of transformers' image classifiers"),
        ({"architectures": ["ResNetModel"]}, "those of ResNetModel, and not of an image classifier"),
    ],
)
def test_a_folder_of_transformers_with_other_things_is_refused(
    transformers_folder: Path, change: dict[str, Any], said: str
) -> None:
    write(transformers_folder / "config.json", _RESNET | change)
    with pytest.raises(BundleError, match=said):
        describe_folder(transformers_folder)


def test_a_config_that_is_changed_after_the_model_was_read_is_not_used(
    transformers_folder: Path, tmp_path: Path
) -> None:
    found = describe_folder(transformers_folder)
    assert found is not None
    folder = as_bundle(found, tmp_path / "Lungs" / "HF")
    bundle = read_bundle(folder)
    write(folder / "config.json", _RESNET | {"depths": [2, 1]})
    with pytest.raises(BundleError, match=r"changed after it was read \(changed: config.json\)"):
        build_network(bundle)
    (folder / "config.json").unlink()
    with pytest.raises(BundleError, match=r"needs the config.json of its folder"):
        build_network(read_bundle(folder))


def test_fields_of_a_config_that_name_code_are_not_used(transformers_folder: Path) -> None:
    config = _RESNET | {"attn_implementation": "kernels-community/flash-attn", "torch_dtype": "float16"}
    network = build_named(
        NetworkSpec("transformers:ResNetForImageClassification"), "x", config=json.dumps(config).encode()
    )
    assert network.config._attn_implementation == "eager"  # type: ignore[union-attr]
    assert next(network.parameters()).dtype == torch.float32


@pytest.mark.parametrize("depths", [[2, 1_000_000], [[2, 10**400]]])
def test_numbers_of_a_config_cannot_fill_the_memory(transformers_folder: Path, depths: list[Any]) -> None:
    config = json.dumps(_RESNET | {"depths": depths}).encode()
    with pytest.raises(BundleError, match="depths has numbers of more than 1,000,000 together"):
        build_named(NetworkSpec("transformers:ResNetForImageClassification"), "x", config=config)


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"size": 32, "do_normalize": False}, {"size": (32, 32), "mean": (0.0, 0.0, 0.0), "resize": "stretch"}),
        ({"size": {"height": 32, "width": 48}}, {"size": (32, 48), "mean": (0.5, 0.5, 0.5), "resize": "stretch"}),
        ({"size": 32, "do_rescale": False, "do_normalize": False}, {"value_range": (0.0, 255.0)}),
        ({"size": 32, "rescale_factor": 1 / 127.5, "rescale_offset": True}, {"value_range": (-1.0, 1.0)}),
        ({"size": 32, "do_flip_channel_order": True}, {"colour_order": "bgr"}),
        ({"size": {"shortest_edge": 64}}, {"size": (64, 64), "resize": "crop"}),
    ],
)
def test_what_a_preprocessor_says_is_understood(
    transformers_folder: Path, described: dict[str, Any], expected: dict[str, Any]
) -> None:
    write(transformers_folder / "preprocessor_config.json", described)
    found = describe_folder(transformers_folder)
    assert found is not None
    assert found.preprocessing is not None
    assert found.preprocessing.values.items() >= expected.items()


# MONAI

_METADATA = {
    "monai_version": "1.4.0",
    "network_data_format": {
        "inputs": {"image": {"num_channels": 1, "spatial_shape": [64, 64], "value_range": [0, 255]}},
        "outputs": {"pred": {"channel_def": {"0": "benign", "1": "malignant"}}},
    },
}
_CONFIG = {
    "bundle_root": "$import_os().system('touch evaluated')",
    "num_classes": 2,
    "shapes": {"channels": 1},
    "network_def": {
        "_target_": "DenseNet121",
        "spatial_dims": 2,
        "in_channels": "@shapes::channels",
        "out_channels": "@num_classes",
        "pretrained": True,
    },
    "network": "$@network_def.to(@device)",
}


@pytest.fixture
def monai_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    write(folder / "configs" / "metadata.json", _METADATA)
    write(folder / "configs" / "inference.json", _CONFIG)
    (folder / "models").mkdir()
    (folder / "models" / "model.pt").write_bytes(b"weights")
    return folder


def test_a_monai_bundle_says_its_network_and_its_input(monai_folder: Path) -> None:
    found = describe_folder(monai_folder)
    assert found is not None
    assert found.network == NetworkSpec("monai:DenseNet121", {"spatial_dims": 2, "in_channels": 1, "out_channels": 2})
    assert (found.weights.name, found.classes) == ("model.pt", ("benign", "malignant"))
    assert found.preprocessing is not None
    assert found.preprocessing.values["value_range"] == (0.0, 255.0)
    assert found.notes == (
        "pretrained of inference.json is left out: the weights are those in the folder.",
        "The transforms of inference.json are not read: check [input] against them.",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_target_": "os.system"}, "its network is os.system, which is none of MONAI's"),
        ({"_target_": "monai.networks.nets.MILModel"}, "none of MONAI's networks"),
        ({"_target_": "evil.DenseNet121"}, "its network is evil.DenseNet121"),
        ({"in_channels": "$1 + 0"}, r"argument in_channels is \$1 \+ 0, and expressions are never evaluated"),
        ({"in_channels": "@bundle_root"}, r"argument in_channels is \$import_os.*never evaluated"),
        ({"in_channels": "@network_def::in_channels"}, "a reference to itself"),
        ({"in_channels": "@nowhere"}, "argument in_channels is nothing"),
        ({"norm": ["$x"]}, r"argument norm is \$x"),
        ({"in_channels": "%other.json"}, "never evaluated"),
        ({"spatial_dims": 3}, r"takes volumes \(spatial_dims = 3\)"),
        ({"norm": {"_target_": "os.system"}}, "and norm is a table"),
    ],
)
def test_a_monai_bundle_with_other_things_is_refused(monai_folder: Path, change: dict[str, Any], said: str) -> None:
    write(monai_folder / "configs" / "inference.json", _CONFIG | {"network_def": _CONFIG["network_def"] | change})  # type: ignore[operator]
    with pytest.raises(BundleError, match=said):
        describe_folder(monai_folder)
    assert not (Path.cwd() / "evaluated").exists()


def test_a_monai_bundle_whose_network_is_only_an_expression_is_refused(monai_folder: Path) -> None:
    write(monai_folder / "configs" / "inference.json", {"network": "$torch.load('x')"})
    with pytest.raises(BundleError, match="only in an expression, and expressions are never evaluated"):
        describe_folder(monai_folder)
    (monai_folder / "configs" / "inference.json").unlink()
    with pytest.raises(BundleError, match="YAML is not read"):
        describe_folder(monai_folder)


@pytest.mark.parametrize("target", ["densenet121", "Densenet121", "monai.networks.nets.densenet.DenseNet121"])
def test_monais_spellings_of_a_class_are_known(monai_folder: Path, target: str) -> None:
    changed = _CONFIG["network_def"] | {"_target_": target}  # type: ignore[operator]
    write(monai_folder / "configs" / "inference.json", _CONFIG | {"network_def": changed})
    found = describe_folder(monai_folder)
    assert found is not None
    assert found.network.source == "monai:DenseNet121"


# Preprocessing of networks by name


def test_torchvisions_preprocessing_is_read_off_its_own_weights() -> None:
    found = default_preprocessing(NetworkSpec("torchvision:resnet50"), "x")
    assert found == Preprocessing(
        (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "crop", "torchvision's description of resnet50",
        notes=("torchvision shows the network the middle 96.6% of the image; XAIMed shows all of its shorter side.",),
    )  # fmt: skip
    assert found.values["channels"] == 3


def test_networks_that_change_their_input_themselves_say_with_which_argument() -> None:
    found = default_preprocessing(NetworkSpec("torchvision:inception_v3"), "x")
    assert found is not None
    assert (found.size, found.arguments) == ((299, 299), {"transform_input": True})
    assert "transform_input = true" in " ".join(found.notes)


def test_timms_preprocessing_follows_tag_size_and_channels() -> None:
    pytest.importorskip("timm", reason="timm is in the extra networks")
    found = default_preprocessing(NetworkSpec("timm:vit_tiny_patch16_224.augreg_in21k", {"img_size": 96}), "x")
    assert found is not None
    assert (found.size, found.mean, found.resize) == ((96, 96), (0.5, 0.5, 0.5), "crop")
    grey = default_preprocessing(NetworkSpec("timm:resnet18", {"in_chans": 1}), "x")
    assert grey is not None
    assert (grey.mean, grey.values["channels"]) == ((0.449,), 1)
    assert grey.notes[-1] == "Mean and std are the averages of those of the three colours."


def test_where_nobody_describes_it_there_is_none() -> None:
    pytest.importorskip("monai", reason="MONAI is in the extra networks")
    assert default_preprocessing(NetworkSpec("monai:DenseNet121"), "x") is None


def test_names_are_checked_before_they_are_looked_up() -> None:
    with pytest.raises(BundleError, match="has no network for images called __init__"):
        default_preprocessing(NetworkSpec("torchvision:__init__"), "x")
