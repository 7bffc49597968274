"""What is done to images to see whether a network holds up: each alteration against a computation by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.evaluation.alterations import COLOUR, GREY, blur, brightness, contrast, jpeg, noise, rotation, shift

RNG = np.random.default_rng(0)
PATCH = RNG.integers(0, 256, (24, 24, 3)).astype(np.uint8)
SLICE = RNG.integers(0, 256, (24, 20)).astype(np.uint8)


@pytest.mark.parametrize(
    ("alterations", "image"), [(COLOUR, PATCH), (GREY, SLICE), (GREY, SLICE[..., None])], ids=["rgb", "HW", "HW1"]
)
def test_alterations_change_values_but_neither_shape_nor_type_nor_the_image_given(alterations, image) -> None:
    before = image.copy()
    assert len({alteration.name for alteration in alterations}) == len(alterations)
    for alteration in alterations:
        found = alteration.apply(image, np.random.default_rng(1))
        assert (found.shape, found.dtype) == (image.shape, np.dtype(np.uint8)), alteration.name
        assert not np.array_equal(found, image), alteration.name
        np.testing.assert_array_equal(image, before)


def test_chroma_subsampling_mixes_colours_of_neighbours_and_444_does_not() -> None:
    red_and_blue = np.zeros((16, 16, 3), np.uint8)
    red_and_blue[:, ::2, 0] = red_and_blue[:, 1::2, 2] = 255
    kept, mixed = jpeg(red_and_blue, 95, "4:4:4"), jpeg(red_and_blue, 95, "4:2:0")
    assert np.abs(kept.astype(int) - red_and_blue).max() < 10
    assert np.abs(mixed.astype(int) - red_and_blue).max() > 60


def test_a_lower_quality_changes_more() -> None:
    smooth = np.add.outer(np.arange(0, 128, 4), np.arange(0, 96, 3)).astype(np.uint8)
    changes = [np.abs(jpeg(smooth, quality).astype(int) - smooth).mean() for quality in (95, 75, 50, 10)]
    assert changes == sorted(changes)
    assert changes[0] < changes[-1]


def test_a_blurred_point_is_a_gaussian_in_each_channel_alone() -> None:
    point = np.zeros((11, 11, 3), np.uint8)
    point[5, 5, 1] = 255
    found = blur(point, 1.0)
    kernel = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    kernel /= kernel.sum()
    np.testing.assert_array_equal(found[1:10, 1:10, 1], np.round(255 * np.outer(kernel, kernel)))
    assert not found[..., [0, 2]].any()


def test_noise_has_the_spread_that_it_says_and_comes_from_its_generator() -> None:
    grey = np.full((200, 200), 128, np.uint8)
    found = noise(grey, 0.04, np.random.default_rng(3))
    assert (found - 128.0).std() == pytest.approx(0.04 * 255, rel=0.02)
    np.testing.assert_array_equal(found, noise(grey, 0.04, np.random.default_rng(3)))
    assert not np.array_equal(found, noise(grey, 0.04, np.random.default_rng(4)))


def test_brightness_multiplies_and_contrast_stretches_about_the_mean_within_what_a_byte_holds() -> None:
    values = np.array([[0, 100, 200, 250]], np.uint8)
    np.testing.assert_array_equal(brightness(values, 1.1), [[0, 110, 220, 255]])
    np.testing.assert_array_equal(contrast(np.array([[50, 100, 150]], np.uint8), 0.8), [[60, 100, 140]])
    np.testing.assert_array_equal(contrast(np.array([[0, 100, 200]], np.uint8), 1.25), [[0, 100, 225]])


def test_movements_turn_about_the_centre_and_repeat_the_border() -> None:
    square = SLICE[:20]
    np.testing.assert_array_equal(rotation(square, 90), np.rot90(square))
    moved = shift(np.arange(16, dtype=np.uint8).reshape(4, 4), down=0.25, right=0.5)
    np.testing.assert_array_equal(moved, [[0, 0, 0, 1], [0, 0, 0, 1], [4, 4, 4, 5], [8, 8, 8, 9]])
