"""DICOM objects of an explanation, read back by pydicom and highdicom: their values, places, references and words."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

import highdicom
import orthanc
from dicom_studies import (
    KANJI,
    METHODS,
    PATIENT,
    STUDY,
    Written,
    crop_of_ct,
    frame_of_enhanced_ct,
    padded_cr,
)
from factories import make_explanation, make_image
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO

from engine.bundle.specs import InMemory
from engine.errors import ExportError, ImageError, Stopped
from engine.export.dicom.grid import NOT_SEEN, cell_boxes, why_no_geometry
from engine.export.dicom.plan import NewSeries, plan_dicom
from engine.export.dicom.secondary_capture import secondary_capture
from engine.export.folder import explanation_file_names, save_explanation
from engine.export.pictures import overlay_picture
from engine.images.dicom.origin import DicomOrigin, parse_origin
from engine.progress import Progress
from engine.results.cells import CELLS


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    """Three explained images of one study, all objects made in one run."""
    folder, series = tmp_path_factory.mktemp("study"), NewSeries()
    return {
        "crop": crop_of_ct(folder, series),
        "frame": frame_of_enhanced_ct(folder, series),
        "padded": padded_cr(folder, series),
    }


TELLING = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "AccessionNumber", "ReferringPhysicianName")


def everything_in(made: Dataset) -> Iterator[tuple[str, str]]:
    """Keyword and value of every element, those in sequences too."""
    for element in made:
        if element.VR == "SQ":
            for one in element.value:
                yield from everything_in(one)
        else:
            yield element.keyword, str(element.value)


def texts_of(report: Dataset) -> str:
    """All that a report says, in its order."""
    return "\n".join(value for keyword, value in everything_in(report) if keyword in ("TextValue", "CodeMeaning"))


def test_a_map_is_the_saliency_bit_for_bit_where_the_network_saw_the_image(study: dict[str, Written]) -> None:
    crop, frame = study["crop"], study["frame"]
    values = crop.explanation.maps["rise"].values
    made = crop.read("rise-map")
    stored = np.frombuffer(made.FloatPixelData, dtype="<f4").reshape(48, 64)
    np.testing.assert_array_equal(stored[:, 8:56], values)
    assert (np.delete(stored, np.s_[8:56], axis=1) == NOT_SEEN).all()
    assert made.FloatPixelPaddingValue == NOT_SEEN
    doubled = frame.read("rise-map").pixel_array
    assert doubled.dtype == np.float32
    np.testing.assert_array_equal(doubled, values.repeat(2, axis=0).repeat(2, axis=1))
    assert "FloatPixelPaddingValue" not in frame.read("rise-map")
    by_highdicom = highdicom.imread(DicomBytesIO(frame.files[frame.plan.map_file("rise")]))
    np.testing.assert_array_equal(by_highdicom.pixel_array, doubled)
    mappings = by_highdicom.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert [mapping.LUTLabel for mapping in mappings] == ["SALIENCY", "RAW"]
    assert [(mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) for mapping in mappings] == [
        (1, 0),
        (0.5, 0.25),
    ]
    for mapping in mappings:
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
        assert mapping.DoubleFloatRealWorldValueFirstValueMapped == 0.0
        assert mapping.DoubleFloatRealWorldValueLastValueMapped == 1.0
    constant = frame.read("gradcam-map").SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert [mapping.LUTLabel for mapping in constant] == ["SALIENCY"]


def test_a_map_lies_where_its_image_lies_and_refers_to_its_frame(study: dict[str, Written]) -> None:
    source = dcmread(study["crop"].source)
    made = study["crop"].read("rise-map")
    shared, own = made.SharedFunctionalGroupsSequence[0], made.PerFrameFunctionalGroupsSequence[0]
    position = own.get("PlanePositionSequence", shared.get("PlanePositionSequence"))[0].ImagePositionPatient
    assert list(map(float, position)) == list(map(float, source.ImagePositionPatient))
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    assert list(map(float, orientation)) == list(map(float, source.ImageOrientationPatient))
    assert list(map(float, shared.PixelMeasuresSequence[0].PixelSpacing)) == [0.661468, 0.75]
    assert float(shared.PixelMeasuresSequence[0].SliceThickness) == 5.0
    assert (made.Rows, made.Columns, made.FrameOfReferenceUID) == (48, 64, source.FrameOfReferenceUID)
    assert "ReferencedFrameNumber" not in made.SourceImageSequence[0]

    volume = dcmread(str(study["frame"].source).removesuffix("#2"))
    made = study["frame"].read("rise-map")
    own = made.PerFrameFunctionalGroupsSequence[0]
    assert list(map(float, own.PlanePositionSequence[0].ImagePositionPatient)) == [10.0, 20.0, 2.5]
    derived = own.DerivationImageSequence[0].SourceImageSequence[0]
    instance = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    for reference in (derived, made.SourceImageSequence[0], instance):
        assert reference.ReferencedSOPInstanceUID == volume.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == volume.SOPClassUID
        assert reference.get("ReferencedFrameNumber", 2) == 2
    assert "ReferencedFrameNumber" in derived
    assert made.ReferencedSeriesSequence[0].SeriesInstanceUID == volume.SeriesInstanceUID


def test_an_overlay_is_the_page_with_its_colour_bar_and_what_it_is_for(study: dict[str, Written]) -> None:
    for written in study.values():
        made = written.read("rise-overlay")
        page = overlay_picture(written.explanation, "rise").image
        np.testing.assert_array_equal(made.pixel_array, np.asarray(page))
        by_highdicom = highdicom.imread(DicomBytesIO(written.files[written.plan.overlay_file("rise")]))
        np.testing.assert_array_equal(by_highdicom.get_stored_frame(1), np.asarray(page))
        assert made.ImageComments.startswith("Research use only")
        identified = made.DerivationAlgorithmSequence[0]
        assert identified.AlgorithmName == "RISE"
        assert written.explanation.bundle.digest in identified.AlgorithmParameters
        assert "seed" in identified.AlgorithmParameters
        assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == written.plan.origin.instance
    assert study["crop"].read("rise-overlay").BurnedInAnnotation == "NO"
    assert "BurnedInAnnotation" not in study["padded"].read("rise-overlay")
    assert list(study["padded"].read("rise-overlay").PatientOrientation) == ["L", "F"]
    assert study["padded"].read("rise-overlay").Laterality == "R"
    large = secondary_capture(
        study["crop"].explanation, Image.new("RGB", (3000, 4096), "red"), study["crop"].plan, None
    )
    made = dcmread(DicomBytesIO(large.content))
    assert (made.Rows, made.Columns, made.pixel_array[-1, -1].tolist()) == (2048, 1500, [255, 0, 0])
    # The note of what it is for and the colours of the bar are in the pixels, not in the header alone.
    bare = overlay_picture(study["crop"].explanation, "rise")
    _, top, _, height = bare.picture
    below = bare.image.crop((0, top + height, bare.image.width, bare.image.height))
    assert len(below.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).getcolors() or []) > 32


def test_a_report_has_the_answer_the_cells_and_the_evidence(study: dict[str, Written]) -> None:
    for name in ("frame", "padded"):
        written = study[name]
        explanation = written.explanation
        report = highdicom.sr.srread(DicomBytesIO(written.files[written.plan.report_file]))
        assert report.PreliminaryFlag == "PRELIMINARY"
        answer, *maps = report.content.get_image_measurement_groups()[: 1 + len(METHODS)]
        found = {each.name.meaning: each.value for each in answer.get_measurements()}
        for class_name, probability in zip(
            explanation.diagnosis.classes, explanation.diagnosis.probabilities, strict=True
        ):
            assert found[f"Probability of {class_name}"] == float(probability)
        said = {each.name.meaning: each.value.meaning for each in answer.get_qualitative_evaluations()}
        assert said["Predicted class"] == explanation.diagnosis.predicted
        assert (said["Explained class"], said["Confidence"], said["Undecided"]) == (explanation.target, "high", "No")
        evidence = {each.name.meaning: each.value.meaning for each in maps[0].get_qualitative_evaluations()}
        assert evidence["Evidence: better than chance"] == "Cannot be said"
        assert evidence["Evidence: stable"] == "Yes"
        assert evidence["Evidence: of this network"] == "No"
        assert evidence["Evidence: right"] == "Not asked"
        text = texts_of(report)
        assert "Research use only" in text
        assert "The answer is made up — do not believe it." in text
        assert "It beats 12 of 16 random maps, by chance 8" in text
        assert f"bundle digest {explanation.bundle.digest}" in text
        assert explanation.image.sha256 in text
        assert ("There are no Parametric Maps" in text) == (name == "padded")
        cells = report.content.get_planar_roi_measurement_groups()
        assert len(cells) == 9
        for cell, group in zip(CELLS, cells, strict=True):
            left, top, right, bottom = cell_boxes(explanation)[cell]
            corners = group.roi.value
            np.testing.assert_allclose(corners.min(axis=0), (left, top))
            np.testing.assert_allclose(corners.max(axis=0), (right, bottom))
            values = {
                (each.name.meaning, each.method and each.method.meaning): each.value
                for each in group.get_measurements()
            }
            for fill, hidden in (("mean", "Hidden by the mean colour"), ("blur", "Hidden by a blurred image")):
                exact = explanation.exact.fills[fill].shapley[cell]
                assert values["What the cell adds to the probability (Shapley)", hidden] == float(exact)
            assert values["Mean saliency of the cell", "RISE"] == float(explanation.statistics["rise"].mean[cell])
        references = {uid for _, _, uid, _ in report.get_evidence()}
        pictures = {
            written.read(each).SOPInstanceUID for each in ("rise-overlay", "gradcam-overlay", "agreement-overlay")
        }
        if name != "padded":
            pictures |= {written.read(f"{method}-map").SOPInstanceUID for method in METHODS}
        assert references == {written.plan.origin.instance, *pictures}


def test_cells_lie_on_the_part_that_the_network_saw(study: dict[str, Written]) -> None:
    assert cell_boxes(study["crop"].explanation)[0, 0] == (8.0, 0.0, 24.0, 16.0)
    assert cell_boxes(study["frame"].explanation)[2, 1] == (32.0, 64.0, 64.0, 96.0)
    # 24 columns in the middle of 48: the outer cells keep a strip of four columns.
    assert cell_boxes(study["padded"].explanation)[0, 0] == (0.0, 0.0, 4.0, 16.0)
    assert cell_boxes(study["padded"].explanation)[1, 2] == (20.0, 16.0, 24.0, 32.0)
    explanation = study["padded"].explanation
    narrow = replace(explanation, image=replace(explanation.image, pixels=explanation.image.pixels[:, :8]))
    boxes = cell_boxes(narrow)
    assert boxes[0, 0] is None
    assert boxes[0, 1] == (0.0, 0.0, 8.0, 16.0)
    made_by_function = replace(
        explanation.bundle, in_memory=InMemory(network="Net", preprocessing="prepare", declared={})
    )
    assert set(cell_boxes(replace(explanation, bundle=made_by_function)).values()) == {None}


def test_objects_belong_to_the_patient_and_the_study_and_only_their_header_says_so(study: dict[str, Written]) -> None:
    names = {"crop": KANJI, "frame": "Müller^Eva", "padded": ""}
    series: dict[str, set[tuple[str, int]]] = {}
    for case, written in study.items():
        for name, content in written.files.items():
            made = dcmread(DicomBytesIO(content))
            assert made.SpecificCharacterSet == "ISO_IR 192"
            assert str(made.PatientName) == names[case], name
            for keyword, value in PATIENT.items():
                assert str(made[keyword].value) == value, (name, keyword)
            assert made.StudyInstanceUID == STUDY
            assert made.SeriesInstanceUID != written.plan.origin.series
            assert made.get("PatientIdentityRemoved", "") == ("YES" if case == "frame" else "")
            for said in (names[case], *(PATIENT[keyword] for keyword in TELLING)):
                assert content.count(said.encode()) == 1 or not said, (name, said)
            assert re.fullmatch(r"[0-9a-f]{12}-[a-z+-]+\.dcm", name)
            kind = name.removesuffix(".dcm").rpartition("-")[2]
            series.setdefault(kind, set()).add((made.SeriesInstanceUID, int(made.SeriesNumber)))
        listed = explanation_file_names(METHODS, exact=True, dicom=written.plan)
        assert [name for name in listed if name.endswith(".dcm")] == list(written.files)
    # The three images are of two series (the CT and the CR are in one, by a frame of reference and without).
    assert {number for _, number in series["map"]} == {91, 491}
    assert len(series["report"]) == 3


def test_what_cannot_be_written_is_said_in_one_line(study: dict[str, Written], tmp_path: Path) -> None:
    padded, crop = study["padded"], study["crop"]
    assert "no frame of reference" in padded.plan.no_map
    assert not any("map" in name for name in padded.files)
    with pytest.raises(ExportError, match=r"did not come as DICOM") as refused:
        plan_dicom(make_explanation(make_image("patch.png")))
    assert "\n" not in refused.value.message
    other = tmp_path / "IM0001"
    explanation = replace(crop.explanation, image=replace(crop.explanation.image, path=other))
    with pytest.raises(ImageError) as missing:
        plan_dicom(explanation)
    assert missing.value.code == "missing"
    other.write_bytes(padded.source.read_bytes())
    with pytest.raises(ImageError, match=r"holds another image than the one that was explained"):
        plan_dicom(explanation)
    nameless = dcmread(crop.source)
    del nameless.StudyInstanceUID
    nameless.save_as(other)
    with pytest.raises(ImageError, match=r"does not say which study it is of"):
        plan_dicom(explanation)


def lacking(program: str) -> pytest.MarkDecorator:
    """Skip where a program of Debian's is not installed; `.ci/run` installs all of them where it is root."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@lacking("dciodvfy")
def test_dciodvfy_finds_no_error(study: dict[str, Written], tmp_path: Path) -> None:
    seen = set()
    for written in study.values():
        for name, content in written.files.items():
            (tmp_path / name).write_bytes(content)
            done = subprocess.run(["dciodvfy", tmp_path / name], capture_output=True, check=False)
            said = (done.stdout + done.stderr).decode(errors="replace").splitlines()
            assert not [line for line in said if line.startswith("Error")], (name, said)
            seen |= set(said) & {"ParametricMap", "SCImage", "ComprehensiveSR"}
    assert seen == {"ParametricMap", "SCImage", "ComprehensiveSR"}


@lacking("dsrdump")
def test_dsrdump_reads_the_report(study: dict[str, Written], tmp_path: Path) -> None:
    for written in study.values():
        path = tmp_path / written.plan.report_file
        path.write_bytes(written.files[path.name])
        done = subprocess.run(["dsrdump", "+Pl", path], capture_output=True, check=False)
        errors = done.stderr.decode(errors="replace").splitlines()
        assert done.returncode == 0, errors
        assert not [line for line in errors if line.startswith(("E:", "F:"))]
        told = done.stdout.decode()
        assert '"Intended use")="Research use only; not a medical device."' in told
        assert told.count('"Image Region")=(POLYLINE') == 9


def test_an_image_has_a_place_only_if_its_header_gives_a_sound_one() -> None:
    here = DicomOrigin("1.2", "1.3", "1.4", "1.5", "1.6", False, (0, 0, 0), (1, 0, 0, 0, 1, 0), (1, 1))
    assert why_no_geometry(here) == ""
    assert "on a slide" in why_no_geometry(replace(here, on_slide=True))
    for unknown in ("position", "orientation", "spacing"):
        assert "does not say where" in why_no_geometry(replace(here, **{unknown: None}))
    for oblique in ((1, 0, 0, 1, 0, 0), (0, 0, 0, 0, 1, 0), (2, 0, 0, 0, 1, 0)):
        assert "not perpendicular" in why_no_geometry(replace(here, orientation=oblique))


def test_what_the_decoding_process_says_of_a_header_is_checked() -> None:
    sound = {
        **dict.fromkeys(("kind", "instance", "study", "series", "reference"), "1.2.3"),
        "carried": {"PatientName": "Planted^Name"},
        "position": [1, 2, 3],
    }
    origin = parse_origin(sound)
    assert (origin.study, origin.position, origin.carried["PatientName"]) == ("1.2.3", (1.0, 2.0, 3.0), "Planted^Name")
    assert "Planted" not in repr(origin)
    for wrong in ({"study": 5}, {"carried": {"InstitutionName": "x"}}, {"carried": {"PatientID": "x" * 401}}):
        with pytest.raises(ValueError, match=r"^no origin: (a text|what is carried)$"):
            parse_origin({**sound, **wrong})
    for odd in ({"study": "1.2.x"}, {"study": "1" * 65}, {"position": [1, 2]}, {"position": [1, 2, float("nan")]}):
        (keyword,) = odd
        assert not getattr(parse_origin({**sound, **odd}), keyword)


@pytest.mark.skipif(orthanc.program() is None, reason="Orthanc is not installed")
def test_an_archive_gives_the_objects_back_unchanged_in_the_study_of_the_image(
    study: dict[str, Written], tmp_path: Path
) -> None:
    with orthanc.running(tmp_path) as archive:
        for written in study.values():
            place = Path(str(written.source).partition("#")[0])
            archive.store(place.read_bytes())
            for name, content in written.files.items():
                assert archive.fetch(archive.store(content)) == content, name
        for written in study.values():
            study_of = archive.ask("POST", "/tools/lookup", written.plan.origin.study.encode())
            assert [each["Type"] for each in json.loads(study_of)] == ["Study"]
        assert len(archive.tell("/studies")) == 1
        assert len(archive.tell("/instances")) == 3 + sum(len(written.files) for written in study.values())


def test_saving_says_how_far_it_is_and_leaves_nothing_once_it_is_stopped(
    study: dict[str, Written], tmp_path: Path
) -> None:
    written, told = study["padded"], []
    names = explanation_file_names(METHODS, exact=True, reports=("html",), dicom=written.plan)
    stop = Event()

    def progress(report: Progress) -> None:
        told.append((report.done, report.total))
        if report.done == 1 + names.index(written.plan.overlay_file("rise")):
            stop.set()

    with pytest.raises(Stopped, match="saving was stopped, and nothing was written"):
        save_explanation(
            written.explanation, tmp_path, reports=("html",), dicom=written.plan, progress=progress, stop=stop
        )
    assert told == [(done, len(names)) for done in range(2 + names.index(written.plan.overlay_file("rise")))]
    assert not list(tmp_path.iterdir())
