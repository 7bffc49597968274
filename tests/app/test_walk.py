"""The paper's walk (section 4.2) with the real engine on the bundled demo, once by keys and once by mouse alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from app_driver import press, screen_text, settled, until

pytest.importorskip("torch")

from textual.widgets import ContentSwitcher

from engine.explainers.registry import BUILT_IN
from engine.results.cells import CELL_NAMES, CELLS
from xaimed_tui.app import DEMO_TASK, XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.preferences.settings import AppSettings
from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.detail.statistics_table import StatisticsTable
from xaimed_tui.screens.explain.save import SaveDialog

if TYPE_CHECKING:
    from textual.pilot import Pilot

METHODS = {method.key for method in BUILT_IN}


@pytest.fixture(autouse=True)
def _threads_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    import torch

    before = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_num_threads(before)


def view_of(app: XAIMedApp) -> str | None:
    return app.screen_stack[0].query_one(ContentSwitcher).current


def assert_described(app: XAIMedApp) -> None:
    """Task and model are described in words, the model also by its picture, as in the paper's figure 5."""
    task = next(task for task in app.library if task.name == DEMO_TASK)
    shown = " ".join(screen_text(app).split())
    assert task.description.split("\n")[0].split(".")[0][:20] in shown
    assert "About the task" in shown


async def assert_explained(pilot: Pilot[int], app: XAIMedApp) -> None:
    """Class, confidence and level are shown, all maps are made, and the counts add up, as in figure 6."""
    await until(pilot, lambda: {run.state for run in app.explain.runs.values()} == {"done"}, seconds=180)
    await until(
        pilot, lambda: app.explain.explanation is not None and len(app.explain.explanation.maps) == len(METHODS)
    )
    await settled(pilot)
    made = app.explain.explanation
    assert made is not None
    assert set(made.maps) == METHODS
    assert made.consensus.counts.sum() == 12
    shown = screen_text(app)
    assert f"{made.diagnosis.confidence} confidence" in shown
    assert made.diagnosis.predicted in shown


def assert_statistics(app: XAIMedApp, method: str) -> None:
    """All nine cells with their figures, and the three highest ranked, as in figure 7."""
    made = app.explain.explanation
    assert made is not None
    table = app.screen.query_one(StatisticsTable)
    rows = [[str(value).strip() for value in table.get_row_at(index)] for index in range(table.row_count)]
    assert [row[1] for row in rows] == [CELL_NAMES[cell] for cell in CELLS]
    ranked = sorted((row[0].rstrip("?"), row[1]) for row in rows if row[0].rstrip("?"))
    top = made.statistics[method].top
    assert ranked == [(str(index), CELL_NAMES[cell]) for index, cell in enumerate(top, start=1)]
    assert f"{made.statistics[method].mean[0, 0]:.3f}" in screen_text(app)


async def assert_saved(pilot: Pilot[int], app: XAIMedApp, folder: Path) -> None:
    """The maps are in files, as they were shown."""
    made = app.explain.explanation
    assert made is not None
    await until(pilot, folder.is_dir, seconds=60)
    await settled(pilot)
    (saved,) = folder.iterdir()
    record = json.loads((saved / "explanation.json").read_text(encoding="ascii"))
    assert set(record["methods"]) == METHODS
    with np.load(saved / "saliency.npz") as maps:
        for method, shown in made.maps.items():
            np.testing.assert_array_equal(maps[method], shown.values)


async def test_the_walk_of_the_paper_by_keys_alone(tmp_path: Path) -> None:
    app = XAIMedApp(Engine())
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: bool(app.library), seconds=60)
        assert view_of(app) == "home"
        await press(pilot, "question_mark", "escape", "2")
        assert view_of(app) == "selection"
        for _ in app.library:
            if app.selection._task_here().name == DEMO_TASK:
                break
            await press(pilot, "down")
        assert_described(app)
        await press(pilot, "enter", "enter")
        await until(pilot, lambda: view_of(app) == "explain", seconds=60)
        await until(pilot, lambda: app.explain.scene.diagnosis is not None, seconds=60)
        await press(pilot, "down")
        await until(pilot, lambda: app.explain.scene.diagnosis is not None, seconds=60)
        await pilot.press("e")
        await assert_explained(pilot, app)
        order = [card.key for card in app.explain.wall]
        while app.explain.wall.active != "gradcam++":
            await press(pilot, "right")
        await press(pilot, "enter")
        assert isinstance(app.screen, DetailScreen)
        assert_statistics(app, "gradcam++")
        await press(pilot, "right", "right", "right")  # past the exact cells
        assert "methods counted" in screen_text(app)
        await press(pilot, "escape")
        assert app.explain.wall.active == "agreement"
        assert "agreement" in order
        await press(pilot, "w", "enter")
        await assert_saved(pilot, app, tmp_path / "xaimed-results")
        await press(pilot, "escape", "escape", "escape", "escape")
        assert view_of(app) == "home"


class Mouse:
    """Clicks on what stands on the screen."""

    def __init__(self, pilot: Pilot[int], app: XAIMedApp) -> None:
        self._pilot, self._app = pilot, app

    async def click(self, words: str, *, where: str | None = None, times: int = 1, last: bool = False) -> None:
        """Click on words, within a widget or anywhere; on the last such line if asked for."""
        region = self._app.screen.query_one(where).region if where else self._app.screen.region
        found = [
            (row, column)
            for row, line in enumerate(screen_text(self._app).splitlines())
            if region.y <= row < region.bottom and (column := line.find(words, region.x, region.right)) >= 0
        ]
        assert found, f"{words!r} is not on the screen:\n{screen_text(self._app)}"
        row, column = found[-1 if last else 0]
        await self._pilot.click(offset=(column, row), times=times)
        await settled(self._pilot)

    async def until(self, what: Callable[[], object]) -> None:
        await until(self._pilot, what, seconds=60)


async def test_the_walk_of_the_paper_by_mouse_alone(tmp_path: Path) -> None:
    settings = AppSettings(evidence="off", rise_samples=500, lime_samples=200)  # the other walk takes the defaults
    app = XAIMedApp(Engine(), settings=settings)
    async with app.run_test(size=(160, 50)) as pilot:
        mouse = Mouse(pilot, app)
        await until(pilot, lambda: bool(app.library), seconds=60)
        await settled(pilot)
        await mouse.click("Selection", where="NavBar")
        assert view_of(app) == "selection"
        await mouse.click(DEMO_TASK, where="#tasks")
        assert_described(app)
        model = app.selection._entry_here().name
        await mouse.click(model, where="#models", times=2)
        await mouse.until(lambda: view_of(app) == "explain")
        await mouse.until(lambda: app.explain.scene.diagnosis is not None)
        await settled(pilot)
        first = app.explain.images.current
        await mouse.click("dab-full", where="#images-list")
        await mouse.until(lambda: app.explain.images.current != first and app.explain.scene.diagnosis is not None)
        await settled(pilot)
        await mouse.click("e Explain", where="KeyLine")
        await assert_explained(pilot, app)
        card = app.explain.wall.card("gradcam++").region
        await pilot.click(offset=(card.x + 5, card.y + 6), times=2)
        await settled(pilot)
        assert isinstance(app.screen, DetailScreen)
        assert_statistics(app, "gradcam++")
        for _ in ("hirescam", "exact", "agreement"):
            await mouse.click("→", where="KeyLine")
        assert "methods counted" in screen_text(app)
        await mouse.click("Back", where="KeyLine")
        assert not isinstance(app.screen, DetailScreen)
        await mouse.click("w Save", where="KeyLine")
        assert isinstance(app.screen, SaveDialog)
        await mouse.click("Enter save")
        await assert_saved(pilot, app, tmp_path / "xaimed-results")
        await mouse.click("Home", where="NavBar")
        assert view_of(app) == "home"
