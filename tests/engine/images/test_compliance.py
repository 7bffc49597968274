"""Whether an image can be fed to a model, and the reason in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from factories import make_image, make_pixels
from picture_files import GREY, RGB, RGB_ALPHA, write_png
from PIL import Image

from engine.bundle.model_bundle import InputSpec, Resize
from engine.errors import NotCompliantError
from engine.images.compliance import check_compliance, input_warnings, is_grey, why_not_compliant
from engine.images.dicom.facts import DicomFacts
from engine.images.image import Limits, MedicalImage, read_image

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


def grey_as_rgb(path: Path, **options: object) -> Path:
    """A grey picture with detail in it, saved with three channels."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(noise).resize((80, 80), Image.Resampling.BICUBIC))
    Image.fromarray(np.repeat(smooth[..., None], 3, axis=2)).save(path, **options)
    return path


@pytest.mark.parametrize("quality", [1, 10, 40, 75, 95])
@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_grey_image_saved_as_rgb_is_grey_however_it_is_compressed(tmp_path: Path, suffix: str, quality: int) -> None:
    options = {"subsampling": 2} if suffix == ".jpg" else {}
    image = read_image(grey_as_rgb(tmp_path / f"a{suffix}", quality=quality, **options))
    assert image.colour == "rgb"
    assert is_grey(image)


def test_one_faintly_coloured_pixel_makes_an_image_one_in_colour() -> None:
    pixels = np.full((200, 9, 3), 120, dtype=np.float32)
    pixels[199, 8] = (120, 122, 121)
    assert is_grey(make_image(pixels=pixels))
    pixels = pixels.copy()
    pixels[199, 8, 1] = 123
    assert not is_grey(make_image(pixels=pixels))
    assert is_grey(make_image(pixels=pixels * 10, bit_depth=16)), "30 of 65,535"
    assert not is_grey(make_image(pixels=pixels * 11, bit_depth=16)), "33 may be much of 12 bits"
    assert not is_grey(make_image(pixels=make_pixels(top=65535), bit_depth=16))


def codes(image: MedicalImage, spec: InputSpec) -> list[str]:
    return [warning.code for warning in input_warnings(image, spec)]


def test_a_grey_image_for_a_colour_network_carries_a_warning_unless_the_bundle_accepts_it(tmp_path: Path) -> None:
    grey_files = [grey_as_rgb(tmp_path / "a.png"), tmp_path / "b.png"]
    Image.fromarray(np.zeros((80, 80), dtype=np.uint8)).save(grey_files[1])
    colour = picture_in_colour(tmp_path / "c.png")
    size = (80, 80)
    for path in grey_files:
        image = read_image(path)
        assert codes(image, InputSpec(size=size)) == ["colour"]
        assert codes(image, InputSpec(size=size, accept_grey=True)) == []
        assert codes(image, InputSpec(size=size, channels=1)) == []
        for spec in (InputSpec(size=size), InputSpec(size=size, accept_grey=True), InputSpec(size=size, channels=1)):
            check_compliance(image, spec)
    image = read_image(colour)
    assert codes(image, InputSpec(size=size)) == []
    assert codes(image, InputSpec(size=size, channels=1)) == ["colour"]
    assert codes(image, InputSpec(size=size, channels=1, accept_colour=True)) == []


def test_what_the_bundle_refuses_is_refused_by_its_pixels_and_by_its_header_where_that_tells(tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    Image.fromarray(np.zeros((80, 80), dtype=np.uint8)).save(grey)
    as_rgb, colour = grey_as_rgb(tmp_path / "rgb.png"), picture_in_colour(tmp_path / "colour.png")
    stains, slices = (
        InputSpec(size=(80, 80), accept_grey=False),
        InputSpec(size=(80, 80), channels=1, accept_colour=False),
    )
    assert why_not_compliant(grey, stains) == (
        "The image is grey, and the model does not take such images (accept_grey = false); "
        "use a colour image of the kind that the model was made for."
    )
    assert why_not_compliant(as_rgb, stains) == why_not_compliant(colour, stains) == ""
    for path, spec, words in ((grey, stains, "is grey"), (as_rgb, stains, "is grey"), (colour, slices, "is in colour")):
        with pytest.raises(NotCompliantError, match=words) as caught:
            check_compliance(read_image(path), spec)
        assert (caught.value.code, caught.value.subject) == ("colour", str(path))
    for path, spec in ((colour, stains), (grey, slices), (as_rgb, slices)):
        check_compliance(read_image(path), spec)
        assert codes(read_image(path), spec) == []


def picture_in_colour(path: Path) -> Path:
    Image.fromarray(make_pixels(80, 80).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ("height", "width", "resize", "said"),
    [
        (400, 400, "stretch", []),
        (7, 7, "stretch", []),
        (50, 75, "stretch", []),
        (401, 401, "stretch", ["size"]),
        (6, 6, "stretch", ["size"]),
        (50, 76, "stretch", ["shape"]),
        (400, 100, "fit", ["shape"]),
        (400, 100, "crop", ["shape"]),
        (500, 100, "crop", ["shape"]),
        (500, 100, "fit", ["size", "shape"]),
    ],
)
def test_size_and_shape_far_from_the_networks_carry_a_warning(
    height: int, width: int, resize: Resize, said: list[str]
) -> None:
    image = make_image(height=height, width=width)
    assert codes(image, InputSpec(size=(50, 50), resize=resize)) == said
    assert codes(image, InputSpec(size=(height, width), exact_size=True, resize=resize)) == []


@pytest.mark.parametrize(
    ("height", "width", "resize", "sentences"),
    [
        (
            3000,
            4000,
            "stretch",
            ["The image is 4000 x 3000 pixels, 80 times the network's 50 x 50: fine detail is lost by shrinking."],
        ),
        (
            5,
            6,
            "stretch",
            ["The image is 6 x 5 pixels, 10 times smaller than the network's 50 x 50: enlarging adds no detail."],
        ),
        (
            100,
            250,
            "stretch",
            [
                "The image is 250 x 100 pixels, the network's input 50 x 50: "
                "the network sees it 2.5 times narrower than it is."
            ],
        ),
        (
            200,
            50,
            "stretch",
            [
                "The image is 50 x 200 pixels, the network's input 50 x 50: "
                "the network sees it 4 times flatter than it is."
            ],
        ),
        (
            100,
            200,
            "fit",
            ["The image is 200 x 100 pixels, the network's input 50 x 50: 50 % of what the network sees is padding."],
        ),
        (
            300,
            100,
            "crop",
            [
                "The image is 100 x 300 pixels, the network's input 50 x 50: "
                "67 % of the image, on two sides of its centre, is not seen."
            ],
        ),
    ],
)
def test_the_warning_says_what_becomes_of_the_image(
    height: int, width: int, resize: Resize, sentences: list[str]
) -> None:
    image = make_image(height=height, width=width)
    assert list(input_warnings(image, InputSpec(size=(50, 50), resize=resize))) == sentences


@pytest.mark.parametrize(
    ("height", "width", "aspect", "resize", "said"),
    [
        (
            50,
            50,
            2.0,
            "stretch",
            "each 2 times as high as wide, the network's input 50 x 50: the network sees it 2 times f",
        ),
        (
            50,
            50,
            0.5,
            "crop",
            "each 2 times as wide as high, the network's input 50 x 50: the network sees it 2 times n",
        ),
        (
            50,
            50,
            0.5,
            "fit",
            "each 2 times as wide as high, the network's input 50 x 50: the network sees it 2 times n",
        ),
        (100, 50, 0.5, "stretch", ""),
        (100, 50, 1.02, "stretch", "100 pixels, the network's input 50 x 50: the network sees it 2 times flatter than"),
    ],
)
def test_the_shape_that_counts_is_that_of_the_body(
    height: int, width: int, aspect: float, resize: Resize, said: str
) -> None:
    facts = DicomFacts("CT Image", "CT", "MONOCHROME2", 1, 1, height, width, 8, 8, 0.0, 255.0, aspect=aspect)
    image = replace(make_image(height=height, width=width, channels=1), dicom=facts)
    found = [each for each in input_warnings(image, InputSpec(size=(50, 50), resize=resize)) if each.code == "shape"]
    assert [said in each for each in found] == [True] * bool(said)
