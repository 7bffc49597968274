"""How every screen looks: at three sizes and in the light theme, and at one size in other states.

Drawn anew with `pytest tests/app/screens/test_app_snapshots.py --snapshot-update`, under the pinned Textual only.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from all_screens import MAPS, SCREENS, STATES, Shot, one_place
from app_driver import settled
from textual import _doc
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen

import xaimed_tui
from xaimed_tui.themes import COLOUR_BLIND, HIGH_CONTRAST, LIGHT

Compare = Callable[..., bool]
UseGuide = Callable[..., None]

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)

_themed: dict[str, dict[str, str]] = {}
"""Pictures of a screen in the dark and in the light theme, taken of one app."""


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Paths on the screens are the same on every machine."""
    with one_place(monkeypatch, Path("/tmp/xaimed-snapshots")) as place:
        yield place


@pytest.mark.parametrize("look", ["80x24", "200x60", "120x40", "light"])
@pytest.mark.parametrize("name", SCREENS)
def test_screen(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, place: Path, use_guide: UseGuide, name: str, look: str
) -> None:
    shot = SCREENS[name]
    use_guide(whole=shot.shows_guide)
    theme = LIGHT.name if look == "light" else None
    if look not in ("120x40", "light") or name == "palette":  # no theme can be chosen while the palette is open
        size = {"80x24": SMALL, "200x60": LARGE}.get(look, MIDDLE)
        assert snap_compare(shot.app(place), terminal_size=size, run_before=lambda pilot: shot.walk(pilot, theme))
        return
    if name not in _themed:
        _themed[name] = in_both_themes(shot, place)
    picture = _themed[name][look]
    monkeypatch.setattr(_doc, "take_svg_screenshot", lambda **_: picture)
    assert snap_compare(App())


def in_both_themes(shot: Shot, place: Path) -> dict[str, str]:
    """Take a screen's pictures at 120x40; the light theme is chosen while the screen is open."""
    pictures: dict[str, str] = {}

    async def walk_and_take(pilot: Pilot[int]) -> None:
        await shot.walk(pilot)
        await settled(pilot)
        pictures["120x40"] = pilot.app.export_screenshot(title=pilot.app.title, simplify=True)
        pilot.app.theme = LIGHT.name
        await settled(pilot)

    pictures["light"] = _doc.take_svg_screenshot(shot.app(place), terminal_size=MIDDLE, run_before=walk_and_take)
    return pictures


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
