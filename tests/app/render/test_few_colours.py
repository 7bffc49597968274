"""What is sent to terminals with 256 colours, with 16, and with none."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from app_driver import TO_IMAGES, make_app, press, screen_text
from factories import make_pixels, make_values
from rich.console import Console
from textual.app import App

from engine.drawing.colormaps import COLORMAPS
from engine.drawing.colours import luminance
from xaimed_tui.render.depth import step_colours, stepped_map, stepped_overlay, to_step
from xaimed_tui.render.picture import render
from xaimed_tui.render.spec import PictureSpec
from xaimed_tui.terminal.colour_depth import Depth, depth_of

if TYPE_CHECKING:
    from xaimed_tui.app import XAIMedApp
    from xaimed_tui.render.picture import Rendered

TOP = ((2, 1), (2, 2), (1, 1))
SYSTEMS = {"256": "256", "16": "standard"}
COLOUR = re.compile(r"\x1b\[([0-9;]*)m")


def make_spec(style: str, **kwargs: object) -> PictureSpec:
    pixels = make_pixels(48, 48).astype(np.uint8)
    counts = np.array([[1, 0, 0], [0, 2, 0], [2, 4, 3]])
    numbers = {"counts": counts, "signed": counts / 4 - 0.5}
    return PictureSpec(pixels, values=make_values(TOP), style=style, top=TOP, **numbers, **kwargs)  # type: ignore[arg-type]


def sent(spec: PictureSpec, depth: Depth) -> str:
    """What the terminal is sent for a picture."""
    return written(render(spec, 48, 24, depth=depth), depth)


def written(drawn: Rendered, depth: Depth) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=SYSTEMS[depth])  # type: ignore[arg-type]
    for strip in drawn.strips:
        for segment in strip:
            if segment.style is not None:
                segment.style._ansi = None  # a style keeps the codes of the first terminal it was written for
    return "".join(strip.render(console) for strip in drawn.strips)


@pytest.mark.parametrize("depth", ["256", "16"])
@pytest.mark.parametrize("name", COLORMAPS)
def test_the_steps_of_a_colormap_are_told_by_their_luminance_alone(name: str, depth: Depth) -> None:
    lights = [luminance(colour) for colour in step_colours(name, depth)]
    assert len(lights) >= 4
    assert all(after - before > 0.005 for before, after in pairwise(lights))


@pytest.mark.parametrize("style", ["image", "overlay", "map", "cells", "agreement", "exact"])
def test_in_256_colours_only_indexed_colours_are_sent(style: str) -> None:
    codes = COLOUR.findall(sent(make_spec(style), "256"))
    parts = [re.sub(r"[34]8;5;[0-9]+", "", code) for code in codes]
    assert all(re.fullmatch(r"[017;]*|.*(?:[39][0-7]|4[0-7]|10[0-7]).*", part) for part in parts)
    assert any("8;5;" in code for code in codes)
    assert not any("8;2;" in code for code in codes)


@pytest.mark.parametrize("style", ["image", "overlay", "map", "cells", "agreement", "exact"])
def test_in_16_colours_only_those_are_sent(style: str) -> None:
    codes = COLOUR.findall(sent(make_spec(style), "16"))
    parts = {int(part) for code in codes for part in code.split(";")}
    inks = {*range(30, 38), *range(90, 98)}
    assert parts & inks | parts & {ink + 10 for ink in inks}
    assert parts <= {0, 1} | inks | {ink + 10 for ink in inks}


@pytest.mark.parametrize("depth", ["256", "16"])
def test_a_map_in_few_colours_is_steps_of_equal_height_in_colours_that_the_terminal_has(depth: Depth) -> None:
    values = np.tile(np.linspace(0, 1, 400, dtype=np.float32), (4, 1))
    colours = step_colours("viridis", depth)
    drawn = stepped_map(values, "viridis", depth)
    seen = [tuple(int(part) for part in colour) for colour in drawn[0]]
    assert list(dict.fromkeys(seen)) == list(colours)
    assert {abs(seen.count(colour) - 400 / len(colours)) <= 1 for colour in colours} == {True}
    plain = PictureSpec(np.zeros((4, 400, 1), dtype=np.uint8), values=values, style="map")
    codes = COLOUR.findall(written(render(plain, 400, 2, depth=depth), depth))
    assert len(set(codes) - {"0"}) == len(colours)  # a colour each, none lost between here and the wire


@pytest.mark.parametrize("depth", ["256", "16"])
def test_an_overlay_in_few_colours_is_a_grey_image_with_outlines_around_the_steps(depth: Depth) -> None:
    values = np.zeros((40, 40), dtype=np.float32)
    values[10:30, 10:30] = 0.5
    drawn = stepped_overlay(np.full((40, 40, 3), 128, dtype=np.uint8), values, "viridis", 0.5, depth)
    coloured = np.ptp(drawn, axis=2) > 0
    ring = np.zeros((40, 40), dtype=bool)
    ring[10:30, 10:30] = True
    ring[11:29, 11:29] = False
    assert np.array_equal(coloured, ring)
    count = len(step_colours("viridis", depth))
    step = int(to_step(values[10:11, 10:11], count)[0, 0])
    assert {tuple(int(part) for part in colour) for colour in drawn[ring]} == {step_colours("viridis", depth)[step]}


def test_in_few_colours_opacity_decides_how_much_of_the_scale_is_filled() -> None:
    values = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (100, 1))
    grey = np.full((100, 100, 3), 128, dtype=np.uint8)
    filled = [
        int((np.ptp(stepped_overlay(grey, values, "viridis", opacity, "256"), axis=2) > 0).sum())
        for opacity in (0.0, 0.3, 0.55, 0.85, 1.0)
    ]
    assert filled[0] == 0
    assert filled == sorted(filled)
    assert filled[-1] == 100 * 100


@pytest.mark.parametrize("depth", ["256", "16"])
def test_marks_and_counts_are_there_in_few_colours_too(depth: Depth) -> None:
    assert "┏ 1 ━" in render(make_spec("overlay"), 48, 24, depth=depth).text
    digits = [one for one in render(make_spec("agreement"), 48, 24, depth=depth).text if one.isdigit()]
    assert sorted(digits) == sorted("100020243")


async def walk(app: XAIMedApp) -> tuple[str, str]:
    """Through the screens with pictures: what was sent to the terminal, and the text of the last one."""
    written: list[str] = []
    display = App._display

    def listening(self: App[object], screen: object, renderable: object) -> None:
        if hasattr(renderable, "render_segments"):
            written.append(renderable.render_segments(self.console))
        display(self, screen, renderable)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "_display", listening)
        async with app.run_test(size=(120, 40)) as pilot:
            await press(pilot, *TO_IMAGES, "e", "right")
            text = screen_text(app)
            await press(pilot, "z", "escape", "enter")
    return "".join(written), text


@pytest.mark.parametrize("how", ["NO_COLOR", "dumb"])
async def test_without_colour_nothing_but_attributes_is_sent_and_the_pictures_are_glyphs(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*(("NO_COLOR", "1") if how == "NO_COLOR" else ("TERM", "dumb")))
    app = make_app()
    assert depth_of(app) == "none"
    output, text = await walk(app)
    assert {part for code in COLOUR.findall(output) for part in code.split(";")} <= {
        "0",
        "1",
        "2",
        "3",
        "4",
        "7",
        "9",
        "",
    }
    assert "7" in {part for code in COLOUR.findall(output) for part in code.split(";")}  # the row chosen, in reverse
    assert "▄" not in text
    assert "@" in text
    assert {"1", "2", "3"} <= set(text)
