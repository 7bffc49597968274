"""Networks of torchvision, timm and MONAI that are recognised by their tensors or named, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from tests.torture.zoo import Made, Source, probabilities_of


def settled(network: nn.Module) -> nn.Module:
    """Give a new network the batch statistics of noise, and a head whose answers are neither equal nor certain."""
    generator = torch.Generator().manual_seed(4)
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            parameter.data.normal_(std=0.05, generator=generator)
    channels = next(module.in_channels for module in network.modules() if isinstance(module, nn.Conv2d))
    noise, fresh = torch.rand(2, 4, channels, 224, 224, generator=generator)  # as the zoo's images
    if channels == 3:
        noise, fresh = (noise - 0.45) / 0.225, (fresh - 0.45) / 0.225
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
            network.train()(noise)
        output = network.eval()(fresh)
        spread = getattr(output, "logits", output).std()  # of transformers' networks
        head = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
        for parameter in head.parameters():
            parameter /= spread
    return network


def of(package: str, name: str, named: bool = False, **arguments: object) -> Callable[[Path], Made]:
    """A state_dict of a network; `models import` recognises it unless it is named."""

    def make(folder: Path) -> Made:
        torch.manual_seed(5)
        network = settled(build(package, name, arguments))
        torch.save({"model": network.state_dict(), "epoch": 1}, folder / "best.pth")
        options = ["--network", f"{package}:{name}"] if named else []
        return Made(folder / "best.pth", probabilities_of(network), options)

    return make


def build(package: str, name: str, arguments: dict[str, object]) -> nn.Module:
    """Return a network of a package."""
    if package == "torchvision":
        import torchvision

        quiet = {"init_weights": False, "aux_logits": False, "transform_input": True}  # as torchvision's own weights
        quiet = quiet if name in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(name, weights=None, num_classes=4, **quiet, **arguments)  # type: ignore[no-any-return]
    if package == "timm":
        import timm

        return timm.create_model(name, pretrained=False, num_classes=4, **arguments)  # type: ignore[no-any-return]
    from monai.networks import nets

    return getattr(nets, name)(spatial_dims=2, **arguments)  # type: ignore[no-any-return]


TORCHVISION = {
    "alexnet": "features.11",
    "vgg16": "features.29",
    "resnet50": "layer4",
    "densenet121": None,
    "googlenet": "inception5b",
    "inception_v3": "Mixed_7c",
    "squeezenet1_1": None,
    "mobilenet_v3_small": None,
    "efficientnet_b0": None,
    "convnext_tiny": None,
    "swin_t": None,
    "vit_b_16": None,
    "shufflenet_v2_x0_5": None,
    "regnet_y_400mf": None,
}
"""With the layers that the design asks for; None where it names none."""

TIMM = {
    "resnet18": False,
    "resnet50d": False,
    "efficientnet_b0": False,
    "mobilenetv3_small_100": False,
    "convnext_atto": False,
    "vit_tiny_patch16_224": True,
    "deit_small_patch16_224": True,
    "swin_tiny_patch4_window7_224": False,
    "deit3_small_patch16_224": True,
}
"""Whether the network must be named: others have tensors of the same names and shapes."""

SOURCES = [
    *(Source(name, "torchvision", of("torchvision", name), layer=layer) for name, layer in TORCHVISION.items()),
    *(Source(name, "timm", of("timm", name, named), needs=("timm",)) for name, named in TIMM.items()),
    Source(
        "DenseNet121",
        "MONAI",
        of("monai", "DenseNet121", True, in_channels=1, out_channels=3),
        needs=("monai",),
    ),
    Source("resnet18", "MONAI", of("monai", "resnet18", True, n_input_channels=3, num_classes=2), needs=("monai",)),
]
