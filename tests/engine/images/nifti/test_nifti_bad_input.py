"""Bad NIfTI files: each costs one line, in bounded time and memory."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nifti_files import write_nifti
from torture.dicom import outcome

from engine.bundle.specs import InputSpec
from engine.errors import ImageError
from engine.images.compliance import why_not_compliant
from engine.images.header import DEFAULT_LIMITS, Limits
from engine.images.image import read_header, read_image
from engine.images.nifti import answers, voxels
from engine.images.nifti.facts import VolumeFacts
from engine.images.nifti.header import open_volume

VALUES = np.random.default_rng(7).integers(0, 900, (8, 9, 10)).astype(np.int16)


def refused(path: Path, code: str, words: str, *, header: bool = True) -> None:
    named = path.with_name(f"{path.name}#axial:2:1")
    for read in (read_image, read_header) if header else (read_image,):
        with pytest.raises(ImageError, match=words) as caught:
            read(named)
        assert caught.value.code == code
        assert "\n" not in caught.value.message
        assert caught.value.remedy
    assert why_not_compliant(named, InputSpec()) or not header


def test_files_that_are_cut_or_altered_are_refused(tmp_path: Path) -> None:
    plain = write_nifti(tmp_path / "a.nii", VALUES).read_bytes()
    packed = write_nifti(tmp_path / "a.nii.gz", VALUES).read_bytes()
    for kept in (348, 352, len(plain) - 1):
        (tmp_path / "cut.nii").write_bytes(plain[:kept])
        refused(tmp_path / "cut.nii", "damaged", "its header promises more voxels than it can hold")
    (tmp_path / "cut.nii").write_bytes(plain[:200])
    with pytest.raises(ImageError, match=r"this is not a PNG.* or NIfTI image") as caught:
        read_image(tmp_path / "cut.nii")
    assert caught.value.code == "not-an-image"
    for kept, words in (
        (len(packed) - 1, "its packed data ends early"),
        (len(packed) // 2, "its packed data ends early"),
    ):
        (tmp_path / "cut.nii.gz").write_bytes(packed[:kept])
        refused(tmp_path / "cut.nii.gz", "damaged", words, header=False)
    altered = bytearray(packed)
    altered[-6] ^= 1  # of the check sum
    (tmp_path / "cut.nii.gz").write_bytes(altered)
    refused(tmp_path / "cut.nii.gz", "damaged", "what is packed in it is not what was packed", header=False)
    # Several members, and zeros behind them, are one file, as for gzip and nibabel.
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]) + bytes(99))
    assert read_image(tmp_path / "cut.nii.gz#axial:2").sha256 == read_image(tmp_path / "a.nii#axial:2").sha256


def test_flipped_bits_cost_one_line_at_most(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    outcomes = []
    for name in ("a.nii", "a.nii.gz"):
        whole = write_nifti(tmp_path / name, VALUES).read_bytes()
        for _ in range(60):
            content = bytearray(whole)
            for place in rng.integers(0, min(len(whole), 400), rng.integers(1, 9)):
                content[place] ^= 1 << int(rng.integers(8))
            (tmp_path / name).write_bytes(content)
            outcomes.append(outcome(tmp_path / name)[0])
    assert all(outcomes), "each is shown, or refused by one line with a remedy"
    assert 10 < outcomes.count("shown") < 110


def test_a_header_cannot_promise_what_is_not_there(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", VALUES, dim=[3, 1300, 1300, 1300, 1, 1, 1, 1])
    refused(tmp_path / "a.nii", "damaged", "its header promises more voxels than it can hold")
    write_nifti(tmp_path / "b.nii.gz", VALUES, dim=[3, 1300, 1300, 1300, 1, 1, 1, 1])
    refused(tmp_path / "b.nii.gz", "damaged", "its header promises more voxels than it can hold")
    write_nifti(tmp_path / "c.nii", VALUES, dim=[3, 32767, 32767, 1, 1, 1, 1, 1])
    refused(tmp_path / "c.nii", "too-large", "a slice of it has 1,073,676,289 pixels")


def test_a_gzip_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = write_nifti(tmp_path / "a.nii", VALUES).read_bytes()
    bomb = gzip.compress(header + bytes(10**7))
    monkeypatch.setattr(voxels, "MOST_UNPACKED", 10**6)
    packed = voxels.Packed(io.BytesIO(bomb), tmp_path)
    assert packed.take(len(header)) == header
    with pytest.raises(ImageError, match="more than 1,000,000 bytes are packed in it; unpack it with gunzip") as caught:
        packed.finish()
    assert caught.value.code == "too-large"
    monkeypatch.setattr(voxels, "MOST_UNPACKED", 1000)  # less than the header says
    with pytest.raises(ImageError, match="it holds 1,792 bytes; at most 1,000 are unpacked"):
        voxels.check_room(open_volume(header[:540], tmp_path, DEFAULT_LIMITS), 10**6, tmp_path, packed=True)


def test_what_is_no_volume_of_real_numbers_is_refused_by_its_kind(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", VALUES.astype(np.complex64))
    refused(path, "unsupported", "its voxels are complex numbers, which are not supported")
    path = write_nifti(tmp_path / "b.nii", np.zeros((2, 3, 4, 1, 3), np.float32))
    refused(path, "unsupported", r"each of its voxels holds 3 values \(5 dimensions\)")
    path = write_nifti(tmp_path / "c.nii", VALUES, intent_code=3001)
    refused(path, "no-pixels", r"no pictures, but connectivity .*\(CIFTI\)")
    path = write_nifti(tmp_path / "d.nii", VALUES, intent_code=1008)
    refused(path, "no-pixels", "a surface or values on one")
    path = write_nifti(tmp_path / "e.nii", VALUES, datatype=17)
    refused(path, "damaged", "the file is damaged, or not NIfTI as the format defines it")
    path = write_nifti(tmp_path / "f.nii", VALUES, srow_x=[0, 0, 0, 0])
    refused(path, "damaged", "not NIfTI as the format defines it")
    refused(write_nifti(tmp_path / "g.nii", VALUES, vox_offset=0), "damaged", "not NIfTI as")
    refused(write_nifti(tmp_path / "h.nii", VALUES, scl_inter=np.inf), "damaged", "not NIfTI as")
    odd = VALUES.astype(np.float32)
    odd[3, 3, 3] = np.nan
    path = write_nifti(tmp_path / "n.nii.gz", odd)
    assert read_image(tmp_path / "n.nii.gz#axial:1").pixels.max() < 900, "other slices are sound"
    with pytest.raises(ImageError, match="some of its values are no numbers; replace them first"):
        read_image(tmp_path / "n.nii.gz#axial:4")
    path = write_nifti(tmp_path / "o.nii", VALUES.astype(np.float64), scl_slope=1e38)
    refused(path, "unsupported", "some of its values are too large", header=False)


def test_pairs_and_other_packed_files_are_named(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(VALUES, None), tmp_path / "a.img")
    nibabel.save(nibabel.Nifti1Pair(VALUES, None), tmp_path / "b.img")
    for name, kind in (("a", "Analyze"), ("b", "NIfTI")):
        for suffix in ("hdr", "img"):
            for read in (read_image, read_header):
                with pytest.raises(ImageError, match=f"this is half of a.? {kind} pair.*; convert the pair to one"):
                    read(tmp_path / f"{name}.{suffix}")
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(b"hello" * 999))
    with pytest.raises(ImageError, match="this is a compressed file, which is not supported; unpack it"):
        read_image(tmp_path / "c.nii.gz")
    write_nifti(tmp_path / "d.png", VALUES)
    assert read_image(tmp_path / "d.png#axial:1").metadata["format"] == "NIfTI", "the name says nothing"
    (tmp_path / "e.nii").write_bytes(b"")
    with pytest.raises(ImageError, match="the file is empty"):
        read_image(tmp_path / "e.nii")
    (tmp_path / "f.png").write_bytes(b"hello")
    with pytest.raises(ImageError, match="only NIfTI files have slices, and this is neither; name the file alone: f"):
        read_image(tmp_path / "f.png#axial:1")


def test_without_the_package_a_volume_is_refused_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nifti(tmp_path / "a.nii", VALUES)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ImageError) as caught:
        open_volume(path.read_bytes()[:540], path, DEFAULT_LIMITS)
    assert caught.value.message == (
        f"{path}: NIfTI files are read by the package nibabel, and it is not installed; "
        "install it: pip install 'xaimed[nifti]'"
    )
    assert caught.value.code == "codec-missing"


def test_what_the_decoding_process_answers_is_checked() -> None:
    facts = VolumeFacts(
        "NIfTI-1",
        (4, 5, 6),
        2,
        "i2",
        1.0,
        0.0,
        (0, 1, 2),
        (False,) * 3,
        ("R", "A", "H"),
        "known",
        (1.0,) * 3,
        True,
        None,
    )
    record = answers.facts_record(facts)

    def parse(wanted: tuple[int, ...] | None = (1,), block: object = (4, 5, 6), **changed: object) -> object:
        line = json.dumps({"nifti": {**record, **changed}, "block": block}).encode()
        return answers.parse_nifti(line, limits=Limits(), wanted=wanted)

    found = parse()
    assert isinstance(found, answers.NiftiAnswer)
    assert (found.facts, found.bytes) == (facts, 240)
    assert isinstance(parse((2, 1, 3), [4, 1, 6]), answers.NiftiAnswer)
    assert isinstance(parse(None, [0, 0, 0]), answers.NiftiAnswer)
    for wanted, block in (((1,), [4, 5, 7]), ((1, 1, 0), [4, 5, 6]), (None, [4, 5, 6]), ((1,), [0, 0, 0])):
        with pytest.raises(ValueError, match="no block"):
            parse(wanted, block)
    wrong: tuple[tuple[str, object], ...] = (
        ("kind", "Smith"),
        ("shape", [4, 5]),
        ("shape", [0, 5, 6]),
        ("volumes", "2"),
        ("sample", "c8"),
        ("slope", float("inf")),
        ("axes", [0, 1, 1]),
        ("reversed", [0, 1, 1]),
        ("letters", ["SMITH", "A", "H"]),
        ("orientation", "perhaps"),
        ("sides", [1.0, 0.0, 1.0]),
        ("millimetres", 1),
        ("window", [5, 4]),
        ("photograph", "Smith"),
    )
    for name, value in wrong:
        with pytest.raises(ValueError, match="no "):
            parse(**{name: value})
