"""Reads DICOM images and headers in the program itself; a header is read once as long as its file stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ImageError
from engine.images.dicom.facts import DicomFacts
from engine.images.dicom.header import no_frame
from engine.images.dicom.recognising import START, frame_name, is_dicom, split_frame
from engine.images.dicom.words import no_photograph
from engine.images.header import DEFAULT_LIMITS, Limits
from engine.images.scan_files import Kept, beginning_of, key_of, opened_scan
from engine.results.caution import Caution

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.images.dicom.origin import DicomOrigin

_ACQUIRED = ("CT", "MR", "PT", "NM", "MG", "DX", "CR", "IO", "PX", "XA", "RF", "OCT", "OPT")
"""Modalities whose devices write text beside the pixels, not into them. Of all others it is said if the file is silent
about text in its pixels."""

_SECONDARY = "Secondary Capture"
"""What the kind of a screenshot says, such as that of a dose report: its modality is that of the slices, and its pixels
often hold the patient's name."""

headers: Kept[DicomFacts] = Kept(50_000)
"""Headers that were read."""

_refusals: Kept[ImageError] = Kept(10_000)
"""Those that were refused, and are whenever they are read."""

_LASTING = ("damaged", "no-pixels", "unsupported")
"""The codes of such refusals."""


def starts_as_dicom(path: Path) -> bool:
    """Whether a file, or the file of the frame that a path names, begins as DICOM; False if it cannot be read."""
    return is_dicom(beginning_of(split_frame(path)[0], START))


def read_frame(
    path: Path, limits: Limits = DEFAULT_LIMITS
) -> tuple[NDArray[np.unsignedinteger] | NDArray[np.float32], DicomFacts]:
    """Decode the frame that a path names, or the only one of its file.

    Returns:
        (H, W, C) pixels, see `engine.images.dicom.pixels.frame_pixels`, and what is kept of the header.

    Raises:
        ImageError: it cannot be read, or the path names no frame and the file has several.
    """
    from engine.images.decoding.client import dicom_separately

    read_facts(path, limits)  # says why, if the path names no frame that there is, before any pixel is decoded
    place, frame = split_frame(path)
    with opened_scan(place, path) as scan:
        return dicom_separately(scan.file, scan.size, frame or 1, path, limits)


def read_origin(
    path: Path, limits: Limits = DEFAULT_LIMITS
) -> tuple[DicomOrigin, NDArray[np.unsignedinteger] | NDArray[np.float32], DicomFacts]:
    """Read what objects made of a frame take over from it, and the frame itself: whether it is still the same.

    Both are of one file, also where another one takes its name meanwhile.

    Raises:
        ImageError: it cannot be read.
    """
    from engine.images.decoding.client import dicom_origin_separately, dicom_separately

    place, frame = split_frame(path)
    with opened_scan(place, path) as scan:
        origin = dicom_origin_separately(scan.file, scan.size, frame or 1, path, limits)
        return origin, *dicom_separately(scan.file, scan.size, frame or 1, path, limits)


def read_facts(path: Path, limits: Limits = DEFAULT_LIMITS) -> DicomFacts:
    """Return what is kept of a header, for its first frame, once the path names a frame that there is, or the only one.

    Raises:
        ImageError: it cannot be read, the path names no frame and the file has several, or one that is not there.
    """
    facts = header_of(path, limits)
    frame = split_frame(path)[1]
    if frame is not None and frame > facts.frames:
        raise no_frame(frame, facts.frames, path)
    if facts.frames > 1 and frame is None:
        remedy = _name_a_frame(path, facts.frames)
        raise ImageError(f"the file holds {facts.frames:,} frames", subject=path, remedy=remedy, code="stack")
    return facts


def header_of(path: Path, limits: Limits = DEFAULT_LIMITS) -> DicomFacts:
    """Return what is kept of a file's header, for its first frame, whichever frame the path names.

    What is asked of a header is the same for all frames. An enhanced one describes each, and takes long to read: once
    for each of a thousand frames would be minutes. `read_frame` returns what is a frame's own.

    Raises:
        ImageError: it cannot be read.
    """
    from engine.images.decoding.client import dicom_header_separately

    with opened_scan(split_frame(path)[0], path) as scan:
        if (known := headers.find(scan.key)) is not None:
            return known
        if (refused := _refusals.find(scan.key)) is not None:
            raise ImageError(refused.cause, subject=path, remedy=refused.remedy, code=refused.code)
        try:
            facts = dicom_header_separately(scan.file, scan.size, path, limits)
        except ImageError as error:
            if error.code in _LASTING:
                # Another one, as this one holds on to where it was raised.
                _refusals.keep(scan.key, ImageError(error.cause, remedy=error.remedy, code=error.code))
            raise
    headers.keep(scan.key, facts)
    return facts


def frames_to_name(path: Path) -> str:
    """Return what to name of a file, as a remedy: a frame, or the file alone if it has just one.

    Raises:
        ImageError: it cannot be read.
    """
    frames = header_of(path).frames
    return f"name the file alone: {path.name}" if frames == 1 else _name_a_frame(path, frames)


def _name_a_frame(path: Path, frames: int) -> str:
    one, last = (frame_name(path.name, number) for number in (1, frames))
    return f"name one of {one} to {last}"


def known_header(path: Path) -> DicomFacts | None:
    """Return what `header_of` has read of a file that has not changed since; None if it has not, or refused it.

    It takes a few microseconds, and reads nothing of the file.
    """
    try:
        return headers.find(key_of(path, path.stat()))
    except OSError:
        return None


def cautions(facts: DicomFacts) -> tuple[Caution, ...]:
    """Return what is doubtful about an image whatever network it is fed to."""
    if facts.burned_in == "yes":
        return (
            Caution(
                "burned-in",
                "The file says that text is written into its pixels: a patient's name may be in every picture of it.",
            ),
        )
    if (
        facts.burned_in == "unknown"
        and (facts.modality not in _ACQUIRED or _SECONDARY in facts.kind)
        and not no_photograph(facts.kind, facts.modality)
    ):
        return (
            Caution(
                "burned-in",
                "The file does not say whether text, such as a patient's name, is written into its pixels: look before "
                "you pass pictures of it on.",
            ),
        )
    return ()


def shown_facts(facts: DicomFacts) -> dict[str, str]:
    """Return what people are shown of a header, by name: nothing but what `DicomFacts` keeps, in words."""
    values = f"{facts.low:g} to {facts.high:g}{facts.unit and ' '}{facts.unit}"
    shown = {
        "kind": facts.kind,
        "modality": facts.modality,
        "body part": facts.body_part,
        "view": facts.view,
        "laterality": {"L": "left", "R": "right", "B": "both sides"}.get(facts.laterality, ""),
        "frame": f"{facts.frame} of {facts.frames}" if facts.frames > 1 else "",
        "spacing": "" if facts.spacing is None else f"{facts.spacing[0]:g} x {facts.spacing[1]:g} mm (rows, columns)",
        "photometric": facts.photometric,
        "values": values,
        "coding": facts.coding,
    }
    return {name: said for name, said in shown.items() if said}
