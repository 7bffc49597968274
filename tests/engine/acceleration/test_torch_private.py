"""PyTorch still has the private parts that the engine needs, each in the shape it needs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from private_names import taken_from_elsewhere
from torch import fx, nn
from torch.nn import functional

import engine
from engine.acceleration.torch_private import (
    How,
    archive_records,
    archive_size,
    convolve,
    convolve_and_add,
    cpu_computes_in_bfloat16,
    fuse_batch_norm,
    hooks_of,
    lay_out_weight,
)

HOW: How = ([1, 1], [2, 2], [1, 1], 1)

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build lacks oneDNN")


def moved(what: str) -> str:
    return f"PyTorch {torch.__version__} has changed {what}: see engine/acceleration/torch_private.py"


def test_no_other_file_of_the_engine_uses_what_is_private_elsewhere() -> None:
    found = taken_from_elsewhere(Path(engine.__file__).parent)
    allowed = {"acceleration/torch_private.py", "acceleration/torch_settings.py"}
    assert {file for file, _ in found} == allowed, sorted(found)


@needs_onednn
@pytest.mark.parametrize(
    ("name", "overload", "taken"),
    [
        (
            "_convolution_pointwise",
            "default",
            ["X", "W", "B", "padding", "stride", "dilation", "groups", "attr", "scalars", "algorithm"],
        ),
        (
            "_convolution_pointwise",
            "binary",
            [
                *["X", "other", "W", "B", "padding", "stride", "dilation", "groups"],
                *["binary_attr", "alpha", "unary_attr", "unary_scalars", "unary_algorithm"],
            ],
        ),
        (
            "_reorder_convolution_weight",
            "default",
            ["self", "padding", "stride", "dilation", "groups", "input_size"],
        ),
    ],
)
def test_the_operators_of_onednn_take_what_they_took(name: str, overload: str, taken: list[str]) -> None:
    operator = getattr(getattr(torch.ops.mkldnn, name, None), overload, None)
    assert operator is not None, moved(f"torch.ops.mkldnn.{name}.{overload}")
    found = [argument.name for argument in operator._schema.arguments]
    assert found == taken, moved(f"torch.ops.mkldnn.{name}.{overload}: it takes {found}")


@needs_onednn
@pytest.mark.parametrize("relu", [False, True])
@torch.inference_mode()
def test_the_operators_of_onednn_compute_a_convolution_a_sum_and_a_relu(relu: bool) -> None:
    torch.manual_seed(0)
    inputs, weight, bias = torch.randn(2, 3, 9, 7), torch.randn(4, 3, 3, 3), torch.randn(4)
    plain = functional.conv2d(inputs, weight, bias, stride=2, padding=1)
    other = torch.randn_like(plain)
    packed = lay_out_weight(weight, HOW, list(inputs.shape))
    alone, summed = (
        convolve(inputs, packed, bias, HOW, relu=relu),
        convolve_and_add(inputs, other, packed, bias, HOW, relu=relu),
    )
    for name, ours, theirs in (("alone", alone, plain), ("with a sum", summed, plain + other)):
        expected = theirs.relu() if relu else theirs
        assert torch.allclose(ours, expected, atol=1e-5), moved(f"what mkldnn._convolution_pointwise gives, {name}")


@pytest.mark.parametrize("name", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_the_cpu_says_whether_it_computes_in_bfloat16(name: str) -> None:
    asked = getattr(torch.cpu, name, None)
    assert callable(asked), moved(f"torch.cpu.{name}")
    assert isinstance(asked(), bool), moved(f"what torch.cpu.{name} gives")
    assert not asked() or cpu_computes_in_bfloat16()


@torch.inference_mode()
def test_batch_normalisation_is_folded_into_a_copy() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    network[1].running_mean.normal_()  # type: ignore[union-attr, operator]
    folded = fuse_batch_norm(fx.symbolic_trace(network))
    what = moved("torch.fx.experimental.optimization.fuse")
    assert isinstance(folded, nn.Module), what
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()), what
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()), what
    images = torch.randn(2, 3, 6, 6)
    assert torch.allclose(folded(images), network(images), atol=1e-5), what


def test_every_kind_of_hook_stands_in_a_dictionary_of_its_module() -> None:
    def hook(*_: object, **__: object) -> None: ...

    network = nn.Sequential(nn.Linear(2, 2))
    layer = network[0]
    kinds = {
        name: register
        for name in dir(layer)
        if name.startswith("register_") and name.endswith("_hook") and callable(register := getattr(layer, name))
    }
    assert {"register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"} <= set(kinds)
    kinds.pop("register_backward_hook")  # the old kind, which cannot stand beside the full one
    for name, register in kinds.items():
        before = sum(map(len, hooks_of(network)))
        handle = register(hook)
        assert sum(map(len, hooks_of(network))) > before, moved(f"where nn.Module keeps the hook of {name}")
        handle.remove()
        assert sum(map(len, hooks_of(network))) == before, moved(f"what removes the hook of {name}")


def test_a_hook_deleted_from_its_dictionary_is_not_called() -> None:
    network, called = nn.Sequential(nn.Linear(2, 2)), []
    network[0].register_forward_hook(lambda *_: called.append("hook"))
    for hooks in hooks_of(network):
        hooks.clear()
    network(torch.zeros(1, 2))
    assert called == [], moved("how nn.Module finds its hooks")


def test_an_archive_is_read_as_torch_does() -> None:
    file = io.BytesIO()
    torch.save({"a": torch.ones(1_000)}, file)
    found = dict(archive_records(file.getvalue()))
    assert found["data/0"] == torch.ones(1_000).numpy().tobytes(), moved("PyTorchFileReader")
    assert archive_size(file.getvalue()) == sum(map(len, found.values()))
