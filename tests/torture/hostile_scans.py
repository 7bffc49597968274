"""DICOM and NIfTI files that are broken on purpose: cut, promising too much, packed without end, nested, misnamed."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from dicom_files import dataset, deflated, frames_of, write, write_dicom
from nifti_files import write_nifti
from picture_files import GREY, write_png
from pydicom import uid

PIXELS = (np.arange(40 * 30).reshape(40, 30) * 3).astype(np.uint16)
VOXELS = np.arange(9 * 8 * 7).reshape(9, 8, 7).astype(np.int16)


def hostile_files(folder: Path, bomb: int = 10**9) -> Iterator[tuple[str, Path, frozenset[str]]]:
    """Write one file after another; yield what it is, the file, and the codes by which it may be refused.

    `shown` is among the codes of those that are sound but for their name. A file may be gone when the next one comes.

    Args:
        folder: where to write them.
        bomb: bytes that are packed into a few thousand.
    """
    damaged = frozenset({"damaged", "too-slow", "too-large"})
    whole = write_dicom(folder / "whole", PIXELS).read_bytes()
    value = whole.index(b"\xe0\x7f\x10\0OW") + 8
    made: tuple[tuple[str, Callable[[Path], object], frozenset[str]], ...] = (
        ("pixels of 4 GB", lambda p: write_dicom(p, PIXELS, Rows=65535, Columns=65535), damaged),
        ("a value of 4 GB", lambda p: p.write_bytes(whole[:value] + b"\xf0\xff\xff\xff" + whole[value + 4 :]), damaged),
        ("999,999 frames", lambda p: write_dicom(p, PIXELS[None], NumberOfFrames=999_999), damaged),
        ("a header's value of a gigabyte", lambda p: _long_value(p, whole), damaged),
        ("deflated without end", lambda p: deflated(p, bytes(bomb)), damaged),
        ("sequences 10,000 deep", lambda p: _nested(p), damaged | {"shown"}),
        *((f"not {syntax.name}", lambda p, syntax=syntax: _not_coded(p, syntax), damaged) for syntax in _CODED),
        (
            "a syntax of nobody's",
            lambda p: p.write_bytes(whole.replace(_EXPLICIT, b"1.2.840.99999.9.9.9\0")),
            {"unsupported"},
        ),
        ("DICOM named .png", lambda p: p.with_suffix(".png").write_bytes(whole), {"shown"}),
        ("PNG named .dcm", lambda p: write_png(p.with_suffix(".dcm"), PIXELS, 16, GREY), {"shown"}),
        ("NIfTI named .png", lambda p: write_nifti(p.with_suffix(".png"), VOXELS), {"shown"}),
        ("voxels of 4 GB", lambda p: write_nifti(p, VOXELS, dim=[3, 1300, 1300, 1300, 1, 1, 1, 1]), damaged),
        ("a slice of a gigabyte", lambda p: write_nifti(p, VOXELS, dim=[3, 32767, 32767, 1, 1, 1, 1, 1]), damaged),
        ("a volume packed without end", lambda p: _bomb(p.with_suffix(".nii.gz"), bomb), damaged),
        ("a NIfTI file of nothing", lambda p: p.with_suffix(".nii").write_bytes(bytes(348)), {"not-an-image"}),
    )
    (folder / "whole").unlink()
    for number, (what, make, codes) in enumerate(made):
        place = folder / f"{number}"
        place.mkdir()
        make(place / "scan")
        (path,) = place.iterdir()
        yield what, path, frozenset(codes)
        path.unlink()


def cut_files(files: Sequence[Path], folder: Path) -> Iterator[Path]:
    """Files that end early, at seven places each; each is gone when the next comes."""
    for file in files:
        content = file.read_bytes()
        for share in (0.02, 0.1, 0.3, 0.6, 0.9, 0.99, 1 - 1 / len(content)):
            path = folder / f"cut{''.join(file.suffixes[-2:])}"
            path.write_bytes(content[: int(share * len(content))])
            yield path
            path.unlink()


_EXPLICIT = b"1.2.840.10008.1.2.1\0"
_CODED = (uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.RLELossless, uid.JPEGBaseline8Bit, uid.JPEGLosslessSV1)


def _long_value(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[: whole.index(b"\x28\0\0\x01US")] + struct.pack("<HH2sHI", 0x28, 0x1201, b"OW", 0, 10**9))
    with path.open("r+b") as file:
        file.truncate(10**9)


def _nested(path: Path) -> None:
    whole = write_dicom(path, PIXELS, syntax=uid.ImplicitVRLittleEndian).read_bytes()
    at = whole.index(struct.pack("<HH", 0x28, 2))
    begin = struct.pack("<HHIHHI", 0x20, 0x9222, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    path.write_bytes(whole[:at] + begin * 10_000 + end * 10_000 + whole[at:])


def _not_coded(path: Path, syntax: uid.UID) -> None:
    made = dataset(PIXELS)
    frames_of(made, [PIXELS.tobytes()])
    made.file_meta.TransferSyntaxUID = syntax
    write(path, made)


def _bomb(path: Path, length: int) -> None:
    """A volume followed by so many zeros, three times over, since gzip's members may follow each other."""
    squeezed = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = squeezed.compress(bytes(length)) + squeezed.flush()
    path.write_bytes(gzip.compress(write_nifti(path.with_suffix(""), VOXELS).read_bytes()) + 3 * zeros)
    path.with_suffix("").unlink()
