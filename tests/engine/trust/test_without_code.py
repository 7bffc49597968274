"""A model without code of its own needs no approval, and every place that speaks of approvals says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Run
from factories import make_model, make_named_model

from engine.bundle.fit_npz import signature
from engine.bundle.model_bundle import read_bundle
from engine.errors import BundleError
from engine.library.add_model import Parts, add_model
from engine.library.changes import add_task
from engine.library.tasks import list_tasks
from engine.network.loading import build_network
from engine.trust.permission import Standing, review, standing_of, words_about

_SAID = "no code of its own: the network is torchvision's shufflenet_v2_x0_5"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    return make_named_model(tmp_path / "tasks" / "Lungs" / "Named")


def test_it_may_be_used_at_once(model: Path) -> None:
    bundle = read_bundle(model)
    assert (bundle.architecture, bundle.runs_code, bundle.built_from) == (None, False, _SAID)
    assert standing_of(bundle) == Standing("no code")
    (entry,) = list_tasks([model.parents[1]])[0].models
    assert (entry.state, entry.usable, entry.reason) == ("usable", True, "")


def test_a_review_of_it_has_no_code(model: Path) -> None:
    seen = review(model)
    assert (seen.code, seen.findings) == ({}, ())
    assert words_about(seen)[0] == f"It has {_SAID}. Its files are read as data, so there is nothing to approve."


def test_the_commands_say_so(xaimed: Run, model: Path) -> None:
    for command in (("trust", "Lungs/Named"), ("models", "show", "Lungs", "Named")):
        status, out, err = xaimed(*command)
        assert (status, err) == (0, "")
        assert _SAID in out
        assert "nothing to approve" in out
    status, out, _ = xaimed("models", "show", "Lungs", "Named", "--json")
    shown = json.loads(out)
    assert shown["network"] == {"source": "torchvision:shufflenet_v2_x0_5", "arguments": {"num_classes": 2}}
    assert shown["approval"]["state"] == "no code"


def test_code_that_is_added_later_does_not_run(model: Path) -> None:
    bundle = read_bundle(model)
    (model / "architecture.py").write_text("raise SystemExit('this must not run')")
    with pytest.raises(BundleError, match="was changed after it was read"):
        build_network(bundle)
    with pytest.raises(BundleError, match=r"names a network, and there is architecture.py as well; remove one"):
        read_bundle(model)


def test_nor_does_the_network_change_that_was_read(model: Path) -> None:
    bundle = read_bundle(model)
    settings = model / "model.toml"
    settings.write_text(settings.read_text().replace("x0_5", "x1_0"))
    with pytest.raises(BundleError, match=r"changed after it was read \(changed: model.toml\)"):
        build_network(bundle)


def test_a_folder_with_neither_says_what_can_be_added(model: Path) -> None:
    settings = model / "model.toml"
    settings.write_text(settings.read_text().replace("source", "# source"))
    with pytest.raises(
        BundleError, match=r"there is no architecture.py.*or name the network in model.toml: \[network\]"
    ):
        read_bundle(model)
    settings.unlink()
    with pytest.raises(BundleError, match=r"there is no architecture.py"):
        read_bundle(model)


def test_it_is_added_to_a_task_without_an_architecture(model: Path, tmp_path: Path) -> None:
    folders = [tmp_path / "tasks"]
    add_task(folders, "Skin", "")
    parts = Parts(model / "weights.pt", architecture=None, settings=model / "model.toml")
    bundle = add_model(folders, "Skin", "Named", parts)
    assert bundle.built_from == _SAID
    assert standing_of(bundle).allowed


def test_a_fit_belongs_to_one_network_and_its_arguments(model: Path, tmp_path: Path) -> None:
    before = signature(read_bundle(model))
    settings = model / "model.toml"
    settings.write_text(settings.read_text().replace("num_classes = 2", "num_classes = 3"))
    assert signature(read_bundle(model)) != before


def test_a_model_with_code_and_no_section_network_keeps_the_signature_that_it_had(tmp_path: Path) -> None:
    bundle = read_bundle(make_model(tmp_path / "Lungs" / "CNN"))
    assert signature(bundle) == "fe6a62ffe0ca54a5b759b69219fdc37dc38bb93a3359e562c1635fe727d6de32"
