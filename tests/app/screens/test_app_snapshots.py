"""How every screen looks: at three sizes and in the light theme, and at one size in other states.

Drawn anew with `pytest tests/app/screens/test_app_snapshots.py --snapshot-update`, under the pinned Textual only.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from all_screens import MAPS, SCREENS, STATES, Shot, Size, one_place
from textual.screen import Screen

import xaimed_tui
from xaimed_tui.themes import COLOUR_BLIND, HIGH_CONTRAST, LIGHT

Compare = Callable[..., bool]
UseGuide = Callable[..., None]

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)

LOOKS = [
    pytest.param(SMALL, None, id="80x24"),
    pytest.param(MIDDLE, None, id="120x40"),
    pytest.param(LARGE, None, id="200x60"),
    pytest.param(MIDDLE, LIGHT.name, id="light"),
]
"""Sizes and themes in which every screen is drawn."""


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Paths on the screens are the same on every machine."""
    with one_place(monkeypatch, Path("/tmp/xaimed-snapshots")) as place:
        yield place


@pytest.mark.parametrize(("size", "theme"), LOOKS)
@pytest.mark.parametrize("name", SCREENS)
def test_screen(
    snap_compare: Compare, place: Path, use_guide: UseGuide, name: str, size: Size, theme: str | None
) -> None:
    shot = SCREENS[name]
    use_guide(whole=shot.shows_guide)
    assert snap_compare(shot.app(place), terminal_size=size, run_before=lambda pilot: shot.walk(pilot, theme))


@pytest.mark.parametrize("name", STATES)
def test_state(snap_compare: Compare, place: Path, use_guide: UseGuide, name: str) -> None:
    shot = STATES[name]
    use_guide(whole=shot.shows_guide)
    assert snap_compare(shot.app(place), terminal_size=shot.size or SMALL, run_before=shot.walk)


@pytest.mark.parametrize("theme", [COLOUR_BLIND.name, HIGH_CONTRAST.name])
def test_explain_in_the_other_themes(snap_compare: Compare, place: Path, theme: str) -> None:
    shot = Shot(MAPS, "ExplainView", "(chance 1)")
    assert snap_compare(shot.app(place), terminal_size=MIDDLE, run_before=lambda pilot: shot.walk(pilot, theme))


def of_the_app(kind: type) -> set[type]:
    """The classes below this one that the app has, without those that only others are made from."""
    for module in pkgutil.walk_packages(xaimed_tui.__path__, "xaimed_tui."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    below: set[type] = set()
    for each in kind.__subclasses__():
        further = of_the_app(each)
        below |= further or ({each} if each.__module__.startswith("xaimed_tui.") else set())
    return below


def test_no_screen_is_forgotten() -> None:
    screens = {each.__name__ for each in of_the_app(Screen)}
    assert len(screens) > 10
    views = {"HomeView", "SelectionView", "ExplainView"}
    assert screens | views | {"Palette"} == {shot.screen for shot in SCREENS.values()}
