"""How every screen looks. Pictures and maps have few colours, so that a snapshot stays small."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from app_driver import TO_IMAGES, make_app, press, settled, until
from fakes import FakeEngine

from xaimed_tui.themes import LIGHT

if TYPE_CHECKING:
    from textual.pilot import Pilot

SMALL, MIDDLE, LARGE, VAST = (80, 24), (120, 40), (160, 50), (200, 60)

Compare = Callable[..., bool]


def size_name(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def keys(*names: str, theme: str | None = None) -> Callable[[Pilot[int]], Awaitable[None]]:
    async def run(pilot: Pilot[int]) -> None:
        await settled(pilot)
        if theme is not None:
            pilot.app.theme = theme
        await press(pilot, *names)

    return run


def engine(**options: object) -> FakeEngine:
    return FakeEngine(flat=True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=size_name)
def test_home(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(engine()), terminal_size=size, run_before=keys())


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=size_name)
def test_selection(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(engine()), terminal_size=size, run_before=keys("2"))


def test_selection_of_a_model_that_cannot_be_used(snap_compare: Compare) -> None:
    assert snap_compare(make_app(engine()), terminal_size=MIDDLE, run_before=keys("2", "enter", "down"))


@pytest.mark.parametrize("size", [SMALL, MIDDLE], ids=size_name)
def test_explain_before_anything_is_chosen(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(engine()), terminal_size=size, run_before=keys("3"))


@pytest.mark.parametrize("size", [SMALL, MIDDLE], ids=size_name)
def test_explain_with_an_answer(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(make_app(engine()), terminal_size=size, run_before=keys(*TO_IMAGES))


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE, VAST], ids=size_name)
def test_explain_with_all_maps(snap_compare: Compare, size: tuple[int, int]) -> None:
    walk = keys(*TO_IMAGES, "e", "right")
    assert snap_compare(make_app(engine()), terminal_size=size, run_before=walk)


def test_explain_with_all_maps_in_light(snap_compare: Compare) -> None:
    walk = keys(*TO_IMAGES, "e", theme=LIGHT.name)
    assert snap_compare(make_app(engine()), terminal_size=MIDDLE, run_before=walk)


def test_explain_with_cells_only_and_nothing_certain(snap_compare: Compare) -> None:
    walk = keys(*TO_IMAGES, "e", "o", "o")
    app = make_app(engine(settled=False, warnings=("The superpixels are few.",)))
    assert snap_compare(app, terminal_size=LARGE, run_before=walk)


def test_explain_at_work(snap_compare: Compare) -> None:
    fake = engine()
    fake.hold("lime")

    async def run(pilot: Pilot[int]) -> None:
        await press(pilot, *TO_IMAGES)
        await pilot.press("e")
        await until(pilot, fake.waiting["lime"].is_set)
        await until(pilot, lambda: pilot.app.explain.runs["lime"].map is not None)  # type: ignore[attr-defined]
        await until(pilot, lambda: pilot.app.explain.wall.card("lime").view.rendered)  # type: ignore[attr-defined]
        await until(pilot, lambda: pilot.app.explain.wall.card("agreement").view.rendered)  # type: ignore[attr-defined]
        await until(pilot, lambda: pilot.app.explain.wall.card("gradcam++").view.rendered)  # type: ignore[attr-defined]
        await pilot.pause(0.2)

    assert snap_compare(make_app(fake), terminal_size=MIDDLE, run_before=run)


def test_explain_of_an_image_that_is_not_compliant(snap_compare: Compare) -> None:
    assert snap_compare(make_app(engine()), terminal_size=MIDDLE, run_before=keys(*TO_IMAGES, "end"))


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=size_name)
def test_detail(snap_compare: Compare, size: tuple[int, int]) -> None:
    walk = keys(*TO_IMAGES, "e", "right", "right", "enter", "j", "j")
    assert snap_compare(make_app(engine()), terminal_size=size, run_before=walk)


def test_detail_of_the_agreement(snap_compare: Compare) -> None:
    walk = keys(*TO_IMAGES, "e", "right", "right", "right", "enter")
    assert snap_compare(make_app(engine()), terminal_size=MIDDLE, run_before=walk)


@pytest.mark.parametrize("key", ["w", "t", "y"])
def test_dialogs(snap_compare: Compare, key: str) -> None:
    assert snap_compare(make_app(engine()), terminal_size=SMALL, run_before=keys(*TO_IMAGES, "e", key))


def test_help(snap_compare: Compare) -> None:
    assert snap_compare(make_app(engine()), terminal_size=SMALL, run_before=keys("3", "question_mark"))


def test_fault(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    monkeypatch.setattr("xaimed_tui.jobs.log_file", lambda: Path("/state/xaimed/xaimed.log"))
    app = make_app(engine(failures={"rise": RuntimeError("the device is lost")}))
    assert snap_compare(app, terminal_size=SMALL, run_before=keys(*TO_IMAGES, "r"))
