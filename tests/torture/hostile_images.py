"""Picture files that nobody would wish for: cut, flipped, odd, mislabelled, and small ones that claim or cost a lot."""

from __future__ import annotations

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from picture_files import GREY, PALETTE, RGB, exif_orientation, png_chunk, write_png
from PIL import Image

HEIGHT, WIDTH = 20, 30


def samples(folder: Path) -> dict[str, bytes]:
    """A small whole file of every kind that is read, by name."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rgb = np.stack([y * 11, x * 7, (y * x) % 256], axis=2).astype(np.uint8)
    deep = rgb.astype(np.uint16) * 257 + 3
    picture, grey = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])

    def saved(image: Image.Image, form: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        return buffer.getvalue()

    def tiff(array: np.ndarray, **options: object) -> bytes:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)  # type: ignore[arg-type]
        return buffer.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    path = folder / "sample"
    return {
        "rgb.png": saved(picture, "PNG"),
        "grey.png": saved(grey, "PNG"),
        "palette.png": saved(picture.quantize(16), "PNG"),
        "turned.png": write_png(path, rgb, 8, RGB, exif_orientation(6)).read_bytes(),
        "deep.png": write_png(path, deep, 16, RGB).read_bytes(),
        "deep-grey.png": write_png(path, deep[..., 0], 16, GREY).read_bytes(),
        "baseline.jpg": saved(picture, "JPEG", exif=exif),
        "progressive.jpg": saved(picture, "JPEG", progressive=True),
        "grey.jpg": saved(grey, "JPEG"),
        "lossy.webp": saved(picture, "WEBP"),
        "lossless.webp": saved(picture, "WEBP", lossless=True, exif=exif),
        "rgb.bmp": saved(picture, "BMP"),
        "palette.bmp": saved(picture.quantize(16), "BMP"),
        "raw.tif": saved(picture, "TIFF"),
        "lzw.tif": saved(picture, "TIFF", compression="tiff_lzw"),
        "deflate.tif": saved(picture, "TIFF", compression="tiff_adobe_deflate"),
        "packbits.tif": saved(grey, "TIFF", compression="packbits"),
        "jpeg.tif": saved(picture, "TIFF", compression="jpeg"),
        "fax.tif": saved(grey.convert("1"), "TIFF", compression="group4"),
        "deep.tif": tiff(deep, photometric="rgb"),
        "deep-deflate.tif": tiff(deep, photometric="rgb", compression="zlib"),
        "big.tif": tiff(rgb, photometric="rgb", bigtiff=True),
    }


def cut(whole: dict[str, bytes], step: int) -> Iterator[tuple[str, bytes]]:
    """Every file, ended after every `step` bytes."""
    for name, data in whole.items():
        for length in range(0, len(data), step):
            yield name, data[:length]


def flipped(whole: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Every file `count` times with one to eight bits turned over, mostly near the beginning."""
    draw = random.Random(seed)
    for name, data in whole.items():
        for _ in range(count):
            damaged = bytearray(data)
            for _ in range(draw.choice((1, 1, 2, 3, 8))):
                damaged[draw.randrange(min(draw.choice((40, 200, len(data))), len(data)))] ^= 1 << draw.randrange(8)
            yield name, bytes(damaged)


def mislabelled(whole: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Every file under every other suffix."""
    for name, data in whole.items():
        for suffix in (".png", ".jpg", ".tif", ".bmp", ".webp", ".dcm", ".txt", ""):
            if not name.endswith(suffix) or not suffix:
                yield f"{name}{suffix}", data


def odd(folder: Path) -> Iterator[Path]:
    """Things that are called like pictures, and pictures of kinds, shapes and colours that are rare."""
    folder.mkdir()

    def at(name: str) -> Path:
        return folder / name

    at("folder.png").mkdir()
    os.mkfifo(at("pipe.png"))
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(folder)  # a socket's name may have a hundred bytes only
        bound.bind("socket.png")
        os.chdir(here)
    at("device.png").symlink_to("/dev/zero")
    at("nowhere.png").symlink_to("there-is-no-such-file")
    at("loop.png").symlink_to("loop.png")
    at("empty.png").touch()
    at("text.png").write_text("hello", encoding="ascii")
    at("zeros.png").write_bytes(bytes(1000))
    at("noise.png").write_bytes(random.Random(1).randbytes(5000))
    at("volume.dcm").write_bytes(bytes(128) + b"DICM" + bytes(200))
    if os.geteuid() != 0:
        Image.new("L", (9, 9)).save(at("unreadable.png"))
        at("unreadable.png").chmod(0)
    for size in ((1, 1), (20_000, 1), (1, 20_000)):
        Image.new("RGB", size, (9, 200, 40)).save(at(f"{size[0]}x{size[1]}.png"))
        Image.new("L", size, 77).save(at(f"{size[0]}x{size[1]}.tif"))
    rgb = Image.fromarray(np.arange(48 * 48 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 48, 3))
    rgb.convert("CMYK").save(at("cmyk.jpg"))
    rgb.convert("CMYK").save(at("cmyk.tif"))
    rgb.convert("LAB").save(at("lab.tif"))
    rgb.convert("YCbCr").save(at("ycbcr.tif"), compression="jpeg")
    rgb.save(at("picture.gif"))
    rgb.save(at("picture.jp2.png"), "JPEG2000")
    rgb.save(at("icon.png"), "ICO")
    frames = [rgb, rgb.rotate(90)]
    for name, form in (("a.png", "PNG"), ("a.webp", "WEBP"), ("a.gif", "GIF"), ("a.jpg", "MPO"), ("a.tif", "TIFF")):
        first, second = (frame.copy() for frame in frames)  # Pillow leaves one format's options on what it saved
        first.save(at(f"animated-{name}"), form, save_all=True, append_images=[second])
    alpha = rgb.convert("RGBA")
    alpha.save(at("opaque-alpha.png"))
    alpha.putalpha(100)
    alpha.save(at("alpha.png"))
    alpha.save(at("alpha.webp"), lossless=True)
    rgb.quantize(4).save(at("palette-alpha.png"), transparency=0)
    rgb.quantize(4).save(at("palette-bytes-alpha.png"), transparency=bytes([0, 255, 128, 255]))
    indices = np.full((9, 9), 200)  # beyond a palette of two colours
    write_png(at("short-palette.png"), indices, 8, PALETTE, png_chunk(b"PLTE", bytes(6)))
    for kind in ("f4", "f8", "i2", "i4", "u4", "f2", "c8"):
        tifffile.imwrite(at(f"{kind}.tif"), np.ones((9, 9), dtype=kind))
    tifffile.imwrite(at("planar.tif"), np.ones((3, 9, 9), np.uint16), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(at("tiled.tif"), np.ones((64, 64, 3), np.uint16), photometric="rgb", tile=(16, 16))
    tifffile.imwrite(at("five-channels.tif"), np.ones((9, 9, 5), np.uint8), photometric="rgb")
    yield from sorted(folder.iterdir())


def bombs(size: int) -> Iterator[tuple[str, bytes]]:
    """Files that claim many pixels, hold far more than they say, or keep a decoder busy.

    Args:
        size: 1 makes them large enough to be met by every limit; smaller numbers are for tests.
    """
    many = max(1, int(20_000 * size))
    for side in (8_100, 30_000, 2**31 - 1):
        header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, GREY, 0, 0, 0))
        pixels = zlib.compress(bytes(1 << 20), 9)
        yield f"claim-{side}.png", b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    small = io.BytesIO()
    Image.new("RGB", (64, 64)).save(small, "PNG")
    png = small.getvalue()
    inflated = zlib.compress(bytes(round(size * (1 << 28)) + (1 << 24)), 9)
    for name, content in (
        (b"zTXt", b"a\0\0" + inflated),
        (b"iTXt", b"a\0\1\0\0\0" + inflated),
        (b"iCCP", b"a\0\0" + inflated),
        (b"eXIf", b"II*\0" + struct.pack("<IH", 8, 65535) + struct.pack("<HHII", 700, 7, 1 << 20, 8) * 65535),
    ):
        yield f"{name.decode()}.png", png[:33] + png_chunk(name, content) + png[33:]
    yield "texts.png", png[:33] + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 19), 9)) * 300 + png[33:]
    yield "chunks.png", png[:33] + png_chunk(b"teSt", b"") * many * 100 + png[33:]
    tiny = [png_chunk(b"IDAT", bytes([byte])) for byte in zlib.compress(bytes(8000 * 1001), 0)[: many * 5]]
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 1000, 8, GREY, 0, 0, 0))
    yield "dribble.png", b"\x89PNG\r\n\x1a\n" + header + b"".join(tiny) + png_chunk(b"IEND", b"")

    scans = io.BytesIO()
    Image.new("L", (8000, 7900), 128).save(scans, "JPEG", progressive=True)
    jpeg = scans.getvalue()
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    yield "scans.jpg", jpeg[:-2] + last * many + jpeg[-2:]
    app = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 5000) + struct.pack("<HHII", 700, 7, 60_000, 8) * 5000
    small = io.BytesIO()
    Image.new("RGB", (64, 64)).save(small, "JPEG")
    jpeg = small.getvalue()
    yield "exif.jpg", jpeg[:2] + (b"\xff\xe1" + struct.pack(">H", len(app) + 2) + app) * 100 + jpeg[2:]
    jpeg = bytearray(jpeg)
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 65535, 65535)
    yield "claim.jpg", bytes(jpeg)

    for bits, marker in ((16, "deflate-16.tif"), (8, "deflate-8.tif")):
        tiff = io.BytesIO()
        array = np.zeros((8, 8, 3), np.uint16 if bits == 16 else np.uint8)
        tifffile.imwrite(tiff, array, photometric="rgb", compression="zlib")
        tiff.seek(0)
        with tifffile.TiffFile(tiff) as file:
            tags = file.pages.first.tags
            places = tags["StripOffsets"].valueoffset, tags["StripByteCounts"].valueoffset
        data = bytearray(tiff.getvalue())
        struct.pack_into("<I", data, places[0], len(data))
        struct.pack_into("<I", data, places[1], len(inflated))
        yield marker, bytes(data) + inflated
    yield "pages.tif", _chain_of_pages(many)
    yield "loop.tif", b"II*\0" + struct.pack("<IHI", 8, 0, 8)
    entry = struct.pack("<HHII", 700, 7, 1 << 20, 8)
    yield "tags.tif", b"II*\0" + struct.pack("<IH", 8, 65535) + entry * 65535 + bytes(1 << 20)
    for side in (70_000, 2**31 - 1):
        yield f"claim-{side}.tif", _grey_tiff(side, side)
    yield "strips.tif", _grey_tiff(1, 60_000_000, rows_per_strip=1, strips=max(1000, int(8_000_000 * size)))

    bmp = struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54 + 1024)
    for side in (8_000, 60_000):
        info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0)
        yield f"runs-{side}.bmp", bmp + info + bytes(1024) + b"\x01\x05" * many * 100
    webp = io.BytesIO()
    Image.new("RGB", (64, 64)).save(webp, "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    data = bytearray(webp.getvalue())
    data[24:30] = (16_382).to_bytes(3, "little") * 2
    yield "claim.webp", bytes(data)


def _chain_of_pages(count: int) -> bytes:
    """A TIFF of `count` pages of one pixel, all of which are the same pixel."""
    tags = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1))
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    length = 2 + len(entries) + 4
    pages = (
        struct.pack("<H", len(tags)) + entries + struct.pack("<I", 8 + length * (page + 1) if page + 1 < count else 0)
        for page in range(count)
    )
    return b"II*\0" + struct.pack("<I", 8) + b"".join(pages)


def _grey_tiff(width: int, height: int, *, rows_per_strip: int | None = None, strips: int = 1) -> bytes:
    rows = rows_per_strip or min(height, 2**31 - 1)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    place = 8 + 2 + 12 * 9 + 4
    tags += [(273, 4, strips, place if strips > 1 else 8), (278, 4, 1, rows), (279, 4, strips, place)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, 9) + entries + struct.pack("<I", 0) + bytes(4 * strips)
