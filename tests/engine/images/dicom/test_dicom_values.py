"""The values of DICOM images: those of pydicom's own pipeline, and those that their frames were made of."""

from __future__ import annotations

import io
import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from dicom_files import dataset, deflated, frames_of, item, pydicom, write, write_dicom
from numpy.typing import NDArray
from PIL import Image
from pipelines import pydicoms
from pydicom import uid
from pydicom.pixels.processing import apply_voi_lut

from engine.bundle.specs import DicomSpec, InputSpec
from engine.errors import ImageError
from engine.images.bits import shown_values, unit_values
from engine.images.image import MedicalImage, read_header, read_image

RAMP = (np.arange(12 * 10).reshape(12, 10) * 7 % 251).astype(np.uint8)
DEEP = (np.arange(12 * 10).reshape(12, 10) * 31).astype(np.uint16)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)
FILES = sorted(
    path
    for place in ("test_files", "charset_files")
    for path in Path(pydicom.__file__).parent.joinpath("data", place).rglob("*")
    if path.is_file()
)


def frames(path: Path) -> list[MedicalImage]:
    """A file's images: one for each frame."""
    try:
        return [read_image(path)]
    except ImageError as error:
        if error.code != "stack":
            raise
        count = int(re.findall(r"holds ([\d,]+) frames", error.cause)[0].replace(",", ""))
        return [read_image(path.with_name(f"{path.name}#{number}")) for number in range(1, count + 1)]


@pytest.mark.filterwarnings("ignore")
def test_every_file_of_pydicoms_is_refused_with_a_reason_or_has_the_values_of_its_pipeline() -> None:
    shown, windows = 0, 0
    refused: dict[str, int] = {}
    messages: list[tuple[str, str | None]] = []
    for path in FILES:
        try:
            ours = frames(path)
        except ImageError as error:
            refused[error.code] = refused.get(error.code, 0) + 1
            messages.append((error.message, error.remedy))
            continue
        theirs, read = pydicoms(path)
        shown += 1
        assert len(ours) == len(theirs), path
        for image, values in zip(ours, theirs, strict=True):
            expected = values.astype(np.float32)
            assert np.array_equal(image.pixels.squeeze(), expected.squeeze()), path
            assert image.value_range[0] <= image.pixels.min() <= image.pixels.max() <= image.value_range[1], path
            if image.colour == "grey" and ("WindowCenter" in read or read.get("VOILUTSequence")):
                windows += 1
                _check_window(image, apply_voi_lut(values, read), path)
    assert all(remedy and "\n" not in message for message, remedy in messages)
    assert shown >= 95
    assert windows >= 20
    assert refused["no-pixels"] >= 70
    assert set(refused) <= {"no-pixels", "damaged", "not-an-image", "unsupported"}
    assert refused["damaged"] <= 12


def _check_window(image: MedicalImage, windowed: NDArray[np.generic], path: Path) -> None:
    """Check the unit values against pydicom's, which lie in the range of the values."""
    low, high = image.value_range
    expected = (np.asarray(windowed, dtype=np.float64) - low) / (high - low)
    unit = unit_values(image, InputSpec(channels=1))[..., 0]
    inverted = image.dicom is not None and image.dicom.inverted
    np.testing.assert_allclose(1 - unit if inverted else unit, expected, atol=2e-6, err_msg=str(path))


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_depths_and_signs_are_kept_in_each_order_of_bytes(syntax: str, tmp_path: Path) -> None:
    for dtype in (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32):
        span = np.iinfo(dtype)
        pixels = np.linspace(span.min, span.max, 6 * 5).astype(dtype).reshape(6, 5)
        image = read_image(write_dicom(tmp_path / "a.dcm", pixels, syntax=syntax))
        assert np.array_equal(image.pixels[..., 0], pixels.astype(np.float32))
        assert image.value_range == (float(span.min), float(span.max))
        unit = unit_values(image, InputSpec(channels=1, dicom=DicomSpec("minmax")))
        assert (unit.min(), unit.max()) == (0, 1)


def encoded(name: str) -> tuple[str, bytes, NDArray[np.generic]]:
    """The syntax of a codec, a frame in it, and the values that the frame holds."""
    match name:
        case "jpeg":
            buffer = io.BytesIO()
            Image.fromarray(RAMP).save(buffer, "JPEG", quality=95)
            return uid.JPEGBaseline8Bit, buffer.getvalue(), np.asarray(Image.open(buffer))
        case "jpeg-12":
            data = imagecodecs.jpeg8_encode(DEEP, level=100, bitspersample=12)
            return uid.JPEGExtended12Bit, data, imagecodecs.jpeg8_decode(data)
        case "lossless":
            return uid.JPEGLosslessSV1, imagecodecs.ljpeg_encode(DEEP, bitspersample=16), DEEP
        case "jpeg-ls":
            return uid.JPEGLSLossless, imagecodecs.jpegls_encode(DEEP), DEEP
        case "jpeg-2000":
            return uid.JPEG2000Lossless, imagecodecs.jpeg2k_encode(DEEP, codecformat="j2k", reversible=True), DEEP
    return uid.HTJ2KLossless, imagecodecs.htj2k_encode(DEEP, reversible=True), DEEP


@pytest.mark.parametrize("name", ["jpeg", "jpeg-12", "lossless", "jpeg-ls", "jpeg-2000", "htj2k"])
def test_compressed_frames_are_decoded_and_cut_ones_are_refused(name: str, tmp_path: Path) -> None:
    pytest.importorskip("pylibjpeg", reason="the extra dicom is not installed")
    syntax, data, values = encoded(name)
    made = dataset(values, syntax=syntax)
    if name == "jpeg-12":
        made.BitsStored, made.HighBit = 12, 11
    frames_of(made, [data])
    image = read_image(write(tmp_path / "a.dcm", made))
    lossy = name in ("jpeg", "jpeg-12")  # decoders may round otherwise
    assert np.abs(image.pixels[..., 0] - values.astype(np.float32)).max() <= int(lossy)
    for cut in (data[: len(data) * 2 // 3], data[:8]):
        frames_of(made, [cut])
        write(tmp_path / "a.dcm", made)
        with pytest.raises(ImageError, match="its pixel data is damaged") as caught:
            read_image(tmp_path / "a.dcm")
        assert caught.value.code == "damaged"
        assert read_header(tmp_path / "a.dcm").height == values.shape[0]
    frames_of(made, [b"\x89PNG\r\n\x1a\n" + data])
    with pytest.raises(ImageError, match="not compressed in the way that the file names"):
        read_image(write(tmp_path / "a.dcm", made))


def test_rle_and_deflated_files_are_read(tmp_path: Path) -> None:
    made = dataset(DEEP)
    made.compress(uid.RLELossless)
    assert np.array_equal(read_image(write(tmp_path / "rle", made)).pixels[..., 0], DEEP)
    plain = write_dicom(tmp_path / "plain.dcm", DEEP).read_bytes()
    content = plain[plain.index(b"\x08\0\x16\0UI") :]
    path = deflated(tmp_path / "deflated.dcm", content)
    assert np.array_equal(read_image(path).pixels[..., 0], DEEP)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(ImageError, match="its deflated data ends early"):
        read_image(path)


def test_colours_of_each_kind_are_rgb(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(COLOURS.transpose(2, 0, 1))
    image = read_image(write_dicom(tmp_path / "a", COLOURS))
    assert image.colour == "rgb"
    assert np.array_equal(image.pixels, COLOURS)
    assert image.sha256 == MedicalImage.from_array(COLOURS).sha256
    made = dataset(COLOURS, PlanarConfiguration=1)
    made.PixelData = planes.tobytes()
    assert np.array_equal(read_image(write(tmp_path / "b", made)).pixels, COLOURS)
    ybr = pydicom.pixels.processing.convert_color_space(COLOURS, "RGB", "YBR_FULL")
    image = read_image(write_dicom(tmp_path / "c", ybr, PhotometricInterpretation="YBR_FULL"))
    assert np.array_equal(image.pixels, pydicom.pixels.processing.convert_color_space(ybr, "YBR_FULL", "RGB"))
    with pytest.raises(ImageError, match=r"colours as it stores them are not supported \(YBR_FULL, 16 bits\)"):
        read_image(write_dicom(tmp_path / "d", COLOURS.astype(np.uint16) * 200, PhotometricInterpretation="YBR_FULL"))
    for made in (
        dataset(RAMP, PhotometricInterpretation="RGB"),
        dataset(COLOURS, PhotometricInterpretation="MONOCHROME2"),
    ):
        with pytest.raises(ImageError, match="colours as it stores them are not supported"):
            read_image(write(tmp_path / "d", made))
    deep = COLOURS.astype(np.uint16) * 16
    image = read_image(write_dicom(tmp_path / "e", deep, BitsStored=12))
    unit = unit_values(image, InputSpec())
    np.testing.assert_allclose(unit, deep / 4095, atol=1e-6)
    # A screenshot of a slice in colour that has kept the slice's rescale.
    image = read_image(write_dicom(tmp_path / "f", COLOURS, RescaleSlope="1", RescaleIntercept="-1024"))
    assert image.value_range == (0.0, 255.0)
    np.testing.assert_allclose(unit_values(image, InputSpec()), COLOURS / 255, atol=1e-6)
    seven = read_image(write_dicom(tmp_path / "g", ybr, PhotometricInterpretation="YBR_FULL", BitsStored=7))
    assert seven.pixels.max() > 127, "the conversion knows nothing of the bits"
    assert unit_values(seven, InputSpec()).max() == 1


def test_palettes_whole_and_in_segments_are_rgb(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8)
    tables = {"Red": ramp, "Green": ramp[::-1], "Blue": np.full(256, 9, dtype=np.uint8)}
    indices = RAMP
    made = dataset(indices, PhotometricInterpretation="PALETTE COLOR")
    for colour, table in tables.items():
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(made, f"{colour}PaletteColorLookupTableData", table.tobytes())
    expected = np.stack([table[indices] for table in tables.values()], axis=2)
    assert np.array_equal(read_image(write(tmp_path / "a", made)).pixels, expected)
    segments = {"Red": [0, 1, 0, 1, 255, 255], "Green": [0, 1, 255, 1, 255, 0], "Blue": [0, 1, 9, 1, 255, 9]}
    for colour, segment in segments.items():
        delattr(made, f"{colour}PaletteColorLookupTableData")
        setattr(made, f"Segmented{colour}PaletteColorLookupTableData", bytes(segment))
    assert np.array_equal(read_image(write(tmp_path / "b", made)).pixels, expected)


def test_low_values_that_are_white_are_exchanged_behind_the_window(tmp_path: Path) -> None:
    spec = InputSpec(channels=1, dicom=DicomSpec("minmax"))
    image = read_image(write_dicom(tmp_path / "a", RAMP, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(image.pixels[..., 0], RAMP)
    span = float(RAMP.max()) - float(RAMP.min())
    np.testing.assert_allclose(unit_values(image, spec)[..., 0], 1 - (RAMP - float(RAMP.min())) / span, atol=1e-6)
    assert shown_values(image, spec)[0, 0] == 255, "the least value is white"


def test_rescaling_and_tables_of_the_modality_make_the_values_and_their_range(tmp_path: Path) -> None:
    ct = write_dicom(tmp_path / "a", DEEP, RescaleSlope="2", RescaleIntercept="-1024", BitsStored=12)
    image = read_image(ct)
    assert np.array_equal(image.pixels[..., 0], DEEP * 2.0 - 1024)
    assert (image.value_range, image.unit) == ((-1024.0, 4095 * 2.0 - 1024), "HU")
    assert image.array.dtype == np.float32
    assert image.array.min() == -1024
    table = [(7 * i) % 300 for i in range(256)]
    lut = item(LUTDescriptor=[256, 0, 16], LUTData=np.array(table, dtype="<u2").tobytes(), ModalityLUTType="OD")
    image = read_image(write_dicom(tmp_path / "b", RAMP, ModalityLUTSequence=[lut]))
    assert np.array_equal(image.pixels[..., 0], np.array(table)[RAMP])
    assert image.value_range == (0.0, 65535.0)
    dose = write_dicom(
        tmp_path / "c", DEEP, Modality="RTDOSE", DoseGridScaling="0.001", DoseUnits="GY", SOPClassUID=uid.RTDoseStorage
    )
    image = read_image(dose)
    np.testing.assert_allclose(image.pixels[..., 0], DEEP * 0.001, rtol=1e-6)
    assert image.unit == "Gy"


def test_floating_point_pixels_have_the_range_of_their_values(tmp_path: Path) -> None:
    values = np.linspace(-3, 5, 12 * 10, dtype=np.float32).reshape(12, 10)
    made = dataset(DEEP)
    del made.PixelData
    made.BitsAllocated, made.SOPClassUID, made.Modality = 32, uid.ParametricMapStorage, "MR"
    for name in ("BitsStored", "HighBit", "PixelRepresentation"):
        delattr(made, name)
    made.FloatPixelData = values.tobytes()
    image = read_image(write(tmp_path / "a", made))
    assert np.array_equal(image.pixels[..., 0], values)
    assert image.value_range == (-3.0, 5.0)
    values[3, 3] = np.nan
    made.FloatPixelData = values.tobytes()
    with pytest.raises(ImageError, match="some of its values are no numbers"):
        read_image(write(tmp_path / "a", made))


def test_bits_beyond_those_that_count_are_left_out(tmp_path: Path) -> None:
    overlaid = DEEP | np.uint16(0x8000)  # an overlay in the highest bit, as old devices store it
    image = read_image(write_dicom(tmp_path / "a", overlaid, BitsStored=12))
    assert np.array_equal(image.pixels[..., 0], DEEP)
