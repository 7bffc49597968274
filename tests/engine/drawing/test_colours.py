"""Colours whose luminance says it all."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from engine.drawing.colours import (
    BLACK,
    COLORMAPS,
    WHITE,
    backdrop,
    colormap,
    colour_values,
    contrast,
    count_colours,
    luminance,
    text_on,
    to_grey,
)


@pytest.mark.parametrize("name", COLORMAPS)
def test_luminance_rises_along_every_colormap(name: str) -> None:
    table = colormap(name)
    light = np.array([luminance(tuple(colour)) for colour in table.tolist()])
    assert table.shape == (256, 3)
    assert np.diff(light).min() > -0.003  # matplotlib's tables are rounded to 8 bits
    assert np.diff(light[::8]).min() > 0
    assert light[-1] - light[0] > 0.7


def test_the_ends_of_viridis_are_those_matplotlib_documents() -> None:
    ends = colour_values(np.array([[0.0, 1.0], [-3.0, 7.0]]))
    assert ends[0].tolist() == [[68, 1, 84], [253, 231, 36]]
    assert ends[1].tolist() == ends[0].tolist()


def test_grey_needs_no_library_and_is_the_value_itself() -> None:
    assert colour_values(np.array([[0.0, 0.5, 1.0]]), "grey")[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


def test_an_unknown_colormap_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'jet' is not one of"):
        colormap("jet")


def test_a_colormap_cannot_be_changed_by_its_users() -> None:
    with pytest.raises(ValueError, match="read-only"):
        colormap("viridis")[0] = 0


@pytest.mark.parametrize("methods", [1, 4, 6])
@pytest.mark.parametrize("name", COLORMAPS)
def test_more_agreement_is_always_brighter(name: str, methods: int) -> None:
    light = [luminance(colour) for colour in count_colours(methods, name)]
    assert len(light) == methods + 1
    assert all(after > before + 0.02 for before, after in pairwise(light))


def test_contrast_is_that_of_the_accessibility_guidelines() -> None:
    assert contrast(BLACK, WHITE) == pytest.approx(21.0)
    assert contrast((119, 119, 119), WHITE) == pytest.approx(4.48, abs=0.005)  # the guidelines' own example, #777


def test_text_can_be_read_on_every_colour() -> None:
    for red in range(0, 256, 15):
        for green in range(0, 256, 15):
            for blue in range(0, 256, 15):
                background = (red, green, blue)
                assert contrast(text_on(background), background) >= 4.5


def test_grey_is_luma() -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], dtype=np.uint8)
    assert to_grey(pixels)[0, :, 0].tolist() == [76, 150, 29, 9]


def test_the_backdrop_of_a_dark_scan_reaches_the_middle_tones_in_the_same_order() -> None:
    scan = np.repeat(np.arange(60, dtype=np.uint8)[None, :, None], 60, axis=0)
    tones = backdrop(scan)[0, :, 0].astype(int)
    assert (np.diff(tones) >= 0).all()
    assert tones[0] >= 45
    assert tones[-1] == pytest.approx(225, abs=4)


def test_the_backdrop_of_an_even_image_does_not_turn_noise_into_structure() -> None:
    noise = np.full((20, 20, 1), 100, dtype=np.uint8)
    noise[::2] = 102
    tones = backdrop(noise)
    assert int(tones.max()) - int(tones.min()) <= 6
