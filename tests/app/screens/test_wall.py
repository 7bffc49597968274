"""The wall of pictures: how it is laid out, and what it does with more than six pictures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from app_driver import TO_IMAGES, caption_of, make_app, press, screen_text, settled, until
from factories import make_explanation
from fakes import FakeEngine

from engine.explainers.registry import METHODS
from xaimed_tui.app import XAIMedApp
from xaimed_tui.screens.detail.screen import DetailScreen
from xaimed_tui.screens.explain import method_wall
from xaimed_tui.screens.explain.wall import SMALLEST_CARD, Tabs, columns_for, in_order, layout_for
from xaimed_tui.session.method_run import MethodRun
from xaimed_tui.widgets.captions import method_caption, method_state
from xaimed_tui.wording import time_left


@pytest.mark.parametrize(
    ("cards", "width", "height", "columns"),
    [
        (6, 82, 36, 3),  # a terminal of 120x40: two rows of three
        (6, 61, 46, 2),  # 100x50: three rows of two
        (6, 45, 56, 2),  # 80x60
        (6, 45, 20, 0),  # 80x24: one at a time
        (6, 200, 14, 6),  # a long and low one
        (7, 150, 56, 4),  # 180x60, with HiResCAM
    ],
)
def test_all_pictures_are_shown_at_once_in_the_columns_that_make_them_largest(
    cards: int, width: int, height: int, columns: int
) -> None:
    assert columns_for(cards, width, height) == columns


@pytest.mark.parametrize("cards", [3, 6, 7, 9])
@pytest.mark.parametrize("height", range(10, 70, 7))
@pytest.mark.parametrize("width", range(20, 220, 23))
def test_no_card_is_smaller_than_its_words_need(cards: int, width: int, height: int) -> None:
    columns = columns_for(cards, width, height)
    if columns:
        assert (width - columns + 1) // columns >= SMALLEST_CARD[0]
        assert height // -(-cards // columns) >= SMALLEST_CARD[1]
    else:
        rows = max(height // SMALLEST_CARD[1], 1)
        assert height < SMALLEST_CARD[1] or -(-cards // rows) * (SMALLEST_CARD[0] + 1) - 1 > width


def test_four_methods_in_three_columns_stand_as_in_the_papers_figure_six() -> None:
    assert in_order(METHODS, 3) == [
        *("original", "lime", "rise", "agreement", "gradcam", "gradcam++", "exact", "hirescam")
    ]
    assert in_order(METHODS, 2) == [
        *("original", "agreement", "lime", "rise", "gradcam", "gradcam++", "hirescam", "exact")
    ]


@pytest.mark.parametrize(
    ("cards", "width", "height", "columns", "rows"),
    [
        (6, 82, 36, 3, 2),
        (7, 82, 36, 3, 2),  # 120x40: six of the seven
        (9, 82, 36, 3, 2),
        (7, 61, 46, 2, 3),  # 100x50
        (7, 120, 46, 4, 2),  # 160x50: all of them
        (9, 120, 46, 5, 2),
        (7, 45, 20, 0, 0),  # 80x24: one at a time
        (7, 82, 24, 0, 0),  # two rows would leave no room for the line of names
    ],
)
def test_more_than_six_pictures_are_shown_at_once_only_if_there_is_room_for_large_ones(
    cards: int, width: int, height: int, columns: int, rows: int
) -> None:
    assert layout_for(cards, width, height) == (columns, rows)


async def test_the_wall_shows_six_pictures_at_120x40_and_scrolls_to_the_seventh() -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        wall = app.explain.wall

        def shown() -> list[str]:
            return [card.key for card in wall if card.display]

        assert shown() == ["original", "lime", "rise", "agreement", "gradcam", "gradcam++"]
        assert all(wall.region.contains_region(wall.card(key).region) for key in shown())
        assert "HiRes" in str(wall.query_one(Tabs).render())
        await press(pilot, "h")
        assert (wall.active, shown()) == ("hirescam", ["agreement", "gradcam", "gradcam++", "exact", "hirescam"])
        assert wall.card("hirescam").region.y > wall.card("agreement").region.y
        wall.focus()
        await press(pilot, "up")
        assert (wall.active, len(shown())) == ("gradcam", 5)
        await press(pilot, "up")
        assert (wall.active, len(shown())) == ("lime", 6)
        await press(pilot, "c")
        assert (wall.active, len(shown())) == ("exact", 5)
        tabs = wall.query_one(Tabs)
        await pilot.click(Tabs, offset=(str(tabs.render()).index("HiRes"), 0))
        await until(pilot, lambda: wall.active == "hirescam")
        await pilot.resize_terminal(160, 50)
        await settled(pilot)
        assert len(shown()) == 8
        assert not tabs.display


async def test_one_more_method_gets_a_card_a_tab_and_its_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    six = (*METHODS, "occlusion")
    monkeypatch.setattr(method_wall.MethodWall.__init__, "__kwdefaults__", {"methods": six, "id": None})
    app = make_app(FakeEngine())
    async with app.run_test(size=(200, 60)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        assert app.explain.runs["occlusion"].state == "done"
        assert len({card.region for card in app.explain.wall}) == 9
        assert "bottom" in caption_of(app.explain.wall.card("occlusion"))
        assert "4 of 4" in screen_text(app)
        for _ in range(9):
            await press(pilot, "right")
        assert app.explain.wall.active == "original"
        app.explain.wall.go("occlusion")
        await press(pilot, "enter")
        assert isinstance(app.screen, DetailScreen)
        assert "occlusion" in screen_text(app).splitlines()[0]
        await press(pilot, "right", "right")
        assert "4 of 4 methods counted" in screen_text(app)
        await press(pilot, "escape")
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        app.explain.wall.go("occlusion")
        await until(pilot, lambda: "▸occlusion" in screen_text(app))


async def test_the_active_picture_is_the_same_one_after_the_terminal_is_turned() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "right")
        await pilot.resize_terminal(100, 50)
        await settled(pilot)
        assert app.explain.wall.active == "lime"
        lefts = [card.region.x for card in app.explain.wall if card.display]
        assert len(set(lefts)) == 2
        app.explain.wall.focus()
        await press(pilot, "down")
        assert app.explain.wall.active == "gradcam"
        await press(pilot, "down")
        assert app.explain.wall.active == "hirescam"
        await press(pilot, "down")
        assert app.explain.wall.active == "original"
        await press(pilot, "up")
        assert app.explain.wall.active == "hirescam"


async def test_a_click_on_a_tab_shows_that_picture() -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, *TO_IMAGES)
        tabs = app.explain.wall.query_one(Tabs)
        x = str(tabs.render()).index("RISE")
        await pilot.click(Tabs, offset=(x, 0))
        await until(pilot, lambda: app.explain.wall.active == "rise")


async def test_a_click_on_the_state_starts_a_method_and_stops_it() -> None:
    engine = FakeEngine()
    engine.hold("lime")
    app = make_app(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES)
        card = app.explain.wall.card("lime")
        await pilot.click(card.query_one(".headline"), offset=(card.size.width - 3, 0))
        await until(pilot, engine.waiting["lime"].is_set)
        await until(pilot, lambda: app.explain.runs["lime"].map is not None)
        assert method_state(app.explain.runs["lime"]).endswith("■")
        await pilot.click(card.query_one(".headline"), offset=(card.size.width - 3, 0))
        await settled(pilot)
        assert engine.stopped == ["lime"]
        assert app.explain.runs["lime"].map.stopped


def test_a_running_method_says_how_far_it_is_and_how_long_at_most_it_takes() -> None:
    run = MethodRun("rise", "running", done=1000, total=4000, since=10.0, paced_since=10.0)
    words = str(method_caption(run, 40, 12.0))
    assert "1,000/4,000 2.00 s" in words
    assert "at most ~6 s left" in words
    assert method_state(run) == "25 % ■"


def test_what_came_before_the_first_samples_does_not_count_for_the_time_left() -> None:
    run = MethodRun("rise", "running", done=1100, total=4100, since=0.0, paced_since=60.0, paced_from=100)
    assert "at most ~6 s left" in str(method_caption(run, 40, 62.0))


@pytest.mark.parametrize(
    ("elapsed", "done", "total", "words"),
    [
        (0.4, 10, 100, ""),
        (2.0, 0, 100, ""),
        (2.0, 100, 100, ""),
        (2.0, 50, 100, "~2 s left"),
        (60, 10, 100, "~9 min left"),
    ],
)
def test_time_left_is_told_once_there_is_a_pace(elapsed: float, done: int, total: int, words: str) -> None:
    assert time_left(elapsed, done, total) == words


async def test_sampled_choices_are_called_certain_and_the_others_not_sampled() -> None:
    app = make_app()
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        captions = {card.key: caption_of(card) for card in app.explain.wall}
    assert captions["rise"].endswith("certain")
    assert captions["gradcam"].endswith("not sampled")
    assert "certain" not in captions["gradcam"]


def test_only_a_finished_map_is_called_certain() -> None:
    explanation = make_explanation()
    made, cells = explanation.maps["rise"], explanation.statistics["rise"]
    assert made.cells is not None
    assert cells.certain
    run = MethodRun("rise", "running", done=1000, total=4000, map=made, statistics=cells)
    assert "certain" not in str(method_caption(run, 60, 1.0))
    run.state = "done"
    assert "certain" in str(method_caption(run, 60, 1.0))
    run.map = replace(made, warnings=("The superpixels are few.",))
    assert "certain" not in str(method_caption(run, 60, 1.0))


async def test_the_pace_of_a_method_is_taken_from_its_first_samples_on() -> None:
    engine = FakeEngine()
    engine.hold("lime")
    app = XAIMedApp(engine, clock=lambda: 7.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES)
        await pilot.press("l")
        await until(pilot, lambda: app.explain.runs["lime"].done)
        run = app.explain.runs["lime"]
        assert (run.paced_since, run.paced_from) == (7.0, run.done)
        await pilot.press("s")
