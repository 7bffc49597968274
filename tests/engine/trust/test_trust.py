"""A model's code runs only if a person or the package approved these very bytes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from factories import approve, make_model

from engine.bundle.model_bundle import read_bundle
from engine.errors import BundleError
from engine.library.tasks import find_model, list_tasks
from engine.network.classifier import Classifier
from engine.network.loading import build_network
from engine.storage.places import bundled_tasks
from engine.trust import permission
from engine.trust.bundled import DIGESTS, digests_as_json
from engine.trust.permission import Changes, standing_of

DEMO = bundled_tasks() / "IHC Stain (demo)" / "Small CNN"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder that nobody approved; its code leaves a trace if it runs."""
    return make_model(tmp_path / "tasks" / "Lungs" / "CNN", trace=tmp_path / "it-ran")


def ran(model: Path) -> bool:
    return (model.parents[2] / "it-ran").exists()


def test_unapproved_code_does_not_run_whoever_loads_it(model: Path) -> None:
    bundle = find_model([model.parents[1]], "Lungs", "CNN")
    for load in (Classifier.load, build_network, permission.check_approved, permission.approved_content):
        with pytest.raises(BundleError) as caught:
            load(bundle)
        assert "Lungs/CNN: its code was not approved on this machine" in caught.value.message
        assert 'trust "Lungs/CNN"' in str(caught.value.remedy)
    assert not ran(model)


def test_everything_else_of_an_unapproved_model_can_be_read_without_running_it(model: Path) -> None:
    (entry,) = list_tasks([model.parents[1]])[0].models
    assert (entry.usable, entry.description) == (False, "A model made up for tests.")
    assert entry.reason.startswith("Its code was not approved on this machine")
    assert entry.bundle is not None
    assert entry.standing is not None
    assert entry.standing.state == "unapproved"
    assert not ran(model)


def test_approved_code_runs(model: Path) -> None:
    approve(model)
    (entry,) = list_tasks([model.parents[1]])[0].models
    assert (entry.usable, entry.reason) == (True, "")
    assert Classifier.load(read_bundle(model), device="cpu").classes == ("healthy", "ill")
    assert ran(model)


def test_any_changed_byte_takes_the_approval_away_and_the_files_are_named(model: Path) -> None:
    (model / "samples").mkdir()
    (model / "samples" / "a.png").write_bytes(b"a")
    approve(model)
    (model / "samples" / "a.png").write_bytes(b"b")
    (model / "helper.py").touch()
    (model / "description.txt").unlink()
    standing = standing_of(read_bundle(model))
    assert (standing.state, standing.allowed) == ("changed", False)
    assert standing.changes == Changes(("samples/a.png",), ("helper.py",), ("description.txt",))
    (entry,) = list_tasks([model.parents[1]])[0].models
    assert not entry.usable
    assert "changed: samples/a.png; added: helper.py; removed: description.txt" in entry.reason
    with pytest.raises(BundleError, match="changed since it was approved"):
        Classifier.load(read_bundle(model), device="cpu")
    assert not ran(model)


def test_what_is_put_back_as_it_was_is_approved_again(model: Path) -> None:
    approve(model)
    before = (model / "weights.pt").read_bytes()
    (model / "weights.pt").write_bytes(before + b"!")
    assert standing_of(read_bundle(model)).state == "changed"
    (model / "weights.pt").write_bytes(before)
    assert standing_of(read_bundle(model)).state == "approved"


def test_the_bundled_models_are_approved_by_the_package() -> None:
    for task in list_tasks((bundled_tasks(),)):
        for entry in task.models:
            assert entry.standing is not None
            assert (entry.standing.state, entry.usable) == ("bundled", True)


def test_the_digests_in_the_package_are_those_of_the_bundled_models() -> None:
    assert DIGESTS.read_text(encoding="ascii") == digests_as_json(bundled_tasks()), "run python -m engine.trust.bundled"


def test_a_copy_of_a_bundled_model_is_approved_until_a_byte_of_it_changes(tmp_path: Path) -> None:
    copy = tmp_path / "tasks" / "T" / "M"
    shutil.copytree(DEMO, copy)
    assert standing_of(read_bundle(copy)).state == "bundled"
    with (copy / "train.py").open("a") as file:
        file.write("#")
    assert standing_of(read_bundle(copy)).state == "unapproved"


def test_a_bundled_model_that_was_changed_in_its_place_says_what_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundled_tasks(), tmp_path / "tasks")
    monkeypatch.setattr("engine.storage.places.bundled_tasks", lambda: tmp_path / "tasks")
    model = tmp_path / "tasks" / "IHC Stain (demo)" / "Small CNN"
    with (model / "weights.pt").open("ab") as file:
        file.write(b"!")
    standing = standing_of(read_bundle(model))
    assert (standing.state, standing.changes) == ("changed", Changes(("weights.pt",)))


def test_what_changes_between_listing_and_loading_does_not_run(model: Path) -> None:
    approve(model)
    bundle = read_bundle(model)
    (model / "architecture.py").write_text("raise SystemExit('this must not run')\n")
    with pytest.raises(BundleError, match=r"changed since it was approved \(changed: architecture.py\)"):
        build_network(bundle)
    approve(model)  # by another program: approved, but not what was listed
    with pytest.raises(BundleError, match=r"changed after it was read \(changed: architecture.py\).*read the tasks ag"):
        build_network(bundle)
    assert not ran(model)


def test_a_bundle_that_only_claims_an_approved_digest_is_found_out(model: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "tasks" / "Lungs" / "Other")
    approve(other)
    claim = replace(read_bundle(model), digest=read_bundle(other).digest, files=read_bundle(other).files)
    with pytest.raises(BundleError, match="not approved"):
        build_network(claim)
    assert not ran(model)


def test_what_was_hashed_is_what_runs(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are swapped right after they were hashed: the network is still that of the hashed bytes."""
    approve(model)
    bundle = read_bundle(model)
    honest = permission.read_approvals

    def swap_then_read() -> object:
        (model / "architecture.py").write_text("raise SystemExit('this must not run')\n")
        torch.save({}, model / "weights.pt")
        return honest()

    monkeypatch.setattr(permission, "read_approvals", swap_then_read)
    network = build_network(bundle)
    assert float(network.conv.bias.detach()[0]) == 0.5
    monkeypatch.setattr(permission, "read_approvals", honest)
    assert standing_of(read_bundle(model)).state == "changed"


def test_a_file_that_another_takes_the_place_of_while_it_is_hashed_is_hashed_anew(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered of a file must not be the digest of what lay there for a moment."""
    from engine.bundle import digest

    here, other, away = model / "samples", model.parent / "other", model.parent / "away"
    for folder, content in ((here, b"a" * 50), (other, b"b" * 50)):
        folder.mkdir()
        (folder / "x.bin").write_bytes(content)
    monkeypatch.setattr(digest, "_SETTLED", -1.0)
    honest = digest.open_regular

    def swapped(path: Path) -> int:
        if path.name != "x.bin":
            return honest(path)
        here.rename(away)  # the times of the files in it do not change
        other.rename(here)
        descriptor = honest(path)
        here.rename(other)
        away.rename(here)
        return descriptor

    monkeypatch.setattr(digest, "open_regular", swapped)
    digest.take_snapshot(model)
    monkeypatch.setattr(digest, "open_regular", honest)
    assert digest.take_snapshot(model).files == digest.take_snapshot(model, fresh=True).files
