"""Networks by name: the package's own network with the folder's weights, and nothing else is reached."""

from __future__ import annotations

import importlib
import socket
import sys
from pathlib import Path

import pytest
import torch
from factories import NAMED, make_named_model
from torch import nn
from torch.nn.modules import module as torch_module
from torchvision.models import get_model

from engine.bundle.model_bundle import read_bundle
from engine.bundle.specs import NetworkSpec, Plain
from engine.errors import BundleError
from engine.network.classifier import Classifier
from engine.network.loading import build_network
from engine.network.sources import named
from engine.network.sources.named import build_named, names_of


def build(source: str, most_bytes: int | None = None, **arguments: Plain) -> nn.Module:
    return build_named(NetworkSpec(source, arguments), "model.toml", most_bytes=most_bytes)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket can be opened."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was built over the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.usefixtures("offline")
def test_a_named_network_has_the_folders_weights_and_needs_no_approval(tmp_path: Path) -> None:
    model = make_named_model(tmp_path / "Lungs" / "Named")
    source = get_model(NAMED.partition(":")[2], weights=None, num_classes=2).eval()
    source.load_state_dict(torch.load(model / "weights.pt", weights_only=True))
    image = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(build_network(read_bundle(model))(image), source(image))


def test_it_is_a_classifier_as_any_other_and_no_warning_blames_the_package(tmp_path: Path) -> None:
    classifier = Classifier.load(read_bundle(make_named_model(tmp_path / "Lungs" / "Named")), device="cpu")
    assert classifier.classes == ("healthy", "ill")
    assert not [warning for warning in classifier.assumed if "sets" in warning]


@pytest.mark.parametrize(
    "name",
    [
        "__init__",
        "get_model",
        "ResNet",
        "resnet",
        "fcos_resnet50_fpn",
        "lraspp_mobilenet_v3_large",
        "r3d_18",
        "raft_small",
    ],
)
def test_torchvision_has_only_its_networks_that_classify_images(name: str) -> None:
    with pytest.raises(BundleError, match=f"torchvision has no network for images called {name}"):
        build(f"torchvision:{name}")


@pytest.mark.parametrize("name", ["../x", "hf-hub:timm/resnet18", "local-dir:/tmp/x", "os.system", "create_model", ""])
def test_timm_has_only_the_names_of_its_list(name: str) -> None:
    pytest.importorskip("timm", reason="timm is in the extra networks")
    with pytest.raises(BundleError, match="timm has no network for images called"):
        build(f"timm:{name}")


@pytest.mark.parametrize("name", ["os.system", "__doc__", "UNet", "MILModel", "ResNetFeatures", "torch"])
def test_monai_has_only_the_networks_of_our_list(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets", torch_module)  # the name is refused before it is looked up
    with pytest.raises(BundleError, match="monai has no network for images called"):
        build(f"monai:{name}")


@pytest.mark.parametrize(
    "argument",
    ["weights", "progress", "pretrained", "weights_backbone", "checkpoint_path", "pretrained_cfg", "cache_dir"],
)
def test_no_argument_loads_weights(argument: str) -> None:
    with pytest.raises(BundleError, match=f"{argument}, which loads or downloads weights"):
        build(NAMED, **{argument: "DEFAULT"})


def test_an_unknown_argument_is_named_with_the_one_that_is_like_it() -> None:
    with pytest.raises(BundleError) as caught:
        build("torchvision:resnet18", num_class=2)
    assert caught.value.message == (
        "model.toml: torchvision:resnet18 takes no argument num_class; did you mean num_classes?"
    )


@pytest.mark.parametrize("arguments", [{"num_classes": "two"}, {"layers": (1, 1, 1, 1)}, {"norm_layer": "os.system"}])
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Plain]) -> None:
    with pytest.raises(BundleError, match=r"resnet18 cannot be built with .*correct \[network\] arguments"):
        build("torchvision:resnet18", **arguments)


def test_arguments_cannot_fill_the_memory() -> None:
    with pytest.raises(BundleError, match="far larger than the weights"):
        build("torchvision:alexnet", most_bytes=2**20)
    assert build(NAMED, most_bytes=2**30, num_classes=2).fc.out_features == 2
    assert not torch_module._global_parameter_registration_hooks
    assert not torch_module._global_module_registration_hooks
    assert not torch_module._global_buffer_registration_hooks


def test_numbers_are_not_drawn_nor_tables_made_before_a_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")

    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.zeros(2**20))
            on.append(self.table.device.type)

    on: list[str] = []
    for source, arguments in (
        ("timm:vit_tiny_patch16_224", {"img_size": 1_000_000}),  # 3 TB of random numbers for its positions
        ("timm:swin_tiny_patch4_window7_224", {"window_size": 100}),  # 1 GB of places in its windows
    ):
        with pytest.raises(BundleError, match="far larger than the weights"):
            build(source, most_bytes=2**28, num_classes=2, **arguments)
    monkeypatch.setattr(named, "_find", lambda *_: named._Found(Greedy, Greedy, {}))
    with pytest.raises(BundleError, match="far larger than the weights"):
        build(NAMED, most_bytes=2**20)
    assert on == []
    build(NAMED, most_bytes=2**23)
    assert on == ["meta", "cpu"]


def test_weights_of_another_network_are_refused_with_the_section_to_correct(tmp_path: Path) -> None:
    model = make_named_model(tmp_path / "Lungs" / "Named", arguments="{ num_classes = 3 }")
    with pytest.raises(BundleError, match=r"fc.weight has the shape \(2, 1024\).*correct \[network\] in model.toml"):
        build_network(read_bundle(model))


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BundleError, match=r'timm, which has the network, .*pip install "xaimed\[networks\]"'):
        build("timm:resnet18")


def test_heads_that_only_training_uses_are_left_out_unless_asked_for() -> None:
    assert build("torchvision:googlenet", num_classes=2).aux1 is None
    assert build("torchvision:googlenet", num_classes=2, aux_logits=True).aux1 is not None


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("timm:test_resnet", {"num_classes": 2, "in_chans": 1}),
        ("timm:test_vit.r160_in1k", {"num_classes": 2, "img_size": 32}),
        ("timm:efficientvit_m0", {"num_classes": 2}),  # its function does not say which class it returns
    ],
)
def test_networks_of_timm_are_built_offline(source: str, arguments: dict[str, Plain]) -> None:
    timm = pytest.importorskip("timm", reason="timm is in the extra networks")
    network = build(source, **arguments)
    plain = timm.create_model(source.partition(":")[2], pretrained=False, **arguments)
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        key: value.shape for key, value in plain.state_dict().items()
    }


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("monai:DenseNet121", {"in_channels": 1, "out_channels": 2}),
        ("monai:resnet10", {"n_input_channels": 1, "num_classes": 2}),
        ("monai:EfficientNetBN", {"model_name": "efficientnet-b0", "num_classes": 2, "in_channels": 1}),
        ("monai:TorchVisionFCModel", {"model_name": "resnet18", "num_classes": 1, "use_conv": True}),
    ],
)
def test_networks_of_monai_are_two_dimensional_and_built_offline(source: str, arguments: dict[str, Plain]) -> None:
    pytest.importorskip("monai", reason="MONAI is in the extra networks")
    network = build(source, **arguments).eval()
    channels = 3 if "TorchVision" in source else 1
    with torch.inference_mode():
        assert network(torch.zeros(2, channels, 224, 224)).shape[0] == 2


def test_monais_network_of_torchvision_takes_only_torchvisions_names() -> None:
    pytest.importorskip("monai", reason="MONAI is in the extra networks")
    with pytest.raises(BundleError, match="torchvision has no network for images called get_model"):
        build("monai:TorchVisionFCModel", model_name="get_model")


def test_every_name_of_our_list_of_monai_exists() -> None:
    pytest.importorskip("monai", reason="MONAI is in the extra networks")
    nets = importlib.import_module("monai.networks.nets")
    assert [name for name in names_of("monai") if not callable(getattr(nets, name, None))] == []
