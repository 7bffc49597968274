"""The values of NIfTI slices: those of nibabel's own pipeline, turned as radiologists expect them."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nifti_files import RAS, write_nifti
from pipelines import nibabels, slice_of

from engine.bundle.specs import DicomSpec, InputSpec
from engine.errors import ImageError, NotCompliantError
from engine.images.bits import shown_values, unit_values
from engine.images.compliance import check_compliance, input_warnings, why_not_compliant
from engine.images.dicom.reading import starts_as_dicom
from engine.images.image import MedicalImage, read_header, read_image
from engine.images.nifti.recognising import PLANES, is_volume

GREY = InputSpec(channels=1)
VALUES = (np.arange(3 * 4 * 5).reshape(3, 4, 5) * 531 % 997).astype(np.int16)
SHIPPED = sorted(
    path
    for path in Path(nibabel.__file__).parent.joinpath("tests", "data").iterdir()
    if path.is_file() and is_volume(path.read_bytes()[:348]) and not starts_as_dicom(path)
)


def codes_of(image: MedicalImage, spec: InputSpec = GREY) -> list[str]:
    return [warning.code for warning in input_warnings(image, spec)]


def test_a_volume_stored_in_any_order_gives_the_same_slices_with_the_same_letters(tmp_path: Path) -> None:
    letters = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "H", "F"), "sagittal": ("A", "P", "H", "F")}
    spacing = {"axial": (3, 2), "coronal": (4, 2), "sagittal": (4, 3)}
    middle = {"axial": 3, "coronal": 2, "sagittal": 2}
    for number, (order, signs) in enumerate(product(permutations(range(3)), product((1, -1), repeat=3))):
        stored = VALUES.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
        affine = np.zeros((4, 4))
        affine[3, 3] = 1
        for axis, (whither, sign) in enumerate(zip(order, signs, strict=True)):
            affine[whither, axis] = RAS[whither, whither] * sign
        path = write_nifti(tmp_path / ("a.nii" if number % 2 else "a.nii.gz"), stored, affine)
        for plane in PLANES:
            image = read_image(path.with_name(f"{path.name}#{plane}:{middle[plane]}"))
            assert np.array_equal(image.pixels[..., 0], slice_of(VALUES, plane, middle[plane])), (order, signs)
            facts = image.nifti
            assert facts is not None
            assert facts is image.scan
            assert (facts.letters, facts.spacing) == (letters[plane], spacing[plane])
            assert facts.aspect == pytest.approx(spacing[plane][0] / spacing[plane][1])
            assert (image.height, image.width) == (facts.rows, facts.columns)
    turned = RAS.copy()
    turned[:3, :3] = [[2, 0.9, 0], [-0.9, 2, 0], [0, 0, 4]]
    oblique = read_image(write_nifti(tmp_path / "o.nii", VALUES, turned).with_name("o.nii#axial:1")).nifti
    assert oblique is not None
    assert oblique.letters == ("RP", "LA", "AR", "PL")


def test_every_kind_of_number_has_the_values_that_nibabel_gives(tmp_path: Path) -> None:
    for number, kind in enumerate(("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")):
        for order, slope, inter in (("<", 1.0, 0.0), (">", 1.0, 0.0), ("<", 0.37, -5.25), ("<", 0.0, 9.0)):
            stored = (VALUES % 127).astype(f"{order}{kind}")
            path = write_nifti(tmp_path / "a.nii", stored, scl_slope=slope, scl_inter=inter, two=bool(number % 2))
            image = read_image(path.with_name("a.nii#axial:2"))
            expected = slice_of(nibabel.load(path).get_fdata(), "axial", 2)
            assert np.array_equal(image.pixels[..., 0], expected), (kind, order, slope)
            assert image.value_range[0] <= image.pixels.min() <= image.pixels.max() <= image.value_range[1]
            assert image.bit_depth == 8 * stored.dtype.itemsize
            if kind in ("u1", "u2") and slope in (0.0, 1.0):
                assert image.array.dtype == stored.dtype.newbyteorder("=")


@pytest.mark.filterwarnings("ignore")
def test_every_file_of_nibabels_is_refused_with_a_reason_or_has_the_values_of_its_pipeline() -> None:
    shown, refused = 0, []
    for path in SHIPPED:
        try:
            facts = read_header(path.with_name(f"{path.name}#axial:1:1")).nifti
        except ImageError as error:
            refused.append((path.name, error.code))
            continue
        assert facts is not None
        theirs = nibabels(path)
        shown += 1
        for plane, volume in product(PLANES, {1, theirs.shape[3]}):
            for index in {1, facts.of.count(plane)}:
                expected = slice_of(theirs[..., volume - 1], plane, index)
                named = path.with_name(f"{path.name}#{plane}:{index}:{volume}")
                if np.isfinite(expected).all():
                    assert np.array_equal(read_image(named).pixels[..., 0], expected), named
                else:
                    with pytest.raises(ImageError, match="some of its values are no numbers"):
                        read_image(named)
    assert shown >= 6
    assert set(refused) >= {
        ("analyze.hdr", "unsupported"),
        ("nifti1.hdr", "unsupported"),
        ("nifti2.hdr", "unsupported"),
        ("row_major.dconn.nii", "no-pixels"),
        ("test.mgz", "unsupported"),
    }


def test_colours_are_read_and_must_be_opaque(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 256, (3, 4, 2, 4)).astype(np.uint8)
    for channels in (3, 4):
        raw[..., 3] = 255
        kind = np.dtype([(name, "u1") for name in "RGBA"[:channels]])
        stored = np.ascontiguousarray(raw[..., :channels]).view(kind)[..., 0]
        path = write_nifti(tmp_path / f"c{channels}.nii.gz", stored)
        image = read_image(path.with_name(f"{path.name}#axial:2"))
        assert image.colour == "rgb"
        assert np.array_equal(image.pixels, raw[::-1, ::-1, 1, :3].swapaxes(0, 1))
        assert image.nifti is not None
        assert (image.nifti.windows, image.bit_depth) == ((), 8)
        assert "window" not in codes_of(image, InputSpec())
    raw[0, 0, 0, 3] = 9
    write_nifti(tmp_path / "t.nii", raw.view(kind)[..., 0])
    with pytest.raises(ImageError, match="parts of the picture are transparent"):
        read_image(tmp_path / "t.nii#axial:1")


def test_one_slice_needs_no_name_and_several_volumes_need_a_number(tmp_path: Path) -> None:
    flat = write_nifti(tmp_path / "flat.nii", VALUES[:, :, :1])
    assert np.array_equal(read_image(flat).pixels[..., 0], slice_of(VALUES[:, :, :1], "axial", 1))
    plane = write_nifti(tmp_path / "plane.nii", VALUES[:, :, 2])  # of two dimensions only
    assert np.array_equal(read_image(plane).pixels[..., 0], slice_of(VALUES, "axial", 3))
    two = np.stack([VALUES, VALUES + 1], axis=3)
    path = write_nifti(tmp_path / "two.nii.gz", two)
    image = read_image(tmp_path / "two.nii.gz#coronal:4:2")
    assert np.array_equal(image.pixels[..., 0], slice_of(VALUES + 1, "coronal", 4))
    assert (image.metadata["slice"], image.metadata["volume"]) == ("coronal 4 of 4", "2 of 2")
    for name, code, words in (
        ("", "stack", r"holds 5 axial slices in each of 2 volumes; name one, such as two\.nii\.gz#axial:3:1"),
        ("#coronal", "stack", r"4 coronal slices .* such as two\.nii\.gz#coronal:2:1"),
        ("#axial:2", "stack", r"such as two\.nii\.gz#axial:2:1"),
        ("#axial:6:1", "frame", "it has 5 axial slices, and no axial slice 6; name one from 1 to 5"),
        ("#axial:1:3", "frame", "it has 2 volumes, and no volume 3"),
        (
            "#3",
            "frame",
            "no slice of it; name one of #axial:1:1 to #axial:5:2, #coronal:1:1 to #coronal:4:2 or #sagittal:1:1",
        ),
        ("#side:1", "frame", "behind the # stands no slice of it; name one of #axial:1:1 to #axial:5:2"),
        ("#axial:0", "frame", "behind the # stands no slice of it"),
    ):
        for read in (read_image, read_header):
            with pytest.raises(ImageError, match=words) as caught:
                read(path.with_name(path.name + name))
            assert caught.value.code == code


def test_values_go_through_the_window_that_the_file_or_the_model_names(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", VALUES, cal_min=100, cal_max=600, scl_slope=2.0).with_name("a.nii#axial:1")
    image = read_image(path)
    values = slice_of(VALUES * 2.0, "axial", 1)
    np.testing.assert_allclose(unit_values(image, GREY)[..., 0], np.clip((values - 100) / 500, 0, 1), atol=1e-6)
    assert shown_values(image, GREY).max() == 255
    assert "window" not in codes_of(image)
    fixed = InputSpec(channels=1, dicom=DicomSpec(window="fixed", centre=50.0, width=100.0))
    np.testing.assert_allclose(unit_values(image, fixed)[..., 0], np.clip(values / 100, 0, 1), atol=1e-6)
    spread = InputSpec(channels=1, dicom=DicomSpec(window="minmax"))
    low, high = values.min(), values.max()
    np.testing.assert_allclose(unit_values(image, spread)[..., 0], (values - low) / (high - low), atol=1e-6)
    write_nifti(tmp_path / "a.nii", VALUES, cal_min=600, cal_max=600)
    assert "window" in codes_of(read_image(path))


def test_what_the_header_leaves_open_is_said(tmp_path: Path) -> None:
    image = read_image(write_nifti(tmp_path / "a.nii", VALUES, None).with_name("a.nii#axial:1"))
    assert image.nifti is not None
    assert (image.nifti.letters, image.metadata["edges"]) == (None, "not known")
    assert "left may be right" in " ".join(image.warnings)
    made = nibabel.Nifti1Image(VALUES, RAS)
    made.header.set_xyzt_units("mm")
    made.set_qform(RAS @ np.diag([-1.0, 1, 1, 1]), code=1)
    nibabel.save(made, tmp_path / "b.nii")
    disputed = read_image(tmp_path / "b.nii#axial:1")
    assert codes_of(disputed)[0] == "orientation"
    assert "(sform and qform)" in disputed.warnings[0]
    assert disputed.nifti is not None
    assert disputed.nifti.letters == ("R", "L", "A", "P"), "sform goes first"
    units = read_image(write_nifti(tmp_path / "c.nii", VALUES, xyzt_units=0).with_name("c.nii#coronal:1")).nifti
    assert units is not None
    assert (units.spacing, units.aspect) == (None, 2.0)
    mr = InputSpec(channels=1, dicom=DicomSpec(modality=("MR",)))
    assert "modality" in codes_of(image, mr)
    assert "modality" not in codes_of(image)


def test_maps_and_labels_are_no_images_that_a_device_took(tmp_path: Path) -> None:
    for intent, words in ((1002, "a map of labels"), (3, "a statistical map"), (1007, "a field of vectors")):
        path = write_nifti(tmp_path / "a.nii", VALUES, intent_code=intent).with_name("a.nii#axial:1")
        assert why_not_compliant(path, GREY) == f"This is {words}, not an image that a device took; choose an image."
        with pytest.raises(NotCompliantError, match=words) as caught:
            check_compliance(read_image(path), GREY)
        assert caught.value.code == "modality"
