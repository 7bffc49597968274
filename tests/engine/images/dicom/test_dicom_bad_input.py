"""Bad DICOM files: each costs one line, in bounded time and memory."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import dataset, deflated, frames_of, write, write_dicom
from picture_files import GREY, write_png
from pydicom import uid
from torture.dicom import flips, outcome

from engine.bundle.specs import InputSpec
from engine.errors import ImageError
from engine.images.compliance import why_not_compliant
from engine.images.decoding import decoding_process
from engine.images.dicom import answers, codecs
from engine.images.dicom.facts import DicomFacts
from engine.images.header import Limits
from engine.images.image import read_header, read_image

PIXELS = (np.arange(40 * 30).reshape(40, 30) * 3).astype(np.uint16)


def refused(path: Path, code: str, words: str) -> None:
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=words) as caught:
            read(path)
        assert caught.value.code == code
        assert "\n" not in caught.value.message
        assert caught.value.remedy
    assert why_not_compliant(path, InputSpec())


def test_a_deflated_file_cannot_inflate_beyond_the_limit(tmp_path: Path) -> None:
    path = deflated(tmp_path / "a", bytes(30_000_000))
    assert path.stat().st_size < 50_000
    with pytest.raises(ImageError, match="it inflates to more than 10,000,000 bytes") as caught:
        read_header(path, limits=Limits(bytes=10_000_000))
    assert caught.value.code == "too-large"
    # Its syntax stands so far behind that only pydicom finds it, which knows no limit.
    whole = path.read_bytes()
    far = struct.pack("<HH2sHI", 2, 1, b"OB", 0, 70_000) + bytes(70_000)
    at = whole.index(b"\x02\0\x10\0UI")
    path.write_bytes(whole[:132] + far + whole[at:])
    refused(path, "too-slow", "a value of its header is too long")


def test_a_header_that_promises_four_gigabytes_is_refused(tmp_path: Path) -> None:
    whole = write_dicom(tmp_path / "a", PIXELS).read_bytes()
    at = whole.index(b"\xe0\x7f\x10\0OW")
    (tmp_path / "b").write_bytes(whole[: at + 8] + struct.pack("<I", 0xFFFFFFF0) + whole[at + 12 :])
    with pytest.raises(ImageError, match="its pixel data is damaged"):
        read_image(tmp_path / "b")
    refused(write_dicom(tmp_path / "c", PIXELS, Rows=65535, Columns=65535), "too-large", "4,294,836,225 pixels")
    with pytest.raises(ImageError, match="it ends early"):
        read_image(write_dicom(tmp_path / "d", PIXELS, Rows=8000, Columns=8000))
    many = "its header promises more frames than the file can hold"
    refused(write_dicom(tmp_path / "f", PIXELS[None], NumberOfFrames=999_999), "damaged", many)
    # A value of the header that is as long as the whole file: a sparse one of a gigabyte.
    element = struct.pack("<HH2sHI", 0x28, 0x1201, b"OW", 0, 10**9)
    at = whole.index(b"\x28\0\0\x01US")
    (tmp_path / "e").write_bytes(whole[:at] + element)
    with (tmp_path / "e").open("r+b") as file:
        file.truncate(10**9)
    refused(tmp_path / "e", "too-slow", "a value of its header is too long")


def test_sequences_nested_ten_thousand_deep_are_refused_or_passed_over(tmp_path: Path) -> None:
    whole = write_dicom(tmp_path / "a", PIXELS, syntax=uid.ImplicitVRLittleEndian).read_bytes()
    at = whole.index(struct.pack("<HH", 0x28, 2))
    sequence = struct.pack("<HHI", 0x20, 0x9222, 0xFFFFFFFF)
    begin = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    (tmp_path / "b").write_bytes(whole[:at] + (sequence + begin) * 10_000 + end * 10_000 + whole[at:])
    refused(tmp_path / "b", "damaged", "its sequences are nested too deep")


def test_a_wrong_transfer_syntax_costs_one_line(tmp_path: Path) -> None:
    made = dataset(PIXELS)
    for syntax in (uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.RLELossless, uid.JPEGBaseline8Bit):
        frames_of(made, [PIXELS.tobytes()])
        made.file_meta.TransferSyntaxUID = syntax
        with pytest.raises(ImageError, match="its pixel data is damaged") as caught:
            read_image(write(tmp_path / "a", made))
        assert caught.value.code == "damaged"
    whole = write_dicom(tmp_path / "b", PIXELS).read_bytes()
    other = whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0")
    assert other != whole
    (tmp_path / "b").write_bytes(other)
    assert np.array_equal(read_image(tmp_path / "b").pixels[..., 0], PIXELS), "value types are there all the same"
    (tmp_path / "b").write_bytes(whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.9.9.9\0"))
    with pytest.raises(ImageError, match="its transfer syntax is not known") as caught:
        read_image(tmp_path / "b")
    assert caught.value.code == "unsupported"
    made.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    with pytest.raises(ImageError, match=r"its pixels are stored as MPEG2 .*, which is not supported"):
        read_image(write(tmp_path / "a", made))


def test_a_value_that_cannot_be_read_refuses_the_file_only_if_the_pixels_depend_on_it(tmp_path: Path) -> None:
    whole = write_dicom(tmp_path / "a", PIXELS, RescaleSlope="12.5", RescaleIntercept="0", SeriesNumber="7731")
    content = whole.read_bytes()
    for what, damage in (
        (b"12.5", b"secr"),
        (b"\x28\0\x10\0US", b"\x28\0\x10\0QZ"),
        (b"\x28\0\x53\x10DS", b"\x28\0\x53\x10XX"),
    ):
        assert what in content
        (tmp_path / "b").write_bytes(content.replace(what, damage, 1))
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / "b")
        assert caught.value.cause == "the file is damaged, or not DICOM as the standard defines it"
    (tmp_path / "b").write_bytes(content.replace(b"7731", b"secr", 1))
    assert read_header(tmp_path / "b").dicom is not None
    assert np.array_equal(read_image(tmp_path / "b").pixels[..., 0], PIXELS * np.float32(12.5))


def test_numbers_that_no_float_holds_cost_one_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="some of its values are too large") as caught:
        read_image(write_dicom(tmp_path / "a", PIXELS, RescaleSlope="1e38", RescaleIntercept="0"))
    assert caught.value.code == "unsupported"
    refused(write_dicom(tmp_path / "b", PIXELS, RescaleSlope="1e308", RescaleIntercept="0"), "damaged", "not DICOM as")
    far = {"ImageOrientationPatient": ["1e200"] * 6, "ImagePositionPatient": ["1e200"] * 3}
    header = read_header(write_dicom(tmp_path / "c", PIXELS, **far))
    assert header.dicom is not None
    assert header.dicom.position is None


def test_what_a_file_is_called_says_nothing(tmp_path: Path) -> None:
    write_png(tmp_path / "a.dcm", PIXELS, 16, GREY)
    assert read_image(tmp_path / "a.dcm").metadata["format"] == "PNG"
    path = write_dicom(tmp_path / "b.png", PIXELS)
    assert read_image(path).metadata["format"] == "DICOM"
    assert read_header(path).dicom is not None
    (tmp_path / "c.dcm").write_bytes(b"hello")
    refused(tmp_path / "c.dcm", "not-an-image", "this is not a PNG, JPEG, TIFF, BMP, WebP, DICOM or NIfTI image")


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (uid.BasicTextSRStorage, "Basic Text SR"),
        (uid.TwelveLeadECGWaveformStorage, "12-lead ECG Waveform"),
        (uid.EncapsulatedPDFStorage, "Encapsulated PDF"),
        (uid.KeyObjectSelectionDocumentStorage, "Key Object Selection Document"),
        (uid.GrayscaleSoftcopyPresentationStateStorage, "Grayscale Softcopy Presentation State"),
        ("1.2.3.4", "of a kind that is not known"),
    ],
)
def test_objects_without_pixels_are_refused_by_their_kind(kind: str, named: str, tmp_path: Path) -> None:
    refused(write_dicom(tmp_path / "a", None, SOPClassUID=kind), "no-pixels", f"holds no picture \\({named}\\)")


def test_without_the_package_a_dicom_file_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dicom(tmp_path / "a", PIXELS)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    from engine.images.dicom.serving import load_pydicom

    with pytest.raises(ImageError) as caught:
        load_pydicom(path)
    assert caught.value.message == (
        f"{path}: DICOM files are read by the package pydicom, and it is not installed; "
        "install it: pip install 'xaimed[dicom]'"
    )
    assert caught.value.code == "codec-missing"


def test_a_missing_codec_is_named_with_the_package_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "is_available", property(lambda _: False))
    for syntax, package in ((uid.JPEG2000, "pylibjpeg-openjpeg"), (uid.JPEGLosslessSV1, "pylibjpeg-libjpeg")):
        with pytest.raises(ImageError, match=f"is not installed .*{package}.*; install it: pip install") as caught:
            codecs.decoder_of(syntax, uid.UID(syntax).name, Path("a"))
        assert caught.value.code == "codec-missing"


def test_a_header_that_is_never_done_is_told_with_its_own_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise decoding_process.GoneError

    monkeypatch.setattr(decoding_process.DecodingProcess, "_answer_line", killed)
    monkeypatch.setattr(decoding_process.DecodingProcess, "late", lambda _: True)
    with pytest.raises(ImageError, match="reading its header takes longer than 5 s; send it again from the archive"):
        read_header(write_dicom(tmp_path / "a", PIXELS))


def test_what_the_decoding_process_answers_is_checked() -> None:
    facts = DicomFacts("CT Image", "CT", "MONOCHROME2", 1, 1, 4, 4, 12, 16, 0.0, 9.0)
    record = answers.facts_record(facts)
    sound = {"dicom": record, "entries": 0, "shape": [4, 4, 1], "sample": "u2"}
    limits = Limits()

    def parse(**changed: object) -> object:
        import json

        return answers.parse_dicom(json.dumps({**sound, **changed}).encode(), limits, pixels=True)

    assert isinstance(parse(), answers.DicomAnswer)
    wrong: list[dict[str, object]] = [
        {"shape": [4, 5, 1]},
        {"shape": [4, 4, 2]},
        {"shape": [4, 4, 3]},
        {"sample": "f8"},
        {"entries": 1 << 20},
        *({"dicom": {**record, name: value}} for name, value in BAD_FACTS),
    ]
    for changed in wrong:
        with pytest.raises(ValueError, match="no "):
            parse(**changed)
    safe = parse(
        dicom={**record, "modality": "SMITH", "body_part": "SMITH", "description": "Smith AX", "kind": "a\x1b"}
    )
    assert isinstance(safe, answers.DicomAnswer)
    assert (safe.facts.modality, safe.facts.body_part, safe.facts.description) == ("", "", "AX")
    assert "\x1b" not in safe.facts.kind


BAD_FACTS: tuple[tuple[str, object], ...] = (
    ("rows", 10**6),
    ("frame", 2),
    ("bits", True),
    ("low", "0"),
    ("high", -1.0),
    ("aspect", 0.0),
    ("unit", "Smith"),
    ("windows", [[0, 0, "linear"]]),
    ("windows", [[0, 5, "curve"]]),
    ("lut", [0, 1 << 20]),
    ("padding", [1]),
    ("edges", ["SMITH", "J"]),
    ("burned_in", "perhaps"),
    ("position", "here"),
    ("kind", 3),
)


def test_flipped_bits_cost_one_line_at_most() -> None:
    counts = [outcome(path) for path in flips(50, seed=3)]
    assert len(counts) == 50
    assert all(code for code, _ in counts), "each is shown, or refused by one line with a remedy"
