"""Managing tasks and models in the app: a menu, forms that stay open until it is done, a question before removing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from app_driver import make_app, press, screen_text, told, until
from factories import MODEL_CODE, make_model
from library_driver import LibraryEngine, app_on, choose, make_library
from textual.widgets import Input, TextArea

from engine.library import changes
from engine.library.tasks import list_tasks
from engine.storage import places
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.screens.library.manage import ConfirmDialog, DescribeDialog, Form
from xaimed_tui.widgets.dialogs import ChooseDialog

SIZE = (120, 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tasks folder."""
    return make_library(tmp_path)


def listed(folder: Path) -> list[str]:
    return [f"{task.name}: {' '.join(model.name for model in task.models)}".strip() for task in list_tasks([folder])]


def here(app: XAIMedApp) -> tuple[str | None, str | None]:
    """Task and model under the cursors."""
    task, entry = app.selection._task_here(), app.selection._entry_here()
    return task.name if task else None, entry.name if entry else None


def fill(app: XAIMedApp, **values: str | Path) -> None:
    for name, value in values.items():
        app.screen.query_one(f"#field-{name}", Input).value = str(value)


async def test_a_task_is_added_and_the_cursor_goes_there(folder: Path) -> None:
    app, engine = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Add a task")
        assert isinstance(app.screen, Form)
        fill(app, name="Livers", description="Which kind?")
        await press(pilot, "enter")
        await until(pilot, lambda: here(app)[0] == "Livers")
        await until(pilot, lambda: "Which kind?" in screen_text(app))
    assert listed(folder) == ["Hearts: CNN ResNet", "Livers:", "Lungs:"]
    assert engine.threads
    assert threading.main_thread() not in engine.threads


async def test_what_cannot_be_added_is_said_in_the_form_which_keeps_what_was_typed(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Add a task")
        fill(app, name="Lungs", description="missing.txt")
        await press(pilot, "enter")
        await until(pilot, lambda: "there is no such file" in screen_text(app))
        fill(app, description="Words.")
        await press(pilot, "enter")
        await until(pilot, lambda: "there is a task of that name already" in screen_text(app))
        assert app.screen.query_one("#field-name", Input).value == "Lungs"
        fill(app, name="\x1b[2J")
        await press(pilot, "enter")
        await until(pilot, lambda: "a character that cannot be seen" in screen_text(app))
        await press(pilot, "escape")
        assert app.screen is app.selection.screen
    assert listed(folder) == ["Hearts: CNN ResNet", "Lungs:"]


async def test_a_model_is_added_to_the_task_under_the_cursor_and_is_not_approved(folder: Path, tmp_path: Path) -> None:
    parts = make_model(tmp_path / "parts", code=f"raise SystemExit('this must not run')\n{MODEL_CODE}")
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "down")
        await choose(pilot, app, "Add a model to Lungs")
        fill(app, name="Net", weights=parts / "weights.pt")
        await press(pilot, "enter")
        await until(pilot, lambda: "of no network that is known" in screen_text(app))
        fill(app, architecture=parts / "architecture.py", settings=parts / "model.toml")
        await press(pilot, "enter")
        await until(pilot, lambda: here(app) == ("Lungs", "Net"))
        await until(pilot, lambda: "Not approved." in screen_text(app))
    assert listed(folder) == ["Hearts: CNN ResNet", "Lungs: Net"]


async def test_a_task_is_described_anew(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "down")
        await choose(pilot, app, "Describe the task Lungs")
        assert isinstance(app.screen, DescribeDialog)
        assert app.screen.query_one(TextArea).text == "Healthy or ill?"
        app.screen.query_one(TextArea).text = "New words.\nTwo lines."
        await press(pilot, "ctrl+s")
        await until(pilot, lambda: "Two lines." in screen_text(app))
        assert here(app)[0] == "Lungs"
    assert (folder / "Lungs" / "task_description.txt").read_text() == "New words.\nTwo lines.\n"


async def test_describing_a_model_says_what_that_means_for_its_approval(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Describe the model CNN")
        assert "you have to approve the model again" in screen_text(app)
        app.screen.query_one(TextArea).text = "Ten patients."
        await press(pilot, "ctrl+s")
        await until(pilot, lambda: "Ten patients." in screen_text(app))
    assert (folder / "Hearts" / "CNN" / "description.txt").read_text() == "Ten patients.\n"


async def test_a_description_that_a_terminal_must_not_get_is_not_put_into_the_editor(folder: Path) -> None:
    (folder / "Hearts" / "task_description.txt").write_bytes(b"\x1b]52;c;aGk=\x07")
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Describe the task")
        assert app.screen.query_one(TextArea).text == ""


async def test_removing_asks_and_enter_alone_removes_nothing(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        for key in ("enter", "escape"):
            await choose(pilot, app, "Remove the task Hearts")
            assert isinstance(app.screen, ConfirmDialog)
            assert "with its 2 models" in screen_text(app)
            await press(pilot, key)
            assert app.screen is app.selection.screen
            assert listed(folder) == ["Hearts: CNN ResNet", "Lungs:"]
        await choose(pilot, app, "Remove the task Hearts")
        await press(pilot, "tab", "enter")
        await until(pilot, lambda: here(app)[0] == "Lungs")
    assert listed(folder) == ["Lungs:"]


async def test_a_removed_model_and_its_task_are_restored(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Remove the model CNN")
        await press(pilot, "tab", "enter")
        await until(pilot, lambda: here(app) == ("Hearts", "ResNet"))
        await choose(pilot, app, "Remove the task Hearts")
        await press(pilot, "tab", "enter")
        await until(pilot, lambda: here(app)[0] == "Lungs")
        await choose(pilot, app, "Restore")
        assert isinstance(app.screen, ChooseDialog)
        assert [str(row.label).split()[0] for row in app.screen._rows] == ["Hearts", "Hearts/CNN", "Empty"]
        assert all(str(row.label).endswith(" UTC") for row in app.screen._rows[:2])
        await press(pilot, "down", "enter")  # the model, whose task is not there
        await told(pilot, "restore the task first")
        await choose(pilot, app, "Restore")
        await press(pilot, "enter")
        await until(pilot, lambda: here(app) == ("Hearts", "ResNet"))
        await choose(pilot, app, "Restore")
        await press(pilot, "enter")
        await until(pilot, lambda: here(app) == ("Hearts", "CNN"))
    assert listed(folder) == ["Hearts: CNN ResNet", "Lungs:"]


async def test_a_bundled_task_is_hidden_and_restored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "bundled_tasks", lambda: folder)
    engine = LibraryEngine(folder)
    engine.real = Engine()
    app = make_app(engine)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Remove the task Hearts")
        await press(pilot, "tab", "enter")
        await until(pilot, lambda: here(app)[0] == "Lungs")
        await told(pilot, "hidden, because it comes with XAIMed")
        await choose(pilot, app, "Restore")
        await press(pilot, "enter")
        await until(pilot, lambda: here(app)[0] == "Hearts")
    assert listed(folder) == ["Hearts: CNN ResNet", "Lungs:"]


async def test_the_trash_is_emptied_after_a_question_that_names_what_goes(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        for words in ("Remove the model CNN", "Remove the task Hearts"):
            await choose(pilot, app, words)
            await press(pilot, "tab", "enter")
            await until(pilot, lambda: app.screen is app.selection.screen)
        await until(pilot, lambda: here(app)[0] == "Lungs")
        for keys, left in ((("enter",), 2), (("tab", "enter"), 0)):
            await choose(pilot, app, "Restore")
            await press(pilot, "end", "enter")
            assert isinstance(app.screen, ConfirmDialog)
            assert app.screen._words == "This cannot be undone. It deletes: Hearts, Hearts/CNN."
            await press(pilot, *keys)
            await until(pilot, lambda left=left: len(changes.removed([folder])) == left)
            await until(pilot, lambda: app.screen is app.selection.screen)
        await told(pilot, "Deleted for good: Hearts, Hearts/CNN.")


async def test_where_nothing_was_removed_there_is_nothing_to_restore(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Restore")
        await told(pilot, "Nothing was removed that could be restored.")
        assert app.screen is app.selection.screen


async def test_the_dialogs_have_room_in_a_small_terminal(folder: Path) -> None:
    app, _ = app_on(folder)
    async with app.run_test(size=(60, 20)) as pilot:
        await press(pilot, "2")
        for words in ("Add a model", "Describe the task", "Remove the task"):
            await choose(pilot, app, words)
            assert "Esc cancel" in screen_text(app), words
            await press(pilot, "escape")
