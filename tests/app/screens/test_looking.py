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
from xaimed_tui.screens.explain.zoom import ZoomScreen

if TYPE_CHECKING:
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


async def test_what_the_network_was_given_is_shown_in_place_of_any_image() -> None:
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
        assert "as the network was given it: 48x48 RGB" in screen_text(app)
        assert not offers(app, "full_stop")
        await press(pilot, "v")
        assert "as the network" not in screen_text(app)
        assert not offers(app, "full_stop"), "a colour image has no window"
        await press(pilot, "v", "escape", "down")
        assert "as given" in screen_text(app), "for the next image, too"
        await press(pilot, "v")
        assert "as given" not in screen_text(app)


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
