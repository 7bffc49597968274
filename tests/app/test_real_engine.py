"""The way a new user goes, with the real engine on the demo task that comes with the package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from app_driver import press, screen_text, settled, until

pytest.importorskip("torch")

from engine.errors import BundleError, TaskError
from engine.library.tasks import find_model
from engine.storage.places import bundled_tasks
from xaimed_tui.app import DEMO_TASK, XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.preferences.settings import AppSettings

METHODS = {"lime", "rise", "gradcam", "gradcam++", "hirescam"}


async def test_the_maps_of_a_sample_of_the_demo_are_made_shown_and_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        find_model((bundled_tasks(),), DEMO_TASK, None)
    except (TaskError, BundleError) as error:
        pytest.fail(f"the demo must be usable: {error}")
    import torch

    before = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    settings = AppSettings(evidence="off", rise_samples=500, lime_samples=200)  # test_walk.py takes the defaults
    app = XAIMedApp(Engine(), settings=settings)
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, "d")
        await until(pilot, lambda: "confidence" in screen_text(app), seconds=60)
        await pilot.press("down")
        await settled(pilot)
        name = app.explain.images.current.label
        await pilot.press("e")
        await until(pilot, lambda: {run.state for run in app.explain.runs.values()} <= {"done", "failed"}, seconds=120)
        assert {method: run.reason for method, run in app.explain.runs.items() if run.state != "done"} == {}
        await until(pilot, lambda: app.explain.explanation is not None and len(app.explain.explanation.maps) == 5)
        explanation = app.explain.explanation
        assert set(explanation.maps) == METHODS
        assert explanation.consensus.counts.sum() == 12
        assert explanation.image.path.name == name
        await press(pilot, "right", "right", "enter")  # past the agreement
        assert f"{explanation.statistics['lime'].mean[0, 0]:.3f}" in screen_text(app)
        await press(pilot, "escape", "w", "enter")
        await until(pilot, lambda: (tmp_path / "xaimed-results").is_dir(), seconds=60)
        await settled(pilot)
    torch.set_num_threads(before)
    (saved,) = (tmp_path / "xaimed-results").iterdir()
    record = json.loads((saved / "explanation.json").read_text(encoding="ascii"))
    assert set(record["methods"]) == METHODS
    with np.load(saved / "saliency.npz") as maps:
        for method, made in explanation.maps.items():
            np.testing.assert_array_equal(maps[method], made.values)
    assert {"original.png", "agreement.png", "rise.png", "rise-cells.png", "statistics.csv"} <= {
        path.name for path in saved.iterdir()
    }


async def test_an_empty_task_folder_and_a_broken_model_are_said_in_words(tmp_path: Path) -> None:
    model = tmp_path / "Task" / "Model"
    model.mkdir(parents=True)
    (model.parent / "task_description.txt").write_text("A task.", encoding="utf-8")
    (model / "description.txt").write_text("A model without weights.", encoding="utf-8")
    app = XAIMedApp(Engine(tmp_path))
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, "2")
        text = " ".join(screen_text(app).split())
        assert "Cannot be used" in text
        assert "A model without weights." in text
