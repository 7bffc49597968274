"""The store of approvals: whatever is wrong with it, nothing counts as approved, and that is said in a line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from factories import approve, make_model

from engine.bundle.model_bundle import read_bundle
from engine.cli.main import run
from engine.errors import ApprovalError, BundleError
from engine.network.loading import build_network
from engine.storage.places import approvals
from engine.trust.approvals import add_approval, files_set_aside, read_approvals
from engine.trust.permission import standing_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True, trace=tmp_path / "it-ran")


def assert_nothing_runs(model: Path, why: str) -> None:
    standing = standing_of(read_bundle(model))
    assert (standing.state, standing.allowed) == ("unapproved", False)
    assert why in standing.cause
    with pytest.raises(BundleError, match="not approved"):
        build_network(read_bundle(model))
    assert not (model.parents[2] / "it-ran").exists()


def tampered(change: str) -> bytes:
    """The store with one thing changed in its only approval."""
    content = json.loads(approvals().read_bytes())
    (entry,) = content["approvals"]
    if change == "digest":
        entry["digest"] = "0" * 64
    elif change == "file":
        entry["files"]["architecture.py"][1] = "0" * 64
    elif change == "type":
        entry["files"] = [1, 2]
    else:
        del entry["path"]
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "change", ["digest", "file", "type", "path", "", "{}", "[" * 100_000, '{"version": 1}', "\udcff"]
)
def test_a_damaged_store_approves_nothing_and_is_set_aside(model: Path, change: str) -> None:
    known = change in ("digest", "file", "type", "path")
    approvals().write_bytes(tampered(change) if known else change.encode("utf-8", "surrogateescape"))
    problem = read_approvals().problem
    (aside,) = files_set_aside()
    assert (
        problem == f"The approvals were damaged and were set aside as {aside}; everything needs to be approved again."
    )
    assert_nothing_runs(model, "")
    approve(model)
    assert standing_of(read_bundle(model)).allowed


def test_a_store_of_a_newer_version_is_left_alone_and_approves_nothing(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = approvals().read_bytes().replace(b'"version": 1', b'"version": 2')
    approvals().write_bytes(content)
    assert_nothing_runs(model, "a newer XAIMed wrote them")
    with pytest.raises(ApprovalError, match="a newer XAIMed wrote them"):
        approve(model)
    assert approvals().read_bytes() == content
    assert run(["--tasks", str(model.parents[1]), "trust", "Lungs/CNN", "--yes"], open_app=lambda _: 99) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such rights")
@pytest.mark.parametrize(("mode", "folder"), [(0o620, False), (0o602, False), (0o1602, False), (0o707, True)])
def test_a_store_that_others_may_write_to_approves_nothing(model: Path, mode: int, folder: bool) -> None:
    place = approvals().parent if folder else approvals()
    place.chmod(mode)
    assert_nothing_runs(model, f"others may write to {place}: run chmod go-w")
    with pytest.raises(ApprovalError, match="others may write"):
        add_approval(model, {})
    place.chmod(0o700)
    assert standing_of(read_bundle(model)).allowed


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such rights")
def test_a_store_of_another_user_approves_nothing(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(approvals(), 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert_nothing_runs(model, "belongs to another user")


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_a_store_that_is_no_file_approves_nothing_and_does_not_block(model: Path, kind: str) -> None:
    approvals().unlink()
    if kind == "folder":
        approvals().mkdir()
    elif kind == "pipe":
        os.mkfifo(approvals(), 0o600)
    else:
        approvals().symlink_to("nowhere")
    assert_nothing_runs(model, "cannot be read")
