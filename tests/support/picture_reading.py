"""Reads pictures in tests, by every reader, and changes what their files say."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from engine.bundle.specs import InputSpec
from engine.errors import ImageError
from engine.images.compliance import why_not_compliant
from engine.images.decoding.pixels import decode
from engine.images.header import Limits
from engine.images.image import MedicalImage, read_header, read_image


def refused(path: Path, code: str, words: str) -> None:
    """Both readers and the check by the header refuse the file with this code, and say this."""
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=words) as caught:
            read(path)
        assert caught.value.code == code
        assert caught.value.remedy
    assert re.search(words, why_not_compliant(path, InputSpec()), re.IGNORECASE)


def sound(path: Path) -> MedicalImage:
    """The file is read, without a warning."""
    image = read_image(path)
    assert image.warnings == ()
    read_header(path)
    return image


def check_sound(data: bytes) -> None:
    """The data is decoded without a warning, to the pixels that Pillow gives."""
    pixels, _, warnings = decode(data, Path("picture"), Limits())
    assert warnings == ()
    with Image.open(io.BytesIO(data)) as picture:
        expected = np.asarray(picture.convert("L" if pixels.shape[2] == 1 else "RGB"))
    if pixels.dtype == np.uint8:
        np.testing.assert_array_equal(pixels, expected.reshape(pixels.shape))


def change_tag(path: Path, tag: int, value: object, dtype: int | None = None) -> None:
    """Overwrite a tag of a TIFF."""
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[tag].overwrite(value, dtype=dtype)
