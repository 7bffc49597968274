"""One frame's pixels, in the decoding process: decoded, in RGB, or as values after the modality LUT."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ImageError
from engine.images.decoding.budget import TooMuchWorkError
from engine.images.dicom.codecs import check_frame, damaged, decoder_of
from engine.images.dicom.facts import DicomFacts
from engine.images.dicom.header import scaling
from engine.images.dicom.opening import AGAIN, OpenedDicom, bytes_left
from engine.images.header import EXPORT, SMALLER, Limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom.pixels.decoders.base import Decoder

    Samples = NDArray[np.unsignedinteger] | NDArray[np.float32]

_KEYWORDS = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData", 0x0010: "PixelData"}
_LONG = (b"OB", b"OW", b"OF", b"OD", b"UN")
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where the pixel data lies: what holds it, where its value begins, how long that is, and of which type."""

    keyword: str
    begin: int
    length: int
    kind: str


def check_size(facts: DicomFacts, path: Path, limits: Limits) -> None:
    """Check that a frame is not larger than what is decoded.

    Raises:
        ImageError: it is.
    """
    pixels = facts.rows * facts.columns
    if pixels > limits.pixels:
        raise ImageError(
            f"the picture has {facts.columns:,} x {facts.rows:,} = {pixels:,} pixels; at most {limits.pixels:,} are "
            "read",
            subject=path,
            remedy=SMALLER,
            code="too-large",
        )


def frame_pixels(opened: OpenedDicom, facts: DicomFacts, path: Path, limits: Limits) -> tuple[Samples, DicomFacts]:
    """Decode a frame.

    Args:
        opened: the file.
        facts: of the frame.
        path: the file's name, for errors.
        limits: beyond which it is refused.

    Returns:
        (H, W, C) pixels, C 1 or 3: uint8 or uint16 where these hold the values, else float32; and the facts with what
        only the pixels tell.

    Raises:
        ImageError: they cannot be decoded. Nothing that stands in the file is part of the error.
    """
    check_size(facts, path, limits)
    decoder = decoder_of(opened.syntax, facts.coding, path)
    if facts.photometric in ("YBR_FULL", "YBR_FULL_422") and facts.allocated > 8:
        raise _colours(facts, path)
    try:
        stored = _place(opened)
        _check_room(opened, facts, stored, path)
        if stored.length == _UNDEFINED:
            check_frame(_compressed(opened, facts, stored), opened.syntax, path, limits.seconds)
        array, photometric = _decoded(opened, facts, stored, decoder)
        if array.shape[:2] != (facts.rows, facts.columns):
            raise damaged("it has another size than its header says", path)
        if facts.photometric == "PALETTE COLOR":
            array, facts = _with_palette(array, opened, facts, path)
        elif array.ndim == 3 or not facts.grey:
            if photometric != "RGB" or array.shape[2:] != (3,):
                raise _colours(facts, path)
        else:
            array = _values(array, opened)
            if stored.keyword != "PixelData":
                array, facts = _floats(array, facts, path)
        return _compact(array if array.ndim == 3 else array[..., None], path), facts
    except (ImageError, MemoryError):
        raise
    except TooMuchWorkError as error:
        raise ImageError(str(error), subject=path, remedy=AGAIN, code="too-slow") from error
    except NotImplementedError as error:  # pydicom's word for what it does not convert
        raise _colours(facts, path) from error
    # Given hostile bytes, a decoder may raise anything, and what it says may quote them.
    except Exception as error:
        as_what = f"it cannot be decoded as {facts.coding}" if facts.coding else "it cannot be decoded"
        raise damaged(as_what, path) from error


def _place(opened: OpenedDicom) -> _Stored:
    """Return where the pixel data lies; the file then stands at the beginning of its value."""
    head = opened.file.read(8)
    order = "<" if head[:2] == b"\xe0\x7f" else ">"
    element = struct.unpack(f"{order}H", head[2:4])[0]
    # Not by the transfer syntax: some devices write implicit value types whatever the syntax says.
    explicit = head[4:6] in _LONG
    length = struct.unpack(f"{order}I", opened.file.read(4) if explicit else head[4:])[0]
    return _Stored(_KEYWORDS[element], opened.file.tell(), length, head[4:6].decode() if explicit else "OW")


def _check_room(opened: OpenedDicom, facts: DicomFacts, stored: _Stored, path: Path) -> None:
    """Check that uncompressed pixel data is all there, before room is made for it.

    Raises:
        ImageError: it is not.
    """
    left = bytes_left(opened.file)
    if stored.length == _UNDEFINED:
        return
    samples = int(opened.dataset.get("SamplesPerPixel") or 1)
    whole = facts.rows * facts.columns * samples * facts.allocated
    if facts.photometric == "YBR_FULL_422":
        whole = whole * 2 // 3
    if min(left, stored.length) * 8 < whole * facts.frame or stored.length > left:
        raise damaged("it ends early", path)


def _compressed(opened: OpenedDicom, facts: DicomFacts, stored: _Stored) -> bytes:
    """Return a frame as it is stored; the file is left at the beginning of the pixel data."""
    from pydicom.encaps import get_frame

    table = opened.dataset.get("ExtendedOffsetTable"), opened.dataset.get("ExtendedOffsetTableLengths")
    offsets: Any = table if all(table) else None
    data = get_frame(opened.file, facts.frame - 1, extended_offsets=offsets, number_of_frames=facts.frames)
    opened.file.seek(stored.begin)
    return data


def _decoded(opened: OpenedDicom, facts: DicomFacts, stored: _Stored, decoder: Decoder) -> tuple[NDArray[Any], str]:
    """Return the frame as pydicom decodes it, YBR as RGB, and its photometric interpretation then."""
    from pydicom.pixels.utils import as_pixel_options
    from pydicom.uid import UID

    options = as_pixel_options(opened.dataset, number_of_frames=facts.frames, pixel_keyword=stored.keyword)
    options["photometric_interpretation"] = facts.photometric
    options["transfer_syntax_uid"] = UID(opened.syntax)
    if stored.keyword == "PixelData":
        options["pixel_vr"] = stored.kind
    array, told = decoder.as_array(
        opened.file,
        index=facts.frame - 1,
        raw=False,
        **options,
    )
    return array, str(told["photometric_interpretation"])


def _values(array: NDArray[Any], opened: OpenedDicom) -> NDArray[Any]:
    """Return values after the modality LUT or the rescale (PS3.3, C.11.1), a dose in its unit, or shares."""
    from pydicom.pixels.processing import apply_modality_lut

    if (factor := scaling(opened.dataset)) is not None:
        return array.astype("float64") * factor
    return apply_modality_lut(array, opened.dataset)


def _floats(array: NDArray[Any], facts: DicomFacts, path: Path) -> tuple[NDArray[Any], DicomFacts]:
    """Return floating-point values with their range.

    Raises:
        ImageError: one is NaN or infinite, which no network takes.
    """
    import numpy as np

    if not np.isfinite(array).all():
        raise ImageError("some of its values are no numbers", subject=path, remedy=EXPORT, code="unsupported")
    return array, replace(facts, low=float(array.min()), high=float(array.max()))


def _with_palette(
    array: NDArray[Any], opened: OpenedDicom, facts: DicomFacts, path: Path
) -> tuple[NDArray[Any], DicomFacts]:
    """Return a palette's colours, and the facts with their depth."""
    import numpy as np
    from pydicom.pixels.processing import apply_color_lut

    colours = apply_color_lut(array, opened.dataset)
    if colours.shape[2] == 4:
        if int(colours[..., 3].min()) != np.iinfo(colours.dtype).max:
            raise ImageError(
                "parts of the picture are transparent, and what lies behind them is not known",
                subject=path,
                remedy=EXPORT,
                code="transparent",
            )
        colours = colours[..., :3]
    bits = 8 * colours.dtype.itemsize
    return colours, replace(facts, bits=bits, low=0.0, high=float(2**bits - 1))


def _compact(array: NDArray[Any], path: Path) -> Samples:
    """Return unsigned integers of 8 or 16 bits as they are, and all other values as float32.

    Raises:
        ImageError: one is beyond what float32 holds.
    """
    import numpy as np

    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return np.ascontiguousarray(array)
    values = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ImageError("some of its values are too large", subject=path, remedy=EXPORT, code="unsupported")
    return values


def _colours(facts: DicomFacts, path: Path) -> ImageError:
    stored = f"{facts.photometric or 'not named'}, {facts.bits} bits"
    return ImageError(
        f"colours as it stores them are not supported ({stored})", subject=path, remedy=EXPORT, code="unsupported"
    )
