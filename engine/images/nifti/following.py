"""From the path of a NIfTI file to those of its slices."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.errors import ImageError
from engine.images.nifti.reading import header_of, middle
from engine.images.nifti.recognising import PLANES, Plane, slice_name, split_slice


def slices_at(path: Path) -> tuple[Path, ...]:
    """Return the paths of the slices that a path names: all of a plane, the one, or else the middle axial one.

    Of a file with several volumes, that of the first. A file that cannot be read is returned as it is: whoever reads
    it is told why. So is one that is a single slice.
    """
    place, named = split_slice(path)
    try:
        header = header_of(path)
    except ImageError:
        return (path,)
    if named is not None and named.index is None:
        return tuple(place.with_name(name) for name in header.names(place.name, named.plane))
    if named is not None or (header.only is not None and header.volumes == 1):
        return (path,)
    plane = header.only or "axial"
    first = 1 if header.volumes > 1 else None
    return (place.with_name(slice_name(place.name, plane, middle(header, plane), first)),)


def listed_slices(path: Path, planes: Iterable[Plane]) -> tuple[tuple[Plane, tuple[str, ...]], ...]:
    """Return the names of the slices of a volume as a folder lists them, plane by plane.

    Of a volume that is a single slice the file itself; of a file with several volumes the first plane alone, since
    each has hundreds.

    Args:
        path: the file.
        planes: which are wanted, such as `PLANES`.

    Raises:
        ImageError: it cannot be read.
    """
    header = header_of(path)
    if header.only is not None:
        names = (path.name,) if header.volumes == 1 else header.names(path.name, header.only)
        return ((header.only, names),)
    wanted = [plane for plane in PLANES if plane in planes]
    if header.volumes > 1:
        wanted = wanted[:1]
    return tuple((plane, header.names(path.name, plane)) for plane in wanted)
