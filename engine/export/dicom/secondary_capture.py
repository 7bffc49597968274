"""An overlay as a DICOM Secondary Capture: the same page as in the folder, with its colour bar and its notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from highdicom.sc import SCImage
from pydicom import Dataset
from pydicom.sr.codedict import codes

from engine.explanation.words import INTENDED_USE
from engine.export.dicom.objects import (
    Made,
    Reference,
    algorithm_of,
    derivation_of,
    equipment,
    finished,
    placed,
    quietly,
    refer,
    short,
    side,
    source_reference,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from engine.explanation.explain import Explanation
    from engine.export.dicom.plan import DicomPlan

LONGEST_SIDE = 2048
"""A page with a longer side is made smaller: no screen shows more, and that of a mammogram would have 50 MB."""


def secondary_capture(explanation: Explanation, page: Image, plan: DicomPlan, method: str | None) -> Made:
    """Return a page as a Secondary Capture, in colours of 8 bits, uncompressed.

    Args:
        explanation: that the page shows; its image came as DICOM.
        page: RGB, with what it is for and its colours written on it.
        plan: what it takes over.
        method: the key of the method that the page shows; None if it shows all.
    """
    facts, origin = explanation.image.dicom, plan.origin
    if facts is None:
        raise ValueError("the image did not come as DICOM")
    page = page.convert("RGB")  # a copy, also of what is RGB already
    page.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    place = plan.series.next_place(origin, facts.series_number, "overlay")
    with quietly():
        made = SCImage(
            pixel_array=np.asarray(page),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "P"),  # highdicom wants one; the true one follows
            study_instance_uid=origin.study,
            **placed(place, "XAIMed overlays (research use only)"),
            **equipment(explanation),
        )
        made.PatientOrientation = list(facts.edges or ())
        made.Laterality = side(explanation)
        made.ConversionType = "WSD"
        if facts.burned_in != "unknown":
            made.BurnedInAnnotation = facts.burned_in.upper()
        made.ImageComments = short(INTENDED_USE)
        if method is not None:
            made.DerivationDescription = derivation_of(explanation, method)
            made.DerivationAlgorithmSequence = algorithm_of(explanation, method)
        used = Dataset()
        purpose = codes.DCM.SourceImageForImageProcessingOperation
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = purpose.value, purpose.scheme_designator
        code.CodeMeaning = purpose.meaning
        used.PurposeOfReferenceCodeSequence = [code]
        refer([used], source_reference(explanation, origin))
        made.SourceImageSequence = [used]
        content = finished(made, origin)
    return Made(Reference(str(made.SOPClassUID), str(made.SOPInstanceUID), place.series), content)
