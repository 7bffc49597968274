"""A picture's bytes to its pixels: the one place that calls decoders. It runs in a separate process (see `client`)."""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import ImageError
from engine.images.decoding import tiff_tags
from engine.images.decoding.budget import READING_HEADER, WatchedFile
from engine.images.decoding.opening import damaged, open_picture, orientation_of
from engine.images.decoding.soundness.judge import check_whole
from engine.images.decoding.tiff_checks import UNCOMPRESS, compressed_otherwise, doubts
from engine.images.header import Header, Limits

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from engine.results.caution import Caution

    Integers = NDArray[np.unsignedinteger]

_OTHERS = (tiff_tags.NONE, tiff_tags.LZW, tiff_tags.PACKBITS)
"""Compressions that never unpack to more than the pixels have room for."""
_LZMA_MEMORY = 1 << 28
"""The most bytes that unpacking LZMA may take; the files' own settings ask for up to 64 MB."""
_NOT_DECODED = "its 16-bit colours cannot be decoded"


def decode(
    data: bytes, path: Path, limits: Limits, opened: Callable[[], object] = lambda: None
) -> tuple[Integers, Header, tuple[Caution, ...]]:
    """Decode a picture as `engine.images.image.read_image` specifies.

    Args:
        data: the file's content.
        path: its name, for errors.
        limits: the largest file and picture that are decoded.
        opened: called once the header has been read and has passed, before any pixel is decoded.

    Returns:
        (H, W, C) upright pixels, C 1 or 3, uint8 or uint16, contiguous; the header; and what is doubtful about the
        pixels.

    Raises:
        ImageError: as `read_image` specifies.
    """
    import numpy as np

    # Not from the file: Pillow 13 would map an uncompressed grey TIFF and turn it wrongly (orientations 5 to 8).
    watched = WatchedFile(io.BytesIO(data), len(data), limits.header_seconds, READING_HEADER)
    picture, header, tags = open_picture(watched, path, limits)
    opened()
    watched.allow(limits.seconds)
    with picture:
        try:
            picture.load()
            if header.format == "PNG" and header.orientation == 1:
                header = replace(header, orientation=orientation_of(picture, after_loading=True))
        except Exception as error:  # given hostile bytes, a decoder may raise anything; the fault is the file's
            # Most builds of libtiff lack WebP, of which Pillow says OSError; not so if time or memory is short.
            if isinstance(error, OSError) and tags and tags.first(tiff_tags.COMPRESSION, 1) == tiff_tags.WEBP:
                raise compressed_otherwise(tags, path) from error
            raise damaged(error, path) from error
        check_whole(picture, data, path, limits)
        array = _decoded(picture, header, data, path)
    array = np.ascontiguousarray(array, dtype=np.uint16 if header.bit_depth == 16 else np.uint8)
    return array, header, () if tags is None else doubts(tags)


def _decoded(picture: Image.Image, header: Header, data: bytes, path: Path) -> Integers:
    """Return the (H, W, C) upright pixels of a loaded picture, C 1 or 3, uint8 or uint16."""
    import numpy as np

    deep = header.bit_depth == 16
    array: Integers
    if deep and not picture.mode.startswith("I"):
        return _deep_colour(picture, header, data, path)
    if deep:
        array = np.asarray(picture).astype(np.uint16)[..., None]  # modes I;16, I;16B and, in older Pillows, I
        if header.inverted:
            array = np.uint16(65535) - array
        _check_key(array, picture.info.get("transparency"), path)
    else:
        array = eight_bit_pixels(picture, data, path)
    # Pillow turns TIFFs upright while loading, but no other format.
    return array if header.format == "TIFF" else _upright(array, header.orientation)


def eight_bit_pixels(picture: Image.Image, data: bytes, path: Path) -> Integers:
    """Return the (H, W, C) uint8 pixels of a picture with at most 8 bits a sample, not yet turned upright.

    Args:
        picture: loaded.
        data: the PNG file that it came from; empty if there is none.
        path: its name, for errors.

    Raises:
        ImageError: a pixel is transparent.
    """
    import numpy as np

    mode, key = picture.mode, picture.info.get("transparency")
    if mode == "P" or mode == "PA":
        colours = _opaque(np.asarray(picture.convert("RGBA" if mode == "PA" or key is not None else "RGB")), path)
        grey = bool((colours[..., 0] == colours[..., 1]).all() and (colours[..., 1] == colours[..., 2]).all())
        return colours[..., :1] if grey else colours
    if mode in ("RGBa", "La"):
        picture = picture.convert("RGBA" if mode == "RGBa" else "LA")
    elif mode in ("YCbCr", "RGBX"):
        picture = picture.convert("RGB")
    elif mode == "1":
        picture = picture.convert("L")
    array = np.asarray(picture)
    if array.ndim == 2:
        array = array[..., None]
    if picture.format == "PNG" or mode in ("1", "L", "RGB"):
        # 2 and 4 bit grey is spread over 0 to 255: by 255 / 3 and 255 / 15.
        scale = {2: 85, 4: 17}.get(data[24], 1) if data[:4] == b"\x89PNG" else 1  # the key is in the file's own depth
        _check_key(array, key * scale if isinstance(key, int) else key, path)
    return _opaque(array, path)


def _deep_colour(picture: Image.Image, header: Header, data: bytes, path: Path) -> Integers:
    """Return the (H, W, C) uint16 upright pixels as stored: Pillow reduces 16-bit colour or grey with alpha to 8 bits.

    So another library decodes the file again. Pillow's decoding still serves two purposes. Pillow notices files that
    end early, which the others fill up silently. And its values must be the upper bytes of the other library's, so that
    no wrong decoding passes. Pillow gets uncompressed planar TIFFs wrong, so libtiff itself is asked about a TIFF
    before it is refused.
    """
    import numpy as np

    try:
        array = _deep_tiff(data) if header.format == "TIFF" else _deep_png(data)
    except Exception as error:  # hostile bytes again, as in `decode`
        raise damaged(error, path) from error
    eight = np.asarray(picture)
    if header.format != "TIFF":
        eight = _upright(eight, header.orientation)  # Pillow has already turned a TIFF upright
    key = picture.info.get("transparency")
    _check_key(array, key, path)
    stored = array
    array = _opaque(array, path)
    for candidate in (_upright(array, header.orientation), array):
        upper = eight[..., : candidate.shape[2]]
        if upper.shape == candidate.shape and np.array_equal(candidate >> 8, upper):
            return candidate
    if header.format == "TIFF" and _libtiff_agrees(stored, data):
        return _upright(array, header.orientation)
    raise ImageError("two decoders disagree about its pixels", subject=path, remedy=UNCOMPRESS, code="unsupported")


def _libtiff_agrees(stored: Integers, data: bytes) -> bool:
    """Return whether libtiff decodes a TIFF to the same (H, W, samples) pixels, as they are stored."""
    import imagecodecs
    import numpy as np

    try:
        decoded = np.asarray(imagecodecs.tiff_decode(data))
    except (imagecodecs.TiffError, ValueError, MemoryError):
        return False
    return any(np.array_equal(stored, one) for one in (decoded, np.moveaxis(decoded, 0, -1)))


def _deep_tiff(data: bytes) -> Integers:
    """Return the (H, W, samples) uint16 pixels of a TIFF, in the orientation stored."""
    import numpy as np
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        most = int(np.prod(page.chunks)) * 2
        for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
            if not 0 < start <= start + length <= len(data):
                raise ValueError("it ends early")
            _check_inflated(page.compression, data[start : start + length], most)
        samples = page.asarray(squeeze=False, maxworkers=1)  # (separate samples, 1, H, W, interleaved samples)
    planes = samples[:, 0]
    return np.asarray(planes[0] if planes.shape[0] == 1 else planes[..., 0].transpose(1, 2, 0), dtype=np.uint16)


def _check_inflated(compression: int, data: bytes, most: int) -> None:
    """Refuse compressed data that holds more than `most` bytes: tifffile inflates all of it, whatever the size.

    Raises:
        ValueError: it holds more, or its compression is not known here.
    """
    import imagecodecs

    if compression in tiff_tags.DEFLATE:
        length = len(zlib.decompressobj().decompress(data, most + 1))
    elif compression == tiff_tags.LZMA:
        length = len(lzma.LZMADecompressor(memlimit=_LZMA_MEMORY).decompress(data, most + 1))
    elif compression == tiff_tags.ZSTD:
        length = len(imagecodecs.zstd_decode(data, out=most))  # which raises an error if there is more
    elif compression in _OTHERS:
        return
    else:
        raise ValueError(_NOT_DECODED)
    if length > most:
        raise ValueError("more pixels are compressed in it than it has")


def _deep_png(data: bytes) -> Integers:
    """Return the (H, W, samples) uint16 pixels of a PNG, in the orientation stored."""
    import imagecodecs
    import numpy as np

    try:
        decoded = imagecodecs.png_decode(data)
    except (imagecodecs.PngError, ValueError) as error:  # ValueError if libpng's own message is not UTF-8
        raise ValueError(_NOT_DECODED) from error
    return np.asarray(decoded, dtype=np.uint16)


def _check_key(array: Integers, key: object, path: Path) -> None:
    """Refuse a picture that contains the colour which its header declares transparent.

    Raises:
        ImageError: it does.
    """
    import numpy as np

    if key is None or not isinstance(key, int | tuple):
        return
    wanted = np.asarray(key, dtype=np.int64).reshape(-1)
    colours = array[..., : wanted.size]
    if colours.shape[2] == wanted.size and bool((colours == wanted).all(axis=2).any()):
        raise _transparent(path)


def _opaque(array: Integers, path: Path) -> Integers:
    """Return the array without its alpha channel (the last of 2 or 4), which must be opaque everywhere.

    Raises:
        ImageError: a pixel is transparent.
    """
    import numpy as np

    if array.shape[2] not in (2, 4):
        return array
    if int(array[..., -1].min()) != np.iinfo(array.dtype).max:
        raise _transparent(path)
    return array[..., :-1]


def _transparent(path: Path) -> ImageError:
    return ImageError(
        "parts of the picture are transparent, and what lies behind them is not known",
        subject=path,
        remedy="flatten it onto its true background and save it without transparency",
        code="transparent",
    )


def _upright(array: Integers, orientation: int) -> Integers:
    """Apply an EXIF orientation (1 to 8) to (H, W, C) pixels; a view."""
    import numpy as np

    match orientation:
        case 2:
            return array[:, ::-1]
        case 3:
            return array[::-1, ::-1]
        case 4:
            return array[::-1]
        case 5:
            return array.swapaxes(0, 1)
        case 6:
            return np.rot90(array, -1)
        case 7:
            return array.swapaxes(0, 1)[::-1, ::-1]
        case 8:
            return np.rot90(array)
    return array
