"""Checks whether an image can be fed to a model without inventing content; if not, one sentence says why.

Colour and bit depth never rule an image out: a grey image is fed to an RGB model by repeating its channel, an RGB
image to a grey model as its luma (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B), and 8 and 16 bit are scaled to [0, 1].
Whether a value is beyond the significant bits that were declared shows only in the pixels.
So a model that declares one channel also accepts colour images, of which it sees only the brightness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ImageError, NotCompliantError
from engine.images.bits import bits_warnings, check_bits
from engine.images.header import DEFAULT_LIMITS, DICOM_REASON, EXPORT, Limits
from engine.images.image import read_header
from engine.images.listing import DICOM_SUFFIXES
from engine.images.preprocessing import view_size
from engine.text import safe_text

if TYPE_CHECKING:
    from pathlib import Path

    from engine.bundle.model_bundle import InputSpec
    from engine.images.image import MedicalImage
    from engine.results.caution import Caution


def why_not_compliant(path: Path, spec: InputSpec, *, limits: Limits = DEFAULT_LIMITS) -> str:
    """Say why an image file cannot be fed to a model, judging by its header alone; empty if it can.

    Two things show only when the image is read: whether an alpha channel is opaque everywhere (then the image is
    fine), and whether the file ends early. An image with an alpha channel counts as compliant here.

    Returns:
        One sentence that says what is wrong and what is wanted, or "".
    """
    try:
        check_file(path, spec, limits=limits)
    except (ImageError, NotCompliantError) as error:
        text = f"{error.cause}; {error.remedy}." if error.remedy else f"{error.cause}."
        return safe_text(text[0].upper() + text[1:])
    return ""


def check_file(path: Path, spec: InputSpec, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Check an image file's header as `why_not_compliant` does, without decoding it.

    Raises:
        ImageError: the file cannot be read as an image.
        NotCompliantError: it can be read, but not fed to this model.
    """
    try:
        header = read_header(path, limits=limits)
    except ImageError as error:
        # For a .dcm file without DICOM's mark, "not a PNG, JPEG, ..." would be true but no help.
        if path.suffix.lower() in DICOM_SUFFIXES and error.cause != DICOM_REASON and _present(path):
            raise ImageError(DICOM_REASON, subject=path, remedy=EXPORT, code="unsupported") from error
        raise
    _check_size(header.height, header.width, path, spec, limits)


def check_compliance(image: MedicalImage, spec: InputSpec) -> None:
    """Check that a decoded image can be fed to a model.

    Raises:
        NotCompliantError: its size is not what the model needs, or a value is beyond its significant bits.
    """
    _check_size(image.height, image.width, image.path, spec, DEFAULT_LIMITS)
    check_bits(image, spec)


def input_warnings(image: MedicalImage, spec: InputSpec) -> tuple[Caution, ...]:
    """Return what is doubtful about feeding a compliant image to a model; empty if nothing is."""
    return (*image.warnings, *bits_warnings(image, spec))


def _check_size(height: int, width: int, path: Path, spec: InputSpec, limits: Limits) -> None:
    is_size = f"the image is {width} x {height} pixels (width x height)"
    if spec.exact_size and (height, width) != spec.size:
        wanted = f"{spec.size[1]} x {spec.size[0]}"
        raise NotCompliantError(
            f"{is_size}, and the model takes {wanted} only",
            subject=path,
            remedy=f"resize it to {wanted} pixels",
            code="size",
        )
    if spec.minimum_size is not None and (height < spec.minimum_size[0] or width < spec.minimum_size[1]):
        wanted = f"{spec.minimum_size[1]} x {spec.minimum_size[0]}"
        raise NotCompliantError(
            f"{is_size}, and the model needs at least {wanted}",
            subject=path,
            remedy="use an image of higher resolution",
            code="size",
        )
    # `fit` pads to the shape of the model's input: 10 x 60,000 pixels become 3.6 thousand million for a square input.
    rows, columns = view_size(height, width, spec)
    if rows * columns > limits.pixels:
        raise NotCompliantError(
            f"{is_size}, and padded to the shape of the model's input it would have {rows * columns:,} pixels",
            subject=path,
            remedy="use an image that is less narrow",
            code="shape",
        )


def _present(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False
