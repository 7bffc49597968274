"""Explained images of a made-up study, and the DICOM objects of their explanations, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from dicom_files import dataset, item, pydicom, write
from factories import make_bundle, make_diagnosis, make_evidence, make_exact, make_explanation, make_map
from pydicom import uid
from pydicom.dataset import Dataset

from engine.explanation.explain import Explanation
from engine.export.dicom.files import dicom_files
from engine.export.dicom.plan import DicomPlan, NewSeries, plan_dicom
from engine.images.image import read_image

METHODS = ("rise", "gradcam")
STUDY = "1.2.826.0.1.7"
PATIENT = MappingProxyType(
    {
        "PatientID": "PLANTED-17",
        "IssuerOfPatientID": "Planted Hospital",
        "PatientBirthDate": "19030203",
        "PatientSex": "F",
        "StudyInstanceUID": STUDY,
        "StudyDate": "20250102",
        "StudyTime": "030405.25",
        "StudyID": "PL-5",
        "AccessionNumber": "PLANTED-99",
        "ReferringPhysicianName": "Planted^Doctor",
    }
)
KANJI = "Yamada^Tarou=山田^太郎=やまだ^たろう"


@dataclass(frozen=True)
class Written:
    """The objects of one explanation.

    Attributes:
        source: the explained image's file.
        explanation: of it.
        plan: of its objects.
        files: the content of each by name.
    """

    source: Path
    explanation: Explanation
    plan: DicomPlan
    files: Mapping[str, bytes]

    def read(self, ending: str) -> Dataset:
        """Return the object whose file's name ends so."""
        (name,) = (name for name in self.files if name.endswith(f"{ending}.dcm"))
        return pydicom.dcmread(pydicom.filebase.DicomBytesIO(self.files[name]))


def crop_of_ct(folder: Path, series: NewSeries) -> Written:
    """A slice of CT, 48 x 64, of which the network sees the 48 x 48 in the middle, each pixel as it is."""
    pixels = np.random.default_rng(1).integers(-900, 900, (48, 64)).astype(np.int16)
    made = dataset(
        pixels,
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName=KANJI,
        **PATIENT,
        FrameOfReferenceUID="1.2.3.4.5",
        ImagePositionPatient=["-158.135803", "12.5", "-75.7"],
        ImageOrientationPatient=["0.8", "0.6", "0", "0", "0", "-1"],
        PixelSpacing=["0.661468", "0.75"],
        SliceThickness="5.0",
        SeriesNumber=4,
        WindowCenter="40",
        WindowWidth="400",
        RescaleSlope="1",
        RescaleIntercept="0",
    )
    return written(write(folder / "slice.dcm", made), series, resize="crop")


def frame_of_enhanced_ct(folder: Path, series: NewSeries) -> Written:
    """The second of three frames, 96 x 96, which functional groups place; the network sees it at half the size."""
    pixels = np.random.default_rng(2).integers(0, 2000, (3, 96, 96)).astype(np.uint16)
    places = [item(PlanePositionSequence=[item(ImagePositionPatient=["10", "20", str(2.5 * i)])]) for i in range(3)]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])],
        PixelMeasuresSequence=[item(PixelSpacing=["0.5", "0.5"], SliceThickness="2.5")],
    )
    made = dataset(
        pixels,
        NumberOfFrames=3,
        SOPClassUID=uid.EnhancedCTImageStorage,
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Eva",
        **PATIENT,
        FrameOfReferenceUID="1.2.3.4.6",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=places,
        PatientIdentityRemoved="YES",
    )
    write(folder / "volume.dcm", made)
    return written(folder / "volume.dcm#2", series, resize="stretch")


def padded_cr(folder: Path, series: NewSeries) -> Written:
    """A radiograph without a frame of reference, 48 x 24, on both sides of which the network sees padding."""
    pixels = np.random.default_rng(3).integers(0, 4000, (48, 24)).astype(np.uint16)
    made = dataset(
        pixels,
        SOPClassUID=uid.ComputedRadiographyImageStorage,
        Modality="CR",
        PhotometricInterpretation="MONOCHROME1",
        PatientName="",
        **PATIENT,
        Laterality="R",
        PatientOrientation=["L", "F"],
    )
    del made.BurnedInAnnotation
    return written(write(folder / "IM0001", made), series, resize="fit")


def written(path: Path, series: NewSeries, *, resize: str) -> Written:
    """Explain an image by made-up maps, and make the objects."""
    image = read_image(path)
    bundle = make_bundle()
    bundle = replace(bundle, input=replace(bundle.input, resize=resize))
    warned = replace(make_diagnosis(), warnings=("The answer is made up — do not believe it.",))
    evidence = make_evidence()
    evidence = replace(
        evidence, of_this_network=replace(evidence.of_this_network, shared={"head": 2.0, "half": 1.5, "all": 1.0})
    )
    maps = {
        "rise": replace(make_map("rise"), raw_min=0.25, raw_max=0.75),
        "gradcam": make_map("gradcam", constant=True),
    }
    explanation = make_explanation(
        image,
        maps=maps,
        diagnosis=warned,
        bundle=bundle,
        exact=make_exact(),
        evidence={"rise": evidence},
        view=np.zeros((48, 48, 1), dtype=np.uint8),
    )
    plan = plan_dicom(explanation, series)
    return Written(path, explanation, plan, dict(dicom_files(explanation, plan)))
