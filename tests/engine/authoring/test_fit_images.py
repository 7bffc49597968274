"""`models check --fit-images`: what training images look like is written down, and images unlike them get a warning."""

from __future__ import annotations

import errno
import io
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import MODEL_CODE, approve, make_model
from numpy.typing import NDArray
from PIL import Image

from engine.authoring.fit_images import choose_images, fit_after_training
from engine.bundle.fit_npz import Fit, read_fit, signature, write_fit
from engine.bundle.model_bundle import FIT, FIT_LIMIT, read_bundle
from engine.bundle.specs import DicomSpec
from engine.errors import BundleError, ImageError
from engine.images.image import MedicalImage, read_image
from engine.network.classifier import Classifier
from engine.results.caution import Caution
from engine.trust.permission import standing_of

CODE = MODEL_CODE.replace("nn.Conv2d(3, 2, 3)", "nn.Conv2d(3, 2, 3, padding=1)")
SIDE = 24
PATIENTS, OF_EACH = 20, 12


def tissue(rng: np.random.Generator, tint: float) -> NDArray[np.uint8]:
    """A pinkish patch with dark spots; every patient has a tint of its own."""
    coarse = rng.uniform(0, 1, (6, 6))
    smooth = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    colour = np.array([0.8 + tint, 0.55, 0.7 - tint]) - np.array([0.2, 0.3, 0.15]) * smooth[..., None]
    return np.clip(255 * (colour + rng.normal(0, 0.02, (SIDE, SIDE, 3))), 0, 255).astype(np.uint8)


def patient(number: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(number)
    tint = rng.uniform(-0.05, 0.05)
    return [tissue(rng, tint) for _ in range(OF_EACH)]


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a subfolder of images for each patient."""
    folder = tmp_path_factory.mktemp("slides")
    for number in range(PATIENTS):
        (folder / f"patient {number:02}").mkdir()
        for place, pixels in enumerate(patient(number)):
            Image.fromarray(pixels).save(folder / f"patient {number:02}" / f"{place}.png")
    return folder


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    made = make_model(tmp_path / "tasks" / "Lungs" / "CNN", code=CODE)
    toml = made / "model.toml"
    toml.write_text(toml.read_text().replace("[9, 9]", f"[{SIDE}, {SIDE}]"))
    approve(made)
    return made


@pytest.fixture
def fitted(model: Path) -> Path:
    """The model with a `fit.npz`, approved."""
    approve(model)
    images = [pixels for number in range(PATIENTS) for pixels in patient(number)]
    groups = [str(number) for number in range(PATIENTS) for _ in range(OF_EACH)]
    fit_after_training(model, Classifier.load(read_bundle(model), device="cpu").network, images, groups)
    approve(model)
    return model


def warned(classifier: Classifier, path: Path, pixels: NDArray[np.uint8]) -> list[str]:
    Image.fromarray(pixels).save(path)
    warnings = classifier.diagnose(read_image(path)).warnings
    return [str(w) for w in warnings if isinstance(w, Caution) and w.code == "unlike-training"]


def test_images_of_other_patients_pass_and_what_is_none_of_its_business_is_flagged(
    fitted: Path, tmp_path: Path
) -> None:
    classifier, path = Classifier.load(read_bundle(fitted), device="cpu"), tmp_path / "image.png"
    new = [pixels for number in range(100, 110) for pixels in patient(number)]
    assert sum(bool(warned(classifier, path, pixels)) for pixels in new) <= 0.05 * len(new)
    rng = np.random.default_rng(0)
    mask = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    mask[6:15, 8:20] = 255
    strange = {
        "black": np.zeros((SIDE, SIDE, 3), dtype=np.uint8),
        "its mean colour": np.full((SIDE, SIDE, 3), new[0].mean(axis=(0, 1)), dtype=np.uint8),
        "mask": mask,
        "noise": rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        "green": new[0][..., [1, 0, 1]],
        "grey": np.repeat(new[0][..., :1], 3, axis=2),
    }
    assert [name for name, pixels in strange.items() if not warned(classifier, path, pixels)] == []
    (sentence,) = warned(classifier, path, strange["green"])
    assert sentence == (
        "This image is unlike those that the network was fitted with (its colour), so its answer may mean nothing."
    )


def test_the_command_writes_the_fit_and_asks_for_approval_once(xaimed: Run, model: Path, slides: Path) -> None:
    arguments = ("models", "check", "Lungs", "--fit-images", slides, "--write-selftest")
    status, _, err = xaimed(*arguments)
    assert status == 0
    assert f"{PATIENTS * OF_EACH} images of {PATIENTS} groups (by subfolder) in {slides}" in err
    assert f"written: {model / FIT}, from 240 images of 20 groups" in err
    assert err.count("an approval covers every byte") == 1
    assert standing_of(read_bundle(model)).state == "changed"
    assert (model / FIT).stat().st_size < FIT_LIMIT
    approve(model)
    assert xaimed(*arguments, "--yes")[0] == 0
    assert standing_of(read_bundle(model)).state == "approved"
    found = json.loads(xaimed("models", "check", "Lungs", "--json")[1])["fit"]
    assert (found["images"], found["groups"], found["layer"]) == (240, 20, "conv")
    page = xaimed("models", "show", "Lungs", "CNN")[1]
    assert "It knows what its training images look like (240 images of 20 groups)." in page


def test_without_a_fit_nothing_is_said_of_an_image_and_the_check_names_the_command(
    xaimed: Run, model: Path, tmp_path: Path
) -> None:
    assert not warned(
        Classifier.load(read_bundle(model), device="cpu"), tmp_path / "a.png", np.zeros((SIDE, SIDE, 3), np.uint8)
    )
    assert "`xaimed models check --fit-images FOLDER` writes that down." in xaimed("models", "check", "Lungs")[1]


def test_the_answer_is_the_same_with_and_without_a_fit(fitted: Path, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(patient(100)[0]).save(path)
    with_fit = Classifier.load(read_bundle(fitted), device="cpu").diagnose(read_image(path))
    (fitted / FIT).unlink()
    approve(fitted)
    without = Classifier.load(read_bundle(fitted), device="cpu").diagnose(read_image(path))
    assert with_fit.logits.tolist() == without.logits.tolist()


def test_a_fit_of_other_weights_is_not_used_and_that_is_said(xaimed: Run, fitted: Path, tmp_path: Path) -> None:
    torch.save(
        {"conv.weight": torch.zeros(2, 3, 3, 3) + 0.1, "conv.bias": torch.tensor([0.5, 0.0])}, fitted / "weights.pt"
    )
    approve(fitted)
    classifier = Classifier.load(read_bundle(fitted), device="cpu")
    assert classifier.fit is None
    assert any("fit.npz was made for other weights" in sentence for sentence in classifier.assumed)
    assert not warned(classifier, tmp_path / "a.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    assert "It was made for other weights, code or input: not used." in xaimed("models", "show", "Lungs", "CNN")[1]


def test_a_changed_fit_needs_another_approval(fitted: Path) -> None:
    data = bytearray((fitted / FIT).read_bytes())
    data[len(data) // 2] ^= 1
    (fitted / FIT).write_bytes(data)
    assert standing_of(read_bundle(fitted)).state == "changed"
    with pytest.raises(BundleError, match=r"changed: fit.npz"):
        Classifier.load(read_bundle(fitted), device="cpu")


def some_fit(fitted: Path) -> Fit:
    return read_fit((fitted / FIT).read_bytes(), Path(FIT))


def repacked(fit: Fit, **arrays: NDArray[np.generic]) -> bytes:
    """The fit's file with other arrays in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(write_fit(fit))) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = io.BytesIO(old.read(name))
            if (stem := name.removesuffix(".npy")) in arrays:
                content = io.BytesIO()
                np.save(content, arrays[stem])
            new.writestr(name, content.getvalue())
    return buffer.getvalue()


def repacked_raw(fit: Fit, entry: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(write_fit(fit))) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name == f"{entry}.npy" else old.read(name))
    return buffer.getvalue()


def packed_by_lzma(fit: Fit) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(write_fit(fit))) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return buffer.getvalue()


def test_damaged_and_hostile_files_are_refused_in_one_line(fitted: Path) -> None:
    fit = some_fit(fitted)
    whole = write_fit(fit)
    assert whole == (fitted / FIT).read_bytes()
    with np.load(io.BytesIO(whole), allow_pickle=False) as plain:  # numpy reads it, too
        assert int(plain["images"]) == 240
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)})
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean.npy", header.getvalue() + bytes(50_000_000))
    claims = io.BytesIO()
    with zipfile.ZipFile(claims, "w") as archive:
        archive.writestr("mean.npy", header.getvalue())
    bad = {
        "nothing": b"",
        "cut": whole[: len(whole) // 2],
        "a bomb": bomb.getvalue(),
        "a claim": claims.getvalue(),
        "objects": repacked(fit, mean=np.array([{}], dtype=object)),
        "text": repacked(fit, mean=np.array(["a"])),
        "NaN": repacked(fit, mean=fit.mean * np.nan),
        "negative": repacked(fit, covariance=-fit.covariance),
        "another size": repacked(fit, covariance=fit.covariance[:3, :3]),
        "a future version": repacked(fit, version=np.array(99)),
        "a header that ends early": repacked_raw(fit, "mean", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8',"),
        "another packing": packed_by_lzma(fit),
        "a number without end": repacked(fit, images=np.array(np.inf)),
    }
    for data in bad.values():
        with pytest.raises(BundleError) as caught:
            read_fit(data, fitted / FIT)
        assert str(fitted / FIT) in caught.value.message
        assert "--fit-images" in caught.value.message
    refused = 0
    for place in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        try:
            read_fit(bytes(changed), fitted / FIT)  # never another error
        except BundleError:
            refused += 1
    assert refused > 0


def test_too_large_a_fit_is_refused_when_the_bundle_is_read(fitted: Path) -> None:
    (fitted / FIT).write_bytes(bytes(FIT_LIMIT + 1))
    with pytest.raises(BundleError, match=r"fit.npz: the file has 2,000,001 bytes"):
        read_bundle(fitted)


def test_the_same_images_give_the_same_file(fitted: Path) -> None:
    first = (fitted / FIT).read_bytes()
    images = [pixels for number in range(PATIENTS) for pixels in patient(number)]
    groups = [str(number) for number in range(PATIENTS) for _ in range(OF_EACH)]
    fit_after_training(fitted, Classifier.load(read_bundle(fitted), device="cpu").network, images, groups)
    assert (fitted / FIT).read_bytes() == first


def test_a_fit_belongs_to_weights_code_and_input_but_not_to_names(fitted: Path) -> None:
    bundle = read_bundle(fitted)
    assert some_fit(fitted).made_for == signature(bundle)
    assert signature(replace(bundle, name="other")) == signature(bundle)
    fed = [{"layout": "nhwc"}, {"colour_order": "bgr"}, {"value_range": (0.0, 255.0)}]
    for change in ({"resize": "crop"}, {"bits": 12}, {"dicom": DicomSpec(window="minmax")}, *fed):
        assert signature(replace(bundle, input=replace(bundle.input, **change))) != signature(bundle)
    refused = replace(bundle, input=replace(bundle.input, dicom=DicomSpec(modality=("MR",))))
    assert signature(refused) == signature(bundle)  # what is refused changes nothing of what is fed


# Which images belong together


def a_folder(tmp_path: Path, names: list[str]) -> Path:
    folder = tmp_path / "images"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2)).save(folder / name)
    return folder


def test_names_group_images_by_what_stands_before_the_underscore(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, [f"{p}_{i}.png" for p in range(10) for i in range(10)])
    chosen = choose_images(folder, ("a", "b"))
    assert chosen.rule == "by the text before the first _ of their names"
    assert len(set(chosen.groups)) == 10


def test_subfolders_named_like_the_classes_are_not_patients(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, [f"{c}/{p}_{i}.png" for c in "ab" for p in range(10) for i in range(5)])
    chosen = choose_images(folder, ("a", "B"))
    assert len(set(chosen.groups)) == 10


def test_an_expression_names_the_group(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, [f"x-p{p}-{i}.png" for p in range(10) for i in range(10)])
    assert set(choose_images(folder, (), r"-p(\d)-").groups) == set("0123456789")
    with pytest.raises(BundleError, match="does not match 90 of 100 images"):
        choose_images(folder, (), r"-p3-")
    with pytest.raises(BundleError, match="is not a regular expression"):
        choose_images(folder, (), r"(")


def test_a_table_names_the_groups_and_leaves_out_what_it_does_not_name(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, [f"{i}{m}.png" for i in range(100) for m in ("", "_mask")])
    table = tmp_path / "index.csv"
    table.write_text("sample,patient,label\n" + "".join(f"{i},p{i % 9},x\n" for i in range(100)))
    chosen = choose_images(folder, (), str(table))
    assert (len(chosen.images), len(set(chosen.groups)), chosen.left_out) == (100, 9, 100)


def test_a_table_tells_images_of_the_same_name_apart_by_their_subfolders(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, [f"p{p}/{i}.png" for p in range(10) for i in range(10)])
    table = tmp_path / "index.csv"
    table.write_text("".join(f"p{p}/{i},{p}\n" for p in range(10) for i in range(10)))
    assert choose_images(folder, (), str(table)).groups == tuple(str(p) for p in range(10) for _ in range(10))
    table.write_text("".join(f"{i}.png,{p}\n" for p in range(10) for i in range(10)))
    with pytest.raises(BundleError, match=r"puts 0\.png into two groups, 0 and 1"):
        choose_images(folder, (), str(table))


def test_a_subfolder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_folder(tmp_path, [f"p{p}/{i}.png" for p in range(10) for i in range(10)])
    scandir = os.scandir

    def scan(path: str | Path):
        if Path(path).name == "p3":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(ImageError, match=r"p3: the folder cannot be read: permission denied"):
        choose_images(folder, ())


def test_too_few_groups_or_images_are_refused_with_what_is_needed(tmp_path: Path) -> None:
    folder = a_folder(tmp_path, [f"{p}_{i}.png" for p in range(3) for i in range(40)])
    with pytest.raises(BundleError) as caught:
        choose_images(folder, ())
    assert "120 images of 3 groups are too few" in caught.value.message
    assert "at least 100 images of 8 groups (patients); --groups says" in caught.value.message


def test_options_that_need_the_folder_are_wrong_without_it(xaimed: Run, model: Path) -> None:
    status, _, err = xaimed("models", "check", "Lungs", "--groups", "x")
    assert status == 2
    assert "--groups goes with --fit-images" in err


def test_two_images_of_arrays_are_never_taken_for_one() -> None:
    """By the digest a classifier keeps what the methods share; maps of one image were once shown for another."""
    one, other = (MedicalImage.from_array(np.full((4, 4, 1), value, np.uint8)) for value in (1, 2))
    assert "" != one.sha256 != other.sha256
