"""What stands on the screen belongs together: image, answer, maps, counts and words, whatever happened meanwhile."""

from __future__ import annotations

from app_driver import TO_IMAGES, make_app, press, settled, until
from fakes import FakeEngine

from engine.errors import NotFiniteError

BIG = (160, 50)


def on_the_wall(app) -> set[str]:
    return {method for method, run in app.explain.runs.items() if run.map is not None}


async def test_a_method_made_again_and_stopped_before_its_turn_keeps_the_map_that_the_counts_are_of() -> None:
    engine = FakeEngine()
    gate = engine.hold("rise")
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "g")
        first = app.explain.runs["gradcam"].map
        await pilot.press("r")
        await until(pilot, engine.waiting["rise"].is_set)
        await pilot.press("g")
        await until(pilot, lambda: app.explain.runs["gradcam"].state == "waiting")
        await pilot.press("x")
        gate.set()
        await settled(pilot)
        assert app.explain.runs["gradcam"].state == "done"
        assert app.explain.runs["gradcam"].map is first
        assert set(app.explain.explanation.maps) == on_the_wall(app) == {"gradcam", "rise"}


async def test_a_method_made_again_that_fails_is_counted_no_more() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "p")
        engine.failures["gradcam"] = NotFiniteError("no valid map")
        await press(pilot, "g")
        assert app.explain.runs["gradcam"].state == "failed"
        assert set(app.explain.explanation.maps) == on_the_wall(app) == {"gradcam++"}
        assert app.explain.explanation.consensus.methods == ("gradcam++",)
        engine.failures["gradcam++"] = NotFiniteError("no valid map")
        await press(pilot, "p")
        assert app.explain.explanation is None
        assert app.explain.check_action("save", ()) is False


async def test_that_the_last_method_failed_is_part_of_what_is_saved() -> None:
    engine = FakeEngine(failures={"rise": NotFiniteError("no valid map")})
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e")
        assert dict(app.explain.explanation.failures) == {"rise": "no valid map"}


async def test_another_layer_takes_nothing_from_maps_that_know_no_layer() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "l", "y", "up", "enter")
        assert on_the_wall(app) == {"lime"}
        assert set(app.explain.explanation.maps) == {"lime"}
        assert app.explain.explanation.settings.layer == "features.0", "what a map made from now on is made with"
        assert app.explain.check_action("save", ()) is True
        await press(pilot, "g")
        assert set(app.explain.explanation.maps) == {"lime", "gradcam"}


async def test_maps_that_know_no_layer_stay_counted_when_the_cams_fail_at_another_one() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "l", "g")
        engine.failures["gradcam"] = NotFiniteError("no valid map")
        await press(pilot, "y", "up", "enter")
        assert app.explain.runs["gradcam"].state == "failed"
        assert set(app.explain.explanation.maps) == on_the_wall(app) == {"lime"}
