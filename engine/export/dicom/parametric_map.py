"""A method's map as a DICOM Parametric Map: float32 on the image's own grid, in the image's own geometry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from highdicom import (
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
    VOILUTTransformation,
)
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom.sr.codedict import codes

from engine.explainers.registry import method_name
from engine.explanation.words import INTENDED_USE
from engine.export.dicom.grid import NOT_SEEN, on_the_image
from engine.export.dicom.objects import (
    Made,
    Reference,
    algorithm_of,
    derivation_of,
    equipment,
    finished,
    known_source,
    own_code,
    placed,
    quietly,
    refer,
    short,
    side,
    source_reference,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.explanation.explain import Explanation
    from engine.export.dicom.plan import DicomPlan
    from engine.results.saliency import SaliencyMap

SCALED, RAW = "SALIENCY", "RAW"
"""The labels of the two mappings."""


def parametric_map(explanation: Explanation, method: str, plan: DicomPlan) -> Made:
    """Return a method's map as a Parametric Map.

    Its values are those of `saliency.npz`, from 0 to 1, on the grid of the image; pixels that the network did not see
    are padding. One real-world mapping says that they are the scaled saliency, another gives the method's raw values.

    Args:
        explanation: of an image that lies in a frame of reference.
        method: the key of one of its maps.
        plan: without a reason against maps.
    """
    origin, saliency = plan.origin, explanation.maps[method]
    if (
        origin.position is None
        or origin.orientation is None
        or origin.spacing is None
        or explanation.image.dicom is None
    ):
        raise ValueError("the image does not lie in a frame of reference")
    source = source_reference(explanation, origin)
    values = on_the_image(explanation, saliency.values)
    place = plan.series.next_place(origin, explanation.image.dicom.series_number, "map")
    with quietly():
        made = ParametricMap(
            source_images=[known_source(explanation, origin)],
            pixel_array=values,
            **placed(place, "XAIMed saliency maps (research use only)"),
            **equipment(explanation),
            contains_recognizable_visual_features=False,
            real_world_value_mappings=list(_mappings(saliency)),
            voi_lut_transformations=[
                VOILUTTransformation(window_center=0.5, window_width=1.0, voi_lut_function="LINEAR_EXACT")
            ],
            content_label="SALIENCY",
            content_description=short(f"{method_name(method)} for {saliency.target}"),
            pixel_measures=PixelMeasuresSequence(origin.spacing, origin.thickness),
            plane_orientation=PlaneOrientationSequence("PATIENT", origin.orientation),
            plane_positions=[PlanePositionSequence("PATIENT", origin.position)],
        )
        if float(values.min()) == NOT_SEEN:
            made.FloatPixelPaddingValue = made.FloatPixelPaddingRangeLimit = NOT_SEEN
        made.DerivationAlgorithmSequence = algorithm_of(explanation, method)
        made.Laterality = side(explanation)
        made.ImageComments = short(INTENDED_USE)
        derived = made.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
        derived.DerivationDescription = derivation_of(explanation, method)
        refer([*derived.SourceImageSequence, *made.SourceImageSequence], source)
        whole = replace(source, frame=None)
        refer([item for each in made.ReferencedSeriesSequence for item in each.ReferencedInstanceSequence], whole)
        content = finished(made, origin)
    return Made(Reference(str(made.SOPClassUID), str(made.SOPInstanceUID), place.series), content)


def _mappings(saliency: SaliencyMap) -> Iterator[RealWorldValueMapping]:
    quantity = own_code("SALIENCY", "Saliency")
    yield RealWorldValueMapping(
        lut_label=SCALED,
        lut_explanation="Saliency: 0 the least salient pixel of this map, 1 the most",
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=quantity,
    )
    if not saliency.constant and np.isfinite((saliency.raw_min, saliency.raw_max)).all():
        yield RealWorldValueMapping(
            lut_label=RAW,
            lut_explanation="Saliency before it is scaled, as the method gives it",
            unit=codes.UCUM.NoUnits,
            value_range=(0.0, 1.0),
            slope=float(saliency.raw_max) - float(saliency.raw_min),
            intercept=float(saliency.raw_min),
            quantity_definition=quantity,
        )
