"""What a person does while methods run: they sharpen, stop, are left behind and left alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from app_driver import TO_IMAGES, caption_of, held, make_app, press, press_until_held, settled, until
from fakes import FakeEngine

BIG = (160, 50)


async def test_maps_sharpen_while_they_run_and_the_quick_methods_come_first() -> None:
    engine = FakeEngine()
    gate = engine.hold("rise")
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        await pilot.press("e")
        await until(pilot, lambda: app.explain.runs["rise"].map is not None)
        order = [call[0] for call in engine.calls if call[0] in app.explain.runs]
        assert order == ["gradcam", "gradcam++", "hirescam", "lime", "rise"]
        run = app.explain.runs["rise"]
        assert run.state == "running"
        assert run.map.samples == 2000
        await until(pilot, lambda: app.explain.wall.card("rise").view.picture is not None)
        await until(pilot, lambda: "2,000/4,000" in caption_of(app.explain.wall.card("rise")))
        await until(pilot, lambda: app.explain.explanation is not None)  # three maps are there already
        gate.set()
        await settled(pilot)
        assert run.map.samples == 4000


async def test_stopping_one_method_keeps_its_map_and_lets_the_others_go_on() -> None:
    engine = FakeEngine()
    lime, rise = engine.hold("lime"), engine.hold("rise")
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES)
        await press_until_held(pilot, "e", engine, "lime")
        await pilot.press("right", "right")
        await press_until_held(pilot, "x", engine, "rise")
        assert engine.stopped == ["lime"]
        await until(pilot, lambda: app.explain.runs["lime"].state == "done")
        assert app.explain.runs["lime"].map.stopped
        assert app.explain.runs["rise"].busy
        rise.set()
        lime.set()
        await settled(pilot)
        assert not app.explain.runs["rise"].map.stopped


async def test_stopping_all_ends_the_running_and_the_waiting_methods() -> None:
    async with held("lime", "e") as at:
        await at.pilot.press("s")
        await settled(at.pilot)
        states = {method: run.state for method, run in at.app.explain.runs.items()}
        assert states == {"gradcam": "done", "gradcam++": "done", "hirescam": "done", "lime": "done", "rise": "stopped"}
        assert at.app.explain.check_action("stop", ()) is False
        assert at.app.explain.check_action("explain_all", ()) is True


@pytest.mark.parametrize("switch", ["image", "folder", "model", "target"])
async def test_nothing_stale_is_drawn_after_a_switch_while_a_method_runs(switch: str) -> None:
    async with held("rise", "r") as at:
        await until(at.pilot, lambda: at.app.explain.runs["rise"].map is not None)
        old = at.app.explain.wall.subject
        at.engine.gates.pop("rise")
        if switch == "image":
            await at.pilot.press("down")
        elif switch == "folder":
            at.app.explain.use_folder(Path("/elsewhere"))
        elif switch == "model":
            at.app.selection.open_task("IHC Stain (demo)")
        else:
            at.app.explain.scene.target = "NO-IDC"
            at.app.explain.wall.again(at.app.explain.runs)
        await until(at.pilot, old.ticket.withdrawn.is_set)
        assert old.stops.get("rise") is None or old.stops["rise"].is_set()
        at.gate.set()
        await settled(at.pilot)
        assert at.app.explain.wall.subject is not old
        if switch == "target":  # what ran is made anew for the other class
            assert at.app.explain.runs["rise"].map.target == "NO-IDC"
        else:
            assert at.app.explain.runs["rise"].state == "idle"
            assert at.app.explain.wall.card("rise").view.picture is None
            assert at.app.explain.explanation is None


async def test_a_message_of_an_old_run_changes_nothing() -> None:
    from factories import make_explanation

    from xaimed_tui.background import messages

    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "l")
        before = app.explain.explanation
        stale = messages.MapFinished(app.explain.wall.subject.ticket.number - 1, "rise", make_explanation())
        app.explain.wall.post_message(stale)
        await settled(pilot)
        assert app.explain.explanation is before
        assert app.explain.runs["rise"].state == "idle"


async def test_ctrl_q_leaves_while_a_method_runs_and_stops_it() -> None:
    async with held("rise", "r") as at:
        await at.pilot.press("ctrl+q")
        for _ in range(100):
            if at.engine.stopped:
                break
            await asyncio.sleep(0.02)
        at.gate.set()
    assert at.engine.stopped == ["rise"]
    assert at.app.return_code == 0


@pytest.mark.parametrize("keys", [("f",), ("w",), ("t",), ("question_mark",), ("enter",)])
async def test_ctrl_q_leaves_from_every_dialog(keys: tuple[str, ...]) -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", *keys)
        assert len(app.screen_stack) == 2
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)


async def test_resizing_while_maps_run_keeps_them() -> None:
    async with held("rise", "e") as at:
        for size in ((80, 24), (200, 60), (40, 10), (120, 40)):
            await at.pilot.resize_terminal(*size)
            await at.pilot.pause()
        at.gate.set()
        await settled(at.pilot)
        assert {run.state for run in at.app.explain.runs.values()} == {"done"}
