"""Reads slices of NIfTI volumes in the program itself; a header is read once, and a volume of usual size, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ImageError
from engine.images.header import DEFAULT_LIMITS, EXPORT, Limits
from engine.images.nifti.facts import NiftiFacts, VolumeFacts, in_plane, normal
from engine.images.nifti.header import half
from engine.images.nifti.recognising import (
    PLANES,
    START,
    Kind,
    Plane,
    Slice,
    is_volume,
    kind_of,
    slice_name,
    split_slice,
)
from engine.images.scan_files import Kept, ScanFile, beginning_of, opened_scan
from engine.results.caution import Caution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.unsignedinteger] | NDArray[np.float32]

headers: Kept[VolumeFacts] = Kept(10_000)
"""Headers that were read."""
volumes: Kept[tuple[VolumeFacts, NDArray[np.generic]]] = Kept(256 * 10**6, lambda found: found[1].nbytes)
"""The voxels of the volumes that were read last, with their headers. What would not fit is read slice by slice."""


def starts_as_nifti(path: Path) -> bool:
    """Whether the readers of NIfTI are to look into a file, or into that of the slice that a path names.

    False if it cannot be read.
    """
    place = split_slice(path)[0]
    return is_volume(beginning_of(place, START)) or _second_half(place) is not None


def read_slice(path: Path, limits: Limits = DEFAULT_LIMITS) -> tuple[Samples, NiftiFacts]:
    """Read the slice that a path names, or the only one of its file.

    Returns:
        (H, W, C) pixels, C 1 or 3: uint8 or uint16 where these hold the values, else float32; and what is kept of the
        header. Numbers are scaled as the header says. The patient's right is at the picture's left edge, the head at
        the top; in an axial slice the front.

    Raises:
        ImageError: it cannot be read, some of its values are no numbers, or the path names no slice and the file has
            several.
    """
    import numpy as np

    facts = read_facts(path, limits)  # says why, if the path names no slice that there is
    axis, place = _stored_place(facts)
    with _opened(path) as scan:
        found, block = _voxels(scan, facts, axis, place, path, limits)
    if found != facts.of:
        raise ImageError("the file was written while it was read", subject=path, remedy="open it again", code="changed")
    # Not by `take`, which would copy the whole volume first.
    stored = np.moveaxis(block, axis, 0)[0 if block.shape[axis] == 1 else place]
    return _values(_upright(stored, facts), facts, path)


def read_facts(path: Path, limits: Limits = DEFAULT_LIMITS) -> NiftiFacts:
    """Return what is kept of the header for the slice that a path names, or the only one; the range is not known yet.

    Raises:
        ImageError: the header cannot be read, the path names no slice and the file has several, or one that is not
            there.
    """
    header = header_of(path, limits)
    named = split_slice(path)[1]
    if named is None:
        named = Slice(header.only, 1) if header.only is not None else Slice("axial")
    if named.index is None or (named.volume is None and header.volumes > 1):
        raise _several(header, named, path)
    facts = NiftiFacts(header, named.plane, named.index, named.volume or 1, 0.0, 255.0)
    _check(facts, path)
    return facts


def header_of(path: Path, limits: Limits = DEFAULT_LIMITS) -> VolumeFacts:
    """Return what is kept of a file's header, whichever slice the path names.

    Raises:
        ImageError: it cannot be read.
    """
    from engine.images.decoding.client import nifti_separately

    with _opened(path) as scan:
        if (known := headers.find(scan.key)) is not None:
            return known
        facts, _ = nifti_separately(scan.file, scan.size, None, path, limits)
    headers.keep(scan.key, facts)
    return facts


def cautions(facts: NiftiFacts) -> tuple[Caution, ...]:
    """Return what is doubtful about a slice whatever network it is fed to."""
    if facts.of.orientation == "unknown":
        return (
            Caution(
                "orientation",
                "The file does not say how the volume lies in the patient: left may be right, and what is called "
                f"{facts.plane} is a guess from the order of its voxels.",
            ),
        )
    if facts.of.orientation == "disputed":
        return (
            Caution(
                "orientation",
                "The file says in two ways that differ how the volume lies in the patient (sform and qform); sform was "
                "taken, and if it is wrong, left is right or the slice is cut another way.",
            ),
        )
    return ()


def shown_facts(facts: NiftiFacts) -> dict[str, str]:
    """Return what people are shown of a header, by name: nothing but what the facts keep, in words."""
    several = facts.of.volumes > 1
    spacing, letters = facts.spacing, facts.letters
    shown = {
        "kind": f"{facts.of.kind} volume",
        "slice": f"{facts.plane} {facts.index:,} of {facts.of.count(facts.plane):,}",
        "volume": f"{facts.volume:,} of {facts.of.volumes:,}" if several else "",
        "spacing": "" if spacing is None else f"{spacing[0]:g} x {spacing[1]:g} mm (rows, columns)",
        "edges": "not known" if letters is None else f"{', '.join(letters)} (left, right, upper, lower)",
        "values": f"{facts.low:g} to {facts.high:g}",
    }
    return {name: said for name, said in shown.items() if said}


def _several(header: VolumeFacts, named: Slice, path: Path) -> ImageError:
    """Return the error for a path that does not say which slice."""
    file, several = split_slice(path)[0].name, header.volumes > 1
    count = header.count(named.plane)
    holds = f"{count:,} {named.plane} slice{'s' * (count > 1)}"
    holds += f" in each of {header.volumes:,} volumes" if several else ""
    one = slice_name(file, named.plane, named.index or middle(header, named.plane), 1 if several else None)
    return ImageError(f"the file holds {holds}", subject=path, remedy=f"name one, such as {one}", code="stack")


def slices_to_name(path: Path) -> str:
    """Return which slices of a file can be named, plane by plane, as a remedy.

    Raises:
        ImageError: it cannot be read.
    """
    header = header_of(path)
    first, last = (None, None) if header.volumes == 1 else (1, header.volumes)
    planes = [
        f"{slice_name('', plane, 1, first)} to {slice_name('', plane, header.count(plane), last)}" for plane in PLANES
    ]
    return f"name one of {', '.join(planes[:-1])} or {planes[-1]}"


def middle(header: VolumeFacts, plane: Plane) -> int:
    """Return the number of the slice in the middle."""
    return (header.count(plane) + 1) // 2


def _check(facts: NiftiFacts, path: Path) -> None:
    """Check that there is such a slice.

    Raises:
        ImageError: there is none.
    """
    count = facts.of.count(facts.plane)
    for what, number, most in (
        (f"{facts.plane} slice", facts.index, count),
        ("volume", facts.volume, facts.of.volumes),
    ):
        if number > most:
            holds = f"one {what}" if most == 1 else f"{most:,} {what}s"
            raise ImageError(
                f"it has {holds}, and no {what} {number:,}",
                subject=path,
                remedy=f"name {what} 1" if most == 1 else f"name one from 1 to {most:,}",
                code="frame",
            )


def _voxels(
    scan: ScanFile, facts: NiftiFacts, axis: int, place: int, path: Path, limits: Limits
) -> tuple[VolumeFacts, NDArray[np.generic]]:
    """Return the voxels of a slice, or of the volume that it is of if they can be kept, with the header."""
    from engine.images.decoding.client import nifti_separately

    x, y, z = facts.of.shape
    if x * y * z * facts.of.voxel_bytes > min(volumes.most, limits.bytes):
        return nifti_separately(scan.file, scan.size, (facts.volume, axis, place), path, limits)
    named = (scan.key, facts.volume)
    if (found := volumes.find(named)) is None:
        found = nifti_separately(scan.file, scan.size, (facts.volume,), path, limits)
        volumes.keep(named, found)
    return found


def _stored_place(facts: NiftiFacts) -> tuple[int, int]:
    """Return across which of the file's axes a slice lies, and where along that, from 0."""
    towards = normal(facts.plane)
    axis = facts.of.axes[towards]
    place = facts.index - 1
    return axis, facts.of.shape[axis] - 1 - place if facts.of.reversed[towards] else place


def _upright(stored: NDArray[np.generic], facts: NiftiFacts) -> NDArray[np.generic]:
    """Turn a slice of the file, (A, B) or (A, B, channels), so that it lies as radiologists expect it."""
    across, up = in_plane(facts.plane)
    if facts.of.axes[across] > facts.of.axes[up]:
        stored = stored.swapaxes(0, 1)
    # From right to left, and from the front to the back or from the head to the feet.
    if not facts.of.reversed[across]:
        stored = stored[::-1]
    if not facts.of.reversed[up]:
        stored = stored[:, ::-1]
    return stored.swapaxes(0, 1)


def _values(stored: NDArray[np.generic], facts: NiftiFacts, path: Path) -> tuple[Samples, NiftiFacts]:
    """Return (H, W, C) pixels of numbers as they are stored, and the facts with their range.

    Raises:
        ImageError: some are no numbers, or too large, or not opaque.
    """
    import numpy as np

    of = facts.of
    if not of.grey:
        if of.sample == "rgba" and int(stored[..., 3].min()) != 255:
            raise ImageError(
                "parts of the picture are transparent, and what lies behind them is not known",
                subject=path,
                remedy=EXPORT,
                code="transparent",
            )
        return np.ascontiguousarray(stored[..., :3], dtype=np.uint8), facts
    scaled = (of.slope, of.intercept) != (1.0, 0.0)
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise ImageError(
            "some of its values are no numbers",
            subject=path,
            remedy="replace them first, such as by numpy.nan_to_num",
            code="unsupported",
        )
    exact = stored.astype(np.float64)
    if stored.dtype.kind == "f":
        least, most = float(exact.min()), float(exact.max())
    else:
        kind = np.iinfo(of.sample)
        least, most = float(kind.min), float(kind.max)
    ends = [each * of.slope + of.intercept for each in (least, most)]
    facts = NiftiFacts(of, facts.plane, facts.index, facts.volume, min(ends), max(ends))
    if not scaled and stored.dtype.kind == "u" and stored.dtype.itemsize <= 2:
        return np.ascontiguousarray(stored)[..., None], facts
    with np.errstate(over="ignore"):  # as nibabel does, in float64
        values = np.ascontiguousarray(exact * of.slope + of.intercept if scaled else exact, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ImageError("some of its values are too large", subject=path, remedy=EXPORT, code="unsupported")
    return values[..., None], facts


def _second_half(path: Path) -> Kind | None:
    """Return of which kind of pair a file holds the voxels: beside it, a file of its name has the header; else None."""
    if path.suffix.lower() != ".img":
        return None
    kinds = (kind_of(beginning_of(path.with_suffix(suffix), START)) for suffix in (".hdr", ".HDR"))
    return next(filter(None, kinds), None)


@contextmanager
def _opened(path: Path) -> Iterator[ScanFile]:
    """Open the file of a slice.

    Raises:
        ImageError: as `opened_scan`; or it is half of a pair.
    """
    place = split_slice(path)[0]
    with opened_scan(place, path) as scan:
        if not is_volume(scan.file.read(START)):
            raise half(_second_half(place) or "no NIfTI volume any more", path)
        scan.file.seek(0)
        yield scan
