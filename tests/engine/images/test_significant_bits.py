"""Fewer significant bits than a sample has: declared, said, guessed at with a warning, and never silently wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
from factories import make_image
from picture_files import GREY, GREY_ALPHA, RGB, png_chunk, write_png

from engine.bundle.specs import InputSpec
from engine.errors import NotCompliantError
from engine.export.pictures import original_picture
from engine.images.bits import bits_of, viewing
from engine.images.compliance import check_compliance, input_warnings
from engine.images.image import MedicalImage, read_image
from engine.images.preprocessing import network_input, picture_view, unit_view
from engine.results.caution import Caution

SPEC = InputSpec(size=(40, 30), channels=1)
DRAWN = np.random.default_rng(12)


def values(top: int, *shape: int) -> np.ndarray:
    """Values up to `top` that need all of its bits."""
    drawn = DRAWN.integers(0, top + 1, shape or (40, 30), dtype=np.uint16)
    drawn.flat[:2] = (top, top - 1)
    return drawn


def tiff(path: Path, pixels: np.ndarray, *tags: tuple[object, ...], **options: object) -> MedicalImage:
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, **({"photometric": kind, "metadata": None, "extratags": tags} | options))  # type: ignore[arg-type]
    return read_image(path)


def _warnings(image: MedicalImage, spec: InputSpec) -> list[Caution]:
    """The warnings, but for those about a colour, size or shape that does not fit the specification."""
    return [warning for warning in input_warnings(image, spec) if warning.code not in ("colour", "size", "shape")]


def used(image: MedicalImage, spec: InputSpec = SPEC) -> tuple[int, str]:
    """The bits used and their source, once the check and the warnings agree that there is no doubt."""
    check_compliance(image, spec)
    assert _warnings(image, spec) == []
    bits = bits_of(image, spec)
    return bits.used, bits.source


def doubt(image: MedicalImage, spec: InputSpec = SPEC) -> str:
    """The one warning, about bits that were guessed: all of the sample's."""
    check_compliance(image, spec)
    bits = bits_of(image, spec)
    assert (bits.used, bits.source) == (image.bit_depth, "guessed")
    (warning,) = _warnings(image, spec)
    assert warning.code == "bits"
    return warning


@pytest.mark.parametrize(("top", "likely"), [(1, 8), (255, 8), (1000, 10), (4095, 12), (16383, 14), (32767, 15)])
def test_values_of_fewer_bits_are_taken_as_they_are_with_a_warning(tmp_path: Path, top: int, likely: int) -> None:
    pixels = values(top)
    for image in (
        tiff(tmp_path / "a.tif", pixels),
        tiff(tmp_path / "a.tif", values(top, 40, 30, 3)),
        read_image(write_png(tmp_path / "a.png", pixels, 16, GREY)),
    ):
        sentence = doubt(image)
        assert f"as in an image of {likely} bits" in sentence
        assert f"--bits {likely} or --bits 16" in sentence
        assert "[input]" in sentence
        assert unit_view(image, replace(SPEC, channels=image.pixels.shape[2])).max() == pytest.approx(top / 65535)


@pytest.mark.parametrize(
    "pixels",
    [
        values(65535),
        values(40000),
        values(32768),
        np.zeros((40, 30), np.uint16),
        values(90) * np.uint16(257),  # 8 bits stretched, dark
        values(3) * np.uint16(257),
        values(100) << np.uint16(8),
        values(2000) << np.uint16(4),  # 12 bits, left-aligned
        np.round(values(1900) * (65535 / 4095)).astype(np.uint16),
        np.round(values(400) * (65535 / 1023)).astype(np.uint16),
    ],
)
def test_values_that_use_the_whole_range_carry_no_warning(tmp_path: Path, pixels: np.ndarray) -> None:
    assert used(tiff(tmp_path / "a.tif", pixels)) == (16, "container")
    assert used(read_image(write_png(tmp_path / "a.png", pixels, 16, GREY))) == (16, "container")


def test_white_marks_in_an_image_of_12_bits_hide_nothing(tmp_path: Path) -> None:
    pixels = values(4000)
    pixels[:4, :9] = 65535
    sentence = doubt(tiff(tmp_path / "a.tif", pixels))
    assert sentence.startswith("Apart from 65,535, which marks in an image have, no value is beyond 4,095")
    assert used(tiff(tmp_path / "a.tif", pixels), replace(SPEC, bits=16)) == (16, "bundle")
    black = tiff(tmp_path / "a.tif", pixels, photometric="miniswhite")
    assert "12 bits" in doubt(black)
    pixels[0, 0] = 33000
    assert used(tiff(tmp_path / "a.tif", pixels)) == (16, "container")
    few = np.where(values(2) > 0, 65535, values(9)).astype(np.uint16)  # a mask
    assert used(tiff(tmp_path / "a.tif", few)) == (16, "container")


def test_values_of_8_bits_on_their_way_to_12_are_doubtful(tmp_path: Path) -> None:
    assert "12 bits" in doubt(tiff(tmp_path / "a.tif", values(255) << np.uint16(4)))


@pytest.mark.parametrize(
    "tag",
    [
        (281, 3, 1, 4095, True),
        (341, 3, 1, 4095, True),  # SMaxSampleValue
        (341, 4, 1, 4095, True),
    ],
)
def test_what_a_tiff_declares_is_used(tmp_path: Path, tag: tuple[object, ...]) -> None:
    pixels = values(3046)
    image = tiff(tmp_path / "a.tif", pixels, tag)
    assert used(image) == (12, "file")
    np.testing.assert_array_equal(image.pixels[..., 0], pixels)
    assert image.sha256 == tiff(tmp_path / "b.tif", pixels).sha256
    assert unit_view(image, SPEC).max() == pytest.approx(3046 / 4095)
    assert image.metadata["viewing"].startswith("shown with its values divided by 16.0588 (12 to 8 bit)")


def test_a_declaration_for_each_colour_is_used(tmp_path: Path) -> None:
    image = tiff(tmp_path / "a.tif", values(1023, 40, 30, 3), (281, 3, 3, (1023,) * 3, True))
    assert used(image, replace(SPEC, channels=3)) == (10, "file")


def test_what_ome_declares_is_used(tmp_path: Path) -> None:
    sizes = 'SizeX="30" SizeY="40" SizeZ="1" SizeC="1" SizeT="1"'
    text = f'<?xml version="1.0"?><OME><Image><Pixels Type="uint16" SignificantBits="12" {sizes}/></Image></OME>'
    assert used(tiff(tmp_path / "a.tif", values(3046), description=text)) == (12, "file")


def test_a_pngs_declaration_of_all_bits_settles_it(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", values(3046), 16, GREY, png_chunk(b"sBIT", b"\x10"))
    assert used(read_image(path)) == (16, "file")


def test_the_highest_value_that_occurs_declares_nothing(tmp_path: Path) -> None:
    doubt(tiff(tmp_path / "a.tif", values(3046), (281, 3, 1, 65535, True)))  # what programs write if they know nothing
    doubt(tiff(tmp_path / "a.tif", values(3046), (281, 3, 1, 3046, True)))
    assert used(tiff(tmp_path / "a.tif", values(48761), (281, 3, 1, 48761, True))) == (16, "container")


def test_a_declaration_that_the_values_contradict_is_ignored_with_a_warning(tmp_path: Path) -> None:
    for top in (5000, 60000):
        sentence = doubt(tiff(tmp_path / "a.tif", values(top), (281, 3, 1, 4095, True)))
        assert f"declares 12 significant bits, but its highest value is {top:,}" in sentence


def test_8_bit_samples_of_which_fewer_are_declared(tmp_path: Path) -> None:
    image = tiff(tmp_path / "a.tif", values(60).astype(np.uint8), (281, 3, 1, 63, True))
    assert used(image) == (6, "file")
    assert unit_view(image, SPEC).max() == pytest.approx(60 / 63)
    assert picture_view(image, SPEC).max() == round(60 * 255 / 63)


def shifted(original: np.ndarray, bits: int, depth: int) -> np.ndarray:
    return original << (depth - bits)


def repeated(original: np.ndarray, bits: int, depth: int) -> np.ndarray:
    return original << (depth - bits) | original >> (2 * bits - depth)


def divided(original: np.ndarray, bits: int, depth: int) -> np.ndarray:
    return np.round(original * ((2**depth - 1) / (2**bits - 1))).astype(int)


@pytest.mark.parametrize("spread", [shifted, repeated, divided])
@pytest.mark.parametrize(("bits", "depth"), [(12, 16), (10, 16), (5, 8)])
def test_what_a_png_declares_is_its_precision_and_its_values_are_spread_already(
    tmp_path: Path, spread: Callable[[np.ndarray, int, int], np.ndarray], bits: int, depth: int
) -> None:
    said = png_chunk(b"sBIT", bytes([bits]))
    pixels = spread(values(2**bits - 1).astype(int), bits, depth)
    assert used(read_image(write_png(tmp_path / "a.png", pixels, depth, GREY, said))) == (depth, "file")
    dark = spread(values(2 ** (2 * bits - depth) - 1).astype(int), bits, depth)
    image = read_image(write_png(tmp_path / "a.png", dark, depth, GREY, said))
    if depth == 8:
        assert used(image) == (8, "file")
    else:
        doubt(image)  # as dark as that, they may be values of `bits` bits after all


@pytest.mark.parametrize(("bits", "depth"), [(12, 16), (10, 16), (5, 8), (7, 8)])
def test_a_png_whose_values_were_not_spread_has_the_bits_it_declares(tmp_path: Path, bits: int, depth: int) -> None:
    pixels = values(2**bits - 1)
    path = write_png(tmp_path / "g.png", pixels, depth, GREY, png_chunk(b"sBIT", bytes([bits])))
    assert used(read_image(path)) == (bits, "file")
    assert unit_view(read_image(path), SPEC).max() == 1
    colours = np.dstack([pixels] * 3)
    path = write_png(tmp_path / "c.png", colours, depth, RGB, png_chunk(b"sBIT", bytes([bits, bits - 1, bits - 1])))
    assert used(read_image(path)) == (bits, "file")
    opaque = np.dstack([pixels, np.full_like(pixels, 2**depth - 1)])
    path = write_png(tmp_path / "a.png", opaque, depth, GREY_ALPHA, png_chunk(b"sBIT", bytes([bits, depth])))
    assert used(read_image(path)) == (bits, "file")


def test_a_senseless_sbit_chunk_is_ignored(tmp_path: Path) -> None:
    for content in (b"", b"\x00", b"\x11"):
        path = write_png(tmp_path / "a.png", values(60000), 16, GREY, png_chunk(b"sBIT", content))
        assert used(read_image(path)) == (16, "container")


def test_the_user_goes_before_the_bundle_and_the_bundle_before_the_file(tmp_path: Path) -> None:
    pixels = values(900)
    tiff(tmp_path / "a.tif", pixels, (281, 3, 1, 4095, True))
    image = read_image(tmp_path / "a.tif")
    assert used(image) == (12, "file")
    bundle = replace(SPEC, bits=14)
    assert used(image, bundle) == (14, "bundle")
    said = read_image(tmp_path / "a.tif", bits=10)
    assert used(said, bundle) == (10, "user")
    assert unit_view(said, bundle).max() == pytest.approx(900 / 1023)
    assert said.sha256 == image.sha256
    np.testing.assert_array_equal(said.pixels, image.pixels)


def test_the_user_and_the_bundle_settle_a_doubt(tmp_path: Path) -> None:
    image = tiff(tmp_path / "a.tif", values(3046))
    doubt(image)
    for bits in (12, 14, 16):
        assert used(image, replace(SPEC, bits=bits)) == (bits, "bundle")
        assert used(read_image(tmp_path / "a.tif", bits=bits)) == (bits, "user")


def test_a_value_beyond_the_bits_is_refused(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif", values(5000))
    image = read_image(tmp_path / "a.tif")
    for one, spec, words in (
        (image, replace(SPEC, bits=12), r"the 12 bits that the model's settings say .* end at 4,095"),
        (read_image(tmp_path / "a.tif", bits=12), SPEC, r"the 12 bits that --bits says end at 4,095"),
    ):
        with pytest.raises(NotCompliantError, match=f"its highest value is 5,000, and {words}") as caught:
            check_compliance(one, spec)
        assert caught.value.code == "bits"
        assert caught.value.subject == str(tmp_path / "a.tif")
        assert caught.value.remedy
        assert picture_view(one, spec).max() == 255, "shown as bright as can be, not wrapped around"


def test_a_bundle_for_12_bits_takes_images_of_8_bits_as_they_are(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", values(255), 8, GREY)
    assert used(read_image(path), replace(SPEC, bits=12)) == (8, "container")
    with pytest.raises(NotCompliantError, match="its samples have 8 bits, not the 12 that --bits says") as caught:
        check_compliance(read_image(path, bits=12), SPEC)
    assert caught.value.code == "bits"


def test_bits_that_are_no_number_of_bits_are_an_error(tmp_path: Path) -> None:
    for bits in (0, 17):
        with pytest.raises(ValueError, match="from 1 to 16"):
            read_image(tmp_path / "a.tif", bits=bits)


def test_a_tiff_in_which_0_is_white_is_scaled_from_its_white(tmp_path: Path) -> None:
    pixels = values(3000)
    image = tiff(tmp_path / "a.tif", pixels, photometric="miniswhite")
    np.testing.assert_array_equal(image.pixels[..., 0], 65535 - pixels)
    assert "highest value is 3,000, as in an image of 12 bits" in doubt(image)
    for one, spec in ((read_image(tmp_path / "a.tif", bits=12), SPEC), (image, replace(SPEC, bits=12))):
        check_compliance(one, spec)
        np.testing.assert_allclose(unit_view(one, spec)[..., 0], (4095 - pixels) / 4095, atol=1e-6)
    with pytest.raises(NotCompliantError, match="highest value is 3,000"):
        check_compliance(image, replace(SPEC, bits=10))
    declared = tiff(tmp_path / "a.tif", pixels, (281, 3, 1, 4095, True), photometric="miniswhite")
    assert used(declared) == (12, "file")


def test_people_see_what_the_network_sees(tmp_path: Path) -> None:
    pixels = values(4095)
    image = tiff(tmp_path / "a.tif", pixels)
    spec = replace(SPEC, bits=12)
    expected = np.round(pixels * (255 / 4095)).astype(int)
    for shown in (picture_view(image, spec)[..., 0], np.asarray(original_picture(image, spec))):
        assert np.abs(shown.astype(int) - expected).max() <= 1
        assert (shown.min(), shown.max()) == (expected.min(), 255)
    stretched = tiff(tmp_path / "b.tif", np.round(pixels * (65535 / 4095)).astype(np.uint16))
    np.testing.assert_allclose(network_input(image, spec), network_input(stretched, SPEC), atol=1e-5)
    assert viewing(8) is None


def test_without_a_word_on_bits_values_are_as_ever() -> None:
    for bit_depth in (8, 16):
        image = make_image(bit_depth=bit_depth, channels=1, height=40, width=30)
        top = np.float32(2**bit_depth - 1)
        np.testing.assert_array_equal(unit_view(image, SPEC), image.pixels / top)
        eight = image.pixels if bit_depth == 8 else np.round(image.pixels / np.float32(257))
        np.testing.assert_array_equal(picture_view(image, SPEC), eight.astype(np.uint8))


def test_sound_pictures_carry_no_warning(tmp_path: Path) -> None:
    for name in ("camera", "cell", "chelsea", "coins", "colorwheel", "moon", "page", "text", "rocket"):
        pixels = getattr(skimage.data, name)()
        kind = RGB if pixels.ndim == 3 else GREY
        for depth, stored in ((8, pixels), (16, pixels.astype(np.uint16) * 257), (16, pixels.astype(np.uint16) << 8)):
            image = read_image(write_png(tmp_path / "a.png", stored, depth, kind))
            assert used(image, InputSpec(size=(50, 50))) == (depth, "container")


def test_a_palettes_numbers_are_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    colours = DRAWN.integers(256, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(
        path, values(15).astype(np.uint8), photometric="palette", colormap=colours, extratags=[(281, 3, 1, 15, True)]
    )
    assert used(read_image(path)) == (8, "container")


def test_a_chunk_beyond_the_files_end_is_no_declaration(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", values(60000), 16, GREY)
    data = path.read_bytes()
    path.write_bytes(data[:33] + struct.pack(">I", 1 << 30) + b"abCd" + data[33:])
    with pytest.raises(Exception, match="damaged"):
        read_image(path)
