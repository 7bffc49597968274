"""Which package decodes which transfer syntax, and whether a compressed frame is whole, as far as its format tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ImageError
from engine.images.dicom.opening import AGAIN
from engine.images.header import EXPORT

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder

EXTRA = "pip install 'xaimed[dicom]'"

_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
_BASELINE = _JPEG[0]

PACKAGES = {
    **dict.fromkeys(_JPEG + _JPEG_LS, "pylibjpeg and pylibjpeg-libjpeg"),
    **dict.fromkeys(_JPEG_2000 + _HTJ2K, "pylibjpeg and pylibjpeg-openjpeg"),
}
"""The packages that decode a transfer syntax; those that are missing here need none beside pydicom."""

_END_OF_JPEG = b"\xff\xd9"
"""JPEG, JPEG-LS and JPEG 2000 all end with it."""
_PADDING = b"\0\xff"
"""What devices fill a frame up with to an even length."""
_BOXES = b"\0\0\0\x0cjP  "
"""A JPEG 2000 in a file of its own, which the standard does not allow and some devices write."""


def decoder_of(syntax: str, named: str, path: Path) -> Decoder:
    """Return pydicom's decoder of a transfer syntax.

    Args:
        syntax: its UID.
        named: what it is called; empty if it is not known.
        path: the file's name, for errors.

    Raises:
        ImageError: there is none, or the package that it needs is not installed.
    """
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError as error:
        raise ImageError(
            f"its pixels are stored as {named}, which is not supported"
            if named
            else "its transfer syntax is not known",
            subject=path,
            remedy=EXPORT,
            code="unsupported",
        ) from error
    if not decoder.is_available:
        needed = PACKAGES.get(syntax, "pylibjpeg")
        raise ImageError(
            f"its pixels are stored as {named}, and the package that decodes them is not installed ({needed})",
            subject=path,
            remedy=f"install it: {EXTRA}",
            code="codec-missing",
        )
    return decoder


def check_frame(data: bytes, syntax: str, path: Path, seconds: float) -> None:
    """Check that a compressed frame is whole: decoders fill up what is lost, mostly without a word.

    Args:
        data: the frame as it is stored.
        syntax: of the file.
        path: its name, for errors.
        seconds: the processor time that may be used.

    Raises:
        ImageError: it is damaged, cut, or not of the syntax that the file names.
    """
    if syntax not in PACKAGES:
        return
    beginnings = (b"\xff\xd8",) if syntax in _JPEG + _JPEG_LS else (b"\xff\x4f\xff\x51", _BOXES)
    if not data.startswith(beginnings):
        raise damaged("it is not compressed in the way that the file names", path)
    if not data.rstrip(_PADDING).endswith(_END_OF_JPEG):
        raise damaged("a compressed frame ends early", path)
    if syntax == _BASELINE:
        _check_baseline(data, path, seconds)


def damaged(why: str, path: Path) -> ImageError:
    """Return the error for pixel data that cannot be decoded to what the header promises."""
    return ImageError(f"its pixel data is damaged ({why})", subject=path, remedy=AGAIN, code="damaged")


def _check_baseline(data: bytes, path: Path, seconds: float) -> None:
    from engine.images.decoding.budget import TooMuchWorkError
    from engine.images.decoding.soundness.damage import DamageError
    from engine.images.decoding.soundness.jpeg import check_jpeg

    try:
        check_jpeg(data.rstrip(_PADDING), seconds)
    except (DamageError, TooMuchWorkError) as error:  # their texts are the program's own
        raise damaged(str(error), path) from error
