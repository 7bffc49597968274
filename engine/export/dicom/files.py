"""The files of an explanation's DICOM objects, one after another: maps, overlays, and the report about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.export.dicom.parametric_map import parametric_map
from engine.export.dicom.plan import AGREEMENT
from engine.export.dicom.secondary_capture import secondary_capture
from engine.export.dicom.structured_report import structured_report
from engine.export.pictures import agreement_picture, overlay_picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.explanation.explain import Explanation
    from engine.export.dicom.objects import Reference
    from engine.export.dicom.plan import DicomPlan


def dicom_files(explanation: Explanation, plan: DicomPlan) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file, as `DicomPlan.file_names` lists them."""
    pictures: dict[str, list[Reference]] = {method: [] for method in (*explanation.maps, "")}
    if not plan.no_map:
        for method in explanation.maps:
            made = parametric_map(explanation, method, plan)
            pictures[method].append(made.reference)
            yield plan.map_file(method), made.content
    for method in explanation.maps:
        made = secondary_capture(explanation, overlay_picture(explanation, method).image, plan, method)
        pictures[method].append(made.reference)
        yield plan.overlay_file(method), made.content
    made = secondary_capture(explanation, agreement_picture(explanation).image, plan, None)
    pictures[""].append(made.reference)
    yield plan.overlay_file(AGREEMENT), made.content
    yield plan.report_file, structured_report(explanation, plan, pictures).content
