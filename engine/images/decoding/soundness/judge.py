"""Judge whether the data of a picture that was decoded is whole, by the checks of its format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.images.decoding.opening import damaged
from engine.images.decoding.soundness.bmp import check_bmp
from engine.images.decoding.soundness.jpeg import check_jpeg
from engine.images.decoding.soundness.png import check_png
from engine.images.decoding.soundness.tiff import check_tiff
from engine.images.decoding.soundness.webp import check_webp

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from engine.images.header import Limits


def check_whole(picture: Image.Image, data: bytes, path: Path, limits: Limits) -> None:
    """Check that a picture's data is whole; its pixels are left to Pillow.

    Args:
        picture: as Pillow opened and decoded it without an error.
        data: the file.
        path: its name, for errors.
        limits: those of decoding. Checking has as much time again, but the decoding process as a whole only a second
            more (see `worker`).

    Raises:
        ImageError: it is damaged, cut or incomplete (code `damaged`), or checking it takes too long.
    """
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        if isinstance(picture, TiffImageFile):
            check_tiff(data, picture.tag_v2, limits.seconds)
        elif picture.format == "PNG":
            check_png(data, limits.seconds)
        elif picture.format == "BMP":
            check_bmp(data, limits.seconds)
        elif picture.format == "WEBP":
            check_webp(data)
        else:
            check_jpeg(data, limits.seconds)
    except Exception as error:  # the checks call decoders, too, and those may raise anything on hostile bytes
        raise damaged(error, path) from error
