"""Arrays, PIL pictures and tensors become the very image that a file with the same pixels gives, or are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from engine import MedicalImage, read_image
from engine.bundle.specs import InputSpec
from engine.errors import ImageError
from engine.images.bits import bits_of, bits_warnings
from engine.images.preprocessing import network_input

RNG = np.random.default_rng(3)
COLOUR = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 5), dtype=np.uint16)


def spec(channels: int = 3) -> InputSpec:
    return InputSpec(size=(6, 5), channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)


@pytest.mark.parametrize("values", [COLOUR, GREY, DEEP], ids=["colour", "grey", "deep"])
def test_the_same_pixels_have_the_same_hash_from_a_file_and_from_memory(values: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(values).save(file)
    read = read_image(file)
    top = np.iinfo(values.dtype).max
    tensor = torch.from_numpy(values.astype(np.int64))
    tensor = (tensor.movedim(-1, 0) if values.ndim == 3 else tensor).float() / top
    made = [
        MedicalImage.from_array(values),
        MedicalImage.from_array(np.asfortranarray(values)),
        MedicalImage.from_array(values.astype(values.dtype.newbyteorder(">"))),
        MedicalImage.from_array(values.astype(np.float32) / top),
        MedicalImage.from_array(values / top),
        MedicalImage.from_tensor(tensor.requires_grad_()),
        MedicalImage.from_tensor(tensor if values.ndim == 3 else tensor[None]),
        MedicalImage.from_pil(Image.open(file)),
        MedicalImage.from_pil(Image.fromarray(values)),
    ]
    for image in made:
        assert image.sha256 == read.sha256
        assert (image.bit_depth, image.colour, image.bits) == (read.bit_depth, read.colour, read.bits)
        np.testing.assert_array_equal(image.pixels, read.pixels)
        assert not image.pixels.flags.writeable
        np.testing.assert_array_equal(image.array, values)
        assert image.array.dtype == values.dtype


def test_an_image_does_not_change_with_the_array_it_was_made_of() -> None:
    values = COLOUR.copy()
    image = MedicalImage.from_array(values)
    values[:] = 0
    np.testing.assert_array_equal(image.array, COLOUR)


def test_floats_that_are_no_whole_steps_reach_the_network_as_they_are() -> None:
    values = RNG.random((6, 5, 3), dtype=np.float32)
    image = MedicalImage.from_array(values)
    fed = network_input(image, spec())
    np.testing.assert_allclose(fed, values.transpose(2, 0, 1), rtol=3e-7)
    np.testing.assert_allclose(image.array, values, rtol=3e-7)
    assert bits_warnings(image, spec()) == ()
    assert image.sha256 != MedicalImage.from_array(np.rint(values * 65535).astype(np.uint16)).sha256


def test_dark_floats_are_not_taken_for_fewer_bits() -> None:
    dark = MedicalImage.from_array(RNG.random((6, 5), dtype=np.float32) / 20)
    assert bits_warnings(dark, spec(1)) == ()


def test_floats_are_the_whole_range_also_for_a_model_whose_files_use_fewer_bits() -> None:
    values = RNG.random((6, 5), dtype=np.float32) / 20
    image, twelve = MedicalImage.from_array(values), replace(spec(1), bits=12)
    assert bits_of(image, twelve).used == 16
    np.testing.assert_allclose(network_input(image, twelve)[0], values, rtol=3e-7)


def test_uint16_is_scaled_by_its_bits_and_warns_where_they_are_not_said() -> None:
    twelve = RNG.integers(0, 4096, (6, 5), dtype=np.uint16)
    twelve[0, 0] = 4095
    said = MedicalImage.from_array(twelve, bits=12)
    assert bits_of(said, spec(1)).used == 12
    assert network_input(said, spec(1)).max() == 1.0
    assert bits_warnings(said, spec(1)) == ()
    assert [caution.code for caution in bits_warnings(MedicalImage.from_array(twelve), spec(1))] == ["bits"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (COLOUR.transpose(2, 0, 1), "transpose(1, 2, 0)"),
        (np.zeros((6, 5, 4), np.uint8), "alpha"),
        (COLOUR[None], "array[0]"),
        (np.zeros((6, 5, 7), np.uint8), "(6, 5, 7)"),
        (np.zeros(5, np.uint8), "(5,)"),
        (np.zeros((0, 5), np.uint8), "no pixels"),
        (GREY.astype(np.int64), "int64"),
        (GREY > 100, "bool"),
        (GREY.astype(np.float32), "divide by 255"),
        (GREY / 100.0, "from 0 to 1"),
        (GREY / 255.0 - 0.5, "undo the normalisation"),
        (np.full((6, 5), np.nan), "nan"),
        (np.ma.masked_array(GREY, GREY > 100), "filled"),
        ([[1, 2], [3, 4]], "list"),
        (Image.fromarray(GREY), "from_pil"),
        (torch.zeros(3, 6, 5), "from_tensor"),
        ("a.png", "read_image"),
    ],
    ids=[
        *("first", "alpha", "batch", "seven", "line", "empty", "int64", "bool", "bytes", "hundreds", "negative", "nan"),
        *("masked", "list", "pil", "tensor", "path"),
    ],
)
def test_an_array_that_could_mean_two_things_is_refused(given: object, words: str) -> None:
    with pytest.raises(ImageError) as refused:
        MedicalImage.from_array(given, name="scan")
    assert words in refused.value.message
    assert refused.value.message.startswith("scan: ")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.zeros(6, 5, 3), "permute(2, 0, 1)"),
        (torch.zeros(1, 3, 6, 5), "tensor[0]"),
        (torch.zeros(3, 6, 5, dtype=torch.int64), "int64"),
        (torch.full((3, 6, 5), 2.5), "from 0 to 1"),
        (COLOUR, "from_array"),
    ],
    ids=["last", "batch", "integers", "normalised", "array"],
)
def test_a_tensor_that_could_mean_two_things_is_refused(given: object, words: str) -> None:
    with pytest.raises(ImageError) as refused:
        MedicalImage.from_tensor(given)  # type: ignore[arg-type]  # some are no tensors
    assert words in refused.value.message


def test_half_and_bfloat_tensors_are_taken() -> None:
    for kind in (torch.float16, torch.bfloat16):
        image = MedicalImage.from_tensor(torch.full((1, 6, 5), 0.5, dtype=kind))
        np.testing.assert_allclose(image.array, 0.5, atol=1e-4)


def test_bits_beyond_the_type_or_of_floats_are_refused() -> None:
    with pytest.raises(ImageError, match="have 8 bits, not 12"):
        MedicalImage.from_array(GREY, bits=12)
    with pytest.raises(ImageError, match="no significant bits"):
        MedicalImage.from_array(GREY / 255.0, bits=8)
    with pytest.raises(ValueError, match="from 1 to 16"):
        MedicalImage.from_array(GREY, bits=0)


def test_pictures_of_pil_are_taken_as_their_files_are() -> None:
    picture = Image.fromarray(COLOUR)
    assert MedicalImage.from_pil(picture.convert("P")).colour == "rgb"
    assert MedicalImage.from_pil(picture.convert("1")).colour == "grey"
    opaque = picture.convert("RGBA")
    np.testing.assert_array_equal(MedicalImage.from_pil(opaque).array, COLOUR)
    opaque.putpixel((0, 0), (1, 2, 3, 4))
    with pytest.raises(ImageError, match="transparent"):
        MedicalImage.from_pil(opaque)
    unit = MedicalImage.from_pil(Image.fromarray(GREY.astype(np.float32) / np.float32(255)))
    np.testing.assert_array_equal(unit.array, GREY)
    for mode in ("CMYK", "HSV", "LAB", "I"):
        other = Image.new(mode, (5, 5))
        with pytest.raises(ImageError, match=f"mode {mode}"):
            MedicalImage.from_pil(other)


def test_a_picture_that_is_not_upright_is_refused_until_it_is(tmp_path: Path) -> None:
    file = tmp_path / "lying.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(file, exif=exif)
    picture = Image.open(file)
    with pytest.raises(ImageError, match="exif_transpose"):
        MedicalImage.from_pil(picture)
    assert MedicalImage.from_pil(ImageOps.exif_transpose(picture)).sha256 == read_image(file).sha256


def test_one_frame_of_several_has_to_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "stack.tiff"
    Image.fromarray(GREY).save(file, save_all=True, append_images=[Image.fromarray(255 - GREY)])
    picture = Image.open(file)
    with pytest.raises(ImageError, match="2 pictures") as refused:
        MedicalImage.from_pil(picture)
    assert refused.value.code == "stack"
    picture.seek(1)
    np.testing.assert_array_equal(MedicalImage.from_pil(picture.copy()).array, 255 - GREY)


def test_the_name_stands_in_place_of_a_files_name(tmp_path: Path) -> None:
    assert MedicalImage.from_array(GREY).path == Path("array")
    assert MedicalImage.from_array(GREY, name="scan 3").path == Path("scan 3")
    Image.fromarray(GREY).save(tmp_path / "b.png")
    assert MedicalImage.from_pil(Image.open(tmp_path / "b.png")).path == Path("b.png")
