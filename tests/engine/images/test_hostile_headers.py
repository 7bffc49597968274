"""A header that costs much time or memory is given up after a moment, in the process apart."""

from __future__ import annotations

import os
import resource
import struct
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from picture_files import png_chunk
from PIL import Image

from engine.errors import ImageError
from engine.images.decoding import decoding_process, pool
from engine.images.decoding.deadline import Deadline
from engine.images.decoding.fetched import MOST, PIECE, FetchedFile
from engine.images.header import Limits
from engine.images.image import read_header, read_image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processor time")

QUICK = Limits(header_seconds=0.25)


def saved(folder: Path, name: str, **options: object) -> bytes:
    path = folder / f"sound-{name}"
    Image.new("RGB", (64, 48), "teal").save(path, **options)
    return path.read_bytes()


def png_of_chunks(folder: Path) -> bytes:
    png = saved(folder, "a.png")
    return png[:33] + png_chunk(b"teSt", b"") * 1_000_000 + png[33:]


def png_of_texts(folder: Path) -> bytes:
    png = saved(folder, "a.png")
    return png[:33] + png_chunk(b"tEXt", b"a\0b") * 800_000 + png[33:]


def png_that_animates(folder: Path) -> bytes:
    png = saved(folder, "a.png")
    return png[:33] + png_chunk(b"gAMA", bytes(4)) * 800_000 + png_chunk(b"acTL", bytes(8)) + png[33:]


def jpeg_of(piece: bytes, count: int) -> Callable[[Path], bytes]:
    def made(folder: Path) -> bytes:
        jpeg = saved(folder, "a.jpg")
        return jpeg[:2] + piece * count + jpeg[2:]

    return made


def tiff_of_pages(folder: Path) -> bytes:
    tags = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1))
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    length = 2 + len(entries) + 4
    pages = (struct.pack("<H", 9) + entries + struct.pack("<I", 8 + length * (page + 1)) for page in range(100_000))
    return b"II*\0" + struct.pack("<I", 8) + b"".join(pages)


def tiff_of_tags(folder: Path) -> bytes:
    tiff = saved(folder, "a.tif")
    place = struct.unpack("<I", tiff[4:8])[0]
    count = struct.unpack_from("<H", tiff, place)[0]
    table = tiff[place + 2 : place + 2 + 12 * count]
    more = b"".join(struct.pack("<HHII", 40_000 + number, 1, 1 << 20, 8) for number in range(20_000))
    more += struct.pack("<HHII", 270, 2, 1 << 30, 8) + struct.pack("<HHII", 700, 12, 1 << 17, 8)
    begin = len(tiff)
    entries = struct.pack("<H", count + 20_002) + table + more + bytes(4)
    return tiff[:4] + struct.pack("<I", begin) + tiff[8:] + entries + bytes(1 << 21)


def webp_of_chunks(folder: Path) -> bytes:
    webp = saved(folder, "a.webp", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    body = webp[12:30] + (b"teSt" + bytes(4)) * 2_000_000 + webp[30:]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def bmp_of_colours(folder: Path) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, 64, 64, 1, 8, 0, 0, 0, 0, 2**31 - 1, 0)
    return struct.pack("<2sIHHI", b"BM", 0, 0, 0, 54) + info + bytes(20_000_000)


HOSTILE = {
    "chunks.png": png_of_chunks,
    "texts.png": png_of_texts,
    "animated.png": png_that_animates,
    "fill-bytes.jpg": jpeg_of(b"\xff", 12_000_000),
    "markers.jpg": jpeg_of(b"\xff\xd0", 6_000_000),
    "comments.jpg": jpeg_of(b"\xff\xfe\0\2", 3_000_000),
    "tables.jpg": jpeg_of(b"\xff\xdb\0\2", 3_000_000),
    "profiles.jpg": jpeg_of(b"\xff\xe2\0\x10ICC_PROFILE\0\1\1", 700_000),
    "exif.jpg": jpeg_of(b"\xff\xe1\0\x10Exif\0\0II*\0\x08\0\0\0", 700_000),
    "pages.tif": tiff_of_pages,
    "tags.tif": tiff_of_tags,
    "chunks.webp": webp_of_chunks,
    "colours.bmp": bmp_of_colours,
}


@pytest.fixture
def processor(tmp_path: Path) -> Iterator[Callable[[], float]]:
    """Seconds of processor time that this process and the decoding ones have taken, without their start."""

    def spent() -> float:
        pool.end_all()
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    Image.new("RGB", (5, 4)).save(tmp_path / "first.png")
    begin = spent()
    read_header(tmp_path / "first.png")
    start = spent() - begin
    before = spent()
    yield lambda: spent() - before - start
    pool.end_all()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_costs_a_moment_and_this_process_no_memory(
    name: str, tmp_path: Path, processor: Callable[[], float]
) -> None:
    path = tmp_path / name
    path.write_bytes(HOSTILE[name](tmp_path))
    took = processor()
    tracemalloc.start()
    said = ""
    try:
        read_header(path, limits=QUICK)
    except ImageError as error:
        said = error.cause
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    took = processor() - took
    assert took < 1.2, f"{took:.2f} s for {said!r}"
    assert most < 4 * MOST, f"{most:,} bytes"


@pytest.mark.parametrize("name", ["chunks.png", "fill-bytes.jpg", "pages.tif"])
def test_a_hostile_header_is_refused_for_the_same_reason_with_and_without_its_pixels(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(HOSTILE[name](tmp_path))
    said = []
    for read in (read_header, read_image):
        with pytest.raises(ImageError) as caught:
            read(path, limits=QUICK)
        said.append((caught.value.code, caught.value.message))
    assert said[0] == said[1]
    assert said[0][0] == ("stack" if name == "pages.tif" else "too-slow")


def test_of_a_large_file_only_the_pieces_that_are_needed_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.tif"
    Image.new("RGB", (4000, 3000), "teal").save(path)
    read: list[int] = []
    whole = decoding_process.read_piece

    def counted(*arguments: object) -> bytes:
        piece = whole(*arguments)  # type: ignore[arg-type]
        read.append(len(piece))
        return piece

    monkeypatch.setattr(decoding_process, "read_piece", counted)
    assert read_header(path).width == 4000
    assert sum(read) <= 6 * PIECE
    assert path.stat().st_size > 30_000_000


def test_a_file_that_the_system_cannot_read_is_refused_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    Image.effect_noise((400, 300), 50).save(path, compression="tiff_lzw")  # its directory comes last
    good = read_header(path)
    process = pool._idle[-1]
    whole = os.fdopen

    class Failing:
        """A file on a disk that breaks after the first piece."""

        allowed = 0

        def __init__(self, descriptor: int, *_: object, **__: object) -> None:
            self.file = whole(descriptor, "rb", buffering=0)
            self.reads = 0

        def __enter__(self) -> Failing:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def seek(self, place: int) -> None:
            self.file.seek(place)

        def read(self, length: int) -> bytes:
            self.reads += 1
            if self.reads > Failing.allowed:
                raise OSError(5, "Input/output error")
            return self.file.read(length)

    monkeypatch.setattr("engine.images.image.os.fdopen", Failing)
    for Failing.allowed in (0, 1):
        with pytest.raises(ImageError, match="it cannot be read: input/output error"):
            read_header(path)
    monkeypatch.undo()
    assert read_header(path) == good
    assert pool._idle[-1] is process


def test_a_slow_network_is_not_taken_for_a_slow_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    Image.effect_noise((400, 300), 50).save(path, compression="tiff_lzw")  # its directory comes last
    good = read_header(path)
    whole = decoding_process.read_piece

    def slow(file: BinaryIO, place: int, length: int) -> bytes:
        if place:
            time.sleep(1.5)
        return whole(file, place, length)

    monkeypatch.setattr(decoding_process, "read_piece", slow)
    monkeypatch.setattr(decoding_process, "_CLOCK_MORE", 1.0)
    assert read_header(path, limits=Limits(header_seconds=0.1)) == good


def test_a_deadline_goes_on_after_a_pause() -> None:
    killed = threading.Event()

    class Process:
        kill = staticmethod(killed.set)

    deadline = Deadline(Process())  # type: ignore[arg-type]  # all that it asks of one
    with deadline.within(0.4):
        with deadline.paused():
            assert not killed.wait(0.8)
        assert killed.wait(10)
    assert deadline.missed
    deadline.end()


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE, 2 * MOST + 5])
def test_a_file_that_is_fetched_reads_like_one_that_is_there(size: int) -> None:
    import io
    import random

    draw = random.Random(size)
    content = draw.randbytes(size)
    longest: list[int] = []

    def fetch(place: int, length: int) -> bytes:
        longest.append(length)
        return content[place : place + length]

    there, fetched = io.BytesIO(content), FetchedFile(size, content[:PIECE], fetch)
    for _ in range(300):
        match draw.randrange(4):
            case 0:
                place = draw.randrange(size + 10)
                assert there.seek(place) == fetched.seek(place)
            case 1:
                step = draw.randrange(-PIECE, PIECE)
                assert there.seek(step, draw.choice((1, 1, 2))) >= 0
                fetched.seek(there.tell())
            case 2:
                length = draw.choice((1, 2, 4, 100, PIECE, 2 * PIECE))
                assert there.read(length) == fetched.read(length)
            case _:
                length = draw.choice((3, 7, -1, None) if draw.random() < 0.1 else (3, 7))
                assert there.read(length) == fetched.read(length)
        assert there.tell() == fetched.tell()
    assert max(longest, default=0) <= MOST


def test_a_file_that_is_fetched_ends_where_it_was_cut_meanwhile_and_refuses_impossible_places() -> None:
    cut = FetchedFile(100_000, b"start", lambda place, length: b"xy"[place - 5 : place - 5 + length])
    assert cut.read() == b"startxy"
    assert cut.read() == b""
    with pytest.raises(ValueError, match="negative"):
        cut.seek(-1)
    with pytest.raises(OverflowError):
        cut.seek(sys.maxsize + 1)
