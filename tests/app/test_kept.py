"""Going back to an image: what is known of it is there at once, unless it is not true any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app_driver import TO_IMAGES, make_app, press, settled
from factories import make_diagnosis, make_explanation, make_image
from fakes import FakeEngine

from engine.images.image import MedicalImage
from xaimed_tui.preferences.settings import AppSettings
from xaimed_tui.session.image_cache import CachedImage, ImageCache

BIG = (160, 50)


def known(number: int) -> CachedImage:
    image = make_image(Path(f"{number}.png"))
    diagnosis = make_diagnosis((0.1, 0.9), ("a", "b"))
    return CachedImage(image, image.pixels.astype("uint8"), diagnosis, make_explanation(image))


def test_the_memory_holds_the_last_ones_that_fit() -> None:
    one = known(1).bytes
    assert one > 4 * 48 * 48 * 3 + 48 * 48 * 3
    kept = ImageCache(2 * one)
    for number in (1, 2):
        kept.keep(number, known(number))
    assert kept.get(1) is not None  # looked at again: 2 is the oldest now
    kept.keep(3, known(3))
    assert [kept.get(number) is not None for number in (1, 2, 3)] == [True, False, True]
    assert len(ImageCache(0)) == 0
    nothing = ImageCache(0)
    nothing.keep(1, known(1))
    assert nothing.get(1) is None


async def test_going_back_shows_answer_and_maps_at_once_and_keeps_the_view() -> None:
    engine = FakeEngine()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "e", "o")
        first = app.explain.explanation
        active, display = app.explain.wall.active, app.explain.scene.look.display
        assert first is not None
        await press(pilot, "j")
        assert app.explain.explanation is None
        assert (app.explain.wall.active, app.explain.scene.look.display) == (active, display)
        engine.calls.clear()
        await press(pilot, "k")
        assert app.explain.explanation is first
        assert {run.state for run in app.explain.runs.values()} == {"done"}
        assert [call[0] for call in engine.calls] == ["read"], "to see whether it is still the same image"


async def test_maps_made_before_are_part_of_what_is_made_later() -> None:
    app = make_app()
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "l", "j", "k", "g")
        assert app.explain.explanation is not None
        assert set(app.explain.explanation.maps) == {"lime", "gradcam"}


async def test_an_image_whose_content_is_another_one_is_answered_anew() -> None:
    class Changing(FakeEngine):
        change = ""

        def read(self, path: Path) -> MedicalImage:
            image = super().read(path)
            return replace(image, sha256=self.change or image.sha256)

    engine = Changing()
    app = make_app(engine)
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "j")
        engine.change = "f" * 64
        engine.calls.clear()
        await press(pilot, "k")
        assert ("diagnose", "patch-01.png") in engine.calls
        assert app.explain.explanation is None
        assert app.explain.runs["gradcam"].state == "idle"
        engine.calls.clear()
        await press(pilot, "j", "k")
        await settled(pilot)
        assert ("diagnose", "patch-01.png") not in engine.calls


async def test_without_memory_an_image_is_answered_anew() -> None:
    engine = FakeEngine()
    app = make_app(engine, settings=AppSettings(memory=0))
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, *TO_IMAGES, "g", "j", "k")
        assert app.explain.explanation is None
        assert engine.calls.count(("diagnose", "patch-01.png")) == 2
