"""How many bits of a file's samples are significant, and what its values therefore stand for.

A camera or scanner that measures 12 bits often saves them in samples of 16. Divided by 65,535, such an image reaches
the network 16 times too dark. In order of precedence the number comes from the user, the bundle, the file, and else
from the samples themselves; if the values then look like fewer bits, a warning goes with the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.errors import NotCompliantError
from engine.images.dicom.windows import windowed
from engine.images.image import FileBits
from engine.results.caution import Caution

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.bundle.specs import InputSpec
    from engine.images.header import Header
    from engine.images.image import MedicalImage

Source = Literal["user", "bundle", "file", "guessed", "container"]

_DEVICES = (8, 10, 12, 14, 15)
"""Bits that devices give; 15 are what is left of signed values."""

_WHITEST = 65535
_DEVICE_VALUES = 1 << 15
"""Beyond all values of 15 bits."""

_MARKED_VALUES = 32
"""So many different values, and nothing between them and 65,535, make an image with marks in it."""

_DARKEST = 1 << 12
"""Values below this may be 12 bits as they were measured or, filled up with zeros, a dark image of 16."""


@dataclass(frozen=True, slots=True)
class Bits:
    """How many bits of an image's samples count as significant for a model.

    Attributes:
        used: the number; the values 0 to 2**used - 1 become 0 to 1.
        source: who says so: the `user`, the `bundle` or the `file`. Otherwise it is the whole sample: `container`, or
            `guessed` if the values look like fewer bits.
    """

    used: int
    source: Source


def file_bits(array: NDArray[np.unsignedinteger], header: Header, user: int | None = None) -> FileBits:
    """Return what is known about the significant bits of a decoded picture.

    Args:
        array: (H, W, C) its pixels, uint8 or uint16.
        header: its header.
        user: the number of bits that the user said, if any.
    """
    depth, said = header.bit_depth, header.declared_bits
    highest = 2**depth - 1 - int(array.min()) if header.inverted else int(array.max())
    declared: int | None = None
    denied: int | None = None
    if said is not None:
        if said >= depth:
            declared = depth
        elif highest < 2**said:
            # sBIT is the precision before the values were spread over the whole range, as PNG demands. Only if they are
            # not spread did the program store them as they were.
            spread = header.format == "PNG" and _is_spread(_different(array), depth, said)
            declared = (depth if depth == 8 else None) if spread else said
        elif header.format == "PNG":
            declared = depth
        else:
            denied = said
    likely, marked = _suggested(array, header, highest) if depth == 16 and declared is None else (None, False)
    return FileBits(declared, denied, likely, marked, user, header.inverted)


def _suggested(array: NDArray[np.unsignedinteger], header: Header, highest: int) -> tuple[int | None, bool]:
    """Return `likely` and `marked` for 16-bit samples."""
    marked = highest == _WHITEST
    if not (highest < _DEVICE_VALUES or marked):
        return None, False
    values = _different(array)
    if header.inverted:
        values = _WHITEST - values[::-1]
    if marked:
        values = values[:-1]
        if values.size < _MARKED_VALUES or values[-1] >= _DEVICE_VALUES >> 1:
            return None, False
    if values[-1] == 0 or _is_stretched(values):
        return None, False
    return next(bits for bits in _DEVICES if values[-1] < 1 << bits), marked


def bits_of(image: MedicalImage, spec: InputSpec) -> Bits:
    """Return how many bits of an image's samples count as significant for a model.

    A bundle that declares more bits than a sample has, such as 12 for an image of 8 bits, says nothing about it. A
    DICOM or NIfTI image has those that it declares.
    """
    known, depth = image.bits, image.bit_depth
    if image.scan is not None:
        return Bits(image.scan.bits, "file")
    if known.user is not None:
        return Bits(known.user, "user")
    if spec.bits is not None and spec.bits <= depth:
        return Bits(spec.bits, "bundle")
    if known.declared is not None:
        return Bits(known.declared, "file")
    return Bits(depth, "container" if known.likely is None and known.denied is None else "guessed")


def check_bits(image: MedicalImage, spec: InputSpec) -> None:
    """Check that no value of an image is beyond its significant bits.

    Raises:
        NotCompliantError: one is, the user said more bits than a sample has, or any of a DICOM or NIfTI image.
    """
    if image.scan is not None:
        if image.bits.user is None:
            return
        raise NotCompliantError(
            f"a {'NIfTI' if image.dicom is None else 'DICOM'} file says itself how many bits are significant, and its "
            "window scales its values",
            subject=image.path,
            remedy="leave out --bits for this image",
            code="bits",
        )
    bits, depth = bits_of(image, spec), image.bit_depth
    if bits.used == depth:
        return
    if bits.used > depth:
        raise NotCompliantError(
            f"its samples have {depth} bits, not the {bits.used} that --bits says",
            subject=image.path,
            remedy="leave out --bits for this image",
            code="bits",
        )
    highest = _highest(image)
    if highest >= 2**bits.used:
        named = "--bits says" if bits.source == "user" else "the model's settings say (bits under [input])"
        raise NotCompliantError(
            f"its highest value is {highest:,}, and the {bits.used} bits that {named} end at {2**bits.used - 1:,}",
            subject=image.path,
            remedy=f"give {'the right number' if bits.source == 'user' else 'this image its own number'} with --bits",
            code="bits",
        )


def bits_warnings(image: MedicalImage, spec: InputSpec) -> tuple[Caution, ...]:
    """Return the doubts about an image's significant bits; empty if the user, the bundle or the file settles them."""
    bits, known = bits_of(image, spec), image.bits
    if bits.source != "guessed":
        return ()
    highest, used, likely = f"{_highest(image):,}", bits.used, known.likely
    taken = f"All {used} bits of a sample were taken for significant"
    if likely is None or known.denied is not None:
        return (
            Caution(
                "bits",
                f"The file declares {known.denied} significant bits, but its highest value is {highest}. {taken}; "
                "--bits, or bits under [input] in model.toml, settles it.",
            ),
        )
    looks = f"The highest value is {highest}"
    settle = f"Say which is right: --bits {likely} or --bits {used}, or bits under [input] in model.toml."
    if known.marked:
        looks = f"Apart from {highest}, which marks in an image have, no value is beyond {2**likely - 1:,}"
        settle = f"If {used} is right, say --bits {used}, or bits under [input] in model.toml; else remove the marks."
    times = round((2**used - 1) / (2**likely - 1))
    return (
        Caution(
            "bits",
            f"{looks}, as in an image of {likely} bits. {taken}, so the model may have seen it {times} times too dark. "
            f"{settle}",
        ),
    )


def unit_values(image: MedicalImage, spec: InputSpec) -> NDArray[np.float32]:
    """Return an image's values as (H, W, C) float32, with the range of its significant bits as 0 to 1.

    Those of a DICOM or NIfTI image go through its window, see `engine.images.dicom.windows`.
    """
    if image.scan is not None:
        return windowed(image, spec)
    zero, top = value_span(image, spec)
    values = image.pixels if zero == 0 else image.pixels - np.float32(zero)
    return values / np.float32(top)


def shown_values(image: MedicalImage, spec: InputSpec) -> NDArray[np.uint8]:
    """Return an image's values for people, as (H, W, C) uint8: the range of its significant bits as 0 to 255.

    They are divided and rounded, which is no stretch of contrast: a dark image stays dark. Those of a DICOM or NIfTI
    image go through its window.
    """
    if image.scan is not None:
        return np.round(windowed(image, spec) * np.float32(255)).astype(np.uint8)
    zero, top = value_span(image, spec)
    if top == 255 and zero == 0:
        values = image.pixels
    else:
        values = np.round((image.pixels - np.float32(zero)) / np.float32(top / 255))
    return values.clip(0, 255).astype(np.uint8)


def viewing(bits: int) -> str | None:
    """Return how values of so many significant bits are divided for people to look at; None if they are not."""
    if bits == 8:
        return None
    divisor = f"{(2**bits - 1) / 255:.6g}"
    return f"shown with its values divided by {divisor} ({bits} to 8 bit), without a change of contrast"


def value_span(image: MedicalImage, spec: InputSpec) -> tuple[int, int]:
    """Return the value that becomes 0, and how far above it lies the one that becomes 1."""
    top = 2 ** bits_of(image, spec).used - 1
    # Where 0 was white, the file's values end at the upper end of the range.
    return (2**image.bit_depth - 1 - top if image.bits.inverted else 0), top


def _highest(image: MedicalImage) -> int:
    """Return the highest value as the file has it."""
    return 2**image.bit_depth - 1 - int(image.pixels.min()) if image.bits.inverted else int(image.pixels.max())


def _is_spread(values: NDArray[np.int64], depth: int, bits: int) -> bool:
    """Return whether all values are those of `bits` bits spread over the whole range, in one of the usual ways."""
    original = np.arange(2**bits, dtype=np.int64)
    full, top = 2**depth - 1, 2**bits - 1
    shifted = original << (depth - bits)
    repeated, have = shifted, bits
    while have < depth:
        repeated = repeated | (shifted >> have)
        have += bits
    ways = (shifted, repeated, (original * full + top // 2) // top, original * full // top)
    return any(bool(np.isin(values, way).all()) for way in ways)


def _is_stretched(values: NDArray[np.int64]) -> bool:
    """Return whether the values of 16-bit samples are those of fewer bits stretched to the whole range.

    Then the whole range is right, however dark the image is. Low values tell nothing, except for 8 bits: 16, 32, 48 are
    three dark values of 12 bits or three that were 8 bits on their way to 12.
    """
    if bool((values % 257 == 0).all()):
        return True
    return bool(values[-1] >= _DARKEST) and any(_is_spread(values, 16, bits) for bits in (8, 10, 12))


def _different(array: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """Return the different values, in order."""
    seen = np.zeros(np.iinfo(array.dtype).max + 1, dtype=bool)
    seen[array.ravel()] = True
    return np.flatnonzero(seen).astype(np.int64)
