"""What the decoding process may answer. Decoders run in it, so its answers are checked, not trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.images.header import FORMATS, Header, Limits
from engine.results.caution import Caution
from engine.storage.documents import parse_json
from engine.text import safe_text

READY = b"ready\n"
"""What the process writes once it has started, before any request."""

OPENED = b"opened\n"
"""What it writes of a picture whose pixels were requested once the header has passed, before the answer."""

DICOM_REQUESTS = ("dicom", "dicom-header", "dicom-origin", "dicomdir")
"""What may be wanted of a DICOM file: a frame's pixels, a frame's header, the files that a DICOMDIR lists."""

NIFTI_REQUESTS = ("nifti", "nifti-header")
"""What may be wanted of a NIfTI file: a volume's voxels or a slice's, the header."""

SCAN_REQUESTS = DICOM_REQUESTS + NIFTI_REQUESTS
"""All that are answered with pieces of a file that the program sends."""

_MOST_WARNINGS = 8
_LONGEST_WARNING = 500
"""Characters of a sentence; the rest is cut off."""
_CODE = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PIECE = re.compile(rb"(\d{1,18}) (\d{1,18})\n")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The picture was refused; cause, remedy and code as in `ImageError`."""

    cause: str
    remedy: str | None
    code: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The picture was decoded.

    Attributes:
        header: its header.
        shape: of the pixels that follow, (H, W, C); (0, 0, 1) if only the header was wanted.
        warnings: what is doubtful about the pixels; safe to show.
    """

    header: Header
    shape: tuple[int, int, int]
    warnings: tuple[Caution, ...] = ()

    @property
    def bytes(self) -> int:
        """How many bytes of pixels follow."""
        height, width, channels = self.shape
        return height * width * channels * (self.header.bit_depth // 8)


def parse_piece(line: bytes) -> tuple[int, int] | None:
    """Return place and length of the piece of the file that a line asks for; None if it is an answer."""
    found = _PIECE.fullmatch(line)
    return None if found is None else (int(found[1]), int(found[2]))


def refusal_in(answer: object) -> Refusal | None:
    """Return the refusal that a parsed line is; None if it is none."""
    match answer:
        case {"cause": str() as cause, "remedy": str() | None as remedy, "code": str() as code}:
            return Refusal(cause, remedy, code)
    return None


def parse_answer(line: bytes, limits: Limits, *, pixels: bool = True) -> Refusal | Decoded:
    """Parse and check the first line of an answer.

    Args:
        line: as it was received.
        limits: those of the request; a picture beyond them should have been refused.
        pixels: whether pixels were requested, not only the header.

    Raises:
        ValueError: the line is no answer, or describes a picture that should have been refused.
    """
    answer = parse_json(line)
    if (refused := refusal_in(answer)) is not None:
        return refused
    match answer:
        case {
            "header": dict() as header,
            "shape": [int() as height, int() as width, int() as channels],
            "warnings": list() as warnings,
        }:
            decoded = _is_allowed(height, width, limits) and channels in (1, 3)
            if not (decoded if pixels else (height, width, channels) == (0, 0, 1)):
                raise ValueError("no shape of a picture")
            return Decoded(_header(header, limits), (height, width, channels), _warnings(warnings))
    raise ValueError("no answer")


def _header(answer: dict[str, object], limits: Limits) -> Header:
    try:
        header = Header(**answer)  # type: ignore[arg-type]  # the values are checked below
        if header.dicom is not None or header.nifti is not None:
            raise ValueError("no header of a picture")
    except TypeError as error:
        raise ValueError("no header") from error
    numbers = (header.height, header.width, header.bit_depth, header.orientation, header.size)
    if (
        header.format not in FORMATS
        or header.bit_depth not in (8, 16)
        or header.alpha not in ("none", "perhaps")
        or not all(type(number) is int for number in numbers)  # not isinstance: True is an int
        or not _is_bits(header.declared_bits)
        or not all(type(truth) is bool for truth in (header.grey, header.inverted))
        or not 1 <= header.orientation <= 8
        or not _is_allowed(header.height, header.width, limits)
    ):
        raise ValueError("no header of a picture")
    return header


def _is_bits(declared: object) -> bool:
    return declared is None or (type(declared) is int and 1 <= declared <= 16)


def _warnings(answer: list[object]) -> tuple[Caution, ...]:
    if len(answer) > _MOST_WARNINGS:
        raise ValueError("no answer: too many warnings")
    warnings = []
    for warning in answer:
        match warning:
            case [str() as code, str() as sentence] if _CODE.fullmatch(code):
                warnings.append(Caution(code, safe_text(sentence, limit=_LONGEST_WARNING)))
            case _:
                raise ValueError("no answer: no warning")
    return tuple(warnings)


def _is_allowed(height: int, width: int, limits: Limits) -> bool:
    return height >= 1 and width >= 1 and height * width <= limits.pixels
