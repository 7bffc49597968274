"""What a network sees of an image, with numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bundle.model_bundle import InputSpec, Resize
from engine.images.image import MedicalImage
from engine.images.preprocessing import network_input, picture_view, unit_view, view_size


def image_of(values: object, depth: int = 8) -> MedicalImage:
    """An image with these (H, W) or (H, W, C) values."""
    pixels = np.asarray(values, dtype=np.float32)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return MedicalImage(pixels, depth, "grey" if pixels.shape[2] == 1 else "rgb", Path("a.png"), "0" * 64)


def spec(
    height: int, width: int, channels: int = 1, resize: Resize = "stretch", mean: float = 0.0, std: float = 1.0
) -> InputSpec:
    return InputSpec(
        size=(height, width), channels=channels, resize=resize, mean=(mean,) * channels, std=(std,) * channels
    )


def test_an_image_of_the_input_size_is_passed_on_bit_for_bit() -> None:
    values = np.arange(48 * 48 * 3).reshape(48, 48, 3) % 256
    got = network_input(image_of(values), spec(48, 48, 3))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, (values.astype(np.float32) / np.float32(255)).transpose(2, 0, 1))


def test_8_bit_is_divided_by_255_and_16_bit_by_65535() -> None:
    assert unit_view(image_of([[0, 51, 255]]), spec(1, 3)).ravel().tolist() == pytest.approx([0, 0.2, 1])
    assert unit_view(image_of([[0, 13107, 65535]], 16), spec(1, 3)).ravel().tolist() == pytest.approx([0, 0.2, 1])


def test_mean_and_std_are_those_of_each_channel() -> None:
    declared = InputSpec(size=(1, 1), channels=3, mean=(0.2, 0.4, 0.6), std=(0.5, 0.25, 0.1))
    got = network_input(image_of([[[51, 204, 255]]]), declared)
    assert got.shape == (3, 1, 1)
    assert got.ravel().tolist() == pytest.approx([0.0, 1.6, 4.0], abs=1e-5)


def test_grey_is_repeated_for_a_colour_model() -> None:
    got = unit_view(image_of([[51, 102]]), spec(1, 2, channels=3))
    np.testing.assert_allclose(got[0], [[0.2] * 3, [0.4] * 3], atol=1e-7)


def test_colour_becomes_its_luma_for_a_grey_model() -> None:
    colours = [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [10, 20, 30]]]
    got = unit_view(image_of(colours), spec(1, 5, channels=1)).ravel()
    # 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
    assert got.tolist() == pytest.approx([0.299, 0.587, 0.114, 1.0, 18.15 / 255], abs=1e-6)
    assert got.max() <= 1


def test_shrinking_averages_over_all_pixels_and_does_not_skip_any() -> None:
    # To half the width: a triangle of +-2 pixels around each new centre; inside the weights are 1 3 3 1 over 8, at the
    # left edge 3 3 1 over 7, since what lies outside counts for nothing.
    got = network_input(image_of([[0, 0, 0, 70, 0, 0, 0, 0]] * 4), spec(4, 4))
    assert got[0, 0].tolist() == pytest.approx([0.0, 70 * 3 / 8 / 255, 70 * 1 / 8 / 255, 0.0], abs=1e-6)
    got = network_input(image_of([[70, 0, 0, 0, 0, 0, 0, 0]] * 4), spec(4, 4))
    assert got[0, 0].tolist() == pytest.approx([70 * 3 / 7 / 255, 0, 0, 0], abs=1e-6)


def test_enlarging_is_bilinear() -> None:
    # Centres of four pixels over two: at -0.25, 0.25, 0.75, 1.25; outside the centres the edge's value holds.
    got = network_input(image_of([[0, 200]] * 2), spec(2, 4))
    assert (got[0, 0] * 255).tolist() == pytest.approx([0, 50, 150, 200], abs=1e-4)


def test_16_bit_values_survive_resizing_in_full() -> None:
    got = network_input(image_of([[1000, 1001]] * 2, 16), spec(2, 4))
    assert (got[0, 0] * 65535).tolist() == pytest.approx([1000, 1000.25, 1000.75, 1001], abs=0.01)


def test_resizing_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).integers(0, 256, (37, 61, 3))
    got = network_input(image_of(values), spec(24, 70, 3))
    tensor = torch.from_numpy((values / 255).astype(np.float32).transpose(2, 0, 1)[None])
    wanted = torch.nn.functional.interpolate(tensor, (24, 70), mode="bilinear", antialias=True)[0].numpy()
    np.testing.assert_allclose(got, wanted, atol=2e-6)


def test_crop_shows_the_middle_in_the_inputs_shape() -> None:
    values = np.arange(4 * 9).reshape(4, 9)
    np.testing.assert_array_equal(
        picture_view(image_of(values), spec(2, 2, resize="crop"))[..., 0],
        values[:, 2:6],  # a rest of 5 columns: 2 before, 3 after
    )
    np.testing.assert_array_equal(picture_view(image_of(values.T), spec(2, 2, resize="crop"))[..., 0], values.T[2:6])
    np.testing.assert_array_equal(picture_view(image_of(values), spec(2, 4, resize="crop"))[..., 0], values[:, :8])


def test_fit_pads_with_the_mean_colour() -> None:
    image = image_of([[100, 200]])
    declared = spec(6, 6, resize="fit", mean=0.2)
    assert picture_view(image, declared)[..., 0].tolist() == [[100, 200], [51, 51]]
    fed = network_input(image, InputSpec(size=(2, 2), channels=1, resize="fit", mean=(0.2,), std=(0.5,)))
    assert fed[0, 1].tolist() == pytest.approx([0, 0], abs=1e-6), "padding is 0 to the network"
    colour = InputSpec(size=(6, 6), channels=3, resize="fit", mean=(0.0, 1.0, 0.0), std=(1.0,) * 3)
    assert picture_view(image, colour)[1, 0].tolist() == [150], "a grey image is padded with the colour's luma"
    tall = picture_view(image_of([[100], [200], [7]]), declared)[..., 0]
    assert tall.tolist() == [[51, 100, 51], [51, 200, 51], [51, 7, 51]]


def test_people_see_the_images_own_colours_and_16_bit_without_a_stretch() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (5, 6, 3))
    np.testing.assert_array_equal(picture_view(image_of(colours), spec(3, 3, channels=1)), colours)
    deep = picture_view(image_of([[0, 128, 129, 257, 4095, 65535]], 16), spec(1, 6))
    assert deep.ravel().tolist() == [0, 0, 1, 1, 16, 255]  # 4095 / 257 = 15.93: as dark as it is
    assert deep.dtype == np.uint8
    assert not deep.flags.writeable


@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(3, 60), st.integers(3, 60), st.sampled_from(["fit", "crop"])
)
def test_a_view_has_the_inputs_shape_and_touches_the_image(
    height: int, width: int, rows: int, columns: int, resize: Resize
) -> None:
    view = view_size(height, width, spec(rows, columns, resize=resize))
    grown = (view[0] - height, view[1] - width)
    assert 0 in grown
    assert all(step >= 0 if resize == "fit" else step <= 0 for step in grown)
    # One side is the image's, the other within half a pixel of the exact shape (one pixel at least).
    exact = (width * rows / columns, height * columns / rows)
    assert any(abs(view[i] - max(exact[i], 1)) <= 0.5 and grown[1 - i] == 0 for i in (0, 1))
    image = image_of(np.zeros((height, width)))
    assert picture_view(image, spec(rows, columns, resize=resize)).shape == (*view, 1)
