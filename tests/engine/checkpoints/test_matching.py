"""Tensors are matched by names and shapes: one assignment that is certain, or a table of what is left over."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.checkpoints.matching import Match, Mismatch, match

Shapes = dict[str, tuple[int, ...]]


class Net(nn.Module):
    """Two blocks whose names are alike, as in a ResNet, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)), nn.Conv2d(4, 4, 3))
        self.fc = nn.Linear(4, 2)


def shapes(network: nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


EXPECTED = shapes(Net())


def renamed(prefix: str) -> Shapes:
    return {f"{prefix}{name}": shape for name, shape in EXPECTED.items()}


def matched(expected: Shapes, given: Shapes) -> Match:
    found = match(expected, given)
    assert isinstance(found, Match), found
    return found


def mismatched(expected: Shapes, given: Shapes) -> Mismatch:
    found = match(expected, given)
    assert isinstance(found, Mismatch), found
    return found


PREFIXES = (
    "module.",
    "model.",
    "net.",
    "network.",
    "backbone.",
    "encoder.",
    "_orig_mod.",
    "_forward_module.",
    "ema.",
    "classifier.",
    "model.module.",
    "module.model.net.",
    "_orig_mod.module.",
    "model._orig_mod.",
    "_forward_module.model._orig_mod.",
    "lit.encoder.backbone._orig_mod.module.",
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_in_any_nesting_is_taken_off_and_said(prefix: str) -> None:
    found = matched(EXPECTED, renamed(prefix))
    assert found.names == {name: f"{prefix}{name}" for name in EXPECTED}
    assert (found.filled, found.left_out) == ((), ())
    said = " ".join(found.notes)
    assert all(part in said for part in prefix.rstrip(".").split("."))


def test_equal_names_need_no_word() -> None:
    assert matched(EXPECTED, EXPECTED) == Match({name: name for name in EXPECTED}, (), (), ())


@pytest.mark.parametrize(("ours", "theirs"), [("net.", ""), ("net.", "model."), ("a.b.", "_orig_mod.c.")])
def test_the_network_may_have_the_prefix_or_another_one(ours: str, theirs: str) -> None:
    found = matched(renamed(ours), renamed(theirs))
    assert found.names == {f"{ours}{name}": f"{theirs}{name}" for name in EXPECTED}


def test_wrappers_within_names_are_taken_out() -> None:
    given = {name.replace("layer1.", "layer1._checkpoint_wrapped_module."): shape for name, shape in EXPECTED.items()}
    assert matched(EXPECTED, given).names["layer1.1.bias"] == "layer1._checkpoint_wrapped_module.1.bias"


def test_a_name_that_the_network_has_itself_is_no_wrapper() -> None:
    expected = renamed("module.")
    assert matched(expected, expected).names == {name: name for name in expected}


def test_missing_batch_counters_are_filled_in_and_surplus_ones_left_out() -> None:
    without = {name: shape for name, shape in renamed("model.").items() if "num_batches" not in name}
    found = matched(EXPECTED, without)
    assert found.filled == ("bn1.num_batches_tracked", "layer1.0.1.num_batches_tracked")
    assert "2 batch counters" in found.notes[-1]
    ours = {name: shape for name, shape in EXPECTED.items() if "num_batches" not in name}
    found = matched(ours, EXPECTED)
    assert found.left_out == ("bn1.num_batches_tracked", "layer1.0.1.num_batches_tracked")
    assert "batch counters" in found.notes[-1]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("criterion.weight", "losses and metrics"),
        ("loss_fn.pos_weight", "losses and metrics"),
        ("val_metrics.confmat", "losses and metrics"),
        ("train_acc.tp", "losses and metrics"),
        ("model.aux1.fc.weight", "auxiliary heads"),
        ("model.AuxLogits.conv0.conv.weight", "auxiliary heads"),
        ("n_averaged", "the average over training"),
        ("model.total_ops", "a profiler"),
        ("model.layer1.0.relative_position_index", "compute these themselves"),
    ],
)
def test_what_is_of_no_use_is_left_out_and_said(extra: str, said: str) -> None:
    found = matched(EXPECTED, renamed("model.") | {extra: (9,)})
    assert found.left_out == (extra,)
    assert f"{extra} was left out" in found.notes[-1]
    assert said in found.notes[-1]


@pytest.mark.parametrize("extra", ["dense.bias", "model.layer2.weight", "projector.weight"])
def test_what_is_not_known_to_be_of_no_use_is_left_over(extra: str) -> None:
    for given in (EXPECTED, renamed("model.")):
        found = mismatched(EXPECTED, given | {extra: (9,)})
        assert (dict(found.missing), dict(found.surplus)) == ({}, {extra: (9,)})
        assert extra in found.cause


@pytest.mark.parametrize("head", ["fc.1", "head", "classifier.0"])
def test_a_head_of_another_name_is_assigned_by_its_shape(head: str) -> None:
    given = {
        name.replace("fc", f"model.{head}") if "fc" in name else f"model.{name}": s for name, s in EXPECTED.items()
    }
    found = matched(EXPECTED, given)
    assert found.names["fc.weight"] == f"model.{head}.weight"
    assert found.names["fc.bias"] == f"model.{head}.bias"
    assert any(f"model.{head}.weight became fc.weight" in note for note in found.notes)


def test_a_backbone_and_a_head_beside_it_are_put_together() -> None:
    given = {f"backbone.{name}": shape for name, shape in EXPECTED.items() if "fc" not in name}
    given |= {"head.weight": (2, 4), "head.bias": (2,), "criterion.weight": (2,)}
    found = matched(EXPECTED, given)
    assert found.names["fc.bias"] == "head.bias"
    assert found.left_out == ("criterion.weight",)


def test_two_that_fit_alike_are_not_guessed_between() -> None:
    found = mismatched(EXPECTED, renamed("student.") | renamed("teacher."))
    assert "'student' and 'teacher' fit the network alike; choose those to take with --key" in found.cause


def test_two_layers_of_one_shape_are_not_guessed_between() -> None:
    expected = {"a.weight": (4, 4), "b.weight": (4, 4)}
    found = mismatched(expected, {"x.weight": (4, 4), "y.weight": (4, 4)})
    assert dict(found.missing) == expected


def test_a_weight_and_a_bias_of_different_layers_make_no_layer() -> None:
    expected = EXPECTED
    given = {name: shape for name, shape in EXPECTED.items() if "fc" not in name}
    given |= {"one.weight": (2, 4), "other.bias": (2,)}
    assert set(mismatched(expected, given).missing) == {"fc.weight", "fc.bias"}


def test_another_shape_is_told_by_a_table_of_both_sides() -> None:
    given = renamed("model.") | {"model.fc.weight": (3, 4), "model.fc.bias": (3,)}
    found = mismatched(EXPECTED, given)
    lines = found.table()
    assert lines[0].split("   ")[0].strip() == "the network lacks (2)"
    assert "the file has besides (2)" in lines[0]
    assert lines[1].split() == ["fc.weight", "2x4", "model.fc.weight", "3x4"]
    assert (found.found, found.wanted) == (len(EXPECTED) - 4, len(EXPECTED) - 2)


def test_a_table_is_short_where_nothing_fits() -> None:
    given = {f"layer{i}.weight": (i + 1, 7) for i in range(40)}
    lines = mismatched(EXPECTED, given).table()
    assert len(lines) == 10
    assert "and 32 more" in lines[-1]


def test_densenets_of_old_torchvision_are_understood() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.conv1 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
            self.norm2, self.conv2 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)

    expected = {f"denseblock1.denselayer1.{name}": shape for name, shape in shapes(Layer()).items()}
    old = {name.replace("norm", "norm.").replace("conv", "conv."): s for name, s in expected.items()}
    found = matched(expected, old)
    assert found.names["denseblock1.denselayer1.norm2.weight"] == "denseblock1.denselayer1.norm.2.weight"


def test_the_assignment_gives_the_networks_own_answer() -> None:
    torch.manual_seed(0)
    source = Net().state_dict()
    given = {f"model._orig_mod.{name}": value for name, value in source.items()}
    found = matched(EXPECTED, {name: tuple(value.shape) for name, value in given.items()})
    target = Net()
    target.load_state_dict({name: given[other] for name, other in found.names.items()})
    assert all(torch.equal(value, source[name]) for name, value in target.state_dict().items())


def test_a_name_of_very_many_parts_takes_little_memory() -> None:
    long = "a." * 1_000_000 + "w"
    assert isinstance(match({"w": (1,), "v": (2,)}, {long: (1,)}), Mismatch)
