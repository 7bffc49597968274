"""Damaged, cut and incomplete pictures are refused, and nothing else is called damaged.

What no decoder can tell is not asked for here: a bit or a sector of a JPEG, a lossless WebP or an LZW strip that was
replaced by others which by chance make as many pixels; and bytes of an uncompressed picture.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import damage
import imagecodecs
import numpy as np
import pytest
import tifffile
from damage import saved, scene
from picture_files import png_chunk, png_of
from picture_reading import check_sound

from engine.errors import ImageError
from engine.images.decoding.pixels import decode
from engine.images.header import Limits
from engine.images.image import read_image

Region = Callable[[bytes], tuple[int, int]]

NAME = Path("picture")


def outcome(data: bytes) -> ImageError | damage.Pixels:
    try:
        return decode(data, NAME, Limits())[0]
    except ImageError as error:
        return error


def refusal(data: bytes) -> ImageError:
    error = outcome(data)
    assert isinstance(error, ImageError)
    return error


def is_damaged(data: bytes) -> bool:
    """Whether it is refused as damaged; else it was read, without any other refusal."""
    error = outcome(data)
    if not isinstance(error, ImageError):
        return False
    assert error.code == "damaged", error.message
    assert error.message.startswith("picture: the file is damaged or incomplete (")
    return True


SECTORS = (damage.zeroed, damage.removed, damage.replaced)
ENDS = (damage.cut, damage.cut_and_closed, damage.zero_tail)


@pytest.mark.parametrize(
    ("make", "region", "kinds"),
    [
        (lambda n: saved(scene(90, 120, seed=n), "JPEG", quality=85), damage.jpeg_data, (*ENDS, *SECTORS[:2])),
        (lambda n: saved(scene(90, 120, seed=n), "JPEG", optimize=True), damage.jpeg_data, (*ENDS, *SECTORS[:2])),
        (lambda n: saved(scene(90, 120, seed=n, grey=True), "JPEG"), damage.jpeg_data, (*ENDS, damage.zeroed)),
        (lambda n: saved(scene(90, 120, seed=n), "JPEG", progressive=True), damage.jpeg_data, (*ENDS, damage.zeroed)),
        (lambda n: damage.jpeg_with_restarts(scene(90, 120, seed=n), 4), damage.jpeg_data, (*ENDS, damage.zeroed)),
        (lambda n: damage.jpeg_sampled(scene(90, 120, seed=n), "440"), damage.jpeg_data, (*ENDS, damage.zeroed)),
        (lambda n: saved(scene(90, 120, seed=n), "PNG"), damage.png_data, (*ENDS, *SECTORS, damage.flipped)),
        (lambda n: saved(scene(90, 120, seed=n), "WEBP"), damage.webp_data, (*ENDS[:2], damage.removed)),
        (lambda n: saved(scene(90, 120, seed=n), "WEBP", lossless=True), damage.webp_data, (*ENDS, damage.zeroed)),
        (lambda n: damage.tiff(scene(90, 120, seed=n), compression="lzw"), damage.tiff_data, (*ENDS, damage.zeroed)),
        (
            lambda n: damage.tiff(scene(90, 120, seed=n), compression="zlib", rowsperstrip=20),
            damage.tiff_data,
            (*ENDS, *SECTORS, damage.flipped),
        ),
        (
            lambda n: damage.tiff(scene(90, 120, seed=n), compression="packbits", tile=(32, 32)),
            damage.tiff_data,
            (*ENDS, damage.zeroed),
        ),
        (lambda n: damage.tiff(scene(90, 120, seed=n), compression="jpeg"), damage.tiff_data, (*ENDS, damage.zeroed)),
        *(
            (
                lambda n, compression=compression: damage.facsimile(scene(90, 120, seed=n, grey=True), compression),
                damage.tiff_data,
                (damage.zeroed,),
            )
            for compression in ("group3", "group4", "tiff_ccitt")
        ),
        (
            lambda n: damage.bmp_rle(damage.runs_of(scene(90, 120, seed=n, grey=True) // 32), 120),
            damage.bmp_data,
            (*ENDS, *SECTORS),
        ),
    ],
)
def test_damage_is_found_wherever_it_is(
    make: Callable[[int], bytes], region: Region, kinds: tuple[damage.Damage, ...]
) -> None:
    for number in range(4):
        sound = make(number)
        pixels = decode(sound, NAME, Limits())[0]
        for kind in kinds:
            for seed in range(6):
                data = kind(sound, *region(sound), Random(seed))
                # What was cut off or overwritten may have been mere padding.
                assert is_damaged(data) or np.array_equal(decode(data, NAME, Limits())[0], pixels), (kind, number, seed)


def test_the_long_zero_tail_of_a_webp_is_found() -> None:
    # A few zeros may be as many as the rest needs; the decoder cannot tell then.
    for number in range(20):
        sound = saved(scene(90, 120, seed=number), "WEBP", quality=80)
        begin, end = damage.webp_data(sound)
        for share in (0.2, 0.5, 0.8):
            place = int(begin + share * (end - begin))
            assert is_damaged(sound[:place] + bytes(len(sound) - place))


def test_a_jpeg_in_which_a_scan_is_missing_is_refused() -> None:
    segments = damage.jpeg_segments(saved(scene(90, 120), "JPEG", progressive=True))
    scans = [number for number, (marker, _) in enumerate(segments) if marker == 0xDA]
    assert len(scans) == 10
    for missing in scans:
        assert "scans of it are missing" in refusal(damage.jpeg_of(segments[:missing] + segments[missing + 1 :])).cause
        if missing != scans[0]:
            assert is_damaged(damage.jpeg_of(segments[:missing]))
    separate = damage.jpeg_in_separate_scans([scene(90, 120, grey=True)] * 3, [0x11] * 3)
    assert "a colour component of it is missing" in refusal(damage.jpeg_of(damage.jpeg_segments(separate)[:-1])).cause


def test_a_jpeg_of_a_rare_subsampling_may_not_end_early() -> None:
    planes = [scene(64, 96, grey=True, seed=seed) for seed in range(3)]
    sound = damage.jpeg_in_separate_scans([planes[0], planes[1][:, :32], planes[2][:, :32]], [0x31, 0x11, 0x11])
    segments = damage.jpeg_segments(sound)
    for number in (-3, -2, -1):
        marker, scan = segments[number]
        shorter = [
            *segments[:number],
            (marker, scan[: len(scan) // 2]),
            *(segments[number + 1 :] if number < -1 else []),
        ]
        assert "ends too early" in refusal(damage.jpeg_of(shorter)).cause


def test_restart_markers_that_are_missing_or_in_a_wrong_order_are_found() -> None:
    sound = damage.jpeg_with_restarts(scene(90, 120), 4)
    places = [place for place in range(len(sound) - 1) if sound[place] == 0xFF and 0xD0 <= sound[place + 1] <= 0xD7]
    for one, two in itertools.pairwise(places):
        assert is_damaged(sound[:one] + sound[two:]), "an interval is lost"
        assert is_damaged(sound[:two] + sound[one:]), "an interval is there twice"


def test_an_interval_too_long_for_a_picture_in_one_row_is_no_damage() -> None:
    check_sound(damage.jpeg_with_restarts(scene(1024, 2048, noise=0), 5000))  # of 8,192 MCUs, each 16 pixels wide


def test_bytes_around_a_jpegs_pixels_do_not_matter() -> None:
    sound = saved(scene(90, 120), "JPEG")
    whole = decode(sound, NAME, Limits())[0]
    end = len(sound) - 2
    segments = damage.jpeg_segments(sound)
    header = sound[2:20]
    for data in (
        sound + bytes(5000),
        sound + saved(scene(20, 30), "JPEG"),  # a thumbnail, or the film of a "motion photo"
        sound[:end] + b"\xff\xff" + sound[end:],  # fill bytes before a marker
        sound[:end] + b"\0\0" + sound[end:],  # filled up to a whole word
        sound[:end] + b"\xff\xd0" + sound[end:],  # a restart marker after the last interval
        sound[:2] + header + b"\xff\xfe\x00\x06what" + sound[20:],
        damage.jpeg_of([*segments[:-1], (0xDA, segments[-1][1][:11] + b"\0\0\0" + segments[-1][1][14:])]),
    ):
        np.testing.assert_array_equal(decode(data, NAME, Limits())[0], whole)


def test_a_jpeg_with_pixels_left_over_is_refused() -> None:
    sound = saved(scene(90, 120), "JPEG")
    assert is_damaged(sound[:-2] + b"\x12\x34\x56" + sound[-2:])
    start = sound.index(b"\xff\xc0") + 5
    assert is_damaged(sound[:start] + struct.pack(">HH", 90, 100) + sound[start + 4 :]), "a narrower header"
    assert is_damaged(sound[:start] + struct.pack(">HH", 120, 120) + sound[start + 4 :]), "a higher one"


def test_a_pngs_chunks_are_checked_where_pixels_depend_on_them() -> None:
    sound = saved(scene(90, 120), "PNG", compress_level=1)
    pixels = decode(sound, NAME, Limits())[0]
    header = sound[16:29]
    rows = b"".join(b"\0" + row.tobytes() for row in scene(90, 120))
    wrong_sum = zlib.compress(rows)[:-1] + b"\0"
    for data, reason in (
        (sound[:-1], "its end is missing"),
        (sound[:-20], "ends within a chunk IDAT"),
        (sound[:-12], "its end is missing"),
        (png_of(header, zlib.compress(rows[:-1])), ""),
        (png_of(header, zlib.compress(rows + rows[:361])), "more pixels are compressed"),
        (png_of(header, wrong_sum), ""),
        (png_of(header, zlib.compress(rows)[:-4]), ""),
        (sound[:-16] + b"\0\0\0\0" + sound[-12:], "checksum of a chunk IDAT"),
    ):
        assert reason in refusal(data).cause
        assert is_damaged(data)
    bad_text = png_chunk(b"tEXt", b"Title\0x")[:-1] + b"?"
    for data in (sound + bytes(100_000), sound[:-12] + bad_text + sound[-12:]):
        np.testing.assert_array_equal(decode(data, NAME, Limits())[0], pixels)


def test_a_webps_lengths_must_fit() -> None:
    sound = saved(scene(90, 120), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    pixels = decode(sound, NAME, Limits())[0]
    np.testing.assert_array_equal(decode(sound + bytes(999), NAME, Limits())[0], pixels)
    longer = struct.pack("<I", len(sound) + 500)
    assert is_damaged(sound[:4] + longer + sound[8:]), "a part of the file is missing, whatever it was"


def tags_changed(data: bytes, **changes: object) -> bytes:
    """A TIFF in which tags have other values of the same length."""
    file = io.BytesIO(data)
    with tifffile.TiffFile(file, mode="r+") as tiff:
        for name, value in changes.items():
            tiff.pages.first.tags[name].overwrite(value)
    return file.getvalue()


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "jpeg"])
@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("StripOffsets", "StripByteCounts"), {"rowsperstrip": 16}),
        (("TileOffsets", "TileByteCounts"), {"tile": (32, 32)}),
    ],
)
def test_a_tiffs_strips_and_tiles_must_be_there(
    compression: str | None, names: tuple[str, str], options: dict[str, object]
) -> None:
    sound = damage.tiff(scene(90, 120), compression=compression, **options)
    with tifffile.TiffFile(io.BytesIO(sound)) as file:
        offsets, lengths = (list(file.pages.first.tags[name].value) for name in names)
    for number in (0, 2, len(offsets) - 1):
        for reason, offset, length in (
            ("is missing", 0, 0),
            ("is missing", 0, lengths[number]),
            ("is missing", offsets[number], 0),
            ("", len(sound) + 10, lengths[number]),
            ("", offsets[number], lengths[number] // 2),
            ("", offsets[number - 1], lengths[number - 1]),  # another one's data
            ("", offsets[number - 1] + 5, lengths[number]),
        ):
            at = [*offsets[:number], offset, *offsets[number + 1 :]]
            long = [*lengths[:number], length, *lengths[number + 1 :]]
            data = tags_changed(sound, **{names[0]: at, names[1]: long})
            assert is_damaged(data), (number, reason, offset, length)
            if compression is None:  # else it is mostly Pillow's libtiff that fails, without a reason
                assert reason in refusal(data).cause
    if compression is None:  # some programs write the length of a full strip for the last one
        more = [*lengths[:-1], lengths[-1] + 1000]
        check_sound(tags_changed(sound, **{names[1]: more}))


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd", "lzma"])
def test_a_tiffs_last_strip_may_be_filled_up_but_hold_no_more(compression: str) -> None:
    full = damage.tiff(scene(64, 120), compression=compression, rowsperstrip=32)
    check_sound(tags_changed(full, ImageLength=48))
    assert is_damaged(tags_changed(full, ImageLength=30, RowsPerStrip=30))
    assert is_damaged(tags_changed(full, ImageLength=96, RowsPerStrip=48))


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
def test_a_tiff_may_store_the_bits_of_each_byte_the_other_way_round(compression: str | None) -> None:
    pixels = scene(90, 120)
    turned = bytearray(damage.tiff(pixels, compression=compression, rowsperstrip=32, resolutionunit=2))
    with tifffile.TiffFile(io.BytesIO(turned)) as file:
        page = file.pages.first
        for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
            turned[start : start + length] = imagecodecs.bitorder_encode(bytes(turned[start : start + length]))
    resolution_unit, fill_order = struct.pack("<HHIHH", 296, 3, 1, 2, 0), struct.pack("<HHIHH", 266, 3, 1, 2, 0)
    data = bytes(turned).replace(resolution_unit, fill_order)
    np.testing.assert_array_equal(decode(data, NAME, Limits())[0], pixels)
    if compression is not None:
        assert is_damaged(bytes(turned)), "without a word on the order"


def test_equal_blank_strips_may_share_their_data() -> None:
    blank = np.full((64, 120, 3), 255, np.uint8)
    for compression in (None, "zlib"):
        sound = damage.tiff(blank, compression=compression, rowsperstrip=16)
        with tifffile.TiffFile(io.BytesIO(sound)) as file:
            offsets = file.pages.first.dataoffsets
        check_sound(tags_changed(sound, StripOffsets=[offsets[0]] * 4))


ROW = [(3, 7), (0, 1, 2, 3), (2, 9)]  # eight pixels


@pytest.mark.parametrize("bits", [8, 4])
def test_a_bmps_runs_must_fill_each_row_and_no_more(bits: int) -> None:
    check_sound(damage.bmp_rle([ROW, [(8, 1)], ROW], 8, bits=bits))
    for reason, rows, tail in (
        ("run past its edge", [ROW, [(9, 1)]], b"\0\1"),
        ("run past its edge", [ROW, [*ROW, (0, 1, 2, 3)]], b"\0\1"),
        ("do not fill it", [ROW, [(7, 1)]], b"\0\1"),
        ("do not fill it", [ROW, []], b"\0\1"),
        ("do not fill it", [ROW, [(3, 1)]], b"\0\2\5\0\0\1"),
        ("end too early", [ROW, ROW], b""),
        ("end too early", [ROW, ROW], b"\0"),
        ("run past its edge", [ROW, ROW], b"\1\1\0\1"),
        ("end too early", [ROW, [(3, 7)]], b"\0\5\1\2"),
    ):
        data = damage.bmp_rle(rows, 8, bits=bits, tail=tail)
        assert is_damaged(data), (reason, rows)


def test_an_uncompressed_bmp_must_have_all_of_its_pixels_and_may_be_wrong_about_its_length() -> None:
    sound = saved(scene(30, 41), "BMP")
    check_sound(sound[:2] + bytes(4) + sound[6:])
    check_sound(sound + bytes(77))
    assert is_damaged(sound[:-1])
    assert is_damaged(sound[:10] + struct.pack("<I", 20) + sound[14:])


def test_the_decoding_process_refuses_it_too_with_cause_and_remedy(tmp_path: Path) -> None:
    sound = saved(scene(90, 120), "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(sound)
    assert read_image(path).warnings == ()
    path.write_bytes(sound[: len(sound) // 2] + b"\xff\xd9")
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert caught.value.code == "damaged"
    assert str(caught.value) == (
        f"{path}: the file is damaged or incomplete (its compressed data ends too early); export the image again"
    )
