"""Which slices a path or a folder stands for, how often files are read for that, and what is never told of them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from command_line import Run
from factories import make_model
from nibabel.nifti1 import Nifti1Extension
from nifti_files import RAS, write_nifti

from engine.errors import ImageError
from engine.images.decoding import client
from engine.images.dicom.following import images_at
from engine.images.dicom.series import series_of
from engine.images.image import read_image
from engine.images.listing import list_images, scan_images
from engine.images.nifti import reading
from engine.images.nifti.recognising import PLANES
from engine.images.parts import names_file

VALUES = np.random.default_rng(5).integers(0, 900, (7, 6, 5)).astype(np.int16)


def test_a_path_stands_for_the_middle_axial_slice_a_plane_or_one_slice(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", VALUES)
    several = write_nifti(tmp_path / "b.nii", np.stack([VALUES] * 3, axis=3))
    flat = write_nifti(tmp_path / "c.nii", VALUES[:, :1])

    def names(path: Path, part: str = "") -> list[str]:
        return [each.name for each in images_at(path.with_name(path.name + part))]

    assert names(path) == ["a.nii.gz#axial:3"]
    assert names(path, "#coronal") == [f"a.nii.gz#coronal:{index}" for index in range(1, 7)]
    assert names(path, "#sagittal:7") == ["a.nii.gz#sagittal:7"]
    assert names(several) == ["b.nii#axial:3:1"]
    assert names(several, "#axial")[4:6] == ["b.nii#axial:5:1", "b.nii#axial:1:2"]
    assert names(flat) == ["c.nii"]
    assert read_image(flat).metadata["slice"] == "coronal 1 of 1"
    (tmp_path / "d.nii").write_bytes(path.read_bytes()[:99])
    assert names(tmp_path / "d.nii") == ["d.nii"], "refused where it is read"
    assert names_file("a.nii.gz#axial:3", {"a.nii.gz"})
    odd = write_nifti(tmp_path / "a.nii.gz#axial:2", VALUES[:, :, :1])
    assert read_image(odd).metadata["slice"] == "axial 1 of 1", "a file of the whole name goes first"


def test_a_folder_lists_slices_and_reads_each_header_and_each_volume_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nifti(tmp_path / "b.nii.gz", VALUES)
    write_nifti(tmp_path / "IM1", VALUES)  # known by its content
    (tmp_path / "x.nii.gz").write_bytes(b"nothing")
    (tmp_path / "y.tar.gz").write_bytes(b"no image")
    (tmp_path / "y.hdr").write_bytes(b"no image")
    nibabel.save(nibabel.Nifti1Pair(VALUES, RAS), tmp_path / "pair.img")
    (tmp_path / "z.png").touch()
    asked: list[object] = []
    separately = client.nifti_separately

    def count(*given: object) -> object:
        asked.append(given[2])
        return separately(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(client, "nifti_separately", count)
    first, *_, last = scan_images(tmp_path, PLANES)
    assert first == ["b.nii.gz", "IM1", "pair.hdr", "x.nii.gz", "z.png"]
    expected = [
        f"{name}#{plane}:{index}"
        for name in ("b.nii.gz", "IM1")
        for plane, count in zip(PLANES, (5, 6, 7), strict=True)
        for index in range(1, count + 1)
    ]
    assert last == [*expected, "pair.hdr", "x.nii.gz", "z.png"]
    assert [image.name for image in list_images(tmp_path)] == [
        *(f"{name}#axial:{index}" for name in ("b.nii.gz", "IM1") for index in range(1, 6)),
        "pair.hdr",
        "x.nii.gz",
        "z.png",
    ], "scripts are given the axial ones"
    assert [each.words for each in series_of(tmp_path, last)][:2] == [
        "NIfTI, axial, b.nii.gz, 5 images",
        "NIfTI, coronal, b.nii.gz, 6 images",
    ]
    for name in expected[:18]:
        read_image(tmp_path / name)
    assert asked == [None, None, (1,)], "two headers, and one volume for all of its slices"
    write_nifti(tmp_path / "b.nii.gz", VALUES[::-1])
    assert read_image(tmp_path / expected[0]).metadata["values"] == "-32768 to 32767"
    assert asked[3:] == [None, (1,)], "a file that was written again"
    monkeypatch.setattr(reading.volumes, "most", 99)
    large = write_nifti(tmp_path / "large.nii.gz", np.asfortranarray(VALUES))
    for plane, index in (("axial", 4), ("coronal", 2), ("sagittal", 7)):
        cut = np.take(VALUES, index - 1, axis={"sagittal": 0, "coronal": 1, "axial": 2}[plane])
        pixels = read_image(large.with_name(f"large.nii.gz#{plane}:{index}")).pixels[..., 0]
        assert np.array_equal(pixels, cut[::-1, ::-1].T), "what cannot be kept is read slice by slice"
    assert asked[-3:] == [(1, 2, 3), (1, 1, 1), (1, 0, 6)]


CANARIES = re.compile(rb"(?i)canary")


def test_a_slice_is_explained_and_found_again_and_no_text_of_the_file_is_told(tmp_path: Path, xaimed: Run) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    made = nibabel.Nifti1Image(np.repeat(np.repeat(VALUES, 4, 0), 4, 1), RAS)
    for field in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        made.header[field] = b"CANARY"
    made.header.extensions.append(Nifti1Extension("comment", b"CANARY of a patient"))
    nibabel.save(made, scans / "brain.nii")
    whole = (scans / "brain.nii").read_bytes()
    assert len(CANARIES.findall(whole)) == 6
    for name, content in (("cut.nii", whole[:-9]), ("odd.nii", whole[:70] + b"\x63\0" + whole[72:])):
        (scans / name).write_bytes(content)
    make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True)
    on = ["--tasks", tmp_path / "tasks"]
    quick = [
        "--methods",
        "rise",
        "--samples",
        "rise=16",
        "--device",
        "cpu",
        "--precision",
        "fp32",
        "--no-exact",
        "--task",
        "Lungs",
    ]
    which = [*sorted(scans.iterdir()), scans / "brain.nii#coronal:9"]
    place = tmp_path / "out"
    status, out, err = xaimed(*on, "explain", *which, *quick, "--out", place)
    assert status == 1, "two are damaged"
    assert len([line for line in err.splitlines() if str(scans / "cut.nii") in line or str(scans / "odd") in line]) == 2
    said = [out.encode(), err.encode(), repr(read_image(scans / "brain.nii#axial:3")).encode()]
    folders = {}
    for folder in place.iterdir():
        assert re.fullmatch("[0-9a-f]{12}", folder.name), "such files are often named after people"
        record = json.loads((folder / "explanation.json").read_bytes())
        assert {"window", "colour"} <= set(record["warning_codes"])
        assert "the image's own range" in record["image"]["metadata"]["window"]
        folders[record["image"]["name"]] = folder
    assert set(folders) == {"brain.nii#axial:3", "brain.nii#coronal:9"}
    folder = folders["brain.nii#coronal:9"]
    assert json.loads((folder / "explanation.json").read_bytes())["image"]["metadata"]["slice"] == "coronal 9 of 24"
    (scans / "brain.nii").rename(scans / "renamed.nii")
    status, out, err = xaimed(*on, "reproduce", folder, "--search", scans, "--device", "cpu")
    assert status == 0, err
    assert "identical" in out
    said += [out.encode(), err.encode()]
    for top in (place, *(Path(os.environ[f"XDG_{name}_HOME"]) for name in ("CACHE", "STATE", "DATA", "CONFIG"))):
        said += [file.read_bytes() for file in top.rglob("*") if file.is_file()]
    assert not any(CANARIES.search(text) for text in said)


def test_a_volume_that_is_written_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nifti(tmp_path / "a.nii", VALUES).with_name("a.nii#axial:5")
    facts = reading.read_facts(path)

    def read_and_written(*_: object) -> object:
        write_nifti(tmp_path / "a.nii", VALUES[:, :, :3])
        return facts

    monkeypatch.setattr(reading, "read_facts", read_and_written)
    with pytest.raises(ImageError, match="the file was written while it was read; open it again") as caught:
        read_image(path)
    assert caught.value.code == "changed"
