"""Weights with bits turned over: refused by digest and, approved all the same, by key, shape and NaN; classes amiss."""

from __future__ import annotations

import random
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from factories import approve, make_model
from safetensors.torch import save_file

from engine.bundle.model_bundle import read_bundle
from engine.cli.main import run
from engine.errors import BundleError
from engine.network.loading import build_network
from engine.storage import places

FLIPS = 60
"""Some only give other numbers: nothing but the digest can tell that those are wrong."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "Task" / "Model", approved=True)


def flip(data: bytes, draw: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    return bytes(damaged)


def state_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_flipped_weights_are_refused_by_digest_and_else_by_what_they_hold(kind: str, model: Path) -> None:
    weights = model / f"weights.{kind}"
    if kind == "safetensors":
        save_file(torch.load(model / "weights.pt", weights_only=True), weights)
        (model / "weights.pt").unlink()
    approve(model)
    whole, draw = weights.read_bytes(), random.Random(5)
    store = places.approvals()
    approved, expected = store.read_bytes(), state_of(build_network(read_bundle(model)))
    outcomes: Counter[str] = Counter()
    refusals: list[BundleError] = []
    for _ in range(FLIPS):
        weights.write_bytes(flip(whole, draw))
        if weights.read_bytes() == whole:
            continue
        with pytest.raises(BundleError, match="changed since"):
            build_network(read_bundle(model))
        approve(model)  # someone approves it unseen
        try:
            network = build_network(read_bundle(model))
        except BundleError as error:
            refusals.append(error)
        else:
            state = state_of(network)
            assert {key: value.shape for key, value in state.items()} == {k: v.shape for k, v in expected.items()}
            assert all(bool(torch.isfinite(value).all()) for value in state.values())
            outcomes["other numbers" if any(not torch.equal(state[k], expected[k]) for k in state) else "same"] += 1
        store.write_bytes(approved)
    assert all(error.remedy and "\n" not in error.message for error in refusals)
    assert len(refusals) > FLIPS / 10
    assert len(refusals) + outcomes.total() > FLIPS - 10


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda state: state | {"conv.bias": torch.tensor([float("nan"), 0.0])}, "conv.bias holds NaN or infinite"),
        (lambda state: state | {"conv.bias": torch.tensor([float("inf"), 0.0])}, "conv.bias holds NaN or infinite"),
        (lambda state: state | {"conv.bias": torch.zeros(3)}, r"conv.bias has the shape \(3,\)"),
        (lambda state: {"conv.weight": state["conv.weight"]}, "lacks conv.bias"),
        (lambda state: state | {"dense.bias": torch.zeros(3)}, "has dense.bias that the architecture does not have"),
        (lambda state: {}, "lacks conv.weight, conv.bias"),
        (lambda state: {"state_dict": state}, "other than a state_dict"),
    ],
)
def test_approved_weights_that_cannot_be_right_are_refused_by_what_is_wrong(
    spoil: object, cause: str, model: Path
) -> None:
    state = torch.load(model / "weights.pt", weights_only=True)
    torch.save(spoil(state), model / "weights.pt")  # type: ignore[operator]
    approve(model)
    with pytest.raises(BundleError, match=cause):
        build_network(read_bundle(model))


def deflated(path: Path) -> None:
    """Pack a file of torch's anew, so that zeros take no room."""
    torch.save({"conv.weight": torch.zeros(2, 3, 3, 3), "conv.bias": torch.zeros(2), "x": torch.zeros(2**24)}, path)
    with zipfile.ZipFile(path) as old:
        entries = {entry.filename: old.read(entry) for entry in old.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in entries.items():
            new.writestr(name, content)


def of_an_unknown_version(path: Path) -> None:
    """Let a packed file ask for a version of its format that `zipfile` does not know; torch does not look at it."""
    deflated(path)
    version = b"\x64\x00"
    path.write_bytes(re.sub(rb"(?<=PK\x01\x02..)..", lambda _: version, path.read_bytes(), flags=re.DOTALL))


def with_two_lists(path: Path) -> None:
    """Hide packed files behind the list of contents of others: torch follows the archive's end, `zipfile` does not."""
    deflated(path)
    packed = path.read_bytes()
    with zipfile.ZipFile(path) as old:
        names = old.namelist()
    with zipfile.ZipFile(path, "w") as new:
        for name in names:
            new.writestr(name, b"1")
    plain = path.read_bytes()
    (first, listed), (second, shown) = (
        (data[: int.from_bytes(data[-6:-2], "little")], data[int.from_bytes(data[-6:-2], "little") : -22])
        for data in (packed, plain)
    )
    place = max(len(first), len(second))
    ends = plain[-22:-6] + place.to_bytes(4, "little") + plain[-2:]
    path.write_bytes(first.ljust(place, b"\0") + listed + second.ljust(place, b"\0") + shown + ends)


def dressed(path: Path) -> None:
    """Give a tensor an attribute that hides a method of its class, as a file can."""
    weight = torch.zeros(2, 3, 3, 3)
    weight.is_floating_point = 1  # type: ignore[assignment,method-assign]
    weight.shape_again = "x"
    torch.save({"conv.weight": weight, "conv.bias": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (deflated, "is compressed, which torch.save never does"),
        (with_two_lists, "is compressed, which torch.save never does"),
        (of_an_unknown_version, "a zip archive, as torch.save writes, that is cut short or damaged"),
        (
            lambda path: torch.save({"conv.bias": torch.zeros(1).expand(2**31), "conv.weight": torch.zeros(1)}, path),
            r"its tensors claim 8,589,934,596 bytes, and the file has \d,\d{3};",
        ),
        (lambda path: torch.save({"conv.bias": torch.zeros(2).to_sparse()}, path), "conv.bias is sparse, quantized"),
        (lambda path: torch.save({"conv.bias": torch.zeros(2, device="meta")}, path), "conv.bias is sparse, quantized"),
    ],
    ids=["deflated", "two lists", "unknown version", "stride 0", "sparse", "meta"],
)
def test_weights_that_ask_for_far_more_memory_than_their_file_are_refused(
    make: Callable[[Path], None], cause: str, model: Path
) -> None:
    make(model / "weights.pt")
    approve(model)
    with pytest.raises(BundleError, match=cause):
        build_network(read_bundle(model))


def test_what_a_file_hangs_on_a_tensor_is_left_behind(model: Path) -> None:
    dressed(model / "weights.pt")
    approve(model)
    for value in state_of(build_network(read_bundle(model))).values():
        assert not vars(value)
        assert value.is_floating_point()


@pytest.mark.parametrize("classes", [["one"], ["one", "two", "three"]])
def test_a_class_count_unlike_the_outputs_is_refused_on_the_command_line_and_names_no_class(
    classes: list[str], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = model / "model.toml"
    toml.write_text(toml.read_text(encoding="utf-8").replace('["healthy", "ill"]', str(classes)), encoding="utf-8")
    approve(model)
    picture = sorted((places.bundled_tasks() / "IHC Stain (demo)" / "Small CNN" / "samples").glob("*.png"))[0]
    shutil.copy(picture, model.parent.parent / "x.png")
    command = ["--tasks", str(model.parent.parent), "predict", str(model.parent.parent / "x.png"), "--task", "Task"]
    assert run([*command, "--device", "cpu"], open_app=lambda _: 99) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert (
        f"{len(classes)} classes are named, but the network has 2 outputs" in shown.err or "at least two" in shown.err
    )
    assert shown.err.count("\n") == 1
