"""Sound pictures of every kind are read as Pillow decodes them, without a warning."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import damage
import numpy as np
import pytest
from damage import saved, scene
from picture_files import png_of
from picture_reading import check_sound
from PIL import Image


def jpegs() -> Iterator[bytes]:
    for number, quality in enumerate((5, 50, 75, 95, 100)):
        for options in ({}, {"optimize": True}, {"progressive": True}):
            for subsampling in (0, 1, 2):
                picture = scene(61 + 16 * number, 97, seed=number + subsampling, noise=4.0 * subsampling)
                yield saved(picture, "JPEG", quality=quality, subsampling=subsampling, **options)
            yield saved(scene(33, 40 + number, seed=number, grey=True), "JPEG", quality=quality, **options)
        for blocks in (1, 5, 100):
            yield damage.jpeg_with_restarts(scene(61, 97, seed=number), blocks, quality=quality)
            yield damage.jpeg_with_restarts(scene(61, 97, seed=number), blocks, quality=quality, progressive=True)
        for subsampling in ("411", "440"):
            yield damage.jpeg_sampled(scene(61, 97, seed=number), subsampling)
    planes = [scene(61, 96, grey=True, seed=seed) for seed in range(3)]
    yield damage.jpeg_in_separate_scans(planes, [0x11, 0x11, 0x11])
    yield damage.jpeg_in_separate_scans([planes[0], planes[1][:, :32], planes[2][:, :32]], [0x31, 0x11, 0x11])
    for height, width in ((1, 1), (1, 300), (300, 1), (8, 8), (17, 16)):
        yield saved(scene(height, width), "JPEG")
        yield saved(scene(height, width), "JPEG", progressive=True)
    for value in (0, 128, 255):  # blank: little but zeros, or ones, in its data
        for options in ({}, {"optimize": True}, {"progressive": True}):
            yield saved(np.full((900, 900, 3), value, np.uint8), "JPEG", **options)


def pngs() -> Iterator[bytes]:
    for number, mode in enumerate(("1", "L", "P", "RGB", "LA", "RGBA")):
        yield saved(np.asarray(Image.fromarray(scene(61, 97 + number)).convert(mode)), "PNG", optimize=bool(number % 2))
    yield saved(scene(61, 97, grey=True).astype(np.uint16) * 257, "PNG")
    yield saved(np.zeros((2000, 2000, 3), np.uint8), "PNG")  # much is inflated from little
    for width in range(1, 10):
        yield interlaced(scene(5, width))


def interlaced(pixels: damage.Pixels) -> bytes:
    """An interlaced PNG of RGB pixels, which Pillow cannot write."""
    height, width = pixels.shape[:2]
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + row.tobytes()
        for top, left, down, across in passes
        for row in pixels[top::down, left::across]
        if row.size
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return png_of(header, zlib.compress(rows))


def webps() -> Iterator[bytes]:
    blank = np.full((300, 400, 3), 255, np.uint8)
    blank[:50] = scene(50, 400)
    for number, quality in enumerate((0, 30, 75, 90, 100)):
        for method in (0, 4, 6):
            for picture in (scene(61 + number, 97 + method, seed=number), blank, scene(3, 5)):
                yield saved(picture, "WEBP", quality=quality, method=method)
                yield saved(picture, "WEBP", lossless=True, quality=quality, method=method)
    small = np.random.default_rng(0)
    for number in range(150):  # one length in fifty is overlooked by the decoder
        height, width = (int(side) for side in small.integers(8, 30, 2))
        picture = scene(height, width, seed=number, noise=float(number % 3) * 3)
        yield saved(picture, "WEBP", quality=number % 101)
        yield saved(picture, "WEBP", lossless=True)
    opaque = np.dstack((scene(61, 97), np.full((61, 97), 255, np.uint8)))
    yield saved(opaque, "WEBP", exif=Image.Exif().tobytes(), icc_profile=b"none")
    yield saved(opaque, "WEBP", lossless=True, exact=True)


def tiffs() -> Iterator[bytes]:
    colour, grey = scene(61, 97), scene(61, 97, grey=True)
    for compression in (None, "lzw", "zlib", "packbits", "jpeg"):
        for options in ({}, {"rowsperstrip": 16}, {"tile": (32, 48)}):
            yield damage.tiff(colour, compression=compression, **options)
            yield damage.tiff(grey, compression=compression, byteorder=">", **options)
        planes = colour.transpose(2, 0, 1)
        yield damage.tiff(planes, compression=compression, planarconfig="separate", rowsperstrip=16)
    for compression in ("lzw", "zlib"):
        yield damage.tiff(colour, compression=compression, predictor=2)
        yield damage.tiff(grey.astype(np.uint16) * 256, compression=compression, predictor=2)
        yield damage.tiff(colour.astype(np.uint16) * 256, compression=compression, rowsperstrip=7)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield saved(colour, "TIFF", compression=compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield damage.facsimile(grey, compression)
        yield damage.facsimile(np.zeros((50, 70), np.uint8), compression)
        yield damage.facsimile(np.full((50, 70), 255, np.uint8), compression)


def bmps() -> Iterator[bytes]:
    for mode in ("1", "L", "P", "RGB"):
        yield saved(np.asarray(Image.fromarray(scene(61, 97)).convert(mode)), "BMP")
    for bits, step in ((8, 32), (4, 16)):
        pixels = scene(61, 97, grey=True, noise=2) // step
        yield damage.bmp_rle(damage.runs_of(pixels), 97, bits=bits)


@pytest.mark.parametrize("make", [jpegs, pngs, webps, tiffs, bmps])
def test_sound_pictures_are_read_as_pillow_decodes_them(make: Callable[[], Iterator[bytes]]) -> None:
    for data in make():
        check_sound(data)
