"""How an image is looked at: its window is moved for the eye only, and what the network was given can be seen."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from app_driver import TO_IMAGES, caption_of, make_app, press, screen_text, settled
from fakes import FakeEngine, flat_pixels
from textual.events import MouseDown, MouseMove, MouseUp

from engine.images.dicom.facts import DicomFacts
from engine.images.eye import EyeWindow
from engine.images.image import MedicalImage
from xaimed_tui.screens.explain.picture_pair import PicturePair
from xaimed_tui.screens.explain.zoom import ZoomScreen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.bundle.model_bundle import ModelBundle
    from xaimed_tui.app import XAIMedApp

OWN = "127.5/255 (all its values)"
FACTS = DicomFacts("CT Image", "CT", "MONOCHROME2", 1, 1, 48, 48, 8, 8, 0.0, 255.0)


class Slices(FakeEngine):
    """Grey DICOM images, of which the fifth begins another series."""

    def read(self, path: Path) -> MedicalImage:
        made = super().read(path)
        if not path.name.startswith("patch"):
            return made
        number = int(path.stem[-2:])
        facts = replace(FACTS, series=str(number // 5), aspect=2.0, edges=("L", "P"), laterality="L")
        sha256 = hashlib.sha256(str(path).encode()).hexdigest()
        return replace(made, dicom=facts, sha256=sha256, metadata={"modality": "CT", "laterality": "left"})


def offers(app: XAIMedApp, key: str) -> bool:
    active = app.screen.active_bindings.get(key)
    return active is not None and active.enabled


def zoomed(app: XAIMedApp) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The pixels of the picture that fills the screen."""
    assert isinstance(app.screen, ZoomScreen)
    assert app.screen.view.picture is not None
    return app.screen.view.picture.pixels


async def test_the_window_is_moved_for_the_eye_only_by_keys_and_by_dragging() -> None:
    fake = FakeEngine(grey=True, flat=True)
    app = make_app(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "g")
        app.explain.wall.go("original")
        await press(pilot, "z")
        image, asked = app.explain.scene.image, fake.calls.count(("diagnose", "patch-01.png"))
        assert image is not None
        assert f"window {OWN}" in screen_text(app)
        assert not offers(app, "w")
        before = zoomed(app)
        await press(pilot, "full_stop", "less_than_sign")
        moved = f"window 153/212, for the eye only; the network gets {OWN}"
        assert moved in screen_text(app)
        seen = zoomed(app)
        assert np.array_equal(seen, EyeWindow(153, 212).shown(image))
        assert not np.array_equal(seen, before)
        await press(pilot, "tab")
        while app.screen._key != "gradcam":  # type: ignore[attr-defined]
            await press(pilot, "tab")
        assert moved in screen_text(app)
        assert np.array_equal(zoomed(app), seen), "under a map, too"
        assert not offers(app, "v")
        await press(pilot, "o")
        assert not offers(app, "full_stop"), "nothing of the image is seen"
        assert "window" not in screen_text(app).splitlines()[-2]
        await press(pilot, "shift+tab", "o")
        while app.screen._key != "original":  # type: ignore[attr-defined]
            await press(pilot, "tab")
        await press(pilot, "escape")
        assert "153/212, eye only" in caption_of(app.explain.wall.card("original"))
        maps = app.explain.wall.card("gradcam").view.picture
        assert maps is not None
        assert np.array_equal(maps.pixels, before), "on the wall maps lie on what the network gets"
        await press(pilot, "z", "w")
        assert np.array_equal(zoomed(app), before)
        assert moved not in screen_text(app)
        view = app.screen.view  # type: ignore[attr-defined]

        async def drag(button: int, dx: int, dy: int) -> None:
            for kind, x, y in ((MouseDown, 60, 20), (MouseMove, 60 + dx, 20 + dy), (MouseUp, 60 + dx, 20 + dy)):
                step = (dx, dy) if kind is MouseMove else (0, 0)
                app.screen.post_message(kind(view, x, y, *step, button, False, False, False, screen_x=x, screen_y=y))
            await settled(pilot)

        await drag(1, 0, -2)
        assert "window 153/255, for the eye only" in screen_text(app)
        await press(pilot, "plus")
        await drag(1, 3, 0)
        assert "window 153/255, for the eye only" in screen_text(app), "the left button moves a magnified picture"
        await drag(3, 4, 0)
        assert "window 153/306, for the eye only" in screen_text(app)
        assert fake.calls.count(("diagnose", "patch-01.png")) == asked
        await press(pilot, "escape", "down")
        assert app.explain.scene.eye is None, "another image that belongs to no series"


async def test_what_the_network_was_given_is_shown_beside_any_image_or_in_its_place() -> None:
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "g", "v")
        card = app.explain.wall.card("original")
        assert app.explain.wall.active == "original"
        assert "48x48 RGB" in caption_of(card)
        assert "as given" in screen_text(app)
        image = app.explain.scene.image
        assert image is not None
        assert card.view.picture is not None
        given = card.view.picture.pixels
        assert np.array_equal(given, image.pixels.astype(np.uint8)), "of the size that the network takes"
        await press(pilot, "z")
        both = app.screen.query_one(PicturePair)
        last = screen_text(app).splitlines()[-2]
        assert last.index("Original, 48x48 RGB") < 60 < last.index("Given to the network, 48x48 RGB")
        assert both.second.rendered is not None
        assert not offers(app, "full_stop")
        await press(pilot, "plus", "right", "down")
        assert (both.second.zoom, both.second.centre) == (2, both.first.centre)
        both.second.pan(-1, 0)
        await settled(pilot)
        assert both.first.centre == both.second.centre
        assert both.first.centre != (0.5, 0.5)
        await press(pilot, "0")
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        assert not both.second.display
        assert "What the network was given" in screen_text(app).splitlines()[0]
        assert "Given to the network, 48x48 RGB" in screen_text(app)
        await press(pilot, "v")
        assert "Original, 48x48 RGB" in screen_text(app)
        assert "network" not in screen_text(app)
        assert not offers(app, "full_stop"), "a colour image has no window"
        await press(pilot, "v", "escape", "down")
        assert "as given" in screen_text(app), "for the next image, too"
        await press(pilot, "v")
        assert "as given" not in screen_text(app)


class Middles(Slices):
    """A network that sees the middle of an image, a third of its width."""

    def view(
        self, image: MedicalImage, bundle: ModelBundle | None, window: EyeWindow | None = None
    ) -> NDArray[np.uint8]:
        return super().view(image, bundle, window)[:, 16:32]


async def test_beside_what_it_was_given_all_of_an_image_is_seen_through_the_window_for_the_eye() -> None:
    app = make_app(Middles(flat=True, grey=True, refused={}))
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, *TO_IMAGES, "z")
        assert "Original, 48x48, the middle 16x48, window 165/98 (the image's own range)" in screen_text(app)
        assert zoomed(app).shape == (48, 16, 1)
        await press(pilot, "v")
        left, right = screen_text(app).splitlines()[-2].split("Given to the network, 48x48, ")
        assert "Original, 48x48; middle 16x48 seen, window 165/98 " in left
        assert "165/98, 6 times too wide" in right, "a third of the width, of pixels twice as high as wide"
        image, both = app.explain.scene.image, app.screen.query_one(PicturePair)
        assert image is not None
        assert zoomed(app).shape == (48, 48, 1)
        given = both.second.picture
        assert given is not None
        assert given.edges == ("R", "L", "A", "P")
        await press(pilot, "less_than_sign", "plus", "left")
        assert "Original, 48x48; middle 16x48 seen, 165/81.7, eye only" in screen_text(app)
        assert np.array_equal(zoomed(app), EyeWindow(165, 81.7).shown(image))
        assert both.second.picture is not None
        assert np.array_equal(both.second.picture.pixels, given.pixels), "the network's stays"
        x = both.first.centre[0]
        assert x < 0.5
        assert both.second.centre[0] == max(0.5 + 3 * (x - 0.5), 0.25), "the same place of the body"


async def test_a_window_goes_on_for_the_images_of_its_series() -> None:
    app = make_app(Slices(flat=True, grey=True, refused={}))
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES)
        text = screen_text(app)
        assert "CT left, 48x48 grey, 8 bit" in text
        assert "window 165/98" in text
        await press(pilot, "z")
        lines = [line.rstrip() for line in screen_text(app).splitlines()]
        assert "left" in lines[1]
        assert {"R", "L"} <= set("".join(lines[20:28]))
        placement = app.screen.view.rendered.placement  # type: ignore[attr-defined]
        assert placement.rows == placement.columns, "characters are twice as high as wide, and so are these pixels"
        await press(pilot, "less_than_sign", "escape", "down")
        eye = app.explain.scene.eye
        assert eye is not None
        card = app.explain.wall.card("original")
        assert f"{eye.words}, for the eye only" in caption_of(card)
        assert card.view.picture is not None
        assert np.array_equal(card.view.picture.pixels, eye.shown(app.explain.scene.image))  # type: ignore[arg-type]
        await press(pilot, "down", "down", "down")
        assert app.explain.scene.image.path.name == "patch-05.png"  # type: ignore[union-attr]
        assert app.explain.scene.eye is None
        assert np.array_equal(card.view.picture.pixels, flat_pixels()[:, :, :1].astype(np.uint8))
