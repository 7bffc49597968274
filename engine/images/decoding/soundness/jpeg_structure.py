"""What a JPEG promises by its markers: its scans, what each sends, where its compressed data lies (ITU-T T.81)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from engine.images.decoding.soundness.damage import DamageError

SOI, EOI = b"\xff\xd8", b"\xff\xd9"

_SEQUENTIAL_HUFFMAN, _PROGRESSIVE_HUFFMAN = (0xC0, 0xC1), 0xC2
_PROGRESSIVE = (0xC2, 0xCA)
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
"""The kinds of JPEG that are read: baseline, extended, progressive, and both with arithmetic coding."""
_TABLES = (0xC4, 0xCC, 0xDB, 0xDD)
"""The segments that matter for decoding: DHT, DAC, DQT, DRI."""

_PERHAPS_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class Component:
    """A colour component: its identifier and its sampling factors."""

    name: int
    across: int
    down: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What the frame's header says.

    Attributes:
        kind: its marker's second byte.
        precision, height, width: bits per sample; pixels.
        components: in their order.
        segment: the header itself, with its marker.
    """

    kind: int
    precision: int
    height: int
    width: int
    components: tuple[Component, ...]
    segment: bytes

    @property
    def progressive(self) -> bool:
        """Whether its coefficients come in several scans."""
        return self.kind in _PROGRESSIVE

    @property
    def huffman(self) -> bool:
        """Whether its codes are Huffman's; else arithmetic coding is used."""
        return self.kind in _SEQUENTIAL_HUFFMAN or self.kind == _PROGRESSIVE_HUFFMAN


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan.

    Attributes:
        members: which of the frame's components it sends, counted from 0.
        first, last: the first and last coefficient that it sends, in zigzag order.
        high, low: the bit position of the scan before it on the same coefficients (0 for none), and its own.
        header: its header, with the marker.
        symbols: of every Huffman table for AC coefficients that it uses, the symbols from the shortest code on. The
            first one's code consists of zeros.
        interval: blocks or groups of blocks (MCUs) between restart markers; 0 for no restart markers.
        data: its compressed data, with restart markers but without those after the last code.
        tables: the segments of tables between the scan before it and this one.
    """

    members: tuple[int, ...]
    first: int
    last: int
    high: int
    low: int
    header: bytes
    symbols: tuple[bytes, ...]
    interval: int
    data: bytes
    tables: bytes

    def intervals(self) -> list[bytes]:
        """The compressed data between the restart markers."""
        return [piece.rstrip(b"\xff") for piece in _RESTART.split(self.data)] if self.interval else [self.data]


@dataclass(slots=True)
class _State:
    """What has been read so far."""

    frame: Frame | None = None
    tables: list[bytes] = field(default_factory=list)
    symbols: dict[int, bytes] = field(default_factory=dict)
    interval: int = 0


def parse(data: bytes) -> tuple[Frame, list[Scan]]:
    """Find the frame and the scans of a JPEG's first picture; what follows its end marker does not count.

    Raises:
        DamageError: its markers make no sense, or it ends within a header.
    """
    if not data.startswith(SOI):
        raise DamageError("it does not begin as a JPEG does")
    state, scans, place = _State(), list[Scan](), 2
    while (found := _next_marker(data, place)) is not None:
        marker, place = found
        if marker == EOI[1]:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # these have no content
            continue
        content = _content(data, place)
        if marker == 0xDA:
            scan, place = _scan(data, place, content, state)
            scans.append(scan)
            continue
        place += 2 + len(content)
        _remember(marker, content, state)
    if state.frame is None or not scans:
        raise DamageError("it holds no compressed pixels")
    return state.frame, scans


def check_scans(frame: Frame, scans: list[Scan]) -> None:
    """Check that the scans send every coefficient of every component, down to its last bit.

    Decoders take what was never sent for zero.

    Raises:
        DamageError: something was not sent.
    """
    if not frame.progressive:
        sent = {member for scan in scans for member in scan.members}
        if len(sent) < len(frame.components):
            raise DamageError(f"{_named(len(frame.components) - len(sent), 'colour component')} of it is missing")
        return
    missing = object()
    for number in range(len(frame.components)):
        bits: list[object] = [missing] * 64
        for scan in scans:
            if number in scan.members:
                for coefficient in range(scan.first, min(scan.last, 63) + 1):
                    if scan.high and bits[coefficient] != scan.high:
                        raise DamageError("scans of it are missing or in a wrong order")
                    bits[coefficient] = scan.low
        if any(low != 0 for low in bits):
            raise DamageError("scans of it are missing, so its details are incomplete")


def units_of(frame: Frame, scan: Scan) -> int:
    """How many blocks, or groups of blocks (MCUs), a scan consists of."""
    widest = max(component.across for component in frame.components)
    tallest = max(component.down for component in frame.components)
    if len(scan.members) > 1:
        return _over(frame.width, 8 * widest) * _over(frame.height, 8 * tallest)
    component = frame.components[scan.members[0]]
    return _over(_over(frame.width * component.across, widest), 8) * _over(
        _over(frame.height * component.down, tallest), 8
    )


def rebuilt(frame: Frame, scans: list[Scan], *, filler: bytes = b"") -> bytes:
    """The JPEG without anything that does not matter for decoding, so that a decoder's complaint concerns its data.

    Args:
        frame: its frame.
        scans: its scans, or the first of them.
        filler: is put behind the data of each scan.
    """
    parts = [SOI]
    for scan in scans:
        parts += [scan.tables, *([frame.segment] if scan is scans[0] else []), scan.header, scan.data, filler]
    return b"".join([*parts, EOI])


def _next_marker(data: bytes, place: int) -> tuple[int, int] | None:
    """The next marker's second byte and the place after it; None if there is none."""
    while (place := data.find(b"\xff", place)) >= 0:
        while data[place : place + 1] == b"\xff":
            place += 1
        if place == len(data):
            return None
        if data[place] != 0:
            return data[place], place + 1
    return None


def _content(data: bytes, place: int) -> bytes:
    length = int.from_bytes(data[place : place + 2], "big")
    content = data[place + 2 : place + length]
    if length < 2 or len(content) < length - 2:
        raise DamageError("it ends within a header")
    return content


def _remember(marker: int, content: bytes, state: _State) -> None:
    segment = b"\xff" + bytes([marker]) + (len(content) + 2).to_bytes(2, "big") + content
    if marker in _TABLES:
        state.tables.append(segment)
    if marker == 0xC4:
        _note_symbols(content, state)
    elif marker == 0xDD and len(content) >= 2:
        state.interval = int.from_bytes(content[:2], "big")
    elif marker in _FRAMES:
        if state.frame is not None:
            raise DamageError("it has two headers")
        state.frame = _frame(marker, content, segment)
    elif marker == SOI[1] or (0xC3 <= marker <= 0xCF and marker not in _TABLES and marker != 0xC8):
        raise DamageError("its markers are wrong")
    elif 0x02 <= marker <= 0xBF:  # reserved: no sound file has one, so compressed data was taken for a header
        raise DamageError("there are stray bytes in its compressed data")


def _note_symbols(content: bytes, state: _State) -> None:
    """Note the symbols of each Huffman table for AC coefficients."""
    place = 0
    while place + 17 <= len(content):
        count = sum(content[place + 1 : place + 17])
        if content[place] >> 4 == 1:
            state.symbols[content[place] & 15] = content[place + 17 : place + 17 + count]
        place += 17 + count


def _frame(marker: int, content: bytes, segment: bytes) -> Frame:
    count = content[5] if len(content) > 5 else 0
    if len(content) < 6 + 3 * count or not count:
        raise DamageError("it ends within a header")
    components = tuple(
        Component(content[place], content[place + 1] >> 4, content[place + 1] & 15)
        for place in range(6, 6 + 3 * count, 3)
    )
    if any(not (1 <= component.across <= 4 and 1 <= component.down <= 4) for component in components):
        raise DamageError("its header is wrong")
    height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    return Frame(marker, content[0], height, width, components, segment)


def _scan(data: bytes, place: int, content: bytes, state: _State) -> tuple[Scan, int]:
    """The scan whose header's length is at `place`, and the place of the marker after its data."""
    frame = state.frame
    if frame is None:
        raise DamageError("its header is missing")
    count = content[0] if content else 0
    if not count or len(content) < 4 + 2 * count:
        raise DamageError("it ends within a header")
    names = [component.name for component in frame.components]
    chosen = content[1 : 1 + 2 * count]
    if not set(chosen[::2]) <= set(names):
        raise DamageError("a scan belongs to no colour component")
    first, last, bits = content[1 + 2 * count : 4 + 2 * count]
    if not frame.progressive:
        # Some cameras write other numbers here. In a JPEG of this kind they have no meaning.
        first, last, bits = 0, 63, 0
        content = content[: 1 + 2 * count] + bytes((first, last, bits))
    begin = place + int.from_bytes(data[place : place + 2], "big")
    after = _end_of_data(data, begin)
    symbols = () if last == 0 else tuple(state.symbols.get(tables & 15, b"") for tables in chosen[1::2])
    scan = Scan(
        members=tuple(names.index(name) for name in chosen[::2]),
        first=first,
        last=last,
        high=bits >> 4,
        low=bits & 15,
        header=b"\xff\xda" + (len(content) + 2).to_bytes(2, "big") + content,
        symbols=symbols,
        interval=state.interval,
        data=data[begin : _end_of_codes(data, begin, after)],
        tables=b"".join(state.tables),
    )
    state.tables.clear()
    return scan, after


def _end_of_data(data: bytes, begin: int) -> int:
    """The place of the first marker from `begin` on that is no restart marker."""
    while (found := _PERHAPS_MARKER.search(data, begin)) is not None:
        begin = found.end() - 1
        while data[begin : begin + 1] == b"\xff":  # fill bytes
            begin += 1
        if begin < len(data) and data[begin] != 0 and not 0xD0 <= data[begin] <= 0xD7:
            return found.start()
    return len(data)


def _end_of_codes(data: bytes, begin: int, end: int) -> int:
    """Where a scan's data ends without fill bytes and without restart markers after the last code."""
    while end - begin >= 2:
        if data[end - 1] == 0xFF:
            end -= 1
        elif data[end - 2] == 0xFF and 0xD0 <= data[end - 1] <= 0xD7:
            end -= 2
        else:
            break
    return end


def _over(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _named(count: int, noun: str) -> str:
    return f"a {noun}" if count == 1 else f"{count} {noun}s"
