"""Choosing an image folder by a rough path, from those of late, or in the tree."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from app_driver import make_app, press, settled, until
from fakes import FakeEngine
from textual import events

from xaimed_tui.preferences.remembered import Remembered, StateFile
from xaimed_tui.screens.explain.folder_dialog import FolderSuggester
from xaimed_tui.screens.explain.folder_search import completed, matching_folders

BIG = (120, 40)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("data/scans-may", "data/scans-june", "data/.hidden", "docs/mayor", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data" / "may.txt").touch()
    return tmp_path


def found(typed: str, tree: Path, recent: tuple[Path, ...] = ()) -> list[str]:
    return [str(path.relative_to(tree)) for path in matching_folders(typed, recent, tree)]


def test_every_part_of_a_path_may_be_a_few_letters(tree: Path) -> None:
    assert found(f"{tree}/dta/my", tree) == ["data/scans-may"]
    assert found("d/may", tree) == ["docs/mayor", "data/scans-may"]
    assert found("data/", tree) == ["data/scans-june", "data/scans-may"]
    assert found("data/.h", tree) == ["data/.hidden"]
    assert found("xyz/", tree) == []


def test_folders_of_late_are_found_by_any_part_of_their_path_while_they_are_there(tree: Path) -> None:
    recent = (tree / "data" / "scans-june", tree / "gone-june")
    assert found("june", tree, recent) == ["data/scans-june"]


def test_paths_that_are_none_match_nothing(tree: Path) -> None:
    for typed in ("~nobody-of-this-name/x", "a\0b", "/" + "x" * 5000, "//"):
        assert isinstance(matching_folders(typed, (), tree), list)


def test_a_path_is_completed_to_the_first_folder_that_begins_so(tree: Path) -> None:
    (tree / "data" / "scans-\x1b[31m").mkdir()
    assert completed(f"{tree}/data/sc") == f"{tree}/data/scans-june/"
    assert completed(f"{tree}/data/.h") == f"{tree}/data/.hidden/"
    assert completed(f"{tree}/") == f"{tree}/data/"
    for typed in (f"{tree}/data/may", f"{tree}/nothing/x", "~nobody-of-this-name/x", "a\0b/c"):
        assert completed(typed) is None


async def test_folders_are_not_read_in_the_thread_that_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def completed(typed: str) -> str:
        threads.append(threading.current_thread())
        return f"{typed}-completed/"

    monkeypatch.setattr("xaimed_tui.screens.explain.folder_dialog.completed", completed)
    assert await FolderSuggester().get_suggestion("/data") == "/data-completed/"
    assert threads != [threading.current_thread()]


async def test_what_is_typed_while_the_dialog_opens_is_in_its_line() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "3")
        for letter in "fab c":
            app.post_message(events.Key({" ": "space"}.get(letter, letter), letter))
        await settled(pilot)
        assert app.screen.query_one("#folder-path").value == f"{Path.cwd()}/ab c"


async def test_a_folder_of_late_is_chosen_with_two_keys(tree: Path) -> None:
    memory = StateFile()
    memory.now = Remembered().at(tree / "docs", None).at(tree / "other", None)
    engine = FakeEngine()
    app = make_app(engine, memory=memory)
    async with app.run_test(size=BIG) as pilot:
        await settled(pilot)
        await press(pilot, "3", "f")
        await until(pilot, lambda: len(app.screen.matches.shown) == 2)
        await press(pilot, "down", "j", "enter")
        await settled(pilot)
        assert ("list_images", str(tree / "docs")) in engine.calls


async def test_enter_on_a_rough_path_opens_the_best_match(tree: Path) -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await settled(pilot)
        await press(pilot, "3", "f")
        app.screen.query_one("#folder-path").value = f"{tree}/dta/my"
        await until(pilot, lambda: app.screen.matches.current and app.screen._matched.endswith("my"))
        await press(pilot, "enter")
        assert ("list_images", str(tree / "data" / "scans-may")) in engine.calls
