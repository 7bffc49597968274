"""Opens a picture without decoding it: reads its header, or refuses it with the reason."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, cast

from engine.errors import ImageError
from engine.images.decoding import tiff_tags
from engine.images.decoding.budget import PIECE, TooMuchWorkError
from engine.images.decoding.declared_bits import bits_of_png
from engine.images.decoding.jpeg_frame import check_frame
from engine.images.decoding.tiff_checks import ONE_PICTURE, check_tags, declared_bits, eight_bit_palette
from engine.images.header import (
    DEPTHS,
    EXPORT,
    FORMATS,
    GREY_OR_RGB,
    SAVE_AGAIN,
    SMALLER,
    Header,
    Limits,
)

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from engine.images.decoding.budget import WatchedFile
    from engine.images.decoding.tiff_tags import Tags

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"

_OWN_FORMATS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((_PNG,), "PNG"),
    ((_JPEG,), "JPEG"),
    (tiff_tags.MAGIC, "TIFF"),
    ((b"BM",), "BMP"),
    ((b"RIFF",), "WebP"),
)

_OTHER_FORMATS = (
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"II\xbc", "a JPEG XR picture"),
    (4, b"ftyp", "a HEIC, AVIF or film file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x89HDF", "an HDF5 file"),
)


MOST_STRIPS = 250_000
"""More than a picture of ordinary shape has, even with one strip for each row. Decoders list all of them."""


def open_picture(watched: WatchedFile, path: Path, limits: Limits) -> tuple[Image.Image, Header, Tags | None]:
    """Open a picture and check its header, without decoding it.

    Args:
        watched: its content, at the start.
        path: its name, for errors.
        limits: beyond which it is refused.

    Returns:
        The picture, its header, and the tags of a TIFF.

    Raises:
        ImageError: it is not a picture of an allowed format and kind, or is beyond the limits.
    """
    from PIL import Image, ImageFile, ImagePalette, UnidentifiedImageError

    load_plugins()
    file = cast("BinaryIO", watched)
    try:
        start, tags, declared = _read_ahead(file, watched.size, path)
    except TooMuchWorkError as error:
        raise damaged(error, path) from error
    try:
        # Only these decoders are tried: each of Pillow's many others is one more that hostile bytes could reach.
        picture = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        if tags is not None and {tiff_tags.WIDTH, tiff_tags.LENGTH} <= tags.numbers.keys() and tags.strips:
            raise ImageError(
                "its pixels are arranged in a way that is not supported",
                subject=path,
                remedy=GREY_OR_RGB,
                code="unsupported",
            ) from error
        raise _unknown(start, path) from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, which it checks when it opens a picture
        raise _too_large("far more", path, limits) from error
    except Exception as error:  # a decoder may raise anything on hostile bytes; that is no fault of this program
        raise damaged(error, path) from error
    try:
        if isinstance(picture, ImageFile.ImageFile):
            picture.decodermaxblock = PIECE
        if tags is not None and (palette := eight_bit_palette(tags)) is not None:
            # Pillow takes its entries for 16-bit values: all black.
            picture.palette = ImagePalette.raw("RGB;L", palette)
        header = replace(_checked_header(picture, tags, start, watched.size, path, limits), declared_bits=declared)
        return picture, header, tags
    except ImageError:
        raise
    except Exception as error:  # again anything: tags are parsed when they are first accessed
        raise damaged(error, path) from error


def _read_ahead(file: BinaryIO, size: int, path: Path) -> tuple[bytes, Tags | None, int | None]:
    """Read what must be known before Pillow opens a picture; leave the file at its start.

    Returns:
        Its first bytes, the tags of a TIFF, and how many bits of a sample it declares significant.

    Raises:
        ImageError: it is of a kind that Pillow would not refuse, or would work on for long.
        TooMuchWorkError: this takes too long.
    """
    start = file.read(512)
    file.seek(0)
    if start.startswith(tiff_tags.MAGIC) and (tags := tiff_tags.read_tags(file)) is not None:
        # Pillow lists all strips as soon as it opens a TIFF.
        if tags.strips > MOST_STRIPS:
            raise ImageError(
                f"it is cut into more than {MOST_STRIPS:,} pieces", subject=path, remedy=EXPORT, code="too-large"
            )
        check_tags(tags, size, path)
        if tags.first(tiff_tags.COMPRESSION, 1) == tiff_tags.JPEG:
            check_frame(file, path, strip=tags.begin)
        return start, tags, declared_bits(tags)
    if start.startswith(_JPEG):
        check_frame(file, path)
    return start, None, bits_of_png(file) if start.startswith(_PNG) else None


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
        return ImageError(
            "there is not enough memory to decode it", subject=path, remedy="export a smaller image", code="memory"
        )
    if isinstance(error, TooMuchWorkError):
        return ImageError(str(error), subject=path, remedy=SAVE_AGAIN, code="too-slow")
    reason = str(error).strip().rstrip(".")
    if reason.lower().startswith("unsupported"):  # as Pillow says of kinds of BMP that it does not know
        return ImageError(
            f"it is of a kind that is not supported ({reason})", subject=path, remedy=GREY_OR_RGB, code="unsupported"
        )
    return ImageError(
        f"the file is damaged or incomplete ({reason or type(error).__name__})",
        subject=path,
        remedy="export the image again",
        code="damaged",
    )


@cache
def load_plugins() -> None:
    """Import the decoders of the formats that are read, so that the first picture need not wait for them."""
    # Named here because Pillow would otherwise import all of its forty decoders for a TIFF or WebP file.
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401


def _checked_header(
    picture: Image.Image, tags: Tags | None, start: bytes, size: int, path: Path, limits: Limits
) -> Header:
    """Return an open picture's header, or raise the ImageError that says why it is refused."""
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageError("the picture has no pixels", subject=path, remedy="export the image again", code="damaged")
    if width * height > limits.pixels:
        raise _too_large(f"{width:,} x {height:,} = {width * height:,}", path, limits)
    if _holds_several(picture):
        raise ImageError(
            "the file holds several pictures (pages, frames or slices)", subject=path, remedy=ONE_PICTURE, code="stack"
        )
    mode, form = picture.mode, "JPEG" if picture.format == "MPO" else str(picture.format)
    bits, inverted = 8, False
    if form == "PNG":
        # Bit depth and colour type are read at fixed offsets below. They are there only if the header comes first.
        if start[12:16] == b"CgBI":
            raise ImageError(
                "this is a PNG as Apple's tools pack it, which is not supported",
                subject=path,
                remedy=SAVE_AGAIN,
                code="unsupported",
            )
        if start[12:16] != b"IHDR":
            raise ImageError(
                "the file is damaged: it does not begin with its header", subject=path, remedy=EXPORT, code="damaged"
            )
        bits = start[24]  # as the file says it: Pillow's mode for 16-bit colour is that for 8 bit
    elif form == "TIFF":
        if tags is None:
            raise ImageError("its directory cannot be read", subject=path, remedy="export it again", code="damaged")
        bits, inverted = _tiff_kind(tags)
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


def _tiff_kind(tags: Tags) -> tuple[int, bool]:
    """Return the bits per sample, and whether 16-bit grey has 0 as white (Pillow inverts only up to 8 bit)."""
    bits = tags.first(tiff_tags.BITS, 1)
    return bits, bits == 16 and tags.first(tiff_tags.PHOTOMETRIC, 1) == 0


def _holds_several(picture: Image.Image) -> bool:
    """Return whether a file holds more than one picture. A camera's thumbnails of the same picture do not count."""
    several = bool(getattr(picture, "is_animated", False))
    if picture.format == "TIFF":
        if several:
            picture.seek(1)  # if there is one; `n_frames` would read the directories of all, 22 million in 256 MB
        return several
    if getattr(picture, "n_frames", 1) < 2 and not several:
        return False
    entries = getattr(picture, "mpinfo", {}).get(0xB002, [])[1:]
    return not entries or not all(entry["Attribute"]["MPType"].startswith("Large Thumbnail") for entry in entries)


def _check_mode(mode: str, bits: int, path: Path) -> None:
    if mode == "CMYK":
        raise ImageError(
            "it is in CMYK, the colours of a printer", subject=path, remedy="convert it to RGB", code="unsupported"
        )
    if mode in ("LAB", "HSV"):
        raise ImageError(f"it is in {mode} colours", subject=path, remedy="convert it to RGB", code="unsupported")
    sixteen_bit_grey = mode.startswith("I;16") or (mode == "I" and bits == 16)
    if not sixteen_bit_grey and mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        raise ImageError(f"its pixels are of the kind {mode}", subject=path, remedy=GREY_OR_RGB, code="unsupported")


def _base_channels(mode: str) -> int:
    return 1 if mode in ("1", "L", "LA", "La") or mode.startswith("I") else 3


def _too_large(pixels: str, path: Path, limits: Limits) -> ImageError:
    return ImageError(
        f"the picture has {pixels} pixels; at most {limits.pixels:,} are read",
        subject=path,
        remedy=SMALLER,
        code="too-large",
    )


def _unknown(start: bytes, path: Path) -> ImageError:
    for offset, magic, name in _OTHER_FORMATS:
        if start[offset : offset + len(magic)] == magic:
            return ImageError(
                f"this is {name}, which is not supported", subject=path, remedy=EXPORT, code="unsupported"
            )
    for magics, name in _OWN_FORMATS:
        if start.startswith(magics):
            return ImageError(
                f"this {name} file is damaged at its beginning, or its pixels are of a kind that is not supported",
                subject=path,
                remedy=f"export the image again, in {DEPTHS}",
                code="damaged",
            )
    return ImageError(
        "this is not a PNG, JPEG, TIFF, BMP, WebP, DICOM or NIfTI image",
        subject=path,
        remedy=EXPORT,
        code="not-an-image",
    )
