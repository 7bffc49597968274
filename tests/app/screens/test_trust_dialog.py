"""In the app: models whose code may not run are shown and readable, and run once a person has looked and agreed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from app_driver import press, screen_text, settled, told, until
from factories import MODEL_CODE, approve, make_model

from engine.bundle.model_bundle import read_bundle
from engine.trust.permission import standing_of
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.screens.library.trust import TrustScreen
from xaimed_tui.widgets.lines_view import LinesView

BIG = (160, 50)
SMALL = (80, 24)
TO_THE_MODEL = ("2", "enter")
"""From Home to the first model of the first task."""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A tasks folder with one model that nobody approved; its code leaves a trace if it runs."""
    make_model(tmp_path / "tasks" / "Lungs" / "CNN", trace=tmp_path / "it-ran")
    return tmp_path / "tasks"


def ran(tasks: Path) -> bool:
    return (tasks.parent / "it-ran").exists()


def state(tasks: Path) -> str:
    return standing_of(read_bundle(tasks / "Lungs" / "CNN")).state


def words_on(app: XAIMedApp) -> str:
    return " ".join(screen_text(app).split())


async def test_an_unapproved_model_is_readable_and_enter_shows_its_code_instead_of_running_it(tasks: Path) -> None:
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_THE_MODEL)
        assert [row.label for row in app.selection.models.shown] == ["CNN · not approved"]
        assert "Not approved. Its code was not approved on this machine, so it does not run." in words_on(app)
        assert "A model made up for tests." in words_on(app)
        assert "Enter shows its code and asks" in words_on(app)
        await press(pilot, "enter")
        assert isinstance(app.screen, TrustScreen)
        assert "Lungs/CNN" in words_on(app)
        assert "! 1 open(" in words_on(app)
        assert "line 1: open: opens a file" in words_on(app)
        assert "a help, not a proof" in words_on(app)
    assert not ran(tasks)
    assert state(tasks) == "unapproved"


async def test_the_files_that_the_code_imports_are_shown_below_it_each_with_its_marks(tasks: Path) -> None:
    model = make_model(tasks / "Lungs" / "CNN", code=f"from blocks import VALUE\n{MODEL_CODE}")
    (model / "blocks.py").write_text("VALUE = 1\nimport os\n")
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_THE_MODEL, "enter")
        code = app.screen.query_one("#code", LinesView)
        assert str(code.border_title) == "architecture.py and 1 file beside it"
        await press(pilot, "end")
        assert "1 VALUE = 1" in words_on(app)
        assert "! 2 import os" in words_on(app)
        assert "blocks.py, line 2: imports os" in words_on(app)


async def test_nothing_but_the_deliberate_key_or_button_approves(tasks: Path) -> None:
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, *TO_THE_MODEL, "enter")
        await pilot.press("enter", "a", "y", "space", "enter")
        await settled(pilot)
        assert isinstance(app.screen, TrustScreen)
        await press(pilot, "escape", "enter")
        await pilot.press("tab", "tab", "enter")  # on Cancel
        await settled(pilot)
        assert not isinstance(app.screen, TrustScreen)
    assert state(tasks) == "unapproved"
    assert not ran(tasks)


@pytest.mark.parametrize("keys", [("A",), ("tab", "tab", "tab", "enter")])
async def test_what_is_approved_is_kept_and_loaded_at_once(tasks: Path, keys: tuple[str, ...]) -> None:
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, *TO_THE_MODEL, "enter")
        await pilot.press(*keys)
        await until(pilot, lambda: app.explain.display, seconds=60)
        await settled(pilot)
        assert state(tasks) == "approved"
        assert ran(tasks)
        await press(pilot, "2")
        assert [row.label for row in app.selection.models.shown] == ["CNN"]
        assert "● in use" in words_on(app)


async def test_a_changed_model_names_what_changed_and_asks_again(tasks: Path) -> None:
    model = tasks / "Lungs" / "CNN"
    approve(model)
    (model / "description.txt").write_text("Other words.")
    (model / "helper\x1b[2J.py").touch()
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_THE_MODEL)
        assert [row.label for row in app.selection.models.shown] == ["CNN · changed"]
        assert "Changed since it was approved." in words_on(app)
        assert "changed: description.txt; added: helper␛[2J.py" in str(app.selection.query_one("#model-text").render())
        assert "Other words." in words_on(app)
        await press(pilot, "enter", "tab", "end")
        assert "changed: description.txt" in words_on(app)
        assert "added: helper␛[2J.py" in words_on(app)
        assert not ran(tasks)
        await press(pilot, "A")
        await until(pilot, lambda: app.explain.display, seconds=60)
    assert state(tasks) == "approved"


async def test_what_changes_while_the_dialog_is_open_is_not_what_was_approved(tasks: Path) -> None:
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_THE_MODEL, "enter")
        architecture = tasks / "Lungs" / "CNN" / "architecture.py"
        architecture.write_text(f"# after the look\nopen({str(tasks.parent / 'it-ran')!r}, 'w')\n")
        await press(pilot, "A")
        await until(pilot, lambda: "after the look" in words_on(app))  # what it is now is shown, and asked about
        await until(pilot, lambda: "changed: architecture.py" in words_on(app))
        assert isinstance(app.screen, TrustScreen)
        await press(pilot, "escape")
    assert not ran(tasks)
    assert state(tasks) == "changed"


async def test_an_approval_that_cannot_be_kept_is_said_and_nothing_runs(tasks: Path) -> None:
    place = Path(os.environ["XDG_DATA_HOME"])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file where a folder should be")
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_THE_MODEL, "enter", "A")
        await told(pilot, "approvals cannot be written")
    assert not ran(tasks)


async def test_code_that_means_to_hide_arrives_whole_and_safe(tasks: Path) -> None:
    hidden = "x = 1" + " " * 300 + "; import socket"
    code = f"# \x1b]52;c;aGk=\x07 \u202e [red]m[/] [@click=app.quit]q\n{hidden}\n中 = '中文'\n" + "y = 1\n" * 3_000
    (tasks / "Lungs" / "CNN" / "architecture.py").write_text(code + "last = 1\n", encoding="utf-8")
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, *TO_THE_MODEL, "enter")
        text = screen_text(app)
        assert "␛]52;c;aGk=␇ ⟨U+202E⟩ [red]m[/] [@click=app.quit]q" in text
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
        await pilot.press("down", "down", "down", "down")
        await settled(pilot)
        assert "import socket" in screen_text(app)
        await press(pilot, "end")
        assert "last = 1" in screen_text(app)
        assert "Approve" in screen_text(app)


@pytest.mark.parametrize("size", [SMALL, (120, 40), BIG])
async def test_no_character_of_the_code_lies_below_the_scroll_bar(tasks: Path, size: tuple[int, int]) -> None:
    code = "# " + "0123456789" * 40 + "\n" + "y = 1\n" * 100
    (tasks / "Lungs" / "CNN" / "architecture.py").write_text(code, encoding="utf-8")
    app = XAIMedApp(Engine(tasks))
    async with app.run_test(size=size) as pilot:
        await press(pilot, *TO_THE_MODEL, "enter")
        view = app.screen.query_one("#code", LinesView)
        region = view.scrollable_content_region
        rows = [line[region.x : region.right][8:].rstrip() for line in screen_text(app).splitlines()[region.y :]]
        assert view.show_vertical_scrollbar
        assert "".join(rows)[:402] == code[:402]
