"""Frames, series, and the geometry of DICOM images; what is listed of a folder, and in which order."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from dicom_files import dataset, item, pydicom, write, write_dicom
from pydicom import uid
from pydicom.fileset import FileSet

from engine.bundle.specs import InputSpec
from engine.errors import ImageError
from engine.images import image as image_module
from engine.images.bits import unit_values
from engine.images.dicom import reading
from engine.images.dicom.following import images_at
from engine.images.dicom.reading import read_facts
from engine.images.dicom.recognising import is_dicom, split_frame
from engine.images.dicom.series import series_of
from engine.images.image import read_header, read_image
from engine.images.listing import list_images, scan_images
from engine.images.parts import is_part, names_file

STACK = (np.arange(3 * 6 * 4).reshape(3, 6, 4) * 11).astype(np.uint16)


def test_each_frame_is_an_image_of_its_own(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", STACK, NumberOfFrames=3)
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=r"holds 3 frames; name one of a\.dcm#1 to a\.dcm#3") as caught:
            read(path)
        assert caught.value.code == "stack"
        with pytest.raises(ImageError, match="it has 3 frames, and no frame 4; name one from 1 to 3"):
            read(tmp_path / "a.dcm#4")
        for part in ("0", "x", "axial:1"):
            with pytest.raises(
                ImageError, match=r"behind the # stands no frame of it; name one of a\.dcm#1 to a\.dcm#3"
            ):
                read(tmp_path / f"a.dcm#{part}")
    for number in (1, 2, 3):
        image = read_image(tmp_path / f"a.dcm#{number}")
        assert np.array_equal(image.pixels[..., 0], STACK[number - 1])
        assert image.path.name == f"a.dcm#{number}"
        assert image.metadata["frame"] == f"{number} of 3"
    assert [each.name for each in images_at(path)] == ["a.dcm#1", "a.dcm#2", "a.dcm#3"]
    made = dataset(STACK, NumberOfFrames=3)
    made.compress(uid.RLELossless)
    write(path, made)
    assert np.array_equal(read_image(tmp_path / "a.dcm#3").pixels[..., 0], STACK[2])


def test_a_file_named_like_a_frame_is_itself(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a", STACK, NumberOfFrames=3)
    odd = write_dicom(tmp_path / "a#2", STACK[0])
    assert split_frame(odd) == (odd, None)
    assert np.array_equal(read_image(odd).pixels[..., 0], STACK[0])
    (tmp_path / "x.png").write_bytes(b"hello")
    for name in ("x.png#1", "x.png#left#2"):
        with pytest.raises(ImageError, match=r"only DICOM files have frames, .* name the file alone: x\.png"):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match=r"stands no frame of it; name the file alone: a#2"):
        read_image(tmp_path / "a#2#x")
    for name in (".#3", ".#axial:1", ".#x", "#3"):
        with pytest.raises(ImageError, match=r"folder|no such file"):
            read_image(tmp_path / name)
    assert names_file("a.dcm#3", {"a.dcm"})
    assert not names_file("a.dcm", {"a.dcm#3"})
    file, part = Path("study/a.dcm"), Path("study/a.dcm#3")
    assert is_part(part, file)
    assert not any(is_part(path, file) for path in (file, Path("other/a.dcm#3"), Path("study/a.dcm#x")))


def test_what_functional_groups_say_of_a_frame_counts_for_it(tmp_path: Path) -> None:
    def groups(number: int) -> pydicom.Dataset:
        return item(
            PixelValueTransformationSequence=[item(RescaleSlope=str(number), RescaleIntercept="-10", RescaleType="HU")],
            FrameVOILUTSequence=[item(WindowCenter=str(100 * number), WindowWidth="100")],
            FrameAnatomySequence=[item(FrameLaterality="R" if number == 1 else "L")],
        )

    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=["2", "0.5"])],
        PlaneOrientationSequence=[item(ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"])],
    )
    write_dicom(
        tmp_path / "a",
        STACK,
        NumberOfFrames=3,
        SOPClassUID=uid.EnhancedCTImageStorage,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=[groups(number) for number in (1, 2, 3)],
    )
    for number in (1, 2, 3):
        image = read_image(tmp_path / f"a#{number}")
        assert np.array_equal(image.pixels[..., 0], STACK[number - 1] * float(number) - 10)
        assert image.unit == "HU"
        unit = unit_values(image, InputSpec(channels=1))[..., 0]
        centre = 100 * number - 0.5
        np.testing.assert_allclose(unit, np.clip((image.pixels[..., 0] - centre) / 99 + 0.5, 0, 1), atol=1e-6)
        facts = image.dicom
        assert facts is not None
        assert (facts.laterality, facts.spacing, facts.aspect) == ("R" if number == 1 else "L", (2.0, 0.5), 4.0)
        assert facts.letters == ("A", "P", "H", "F")


def test_where_the_edges_lie_is_told_by_directions_or_codes(tmp_path: Path) -> None:
    axial = write_dicom(tmp_path / "a", STACK[0], ImageOrientationPatient=["1", "0", "0", "0", "0.8", "0.6"])
    assert read_facts(axial).letters == ("R", "L", "AF", "PH")
    breast = write_dicom(tmp_path / "b", STACK[0], PatientOrientation=["A", "FL"], PixelAspectRatio=["3", "2"])
    facts = read_facts(breast)
    assert (facts.letters, facts.aspect, facts.spacing) == (("P", "A", "HR", "FL"), 1.5, None)
    odd = write_dicom(tmp_path / "c", STACK[0], PatientOrientation=["SMITH", "J"])
    assert read_facts(odd).letters is None


def study(folder: Path, count: int) -> None:
    """Two series, interleaved and backwards."""
    made = dataset(STACK[0], SeriesDescription="CHEST Smith AX 5mm")
    for number in range(count):
        made.InstanceNumber, made.SeriesNumber = count - number, 1 + number % 2
        made.SeriesInstanceUID = f"1.2.{number % 2}"
        write(folder / f"IM{number:04}", made)


def test_a_folder_is_in_the_order_of_series_and_images_with_frames(tmp_path: Path) -> None:
    study(tmp_path, 6)
    write_dicom(tmp_path / "1.2.3.44", STACK, NumberOfFrames=3, SeriesInstanceUID="1.9", SeriesNumber=9, Modality="US")
    (tmp_path / "z.png").touch()
    (tmp_path / "a.dcm").write_bytes(b"no DICOM")
    names = [image.name for image in list_images(tmp_path)]
    assert names == [
        *("IM0004", "IM0002", "IM0000", "IM0005", "IM0003", "IM0001"),
        *("1.2.3.44#1", "1.2.3.44#2", "1.2.3.44#3", "a.dcm", "z.png"),
    ]
    series = series_of(tmp_path, names)
    assert [each.words for each in series] == ["CT, CHEST AX 5MM, 3 images"] * 2 + ["US, 3 images"]
    assert [name for each in series for name in each.names] == names[:9]


def test_rows_come_before_headers_and_each_header_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study(tmp_path, 300)
    read: list[Path] = []
    begin = time.monotonic()
    original = reading.header_of
    from engine.images.decoding import client

    separately = client.dicom_header_separately

    def count(*given: object) -> object:
        read.append(given[2])  # type: ignore[arg-type]
        return separately(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "dicom_header_separately", count)
    lists = scan_images(tmp_path)
    assert len(next(lists)) >= 256
    assert read == []
    assert time.monotonic() - begin < 3, "names alone"
    *_, last = lists
    assert (len(last), len(read)) == (300, 300)
    assert original(tmp_path / last[0]).instance_number == 2
    *_, again = scan_images(tmp_path)
    assert again == last
    assert len(read) == 300
    write_dicom(tmp_path / last[0], STACK[1])
    read_facts(tmp_path / last[0])
    assert len(read) == 301, "a file that was written again"
    write_dicom(tmp_path / "frames", STACK, NumberOfFrames=3)
    for number in (1, 2, 3):
        assert read_header(tmp_path / f"frames#{number}").height == 6
    assert len(read) == 302, "all frames of a file together"
    report = write_dicom(tmp_path / "report", None, SOPClassUID=uid.BasicTextSRStorage)
    for _ in range(2):
        with pytest.raises(ImageError, match=r"holds no picture \(Basic Text SR\)") as refused:
            read_header(report)
        assert refused.value.subject == str(report)
    assert len(read) == 303, "a refusal is kept, too"
    *_, last = scan_images(tmp_path)
    count = len(read)
    assert sum(len(each.names) for each in series_of(tmp_path, last)) == len(last) - 1
    write_dicom(tmp_path / last[-2], STACK)
    assert sum(len(each.names) for each in series_of(tmp_path, last)) == len(last) - 2, "written again, not read since"
    assert len(read) == count


def test_a_dicomdir_stands_for_the_files_that_it_lists(tmp_path: Path) -> None:
    files = FileSet()
    for number in range(3):
        made = dataset(STACK[0], PatientID="SECRET", PatientName="Secret^Name", StudyInstanceUID="1.2", StudyID="S")
        made.StudyDate, made.StudyTime, made.SeriesNumber, made.InstanceNumber = "20200101", "101010", 1, number + 1
        path = write(tmp_path / f"in{number}", made)
        files.add(pydicom.dcmread(path))
        path.unlink()
    files.write(tmp_path / "disc")
    folder = tmp_path / "disc"
    names = [image.name for image in list_images(folder)]
    assert len(names) == 3
    assert all((folder / name).is_file() for name in names)
    assert list(images_at(folder / "DICOMDIR")) == [folder / name for name in names]
    *_, below = scan_images(tmp_path, below_empty=True)
    assert below == [f"disc/{name}" for name in names], "each once"
    with pytest.raises(ImageError, match="this is a DICOMDIR: it lists pictures and holds none"):
        read_image(folder / "DICOMDIR")
    (folder / names[0]).unlink()
    assert len(list_images(folder)) == 2
    own = pydicom.dcmread(folder / "DICOMDIR")
    for record in own.DirectoryRecordSequence:
        if record.DirectoryRecordType == "IMAGE":
            record.ReferencedFileID = "DICOMDIR"
    own.save_as(folder / "DICOMDIR")
    assert images_at(folder / "DICOMDIR") == (folder / "DICOMDIR",), "it lists itself"


def test_a_file_that_vanishes_behind_its_header_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "a", STACK[0])
    facts = read_facts(path)

    def read_and_gone(*_: object) -> object:
        path.unlink()
        return facts

    monkeypatch.setattr(image_module, "read_facts", read_and_gone)
    with pytest.raises(ImageError, match="there is no such file; check the path"):
        read_header(path)


def test_dicom_is_found_by_its_beginning(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.png", STACK[0])
    assert read_image(path).dicom is not None, "whatever it is called"
    whole = path.read_bytes()
    (tmp_path / "old").write_bytes(whole[whole.index(b"\x08\0\x16\0UI") :])
    assert np.array_equal(read_image(tmp_path / "old").pixels[..., 0], STACK[0])
    assert [image.name for image in list_images(tmp_path)] == ["old", "a.png"]
    for start in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(200), b"BM" + bytes(200), bytes(200), b"II*\0" * 40):
        assert not is_dicom(start)
