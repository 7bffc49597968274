"""Sound pictures of every format, and the ways in which files are damaged."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from random import Random

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from picture_files import png_chunk
from PIL import Image

Pixels = NDArray[np.uint8]

SECTOR = 512


def scene(height: int, width: int, *, noise: float = 6.0, seed: int = 0, grey: bool = False) -> Pixels:
    """Smooth shapes with noise, (H, W, 3) or (H, W); the lower third of every other one is blank."""
    rows, columns = np.mgrid[:height, :width]
    shape = np.sin(columns / 9 + seed) * 60 + np.cos(rows / 7) * 40
    values = 128 + shape[..., None] * [1.0, 0.6, -0.8]
    values = values + np.random.default_rng(seed).normal(0, noise, values.shape)
    if seed % 2:
        values[2 * height // 3 :] = 200
    pixels = values.clip(0, 255).astype(np.uint8)
    return pixels[..., 0] if grey else pixels


def saved(pixels: NDArray[np.generic], form: str, **options: object) -> bytes:
    """The pixels as Pillow writes them."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def jpeg_with_restarts(pixels: Pixels, blocks: int, **options: object) -> bytes:
    """A JPEG with a restart marker after so many MCUs."""
    return saved(pixels, "JPEG", restart_marker_blocks=blocks, **options)


def tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    """The pixels as tifffile writes them: directory first, then the strips or tiles, in order."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **options)  # type: ignore[arg-type]
    return file.getvalue()


def bmp_rle(rows: list[list[tuple[int, ...]]], width: int, *, bits: int = 8, tail: bytes = b"\0\1") -> bytes:
    """A BMP of runs: each row, from below, is a list of (count, value) or, for pixels as they are, (0, *values)."""
    body = bytearray()
    for row in rows:
        for count, *values in row:
            if count:
                body += bytes((count, values[0] if bits == 8 else values[0] * 17))
                continue
            body += bytes((0, len(values)))
            pairs = values if bits == 8 else [a << 4 | b for a, b in zip(values[::2], [*values[1::2], 0], strict=False)]
            body += bytes(pairs) + bytes(len(pairs) & 1)
        body += b"\0\0"
    body += tail
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(0, 256, 1 if bits == 8 else 17))
    start = 54 + len(palette)
    header = struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, len(rows), 1, bits, 1 if bits == 8 else 2, len(body), 0, 0, 0, 0)
    return header + info + palette + body


def runs_of(pixels: Pixels) -> list[list[tuple[int, ...]]]:
    """Rows from below as `bmp_rle` takes them: equal neighbours as runs, others as they are."""
    rows = []
    for row in pixels[::-1].tolist():
        runs: list[tuple[int, ...]] = []
        place = 0
        while place < len(row):
            end = place
            while end < len(row) and row[end] == row[place] and end - place < 255:
                end += 1
            if end - place < 2 and place + 3 <= len(row):
                end = min(place + 3 + row[place] % 9, len(row))
                runs.append((0, *row[place:end]))
            else:
                runs.append((end - place, row[place]))
            place = end
        rows.append(runs)
    return rows


# --- where the compressed pixels lie


def jpeg_data(data: bytes) -> tuple[int, int]:
    """From the first scan's header to the end marker."""
    begin = data.index(b"\xff\xda")
    return begin + 2 + int.from_bytes(data[begin + 2 : begin + 4], "big"), data.rindex(b"\xff\xd9")


def png_data(data: bytes) -> tuple[int, int]:
    """The chunks with pixels."""
    return data.index(b"IDAT") + 4, data.rindex(b"IEND") - 8


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of each chunk."""
    place = 12
    while place + 8 <= len(data):
        (length,) = struct.unpack("<I", data[place + 4 : place + 8])
        yield data[place : place + 4], place + 8, place + 8 + length
        place += 8 + length + (length & 1)


def webp_data(data: bytes) -> tuple[int, int]:
    """The chunk with the pixels, without its own header of ten bytes."""
    return next((begin + 10, end) for name, begin, end in webp_chunks(data) if name in (b"VP8 ", b"VP8L"))


def webp_of(name: bytes, content: bytes) -> bytes:
    """A WebP with one chunk."""
    body = b"WEBP" + name + struct.pack("<I", len(content)) + content + bytes(len(content) & 1)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff_data(data: bytes) -> tuple[int, int]:
    """All strips or tiles of a file of `tiff`."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        return page.dataoffsets[0], page.dataoffsets[-1] + page.databytecounts[-1]


def bmp_data(data: bytes) -> tuple[int, int]:
    """All that follows the header and the palette."""
    return int.from_bytes(data[10:14], "little"), len(data)


# --- damage

Damage = Callable[[bytes, int, int, Random], bytes]


def place_of(begin: int, end: int, random: Random, size: int = SECTOR) -> tuple[int, int]:
    """Where a sector, or a fourth of a small picture, is damaged."""
    size = min(size, (end - begin) // 4)
    place = random.randrange(begin, end - size)
    return place, size


def zeroed(data: bytes, begin: int, end: int, random: Random) -> bytes:
    """A sector is read as zeros."""
    place, size = place_of(begin, end, random)
    return data[:place] + bytes(size) + data[place + size :]


def removed(data: bytes, begin: int, end: int, random: Random) -> bytes:
    """A sector is missing, and what follows has moved up."""
    place, size = place_of(begin, end, random)
    return data[:place] + data[place + size :]


def replaced(data: bytes, begin: int, end: int, random: Random) -> bytes:
    """Other bytes stand in a sector."""
    place, size = place_of(begin, end, random)
    return data[:place] + random.randbytes(size) + data[place + size :]


def zero_tail(data: bytes, begin: int, end: int, random: Random) -> bytes:
    """The file's length is right, but its last part was never written."""
    place = random.randrange(begin, end - 4)
    return data[:place] + bytes(len(data) - place)


def cut(data: bytes, begin: int, end: int, random: Random) -> bytes:
    """The file ends early."""
    return data[: random.randrange(begin, end)]


def flipped(data: bytes, begin: int, end: int, random: Random) -> bytes:
    """One bit is wrong."""
    place = random.randrange(begin, end)
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


def cut_and_closed(data: bytes, begin: int, end: int, random: Random) -> bytes:
    """It ends early, but its lengths, checksums and end marker are right: a program repaired it."""
    place = random.randrange(begin, end)
    if data.startswith(b"\xff\xd8"):
        return data[:place].rstrip(b"\xff") + b"\xff\xd9"
    if data.startswith(b"RIFF"):
        name, start = next((name, at) for name, at, stop in webp_chunks(data) if at <= place < stop)
        return webp_of(name, data[start:place])
    if data.startswith(b"\x89PNG"):
        return resealed(data[:place] + data[end:], place - end)
    return data[:place]


def resealed(data: bytes, longer: int = 0) -> bytes:
    """A PNG with one chunk of pixels that became so much longer; length and checksum of the chunk are made right."""
    at = data.index(b"IDAT") - 4
    length = int.from_bytes(data[at : at + 4], "big") + longer
    content = data[at + 8 : at + 8 + length]
    return data[:at] + png_chunk(b"IDAT", content) + data[at + 12 + length :]


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """Each marker's second byte and its bytes, a scan's data included."""
    segments, place = [], 2
    while data[place + 1] != 0xD9:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place + 1] == 0xDA:
            while data[end] != 0xFF or data[end + 1] in (0, *range(0xD0, 0xD8)):
                end += 1
        segments.append((data[place + 1], data[place:end]))
        place = end
    return segments


def jpeg_of(segments: list[tuple[int, bytes]]) -> bytes:
    """A JPEG of these segments."""
    return b"\xff\xd8" + b"".join(segment for _, segment in segments) + b"\xff\xd9"


def jpeg_in_separate_scans(planes: list[Pixels], sampling: list[int]) -> bytes:
    """A baseline JPEG with one scan for each colour component, of a size that fits its sampling factors."""
    pictures = [jpeg_segments(saved(plane, "JPEG", quality=85)) for plane in planes]
    scans = []
    for number, segments in enumerate(pictures, 1):
        scan = segments[-1][1]
        scans.append((0xDA, scan[:5] + bytes([number]) + scan[6:]))
    height, width = planes[0].shape
    components = b"".join(bytes((number, factors, 0)) for number, factors in enumerate(sampling, 1))
    frame = struct.pack(">HHBHHB", 0xFFC0, 17, 8, height, width, 3) + components
    tables = [segment for segment in pictures[0] if segment[0] in (0xDB, 0xC4)]
    return jpeg_of([tables[0], (0xC0, frame), *tables[1:], *scans])


def facsimile(pixels: Pixels, compression: str) -> bytes:
    """A bilevel TIFF, compressed as facsimiles are."""
    file = io.BytesIO()
    Image.fromarray(pixels > 128).save(file, "TIFF", compression=compression)
    return file.getvalue()


def jpeg_sampled(pixels: Pixels, subsampling: str) -> bytes:
    """A JPEG with a subsampling that Pillow cannot write: 411 or 440."""
    return bytes(imagecodecs.jpeg8_encode(pixels, level=85, subsampling=subsampling))
