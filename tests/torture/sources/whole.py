"""Sources that bring their network along: ONNX, TorchScript, and folders of timm, transformers and MONAI."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from tests.torture.sources.checkpoints import small_net
from tests.torture.sources.named import build, settled
from tests.torture.zoo import Made, Source, probabilities_of

UNIT = ("--preprocessing", "unit")


def exported(network: nn.Module, path: Path, side: int = 32) -> None:
    """Write a network as ONNX."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, side, side),),
            str(path),
            dynamo=False,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes={"image": {0: "batch"}},
        )


def onnx_small(folder: Path) -> Made:
    network = small_net()
    exported(network, folder / "net.onnx")
    return Made(folder / "net.onnx", probabilities_of(network), UNIT)


def onnx_resnet18(folder: Path) -> Made:
    torch.manual_seed(6)
    network = settled(build("torchvision", "resnet18", {}))
    exported(network, folder / "weights.pb", 224)
    return Made(folder / "weights.pb", probabilities_of(network), UNIT)


class _Last(nn.Module):
    """A network that takes its channels last, as those of Keras do."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.permute(0, 3, 1, 2))  # type: ignore[no-any-return]


def onnx_channels_last(folder: Path) -> Made:
    network = small_net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = str(folder / "keras.onnx")
        torch.onnx.export(_Last(network).eval(), (torch.zeros(1, 32, 32, 3),), path, dynamo=False)
    return Made(folder / "keras.onnx", probabilities_of(network), UNIT)


def torchscript(folder: Path) -> Made:
    network = small_net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, torch.zeros(1, 3, 32, 32)).save(str(folder / "net.pt"))
    options = ("--input-size", "32,32", "--yes", *UNIT)
    return Made(folder / "net.pt", probabilities_of(network), options)


def timm_folder(folder: Path) -> Made:
    torch.manual_seed(7)
    network = settled(build("timm", "resnet18", {}))
    home = folder / "resnet18.mine"
    home.mkdir()
    save_file(network.state_dict(), home / "model.safetensors")
    config = {
        "architecture": "resnet18",
        "num_classes": 4,
        "label_names": ["a", "b", "c", "d"],
        "pretrained_cfg": {"input_size": [3, 160, 160], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    }
    (home / "config.json").write_text(json.dumps(config))
    return Made(home, probabilities_of(network))


def transformers_folder(folder: Path) -> Made:
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(8)
    labels = {0: "healthy", 1: "ill"}
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
    )
    network = settled(ResNetForImageClassification(config))
    network.save_pretrained(folder / "theirs")  # type: ignore[operator]
    (folder / "theirs" / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "ConvNextImageProcessor",
                "do_resize": True,
                "size": {"shortest_edge": 64},
                "do_normalize": True,
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
                "do_rescale": True,
                "rescale_factor": 1 / 255,
            }
        )
    )

    def answer(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(images).logits.double().softmax(1)  # type: ignore[no-any-return]

    return Made(folder / "theirs", answer)


def transformers_vit(folder: Path) -> Made:
    """Its modules have other names than the tensors in its file."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(9)
    labels = {0: "healthy", 1: "ill"}
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
    )
    network = ViTForImageClassification(config).eval()
    network.save_pretrained(folder / "theirs")  # type: ignore[operator]
    described = {"size": {"height": 32, "width": 32}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (folder / "theirs" / "preprocessor_config.json").write_text(json.dumps(described))

    def answer(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(images).logits.double().softmax(1)  # type: ignore[no-any-return]

    return Made(folder / "theirs", answer)


def monai_bundle(folder: Path) -> Made:
    torch.manual_seed(10)
    network = settled(build("monai", "DenseNet121", {"in_channels": 1, "out_channels": 3}))
    home = folder / "bundle"
    (home / "configs").mkdir(parents=True)
    (home / "models").mkdir()
    torch.save(network.state_dict(), home / "models" / "model.pt")
    inputs = {"image": {"num_channels": 1, "spatial_shape": [64, 64], "value_range": [0, 1]}}
    outputs = {"pred": {"channel_def": {"0": "a", "1": "b", "2": "c"}}}
    metadata = {"monai_version": "1.5.0", "network_data_format": {"inputs": inputs, "outputs": outputs}}
    (home / "configs" / "metadata.json").write_text(json.dumps(metadata))
    definition = {"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 1, "out_channels": "@num_classes"}
    config = {"num_classes": 3, "device": "$torch.device('cpu')", "network_def": definition}
    (home / "configs" / "inference.json").write_text(json.dumps(config))
    return Made(home, probabilities_of(network))


SOURCES = [
    Source("small network", "ONNX", onnx_small, needs=("onnx", "onnx2torch", "onnxruntime"), small=True),
    Source("ResNet-18 under another suffix", "ONNX", onnx_resnet18, needs=("onnx", "onnx2torch", "onnxruntime")),
    Source("channels last", "ONNX", onnx_channels_last, needs=("onnx", "onnx2torch", "onnxruntime"), small=True),
    Source("small network", "TorchScript", torchscript, small=True),
    Source("resnet18", "timm folder", timm_folder, layer="layer4", needs=("timm",)),
    Source("ResNetForImageClassification", "transformers folder", transformers_folder, needs=("transformers",)),
    Source("ViTForImageClassification", "transformers folder", transformers_vit, needs=("transformers",)),
    Source("DenseNet121", "MONAI bundle", monai_bundle, needs=("monai",)),
]
