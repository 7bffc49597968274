"""What a picture file says about itself before any pixel is decoded: format, size, depth, colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

    from engine.images.dicom.facts import DicomFacts
    from engine.images.nifti.facts import NiftiFacts


FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
"""The formats that are read, by Pillow's names. A file's content decides which it is, not its suffix."""

DICOM, NIFTI = "DICOM", "NIfTI"
"""The formats of headers that are not Pillow's."""

EXPORT = "export the image as PNG or TIFF"
SAVE_AGAIN = "save it again, as an ordinary PNG"
SMALLER = "export a smaller part of the image"
DEPTHS = "8 or 16 bit grey or RGB"
GREY_OR_RGB = f"convert it to {DEPTHS}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits checked before and while a picture is decoded.

    Attributes:
        bytes: the most bytes a file may have.
        pixels: the most pixels (height times width) a picture may have. Pillow itself refuses more than 178 million.
        seconds: the most processor time that decoding may take; the largest pictures allowed need a tenth of it.
        header_seconds: the most that reading the header may take, before any pixel is decoded; a picture of ordinary
            make needs a thousandth of it.
    """

    bytes: int = 256 * 10**6
    pixels: int = 64 * 10**6
    seconds: float = 30.0
    header_seconds: float = 1.0


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a picture says, if by its header the picture can be decoded.

    Attributes:
        format: one of `FORMATS`, `DICOM` or `NIFTI`.
        height, width: in pixels, after the orientation is applied.
        bit_depth: 8 or 16; fewer than 8 bits are scaled to 8 when decoded.
        grey: one channel, alpha aside; False for RGB and for palettes.
        alpha: `none`, or `perhaps`: there is an alpha channel or a transparent colour, and only the pixels tell
            whether anything is transparent.
        orientation: the EXIF orientation, 1 (upright) to 8; 1 for a PNG that has its EXIF data after its pixels.
        inverted: whether this is a 16-bit grey TIFF in which 0 is white.
        size: of the file, in bytes.
        declared_bits: how many bits of a sample the file declares significant; None if it does not.
        dicom: what is kept of a DICOM header, for the first frame; None for others.
        nifti: what is kept of a NIfTI header; None for others.
    """

    format: str
    height: int
    width: int
    bit_depth: Literal[8, 16]
    grey: bool
    alpha: Literal["none", "perhaps"]
    orientation: int
    inverted: bool
    size: int
    declared_bits: int | None = None
    dicom: DicomFacts | None = None
    nifti: NiftiFacts | None = None


def check_bytes(size: int, path: Path, limits: Limits) -> None:
    """Check that a file is neither empty nor too long.

    Raises:
        ImageError: it is empty, or longer than `limits.bytes`.
    """
    if size == 0:
        raise ImageError("the file is empty", subject=path, remedy="export the image again", code="empty")
    if size > limits.bytes:
        raise ImageError(
            f"the file has {size:,} bytes; at most {limits.bytes:,} are read",
            subject=path,
            remedy=SMALLER,
            code="too-large",
        )
