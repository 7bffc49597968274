"""Reads picture files into images, the only place that does. Their bytes are decoded in a separate process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import ImageError
from engine.images.dicom.reading import frames_to_name, read_facts, starts_as_dicom
from engine.images.header import DEFAULT_LIMITS, DICOM, NIFTI, SMALLER, Header, Limits, check_bytes
from engine.images.nifti.reading import read_facts as read_slice_facts
from engine.images.nifti.reading import slices_to_name, starts_as_nifti
from engine.images.parts import file_of, named_beside
from engine.storage.reading import UnusableFileError, check_regular, open_regular, read_limited

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from engine.images.dicom.facts import DicomFacts
    from engine.images.dicom.origin import DicomOrigin
    from engine.images.in_memory import Tensor
    from engine.images.nifti.facts import NiftiFacts
    from engine.images.scan import ScanFacts
    from engine.results.caution import Caution

Colour = Literal["grey", "rgb"]

__all__ = ["DEFAULT_LIMITS", "Colour", "Limits", "MedicalImage", "read_image"]


@dataclass(frozen=True, slots=True)
class FileBits:
    """What is known about the significant bits of an image, whatever network it is fed to.

    Attributes:
        declared: how many the file declares, if its values agree; None if it declares none.
        denied: how many the file declares although its values are higher; None if that is not so.
        likely: how many its values alone suggest if that is fewer than a sample has; None if all look used.
        marked: whether they suggest it apart from the highest value that a sample can have, as marks in the image have.
        user: how many the user said; None if nothing was said.
        inverted: whether the file has 0 as white, so that its values were inverted when it was read.
    """

    declared: int | None = None
    denied: int | None = None
    likely: int | None = None
    marked: bool = False
    user: int | None = None
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class MedicalImage:
    """A decoded image, as read: no scaling, no colour conversion beyond palette and opaque alpha.

    Attributes:
        pixels: (H, W, C) float32, C 1 or 3, in `value_range`, read-only. Of a grey DICOM image these are the values
            after the modality LUT, such as HU, of a NIfTI slice those after slope and intercept; the window is part of
            the preprocessing.
        bit_depth: 8 or 16; of a DICOM or NIfTI image how many bits a stored sample takes: also 1, 32 or 64.
        colour: `grey` (C = 1) or `rgb` (C = 3).
        path: the file it came from; of an image in memory its name.
        sha256: hex digest of shape, depth and decoded pixels.
        metadata: allow-listed facts about the file (`format`, `orientation`, ...), safe to show.
        warnings: what is doubtful about the pixels whatever network they are fed to.
        bits: what is known about how many bits of a sample are significant.
        dicom: what is kept of a DICOM header; None for other images.
        nifti: what is kept of the header of a NIfTI volume of which it is a slice; None for other images.

    An image comes from a file by `read_image`, or from memory by `from_array`, `from_pil` or `from_tensor`. The same
    pixels have the same `sha256` on either way.
    """

    pixels: NDArray[np.float32]
    bit_depth: int
    colour: Colour
    path: Path
    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Caution, ...] = ()
    bits: FileBits = FileBits()
    dicom: DicomFacts | None = None
    nifti: NiftiFacts | None = None

    @classmethod
    def from_array(cls, array: NDArray[np.generic], *, bits: int | None = None, name: str = "array") -> MedicalImage:
        """Make an image of a numpy array, which is copied.

        Channels come last: an array of (3, H, W) is refused, unless its last axis has 3 values, too.

        Args:
            array: (H, W), (H, W, 1) or (H, W, 3); uint8, uint16, or floats from 0 to 1. Floats that are 8- or 16-bit
                values divided by 255 or 65,535 give the same image as these; others are kept as they are.
            bits: how many bits of the integers are significant, as for `read_image`.
            name: what to call the image, in place of a file's name.

        Raises:
            ImageError: an array of another shape or type, values out of range or NaN, or more pixels than are read.
            ValueError: `bits` is no number from 1 to 16.
        """
        from engine.images.in_memory import image_from_array

        return image_from_array(array, bits=bits, name=name)

    @classmethod
    def from_pil(cls, picture: Image.Image, *, bits: int | None = None, name: str | None = None) -> MedicalImage:
        """Make an image of a PIL picture, as `read_image` would of its file.

        Args:
            picture: grey or RGB of 8 bits, grey of 16 bits, or floats from 0 to 1; of a palette the colours are taken.
            bits: how many bits of the integers are significant, as for `read_image`.
            name: what to call the image; None for the name of the picture's file, if PIL knows it.

        Raises:
            ImageError: transparent pixels, several frames, a mode that is neither grey nor RGB, or a picture that is
                not upright yet.
            ValueError: `bits` is no number from 1 to 16.
        """
        from engine.images.in_memory import image_from_pil

        return image_from_pil(picture, bits=bits, name=name)

    @classmethod
    def from_tensor(cls, tensor: Tensor, *, bits: int | None = None, name: str = "tensor") -> MedicalImage:
        """Make an image of a torch tensor, as torchvision reads or converts images: before it is normalised.

        Channels come first: a tensor of (H, W, 3) is refused, unless its first axis has 1 or 3 values, too.

        Args:
            tensor: (H, W), (1, H, W) or (3, H, W), on any device; types and values as for `from_array`.
            bits: how many bits of the integers are significant, as for `read_image`.
            name: what to call the image, in place of a file's name.

        Raises:
            ImageError: a tensor of another shape or type, values out of range or NaN, or more pixels than are read.
            ValueError: `bits` is no number from 1 to 16.
        """
        from engine.images.in_memory import image_from_tensor

        return image_from_tensor(tensor, bits=bits, name=name)

    @property
    def scan(self) -> ScanFacts | None:
        """What DICOM and NIfTI images have in common: a window, and a place in a patient; None for pictures."""
        return self.nifti if self.dicom is None else self.dicom

    @property
    def array(self) -> NDArray[np.unsignedinteger] | NDArray[np.float32]:
        """The pixels for other libraries, a copy: (H, W) or (H, W, 3), uint8 or uint16.

        An image that was made of floats that are neither has them back, from 0 to 1, and a DICOM or NIfTI image whose
        values are neither has these, such as HU, as float32. `PIL.Image.fromarray` takes 8-bit arrays.
        """
        import numpy as np

        values = self.pixels[:, :, 0] if self.colour == "grey" else self.pixels
        if self.scan is not None and not 0 <= float(values.min()) <= float(values.max()) < 2 ** min(self.bit_depth, 16):
            return values.copy()
        whole: NDArray[np.unsignedinteger] = values.astype(np.uint16)
        if self.bit_depth == 8:
            whole = values.astype(np.uint8)
        if np.array_equal(whole, values):
            return whole
        if self.scan is not None:
            return values.copy()
        return np.asarray(values / np.float32(2**self.bit_depth - 1), dtype=np.float32)

    @property
    def public_name(self) -> str:
        """What pictures made of it say that it is: its file's name; of a DICOM or NIfTI image, whose file may be named
        after the patient, the first digits of its `sha256`."""
        return self.path.name if self.scan is None else self.sha256[:12]

    @property
    def public_stem(self) -> str:
        """The name of a folder of results: that of its file without the suffix, or as `public_name`."""
        return self.path.stem if self.scan is None else self.public_name

    @property
    def value_range(self) -> tuple[float, float]:
        """The least and the greatest value that a pixel may have."""
        return (0.0, float(2**self.bit_depth - 1)) if self.scan is None else (self.scan.low, self.scan.high)

    @property
    def unit(self) -> str:
        """The unit of its values, as `HU`; empty if they have none or it is not known."""
        return "" if self.scan is None else self.scan.unit

    @property
    def pixel_aspect(self) -> float:
        """The height of a pixel divided by its width: what to draw it by, so that its shape is that of the body."""
        return 1.0 if self.scan is None else self.scan.aspect

    @property
    def letters(self) -> tuple[str, str, str, str] | None:
        """Where in the patient the left, right, upper and lower edges lie, as `R`, `L`, `A`, `P`; None if not known."""
        return None if self.scan is None else self.scan.letters

    @property
    def side(self) -> str:
        """Which side of the body it shows, as `left`; empty if not known."""
        return self.metadata.get("laterality", "")

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.pixels.shape[1])


def read_image(path: Path, *, limits: Limits = DEFAULT_LIMITS, bits: int | None = None) -> MedicalImage:
    """Decode a PNG, JPEG, TIFF, BMP or WebP image of 8 or 16 bit, grey or RGB, a DICOM image, or a NIfTI slice.

    The content decides the format, not the suffix. A picture's bytes are read once. Its EXIF orientation is applied.
    Fewer than 8 bits are scaled to 0..255; a palette becomes RGB, or grey if all the colours in use are grey; an alpha
    channel that is opaque everywhere is dropped. Nothing else is done to the values: no gamma, no colour profile, no
    stretch. Of a DICOM image, colours become RGB and grey values those after the modality LUT, such as HU;
    of a slice they are those after slope and intercept, and it is turned as radiologists expect it.

    Args:
        path: the file; of a DICOM file with several frames `name#frame`, such as `scan.dcm#3`; of a NIfTI file
            `name#plane:slice`, such as `brain.nii.gz#axial:42` (see `engine.images.nifti.recognising.Slice`).
        limits: beyond which it is refused.
        bits: how many bits of a sample are significant, 1 to 16, if the user says so; it goes before what the bundle
            and the file say. The pixels stay as they are; `engine.images.bits` scales them.

    Raises:
        ImageError: the file is missing, unreadable, not a regular file, not in one of these formats, beyond the limits
            or damaged; or it is of a kind that cannot be fed to a network without inventing content: any transparency
            (what is behind it is unknown), further channels, CMYK, Lab, several pages, frames or slices; of pictures
            that are neither DICOM nor NIfTI also floating point, signed or 32 bit.
        ValueError: `bits` is no number from 1 to 16.
    """
    import numpy as np

    from engine.images.bits import file_bits, viewing
    from engine.images.decoding.client import decode_separately

    if bits is not None and not 1 <= bits <= 16:
        raise ValueError(f"bits must be from 1 to 16, not {bits}")
    if starts_as_dicom(path):
        return _read_dicom(path, limits, bits)
    if starts_as_nifti(path):
        return _read_nifti(path, limits, bits)
    _check_part(path)
    try:
        data = read_limited(path, limits.bytes)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy or SMALLER, code=error.code) from error
    check_bytes(len(data), path, limits)
    array, header, warnings = decode_separately(data, path, limits)
    channels = array.shape[2]
    pixels = array.astype(np.float32)
    pixels.setflags(write=False)
    known = file_bits(array, header, bits)
    facts = _metadata(header, channels)
    if shown := viewing(known.user or known.declared or header.bit_depth):
        facts["viewing"] = shown
    return MedicalImage(
        pixels=pixels,
        bit_depth=header.bit_depth,
        colour="grey" if channels == 1 else "rgb",
        path=path,
        sha256=pixels_sha256(array, header.bit_depth),
        metadata=facts,
        warnings=warnings,
        bits=known,
    )


def _read_dicom(path: Path, limits: Limits, bits: int | None) -> MedicalImage:
    from engine.images.dicom.reading import cautions, read_frame, shown_facts

    array, facts = read_frame(path, limits)
    shown = {"format": DICOM, **_colours(facts), **shown_facts(facts)}
    return replace(_scanned(array, facts, path, bits), metadata=shown, warnings=cautions(facts), dicom=facts)


def _read_nifti(path: Path, limits: Limits, bits: int | None) -> MedicalImage:
    from engine.images.nifti.reading import cautions, read_slice, shown_facts

    array, facts = read_slice(path, limits)
    shown = {"format": NIFTI, **_colours(facts), **shown_facts(facts)}
    return replace(_scanned(array, facts, path, bits), metadata=shown, warnings=cautions(facts), nifti=facts)


def _scanned(
    array: NDArray[np.unsignedinteger] | NDArray[np.float32], facts: ScanFacts, path: Path, bits: int | None
) -> MedicalImage:
    """Make an image of the pixels of a DICOM frame or a NIfTI slice, with all but what is told of its header."""
    import numpy as np

    pixels = array.astype(np.float32)
    pixels.setflags(write=False)
    depth = _depth(array, facts)
    return MedicalImage(
        pixels=pixels,
        bit_depth=depth,
        colour="grey" if facts.grey else "rgb",
        path=path,
        sha256=pixels_sha256(array, depth),
        bits=FileBits(declared=facts.bits, user=bits),
    )


def dicom_origin(image: MedicalImage, *, limits: Limits = DEFAULT_LIMITS) -> DicomOrigin:
    """Return what DICOM objects made of an image take over from its file.

    Raises:
        ImageError: the file cannot be read any more, or holds other pixels by now, such as another patient's; or it
            does not say which study it belongs to.
        ValueError: the image did not come as DICOM.
    """
    if image.dicom is None:
        raise ValueError("the image did not come as DICOM")
    from engine.images.dicom.reading import read_origin

    origin, array, facts = read_origin(image.path, limits)
    depth = _depth(array, facts)
    if pixels_sha256(array, depth) != image.sha256:
        raise ImageError(
            "the file holds another image than the one that was explained",
            subject=image.path,
            remedy="explain it again",
            code="changed",
        )
    for said, what in ((origin.study, "study"), (origin.series, "series"), (origin.kind and origin.instance, "object")):
        if not said:
            raise ImageError(
                f"the file does not say which {what} it is{'' if what == 'object' else ' of'}, so no DICOM object can "
                "refer to it",
                subject=image.path,
                remedy="take the file as the archive has it",
                code="nameless",
            )
    return origin


def _depth(array: NDArray[np.unsignedinteger] | NDArray[np.float32], facts: ScanFacts) -> int:
    return 8 * array.dtype.itemsize if array.dtype.kind == "u" else facts.allocated


def _colours(facts: ScanFacts) -> dict[str, str]:
    return {"colour": f"{facts.bits} bit {'grey' if facts.grey else 'RGB'}"}


def _check_part(path: Path) -> None:
    """Check that a path does not name a part that its file does not have: behind a `#`, a frame or a slice.

    Raises:
        ImageError: it does.
    """
    place = named_beside(path)
    if place is None:
        return
    if starts_as_nifti(place):
        said, remedy = "behind the # stands no slice of it", slices_to_name(place)
    elif starts_as_dicom(place):
        said, remedy = "behind the # stands no frame of it", frames_to_name(place)
    else:
        said = "only DICOM files have frames, only NIfTI files have slices, and this is neither"
        remedy = f"name the file alone: {place.name}"
    raise ImageError(said, subject=path, remedy=remedy, code="frame")


def pixels_sha256(array: NDArray[np.unsignedinteger] | NDArray[np.float32], bit_depth: int) -> str:
    """Return the hex digest of an image's shape, depth and (H, W, C) pixels, the same on every machine.

    Args:
        array: the integers as decoded; of an image in memory that has no integers, float32 from 0 to 65535.
        bit_depth: 8 or 16.
    """
    import numpy as np

    height, width, channels = array.shape
    kind = "float" if array.dtype.kind == "f" else ""
    digest = hashlib.sha256(f"{height}x{width}x{channels}:{bit_depth}{kind}:".encode())
    digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _metadata(header: Header, channels: int) -> dict[str, str]:
    facts = {
        "format": header.format,
        "bytes": f"{header.size}",
        "colour": f"{header.bit_depth} bit {'grey' if channels == 1 else 'RGB'}",
    }
    if header.orientation != 1:
        facts["orientation"] = f"turned upright as its EXIF orientation {header.orientation} says"
    if header.alpha == "perhaps":
        facts["alpha"] = "opaque everywhere, dropped"
    return facts


def read_header(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Read a picture's header without decoding any pixel, in the separate process too.

    Raises:
        ImageError: the file is not a readable picture of an allowed format and kind, or is beyond the limits.
    """
    if starts_as_dicom(path):
        return _dicom_header(path, limits)
    if starts_as_nifti(path):
        slice_facts = read_slice_facts(path, limits)
        return replace(_scan_header(NIFTI, slice_facts, path), nifti=slice_facts)
    _check_part(path)
    from engine.images.decoding.client import header_separately

    try:
        descriptor = open_regular(path)
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        size = os.fstat(descriptor).st_size
        check_bytes(size, path, limits)
        return header_separately(file, size, path, limits)


def _dicom_header(path: Path, limits: Limits) -> Header:
    facts = read_facts(path, limits)
    return replace(_scan_header(DICOM, facts, path), dicom=facts)


def _scan_header(form: str, facts: ScanFacts, path: Path) -> Header:
    """Make a header of facts, without them.

    Raises:
        ImageError: the file is gone by now.
    """
    try:
        size = check_regular(file_of(path)).st_size
    except UnusableFileError as error:
        raise ImageError(error.cause, subject=path, remedy=error.remedy, code=error.code) from error
    return Header(
        format=form,
        height=facts.rows,
        width=facts.columns,
        bit_depth=8 if facts.bits <= 8 else 16,
        grey=facts.grey,
        alpha="none",
        orientation=1,
        inverted=facts.inverted,
        size=size,
    )
