"""How every screen looks: at three sizes and in the light theme. Pictures and maps have few colours, so that a snapshot
stays small. Drawn anew with `pytest tests/test_app_snapshots.py --snapshot-update`, under the pinned Textual only."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from app_driver import TO_IMAGES, make_app, press, settled, until
from factories import make_model
from fakes import FakeEngine

from engine.errors import OutOfMemoryError
from xaimed_tui.app import XAIMedApp
from xaimed_tui.facade import RealEngine
from xaimed_tui.themes import COLOUR_BLIND, HIGH_CONTRAST, LIGHT

if TYPE_CHECKING:
    from textual.pilot import Pilot

Size = tuple[int, int]
Compare = Callable[..., bool]
Walk = Callable[["Pilot[int]"], Awaitable[None]]

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)

LOOKS = [
    pytest.param(SMALL, None, id="80x24"),
    pytest.param(MIDDLE, None, id="120x40"),
    pytest.param(LARGE, None, id="200x60"),
    pytest.param(MIDDLE, LIGHT.name, id="light"),
]
"""Sizes and themes in which every screen is drawn."""

SCREENS: dict[str, tuple[str, ...]] = {
    "home": (),
    "selection": ("2",),
    "manage": ("2", "m"),
    "explain-empty": ("3",),
    "explain-answer": TO_IMAGES,
    "explain-maps": (*TO_IMAGES, "e", "right"),
    "explain-numbers": (*TO_IMAGES, "e", "n", "down"),
    "zoom": (*TO_IMAGES, "e", "right", "z"),
    "detail": (*TO_IMAGES, "e", "right", "right", "enter", "j", "j"),
    "detail-agreement": (*TO_IMAGES, "e", "right", "right", "right", "enter"),
    "side-by-side": (*TO_IMAGES, "e", "right", "b", "enter", "j"),
    "choose-class": (*TO_IMAGES, "t"),
    "save": (*TO_IMAGES, "g", "w"),
    "help": ("3", "question_mark"),
}
"""Keys from Home to each screen."""


def keys(*names: str, theme: str | None = None) -> Walk:
    async def run(pilot: Pilot[int]) -> None:
        await settled(pilot)
        if theme is not None:
            pilot.app.theme = theme
        await press(pilot, *names)

    return run


def engine(**options: object) -> FakeEngine:
    return FakeEngine(flat=True, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _one_place_for_all(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Paths on the screens are the same on every machine."""
    monkeypatch.chdir(place)
    monkeypatch.setattr("xaimed_tui.failure.log_file", lambda: Path("/state/xaimed/xaimed.log"))
    monkeypatch.setattr("xaimed_tui.screens.failure.log_file", lambda: place / "xaimed.log")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that always has the same path, with two folders of images and a log."""
    place = Path("/tmp/xaimed-snapshots")
    shutil.rmtree(place, ignore_errors=True)
    (place / "scans" / "may").mkdir(parents=True)
    (place / "scans" / "june").mkdir()
    (place / "xaimed.log").write_text("2026-01-02 03:04:05 WARNING xaimed: made up\n" * 3, encoding="utf-8")
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize(("size", "theme"), LOOKS)
@pytest.mark.parametrize("name", SCREENS)
def test_screen(snap_compare: Compare, name: str, size: Size, theme: str | None) -> None:
    walk = keys(*SCREENS[name], theme=theme)
    assert snap_compare(make_app(engine()), terminal_size=size, run_before=walk)


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_folder_dialog(snap_compare: Compare, place: Path, size: Size, theme: str | None) -> None:
    app = make_app(engine(), folder=place / "scans")
    assert snap_compare(app, terminal_size=size, run_before=keys("f", theme=theme))


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_failure(snap_compare: Compare, size: Size, theme: str | None) -> None:
    error = OutOfMemoryError("there is not enough memory", subject="Paper CNN", remedy="end other programs")
    app = make_app(engine(failures={"load": error}))
    assert snap_compare(app, terminal_size=size, run_before=keys(*TO_IMAGES, theme=theme))


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_log(snap_compare: Compare, size: Size, theme: str | None) -> None:
    assert snap_compare(make_app(engine()), terminal_size=size, run_before=keys("ctrl+l", theme=theme))


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_trust(snap_compare: Compare, place: Path, size: Size, theme: str | None) -> None:
    make_model(place / "tasks" / "Lungs" / "CNN")
    app = XAIMedApp(RealEngine(place / "tasks"), clock=lambda: 0.0)
    assert snap_compare(app, terminal_size=size, run_before=keys("2", "enter", "enter", theme=theme))


# What a screen looks like in other states, at one size


@pytest.mark.parametrize("theme", [COLOUR_BLIND.name, HIGH_CONTRAST.name])
def test_explain_in_the_other_themes(snap_compare: Compare, theme: str) -> None:
    walk = keys(*TO_IMAGES, "e", "right", theme=theme)
    assert snap_compare(make_app(engine()), terminal_size=MIDDLE, run_before=walk)


def test_selection_of_a_model_that_cannot_be_used(snap_compare: Compare) -> None:
    assert snap_compare(make_app(engine()), terminal_size=MIDDLE, run_before=keys("2", "enter", "down"))


def test_explain_with_cells_only_and_nothing_certain(snap_compare: Compare) -> None:
    walk = keys(*TO_IMAGES, "e", "o", "o")
    app = make_app(engine(settled=False, warnings=("The superpixels are few.",)))
    assert snap_compare(app, terminal_size=(160, 50), run_before=walk)


def test_explain_on_a_narrow_and_high_terminal(snap_compare: Compare) -> None:
    assert snap_compare(make_app(engine()), terminal_size=(100, 50), run_before=keys(*TO_IMAGES, "e"))


def test_explain_at_work(snap_compare: Compare) -> None:
    fake = engine()
    fake.hold("lime")

    async def run(pilot: Pilot[int]) -> None:
        await press(pilot, *TO_IMAGES)
        await pilot.press("e")
        explain = pilot.app.explain  # type: ignore[attr-defined]
        await until(pilot, fake.waiting["lime"].is_set)
        await until(pilot, lambda: explain.runs["lime"].map is not None)
        for key in ("lime", "agreement", "gradcam++"):
            await until(pilot, lambda key=key: explain.wall.card(key).view.rendered)  # type: ignore[misc]
        await pilot.pause(0.2)

    assert snap_compare(make_app(fake), terminal_size=MIDDLE, run_before=run)


def test_explain_of_an_image_that_is_not_compliant(snap_compare: Compare) -> None:
    assert snap_compare(make_app(engine()), terminal_size=MIDDLE, run_before=keys(*TO_IMAGES, "end"))


def test_side_by_side_with_nothing_certain(snap_compare: Compare) -> None:
    walk = keys(*TO_IMAGES, "e", "right", "b", "enter")
    assert snap_compare(make_app(engine(settled=False)), terminal_size=MIDDLE, run_before=walk)


@pytest.mark.parametrize("key", ["y", "b"])
def test_other_choices(snap_compare: Compare, key: str) -> None:
    assert snap_compare(make_app(engine()), terminal_size=SMALL, run_before=keys(*TO_IMAGES, key))
