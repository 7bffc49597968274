"""Reads a NIfTI header in the decoding process, by nibabel: only its numbers; its free texts are never looked at."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import ImageError
from engine.images.header import Limits
from engine.images.nifti.facts import Kind, Orientation, Sample, VolumeFacts
from engine.images.nifti.recognising import kind_of
from engine.images.scan import letters_of

if TYPE_CHECKING:
    import numpy as np
    from nibabel.nifti1 import Nifti1Header
    from numpy.typing import NDArray

AGAIN = "export or convert it again"
NOT_READ = "the file is damaged, or not NIfTI as the format defines it"
ONE_FILE = "convert the pair to one file, such as by nibabel.save(nibabel.load('x.hdr'), 'x.nii.gz')"

HEADER_BYTES: dict[Kind, int] = {"NIfTI-1": 348, "NIfTI-2": 540}
"""How long a header is; four bytes follow that say whether extensions do."""
MOST_HEADER_BYTES = 540

_SAMPLES: dict[int, Sample] = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    128: "rgb",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
    2304: "rgba",
}
_OTHER_SAMPLES = {
    1: "single bits",
    32: "complex numbers",
    1536: "floating-point numbers of 128 bits",
    1792: "complex numbers",
    2048: "complex numbers",
}
_STATISTICS = range(2, 25)
_LABELS = (1002, 1003)
_VECTORS = (1004, 1005, 1006, 1007, 2003)
_NO_VOXELS = (1008, 1009, 2002, 2005)
"""Intents of points and triangles of a surface, and of what is known at them."""
_CONNECTIVITY = range(3000, 3100)

_TO_MILLIMETRES = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}


@dataclass(frozen=True, slots=True)
class OpenedVolume:
    """A file whose header has been read.

    Attributes:
        facts: what is kept of it.
        offset: where its voxels begin, in bytes, once it is unpacked.
        order: of the bytes of a number, `<` or `>`.
    """

    facts: VolumeFacts
    offset: int
    order: str


def open_volume(start: bytes, path: Path, limits: Limits) -> OpenedVolume:
    """Read a header.

    Args:
        start: the first bytes of the file, unpacked, 540 if there are so many.
        path: its name, for errors.
        limits: beyond which a slice is refused.

    Raises:
        ImageError: it cannot be read, or is of a kind that holds no pictures. Nothing that stands in it is part of the
            error.
    """
    kind = kind_of(start)
    if kind is None:
        raise ImageError(
            "this is a compressed file, which is not supported", subject=path, remedy="unpack it", code="unsupported"
        )
    if kind not in HEADER_BYTES:
        raise half(kind, path)
    load_nibabel(path)
    try:
        opened = _opened(start, kind, path)
    except (ImageError, MemoryError):
        raise
    # A hostile or damaged header may make nibabel raise anything. What it says may quote the header, so it is dropped.
    except Exception as error:
        raise ImageError(NOT_READ, subject=path, remedy=AGAIN, code="damaged") from error
    largest = math.prod(sorted(opened.facts.shape)[1:])
    if largest > limits.pixels:
        raise ImageError(
            f"a slice of it has {largest:,} pixels; at most {limits.pixels:,} are read",
            subject=path,
            remedy="cut the volume down",
            code="too-large",
        )
    return opened


def load_nibabel(path: Path) -> None:
    """Import nibabel, and keep it quiet: what it says may quote the file.

    Raises:
        ImageError: it is not installed.
    """
    try:
        from nibabel import imageglobals
    except ImportError as error:
        raise ImageError(
            "NIfTI files are read by the package nibabel, and it is not installed",
            subject=path,
            remedy="install it: pip install 'xaimed[nifti]'",
            code="codec-missing",
        ) from error
    imageglobals.logger.disabled = True
    warnings.simplefilter("ignore")


def half(kind: str, path: Path) -> ImageError:
    """Return the error for a file that holds a header without voxels, or voxels without a header."""
    return ImageError(f"this is {kind}, which is not supported", subject=path, remedy=ONE_FILE, code="unsupported")


def _opened(start: bytes, kind: Kind, path: Path) -> OpenedVolume:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    length = HEADER_BYTES[kind]
    block = start[:length]
    header = Nifti1Header(block, check=False) if kind == "NIfTI-1" else Nifti2Header(block, check=False)
    intent = int(header["intent_code"])
    _check_intent(intent, path)
    shape, volumes = _shape(header, path)
    sample = _sample(int(header["datatype"]), path)
    offset = int(header.get_data_offset())
    if offset < length:
        raise ValueError("vox_offset")
    slope, intercept = header.get_slope_inter()
    axes, turned, letters, orientation = _lie(header)
    facts = VolumeFacts(
        kind=kind,
        shape=shape,
        volumes=volumes,
        sample=sample,
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        axes=axes,
        reversed=turned,
        letters=letters,
        orientation=orientation,
        sides=_sides(header, axes),
        millimetres=_unit(header) is not None,
        window=_window(header),
        photograph=_photograph(intent),
    )
    return OpenedVolume(facts, offset, str(header.endianness))


def _check_intent(intent: int, path: Path) -> None:
    if intent in _CONNECTIVITY:
        raise ImageError(
            "it holds no pictures, but connectivity or values on a surface (CIFTI)",
            subject=path,
            remedy="choose an image of the same study",
            code="no-pixels",
        )
    if intent in _NO_VOXELS:
        raise ImageError(
            "it holds no pictures, but a surface or values on one",
            subject=path,
            remedy="choose an image of the same study",
            code="no-pixels",
        )


def _shape(header: Nifti1Header, path: Path) -> tuple[tuple[int, int, int], int]:
    """Return the voxels along the three axes of space, and how many volumes there are."""
    sides = tuple(int(side) for side in header.get_data_shape())
    if not sides or min(sides) < 1:
        raise ValueError("dim")
    if math.prod(sides[4:]) > 1:
        raise ImageError(
            f"each of its voxels holds {math.prod(sides[4:]):,} values ({len(sides)} dimensions)",
            subject=path,
            remedy="choose a volume with one value a voxel",
            code="unsupported",
        )
    x, y, z = (*sides[:3], 1, 1)[:3]
    return (x, y, z), sides[3] if len(sides) > 3 else 1


def _sample(code: int, path: Path) -> Sample:
    if (known := _SAMPLES.get(code)) is not None:
        return known
    if (named := _OTHER_SAMPLES.get(code)) is None:
        raise ValueError("datatype")
    raise ImageError(
        f"its voxels are {named}, which are not supported",
        subject=path,
        remedy="save real numbers, such as the magnitude, as float32",
        code="unsupported",
    )


def _lie(
    header: Nifti1Header,
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool], tuple[str, str, str] | None, Orientation]:
    """Return `axes`, `reversed`, `letters` and `orientation` of the facts.

    Raises:
        ValueError: the header's transform is none of space.
    """
    affine = header.get_best_affine()
    axes, turned = _closest(affine)
    # Without either code nibabel takes the file's axes for those of a radiologist; the file says nothing of it.
    if not header["sform_code"] and not header["qform_code"]:
        return axes, turned, None, "unknown"
    disputed = False
    if header["sform_code"] and header["qform_code"]:
        try:
            disputed = _closest(header.get_qform()) != (axes, turned)
        # The quaternion may be senseless. It is not what is believed, but says nothing that agrees, either.
        except Exception:
            disputed = True
    letters: list[str] = []
    for axis, away in zip(axes, turned, strict=True):
        right, front, head = (float(part) for part in affine[:3, axis] / math.hypot(*affine[:3, axis]))
        sign = -1.0 if away else 1.0
        letters.append(letters_of((-right * sign, -front * sign, head * sign)))
    return axes, turned, (letters[0], letters[1], letters[2]), "disputed" if disputed else "known"


def _closest(affine: NDArray[np.floating]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return which of the file's axes runs closest to right, front and head, and whether it runs away from there."""
    import numpy as np
    from nibabel.orientations import io_orientation

    if not np.isfinite(affine).all():
        raise ValueError("affine")
    found = io_orientation(affine)
    if not np.isfinite(found).all():  # a side of no length
        raise ValueError("affine")
    place = [int(axis) for axis in found[:, 0]]
    x, y, z = (place.index(axis) for axis in range(3))
    return (x, y, z), (bool(found[x, 1] < 0), bool(found[y, 1] < 0), bool(found[z, 1] < 0))


def _sides(header: Nifti1Header, axes: Sequence[int]) -> tuple[float, float, float]:
    """Return the sides of a voxel along `axes`, in millimetres where the header's unit is known."""
    import numpy as np
    from nibabel.affines import voxel_sizes

    zooms = [float(zoom) for zoom in header.get_zooms()[:3]]
    zooms += [1.0] * (3 - len(zooms))
    if not all(math.isfinite(zoom) and zoom > 0 for zoom in zooms):
        zooms = [float(size) for size in np.asarray(voxel_sizes(header.get_best_affine()))]
    factor = _unit(header) or 1.0
    x, y, z = (zooms[axis] * factor for axis in axes)
    return x, y, z


def _unit(header: Nifti1Header) -> float | None:
    """Return how many millimetres the header's unit of length has; None if it names none."""
    try:
        return _TO_MILLIMETRES.get(header.get_xyzt_units()[0])
    except KeyError:  # a code of no unit
        return None


def _window(header: Nifti1Header) -> tuple[float, float] | None:
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


def _photograph(intent: int) -> Literal["", "a map of labels", "a statistical map", "a field of vectors"]:
    if intent in _LABELS:
        return "a map of labels"
    if intent in _STATISTICS:
        return "a statistical map"
    return "a field of vectors" if intent in _VECTORS else ""
