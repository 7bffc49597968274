"""Formats, compressions, depths and colour spaces that are not read are refused by their names, with their codes."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from picture_files import GREY, png_chunk, write_png
from picture_reading import change_tag, refused, sound
from PIL import Image

from engine.errors import IMAGE_CODES, ImageError
from engine.images.image import read_image

DRAWN = np.random.default_rng(11)
GREY_8 = DRAWN.integers(0, 256, (40, 30), dtype=np.uint8)
RGB_8 = DRAWN.integers(0, 256, (40, 30, 3), dtype=np.uint8)
RGB_16 = DRAWN.integers(0, 65536, (40, 30, 3), dtype=np.uint16)


@pytest.mark.parametrize(
    ("compression", "name"),
    [("jpeg2000", "JPEG 2000"), ("jpegxl", "JPEG XL"), ("png", "PNG"), ("lerc", "LERC"), ("jpegxr", "JPEG XR")],
)
def test_a_compression_that_is_not_read_is_named(tmp_path: Path, compression: str, name: str) -> None:
    for pixels in (RGB_8, RGB_16):
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression=compression)
        refused(tmp_path / "a.tif", "unsupported", f"compressed by {name}")


def test_webp_in_a_tiff_is_read_or_named(tmp_path: Path) -> None:
    options = {"photometric": "rgb", "compression": "webp", "compressionargs": {"level": -1}}
    tifffile.imwrite(tmp_path / "a.tif", RGB_8, **options)  # type: ignore[arg-type]
    try:
        with Image.open(tmp_path / "a.tif") as picture:
            picture.load()
    except OSError:  # as with the libtiff that Pillow's wheels bring
        with pytest.raises(ImageError, match="compressed by WebP") as caught:
            read_image(tmp_path / "a.tif")
        assert caught.value.code == "unsupported"
    else:
        np.testing.assert_array_equal(sound(tmp_path / "a.tif").pixels, RGB_8)


def test_jpegs_that_are_not_read_are_named(tmp_path: Path) -> None:
    deep = (RGB_16 >> 4).astype(np.uint16)
    grey = np.ascontiguousarray(deep[..., 0])
    for words, data in (
        ("a JPEG with 12 bits", imagecodecs.jpeg_encode(deep, bitspersample=12)),
        ("a lossless JPEG with 1[26] bits", imagecodecs.ljpeg_encode(grey, bitspersample=12)),
        ("a lossless JPEG,", imagecodecs.ljpeg_encode(GREY_8, bitspersample=8)),
        ("a lossless JPEG,", imagecodecs.jpeg_encode(RGB_8, lossless=True)),
        ("a JPEG-LS picture", imagecodecs.jpegls_encode(GREY_8)),
    ):
        (tmp_path / "a.jpg").write_bytes(data)
        refused(tmp_path / "a.jpg", "unsupported", f"this is {words}.*not supported")
    with io.BytesIO() as buffer:
        Image.fromarray(RGB_8).save(buffer, "JPEG")
        data = buffer.getvalue()
    place = data.index(b"\xff\xc0")
    for marker in (0xC5, 0xC7, 0xCD, 0xCF):
        (tmp_path / "a.jpg").write_bytes(data[: place + 1] + bytes([marker]) + data[place + 2 :])
        refused(tmp_path / "a.jpg", "unsupported", "a hierarchical JPEG")
    (tmp_path / "a.jpg").write_bytes(data[: place + 9] + b"\x02" + data[place + 10 :])
    refused(tmp_path / "a.jpg", "unsupported", "a JPEG with 2 components")
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff" * 9 + data[2:])  # bytes that may stand before a marker
    sound(tmp_path / "a.jpg")


def test_a_jpeg_in_a_tiff_that_is_not_read_is_named(tmp_path: Path) -> None:
    options = {"photometric": "minisblack", "compression": "jpeg"}
    tifffile.imwrite(tmp_path / "a.tif", RGB_16[..., 0] >> 4, compressionargs={"bitspersample": 12}, **options)
    refused(tmp_path / "a.tif", "unsupported", "JPEG with 12 bits per sample")
    tifffile.imwrite(tmp_path / "a.tif", RGB_8, photometric="rgb", compression="jpeg", compressionargs={"lossless": 1})
    refused(tmp_path / "a.tif", "unsupported", "a lossless JPEG")


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (GREY_8.astype("f2"), "floating-point"),
        (GREY_8.astype("f4"), "floating-point"),
        (RGB_8.astype("f8"), "floating-point"),
        (GREY_8.astype("c8"), "floating-point"),
        (GREY_8.astype("i1"), "signed"),
        (RGB_16.astype("i2"), "signed"),
        (GREY_8.astype("u4"), "32 bits per sample"),
        (RGB_8.astype("u4"), "RGB with 32 bits per sample"),
        (GREY_8.astype("u8"), "64 bits per sample"),
    ],
)
def test_numbers_that_are_not_read_are_named(tmp_path: Path, pixels: np.ndarray, words: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    refused(tmp_path / "a.tif", "unsupported", words)


@pytest.mark.parametrize("bits", [3, 6, 10, 12, 14, 24])
def test_packed_depths_that_are_not_read_are_named(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.tif"
    for pixels, kind in ((GREY_8, ""), (RGB_8, "RGB with ")):
        tifffile.imwrite(path, pixels, photometric="rgb" if kind else "minisblack", metadata=None)
        change_tag(path, 258, (bits,) * 3 if kind else bits)
        refused(path, "unsupported", f"it has {kind}{bits} bits per sample")


@pytest.mark.parametrize(
    ("number", "words"),
    [(4, "mask"), (8, "LAB"), (9, "LAB"), (32803, "mosaic"), (32844, "LogL"), (32845, "LogLuv"), (77, "by an unknown")],
)
def test_colour_spaces_that_are_not_read_are_named(tmp_path: Path, number: int, words: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB_8, photometric="rgb", metadata=None)
    change_tag(tmp_path / "a.tif", 262, number)
    refused(tmp_path / "a.tif", "unsupported", words)


def test_16_bit_grey_with_transparency_is_named(tmp_path: Path) -> None:
    pixels = np.dstack([RGB_16[..., 0], np.full((40, 30), 65535, np.uint16)])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", extrasamples=["unassalpha"])
    refused(tmp_path / "a.tif", "unsupported", "grey with 16 bits and transparency")


def test_bits_in_an_order_that_is_not_read_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB_16, photometric="rgb", resolutionunit=2)
    data = (tmp_path / "a.tif").read_bytes()
    place = data.index(struct.pack("<HHIH", 296, 3, 1, 2))  # ResolutionUnit becomes FillOrder
    (tmp_path / "a.tif").write_bytes(data[:place] + struct.pack("<H", 266) + data[place + 2 :])
    refused(tmp_path / "a.tif", "unsupported", "arranged in a way that is not supported")


def test_apples_png_is_named(tmp_path: Path) -> None:
    data = write_png(tmp_path / "a.png", GREY_8, 8, GREY).read_bytes()
    (tmp_path / "a.png").write_bytes(data[:8] + png_chunk(b"CgBI", b"\x50\0\x20\x02") + data[8:])
    refused(tmp_path / "a.png", "unsupported", "as Apple's tools pack it")


def test_a_bmp_that_is_not_read_is_named(tmp_path: Path) -> None:
    Image.fromarray(RGB_8).save(tmp_path / "a.bmp")
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[30] = 4  # BI_JPEG
    (tmp_path / "a.bmp").write_bytes(data)
    refused(tmp_path / "a.bmp", "unsupported", "of a kind that is not supported")


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"\xff\x0a", "JPEG XL"), (b"II\xbc\x01", "JPEG XR")],
)
def test_formats_that_are_not_read_are_named(tmp_path: Path, start: bytes, name: str) -> None:
    (tmp_path / "a.tif").write_bytes(start + bytes(100))
    refused(tmp_path / "a.tif", "unsupported", f"this is a {name} picture")


def test_refusals_have_the_code_of_their_kind(tmp_path: Path) -> None:
    whole = write_png(tmp_path / "whole.png", GREY_8, 8, GREY).read_bytes()
    files = {"empty": b"", "damaged": whole[:-30], "not-an-image": b"hello"}
    for code, data in files.items():
        (tmp_path / code).write_bytes(data)
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / code)
        assert caught.value.code == code
    (tmp_path / "folder").mkdir()
    for name, code in (("nowhere", "missing"), ("folder", "not-a-file")):
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / name)
        assert caught.value.code == code


def test_every_code_in_the_code_is_listed() -> None:
    room = Path(__file__).parents[3] / "engine" / "images"
    texts = [file.read_text(encoding="utf-8") for file in room.rglob("*.py")]
    found = {code for text in texts for code in re.findall(r"(?:code=|Caution\(\s*)\"([a-z-]+)\"", text)}
    assert {"stack", "channels", "unsupported"} <= found
    assert found <= IMAGE_CODES.keys()
    for text in texts:
        for call in re.findall(r"(?:ImageError|NotCompliantError)\((?:[^()]|\([^()]*\))*\)", text):
            assert "code=" in call, f"a refusal without a code: {call}"
