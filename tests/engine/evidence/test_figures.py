"""What was measured is kept by digest and by everything that it depends on; a file may hold anything."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_bundle

from engine.bundle.model_bundle import read_bundle
from engine.evidence import figures
from engine.evidence.figures import (
    bundled_figures,
    figures_as_json,
    figures_digest,
    figures_key,
    keep_figures,
    known_figures,
)
from engine.evidence.of_this_network import Figures
from engine.explainers.registry import METHODS
from engine.explainers.settings import Settings
from engine.storage import places

DIGEST = "ab" * 32
MEASURED = Figures({"head": 0.25, "all": -0.5}, {"head": 1.5, "all": 0.0}, 3, 0.75)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "state", lambda: tmp_path)
    return tmp_path / "figures" / f"{DIGEST}.json"


def test_what_was_measured_is_known_from_then_on(state: Path) -> None:
    assert known_figures(DIGEST, "key") is None
    keep_figures(DIGEST, "key", MEASURED)
    keep_figures(DIGEST, "other", replace(MEASURED, images=4))
    assert known_figures(DIGEST, "key") == MEASURED
    assert known_figures(DIGEST, "other").images == 4
    assert known_figures("cd" * 32, "key") is None
    assert list(json.loads(state.read_text())[DIGEST]) == ["key", "other"]


@pytest.mark.parametrize(
    "change",
    [
        {"correlations": {"head": 1.5, "all": 0}},
        {"correlations": {"head": True, "all": 0}},
        {"correlations": {"tail": 0.5}, "shared": {"tail": 0.5}},
        {"correlations": {}, "shared": {}},
        {"shared": {"head": 1}},
        {"shared": {"head": 4, "all": 0}},
        {"images": 0},
        {"images": "4"},
        {"reliability": None},
    ],
)
def test_what_is_not_figures_is_not_used(state: Path, change: dict[str, object]) -> None:
    keep_figures(DIGEST, "key", MEASURED)
    content = json.loads(state.read_text())
    content[DIGEST]["key"] |= change
    content[DIGEST]["sound"] = json.loads(figures_as_json({DIGEST: {"sound": MEASURED}}))[DIGEST]["sound"]
    state.write_text(json.dumps(content))
    assert known_figures(DIGEST, "key") is None
    assert known_figures(DIGEST, "sound") == MEASURED


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{", b'{"x": 1}', b"\xff", b"[" * 5000, b'{"a": NaN}', b" " * 2_000_000]
)
def test_a_damaged_file_is_measured_anew(state: Path, content: bytes) -> None:
    state.parent.mkdir()
    state.write_bytes(content)
    assert known_figures(DIGEST, "key") is None
    keep_figures(DIGEST, "key", MEASURED)
    assert known_figures(DIGEST, "key") == MEASURED


def test_where_nothing_can_be_written_nothing_is_kept(state: Path) -> None:
    state.parent.write_text("a file in place of the folder")
    keep_figures(DIGEST, "key", MEASURED)
    assert known_figures(DIGEST, "key") is None
    keep_figures("../escape", "key", MEASURED)  # no digest, so no file
    assert known_figures("../escape", "key") is None


def test_only_so_many_are_kept_of_a_model(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_MOST_KEPT", 2)
    for number in range(3):
        keep_figures(DIGEST, str(number), MEASURED)
    assert list(json.loads(state.read_text())[DIGEST]) == ["1", "2"]


def test_figures_are_kept_by_all_that_makes_a_map_but_the_samples() -> None:
    bundle, usual = make_bundle(), Settings()
    keys = {method: figures_key(bundle, method, usual) for method in METHODS}
    assert len(set(keys.values())) == len(METHODS)
    assert figures_key(bundle, "rise", Settings(samples={"rise": 50}, seed=3, target="benign")) == keys["rise"]
    assert figures_key(bundle, "rise", Settings(layer="conv")) == keys["rise"]  # RISE looks at no layer
    assert figures_key(bundle, "gradcam", Settings(layer="conv")) != keys["gradcam"]
    assert figures_key(bundle, "rise", Settings(estimator="paper")) != keys["rise"]
    assert figures_key(bundle, "lime", Settings(parameters={"lime": {"superpixels": 30}})) != keys["lime"]


def test_words_about_a_model_make_no_figures_stale(tmp_path: Path) -> None:
    folder = next(places.bundled_tasks().glob("IHC*/*/weights.pt")).parent
    copied = Path(shutil.copytree(folder, tmp_path / "task" / folder.name))
    known = figures_digest(read_bundle(folder))
    with (copied / "description.txt").open("a", encoding="utf-8") as file:
        file.write("\nOne more sentence.\n")
    assert read_bundle(copied).digest != read_bundle(folder).digest
    assert figures_digest(read_bundle(copied)) == known
    with (copied / "architecture.py").open("a", encoding="utf-8") as file:
        file.write("# another\n")
    assert figures_digest(read_bundle(copied)) != known
    assert figures_digest(make_bundle()) == make_bundle().digest  # no folder


def test_the_bundled_models_figures_come_with_the_package_and_are_not_stale() -> None:
    found = bundled_figures()
    remedy = "run python -m engine.explanation.bundled_figures --data FOLDER"
    bundles = [read_bundle(weights.parent) for weights in places.bundled_tasks().glob("*/*/weights.pt")]
    assert set(found) == {figures_digest(bundle) for bundle in bundles}, remedy
    for bundle in bundles:
        wanted = {figures_key(bundle, method, Settings()) for method in METHODS}
        assert wanted == set(found[figures_digest(bundle)]), f"{bundle.name}: {remedy}"
