"""What the decoding process answers about DICOM files: one line of JSON and bytes, which are checked, not trusted."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from engine.images.decoding.protocol import Refusal, refusal_in
from engine.images.dicom import words
from engine.images.dicom.facts import BurnedIn, DicomFacts, Shape, VoiLut, Window
from engine.images.dicom.origin import DicomOrigin, parse_origin
from engine.storage.documents import parse_json
from engine.text import safe_text

if TYPE_CHECKING:
    from engine.images.header import Limits

_WINDOWS = 8
"""The most windows of a file that are kept."""
_ENTRIES = 1 << 16
"""The most entries of a table."""
_LISTED = 1 << 24
"""The most bytes of a DICOMDIR's list."""
_LONGEST = 80
_WIDTHS = {"u1": 1, "u2": 2, "f4": 4}

Sample = Literal["u1", "u2", "f4"]


@dataclass(frozen=True, slots=True)
class DicomAnswer:
    """A DICOM file was read.

    Attributes:
        facts: those of the header, without the entries of its table, which follow the pixels.
        entries: how many entries follow, two bytes each, little endian.
        shape: of the pixels that follow, (H, W, C); (0, 0, 1) if only the header was wanted.
        sample: the type of these, little endian.
    """

    facts: DicomFacts
    entries: int
    shape: tuple[int, int, int]
    sample: Sample

    @property
    def pixel_bytes(self) -> int:
        """How many bytes of pixels follow."""
        height, width, channels = self.shape
        return height * width * channels * _WIDTHS[self.sample]

    @property
    def bytes(self) -> int:
        """How many bytes follow in all."""
        return self.pixel_bytes + 2 * self.entries


@dataclass(frozen=True, slots=True)
class Listed:
    """A DICOMDIR was read.

    Attributes:
        bytes: how many follow: the names of the files that it lists, as UTF-8, one a line.
    """

    bytes: int


def facts_record(facts: DicomFacts) -> dict[str, object]:
    """Return facts for JSON; of a table only where it begins, since its entries are sent as bytes."""
    record = asdict(facts)
    record["windows"] = [[window.centre, window.width, window.shape] for window in facts.windows[:_WINDOWS]]
    record["lut"] = None if facts.lut is None else [facts.lut.first, facts.lut.top]
    return record


def entries_bytes(facts: DicomFacts) -> bytes:
    """Return the entries of a table as they are sent."""
    return b"" if facts.lut is None else b"".join(entry.to_bytes(2, "little") for entry in facts.lut.entries)


def with_entries(facts: DicomFacts, sent: bytes) -> DicomFacts:
    """Return facts with the entries of their table, as they were received."""
    if facts.lut is None:
        return facts
    entries = tuple(int.from_bytes(sent[i : i + 2], "little") for i in range(0, len(sent), 2))
    return replace(facts, lut=replace(facts.lut, entries=tuple(min(entry, facts.lut.top) for entry in entries)))


def parse_dicom(line: bytes, limits: Limits, *, pixels: bool) -> Refusal | DicomAnswer:
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
            "dicom": dict() as record,
            "entries": int() as entries,
            "shape": [int() as height, int() as width, int() as channels],
            "sample": "u1" | "u2" | "f4" as sample,
        }:
            facts = _facts(record)
            wanted = (facts.rows, facts.columns) if pixels else (0, 0)
            if not (
                facts.rows * facts.columns <= limits.pixels
                and (height, width) == wanted
                and channels == (1 if facts.grey or not pixels else 3)
                and 0 <= entries <= _ENTRIES
            ):
                raise ValueError("no shape of a picture")
            return DicomAnswer(facts, entries, (height, width, channels), cast(Sample, sample))
    raise ValueError("no answer")


def parse_listed(line: bytes) -> Refusal | Listed:
    """Parse and check the first line of an answer about a DICOMDIR.

    Raises:
        ValueError: the line is no answer.
    """
    answer = parse_json(line)
    if (refused := refusal_in(answer)) is not None:
        return refused
    match answer:
        case {"listed": int() as length} if 0 <= length <= _LISTED:
            return Listed(length)
    raise ValueError("no answer")


def parse_origin_answer(line: bytes) -> Refusal | DicomOrigin:
    """Parse and check an answer about what objects made of an image take over.

    Raises:
        ValueError: the line is no answer.
    """
    match parse_json(line):
        case {"cause": str() as cause, "remedy": str() | None as remedy, "code": str() as code}:
            return Refusal(cause, remedy, code)
        case {"origin": dict() as record}:
            return parse_origin(record)
    raise ValueError("no answer")


def _facts(record: dict[str, object]) -> DicomFacts:
    """Return facts of which every value is what it should be.

    Raises:
        ValueError: one is not.
    """
    whole = {name: _whole(record, name) for name in ("frames", "frame", "rows", "columns", "bits", "allocated")}
    if min(whole.values()) < 1 or whole["frame"] > whole["frames"]:
        raise ValueError("no facts: a count")
    low, high, aspect = (_finite(record.get(name)) for name in ("low", "high", "aspect"))
    if not (low <= high and 0 < aspect < math.inf):
        raise ValueError("no facts: a range")
    burned_in = _burned_in(record.get("burned_in"))
    position = record.get("position")
    return DicomFacts(
        kind=_text(record, "kind"),
        modality=words.code(record.get("modality"), words.MODALITIES),
        photometric=_text(record, "photometric"),
        **whole,
        low=low,
        high=high,
        unit=_one_of(record, "unit", words.UNITS.values()),
        coding=_text(record, "coding"),
        windows=_windows(record.get("windows")),
        lut=_lut(record.get("lut")),
        padding=_pair(record.get("padding")),
        body_part=words.code(record.get("body_part"), words.BODY_PARTS),
        view=words.code(record.get("view"), words.VIEWS),
        laterality=words.code(record.get("laterality"), words.LATERALITIES),
        spacing=_pair(record.get("spacing")),
        aspect=aspect,
        edges=_edges(record.get("edges")),
        burned_in=burned_in,
        series=_text(record, "series"),
        series_number=_whole(record, "series_number"),
        instance_number=_whole(record, "instance_number"),
        position=None if position is None else _finite(position),
        description=words.description(record.get("description")),
    )


def _burned_in(given: object) -> BurnedIn:
    match given:
        case "yes" | "no" | "unknown":
            return given
    raise ValueError("no facts: burned in")


def _windows(given: object) -> tuple[Window, ...]:
    if not isinstance(given, list) or len(given) > _WINDOWS:
        raise ValueError("no facts: windows")
    found = []
    for each in given:
        match each:
            case [centre, width, "linear" | "linear_exact" | "sigmoid" as shape]:
                window = Window(_finite(centre), _finite(width), cast(Shape, shape))
                if window.width <= 0:
                    raise ValueError("no facts: a window without a width")
                found.append(window)
            case _:
                raise ValueError("no facts: a window")
    return tuple(found)


def _lut(given: object) -> VoiLut | None:
    match given:
        case None:
            return None
        case [int() as first, int() as top] if 1 <= top < _ENTRIES:
            return VoiLut(first, top, ())
    raise ValueError("no facts: a table")


def _pair(given: object) -> tuple[float, float] | None:
    match given:
        case None:
            return None
        case [first, second]:
            return _finite(first), _finite(second)
    raise ValueError("no facts: a pair")


def _edges(given: object) -> tuple[str, str] | None:
    match given:
        case None:
            return None
        case [str() as right, str() as lower] if len(right + lower) <= 6 and set(right + lower) <= set("LRAPHF"):
            return right, lower
    raise ValueError("no facts: edges")


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no facts: a number")
    return float(value)


def _whole(record: dict[str, object], name: str) -> int:
    value = record.get(name)
    if type(value) is not int:  # not isinstance: True is an int
        raise ValueError(f"no facts: {name}")
    return value


def _text(record: dict[str, object], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise ValueError(f"no facts: {name}")
    return safe_text(value, limit=_LONGEST)


def _one_of(record: dict[str, object], name: str, known: object) -> str:
    value = _text(record, name)
    if value and value not in tuple(cast("tuple[str, ...]", known)):
        raise ValueError(f"no facts: {name}")
    return value
