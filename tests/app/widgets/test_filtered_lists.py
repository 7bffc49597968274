"""Filters and what is asked for elsewhere: a task that is opened by name shows itself and its own marks."""

from __future__ import annotations

from app_driver import make_app, press, screen_text, settled
from fakes import FakeEngine, demo_tasks
from textual.widgets import Input


async def test_opening_a_task_that_a_filter_hides_takes_the_filter_away() -> None:
    engine = FakeEngine()
    names = [task.name for task in demo_tasks()]
    app = make_app(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "slash", *names[0][:5], "enter")
        selection = app.selection
        assert [row.label for row in selection.tasks.shown] == names[:1]
        app.open_task(names[1], demo_tasks()[1].models[0].name)
        await settled(pilot)
        await press(pilot, "2")
        assert selection.tasks.current.label == names[1]
        assert len(selection.tasks.shown) == len(names)
        assert selection.query_one("#tasks-pane Input", Input).value == ""
        marked = [row.label for row in selection.models.shown if row.mark == "●"]
        assert len(marked) == 1
        assert names[1] in screen_text(app)


async def test_a_filter_that_nothing_matches_says_so_and_how_to_clear_it() -> None:
    app = make_app(FakeEngine())
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "slash", *"zq")
        assert "nothing matches" in screen_text(app)
        assert "no tasks here" not in screen_text(app)
        assert "no task is chosen" in screen_text(app)
        assert "Is there invasive" not in screen_text(app), "it is about a task that is not there"
        assert "esc Clear filter" in screen_text(app)
        await press(pilot, "enter", "escape")
        assert "Clear filter" not in screen_text(app)
        assert demo_tasks()[0].name in screen_text(app)
