"""Colour order and range of the values that a network is fed with, and the way back from them to colours."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from factories import make_image

from engine.bundle.specs import InputSpec
from engine.images.preprocessing import mean_colour, network_input, picture_view, unit_from_input, unit_view

COLOURS = np.array([[[255, 51, 0], [0, 102, 255]]], dtype=np.float32)
SPEC = InputSpec(size=(1, 2))


def test_what_is_not_declared_changes_no_bit() -> None:
    image = make_image()
    spec = replace(SPEC, size=(48, 48), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    mean, std = np.float32(spec.mean), np.float32(spec.std)
    expected = ((image.pixels / np.float32(255) - mean) / std).transpose(2, 0, 1)
    np.testing.assert_array_equal(network_input(image, spec), expected)


def test_full_scale_becomes_the_end_of_the_range() -> None:
    fed = network_input(make_image(pixels=COLOURS), replace(SPEC, value_range=(0.0, 255.0)))
    np.testing.assert_allclose(fed.transpose(1, 2, 0), COLOURS, atol=1e-4)
    deep = make_image(pixels=COLOURS * 257, bit_depth=16)
    np.testing.assert_allclose(
        network_input(deep, replace(SPEC, value_range=(-1.0, 1.0))).transpose(1, 2, 0), COLOURS / 127.5 - 1, atol=1e-6
    )


def test_a_range_may_be_upside_down() -> None:
    grey = make_image(pixels=np.float32([[[0], [51]]]))
    fed = network_input(grey, InputSpec(size=(1, 2), channels=1, mean=(0.0,), std=(1.0,), value_range=(1.0, 0.0)))
    assert fed.ravel().tolist() == pytest.approx([1, 0.8])


def test_mean_and_std_are_in_the_networks_order_and_range() -> None:
    spec = replace(SPEC, colour_order="bgr", value_range=(0.0, 255.0), mean=(100.0, 50.0, 5.0), std=(1.0, 2.0, 10.0))
    fed = network_input(make_image(pixels=COLOURS), spec)
    assert fed[:, 0, 0].tolist() == pytest.approx([-100, 0.5, 25])
    assert fed[:, 0, 1].tolist() == pytest.approx([155, 26, -0.5])


@pytest.mark.parametrize(
    ("order", "values", "channels"),
    [*product(("rgb", "bgr"), ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (1.0, 0.0)), (3,)), ("rgb", (-1.0, 1.0), 1)],
)
def test_what_is_fed_leads_back_to_the_colours(order: str, values: tuple[float, float], channels: int) -> None:
    spec = InputSpec(
        size=(48, 48),
        channels=channels,
        colour_order=order,  # type: ignore[arg-type]  # one of its words
        value_range=values,
        mean=(0.1, 0.5, 0.7)[:channels],
        std=(0.2, 1.0, 3.0)[:channels],
    )
    image = make_image(channels=channels)
    unit = unit_from_input(network_input(image, spec)[None], spec)
    np.testing.assert_allclose(unit[0].transpose(1, 2, 0), unit_view(image, spec), atol=1e-5)
    assert unit_from_input(network_input(image, spec), spec, np.float64).dtype == np.float64


def test_padding_has_the_colour_that_is_fed_as_zero() -> None:
    spec = replace(
        SPEC, size=(4, 4), resize="fit", colour_order="bgr", value_range=(0.0, 255.0), mean=(51.0, 102.0, 204.0)
    )
    assert mean_colour(spec).tolist() == pytest.approx([0.8, 0.4, 0.2])
    image = make_image(pixels=np.repeat(COLOURS, 2, axis=1))
    assert picture_view(image, spec)[0, 0].tolist() == [204, 102, 51]
    np.testing.assert_allclose(network_input(image, spec)[:, 0, 0], 0, atol=1e-4)
