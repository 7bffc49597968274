"""What the decoding process answers about NIfTI files: one line of JSON and bytes, which are checked, not trusted."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast, get_args

from engine.images.decoding.protocol import Refusal, refusal_in
from engine.images.nifti.facts import NO_PHOTOGRAPHS, Kind, Orientation, Sample, VolumeFacts
from engine.storage.documents import parse_json

if TYPE_CHECKING:
    from engine.images.header import Limits

_MOST_SIDE = 1 << 40


@dataclass(frozen=True, slots=True)
class NiftiAnswer:
    """A NIfTI file was read.

    Attributes:
        facts: those of the header.
        block: how many voxels follow along each of the file's axes, little endian, along the first one first; (0, 0, 0)
            if only the header was wanted.
    """

    facts: VolumeFacts
    block: tuple[int, int, int]

    @property
    def bytes(self) -> int:
        """How many bytes follow."""
        return math.prod(self.block) * self.facts.voxel_bytes


def facts_record(facts: VolumeFacts) -> dict[str, object]:
    """Return facts for JSON."""
    return asdict(facts)


def parse_nifti(line: bytes, *, limits: Limits, wanted: tuple[int, ...] | None) -> Refusal | NiftiAnswer:
    """Parse and check the first line of an answer.

    Args:
        line: as it was received.
        limits: those of the request; a slice beyond them should have been refused.
        wanted: which block was requested: the volume's number and, of a slice, its axis and place; None for the header.

    Raises:
        ValueError: the line is no answer, or describes what should have been refused.
    """
    answer = parse_json(line)
    if (refused := refusal_in(answer)) is not None:
        return refused
    match answer:
        case {"nifti": dict() as record, "block": [int() as x, int() as y, int() as z]}:
            facts = _facts(record)
            expected = [0, 0, 0]
            if wanted is not None:
                expected = list(facts.shape)
                if len(wanted) > 1:
                    expected[wanted[1]] = 1
                if math.prod(expected) > max(limits.pixels, limits.bytes // facts.voxel_bytes):
                    raise ValueError("no block")
            if [x, y, z] != expected or math.prod(sorted(facts.shape)[1:]) > limits.pixels:
                raise ValueError("no block")
            return NiftiAnswer(facts, (x, y, z))
    raise ValueError("no answer")


def _facts(record: dict[str, object]) -> VolumeFacts:
    """Return facts of which every value is what it should be.

    Raises:
        ValueError: one is not.
    """
    match record:
        case {
            "kind": kind,
            "shape": [int() as x, int() as y, int() as z],
            "volumes": int() as volumes,
            "sample": sample,
            "slope": int() | float() as slope,
            "intercept": int() | float() as intercept,
            "axes": [int() as right, int() as front, int() as head],
            "reversed": [bool() as first, bool() as second, bool() as third],
            "letters": letters,
            "orientation": orientation,
            "sides": [int() | float() as a, int() | float() as b, int() | float() as c],
            "millimetres": bool() as millimetres,
            "window": window,
            "photograph": photograph,
        }:
            sound = (
                kind in get_args(Kind)
                and sample in get_args(Sample)
                and orientation in get_args(Orientation)
                and photograph in ("", *NO_PHOTOGRAPHS)
                and all(1 <= side <= _MOST_SIDE for side in (x, y, z, volumes))
                and sorted((right, front, head)) == [0, 1, 2]
                and all(map(math.isfinite, (slope, intercept, a, b, c)))
                and min(a, b, c) > 0
            )
            if not sound:
                raise ValueError("no facts")
            return VolumeFacts(
                kind=cast(Kind, kind),
                shape=(x, y, z),
                volumes=volumes,
                sample=cast(Sample, sample),
                slope=float(slope),
                intercept=float(intercept),
                axes=(right, front, head),
                reversed=(first, second, third),
                letters=_letters(letters),
                orientation=cast(Orientation, orientation),
                sides=(float(a), float(b), float(c)),
                millimetres=millimetres,
                window=_window(window),
                photograph=cast(str, photograph),
            )
    raise ValueError("no facts")


def _letters(given: object) -> tuple[str, str, str] | None:
    match given:
        case None:
            return None
        case [str() as right, str() as front, str() as head] if all(
            1 <= len(each) <= 3 and set(each) <= set("LRAPHF") for each in (right, front, head)
        ):
            return right, front, head
    raise ValueError("no facts: letters")


def _window(given: object) -> tuple[float, float] | None:
    match given:
        case None:
            return None
        case [int() | float() as low, int() | float() as high] if low < high and math.isfinite(low + high):
            return float(low), float(high)
    raise ValueError("no facts: a window")
