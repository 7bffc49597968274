"""Which files a DICOMDIR lists (PS3.3, annex F)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ImageError
from engine.images.dicom.opening import AGAIN, NOT_READ, OpenedDicom, is_directory

MOST = 100_000
"""The most files that are listed."""

_PART = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
"""Of a path. The standard allows eight capitals, digits or `_` (PS3.10, 8.2); others are in use."""
_DEEPEST = 8


def listed_files(opened: OpenedDicom, path: Path) -> list[str]:
    """Return the names of the files with pictures in the order of the records, with `/`, relative to the DICOMDIR.

    Raises:
        ImageError: the file is no DICOMDIR, or damaged.
    """
    if not is_directory(opened.dataset):
        raise ImageError("this is no DICOMDIR", subject=path, remedy="name the images themselves", code="no-pixels")
    try:
        return list(dict.fromkeys(_files(opened)))[:MOST]
    # A damaged record may make pydicom raise anything. What it says may quote the record, so it is dropped.
    except Exception as error:
        raise ImageError(NOT_READ, subject=path, remedy=AGAIN, code="damaged") from error


def _files(opened: OpenedDicom) -> Iterator[str]:
    for record in opened.dataset.get("DirectoryRecordSequence") or ():
        if str(record.get("DirectoryRecordType") or "").strip().upper() != "IMAGE":
            continue
        said = record.get("ReferencedFileID")
        parts = [said] if isinstance(said, str) else list(said or ())
        # Nothing but plain names below the folder: no way up, no root, nothing hidden.
        if 1 <= len(parts) <= _DEEPEST and all(
            isinstance(part, str) and _PART.fullmatch(part) and not part.startswith(".") for part in parts
        ):
            yield "/".join(parts)
