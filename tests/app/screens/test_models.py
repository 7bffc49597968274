"""A model in the app: all that is known of it, its check while one watches, a first model.toml."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from app_driver import press, screen_text, settled, told, until
from library_driver import app_on, choose, make_library

from engine.bundle.model_bundle import read_bundle
from engine.errors import BundleError
from engine.trust import permission
from xaimed_tui.screens.library.manage import ConfirmDialog
from xaimed_tui.screens.library.model import CheckScreen, ModelScreen
from xaimed_tui.widgets.dialogs import ChooseDialog
from xaimed_tui.widgets.row_list import RowList

SIZE = (120, 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tasks folder."""
    return make_library(tmp_path)


async def test_a_model_is_checked_while_one_watches_and_what_came_of_it_is_read_and_copied(folder: Path) -> None:
    app, engine = app_on(folder)
    engine.check = engine.real.check  # type: ignore[method-assign]
    approved(folder / "Hearts" / "CNN")
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Check the model CNN")
        assert isinstance(app.screen, CheckScreen)
        await until(pilot, lambda: "Everything works." in screen_text(app), seconds=60)
        assert "Hearts/CNN on cpu" in screen_text(app)
        assert "RISE" in screen_text(app)
        await press(pilot, "c")
        assert app.clipboard.startswith("Hearts/CNN on cpu\nImage: noise, made up for this check")
        await press(pilot, "escape")
        assert app.screen is app.selection.screen


async def test_closing_a_check_stops_it(folder: Path) -> None:
    app, engine = app_on(folder)
    gate = engine.hold("check")
    approved(folder / "Hearts" / "CNN")
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ChooseDialog))
        app.screen.query_one(RowList).go_to("check-model")
        await pilot.press("enter")
        await until(pilot, lambda: "Trying Grad-CAM" in screen_text(app))
        assert not app.screen.check_action("copy", ())
        await pilot.press("escape")
        await until(pilot, lambda: not app.jobs._lanes["check"].working)
        assert not gate.is_set()
        await until(pilot, lambda: app.screen is app.selection.screen)


async def test_a_check_says_how_long_it_still_takes(folder: Path) -> None:
    app, engine = app_on(folder)
    engine.hold("check")  # after 100 of 400 samples
    app.jobs.clock = count(0.0, 10.0).__next__
    approved(folder / "Hearts" / "CNN")
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await settled(pilot)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ChooseDialog))
        app.screen.query_one(RowList).go_to("check-model")
        await pilot.press("enter")
        await until(pilot, lambda: "Trying Grad-CAM with few samples…  ~30 s left" in screen_text(app))
        await pilot.press("escape")


async def test_a_model_that_cannot_be_checked_says_why(folder: Path) -> None:
    app, engine = app_on(folder)
    engine.failures["check"] = BundleError("weights.pt lacks fc.weight", subject="Hearts/CNN", remedy="copy it again")
    approved(folder / "Hearts" / "CNN")
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Check the model CNN")
        await until(pilot, lambda: "It could not be checked." in screen_text(app))
        assert "weights.pt lacks fc.weight; copy it again" in screen_text(app)


async def test_only_a_model_that_may_run_is_offered_to_be_checked_and_all_can_be_read_about(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "m")
        assert "Show all about the model CNN" in screen_text(app)
        assert "Check the model" not in screen_text(app)
        assert "Write a first model.toml" not in screen_text(app)
        await press(pilot, "escape")
        await choose(pilot, app, "Show all about")
        assert isinstance(app.screen, ModelScreen)
        assert "Digest: " in screen_text(app)
        assert "architecture.py" in screen_text(app)


async def test_a_first_model_toml_is_written_after_a_question_and_the_approval_is_gone(folder: Path) -> None:
    app, _ = app_on(folder)
    settings = folder / "Hearts" / "CNN" / "model.toml"
    settings.unlink(missing_ok=True)
    approved(settings.parent)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Write a first model.toml")
        assert isinstance(app.screen, ConfirmDialog)
        await press(pilot, "enter")
        assert not settings.exists()
        await choose(pilot, app, "Write a first model.toml")
        await press(pilot, "tab", "enter")
        await told(pilot, "lines marked CHECK", seconds=60)
        await until(pilot, lambda: "Changed since it was approved." in screen_text(app))
    assert "size = [" in settings.read_text(encoding="utf-8")


def approved(model: Path) -> None:
    """Approve a model as it is."""
    permission.approve(read_bundle(model, task=model.parent.name))
