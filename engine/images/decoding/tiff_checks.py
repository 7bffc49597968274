"""What a TIFF holds beyond its first page, and kinds of pixels that are not read: each is refused by its name."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from engine.errors import ImageError
from engine.images.decoding import tiff_tags as tiff
from engine.images.header import GREY_OR_RGB
from engine.results.caution import Caution

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.images.decoding.tiff_tags import Tags

_READ = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32809, 32946, 34925, 50000, 50001})
"""TIFF's numbers for the compressions that decoders here may know."""

_COMPRESSIONS = {
    1: "no compression",
    2: "CCITT RLE",
    3: "CCITT Group 3",
    4: "CCITT Group 4",
    5: "LZW",
    6: "old-style JPEG",
    7: "JPEG",
    8: "Deflate",
    9: "JBIG",
    10: "JBIG",
    22610: "JPEG XR",
    32773: "PackBits",
    32809: "ThunderScan",
    32909: "PixarLog",
    32946: "Deflate",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    33007: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    34712: "JPEG 2000",
    34713: "Nikon NEF",
    34715: "JBIG2",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34925: "LZMA",
    34926: "Zstandard",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Names of TIFF's compressions."""

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {
    4: "a transparency mask",
    _LAB: "in CIE L*a*b* (LAB) colours",
    9: "in ICC L*a*b* (LAB) colours",
    10: "in ITU L*a*b* (LAB) colours",
    32803: "the raw mosaic of a camera's sensor",
    32844: "in LogL values",
    32845: "in LogLuv colours",
    34892: "the raw values of a camera's sensor",
    51177: "a depth map",
    52527: "a mask of semantic regions",
}
"""What TIFF's PhotometricInterpretation calls kinds of pictures that are not read."""

_BASE = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _YCBCR: 3}
"""Samples of a pixel, further ones aside."""

_ALPHA = (1, 2)
"""ExtraSamples: associated and unassociated alpha. 0 is unspecified."""

UNCOMPRESS = "save it again as TIFF with LZW, Deflate or no compression, or as PNG"
ONE_PICTURE = "export the one to look at as a file of its own"
_PNG_OF_ITS_OWN = "export the one to look at as a PNG"


def check_tags(tags: Tags, size: int, path: Path) -> None:
    """Check that a TIFF's first page is one picture, grey or RGB, of a depth and compression that are read.

    Args:
        tags: of the first page.
        size: of the file, in bytes.
        path: its name, for errors.

    Raises:
        ImageError: it is not.
    """
    _check_values(tags, path)
    _check_one_picture(tags, size, path)
    _check_colours(tags, path)
    _check_depth(tags, path)
    _check_compression(tags, path)


def doubts(tags: Tags) -> tuple[Caution, ...]:
    """Return what is doubtful about a TIFF that `check_tags` let pass: a description of pictures that are not there."""
    count = _described(tags)
    if count < 2:
        return ()
    return (
        Caution(
            "stack",
            f"The file's description speaks of {count:,} pictures, but there is only one in the file, which was taken.",
        ),
    )


def eight_bit_palette(tags: Tags) -> bytes | None:
    """Return the red, then the green, then the blue values of a palette with 8-bit entries; None if it has others.

    The TIFF standard wants 16-bit entries. Many programs write 8-bit ones, and libtiff takes them for such if none
    exceeds 255.
    """
    entries, bits = tags.numbers.get(tiff.COLOUR_MAP, ()), tags.first(tiff.BITS, 1)
    if tags.first(tiff.PHOTOMETRIC, -1) != _PALETTE or bits > 8 or len(entries) != 3 << bits:
        return None
    return bytes(entries) if 0 <= min(entries) <= max(entries) <= 255 else None


def declared_bits(tags: Tags) -> int | None:
    """Return the significant bits of a sample that a TIFF declares, fewer than a sample has; None if it declares none.

    MaxSampleValue is the highest value used. 4,095 says 12 bits; 3,046 may as well be the highest value that happens to
    occur, so only a full number of bits counts. OME-XML says SignificantBits. All bits of a sample are what programs
    write that know nothing about it.
    """
    depth, colours = tags.first(tiff.BITS, 1), tags.first(tiff.PHOTOMETRIC, -1)
    # A palette's values are no samples, and those of YCbCr not the picture's. Those below 8 bits are spread when
    # they are read, and those of 8 bits inverted if 0 is white.
    if colours not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or depth < (16 if colours == _WHITE_IS_ZERO else 8):
        return None
    said = [int(pixels.get("SignificantBits", 0)) for pixels in _ome_pixels(tags)]
    highest = max((*tags.numbers.get(tiff.HIGHEST, ()), *tags.numbers.get(tiff.HIGHEST_TOO, ())), default=0)
    if highest == 2 ** highest.bit_length() - 1:
        said.append(highest.bit_length())
    return next((bits for bits in said if 1 <= bits < depth), None)


def _check_values(tags: Tags, path: Path) -> None:
    kinds = set(tags.numbers.get(tiff.SAMPLE_FORMAT, ())) or {1}  # a missing tag means 1, says the standard
    if 3 in kinds or 6 in kinds:  # 1 is unsigned, 2 signed, 3 floating point, 5 and 6 complex
        raise _unsupported("its pixels are floating-point numbers, whose range is not known", path)
    if kinds != {1}:
        raise _unsupported("its pixels are signed or of an unknown kind", path)


def _check_one_picture(tags: Tags, size: int, path: Path) -> None:
    if tiff.DNG_VERSION in tags.counts or (tags.first(tiff.KIND, 0) & 1 and tiff.SUB_DIRECTORIES in tags.counts):
        raise ImageError(
            "its first picture is only a preview of another in the file, as in a camera's raw files",
            subject=path,
            remedy="export the picture itself as PNG or TIFF",
            code="stack",
        )
    count = max(tags.first(tiff.IMAGE_DEPTH, 1), tags.counts.get(tiff.STK_PLANES, 1), _described_by_ome(tags))
    if count < 2:
        count = _described(tags)
        # Other programs keep the description of a stack when they save one of its slices as a file of its own.
        if count > 1 and not _has_room(tags, size):
            return
    if count > 1:
        raise ImageError(
            f"the file holds several pictures (frames, slices or channels): {count:,} behind one page",
            subject=path,
            remedy=_PNG_OF_ITS_OWN,
            code="stack",
        )


def _has_room(tags: Tags, size: int) -> bool:
    """Return whether more than one picture's pixels lie in the file, uncompressed and in a row.

    Programs that write a single page for a stack write its slices so.
    """
    if tags.first(tiff.COMPRESSION, tiff.NONE) != tiff.NONE:
        return False
    bits = tags.first(tiff.BITS, 1) * tags.first(tiff.SAMPLES, 1)
    picture = -(-tags.first(tiff.WIDTH, 0) * bits // 8) * tags.first(tiff.LENGTH, 0)
    return size - tags.begin >= 2 * picture


def _described(tags: Tags) -> int:
    """Return how many pictures ImageJ's or tifffile's description speaks of for the page; 1 if it says nothing."""
    text = tags.description.lstrip()
    if text.startswith("ImageJ="):
        numbers = {name: int(number) for name, number in re.findall(r"^(\w+)=(\d{1,9})[ \r]*$", text, re.MULTILINE)}
        axes = math.prod(max(1, numbers.get(axis, 1)) for axis in ("channels", "slices", "frames"))
        return max(1, numbers.get("images", 1), axes)
    shape = _described_shape(text)
    width, length, samples = tags.first(tiff.WIDTH, 0), tags.first(tiff.LENGTH, 0), tags.first(tiff.SAMPLES, 1)
    for sides in ((length, width, samples), (samples, length, width)):
        page = tuple(side for side in sides if side != 1)
        if shape[len(shape) - len(page) :] == page:
            return math.prod(shape[: len(shape) - len(page)])
    return 1  # a description of something else, such as the picture before it was made smaller


def _described_shape(text: str) -> tuple[int, ...]:
    """Return the shape that tifffile writes into a description, without sides of 1; empty if there is none."""
    if text.startswith("{"):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return ()
        sides = content.get("shape") if isinstance(content, dict) else None
    else:
        found = re.match(r"shape=\((\d{1,10}(?:, *\d{1,10})*),? *\)", text)
        sides = [int(side) for side in found[1].split(",")] if found else None
    if not isinstance(sides, list) or len(sides) > 16 or not all(type(s) is int and 0 < s < 2**31 for s in sides):
        return ()
    return tuple(side for side in sides if side != 1)


def _described_by_ome(tags: Tags) -> int:
    """Return how many planes OME-XML describes, beyond the samples of the page; 1 if there is no OME-XML."""
    planes = 0
    for pixels in _ome_pixels(tags):
        z, t, c = (max(1, int(pixels.get(f"Size{axis}", 1))) for axis in "ZTC")
        planes += z * t * max(1, c // max(1, tags.first(tiff.SAMPLES, 1)))
    return max(1, planes)


def _ome_pixels(tags: Tags) -> list[dict[str, str]]:
    """Return the numbers among the attributes of each Pixels element of OME-XML, by name."""
    elements = (part.partition(">")[0] for part in tags.description.split("<")[1:])  # in linear time
    return [
        dict(re.findall(r"\b([A-Za-z]+)=[\"'](\d{1,9})[\"']", element))
        for element in elements
        if element[:100].split(maxsplit=1)[:1] and element[:100].split(maxsplit=1)[0].rpartition(":")[2] == "Pixels"
    ]


def _check_colours(tags: Tags, path: Path) -> None:
    colours = tags.first(tiff.PHOTOMETRIC, -1)
    if tags.first(tiff.COMPRESSION, tiff.NONE) == tiff.OLD_JPEG:
        return  # it has its colours in the JPEG
    if colours == _CMYK:
        raise _unsupported("it is in CMYK, the colours of a printer", path, "convert it to RGB")
    if colours in _COLOURS:
        raise _unsupported(f"it is {_COLOURS[colours]}", path, "convert it to RGB")
    if colours not in _BASE:
        says = "does not say" if colours == -1 else f"says by an unknown number ({colours})"
        raise _unsupported(f"the file {says} what its values stand for, grey or colours", path)
    samples, extra = tags.first(tiff.SAMPLES, 1), tags.numbers.get(tiff.EXTRA_SAMPLES, ())
    if colours == _YCBCR and samples == 1:
        return  # luma alone
    further = samples - _BASE[colours]
    if further < 0:
        raise _unsupported(f"its colours have {_BASE[colours]} samples, and its pixels {samples}", path)
    if further > 1 or (further == 1 and (len(extra) != 1 or extra[0] not in _ALPHA)):
        what = (
            "a further channel that is not declared as transparency"
            if further == 1
            else f"{further} further channels, and only one could be transparency"
        )
        raise ImageError(
            f"besides its {'grey values' if _BASE[colours] == 1 else 'colours'} it has {what}",
            subject=path,
            remedy="export what is to be looked at as grey or RGB",
            code="channels",
        )
    if further == 1 and _BASE[colours] == 1:
        bits, planar = tags.first(tiff.BITS, 1), tags.first(tiff.PLANAR, 1)
        if bits > 8 or planar == 2:  # Pillow knows it neither with 16 bits nor in planes
            kind = "16 bits and transparency" if bits > 8 else "values and transparency in separate planes"
            raise _unsupported(f"it is grey with {kind}", path, "save it without transparency")


def _check_depth(tags: Tags, path: Path) -> None:
    depths = tags.numbers.get(tiff.BITS) or (1,)
    colours, compression = tags.first(tiff.PHOTOMETRIC, -1), tags.first(tiff.COMPRESSION, tiff.NONE)
    if compression == tiff.OLD_JPEG:
        return
    if compression == tiff.JPEG and set(depths) != {8}:
        raise _unsupported(f"it is compressed as JPEG with {_listed(depths)} bits per sample", path, UNCOMPRESS)
    allowed = {_RGB: (8, 16), _YCBCR: (8,), _PALETTE: (1, 2, 4, 8)}.get(colours, (1, 2, 4, 8, 16))
    if len(set(depths)) != 1 or depths[0] not in allowed:
        kind = {_RGB: "RGB with ", _YCBCR: "YCbCr with ", _PALETTE: "a palette with "}.get(colours, "")
        raise _unsupported(f"it has {kind}{_listed(depths)} bits per sample", path)


def _listed(numbers: Iterable[int], most: int = 4) -> str:
    """Return different numbers for people: `8, 16 and other`."""
    different = sorted(set(numbers))
    return ", ".join(str(number) for number in different[:most]) + (" and other" if len(different) > most else "")


def _check_compression(tags: Tags, path: Path) -> None:
    if tags.first(tiff.COMPRESSION, tiff.NONE) not in _READ:
        raise compressed_otherwise(tags, path)


def compressed_otherwise(tags: Tags, path: Path) -> ImageError:
    """Return the error for a TIFF whose compression no decoder here knows."""
    number = tags.first(tiff.COMPRESSION, tiff.NONE)
    name = _COMPRESSIONS.get(number, f"the compression number {number}")
    return _unsupported(f"it is compressed by {name}, which is not read in a TIFF", path, UNCOMPRESS)


def _unsupported(cause: str, path: Path, remedy: str = GREY_OR_RGB) -> ImageError:
    return ImageError(cause, subject=path, remedy=remedy, code="unsupported")
