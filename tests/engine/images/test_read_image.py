"""Picture files to pixels: values exactly, and refusals by name."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
import pytest
import tifffile
from picture_files import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGB_ALPHA,
    exif_orientation,
    png_chunk,
    transparent_colour,
    write_deep_png,
    write_png,
)
from PIL import Image

from engine.errors import ImageError
from engine.images.decoding.pixels import decode
from engine.images.image import Limits, MedicalImage, read_header, read_image

DRAWN = np.random.default_rng(5)
GREY_8 = DRAWN.integers(0, 256, (7, 5), dtype=np.uint8)
RGB_8 = DRAWN.integers(0, 256, (7, 5, 3), dtype=np.uint8)
GREY_16 = DRAWN.integers(0, 65536, (7, 5), dtype=np.uint16)
RGB_16 = DRAWN.integers(0, 65536, (7, 5, 3), dtype=np.uint16)


def check(image: MedicalImage, expected: np.ndarray, depth: int) -> None:
    """The image holds exactly these values."""
    expected = expected[..., None] if expected.ndim == 2 else expected
    assert image.pixels.dtype == np.float32
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.bit_depth == depth
    assert image.colour == ("grey" if expected.shape[2] == 1 else "rgb")
    assert not image.pixels.flags.writeable


def outcome_of(path: Path) -> MedicalImage | ImageError:
    """The image or its refusal; anything else that is raised is a fault."""
    try:
        return read_image(path)
    except ImageError as error:
        return error


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
@pytest.mark.parametrize("pixels", [GREY_8, RGB_8], ids=["grey", "rgb"])
def test_8_bit_pixels_are_as_they_were_written(tmp_path: Path, suffix: str, pixels: np.ndarray) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path)
    check(read_image(path), pixels, 8)


def test_lossless_webp_is_as_it_was_written(tmp_path: Path) -> None:
    Image.fromarray(RGB_8).save(tmp_path / "a.webp", lossless=True)
    check(read_image(tmp_path / "a.webp"), RGB_8, 8)


def test_jpeg_is_what_pillow_decodes(tmp_path: Path) -> None:
    Image.fromarray(RGB_8).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as picture:
        check(read_image(tmp_path / "a.jpg"), np.asarray(picture), 8)


def test_16_bit_png_keeps_every_bit(tmp_path: Path) -> None:
    check(read_image(write_png(tmp_path / "g.png", GREY_16, 16, GREY)), GREY_16, 16)
    check(read_image(write_png(tmp_path / "c.png", RGB_16, 16, RGB)), RGB_16, 16)


@pytest.mark.parametrize("kind", [GREY_ALPHA, RGB, RGB_ALPHA])
@pytest.mark.parametrize("interlaced", [False, True])
def test_16_bit_png_with_each_filter_and_interlaced_keeps_every_bit(
    tmp_path: Path, kind: int, interlaced: bool
) -> None:
    samples = {GREY_ALPHA: 2, RGB: 3, RGB_ALPHA: 4}[kind]
    pixels = DRAWN.integers(0, 65536, (37, 29, samples), dtype=np.uint16)
    if kind != RGB:
        pixels[..., -1] = 65535
    path = write_deep_png(tmp_path / "a.png", pixels, kind, interlaced=interlaced)
    check(read_image(path), pixels if kind == RGB else pixels[..., :-1], 16)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_tiff_keeps_every_bit(tmp_path: Path, order: str, compression: str | None) -> None:
    for pixels, kind in ((GREY_16, "minisblack"), (RGB_16, "rgb")):
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=kind, byteorder=order, compression=compression)
        check(read_image(tmp_path / "a.tif"), pixels, 16)


def test_16_bit_rgb_tiff_compressed_by_lzw_keeps_every_bit(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.tif"), RGB_16[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    with Image.open(tmp_path / "a.tif") as picture:
        assert picture.info["compression"] == "tiff_lzw"
    check(read_image(tmp_path / "a.tif"), RGB_16, 16)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "lzma"])
def test_16_bit_colour_tiff_of_every_layout_is_what_libtiff_decodes(
    tmp_path: Path, order: Literal["<", ">"], compression: str | None
) -> None:
    drawn = DRAWN.integers(0, 65536, (37, 29, 4), dtype=np.uint16)
    drawn[20:, :, :3] = 7 * 256 + 5  # runs, for what compresses them
    drawn[..., 3] = 65535
    path = tmp_path / "a.tif"
    pieces: list[dict[str, object]] = [{}, {"rowsperstrip": 8}, {"tile": (16, 32)}]
    predictors = (None, 2) if compression in ("zlib", "lzw", "zstd", "lzma") else (None,)
    for piece, predictor, planar, samples in itertools.product(pieces, predictors, ("contig", "separate"), (3, 4)):
        pixels = drawn[..., :samples]
        options = piece | ({"extrasamples": ["unassalpha"]} if samples == 4 else {})
        tifffile.imwrite(
            path,
            pixels if planar == "contig" else pixels.transpose(2, 0, 1),
            photometric="rgb",
            byteorder=order,
            compression=compression,
            predictor=predictor,
            planarconfig=planar,
            **options,  # type: ignore[arg-type]
        )
        decoded = imagecodecs.tiff_decode(path.read_bytes())
        np.testing.assert_array_equal(decoded if planar == "contig" else decoded.transpose(1, 2, 0), pixels)
        check(read_image(path), pixels[..., :3], 16)


def test_16_bit_colour_tiff_that_decoders_understand_differently_is_refused(tmp_path: Path) -> None:
    # Predictors are defined for LZW and Deflate; libtiff overlooks one that goes with PackBits.
    tifffile.imwrite(tmp_path / "a.tif", RGB_16, photometric="rgb", compression="packbits", predictor=2)
    with pytest.raises(ImageError, match="two decoders disagree"):
        read_image(tmp_path / "a.tif")


def test_of_16_bit_colour_compressed_by_lzw_no_more_is_unpacked_than_there_is_room_for(tmp_path: Path) -> None:
    pixels = np.zeros((2000, 2000, 3), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression="lzw", rowsperstrip=2000)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        for name in ("ImageLength", "RowsPerStrip"):
            file.pages.first.tags[name].overwrite(3)
    data = (tmp_path / "a.tif").read_bytes()
    for _ in range(2):  # by the second time everything is imported
        tracemalloc.start()
        with pytest.raises(ImageError, match="more pixels are compressed in it than it has"):
            decode(data, tmp_path, Limits())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 1_000_000 < pixels.nbytes


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_grey_tiff_in_which_0_is_white_is_inverted(tmp_path: Path, compression: str | None) -> None:
    for pixels, top, depth in ((GREY_8, 255, 8), (GREY_16, 65535, 16)):
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite", compression=compression)
        check(read_image(tmp_path / "a.tif"), top - pixels, depth)


@pytest.mark.parametrize(("depth", "scale"), [(1, 255), (2, 85), (4, 17)])
def test_fewer_than_8_bits_are_spread_to_255(tmp_path: Path, depth: int, scale: int) -> None:
    samples = np.arange(35).reshape(7, 5) % 2**depth
    check(read_image(write_png(tmp_path / "a.png", samples, depth, GREY)), samples * scale, 8)


def test_a_palette_becomes_its_colours_and_a_grey_palette_grey(tmp_path: Path) -> None:
    indices = np.arange(35).reshape(7, 5) % 3
    colours = np.array([[255, 0, 0], [0, 128, 0], [1, 2, 3]], dtype=np.uint8)
    path = write_png(tmp_path / "c.png", indices, 8, PALETTE, png_chunk(b"PLTE", colours.tobytes()))
    check(read_image(path), colours[indices], 8)
    greys = np.array([[9, 9, 9], [200, 200, 200], [31, 31, 31], [1, 2, 3]], dtype=np.uint8)  # the last is not in use
    path = write_png(tmp_path / "g.png", indices, 8, PALETTE, png_chunk(b"PLTE", greys.tobytes()))
    check(read_image(path), greys[indices][..., 0], 8)


def test_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    for pixels, depth, kind in (
        (GREY_8, 8, GREY_ALPHA),
        (RGB_8, 8, RGB_ALPHA),
        (GREY_16, 16, GREY_ALPHA),
        (RGB_16, 16, RGB_ALPHA),
    ):
        alpha = np.full((7, 5), 2**depth - 1, dtype=pixels.dtype)
        image = read_image(write_png(tmp_path / "a.png", np.dstack([pixels, alpha]), depth, kind))
        check(image, pixels, depth)
        assert image.metadata["alpha"] == "opaque everywhere, dropped"
    alpha = np.full((7, 5), 65535, dtype=np.uint16)
    for kind in ("unassalpha", "assocalpha"):
        tifffile.imwrite(tmp_path / "a.tif", np.dstack([RGB_16, alpha]), photometric="rgb", extrasamples=[kind])
        check(read_image(tmp_path / "a.tif"), RGB_16, 16)


def test_one_pixel_that_is_not_quite_opaque_makes_the_image_unreadable(tmp_path: Path) -> None:
    for pixels, depth, kind in (
        (GREY_8, 8, GREY_ALPHA),
        (RGB_8, 8, RGB_ALPHA),
        (GREY_16, 16, GREY_ALPHA),
        (RGB_16, 16, RGB_ALPHA),
    ):
        alpha = np.full((7, 5), 2**depth - 1, dtype=pixels.dtype)
        alpha[3, 2] -= 1
        path = write_png(tmp_path / "a.png", np.dstack([pixels, alpha]), depth, kind)
        assert read_header(path).alpha == "perhaps"
        with pytest.raises(ImageError, match="what lies behind them is not known"):
            read_image(path)


@pytest.mark.parametrize("depth", [2, 4, 8, 16])
def test_a_transparent_grey_value_counts_only_where_it_occurs(tmp_path: Path, depth: int) -> None:
    samples = np.arange(35).reshape(7, 5) % (2**depth - 1)  # never the highest value
    scale = {2: 85, 4: 17}.get(depth, 1)
    path = write_png(tmp_path / "a.png", samples, depth, GREY, transparent_colour(2**depth - 1))
    check(read_image(path), samples * scale, max(depth, 8))
    with pytest.raises(ImageError, match="transparent"):
        read_image(write_png(tmp_path / "b.png", samples, depth, GREY, transparent_colour(1)))


@pytest.mark.parametrize("pixels", [RGB_8, RGB_16], ids=["8 bit", "16 bit"])
def test_a_transparent_colour_counts_only_where_it_occurs(tmp_path: Path, pixels: np.ndarray) -> None:
    depth = pixels.itemsize * 8
    check(read_image(write_png(tmp_path / "a.png", pixels, depth, RGB, transparent_colour(1, 2, 3))), pixels, depth)
    occurs = transparent_colour(*(int(sample) for sample in pixels[6, 4]))
    with pytest.raises(ImageError, match="transparent"):
        read_image(write_png(tmp_path / "b.png", pixels, depth, RGB, occurs))


def test_a_transparent_palette_entry_counts_only_where_it_occurs(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 128, 0], [1, 2, 3]], dtype=np.uint8)
    palette, alpha = png_chunk(b"PLTE", colours.tobytes()), png_chunk(b"tRNS", b"\xff\xff\x80")
    with pytest.raises(ImageError, match="transparent"):
        read_image(write_png(tmp_path / "a.png", np.arange(35).reshape(7, 5) % 3, 8, PALETTE, palette, alpha))
    unused = np.arange(35).reshape(7, 5) % 2
    check(read_image(write_png(tmp_path / "b.png", unused, 8, PALETTE, palette, alpha)), colours[unused], 8)


# Where the pixels A B C / D E F of a stored 2x3 picture lie when it is upright, by EXIF 2.3's definition: the 0th row
# is the visual top, left for 1; the top, right for 2; ...; the left, bottom for 8.
UPRIGHT = {
    1: ["ABC", "DEF"],
    2: ["CBA", "FED"],
    3: ["FED", "CBA"],
    4: ["DEF", "ABC"],
    5: ["AD", "BE", "CF"],
    6: ["DA", "EB", "FC"],
    7: ["FC", "EB", "DA"],
    8: ["CF", "BE", "AD"],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_orientation_is_applied(tmp_path: Path, orientation: int, dtype: str, channels: int) -> None:
    letters = np.array([list("ABC"), list("DEF")])
    values = {
        letter: (np.arange(channels) * 7 + 40 * i + 11) * (1 if dtype == "u1" else 250)
        for i, letter in enumerate("ABCDEF")
    }
    stored = np.array([[values[letter] for letter in row] for row in letters]).astype(dtype)
    upright = np.array([[values[letter] for letter in row] for row in UPRIGHT[orientation]]).astype(dtype)
    depth, kind = (8 if dtype == "u1" else 16), (GREY if channels == 1 else RGB)
    write_png(tmp_path / "a.png", stored, depth, kind, exif_orientation(orientation))
    photometric = "minisblack" if channels == 1 else "rgb"
    for name, compression in (("a.tif", None), ("z.tif", "zlib")):
        data = stored[..., 0] if channels == 1 else stored
        tag = [(0x0112, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / name, data, photometric=photometric, compression=compression, extratags=tag)
    paths = [tmp_path / name for name in ("a.png", "a.tif", "z.tif")]
    if depth == 8 and channels == 3:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(stored).save(tmp_path / "a.webp", lossless=True, exif=exif)
        paths.append(tmp_path / "a.webp")
    for path in paths:
        check(read_image(path), upright, depth)
        header = read_header(path)
        assert (header.height, header.width) == upright.shape[:2], path.name


def test_an_orientation_that_comes_after_the_pixels_is_applied(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", GREY_8, 8, GREY)
    data = path.read_bytes()
    path.write_bytes(data[:-12] + exif_orientation(3) + data[-12:])  # before the last chunk
    check(read_image(path), GREY_8[::-1, ::-1], 8)


def test_an_orientation_that_does_not_exist_is_ignored(tmp_path: Path) -> None:
    check(read_image(write_png(tmp_path / "a.png", GREY_8, 8, GREY, exif_orientation(9))), GREY_8, 8)


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    Image.fromarray(RGB_8).save(tmp_path / "a.png")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.png").read_bytes())
    image = read_image(tmp_path / "a.jpg")
    check(image, RGB_8, 8)
    assert image.metadata["format"] == "PNG"


def test_the_digest_is_of_shape_depth_and_pixels_only(tmp_path: Path) -> None:
    Image.fromarray(RGB_8).save(tmp_path / "a.png")
    Image.fromarray(RGB_8).save(tmp_path / "a.bmp")
    digest = hashlib.sha256(b"7x5x3:8:" + RGB_8.tobytes()).hexdigest()
    assert read_image(tmp_path / "a.png").sha256 == read_image(tmp_path / "a.bmp").sha256 == digest
    image = read_image(write_png(tmp_path / "d.png", GREY_16, 16, GREY))
    assert image.sha256 == hashlib.sha256(b"7x5x1:16:" + GREY_16.astype("<u2").tobytes()).hexdigest()


def save_frames(path: Path, form: str) -> None:
    frames = [Image.fromarray(RGB_8), Image.fromarray(RGB_8[::-1])]
    frames[0].save(path, form, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: Image.fromarray(RGB_8).convert("CMYK").save(p, "JPEG"), "CMYK"),
        (lambda p: Image.fromarray(RGB_8).convert("CMYK").save(p, "TIFF"), "CMYK"),
        (lambda p: Image.fromarray(RGB_8).convert("LAB").save(p, "TIFF"), "LAB"),
        (lambda p: tifffile.imwrite(p, GREY_8.astype("f4")), "floating-point"),
        (lambda p: tifffile.imwrite(p, GREY_16.astype("i2")), "signed"),
        (lambda p: tifffile.imwrite(p, GREY_16.astype("u4")), "32 bits per sample"),
        (lambda p: tifffile.imwrite(p, np.stack([GREY_16] * 2), photometric="minisblack"), "several pictures"),
        (lambda p: save_frames(p, "PNG"), "several pictures"),
        (lambda p: save_frames(p, "WEBP"), "several pictures"),
        (lambda p: save_frames(p, "MPO"), "several pictures"),
        (lambda p: save_frames(p, "GIF"), "a GIF picture"),
        (lambda p: p.write_bytes(b"%PDF-1.7 ..."), "a PDF document"),
        (lambda p: p.write_bytes(bytes(128) + b"DICM" + bytes(100)), "holds no picture"),
        (lambda p: p.write_bytes(b"hello"), "not a PNG, JPEG, TIFF, BMP, WebP, DICOM or NIfTI image"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.mkdir(), "a folder"),
        (lambda p: os.mkfifo(p), "a pipe"),
        (lambda p: p.symlink_to("/dev/zero"), "a device"),
        (lambda p: p.symlink_to(p.with_name("nowhere")), "no such file"),
        (lambda p: None, "no such file"),
    ],
)
def test_what_cannot_be_fed_is_refused_by_name(tmp_path: Path, make: object, reason: str) -> None:
    path = tmp_path / "x.png"
    make(path)  # type: ignore[operator]
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=reason) as caught:
            read(path)
        assert caught.value.subject == str(path)
        assert "; " in caught.value.message, "says what to do"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GREY_8).save(path)
    path.chmod(0)
    with pytest.raises(ImageError, match="may not be read"):
        read_image(path)


def test_limits_hold_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_png(tmp_path / "a.png", GREY_8, 8, GREY)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=r"7 x 5|5 x 7 = 35 pixels; at most 34"):
        decode(path.read_bytes(), path, Limits(pixels=34))
    with pytest.raises(ImageError, match=f"at most {path.stat().st_size - 1} are read"):
        read_image(path, limits=Limits(bytes=path.stat().st_size - 1))
    monkeypatch.undo()
    check(read_image(path, limits=Limits(pixels=35, bytes=path.stat().st_size)), GREY_8, 8)


@pytest.mark.parametrize("side", [9_000, 100_000])
def test_a_small_file_that_claims_many_pixels_is_refused(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, GREY, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    )
    with pytest.raises(ImageError, match="at most 64,000,000 are read"):
        read_image(path)


def files_of_every_format(folder: Path) -> list[Path]:
    Image.fromarray(RGB_8).save(folder / "a.jpg")
    Image.fromarray(RGB_8).save(folder / "a.webp", lossless=True)
    Image.fromarray(RGB_8).save(folder / "a.bmp")
    Image.fromarray(RGB_8).save(folder / "lzw.tif", compression="tiff_lzw")
    Image.fromarray(GREY_16).save(folder / "raw.tif")
    tifffile.imwrite(folder / "deep.tif", RGB_16, photometric="rgb")
    write_png(folder / "grey.png", GREY_8, 8, GREY)
    write_png(folder / "deep.png", RGB_16, 16, RGB)
    return sorted(folder.iterdir())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    for path in files_of_every_format(tmp_path):
        whole = path.read_bytes()
        cut = path.with_name("cut")
        ends_in_padding = 1 if path.suffix == ".bmp" else 0  # the last row's, which holds no pixel
        for length in range(0, len(whole) - ends_in_padding, 3):
            cut.write_bytes(whole[:length])
            with pytest.raises(ImageError):
                read_image(cut)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_flipped_bits_end_in_an_image_or_a_named_refusal(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    for path in files_of_every_format(tmp_path):
        whole = path.read_bytes()
        for _ in range(60):
            data = bytearray(whole)
            for place in draw.integers(0, min(len(data), 400), 3):
                data[place] ^= 1 << int(draw.integers(8))
            (tmp_path / "flipped").write_bytes(data)
            outcome = outcome_of(tmp_path / "flipped")
            if isinstance(outcome, MedicalImage):
                assert outcome.pixels.ndim == 3
                assert 0 <= outcome.pixels.min() <= outcome.pixels.max() < 2**outcome.bit_depth


def test_1x1_and_1x20000_images_are_read(tmp_path: Path) -> None:
    for shape in ((1, 1), (1, 20_000), (20_000, 1)):
        pixels = np.full(shape, 77, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        check(read_image(tmp_path / "a.png"), pixels, 8)
        deep = np.full((*shape, 3), 77 * 256 + 5, dtype=np.uint16)
        check(read_image(write_png(tmp_path / "b.png", deep, 16, RGB)), deep, 16)
        tifffile.imwrite(tmp_path / "b.tif", deep, photometric="rgb")
        check(read_image(tmp_path / "b.tif"), deep, 16)


def test_a_png_whose_header_is_not_first_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RGB_8).save(buffer, "PNG")
    data = buffer.getvalue()
    (tmp_path / "a.png").write_bytes(data[:8] + png_chunk(b"tEXt", b"Comment\0hello") + data[8:])
    with pytest.raises(ImageError, match="does not begin with its header"):
        read_image(tmp_path / "a.png")
