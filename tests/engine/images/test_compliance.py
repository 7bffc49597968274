"""Whether an image can be fed to a model, and the reason in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_files import GREY, RGB, RGB_ALPHA, write_png
from PIL import Image

from engine.bundle.model_bundle import InputSpec
from engine.errors import NotCompliantError
from engine.images.compliance import check_compliance, why_not_compliant
from engine.images.image import Limits, read_image

EXACT = InputSpec(size=(48, 50), exact_size=True)


def picture(path: Path, height: int, width: int) -> Path:
    Image.fromarray(np.zeros((height, width, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ("height", "width", "spec", "reason"),
    [
        (48, 50, EXACT, ""),
        (
            50,
            48,
            EXACT,
            "The image is 48 x 50 pixels (width x height), and the model takes 50 x 48 only; "
            "resize it to 50 x 48 pixels.",
        ),
        (10, 10, InputSpec(minimum_size=(10, 10)), ""),
        (
            10,
            20,
            InputSpec(minimum_size=(11, 20)),
            "The image is 20 x 10 pixels (width x height), and the model needs at least 20 x 11; "
            "use an image of higher resolution.",
        ),
        (1, 1, InputSpec(), ""),
    ],
)
def test_sizes_are_compared_as_declared(tmp_path: Path, height: int, width: int, spec: InputSpec, reason: str) -> None:
    path = picture(tmp_path / "a.png", height, width)
    assert why_not_compliant(path, spec) == reason
    image = read_image(path)
    if reason:
        with pytest.raises(NotCompliantError) as caught:
            check_compliance(image, spec)
        assert caught.value.message == f"{path}: {reason[0].lower()}{reason[1:-1]}"
    else:
        check_compliance(image, spec)


def test_depth_and_colours_are_no_obstacle(tmp_path: Path) -> None:
    deep = write_png(tmp_path / "deep.png", np.zeros((9, 9), dtype=np.uint16), 16, GREY)
    colour = write_png(tmp_path / "colour.png", np.zeros((9, 9, 3), dtype=np.uint8), 8, RGB)
    for path in (deep, colour):
        for channels in (1, 3):
            assert why_not_compliant(path, InputSpec(channels=channels)) == ""


def test_the_upright_size_counts(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.zeros((50, 48, 3), dtype=np.uint8)).save(tmp_path / "a.jpg", exif=turned)
    assert why_not_compliant(tmp_path / "a.jpg", EXACT) == ""
    assert read_image(tmp_path / "a.jpg").pixels.shape == (48, 50, 3)


def test_only_the_header_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture(tmp_path / "a.png", 48, 50)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("decoded"))
    assert why_not_compliant(path, EXACT) == ""
    alpha = write_png(tmp_path / "b.png", np.zeros((48, 50, 4), dtype=np.uint8), 8, RGB_ALPHA)
    assert why_not_compliant(alpha, EXACT) == "", "whether it is opaque is in the pixels"


@pytest.mark.parametrize("name", ["a.dcm", "a.DICOM", "IM00001"])
def test_dicom_files_are_named_as_such(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(128) + b"DICM" + bytes(64))
    wanted = "DICOM files cannot be read yet; export the image as PNG or TIFF."
    assert why_not_compliant(tmp_path / name, InputSpec()) == wanted
    if "." in name:
        (tmp_path / name).write_bytes(b"old DICOM without a preamble")
        assert why_not_compliant(tmp_path / name, InputSpec()) == wanted


def test_unreadable_files_give_a_sentence_that_is_safe_to_show(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert why_not_compliant(tmp_path / "a.png", InputSpec()) == "The file is empty; export the image again."
    assert why_not_compliant(tmp_path / "b.png", InputSpec()) == "There is no such file; check the path."
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((4, 4), dtype=np.float32))
    assert "floating-point" in why_not_compliant(tmp_path / "c.tif", InputSpec())


def test_a_strip_that_padding_would_blow_up_is_refused(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 1, 20_000)
    assert why_not_compliant(path, InputSpec(size=(50, 50))) == ""
    reason = why_not_compliant(path, InputSpec(size=(50, 50), resize="fit"))
    assert "would have 400,000,000 pixels" in reason
    assert why_not_compliant(path, InputSpec(size=(50, 50), resize="fit"), limits=Limits(pixels=400_000_000)) == ""
