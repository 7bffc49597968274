"""Save an explanation to a folder: all of its files, or no folder under the final name."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import unicodedata
import zipfile
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from PIL.PngImagePlugin import PngInfo

from engine.errors import ExportError, Stopped
from engine.export.exact_picture import exact_picture
from engine.export.pictures import agreement_picture, cells_picture, original_picture, overlay_picture
from engine.export.record import explanation_record, record_bytes
from engine.export.report import ReportKind, report_file, report_of
from engine.export.report_html import report_html
from engine.export.report_pdf import report_pdf
from engine.export.saved import MAPS, ORIGINAL, RECORD
from engine.progress import NeverStop, Progress, no_progress
from engine.results.cells import CELLS
from engine.results.evidence import Verdict
from engine.storage.deleting import delete
from engine.storage.partial import partial_folder, remove_beside
from engine.storage.writing import flush_folder
from engine.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from PIL.Image import Image

    from engine.explanation.explain import Explanation
    from engine.export.dicom.plan import DicomPlan
    from engine.progress import ProgressCallback, StopSignal
    from engine.results.evidence import Evidence
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics

COLUMNS = (
    *("method", "row", "column", "mean", "median", "min", "max", "std"),
    *("top", "certain", "warning_codes", "stable"),
)
"""Header of `statistics.csv`; `certain` is 0 if it is not settled whether the cell is among the three, and
`warning_codes` are those of the answer and the map, separated by spaces, so that the table does not go without them.
`stable` is the answer to that question about the map: 1 for yes, 0 for no, empty where it was not asked or cannot be
said."""

_STABLE = {Verdict.YES: "1", Verdict.NO: "0"}

EXACT_COLUMNS = ("fill", "row", "column", "shapley", "top", "firm")
"""Header of `exact.csv`."""

LONGEST_NAME = 100
"""Most characters of a folder's name, without its number."""

SAVING = "saving"
"""What reports of progress name in place of a method."""

_NEVER = NeverStop()

_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}
"""Errors of a rename that mean that something else has the name."""


def save_explanation(
    explanation: Explanation,
    out: Path,
    *,
    name: str | None = None,
    full_paths: bool = False,
    reports: Collection[ReportKind] = (),
    dicom: DicomPlan | None = None,
    progress: ProgressCallback = no_progress,
    stop: StopSignal = _NEVER,
) -> Path:
    """Write an explanation's files into a new folder in `out`.

    The files are written to a hidden folder in `out` and flushed; then the folder is renamed. After a crash, a folder
    with the final name has all its files. Hidden folders left by earlier crashes are removed.

    Args:
        explanation: what to write.
        out: where to make the folder; created if it does not exist.
        name: the folder's name, which is made safe; None for the stem of the image's file, or a short hash for a
            DICOM or NIfTI image. If the name is taken, `-2`, `-3`, ... is appended.
        full_paths: write where the image's file lies into `explanation.json`, not only the file's name.
        reports: write a report of each of these kinds, too.
        dicom: write DICOM objects, too; see `engine.export.dicom.plan.plan_dicom`.
        progress: told how many files are written.
        stop: asked before every file.

    Returns:
        The new folder.

    Raises:
        ExportError: the files could not be written; nothing is left behind.
        Stopped: stopped before all were written; nothing is left behind, either.
    """
    out = Path(out)
    stem = safe_folder_name(explanation.image.public_stem if name is None else name)
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_beside(out)
        with partial_folder(out) as partial:
            written: list[str] = []
            exact = explanation.exact is not None
            total = len(explanation_file_names(explanation.maps, exact=exact, reports=reports, dicom=dicom))
            progress(Progress(SAVING, 0, total))
            for file_name, content in explanation_files(
                explanation, full_paths=full_paths, reports=reports, dicom=dicom
            ):
                if stop.is_set():
                    raise Stopped(str(out), "saving was stopped, and nothing was written")
                _write(partial / file_name, content)
                written.append(file_name)
                progress(Progress(SAVING, len(written), total))
            flush_folder(partial)
            final = _rename(partial, out, stem)
    except OSError as error:
        raise _export_error(error, out) from error
    try:
        flush_folder(out)
        # Somebody else may have tidied up in the wrong place until the rename.
        if missing := set(written).difference(path.name for path in final.iterdir()):
            raise OSError(errno.EIO, f"{len(missing)} of the files vanished", str(final))
    except OSError as error:
        delete(final)
        raise _export_error(error, out) from error
    return final


def explanation_files(
    explanation: Explanation,
    *,
    full_paths: bool = False,
    reports: Collection[ReportKind] = (),
    dicom: DicomPlan | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file of an explanation; the options are those of `save_explanation`."""
    original = original_picture(explanation.image, explanation.bundle.input)
    yield ORIGINAL, _png(original, explanation.diagnosis.warnings)
    for method in explanation.maps:
        yield f"{method}.png", _png(overlay_picture(explanation, method).image)
        yield f"{method}-cells.png", _png(cells_picture(explanation, method).image)
    yield "agreement.png", _png(agreement_picture(explanation).image)
    if explanation.exact is not None:
        yield "exact-cells.png", _png(exact_picture(explanation, explanation.exact).image)
        yield "exact.csv", exact_bytes(explanation.exact)
    for kind in reports:
        yield report_file(kind), report_bytes(explanation, kind)
    if dicom is not None:
        from engine.export.dicom.files import dicom_files  # late: highdicom takes a second, and is an extra

        yield from dicom_files(explanation, dicom)
    yield MAPS, maps_bytes(explanation.maps)
    yield (
        "statistics.csv",
        statistics_bytes(explanation.statistics, codes_by_method(explanation), explanation.evidence),
    )
    yield RECORD, record_bytes(explanation_record(explanation, full_paths=full_paths))


def report_bytes(explanation: Explanation, kind: ReportKind) -> bytes:
    """Return the content of a report."""
    created = datetime.now(UTC)
    report = report_of(explanation, created=created)
    return report_html(report) if kind == "html" else report_pdf(report, created=created)


def explanation_file_names(
    methods: Collection[str],
    *,
    exact: bool = False,
    reports: Collection[ReportKind] = (),
    dicom: DicomPlan | None = None,
) -> list[str]:
    """Return the file names of an explanation with these maps, in the order in which they are written.

    Args:
        methods: of the maps.
        exact: whether it has exact cells.
        reports: of which kinds it has a report.
        dicom: which DICOM objects it becomes; None for none.
    """
    maps = [name for method in methods for name in (f"{method}.png", f"{method}-cells.png")]
    cells = ["exact-cells.png", "exact.csv"] if exact else []
    more = (*cells, *map(report_file, reports), *(() if dicom is None else dicom.file_names(methods)))
    return [ORIGINAL, *maps, "agreement.png", *more, MAPS, "statistics.csv", RECORD]


def next_folder(out: Path, stem: str) -> Path:
    """Return the folder that `save_explanation` would make now in `out` for an image file with this stem."""
    return next(folder for folder in _candidates(out, safe_folder_name(stem)) if not os.path.lexists(folder))


def maps_bytes(maps: Mapping[str, SaliencyMap]) -> bytes:
    """Return the content of `saliency.npz`: one float32 (H, W) array a method, in the format of `numpy.savez`.

    Unlike with `savez`, the same maps always give the same bytes, because the entries have no date, and a method may
    have any name, even one that `savez` could not take as an argument.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for method, saliency in maps.items():
            array = np.ascontiguousarray(saliency.values, dtype=np.float32)
            with archive.open(zipfile.ZipInfo(f"{method}.npy"), "w") as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
    return buffer.getvalue()


def codes_by_method(explanation: Explanation) -> dict[str, tuple[str, ...]]:
    """Return for each method the codes of the warnings that its map must not be seen without, each once."""
    answer = explanation.diagnosis.warning_codes
    return {method: tuple(dict.fromkeys((*answer, *each.warning_codes))) for method, each in explanation.maps.items()}


def statistics_bytes(
    statistics: Mapping[str, GridStatistics],
    codes: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    evidence: Mapping[str, Evidence] = MappingProxyType({}),
) -> bytes:
    """Return the content of `statistics.csv`, nine rows a method; numbers read back as the same float64.

    `certain` is 0 for cells that tie for a place among the three, and for all cells of a constant map.

    Args:
        statistics: by method.
        codes: the codes of the warnings by method; see `codes_by_method`.
        evidence: by method.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for method, table in statistics.items():
        for cell in CELLS:
            numbers = (table.mean, table.median, table.min, table.max, table.std)
            marks = int(cell in table.top), int(bool(table.top) and cell not in table.ties)
            kinds = " ".join(codes.get(method, ()))
            stable = _STABLE.get(evidence[method].stable.verdict, "") if method in evidence else ""
            writer.writerow([method, *cell, *(repr(float(each[cell])) for each in numbers), *marks, kinds, stable])
    return text.getvalue().encode("ascii")


def exact_bytes(exact: ExactCells) -> bytes:
    """Return the content of `exact.csv`, nine rows a fill; numbers read back as the same float64.

    `top` is 1 for the exact three; `firm` is 1 for those that are among them under every fill that matters, and empty
    where that cannot be said.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(EXACT_COLUMNS)
    for fill, found in exact.fills.items():
        for cell in CELLS:
            firm = "" if exact.firm is None else int(cell in exact.firm)
            writer.writerow([fill, *cell, repr(float(found.shapley[cell])), int(cell in found.top), firm])
    return text.getvalue().encode("ascii")


def safe_folder_name(stem: str) -> str:
    """Return a stem made only of ASCII letters, digits, `.`, `_` and `-`.

    Accents are dropped, and each sequence of other characters becomes `_`. The result does not begin with a dot or a
    dash, is not empty, and has at most `LONGEST_NAME` characters.
    """
    plain = unicodedata.normalize("NFKD", stem)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).lstrip(".-")[:LONGEST_NAME]
    return plain if re.search(r"[A-Za-z0-9]", plain) else "image"


def _png(picture: Image, warnings: tuple[str, ...] = ()) -> bytes:
    """Return a picture as PNG; warnings, one a line, become the file's text of the keyword that PNG has for them."""
    buffer = io.BytesIO()
    texts = PngInfo()
    if warnings:
        texts.add_itxt("Warning", "\n".join(safe_text(warning) for warning in warnings))
    picture.save(buffer, format="PNG", pnginfo=texts)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.stat().st_size != len(content):
        raise OSError(errno.EIO, "the file is shorter than what was written", str(path))


def _candidates(out: Path, stem: str) -> Iterator[Path]:
    return (out / (stem if number == 1 else f"{stem}-{number}") for number in count(1))


def _rename(partial: Path, out: Path, stem: str) -> Path:
    """Give the finished folder the first free name.

    A folder cannot be renamed to the name of a folder that holds files, and a finished folder always holds files. So
    two processes that want the same name cannot both get it.
    """
    for final in _candidates(out, stem):
        if os.path.lexists(final):
            continue
        try:
            partial.rename(final)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            return final
    raise AssertionError("count never ends")


_REASONS = {
    errno.ENOSPC: ("there is no space left on the disk", "free some space, or choose another folder"),
    errno.EDQUOT: ("your disk quota is used up", "free some space, or choose another folder"),
    errno.EACCES: ("you may not write there", "choose another folder, or ask for permission"),
    errno.EPERM: ("you may not write there", "choose another folder, or ask for permission"),
    errno.EROFS: ("the disk is read-only", "choose a folder on another disk"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "choose another folder"),
    errno.EEXIST: ("this is a file, not a folder", "choose another folder"),
    errno.ENAMETOOLONG: ("the path is too long", "choose a folder with a shorter path"),
    errno.ENOENT: ("the folder vanished while it was being written", "choose another folder"),
}


def _export_error(error: OSError, out: Path) -> ExportError:
    cause, remedy = _REASONS.get(
        error.errno or 0,
        (f"the results could not be written: {error.strerror or error}", "choose another folder"),
    )
    return ExportError(cause, subject=out, remedy=remedy)
