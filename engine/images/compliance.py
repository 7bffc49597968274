"""Whether an image can be fed to a model without inventing content; the reason if not is a sentence.

Colours and depths are no obstacle: a grey image is fed to an RGB model by repeating its channel, an RGB image to a
grey model as its luma (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B), 8 and 16 bit are scaled to [0, 1]. A model that
declares one channel thereby accepts colour images and looks at their brightness alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ImageError, NotCompliantError
from engine.images.folder import DICOM_SUFFIXES
from engine.images.geometry import view_size
from engine.images.header import DEFAULT_LIMITS, DICOM_REASON, EXPORT, Limits, read_header

if TYPE_CHECKING:
    from pathlib import Path

    from engine.bundle import InputSpec
    from engine.images.raster import MedicalImage


def why_not_compliant(path: Path, spec: InputSpec, *, limits: Limits = DEFAULT_LIMITS) -> str:
    """Why an image file cannot be fed to a model, from its header alone; empty if it can.

    What only the pixels tell is found when the image is read: whether an alpha channel is opaque everywhere (then the
    image is fine) or not, and whether the file ends early. An image with an alpha channel is compliant here.

    Returns:
        One sentence that names what is wrong and what is wanted, or "".
    """
    try:
        header = read_header(path, limits=limits)
    except ImageError as error:
        if path.suffix.lower() in DICOM_SUFFIXES and error.cause != DICOM_REASON and _present(path):
            return _sentence(DICOM_REASON, EXPORT)
        return _sentence(error.cause, error.remedy)
    return _sentence(*_why_not(header.height, header.width, spec, limits))


def check_compliance(image: MedicalImage, spec: InputSpec, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Check that an image that was read can be fed to a model.

    Raises:
        NotCompliantError: its size is not what the model asks for.
    """
    cause, remedy = _why_not(image.height, image.width, spec, limits)
    if cause:
        raise NotCompliantError(cause, subject=image.path, remedy=remedy)


def _why_not(height: int, width: int, spec: InputSpec, limits: Limits) -> tuple[str, str | None]:
    is_size = f"the image is {width} x {height} pixels (width x height)"
    if spec.exact_size and (height, width) != spec.size:
        wanted = f"{spec.size[1]} x {spec.size[0]}"
        return f"{is_size}, and the model takes {wanted} only", f"bring it to {wanted} pixels"
    if spec.minimum_size is not None and (height < spec.minimum_size[0] or width < spec.minimum_size[1]):
        wanted = f"{spec.minimum_size[1]} x {spec.minimum_size[0]}"
        return f"{is_size}, and the model needs at least {wanted}", "use an image of higher resolution"
    rows, columns = view_size(height, width, spec)
    if rows * columns > limits.pixels:
        return (
            f"{is_size}, and padded to the shape of the model's input it would have {rows * columns:,} pixels",
            "use an image that is less narrow",
        )
    return "", None


def _present(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def _sentence(cause: str, remedy: str | None) -> str:
    from engine.text import safe_text

    if not cause:
        return ""
    text = f"{cause}; {remedy}." if remedy else f"{cause}."
    return safe_text(text[0].upper() + text[1:])
