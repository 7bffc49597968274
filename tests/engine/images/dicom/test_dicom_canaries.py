"""Nothing that names a patient leaves a DICOM file: canaries stand in every attribute, and in none of what is made."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from app_driver import notices, press, screen_text, until
from command_line import Run
from dicom_files import dataset, item, pydicom, write
from factories import make_model
from pydicom import uid
from pydicom.datadict import DicomDictionary

from engine.bundle.specs import InputSpec
from engine.errors import XAIMedError
from engine.images.compliance import why_not_compliant
from engine.images.decoding import worker
from engine.images.dicom.origin import CARRIED
from engine.images.dicom.series import series_of
from engine.images.image import MedicalImage, read_image
from engine.images.listing import list_images
from xaimed_tui.app import XAIMedApp
from xaimed_tui.background.backend import Engine
from xaimed_tui.preferences.settings import AppSettings

MORE = ("--report", "html", "--report", "pdf", *(("--dicom",) if find_spec("highdicom") else ()))
WORD = "Canary"
NUMBER = "31337.25"
DATE, TIME, AGE = "19030203", "040506.777", "093Y"
UID = "1.2.826.0.31337"
CANARIES = re.compile(rb"(?i)canary|31337|19030203|040506\.777|093Y")
VALUES = {
    **dict.fromkeys(("LO", "SH", "LT", "ST", "UT", "UC", "UR", "AE"), f"{WORD} 1"),
    "CS": "CANARY_1",
    "PN": f"{WORD}^Person",
    "DA": DATE,
    "TM": TIME,
    "DT": f"{DATE}{TIME}",
    "AS": AGE,
    "UI": UID,
    "DS": NUMBER,
    "IS": "31337",
}
"""What stands in attributes of each value type: those that PS3.15's basic profile lists are of these types."""

STRUCTURE = re.compile(
    r"0028|7FE0|0004|0000|FFF|0002|00080005|0008001[68]|0020001[13]|00200032|00200037|00081140|0054|3004|0040A|"
    r"0018116[0-9]|0048|5200"
)
"""Groups and tags that say how the file is to be read: with canaries in them it could not be."""


def attributes() -> Iterator[tuple[str, str]]:
    """The keyword and the value type of every attribute of the standard that a canary can stand in."""
    for tag, (kind, _, _, retired, keyword) in DicomDictionary.items():
        if keyword and not retired and kind in VALUES and not STRUCTURE.match(f"{tag:08X}"):
            yield keyword, kind


def planted(folder: Path) -> list[Path]:
    """Files with a canary in every attribute, in private ones, and in items of sequences; sound and broken ones."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 2000, (24, 24)).astype(np.uint16)
    made = dataset(pixels, BurnedInAnnotation="YES")
    person = item(PersonName=f"{WORD}^Nested", PatientID=f"{WORD} 2", InstitutionName=WORD)
    count = 0
    for keyword, kind in attributes():
        if keyword not in made or keyword in ("SeriesInstanceUID", "Modality"):
            setattr(made, keyword, VALUES[kind])
            count += 1
    assert count > 1_500
    for keyword in ("OtherPatientIDsSequence", "RequestAttributesSequence", "ReferencedStudySequence"):
        setattr(made, keyword, [person])
    made.SeriesDescription = f"CHEST {WORD} {DATE} AX"
    made.BodyPartExamined, made.ViewPosition, made.Laterality = WORD.upper(), WORD.upper(), WORD[0]
    made.PatientOrientation = [WORD.upper(), WORD.upper()]
    made.RescaleType = made.WindowCenterWidthExplanation = WORD
    made.ImagePositionPatient, made.ImageOrientationPatient = [1, 2, 3], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing = [0.5, 0.5]
    made.WindowCenter, made.WindowWidth = "900", "800"
    made.RescaleSlope, made.RescaleIntercept = "1", "0"
    made.BurnedInAnnotation = WORD.upper()
    block = made.private_block(0x0009, f"{WORD} private", create=True)
    block.add_new(1, "LO", f"{WORD} 3")
    made.file_meta.MediaStorageSOPInstanceUID = UID
    made.preamble = f"{WORD}".encode().ljust(128, b"\0")
    whole = write(folder / "sound.dcm", made).read_bytes()
    stack = pydicom.dcmread(folder / "sound.dcm")
    stack.NumberOfFrames, stack.PixelData = 2, stack.PixelData * 2
    write(folder / "frames", stack)
    report = pydicom.dcmread(folder / "sound.dcm")
    del report.PixelData
    report.SOPClassUID = uid.BasicTextSRStorage
    for name in ("Rows", "Columns"):
        delattr(report, name)
    write(folder / "report", report)
    syntax = pydicom.dcmread(folder / "sound.dcm")
    syntax.file_meta.TransferSyntaxUID = uid.UID(UID)
    syntax.save_as(folder / "syntax", implicit_vr=False, little_endian=True)
    odd = whole
    for keyword, value in (("WindowCenter", b"900 "), ("RescaleSlope", b"1 "), ("SeriesNumber", b"31337 ")):
        odd = odd.replace(value, f"{WORD}XXXX".encode()[: len(value)], 1) if keyword else odd
    (folder / "odd").write_bytes(odd)
    for share in (0.3, 0.6, 0.95, 0.999):
        (folder / f"cut{share}.dcm").write_bytes(whole[: int(len(whole) * share)])
    damaged = bytearray(whole)
    for place in rng.integers(132, len(whole), 300):
        damaged[place] ^= 0x55
    (folder / "damaged").write_bytes(damaged)
    return sorted(folder.iterdir())


TAKEN_OVER = {*CARRIED, "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SliceThickness"}
"""The attributes of a source that DICOM objects made of it have, too: those of the patient at the top of the header."""


def with_canaries(made: pydicom.Dataset, depth: int = 0) -> Iterator[tuple[int, str]]:
    """How deep, and in which attribute, a canary stands in an object."""
    for element in made:
        if element.VR == "SQ":
            for one in element.value:
                yield from with_canaries(one, depth + 1)
        elif CANARIES.search(str(element.value).encode()):
            yield depth, element.keyword


def everything(image: MedicalImage) -> bytes:
    """All that an image says of its header."""
    said = repr((image.metadata, image.warnings, image.dicom, image.public_name, image.public_stem, image.unit))
    return said.encode()


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_names_a_patient_leaves_a_file(tmp_path: Path, xaimed: Run) -> None:
    study = tmp_path / "study"
    study.mkdir()
    files = planted(study)
    assert all(CANARIES.search(file.read_bytes()) for file in files)
    listed = list_images(study)
    names = [image.name for image in listed]
    assert {"frames#1", "frames#2", "sound.dcm", "report"} <= set(names)
    said: list[bytes] = [repr(series_of(study, names)).encode(), repr(names).encode()]
    shown = 0
    for image in listed:
        said.append(why_not_compliant(image.path, InputSpec()).encode())
        try:
            said.append(everything(read_image(image.path)))
            shown += 1
        except XAIMedError as error:
            said += [repr(error).encode(), error.message.encode(), repr(error.__dict__).encode()]
    assert shown >= 3
    make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True)
    out = tmp_path / "out"
    on = ["--tasks", tmp_path / "tasks"]
    which = [*files, "--task", "Lungs", "--device", "cpu"]
    for arguments in (["predict", *which], ["predict", *which, "--json"]):
        status, output, errors = xaimed(*on, *arguments)
        assert status == 1
        said += [output.encode(), errors.encode()]
    quick = ["--methods", "gradcam,rise", "--samples", "rise=16"]
    frames = [[study / "frames#1", *MORE[4:], "--no-exact"], [study / "frames#2"]]
    for arguments in ([study / "sound.dcm", *MORE], *frames):
        status, output, errors = xaimed(*on, "explain", *arguments, *which[-4:], *quick, "--out", out)
        assert status == 0, errors
        placed = "--dicom" not in arguments or arguments[0].name == "sound.dcm"
        assert ("no Parametric Maps are written, only Secondary Captures and a report" in errors) != placed
        said += [output.encode(), errors.encode()]
    folders = sorted(folder.name for folder in out.iterdir())
    assert len(folders) == 3
    assert all(re.fullmatch(r"[0-9a-f]{12}(-[2-9])?", name) for name in folders)
    record = json.loads((out / folders[0] / "explanation.json").read_bytes())
    assert record["image"]["metadata"]["window"] == "centre 900, width 800 (the file's)"
    objects: list[Path] = []
    for place in (out, *(Path(os.environ[f"XDG_{name}_HOME"]) for name in ("CACHE", "STATE", "DATA", "CONFIG"))):
        for file in place.rglob("*"):
            said.append(os.fsencode(file.relative_to(place)))
            if file.suffix == ".dcm":
                objects.append(file)
            elif file.is_file():
                said.append(file.read_bytes())
    for text in said:
        found = CANARIES.search(text.replace(os.fsencode(study), b""))
        assert found is None, text[max(found.start() - 200, 0) : found.end() + 100]
    if "--dicom" not in MORE:
        return
    assert len(objects) == 2 + 2 * 4  # maps of the one whose place is known; overlays, agreement, report of both
    for file in objects:
        found = set(with_canaries(pydicom.dcmread(file)))
        assert {keyword for _, keyword in found} <= TAKEN_OVER, file
        deep = {keyword for depth, keyword in found if depth}
        # What a report refers to has a study and a series, and a map has a place.
        assert deep <= {"StudyInstanceUID", "SeriesInstanceUID", "SliceThickness"}, file
        assert (0, "PatientName") in found
        assert (0, "SeriesInstanceUID") not in found
        assert file.name.startswith(file.parent.name[:12])


def test_what_a_decoder_says_of_a_scan_is_dropped() -> None:
    def quoting() -> tuple[dict[str, object], memoryview]:
        raise ValueError(f"not a date: {WORD}^Person")

    for scan, expected in ((True, "its decoder failed (ValueError)"), (False, "its decoder failed (ValueError: not")):
        record, _ = worker._answer(quoting, scan=scan)
        assert str(record["cause"]).startswith(expected)
        assert (WORD in str(record)) is not scan


@pytest.mark.filterwarnings("ignore")
async def test_no_screen_names_a_patient(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    planted(study)
    make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True)
    settings = AppSettings(exact="off", evidence="off")
    app = XAIMedApp(Engine(tmp_path / "tasks"), task="Lungs", model="CNN", folder=study, settings=settings)
    seen: list[str] = []
    async with app.run_test(size=(120, 40)) as pilot:

        async def look(*keys: str) -> str:
            await press(pilot, *keys)
            seen.append(f"{screen_text(app)}\n{notices(app)}\n{app.clipboard}")
            return seen[-1]

        await until(pilot, lambda: app.views_made and not app.explain.side.listing, seconds=60)
        await until(pilot, lambda: app.explain.images.has(study / "frames#2"))
        assert "no modality, CHEST AX" in await look("home")
        for _ in range(app.explain.images.total):
            await look("down")
        assert any("(Basic Text" in text for text in seen), "the kind of an object without pixels"
        app.explain.images.go_to(study / "sound.dcm")
        await until(pilot, lambda: app.explain.answer is not None, seconds=60)
        text = await look()
        assert "window 900/800" in text
        assert "is written into its" in text
        await look("i")
        await look("escape", "g")
        await until(pilot, lambda: app.explain.runs["gradcam"].state == "done", seconds=60)
        for keys in (("v",), ("v", "enter"), ("c",), ("escape", "z"), ("full_stop",), ("v",), ("question_mark",)):
            await look(*keys)
        for keys in (("escape", "escape", "w"), ("escape", "b"), ("escape", "ctrl+l")):
            await look(*keys)
    for place in (Path(os.environ[f"XDG_{name}_HOME"]) for name in ("CACHE", "STATE", "DATA", "CONFIG")):
        seen += [file.read_text(errors="replace") for file in place.rglob("*") if file.is_file()]
    for text in seen:
        found = CANARIES.search(text.replace(str(study), "").encode())
        assert found is None, text[max(found.start() - 200, 0) : found.end() + 100]


def test_two_windows_of_the_same_pixels_are_two_inputs(tmp_path: Path) -> None:
    from engine.network.feeding import DeclaredFeeding  # late: torch, which the test above has imported

    pixels = np.arange(120, dtype=np.uint16).reshape(12, 10)
    made = (dataset(pixels, WindowCenter="50", WindowWidth=width) for width in ("40", "90"))
    narrow, wide = (read_image(write(tmp_path / "a", one)) for one in made)
    assert narrow.sha256 == wide.sha256
    feeding = DeclaredFeeding(InputSpec(channels=1))
    assert feeding.identity(narrow) != feeding.identity(wide)
