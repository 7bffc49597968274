"""Managing tasks and models in the app: a menu, forms that stay open until it is done, a question before removing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from app_driver import make_app, press, screen_text, settled, told, until
from factories import MODEL_CODE, make_model
from fakes import FakeEngine
from textual.widgets import Input, TextArea

from engine import library, places, trust
from engine.bundle import read_bundle
from engine.errors import BundleError
from engine.tasks import list_tasks
from xaimed_tui.app import XAIMedApp
from xaimed_tui.facade import RealEngine
from xaimed_tui.screens.dialogs import ChooseDialog
from xaimed_tui.screens.manage import ConfirmDialog, DescribeDialog, Form
from xaimed_tui.screens.model import CheckScreen, ModelScreen
from xaimed_tui.widgets.row_list import RowList

SIZE = (120, 40)


class LibraryEngine(FakeEngine):
    """The fake, with a real task library on the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.real = RealEngine(folder)
        self.list_tasks = self.real.list_tasks  # type: ignore[method-assign]
        self.removed = self.real.removed  # type: ignore[method-assign, assignment]
        self.threads: list[threading.Thread] = []

    def change_library(self, change: object) -> str:
        self.threads.append(threading.current_thread())
        return self.real.change_library(change)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tasks; the first has two models."""
    folder = tmp_path / "tasks"
    for name in ("CNN", "ResNet"):
        make_model(folder / "Hearts" / name)
    library.add_task([folder], "Lungs", "Healthy or ill?")
    return folder


def app_on(folder: Path) -> tuple[XAIMedApp, LibraryEngine]:
    engine = LibraryEngine(folder)
    return make_app(engine), engine


def listed(folder: Path) -> list[str]:
    return [f"{task.name}: {' '.join(model.name for model in task.models)}".strip() for task in list_tasks([folder])]


def here(app: XAIMedApp) -> tuple[str | None, str | None]:
    """Task and model under the cursors."""
    task, entry = app.selection._task_here(), app.selection._entry_here()
    return task.name if task else None, entry.name if entry else None


async def choose(pilot: object, app: XAIMedApp, words: str) -> None:
    """Open the menu and choose the row that begins with these words."""
    from textual.pilot import Pilot

    from xaimed_tui.widgets.row_list import RowList

    assert isinstance(pilot, Pilot)
    await press(pilot, "m")
    assert isinstance(app.screen, ChooseDialog)
    rows = app.screen._rows
    index = next(i for i, row in enumerate(rows) if str(row.label).startswith(words))
    app.screen.query_one(RowList).go_to(rows[index].key)
    await press(pilot, "enter")


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
        await until(pilot, lambda: "a character in it that cannot be seen" in screen_text(app))
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
        await until(pilot, lambda: "the architecture: no file is given" in screen_text(app))
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
        assert "has to be approved anew" in screen_text(app)
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
        assert [str(row.label).split()[0] for row in app.screen._rows] == ["Hearts", "Hearts/CNN", "Delete"]
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
    engine.real = RealEngine()
    engine.list_tasks, engine.removed = engine.real.list_tasks, engine.real.removed  # type: ignore[method-assign, assignment]
    app = make_app(engine)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        await choose(pilot, app, "Remove the task Hearts")
        await press(pilot, "tab", "enter")
        await until(pilot, lambda: here(app)[0] == "Lungs")
        await told(pilot, "hidden, as it comes with XAIMed")
        await choose(pilot, app, "Restore")
        await press(pilot, "enter")
        await until(pilot, lambda: here(app)[0] == "Hearts")
    assert listed(folder) == ["Hearts: CNN ResNet", "Lungs:"]


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
        await told(pilot, "lines with CHECK", seconds=60)
        await until(pilot, lambda: "Changed since it was approved." in screen_text(app))
    assert "size = [" in settings.read_text(encoding="utf-8")


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
            await until(pilot, lambda left=left: len(library.removed([folder])) == left)
            await until(pilot, lambda: app.screen is app.selection.screen)
        await told(pilot, "Deleted for good: Hearts, Hearts/CNN.")


def approved(model: Path) -> None:
    """Approve a model as it is."""
    trust.approve(read_bundle(model, task=model.parent.name))


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
