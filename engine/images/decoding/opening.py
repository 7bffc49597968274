"""Opens a picture without decoding it: reads its header, or refuses it with the reason."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, cast

from engine.errors import ImageError
from engine.images.decoding.budget import PIECE, TooMuchWorkError, WatchedFile
from engine.images.header import DICOM_REASON, EXPORT, FORMATS, SAVE_AGAIN, SMALLER, Header, Limits

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

_DEPTHS = "8 or 16 bit grey or RGB"

_GREY_OR_RGB = f"convert it to {_DEPTHS}"

_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

_OWN_FORMATS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b"\x89PNG",), "PNG"),
    ((b"\xff\xd8",), "JPEG"),
    (_TIFF, "TIFF"),
    ((b"BM",), "BMP"),
    ((b"RIFF",), "WebP"),
)

_OTHER_FORMATS = (
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (4, b"ftyp", "a HEIC, AVIF or film file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"\x1f\x8b", "a compressed file"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (344, b"n+1\x00", "a NIfTI volume"),
    (0, b"\x89HDF", "an HDF5 file"),
)


MOST_STRIPS = 250_000
"""More than a picture of ordinary shape has, even with one strip for each row. Decoders list all of them."""

_OFFSETS_AND_LENGTHS = (273, 279, 324, 325)  # StripOffsets, StripByteCounts, TileOffsets, TileByteCounts


def open_picture(file: BinaryIO, size: int, path: Path, limits: Limits) -> tuple[Image.Image, Header]:
    """Open a picture and check its header, without decoding it.

    Args:
        file: its content, at the start.
        size: of the content, in bytes.
        path: its name, for errors.
        limits: beyond which it is refused.

    Raises:
        ImageError: it is not a picture of an allowed format and kind, or is beyond the limits.
    """
    from PIL import Image, ImageFile, UnidentifiedImageError

    _load_plugins()
    start = file.read(512)
    file.seek(0)
    # Before Pillow sees it, because Pillow lists all strips as soon as it opens a TIFF.
    if start.startswith(_TIFF) and strips_of(file) > MOST_STRIPS:
        raise ImageError(f"it is cut into more than {MOST_STRIPS:,} pieces", subject=path, remedy=EXPORT)
    try:
        # Only these decoders are tried: each of Pillow's many others is one more that hostile bytes could reach.
        picture = Image.open(cast("BinaryIO", WatchedFile(file, size, limits.seconds)), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _unknown(start, path) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, which it checks when it opens a picture
        raise _too_large("far more", path, limits) from error
    except Exception as error:  # a decoder may raise anything on hostile bytes; that is no fault of this program
        raise damaged(error, path) from error
    try:
        if isinstance(picture, ImageFile.ImageFile):
            picture.decodermaxblock = PIECE
        return picture, _checked_header(picture, start, size, path, limits)
    except ImageError:
        raise
    except Exception as error:  # again anything: tags are parsed when they are first accessed
        raise damaged(error, path) from error


def orientation_of(picture: Image.Image, *, after_loading: bool = False) -> int:
    """Return the EXIF orientation, 1 (upright) to 8; 1 for other values.

    Args:
        picture: an open picture.
        after_loading: use the EXIF data that came with the pixels, as it may in a PNG.
    """
    from PIL import Image

    if after_loading:
        exif = Image.Exif()
        exif.load(picture.info.get("exif", b""))
    else:
        # Not picture.getexif(): for a PNG it decodes the pixels, in case the EXIF data comes after them.
        exif = Image.Image.getexif(picture)
    orientation = exif.get(0x0112, 1)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def damaged(error: Exception, path: Path) -> ImageError:
    """Return the error for a file that a decoder gave up on."""
    if isinstance(error, MemoryError):
        return ImageError("there is not enough memory to decode it", subject=path, remedy="export a smaller image")
    if isinstance(error, TooMuchWorkError):
        return ImageError(str(error), subject=path, remedy=SAVE_AGAIN)
    reason = str(error).strip().rstrip(".")
    return ImageError(
        f"the file is damaged or incomplete ({reason or type(error).__name__})",
        subject=path,
        remedy="export the image again",
    )


@cache
def _load_plugins() -> None:
    # Named here because Pillow would otherwise import all of its forty decoders for a TIFF or WebP file.
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401


def _checked_header(picture: Image.Image, start: bytes, size: int, path: Path, limits: Limits) -> Header:
    """Return an open picture's header, or raise the ImageError that says why it is refused."""
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageError("the picture has no pixels", subject=path, remedy="export the image again")
    if width * height > limits.pixels:
        raise _too_large(f"{width:,} x {height:,} = {width * height:,}", path, limits)
    if getattr(picture, "is_animated", False) or getattr(picture, "n_frames", 1) > 1:
        raise ImageError(
            "the file holds several pictures (pages, frames or slices)",
            subject=path,
            remedy="export the one to look at as a file of its own",
        )
    mode, form = picture.mode, str(picture.format)
    bits, inverted = 8, False
    if form == "PNG":
        # Bit depth and colour type are read at fixed offsets below. They are there only if the header comes first.
        if start[12:16] != b"IHDR":
            raise ImageError("the file is damaged: it does not begin with its header", subject=path, remedy=EXPORT)
        bits = start[24]  # as the file says it: Pillow's mode for 16-bit colour is that for 8 bit
    elif form == "TIFF":
        bits, inverted = _tiff_kind(picture, path)
    _check_mode(mode, bits, path)
    channels = _base_channels(mode) if form != "PNG" else (1 if start[25] in (0, 4) else 3)  # PNG: grey, grey and alpha
    orientation = orientation_of(picture)
    if orientation >= 5 and form != "TIFF":  # a TIFF's size is already turned by Pillow
        width, height = height, width
    transparent = mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    return Header(
        format=form,
        height=height,
        width=width,
        bit_depth=16 if bits == 16 else 8,
        grey=channels == 1,
        alpha="perhaps" if transparent else "none",
        orientation=orientation,
        inverted=inverted,
        size=size,
    )


def _tiff_kind(picture: Image.Image, path: Path) -> tuple[int, bool]:
    """Return the bits per sample, and whether 16-bit grey has 0 as white (Pillow inverts only up to 8 bit)."""
    from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

    assert isinstance(picture, TiffImageFile)
    tags = picture.tag_v2
    # A missing tag means 1, says the TIFF standard of both.
    depths = set(_numbers(tags.get(BITSPERSAMPLE, 1)))
    kinds = set(_numbers(tags.get(SAMPLEFORMAT, 1)))
    if 3 in kinds:  # 1 is unsigned, 2 signed, 3 floating point
        raise ImageError(
            "its pixels are floating-point numbers, whose range is not known",
            subject=path,
            remedy=_GREY_OR_RGB,
        )
    if kinds != {1}:
        raise ImageError("its pixels are signed or of an unknown kind", subject=path, remedy=_GREY_OR_RGB)
    if len(depths) != 1 or not depths <= {1, 2, 4, 8, 16}:
        listed = ", ".join(str(depth) for depth in sorted(depths)[:4]) + (" and other" if len(depths) > 4 else "")
        raise ImageError(f"it has {listed} bits per sample", subject=path, remedy=_GREY_OR_RGB)
    bits = depths.pop()
    return bits, bits == 16 and tags.get(PHOTOMETRIC_INTERPRETATION) == 0


def _numbers(value: object) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,)
    return tuple(int(number) for number in value) if isinstance(value, tuple) else ()


def _check_mode(mode: str, bits: int, path: Path) -> None:
    if mode == "CMYK":
        raise ImageError("it is in CMYK, the colours of a printer", subject=path, remedy="convert it to RGB")
    if mode in ("LAB", "HSV"):
        raise ImageError(f"it is in {mode} colours", subject=path, remedy="convert it to RGB")
    sixteen_bit_grey = mode.startswith("I;16") or (mode == "I" and bits == 16)
    if not sixteen_bit_grey and mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        raise ImageError(f"its pixels are of the kind {mode}", subject=path, remedy=_GREY_OR_RGB)


def _base_channels(mode: str) -> int:
    return 1 if mode in ("1", "L", "LA", "La") or mode.startswith("I") else 3


def _too_large(pixels: str, path: Path, limits: Limits) -> ImageError:
    return ImageError(
        f"the picture has {pixels} pixels; at most {limits.pixels:,} are read",
        subject=path,
        remedy=SMALLER,
    )


def _unknown(start: bytes, path: Path) -> ImageError:
    if start[128:132] == b"DICM":
        return ImageError(DICOM_REASON, subject=path, remedy=EXPORT)
    for offset, magic, name in _OTHER_FORMATS:
        if start[offset : offset + len(magic)] == magic:
            return ImageError(f"this is {name}, which is not supported", subject=path, remedy=EXPORT)
    for magics, name in _OWN_FORMATS:
        if start.startswith(magics):
            return ImageError(
                f"this {name} file is damaged at its beginning, or its pixels are of a kind that is not supported",
                subject=path,
                remedy=f"export the image again, in {_DEPTHS}",
            )
    return ImageError("this is not a PNG, JPEG, TIFF, BMP or WebP image", subject=path, remedy=EXPORT)


def strips_of(file: BinaryIO) -> int:
    """Return the number of strips or tiles that a TIFF's directory gives for its first picture; 0 if unreadable.

    Args:
        file: its content; it is left at the start.
    """
    try:
        file.seek(0)
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        # An entry has a tag, a type, a count and a value, which is skipped.
        if struct.unpack(f"{order}H", start[2:4])[0] == 43:  # BigTIFF
            place, number, entry = struct.unpack(f"{order}Q", start[8:16])[0], f"{order}Q", f"{order}HHQ8x"
        else:
            place, number, entry = struct.unpack(f"{order}I", start[4:8])[0], f"{order}H", f"{order}HHI4x"
        file.seek(place)
        # A BigTIFF can claim 2^64 entries. A classic TIFF's limit is far more than any has.
        entries = min(struct.unpack(number, file.read(struct.calcsize(number)))[0], 0xFFFF)
        step = struct.calcsize(entry)
        table = file.read(entries * step)
        found = struct.iter_unpack(entry, table[: len(table) // step * step])
        return max((count for tag, _, count in found if tag in _OFFSETS_AND_LENGTHS), default=0)
    except (struct.error, ValueError, OverflowError, OSError):  # OSError: an offset larger than any file
        return 0  # the decoder will say what is wrong with it
    finally:
        file.seek(0)
