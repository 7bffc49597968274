"""The window is part of the preprocessing: what a bundle declares, what a file says, and what is left without both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import dataset, item, write, write_dicom
from pydicom import uid

from engine.bundle.model_toml import parse_model_toml
from engine.bundle.specs import DicomSpec, InputSpec
from engine.errors import BundleError, NotCompliantError
from engine.images.bits import shown_values, unit_values
from engine.images.compliance import check_compliance, input_warnings, why_not_compliant
from engine.images.dicom.windows import used_window
from engine.images.eye import EyeWindow, fed_window, fed_words
from engine.images.image import MedicalImage, read_image
from engine.images.preprocessing import fed_picture, network_input, picture_view
from engine.results.caution import codes_of

VALUES = np.arange(-300, 300, 5, dtype=np.int16).reshape(12, 10)
X = VALUES.astype(np.float64)
PLAIN = InputSpec(channels=1, size=(12, 10), mean=(0.0,), std=(1.0,))


def spec(window: str, **keys: object) -> InputSpec:
    return InputSpec(channels=1, size=(12, 10), dicom=DicomSpec(window, **keys))  # type: ignore[arg-type]


def image(path: Path, **tags: object) -> MedicalImage:
    return read_image(write_dicom(path / "a.dcm", VALUES, **tags))


def unit(of: MedicalImage, how: InputSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return unit_values(of, how)[..., 0]


def test_a_declared_window_goes_before_the_files_own(tmp_path: Path) -> None:
    ct = image(tmp_path, WindowCenter="50", WindowWidth="100")
    fixed = spec("fixed", centre=40.0, width=400.0)
    expected = np.clip((X - -160) / 400, 0, 1)
    np.testing.assert_allclose(unit(ct, fixed), expected, atol=1e-6)
    assert np.array_equal(shown_values(ct, fixed)[..., 0], np.round(expected * 255).astype(np.uint8))
    assert np.array_equal(picture_view(ct, fixed)[..., 0], np.round(expected * 255).astype(np.uint8))
    np.testing.assert_allclose(network_input(ct, fixed)[0], expected, atol=1e-6)
    assert used_window(ct, fixed).words == "centre 40, width 400 (the model's)"
    assert input_warnings(ct, fixed) == ()
    for centre, width, words in (
        (0.503626, 0.991978, "0.5036/0.992"),
        (40.0, 400.0, "40/400"),
        (1000.25, 0.5, "1000.25/0.5"),
        (32767.5, 65535.0, "32768/65535"),
        (-0.0001, 400.0, "0/400"),
        (1e-12, 3e-12, "1e-12/3e-12"),
    ):
        assert EyeWindow(centre, width).words == words
    np.testing.assert_allclose(unit(ct, spec("minmax")), (X + 300) / 595, atol=1e-6)
    low, high = np.percentile(X, (10, 80))
    some = spec("percentile", percentiles=(10.0, 80.0))
    np.testing.assert_allclose(unit(ct, some), np.clip((X - low) / (high - low), 0, 1), atol=1e-6)


def test_without_a_declaration_the_files_own_window_is_taken(tmp_path: Path) -> None:
    linear = image(tmp_path, WindowCenter=["50", "0"], WindowWidth=["100", "10"])
    expected = np.clip((X - 49.5) / 99 + 0.5, 0, 1)  # PS3.3, C.11.2.1.2.1
    for how in (PLAIN, spec("file")):
        np.testing.assert_allclose(unit(linear, how), expected, atol=1e-6)
        assert input_warnings(linear, how) == ()
        assert used_window(linear, how).words == "centre 50, width 100 (the file's)"
    exact = image(tmp_path, WindowCenter="50", WindowWidth="100", VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(unit(exact, PLAIN), np.clip((X - 50) / 100 + 0.5, 0, 1), atol=1e-6)
    sigmoid = image(tmp_path, WindowCenter="50", WindowWidth="100", VOILUTFunction="SIGMOID")
    np.testing.assert_allclose(unit(sigmoid, PLAIN), 1 / (1 + np.exp(-4 * (X - 50) / 100)), atol=1e-6)
    assert used_window(sigmoid, PLAIN).words == "centre 50, width 100 (the file's, sigmoid)"
    threshold = image(tmp_path, WindowCenter="50", WindowWidth="1")
    assert np.array_equal(unit(threshold, PLAIN), (X > 49.5).astype(np.float32))


def test_a_table_of_the_file_takes_the_place_of_a_window(tmp_path: Path) -> None:
    entries = (np.arange(100) ** 2 % 1024).astype(np.uint16)
    table = item(LUTDescriptor=[100, -50, 10], LUTData=entries.astype("<u2").tobytes())
    found = image(tmp_path, VOILUTSequence=[table], WindowCenter="50", WindowWidth="100")
    expected = entries[np.clip(VALUES.astype(int) + 50, 0, 99)] / 1023
    np.testing.assert_allclose(unit(found, PLAIN), expected, atol=1e-6)
    assert found.dicom is not None
    assert found.dicom.lut is not None
    assert found.dicom.lut.entries == tuple(entries.tolist())


def test_without_any_window_the_range_of_the_values_is_taken_with_a_warning(tmp_path: Path) -> None:
    for how, words in ((PLAIN, "Neither the file nor the model"), (spec("file"), "The file has no window")):
        found = image(tmp_path, PixelPaddingValue=-300)
        np.testing.assert_allclose(unit(found, how), np.clip((X + 295) / 590, 0, 1), atol=1e-6)
        (warning,) = input_warnings(found, how)
        assert (warning.code, warning.startswith(words)) == ("window", True)
        assert "from -295 to 295" in warning
    even = read_image(write_dicom(tmp_path / "b", np.full((12, 10), 7, np.int16)))
    assert not unit(even, PLAIN).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('window = "fixed"', "[input.dicom] centre is missing"),
        ('window = "fixed"\ncentre = 40', "[input.dicom] width is missing"),
        ("width = 400", "[input.dicom] width must not be set"),
        ('window = "fixed"\ncentre = 40\nwidth = 0', "[input.dicom] width must be a number between 0"),
        ('window = "auto"', "[input.dicom] window must be one of"),
        ("percentiles = [99, 1]", "[input.dicom] percentiles must be two numbers"),
        ('modality = ["ct"]', "[input.dicom] modality must be a list of the standard's codes"),
        ("colour = 1", "[input.dicom] has no key 'colour'"),
    ],
)
def test_a_wrong_declaration_is_named(text: str, said: str) -> None:
    with pytest.raises(BundleError) as caught:
        parse_model_toml(f"[input.dicom]\n{text}\n".encode(), Path("model.toml"))
    assert said in caught.value.message


def test_a_declaration_is_read(tmp_path: Path) -> None:
    text = b'[input.dicom]\nwindow = "fixed"\ncentre = 40\nwidth = 400\nmodality = ["CT", "MR"]\n'
    assert parse_model_toml(text, Path("model.toml")).input.dicom == DicomSpec(
        "fixed", 40.0, 400.0, modality=("CT", "MR")
    )
    assert parse_model_toml(b"[input]\n", Path("model.toml")).input.dicom is None


def test_other_modalities_and_photometric_interpretations_are_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a", VALUES, Modality="MR")
    ct = InputSpec(dicom=DicomSpec(modality=("CT", "PT")))
    said = "Its modality is MR, and the model takes CT, PT only; use an image of the kind that the model was made for."
    assert why_not_compliant(path, ct) == said
    with pytest.raises(NotCompliantError) as caught:
        check_compliance(read_image(path), ct)
    assert caught.value.code == "modality"
    inverted = InputSpec(dicom=DicomSpec(photometric=("MONOCHROME1",)))
    assert "photometric interpretation is MONOCHROME2" in why_not_compliant(path, inverted)
    assert why_not_compliant(path, InputSpec(accept_grey=False)).startswith("The image is grey")
    assert why_not_compliant(path, InputSpec(dicom=DicomSpec(modality=("MR",)))) == ""
    odd = write_dicom(tmp_path / "b", VALUES, Modality="SMITH")
    assert why_not_compliant(odd, ct).startswith("Its modality is not known, and")


def test_doses_and_segmentations_are_no_photographs(tmp_path: Path) -> None:
    dose = write_dicom(
        tmp_path / "a", VALUES.astype(np.uint16), SOPClassUID=uid.RTDoseStorage, Modality="RTDOSE", DoseGridScaling="1"
    )
    assert why_not_compliant(dose, InputSpec()) == (
        "This is a radiation dose, not an image that a device took; choose an image, or a model that asks for such "
        "objects (modality = ['RTDOSE'] under [input.dicom])."
    )
    assert why_not_compliant(dose, InputSpec(dicom=DicomSpec(modality=("RTDOSE",)))) == ""
    made = dataset(np.zeros((8, 8), np.uint8), SOPClassUID=uid.SegmentationStorage, Modality="SEG")
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelData = 1, 1, 0, b"\xff\x00" * 4
    path = write(tmp_path / "b", made)
    assert "This is a segmentation" in why_not_compliant(path, InputSpec())
    made.Modality = ""
    assert why_not_compliant(write(tmp_path / "d", made), InputSpec()).endswith("device took; choose an image.")
    assert read_image(path).pixels[:, :, 0].tolist() == [[float(row % 2 == 0)] * 8 for row in range(8)]
    shares = np.array([[0, 50], [100, 200]], np.uint8)
    asked = {"SOPClassUID": uid.SegmentationStorage, "Modality": "SEG", "SegmentationType": "FRACTIONAL"}
    path = write_dicom(tmp_path / "c", shares, MaximumFractionalValue=200, **asked)
    assert read_image(path).pixels[:, :, 0].tolist() == [[0.0, 0.25], [0.5, 1.0]]


def test_text_that_may_be_in_the_pixels_is_warned_of(tmp_path: Path) -> None:
    for said, modality, kind, warned in (
        ("NO", "US", uid.UltrasoundImageStorage, False),
        ("YES", "CT", uid.CTImageStorage, True),
        (None, "US", uid.UltrasoundImageStorage, True),
        (None, "CT", uid.CTImageStorage, False),
        (None, "CT", uid.SecondaryCaptureImageStorage, True),
    ):
        made = dataset(VALUES, Modality=modality, SOPClassUID=kind, WindowCenter="0", WindowWidth="9")
        del made.BurnedInAnnotation
        if said:
            made.BurnedInAnnotation = said
        found = read_image(write(tmp_path / "a", made))
        assert ("burned-in" in codes_of(found.warnings)) is warned


def test_bits_said_by_the_user_are_not_for_dicom(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a", VALUES)
    with pytest.raises(NotCompliantError, match="leave out --bits"):
        check_compliance(read_image(path, bits=12), InputSpec())


def test_a_window_for_the_eye_begins_at_the_networks_and_changes_nothing_that_is_fed(tmp_path: Path) -> None:
    ct = image(tmp_path, WindowCenter="50", WindowWidth="100", SeriesInstanceUID="1.7")
    fixed = spec("fixed", centre=40.0, width=400.0)
    own = fed_window(ct, fixed)
    assert own is not None
    assert (own.words, fed_words(ct, fixed)) == ("40/400", "40/400 (the model's)")
    assert np.array_equal(picture_view(ct, fixed, own), picture_view(ct, fixed))
    assert fed_words(ct, PLAIN) == "50/100 (the file's)"
    assert fed_words(image(tmp_path), PLAIN) == "-2.5/595 (the image's own range)"
    sigmoid = image(tmp_path, WindowCenter="50", WindowWidth="100", VOILUTFunction="SIGMOID")
    assert fed_words(sigmoid, PLAIN) == "50/100 (the file's, sigmoid)"
    table = item(LUTDescriptor=[4, 10, 8], LUTData=b"\x00\x00\x10\x00\x20\x00\xff\x00")
    assert fed_words(image(tmp_path, VOILUTSequence=[table]), PLAIN) == "12/4 (the file's, a table)"
    before = network_input(ct, fixed)
    moved = own.moved(ct, 1, -1)
    assert (moved.centre, moved.width) == (pytest.approx(80), pytest.approx(333))
    expected = np.clip((X - (80 - 333 / 2)) * 255 / 333, 0, 255)
    assert np.abs(picture_view(ct, fixed, moved)[..., 0] - expected).max() <= 0.51
    assert np.array_equal(network_input(ct, fixed), before)
    assert moved.fits(ct)
    assert not EyeWindow(1, 2).fits(ct), "the images of no series"
    low, high = ct.value_range
    for step in (-1, 1):
        wide, far = own, own
        for _ in range(900):
            wide, far = wide.moved(ct, 0, step), far.moved(ct, step, 0)
        assert wide == wide.moved(ct, 0, step)
        assert far == far.moved(ct, step, 0)
        assert low <= far.centre <= high
        assert wide.width > 0


def test_white_and_black_stay_exchanged_for_the_eye_and_padding_stays(tmp_path: Path) -> None:
    ct = image(tmp_path, PhotometricInterpretation="MONOCHROME1", WindowCenter="0", WindowWidth="101")
    square = InputSpec(channels=1, size=(8, 8), resize="fit")
    seen = picture_view(ct, square, EyeWindow(-0.5, 100))
    assert seen.shape == (12, 12, 1)
    assert np.array_equal(seen, picture_view(ct, square))
    assert seen.flat[1] > seen.flat[-2]


@pytest.mark.parametrize(
    "how",
    [
        InputSpec(channels=1, size=(6, 5), mean=(0.1,), std=(0.5,)),
        InputSpec(channels=3, size=(9, 9), resize="fit", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)),
        InputSpec(channels=3, size=(7, 7), resize="crop", colour_order="bgr", value_range=(0.0, 255.0)),
    ],
)
@pytest.mark.parametrize("colour", [False, True])
def test_what_the_network_is_given_can_be_seen(how: InputSpec, colour: bool) -> None:
    values = np.random.default_rng(3).random((12, 10, 3) if colour else (12, 10)).astype(np.float32)
    picture = MedicalImage.from_array(values)
    given = fed_picture(picture, how)
    assert given.shape == (*how.size, how.channels)
    fed = network_input(picture, how)
    low, high = how.value_range
    mean, std = (np.reshape(each, (-1, 1, 1)) for each in (how.mean, how.std))
    unit = ((fed * std + mean) - low) / (high - low)
    unit = unit[::-1] if how.colour_order == "bgr" else unit
    assert np.abs(given.transpose(2, 0, 1) - np.clip(unit, 0, 1) * 255).max() <= 0.51
    assert fed_window(picture, how) is None or not colour
    assert bool(fed_words(picture, how)) is not colour
