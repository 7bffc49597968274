"""Find the CAMs' default layer in well-known networks with random weights, and compare it with the right one.

    python -m tests.torture.layers [NAME...]

Networks of torchvision have plain names, those of timm the prefix `timm:`. Each is also asked for one Grad-CAM map's
worth of gradients: they have to reach the layer. A network whose package is missing is skipped.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from torch import nn

from engine.network.layers.recorded import recorded
from engine.network.structure import examine

EXPECTED: dict[str, tuple[str, int, tuple[int, int]]] = {
    "vgg16": ("features.29", 512, (14, 14)),
    "resnet18": ("layer4", 512, (7, 7)),
    "densenet121": (":relu", 1024, (7, 7)),
    "googlenet": ("inception5b", 1024, (7, 7)),
    "inception_v3": ("Mixed_7c", 2048, (8, 8)),
    "squeezenet1_1": ("classifier.2", 1000, (13, 13)),
    "mobilenet_v3_small": ("features", 576, (7, 7)),
    "shufflenet_v2_x0_5": ("conv5", 1024, (7, 7)),
    "efficientnet_b0": ("features", 1280, (7, 7)),
    "vit_b_32": ("encoder.layers.encoder_layer_10", 768, (7, 7)),
    "swin_t": ("features.7.0", 768, (7, 7)),
    "convnext_tiny": ("features", 768, (7, 7)),
    "maxvit_t": ("blocks.3.layers.1.layers.window_attention", 512, (7, 7)),
    "timm:resnet50_clip.openai": ("stages", 2048, (7, 7)),
    "timm:vit_tiny_patch16_224": ("blocks.10", 192, (14, 14)),
    "timm:deit_tiny_distilled_patch16_224": ("blocks.10", 192, (14, 14)),
    "timm:swin_tiny_patch4_window7_224": ("layers.3.blocks.0", 768, (7, 7)),
    "timm:convnext_atto": ("stages", 320, (7, 7)),
    "timm:mixer_s32_224": ("norm", 512, (7, 7)),
    "timm:cait_xxs24_224": ("blocks", 192, (14, 14)),
    "timm:pvt_v2_b0": ("stages.3.blocks.0", 256, (7, 7)),
    "timm:coatnet_0_rw_224": ("stages.3.blocks.0", 768, (7, 7)),
}
"""The layer's name, its channels, its rows and columns; at 224x224 pixels, Inception v3 at 299x299."""


def built(name: str) -> nn.Module:
    """Return a network with random weights, in evaluation mode."""
    if name.startswith("timm:"):
        import timm

        network: nn.Module = timm.create_model(name.removeprefix("timm:"), pretrained=False)
        return network.eval()
    from torchvision import models

    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return models.get_model(name, weights=None, **options).eval()


def tried(name: str) -> tuple[str, bool]:
    """Return what was found in a network, and whether it is right."""
    network, side = built(name), 299 if name == "inception_v3" else 224
    started = time.perf_counter()
    anatomy = examine(network, (3, side, side), name)
    seconds = time.perf_counter() - started
    if not anatomy.maps.default:
        return "no layer", False
    layer = anatomy.check_layer(anatomy.maps.default)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim > 1 and not parameter.any():  # heads that begin at zero, through which no gradient comes
            nn.init.normal_(parameter)
    with recorded(network, layer) as record:
        score = network(torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)))[0, 0]
    assert record.tensor is not None
    (gradient,) = torch.autograd.grad(score, record.tensor)
    speaks = bool(layer.maps(gradient).any())
    found = (anatomy.maps.default, layer.channels, (layer.height, layer.width))
    words = f"{found[0]}, {found[1]} channels, {layer.height}x{layer.width}, {seconds:.1f} s"
    words += "" if speaks else ", no gradient"
    return words, found == EXPECTED[name] and speaks and not layer.branch


def main() -> int:
    """Try the networks, print a line for each, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks to try (default: all)")
    wrong = 0
    for name in parser.parse_args().names or list(EXPECTED):
        try:
            words, right = tried(name)
        except ImportError as error:
            print(f"skipped  {name}: {error}", flush=True)
            continue
        wrong += not right
        print(f"{'right' if right else 'WRONG':7}  {name}: {words}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
