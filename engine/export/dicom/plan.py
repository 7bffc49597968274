"""Which DICOM objects an explanation becomes: read from its image's file what they take over, and say what cannot be.

highdicom and pydicom are imported only once objects are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine.errors import ExportError
from engine.images.dicom.codecs import EXTRA
from engine.images.image import dicom_origin

if TYPE_CHECKING:
    from engine.explanation.explain import Explanation
    from engine.images.dicom.origin import DicomOrigin

_MAP, _OVERLAY, _REPORT = "map", "overlay", "report"
_NUMBERS = {_MAP: 91, _OVERLAY: 92, _REPORT: 93}
"""The last two digits of the new series' numbers; before them stands the number of the image's series."""
_GREATEST_NUMBER = 10**7


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object goes.

    Attributes:
        series: the identifier of its series.
        series_number: the number of its series.
        number: its own number in it, from 1.
    """

    series: str
    series_number: int
    number: int


class NewSeries:
    """The new series of one run: for every series of images one of maps, one of overlays and one of reports."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str, str], tuple[str, int]] = {}

    def next_place(self, origin: DicomOrigin, number: int, kind: str) -> Place:
        """Return the place of a further object.

        Args:
            origin: of the image that it explains.
            number: of the image's series.
            kind: `map`, `overlay` or `report`.
        """
        from pydicom.uid import generate_uid

        key = (origin.study, origin.series, origin.reference, kind)
        series, before = self._known.get(key) or (str(generate_uid(prefix=None)), 0)
        self._known[key] = series, before + 1
        own = number if 0 < number < _GREATEST_NUMBER else 0
        return Place(series, 100 * own + _NUMBERS[kind], before + 1)


@dataclass(frozen=True, slots=True)
class DicomPlan:
    """Which DICOM objects an explanation becomes.

    Attributes:
        origin: what they take over from the image's file.
        prefix: what their files' names begin with: the same short hash as of the folder.
        no_map: why there are no Parametric Maps; empty if there are.
        series: the new series.
    """

    origin: DicomOrigin
    prefix: str
    no_map: str
    series: NewSeries = field(default_factory=NewSeries)

    def map_file(self, method: str) -> str:
        """Return the name of the file of a method's Parametric Map."""
        return f"{self.prefix}-{method}-{_MAP}.dcm"

    def overlay_file(self, what: str) -> str:
        """Return the name of the file of a Secondary Capture, of a method's overlay or of the agreement."""
        return f"{self.prefix}-{what}-{_OVERLAY}.dcm"

    @property
    def report_file(self) -> str:
        """The name of the file of the report."""
        return f"{self.prefix}-{_REPORT}.dcm"

    def file_names(self, methods: Iterable[str]) -> list[str]:
        """Return the names of all files, in the order in which they are written."""
        methods = list(methods)
        maps = [] if self.no_map else [self.map_file(method) for method in methods]
        return [*maps, *(self.overlay_file(what) for what in (*methods, AGREEMENT)), self.report_file]


AGREEMENT = "agreement"


def check_dicom_writable() -> None:
    """Check that DICOM objects can be written here, without importing anything.

    Raises:
        ExportError: a package is missing.
    """
    if find_spec("highdicom") is None or find_spec("pydicom") is None:
        raise ExportError(
            "DICOM objects are written by the package highdicom, and it is not installed", remedy=f"install it: {EXTRA}"
        )


def plan_dicom(explanation: Explanation, series: NewSeries | None = None) -> DicomPlan:
    """Return which DICOM objects an explanation becomes, once its image's file has been read again.

    Args:
        explanation: of an image that came as DICOM.
        series: the new series of this run; None for new ones.

    Raises:
        ExportError: a package is missing, or the image did not come as DICOM.
        ImageError: its file cannot be read any more, holds other pixels by now, or does not say which study it is of.
    """
    check_dicom_writable()
    if explanation.image.dicom is None:
        raise ExportError(
            "no DICOM objects, because the image did not come as DICOM",
            subject=explanation.image.path,
            remedy="take the DICOM file that it was made of",
        )
    from engine.export.dicom.grid import why_no_geometry, why_no_place  # late: numpy, which --help does without

    origin = dicom_origin(explanation.image)
    return DicomPlan(
        origin=origin,
        prefix=explanation.image.public_name,
        no_map=why_no_place(explanation) or why_no_geometry(origin),
        series=series or NewSeries(),
    )
