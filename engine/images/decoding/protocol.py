"""What the process in which pictures are decoded may answer. Decoders ran in it: it is not taken at its word."""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine.images.header import FORMATS, Header, Limits

READY = b"ready\n"
"""What the process says before it is asked anything."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The picture was refused; cause and remedy as in `ImageError`."""

    cause: str
    remedy: str | None


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was found in a picture.

    Attributes:
        header: its header.
        shape: of the pixels that follow, (H, W, C); (0, 0, 1) where only the header was wanted.
    """

    header: Header
    shape: tuple[int, int, int]

    @property
    def bytes(self) -> int:
        """How many bytes of pixels follow."""
        height, width, channels = self.shape
        return height * width * channels * (self.header.bit_depth // 8)


def parse_answer(line: bytes, limits: Limits, *, pixels: bool = True) -> Refusal | Decoded:
    """An answer's first line.

    Args:
        line: as it came.
        limits: what should have been refused.
        pixels: whether more was asked for than the header.

    Raises:
        ValueError: it is none, or tells of something that would have been refused.
    """
    answer = json.loads(line)
    match answer:
        case {"cause": str() as cause, "remedy": str() | None as remedy}:
            return Refusal(cause, remedy)
        case {"header": dict() as header, "shape": [int() as height, int() as width, int() as channels]}:
            whole = _picture(height, width, limits) and channels in (1, 3)
            if not (whole if pixels else (height, width, channels) == (0, 0, 1)):
                raise ValueError("no shape of a picture")
            return Decoded(_header(header, limits), (height, width, channels))
    raise ValueError("no answer")


def _header(answer: dict[str, object], limits: Limits) -> Header:
    try:
        header = Header(**answer)  # type: ignore[arg-type]  # what the values are is looked at below
    except TypeError as error:
        raise ValueError("no header") from error
    numbers = (header.height, header.width, header.orientation, header.size)
    if (
        header.format not in FORMATS
        or header.bit_depth not in (8, 16)
        or header.alpha not in ("none", "perhaps")
        or not all(type(number) is int for number in numbers)
        or not all(type(truth) is bool for truth in (header.grey, header.inverted))
        or not 1 <= header.orientation <= 8
        or not _picture(header.height, header.width, limits)
    ):
        raise ValueError("no header of a picture")
    return header


def _picture(height: int, width: int, limits: Limits) -> bool:
    return height >= 1 and width >= 1 and height * width <= limits.pixels
