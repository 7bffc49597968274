"""Every text on every screen can be read in every theme: contrasts of what is rendered, by WCAG 2.2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from all_screens import SCREENS, STATES, one_place
from app_driver import make_app, press
from factories import make_pixels, make_values
from skimage.color import rgb2lab
from textual.dom import DOMNode

from engine.drawing.colormaps import COLORMAPS
from engine.drawing.colours import contrast
from xaimed_tui.app import XAIMedApp
from xaimed_tui.render.picture import render
from xaimed_tui.render.spec import PictureSpec
from xaimed_tui.terminal.colour_depth import Depth
from xaimed_tui.themes import COLOUR_BLIND, HIGH_CONTRAST, THEMES, theme_after

if TYPE_CHECKING:
    from textual.pilot import Pilot

Rgb = tuple[int, int, int]

LEAST = {HIGH_CONTRAST.name: 7.0}
"""Least contrast of a theme's texts, those in pictures too, if not 4.5 (levels AAA and AA for text of normal size)."""

SIZES = ((120, 40), (80, 24))
"""Every screen is looked at in both, in the small one in the theme that asks most; screens in other states in one."""


def texts(app: XAIMedApp) -> Iterator[tuple[str, int, Rgb, Rgb]]:
    """Runs of text on the screen, their line, colour and ground; those in pictures too.

    Lines, blocks and pictures' pixels are no text. What lies behind a dialog is not there to be read.
    """
    for y, strip in enumerate(app.screen._compositor.render_strips()[: app.size.height]):
        x = 0
        for segment in strip:
            start, x = x, x + segment.cell_length
            style = segment.style
            words = "".join(c for c in segment.text if c != " " and not 0x2500 <= ord(c) <= 0x259F)
            if segment.control or style is None or not words:
                continue
            widget, _ = app.screen.get_widget_at(start + segment.text.index(words[0]), y)
            if widget is app.screen:
                continue
            assert style.color is not None, (y, words)
            assert style.bgcolor is not None, (y, words)
            ink, ground = (tuple(colour.get_truecolor()) for colour in (style.color, style.bgcolor))
            if style.reverse:
                ink, ground = ground, ink
            if style.dim:  # as a terminal may show it
                ink = tuple(round((a + b) / 2) for a, b in zip(ink, ground, strict=True))
            yield words, y, ink, ground


def faint_texts(app: XAIMedApp, where: str) -> dict[tuple[Rgb, Rgb], str]:
    """The texts that stand out too little in the theme in use, one for each pair of colours."""
    least = LEAST.get(app.theme, 4.5)
    return {
        (ink, ground): f"{where}, line {y}: {words!r} {contrast(ink, ground):.2f}"
        for words, y, ink, ground in texts(app)
        if contrast(ink, ground) < least
    }


def restyle_only_what_is_shown(app: XAIMedApp) -> None:
    """Another theme is applied to the widgets that can be seen: most of the app's cannot, and take most of the time."""

    def shown(node: DOMNode) -> Iterator[DOMNode]:
        yield node
        for child in node.displayed_children:
            yield from shown(child)

    def refresh_css(animate: bool = True) -> None:
        app.stylesheet.set_variables(app.get_css_variables())
        app.stylesheet.reparse()
        app.stylesheet.update_nodes([app, *shown(app.screen)], animate=False)
        app.screen._refresh_layout(app.size)
        app.screen._css_update_count = app._css_update_count

    app.refresh_css = refresh_css  # type: ignore[method-assign]


async def drawn(pilot: Pilot[int]) -> None:
    """Wait until the screen is painted, and the pictures with it."""
    await pilot.pause(0.02)
    while any(worker.name == "draw picture" and not worker.is_finished for worker in pilot.app.workers):
        await pilot.pause(0.01)
    await pilot.pause()


OTHERS = (
    *("demo", "selection-unusable", "selection-not-approved", "selection-no-tasks", "selection-filtered"),
    *("add-task-refused", "explain-uncertain", "explain-at-work", "explain-not-compliant", "explain-failed"),
    *("detail-uncertain", "side-by-side-uncertain", "save-refused", "palette-search"),
)
"""States with texts in colours that their screens do not have otherwise."""


@pytest.mark.parametrize("name", [*SCREENS, *OTHERS])
async def test_every_text_stands_out_from_its_ground_in_every_theme(
    name: str, use_guide: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shot, sizes = (SCREENS[name], SIZES) if name in SCREENS else (STATES[name], (STATES[name].size or SIZES[-1],))
    use_guide(whole=shot.shows_guide)
    faint: dict[tuple[Rgb, Rgb], str] = {}
    with one_place(monkeypatch, tmp_path / "place") as place:
        app = shot.app(place)
        async with app.run_test(size=sizes[0], notifications=True) as pilot:
            await shot.walk(pilot)
            restyle_only_what_is_shown(app)
            for size in sizes:
                if size != sizes[0]:
                    await pilot.resize_terminal(*size)
                    await pilot.pause(0.15)  # a new size has to settle before pictures are drawn for it
                for theme in (theme for theme in THEMES if size == sizes[0] or theme is HIGH_CONTRAST):
                    app.theme = theme.name
                    if shot.screen == "Palette":  # it lists in the colours in which it was opened
                        await press(pilot, "escape", *shot.keys)
                    await drawn(pilot)
                    found = faint_texts(app, f"{theme.name}, {size}")
                    for _ in range(40):  # a busy machine may not have drawn all in these colours yet
                        if not found:
                            break
                        await pilot.pause(0.5)
                        await drawn(pilot)
                        found = faint_texts(app, f"{theme.name}, {size}")
                    faint |= found
    assert not faint, "\n".join(faint.values())


@pytest.mark.parametrize("depth", ["true", "256", "16"])
@pytest.mark.parametrize("colormap", COLORMAPS)
def test_digits_and_brackets_in_a_picture_stand_out_from_every_colormap_in_the_high_contrast_theme(
    colormap: str, depth: Depth
) -> None:
    counts = np.arange(9).reshape(3, 3) % 5
    for ties in ((), ((0, 0), (1, 1), (2, 2))):
        agreement = PictureSpec(
            make_pixels().astype(np.uint8), style="agreement", counts=counts, ties=ties, colormap=colormap
        )
        overlay = PictureSpec(
            make_pixels().astype(np.uint8),
            style="overlay",
            values=make_values(),
            top=((2, 1), (2, 2), (1, 1)),
            ties=ties,
            colormap=colormap,
            highlight=(1, 0),
        )
        for spec, size in ((agreement, (60, 30)), (agreement, (9, 5)), (overlay, (60, 30)), (overlay, (9, 5))):
            found = 0
            for strip in render(spec, *size, depth=depth, stark=True).lines:
                for segment in strip:
                    if any(character in "0123456789?[]" for character in segment.text):
                        style = segment.style
                        found += 1
                        assert contrast(style.color.get_truecolor(), style.bgcolor.get_truecolor()) >= 7.0, segment
            assert found >= 3


DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
TRITANOPIA = np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]])
"""Full colour blindness of three kinds, on linear RGB (Machado, Oliveira and Fernandes 2009)."""


def seen_by(matrix: np.ndarray, colour: str) -> np.ndarray:
    """A colour in CIE Lab, as somebody sees it."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = (matrix @ linear).clip(0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize(
    "matrix", [np.eye(3), DEUTERANOPIA, PROTANOPIA, TRITANOPIA], ids=["all", "deut", "prot", "trit"]
)
def test_the_colours_that_mean_something_differ_for_every_eye_in_the_colour_blind_theme(matrix: np.ndarray) -> None:
    theme = COLOUR_BLIND
    colours = {
        name: seen_by(matrix, value)
        for name, value in (
            ("accent", theme.primary),
            ("warning", theme.warning),
            ("error", theme.error),
            ("text", theme.foreground),
        )
    }
    names = list(colours)
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            distance = float(np.linalg.norm(colours[one] - colours[two]))
            assert distance > 15, f"{one} and {two}: {distance:.1f}"


async def test_a_key_goes_through_the_themes_and_the_choice_is_kept() -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        seen = []
        for _ in THEMES:
            seen.append(app.theme)
            await press(pilot, "ctrl+t")
        assert seen == [theme.name for theme in THEMES]
        assert app.theme == THEMES[0].name
        await press(pilot, "ctrl+t", "ctrl+t", "ctrl+t")
        assert app.memory.now.theme == HIGH_CONTRAST.name
    assert theme_after("textual-dark") == THEMES[0].name
