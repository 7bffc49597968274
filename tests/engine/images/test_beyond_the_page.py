"""What a TIFF holds beyond its first page: slices, channels, palettes and planes, refused by name or read right."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from picture_reading import change_tag, refused, sound
from PIL import Image

from engine.errors import ImageError
from engine.images.image import read_header, read_image

DRAWN = np.random.default_rng(11)
GREY_8 = DRAWN.integers(0, 256, (40, 30), dtype=np.uint8)
RGB_8 = DRAWN.integers(0, 256, (40, 30, 3), dtype=np.uint8)
RGB_16 = DRAWN.integers(0, 65536, (40, 30, 3), dtype=np.uint16)
STACK = np.stack([GREY_8, GREY_8[::-1], GREY_8 // 2])


def one_page(path: Path, description: str, slices: int = 3) -> Path:
    """A TIFF of one page with this description; further slices lie behind its pixels, as ImageJ writes them."""
    tifffile.imwrite(path, GREY_8, description=description, metadata=None)
    path.write_bytes(path.read_bytes() + STACK[1:slices].tobytes())
    return path


@pytest.mark.parametrize(
    "description",
    [
        "ImageJ=1.54f\nimages=3\nslices=3\nloop=false\n",
        "ImageJ=1.54f\nimages=3\nframes=3\n",
        "ImageJ=1.54f\r\nchannels=3\r\nmode=composite\r\n",
        '{"shape": [3, 40, 30]}',
        '{"shape": [1, 3, 1, 40, 30, 1], "axes": "TZCYXS"}',
        "shape=(3, 40, 30)",
    ],
)
def test_slices_behind_one_page_are_refused_as_a_stack(tmp_path: Path, description: str) -> None:
    refused(one_page(tmp_path / "a.tif", description), "stack", "several pictures")


def test_a_stack_that_tifffile_writes_into_one_page_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, truncate=True, photometric="minisblack")
    refused(tmp_path / "a.tif", "stack", "3 behind one page")
    colours = np.stack([RGB_16, RGB_16[::-1]])
    tifffile.imwrite(tmp_path / "b.tif", colours, truncate=True, photometric="rgb")
    refused(tmp_path / "b.tif", "stack", "2 behind one page")


def test_a_volume_in_one_page_is_refused(tmp_path: Path) -> None:
    volume = DRAWN.integers(0, 256, (16, 32, 32), dtype=np.uint8)
    for compression in (None, "zlib"):
        options = {"volumetric": True, "tile": (16, 16, 16), "photometric": "minisblack", "metadata": None}
        tifffile.imwrite(tmp_path / "a.tif", volume, compression=compression, **options)  # type: ignore[arg-type]
        refused(tmp_path / "a.tif", "stack", "16 behind one page")


def test_metamorphs_planes_behind_one_page_are_refused(tmp_path: Path) -> None:
    planes = [(33629, 5, 3, [1] * 6, True)]  # UIC2, a value for each plane
    tifffile.imwrite(tmp_path / "a.stk", GREY_8, metadata=None, extratags=planes)
    refused(tmp_path / "a.stk", "stack", "3 behind one page")


@pytest.mark.parametrize("axis", ["SizeZ", "SizeT", "SizeC"])
def test_one_page_of_an_ome_stack_is_refused(tmp_path: Path, axis: str) -> None:
    sizes = {"SizeZ": 1, "SizeT": 1, "SizeC": 1} | {axis: 5}
    attributes = " ".join(f'{name}="{size}"' for name, size in sizes.items())
    description = f'<?xml version="1.0"?><OME><Image><Pixels SizeX="30" SizeY="40" {attributes}></Pixels></Image></OME>'
    refused(one_page(tmp_path / "a.tif", description, slices=1), "stack", "5 behind one page")


def test_a_cameras_preview_of_another_picture_is_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY_8, subifds=1, subfiletype=1, metadata=None)
        file.write(np.tile(GREY_8, (2, 2)), metadata=None)
    refused(tmp_path / "a.tif", "stack", "only a preview")


def test_several_pages_have_the_code_of_a_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    frames = [Image.fromarray(RGB_8), Image.fromarray(RGB_8[::-1])]
    for name in ("a.png", "a.webp", "a.mpo"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    for name in ("a.tif", "a.png", "a.webp", "a.mpo"):
        refused(tmp_path / name, "stack", "several pictures")


def test_a_cameras_thumbnail_beside_a_jpeg_is_no_second_picture(tmp_path: Path) -> None:
    picture, path = Image.fromarray(RGB_8), tmp_path / "a.jpg"
    picture.save(path, "MPO", save_all=True, append_images=[picture.resize((15, 20))])
    data = path.read_bytes()
    first = data.rindex(struct.pack("<I", 0x030000))  # the kind of the primary picture; an entry has 16 bytes
    second = data[first + 16 : first + 20]
    assert second == bytes(4), "of an undefined kind"
    path.write_bytes(data[: first + 16] + struct.pack("<I", 0x010001) + data[first + 20 :])
    image = sound(path)
    assert (image.height, image.width, image.metadata["format"]) == (40, 30, "JPEG")


def test_sound_descriptions_of_one_picture_are_no_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for pixels in (GREY_8, RGB_8, RGB_16, GREY_8[:1], RGB_8[:, :1]):
        for options in ({}, {"metadata": None}, {"ome": True}) + (({"imagej": True},) if pixels.itemsize == 1 else ()):
            tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **options)
            np.testing.assert_array_equal(sound(path).pixels.squeeze(), pixels.squeeze())
    # The description of the larger picture before it was cut or made smaller is of no use, and harmless.
    for description in ('{"shape": [80, 60]}', '{"shape": [3, 80, 60]}', '{"shape": "x"}', "{", "ImageJ=1\nimages=1\n"):
        sound(one_page(path, description, slices=1))


def test_one_slice_of_a_stack_in_a_file_of_its_own_is_read_with_a_warning(tmp_path: Path) -> None:
    # As tiffsplit leaves it: the description is that of the whole stack.
    image = read_image(one_page(tmp_path / "a.tif", "ImageJ=1.54f\nimages=3\nslices=3\n", slices=1))
    assert [warning.code for warning in image.warnings] == ["stack"]
    assert "3 pictures" in image.warnings[0]
    np.testing.assert_array_equal(image.pixels[..., 0], GREY_8)


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("samples", "photometric", "extra"),
    [
        (4, "rgb", ["unspecified"]),
        (5, "rgb", ["unspecified"] * 2),
        (5, "rgb", ["unassalpha", "unspecified"]),
        (2, "minisblack", ["unspecified"]),
        (3, "minisblack", ["unspecified"] * 2),
        (4, "minisblack", ["unassalpha", "unspecified", "unspecified"]),
    ],
)
def test_further_channels_are_refused(
    tmp_path: Path, dtype: str, planar: str, compression: str | None, samples: int, photometric: str, extra: list[str]
) -> None:
    pixels = DRAWN.integers(0, 256, (20, 15, samples)).astype(dtype)
    pixels[..., -1] = np.iinfo(dtype).max
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels if planar == "contig" else pixels.transpose(2, 0, 1),
        photometric=photometric,
        planarconfig=planar,
        extrasamples=extra,
        compression=compression,
    )
    refused(tmp_path / "a.tif", "channels", "further channel")


def test_a_fourth_sample_of_which_nothing_is_said_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    opaque = np.dstack([RGB_8, np.full((40, 30), 255, np.uint8)])
    tifffile.imwrite(path, opaque, photometric="rgb", extrasamples=["unassalpha"], metadata=None)
    np.testing.assert_array_equal(sound(path).pixels, RGB_8)
    data = path.read_bytes()
    place = data.index(struct.pack("<HHI", 338, 3, 1))
    path.write_bytes(data[:place] + struct.pack("<H", 65000) + data[place + 2 :])  # ExtraSamples by another name
    refused(path, "channels", "a further channel")
    path.write_bytes(data[:place] + struct.pack("<HHIH", 338, 3, 1, 999) + data[place + 10 :])
    refused(path, "channels", "a further channel")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_palette_of_8_bit_entries_has_its_colours(tmp_path: Path, bits: int, order: str) -> None:
    indices = DRAWN.integers(0, 2**bits, (20, 16), dtype=np.uint8)
    colours = DRAWN.integers(0, 256, (3, 2**bits), dtype=np.uint16)
    colours[:, 0] = (255, 7, 3)
    path = tmp_path / "a.tif"
    for top in (1, 257):
        write_palette(path, indices, colours * np.uint16(top), bits, order)
        decoded = imagecodecs.tiff_decode(path.read_bytes(), asrgb=True)  # libtiff's own colours
        np.testing.assert_array_equal(decoded[..., :3], colours.T[indices])
        np.testing.assert_array_equal(sound(path).pixels, colours.T[indices])


def write_palette(path: Path, indices: np.ndarray, colours: np.ndarray, bits: int, order: str) -> None:
    """Write a TIFF with a palette, `bits` an index, uncompressed."""
    rows = np.unpackbits(indices[..., None], axis=2)[..., 8 - bits :].reshape(len(indices), -1)
    pixels = np.packbits(rows, axis=1).tobytes()
    entries = [(256, 16), (257, len(indices)), (258, bits), (259, 1), (262, 3), (273, 0), (277, 1), (278, len(indices))]
    begin = 8 + 2 + 12 * 10 + 4
    table = b""
    for tag, value in [*entries, (279, len(pixels)), (320, 0)]:
        value = begin + colours.nbytes if tag == 273 else begin if tag == 320 else value
        kind, count = (3, colours.size) if tag == 320 else (4, 1)
        table += struct.pack(f"{order}HHII", tag, kind, count, value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 10)
    path.write_bytes(head + table + bytes(4) + colours.astype(f"{order}u2").tobytes() + pixels)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_planes_are_read_and_turned(tmp_path: Path, orientation: int, order: str) -> None:
    turned = {1: RGB_16, 3: RGB_16[::-1, ::-1], 6: np.rot90(RGB_16, -1), 8: np.rot90(RGB_16)}[orientation]
    for compression in (None, "zstd", "lzma"):
        tifffile.imwrite(
            tmp_path / "a.tif",
            RGB_16.transpose(2, 0, 1),
            photometric="rgb",
            planarconfig="separate",
            byteorder=order,  # type: ignore[arg-type]
            compression=compression,
            extratags=[(274, "H", 1, orientation, True)],
        )
        np.testing.assert_array_equal(sound(tmp_path / "a.tif").pixels, turned)


def test_16_bit_planes_cut_short_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB_16.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert caught.value.code == "damaged"


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_no_more_is_unpacked_than_the_pixels_have_room_for(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.zeros((3000, 3000, 3), np.uint16), photometric="rgb", compression=compression, rowsperstrip=3000
    )
    assert path.stat().st_size < 100_000
    change_tag(path, 257, 3)
    change_tag(path, 278, 3)
    with pytest.raises(ImageError, match=r"more pixels are compressed|too small|decoder error"):
        read_image(path)


def test_tags_without_sense_do_not_stop_the_readers(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    highest = [(tag, 3, 1, 255, True) for tag in (281, 341)]
    tifffile.imwrite(path, GREY_8, metadata=None, extratags=highest)
    data = path.read_bytes()
    for tag in (281, 341):
        data = data.replace(struct.pack("<HHI", tag, 3, 1), struct.pack("<HHI", tag, 3, 0))
    path.write_bytes(data)
    sound(path)
    sound(one_page(path, "shape=(3  40, 30)", slices=1))
    tifffile.imwrite(path, GREY_8, bigtiff=True, compression="jpeg", metadata=None)
    for offset, kind in ((-1, 17), (2**63, 16), (2**62, 16)):  # SLONG8 and LONG8
        change_tag(path, 273, offset, dtype=kind)
        read_header(path)
        with pytest.raises(ImageError) as caught:
            read_image(path)
        assert caught.value.code == "damaged"
