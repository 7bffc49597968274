"""From image to image: the mark in the list comes first, and what stays the same is not painted again."""

from __future__ import annotations

import pytest
from app_driver import TO_IMAGES, make_app, press, press_until_held, settled, until
from factories import make_diagnosis
from fakes import NAMES, FakeEngine
from rich.console import Console

from engine.errors import ImageError
from xaimed_tui.pixel_app import PixelApp
from xaimed_tui.screens.explain.image_side import ImageSide
from xaimed_tui.screens.explain.view import ExplainView
from xaimed_tui.terminal.textual_private import CompositorUpdate

_send, _show = PixelApp.update_to_send, ExplainView.show_everything


async def test_the_mark_moves_first_and_what_stays_the_same_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    shown: list[bool] = []

    def note(app: PixelApp, update: CompositorUpdate) -> CompositorUpdate:
        sent.append(_send(app, update).render_segments(Console()))
        return CompositorUpdate()

    def show(view: ExplainView) -> None:
        shown.append(True)
        _show(view)

    engine = FakeEngine(answer=make_diagnosis(warnings=("The answer has more lines than are kept for it.",)))
    app = make_app(engine)
    async with app.run_test(size=(160, 50)) as pilot:
        await press(pilot, *TO_IMAGES)
        explain, layouts = app.explain, []
        height = explain.images.size.height
        made = {card.key: card.view.placeholder for card in explain.wall if card.key != "original"}
        assert all(made.values()), "each says how it is made, or what it will show"
        gate = engine.hold("read")
        app.screen.screen_layout_refresh_signal.subscribe(explain, layouts.append)
        monkeypatch.setattr(PixelApp, "update_to_send", note)
        monkeypatch.setattr(ExplainView, "show_everything", show)
        app.screen.refresh()
        await pilot.pause()
        await settled(pilot)
        sent.clear()
        try:
            await press_until_held(pilot, "down", engine, "read")
            await until(pilot, lambda: any("reading the image" in text for text in sent))
        finally:
            words = {key: explain.wall.card(key).view.placeholder for key in made}
            gate.set()
        await settled(pilot)
        first = sent[0]
        assert "▸  patch-02.png" in first
        assert "patch-03.png" not in first, "two rows of the list"
        assert not any(word in first for word in ("Original", "reading the image", *made.values()))
        assert words == made
        assert not any(word in text for text in sent for word in made.values()), "painted again"
        assert explain.scene.diagnosis is not None
        assert not layouts, "neither for the words nor for an answer of the same height"
        assert explain.images.size.height == height

        assert explain.folder is not None
        shown.clear()
        explain.on_image_side_pointed(ImageSide.Pointed(explain.folder / NAMES[2]))
        assert not shown, "all that depends on the mark is shown once that is painted"
        await settled(pilot)
        assert shown

        engine.failures["read"] = ImageError("damaged")
        await press(pilot, "down")
        assert explain.image_failure is not None
        assert not any(explain.wall.card(key).view.placeholder for key in made), "there will be no map"
