"""The networks of a checkpoint are found among all else that it holds, without running any code."""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import pickle
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from torch import nn

from engine.checkpoints.networks import Network, choose, divided, networks_in
from engine.checkpoints.stand_ins import Value
from engine.errors import BundleError
from engine.network.weights import PickleError, read_tree, shape_of

PATH = pathlib.Path("w.ckpt")


def net(scale: float = 1.0) -> nn.Sequential:
    made = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.LazyLinear(2))
    made(torch.zeros(2, 3, 5, 5))
    with torch.no_grad():
        made[0].weight.fill_(scale)
    return made


def saved(value: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)  # type: ignore[arg-type]
    return file.getvalue()


def read(value: object, **options: object) -> tuple[Network, ...]:
    return networks_in(read_tree(saved(value, **options), PATH), shape_of)


def optimizer_state(network: nn.Module) -> dict[str, object]:
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


class Settings:
    """A class of the training program's own."""

    def __init__(self) -> None:
        self.width = 3


class Trap:
    def __init__(self, trace: pathlib.Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_lightning_checkpoint_gives_its_network_whatever_its_settings_are(legacy: bool) -> None:
    network = net()
    checkpoint = {
        "epoch": 3,
        "pytorch-lightning_version": "2.5",
        "state_dict": {f"model.{name}": value for name, value in network.state_dict().items()},
        "optimizer_states": [optimizer_state(network)],
        "callbacks": {"ModelCheckpoint": {"best": np.float64(0.5), "dir": pathlib.Path("x")}},
        "loops": {"state": defaultdict(list, a=[1])},
        "hyper_parameters": {
            "args": argparse.Namespace(lr=0.1, names=["a"]),
            "rate": np.float32(3),
            "array": np.arange(3),
            "own": Settings(),
        },
    }
    (found,) = read(checkpoint, _use_new_zipfile_serialization=not legacy)
    assert found.key == "state_dict"
    assert torch.equal(found.tensors["model.0.weight"], network.state_dict()["0.weight"])  # type: ignore[arg-type]


def test_settings_of_omegaconf_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    made = ModuleType("omegaconf")
    config = ModuleType("omegaconf.dictconfig")
    config.DictConfig = type("DictConfig", (), {"__module__": "omegaconf.dictconfig"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "omegaconf", made)
    monkeypatch.setitem(sys.modules, "omegaconf.dictconfig", config)
    instance = config.DictConfig()
    instance._content = {"lr": 0.1}
    data = saved({"state_dict": net().state_dict(), "hyper_parameters": instance})
    monkeypatch.delitem(sys.modules, "omegaconf.dictconfig")
    (found,) = networks_in(read_tree(data, PATH), shape_of)
    assert found.key == "state_dict"


def test_what_stands_for_a_class_holds_nothing_and_runs_nothing(tmp_path: pathlib.Path) -> None:
    tree = read_tree(saved({"a": pathlib.Path("x"), "b": np.float64(2), "c": torch.ones(2)}), PATH)
    assert isinstance(tree, dict)
    assert (type(tree["a"]), len(tree["a"])) == (Value, 0)
    assert len(tree["b"]) == 0
    with pytest.raises(PickleError, match=r"loading it would run code that it names \(posix.mkdir\)"):
        read_tree(saved({"a": torch.ones(2), "trap": Trap(tmp_path / "ran")}), PATH)
    assert not (tmp_path / "ran").exists()


def test_a_function_that_is_not_known_is_refused_by_its_name() -> None:
    class Shelled:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1",)

    with pytest.raises(PickleError, match=r"builtins\.eval"):
        read_tree(saved({"a": torch.ones(2), "b": Shelled()}), PATH)


def test_a_loss_of_tensors_is_never_silent() -> None:
    class Odd:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return torch.storage._load_from_bytes, (b"",)

    with pytest.raises(PickleError):
        read_tree(saved({"state_dict": {"a": torch.ones(2), "b": Odd()}}), PATH)


def test_a_plain_pickle_is_refused_as_one() -> None:
    with pytest.raises(PickleError, match="a pickle that torch"):
        read_tree(pickle.dumps({"a": np.ones(3)}), PATH)


@pytest.mark.parametrize("network", [net(), nn.DataParallel(net())])
def test_a_whole_network_gives_the_state_dict_that_it_has(network: nn.Module) -> None:
    for checkpoint, key in ((network, ""), ({"epoch": 1, "model": network}, "model")):
        (found,) = read(checkpoint)
        assert found.key == key
        assert {name: shape_of(value) for name, value in found.tensors.items()} == {
            name: tuple(value.shape) for name, value in network.state_dict().items()
        }


def test_what_a_whole_network_does_not_save_is_not_taken() -> None:
    network = net()
    network.register_buffer("passing", torch.ones(2), persistent=False)
    assert set(read(network)[0].tensors) == set(network.state_dict())


def test_the_average_beside_the_raw_weights_is_proposed_and_a_key_chooses() -> None:
    found = read({"state_dict": net(1).state_dict(), "state_dict_ema": net(2).state_dict(), "optimizer": {"a": 1}})
    assert [(network.key, network.averaged) for network in found] == [("state_dict", False), ("state_dict_ema", True)]
    chosen, said = choose(found, None, "f")
    assert chosen.key == "state_dict_ema"
    assert "'state_dict_ema' was taken" in said
    assert "--key 'state_dict' takes another" in said
    assert choose(found, "state_dict", "f") == (found[0], "")
    with pytest.raises(BundleError, match="no network under 'ema'; choose with --key 'state_dict' or"):
        choose(found, "ema", "f")


@pytest.mark.parametrize(
    ("prefixes", "averaged"),
    [
        (("student", "teacher"), None),
        (("model", "model_ema"), "model_ema"),
        (("model", "ema_model.module"), "ema_model.module"),
        (("net", "swa_net"), "swa_net"),
        (("encoder_q", "encoder_k"), None),
    ],
)
def test_networks_under_prefixes_are_told_apart(prefixes: tuple[str, str], averaged: str | None) -> None:
    state = {f"{prefix}.{name}": value for prefix in prefixes for name, value in net().state_dict().items()}
    found = divided(read({"state_dict": state}), shape_of)
    keys = [network.key.removeprefix("state_dict.") for network in found]
    assert [key.partition(".")[0] for key in keys] == [prefix.partition(".")[0] for prefix in prefixes]
    if averaged is None:
        with pytest.raises(BundleError, match="it holds 2 networks: state_dict"):
            choose(found, None, "f")
    else:
        assert choose(found, None, "f")[0].averaged
    for network in found:
        assert choose(found, network.key, "f")[0] is network
        assert choose(read({"state_dict": state}), network.key, "f")[0].tensors.keys() == network.tensors.keys()


def test_the_blocks_of_one_network_are_not_taken_for_networks() -> None:
    blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)) for _ in range(4)))
    for state in (blocks.state_dict(), {f"layer{name}": value for name, value in blocks.state_dict().items()}):
        assert len(divided(read(state), shape_of)) == 1


def test_a_file_without_weights_holds_no_network() -> None:
    for nothing in ({"epoch": 3}, [torch.ones(2)], {"loss": {"a": torch.ones(3)}}, OrderedDict()):
        with pytest.raises(BundleError, match="it holds no network"):
            choose(read(nothing), None, "f")


class Part(dict[str, object]):
    """A part of a network as it is read: its attributes lie in its `__dict__`."""


def test_a_network_whose_parts_hold_others_twice_is_not_followed_without_end() -> None:
    part = Part()
    part.__dict__ |= {"_parameters": {"weight": torch.ones(2, 2)}, "_modules": {}}
    for _ in range(60):
        outer = Part()
        outer.__dict__ |= {"_parameters": {}, "_modules": {"a": part, "b": part}}
        part = outer
    (found,) = networks_in(part, shape_of)
    assert 0 < len(found.tensors) < 100_000


def test_a_name_of_many_averages_is_read_at_once() -> None:
    (found,) = networks_in({"averag_" * 10_000 + "\n": net().state_dict()}, shape_of)
    assert found.averaged


def test_hundreds_of_prefixes_are_not_compared_with_one_another() -> None:
    tensors = {f"block{letter}x.{name}": torch.ones(2, 2) for letter in map(chr, range(300, 501)) for name in "abcd"}
    assert len(divided(networks_in(tensors, shape_of), shape_of)) == 1
