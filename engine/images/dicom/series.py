"""The images of a folder by series: of DICOM in the order in which they were taken, of NIfTI volumes slice by slice."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ImageError
from engine.images.dicom.facts import DicomFacts
from engine.images.dicom.following import DICOMDIR, frames_of, listed_by
from engine.images.dicom.reading import header_of, known_header
from engine.images.dicom.recognising import split_frame
from engine.images.nifti.following import listed_slices
from engine.images.nifti.reading import starts_as_nifti
from engine.images.nifti.recognising import AXIAL, Plane, may_be_volume, slice_in
from engine.storage.reading import natural_key
from engine.text import safe_text

SUFFIXES = (".dcm", ".dicom", ".ima")
"""Suffixes of DICOM files, in lower case; most have none."""

MOST = 10_000
"""The most files of a folder whose headers are read; the rest keep the order of their names."""

_PAUSE_AFTER = 0.5
"""Seconds of reading after which whoever waits gets a word."""


@dataclass(frozen=True, slots=True)
class Series:
    """Images that belong together: of one series, by their headers, or slices of a volume, cut in the same plane.

    Attributes:
        modality: its code, as `CT`; empty if it is not known; of slices `NIfTI`, whose files do not say it.
        description: the words of the trade in the series' description; all others are left out: they may be names. Of
            slices their plane, the number of their volume if there are several, and their file's name.
        number: as the device counted the series.
        names: of the images, frames each by itself, in the order in which they were taken.
    """

    modality: str
    description: str
    number: int
    names: tuple[str, ...]

    @property
    def title(self) -> str:
        """What people are told of it, as `CT, CHEST AXIAL`."""
        return ", ".join(word for word in (self.modality or "no modality", self.description) if word)

    @property
    def words(self) -> str:
        """The same with the number of its images, as `CT, CHEST AXIAL, 120 images`."""
        count = len(self.names)
        return f"{self.title}, {count:,} image{'s' * (count != 1)}"


def may_be_dicom(name: str) -> bool:
    """Whether a name is one that DICOM files have."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - as in the listing, for its speed
    # A part behind a dot that is all digits is no suffix: many devices name a file by its identifier.
    return not suffix or suffix in SUFFIXES or suffix[1:].isdigit()


def arranged(folder: Path, names: Sequence[str], planes: Collection[Plane] = AXIAL) -> Iterator[list[str] | None]:
    """Put the DICOM files of a folder in the order of series and images; their headers are read, once each.

    Files with several frames are replaced by these, a `DICOMDIR` by the files that it lists. All that is not DICOM
    follows in the order given, and so does everything if no header can be read. NIfTI volumes are replaced by their
    slices.

    Args:
        folder: where they lie.
        names: of the files, in natural order.
        planes: of the slices of volumes.

    Yields:
        None now and then while headers are read, so that whoever waits can stop; at last the names.
    """
    begin = time.monotonic()
    known: list[tuple[str, DicomFacts]] = []
    others: list[str] = []
    asked = list(names)
    read, lacking = 0, False
    listed = set(asked)
    for name in asked:  # grows while it is gone through: by what a DICOMDIR lists
        if time.monotonic() - begin > _PAUSE_AFTER:
            yield None
            begin = time.monotonic()
        if read < MOST and may_be_volume(name):
            read += 1
            others += _slices(folder / name, planes)
            continue
        if read >= MOST or lacking or not may_be_dicom(name):
            others.append(name)
            continue
        read += 1
        try:
            start, _, plain = name.rpartition("/")
            if plain.upper() == DICOMDIR:
                listed_there = (f"{start}/{file}" if start else file for file in listed_by(folder / name))
                more = [file for file in listed_there if file not in listed]
                listed.update(more)
                asked += more
                continue
            known.append((name, header_of(folder / name)))
        except ImageError as error:
            # What no reader takes is refused by name where it is looked at.
            others += _slices(folder / name, planes) if starts_as_nifti(folder / name) else [name]
            lacking = error.code == "codec-missing" and not known  # without pydicom, no header is read
    yield [name for series in _grouped(known) for name in series.names] + others


def series_of(folder: Path, names: Sequence[str]) -> tuple[Series, ...]:
    """Return the series that images belong to, in order; then volumes by planes. Pictures are in none.

    No header is read: only what `arranged` has found out counts, so it takes no time, and of a very large folder the
    files that `arranged` leaves aside are in no series.

    Args:
        folder: where they lie.
        names: as `arranged` gives them.
    """
    known: dict[str, DicomFacts] = {}
    for name in names:
        if not may_be_dicom(name) and not may_be_dicom(name.rpartition("#")[0] or name):
            continue  # before any path is made: there may be a hundred thousand pictures
        file = split_frame(folder / name)[0]
        plain = file.relative_to(folder).as_posix()
        if plain not in known and may_be_dicom(plain) and (facts := known_header(file)) is not None:
            known[plain] = facts
    return (*_grouped(list(known.items())), *_volumes(names))


def _slices(path: Path, planes: Collection[Plane]) -> list[str]:
    """Return the names of a volume's slices; its own if it cannot be read, or is not cut."""
    if not planes:
        return [path.name]
    try:
        return [name for _, names in listed_slices(path, planes) for name in names]
    except ImageError:  # refused by name where it is looked at
        return [path.name]


def _volumes(names: Sequence[str]) -> Iterator[Series]:
    """Yield slices that belong together: those of a volume in a plane."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if (found := slice_in(name)) is not None:
            file, part = found
            volume = f", volume {part.volume:,}" if part.volume is not None else ""
            groups.setdefault((file, f"{part.plane}{volume}"), []).append(name)
    for (file, how), slices in groups.items():
        yield Series("NIfTI", f"{how}, {safe_text(file)}", 0, tuple(slices))


def _grouped(known: Sequence[tuple[str, DicomFacts]]) -> Iterator[Series]:
    groups: dict[str, list[tuple[str, DicomFacts]]] = {}
    for name, facts in known:
        groups.setdefault(facts.series, []).append((name, facts))
    for group in sorted(groups.values(), key=lambda group: (group[0][1].series_number, natural_key(group[0][0]))):
        group.sort(key=lambda one: (one[1].instance_number, one[1].position or 0.0, natural_key(one[0])))
        first = group[0][1]
        images = tuple(path.as_posix() for name, facts in group for path in frames_of(Path(name), facts.frames))
        yield Series(first.modality, first.description, first.series_number, images)
