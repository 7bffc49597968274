"""Pictures that mean harm: each is shown or refused with a reason, in bounded time and memory."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tifffile
from torture import hostile_images
from torture.images import corpus, try_files

from engine.errors import ImageError
from engine.images.decoding.budget import TooMuchWorkError, WatchedFile
from engine.images.decoding.tiff_tags import read_tags
from engine.images.header import Limits
from engine.images.image import read_header, read_image


def test_every_file_of_a_hostile_corpus_is_shown_or_refused_with_a_named_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = try_files(corpus(tmp_path, 0.02, seed=1), limit=0.3)
    with capsys.disabled():
        tried = sum(counts.shown.values()) + sum(reasons.total() for reasons in counts.refused.values())
        print(f"[{sum(counts.shown.values())} of {tried} hostile pictures shown, the others refused]", end=" ")
    assert counts.faults == []
    assert counts.shown["whole"] == 22
    assert counts.refused["whole"].total() == 0
    assert counts.refused["cut short"].total() > 300
    assert counts.shown["cut short"] <= 4  # without last bytes that hold no pixel
    assert counts.refused["bombs"].total() >= 15
    assert counts.shown["pydicom's test files"] > 80
    assert counts.refused["pydicom's test files"].total() > 90
    assert counts.shown["installed packages"] > 20
    assert {"this is a folder, not a file", "this is a pipe, not a regular file"} <= set(counts.refused["odd"])


def bomb(name: str, folder: Path, size: float) -> Path:
    content = next(content for other, content in hostile_images.bombs(size) if other == name)
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize(("name", "limit"), [("scans.jpg", 0.3), ("dribble.png", 0.02)])
def test_a_file_that_keeps_its_decoder_busy_is_given_up_in_time(name: str, limit: float, tmp_path: Path) -> None:
    path = bomb(name, tmp_path, 0.5)
    assert path.stat().st_size < 15_000_000
    begin = time.thread_time()
    with pytest.raises(ImageError, match=rf"decoding it takes longer than {limit} s; save it again"):
        read_image(path, limits=Limits(seconds=limit))
    assert time.thread_time() - begin < 3.0


def test_a_small_file_of_16_bit_pixels_does_not_inflate_beyond_its_picture(tmp_path: Path) -> None:
    path = bomb("deflate-16.tif", tmp_path, 0.01)
    read_header(path)
    with pytest.raises(ImageError, match="more pixels are compressed in it than it has"):
        read_image(path)


def test_a_decoder_that_takes_too_long_or_reads_too_much_is_stopped_at_its_next_read() -> None:
    file = WatchedFile(io.BytesIO(bytes(100)), 100, seconds=60.0)
    assert (file.read(10), file.tell(), file.seek(0)) == (bytes(10), 10, 0)

    def read_for_ever() -> None:
        while True:
            file.seek(0)
            file.read()

    with pytest.raises(TooMuchWorkError, match="again and again"):
        read_for_ever()
    late = WatchedFile(io.BytesIO(bytes(100)), 100, seconds=0.0)
    for _ in range(2):  # a decoder that swallows the first one meets the next
        with pytest.raises(TooMuchWorkError, match="takes longer than 0 s"):
            late.read(1)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_cut_into_countless_pieces_is_refused_before_they_are_listed(
    big: bool, order: Literal["<", ">"], tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    for rows in (1, 4):
        pixels = np.zeros((40, 5), np.uint8)
        tifffile.imwrite(path, pixels, photometric="minisblack", rowsperstrip=rows, bigtiff=big, byteorder=order)
        with path.open("rb") as file:
            tags = read_tags(file)
            assert tags is not None
            assert (tags.strips, file.tell()) == (40 // rows, 0)
    if not big:  # Pillow does not read every BigTIFF
        assert read_image(path).height == 40
    path.write_bytes(b"II+\0\x08\0\0\0" + b"\xff" * 8)  # a directory that lies beyond all files
    with pytest.raises(ImageError, match="damaged"):
        read_header(path)
    path = bomb("strips.tif", tmp_path, 0.05)
    with pytest.raises(ImageError, match="cut into more than 250,000 pieces; export the image as PNG"):
        read_header(path)
