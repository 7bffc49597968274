"""`models check --labelled`: how images are read is found by some whose classes are known, or it is not told."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import approve
from PIL import Image
from torch import nn

from engine.authoring.labelled import read_labelled, thinned
from engine.authoring.readings import _Feeder, judge, plausible_readings
from engine.authoring.settings_file import with_input
from engine.bundle.model_bundle import read_bundle
from engine.bundle.specs import InputSpec
from engine.errors import BundleError
from engine.images.image import MedicalImage
from engine.images.preprocessing import network_input
from engine.trust.permission import standing_of
from tests.benchmarks.readings import CASES, SIDE, pictures, small_cases, trained, without_settings

BGR = next(case for case in CASES if case.reading == "BGR, 0..255 less ImageNet's mean")
GREY = next(case for case in CASES if case.reading == "grey, inverted, 0..1")
OVERLAP = 0.4
CLASSES = ("adenoma", "in situ", "no lesion")

CODE = """
from torch import nn

def build_model():
    def stage(before, after):
        return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *stage(3, 12), *stage(12, 24), *stage(24, 24), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 3)
    )
"""


@cache
def bgr_network() -> nn.Module:
    """A network trained in about two seconds with blue first, on values from 0 to 255 less a mean."""
    return trained(BGR, 2, overlap=OVERLAP)


def save_pictures(folder: Path, names: tuple[str, ...] = CLASSES, *, each: int = 10) -> Path:
    """PNGs in a subfolder for each class."""
    for number, (picture, label) in enumerate(zip(*pictures(3 * each, 77, overlap=OVERLAP), strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{number:03}.png")
    return folder


def model_at(folder: Path, toml: str) -> Path:
    model = folder / "tasks" / "Colon" / "CNN"
    model.mkdir(parents=True)
    (model / "architecture.py").write_text(CODE)
    torch.save(bgr_network().state_dict(), model / "weights.pt")
    (model / "model.toml").write_text(toml)
    approve(model)
    return model


BARE = f"""# As it came.
[input]
size = [{SIDE}, {SIDE}]
channels = 3
mean = [0.0, 0.0, 0.0]       # nobody knows
[output]
classes = ["Adenoma", "in-situ", "no_lesion"]
activation = "none"
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    return model_at(tmp_path, BARE)


def test_the_true_reading_ranks_first_and_is_never_excluded() -> None:
    (row,) = small_cases(10, (GREY,), overlap=OVERLAP)
    assert (row["place"], row["kept"]) == (1, True), row


def test_the_lines_to_change_are_printed_and_nothing_is_written_unless_asked(
    xaimed: Run, model: Path, tmp_path: Path
) -> None:
    folder = save_pictures(tmp_path / "labelled")
    status, out, err = xaimed("models", "check", "Colon", "--methods", "gradcam", "--labelled", folder)
    assert (status, err) == (1, "")  # what model.toml leaves to be assumed does not fit
    assert "This reading fits better than all others: BGR, 0..255 less ImageNet's mean." in out
    assert "To read images in that way, set in model.toml:" in out
    assert 'colour_order = "bgr"' in out
    assert "value_range = [0.0, 255.0]" in out
    assert (model / "model.toml").read_text() == BARE
    check = ("models", "check", "Colon", "--methods", "gradcam", "--labelled", folder)
    status, out, err = xaimed(*check, "--write-reading", "--yes")
    assert status == 0
    assert f"written: colour_order, value_range, mean, std under [input] in {model / 'model.toml'}" in err
    text = (model / "model.toml").read_text()
    assert text.startswith("# As it came.\n[input]\n")
    assert "# nobody knows" in text
    found = tomllib.loads(text)["input"]
    assert (found["colour_order"], found["value_range"], found["channels"]) == ("bgr", [0.0, 255.0], 3)
    assert standing_of(read_bundle(model)).state == "approved"
    status, out, err = xaimed(*check, "--json")
    assert status == 0
    found = json.loads(out)["labelled"]
    assert (found["told"], found["contradicts"], found["changes"]) == (True, False, {})
    assert found["readings"][0]["declared"] is True
    assert xaimed(*check, "--write-reading", "--write-selftest")[0] == 2


def test_labels_may_be_in_a_table_and_classes_without_names_are_matched_in_order(
    xaimed: Run, model: Path, tmp_path: Path
) -> None:
    toml = BARE[: BARE.index("[output]")].replace(
        "mean = [0.0, 0.0, 0.0]", 'colour_order = "bgr"\nvalue_range = [0, 255]\nmean = [103.939, 116.779, 123.68]'
    )
    (model / "model.toml").write_text(toml)
    approve(model)
    folder = save_pictures(tmp_path / "labelled", ("a", "b", "c"))
    rows = [f"{path.relative_to(tmp_path).as_posix()},{path.parent.name}" for path in sorted(folder.glob("*/*.png"))]
    (tmp_path / "labels.csv").write_text("file,label\n" + "\n".join(rows) + "\n")
    check = ("models", "check", "Colon", "--methods", "gradcam", "--labelled", tmp_path / "labels.csv")
    status, out, err = xaimed(*check)
    assert (status, err) == (0, "")
    assert "its outputs are taken for the labels in alphabetical order (0 a, 1 b, 2 c)" in out
    assert 'classes = ["a", "b", "c"]' in out
    assert "What model.toml says, or leaves to be assumed, fits better than all other readings." in out


def test_where_the_labels_have_nothing_to_do_with_the_answers_it_is_not_told() -> None:
    network = without_settings(bgr_network(), 3, (SIDE, SIDE), 3)
    images, labels = pictures(30, 5, overlap=OVERLAP)
    labels = list(np.random.default_rng(1).permutation(labels))
    seen = [MedicalImage.from_array(image) for image in images]
    verdict = judge(network, plausible_readings(network.bundle.input, seen), seen, labels)
    assert not verdict.above_guessing
    assert not verdict.told
    assert not verdict.contradicts


def test_readings_that_feed_the_same_numbers_are_one() -> None:
    """Grey images in an RGB file are the same in either order of the colours."""
    grey = [
        MedicalImage.from_array(np.repeat(image.mean(2, keepdims=True), 3, axis=2).astype(np.uint8))
        for image in pictures(9, 3)[0]
    ]
    readings = plausible_readings(InputSpec(size=(SIDE, SIDE)), grey)
    first = readings[0]
    assert first.declared
    assert set(first.alike) == {"RGB, 0..1", "BGR, 0..1"}
    assert not {"crop", "fit"}.intersection(" ".join(reading.said for reading in readings).split(", "))


def test_what_is_computed_once_for_all_readings_is_what_would_be_fed() -> None:
    images = [MedicalImage.from_array(image) for image in pictures(3, 4, shape=(40, 64))[0]]
    feeder = _Feeder(images)
    for reading in plausible_readings(InputSpec(size=(SIDE, SIDE)), images):
        fed = network_input(images[1], reading.spec)
        assert np.allclose(feeder.fed(1, reading.spec), fed, rtol=1e-5, atol=1e-4), reading.said


@pytest.mark.parametrize(
    ("names", "each", "said"),
    [
        (("x", "y", "z"), 4, r"none of its labels \(x, y, z\) is a class of the model"),
        (("adenoma", "adenoma", "adenoma"), 4, "images or more of 1 class only"),
        (CLASSES, 2, "there are 3 images or more of 0 classes only"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path: Path, names: tuple[str, ...], each: int, said: str) -> None:
    folder = save_pictures(tmp_path, names, each=each)
    with pytest.raises(BundleError, match=said):
        read_labelled(folder, CLASSES, named=True)


def test_labels_that_are_numbers_are_outputs_and_others_are_left_out(tmp_path: Path) -> None:
    numbered = read_labelled(save_pictures(tmp_path / "a", ("0", "1", "2"), each=3), CLASSES, named=True)
    assert numbered.labels == (0,) * 3 + (1,) * 3 + (2,) * 3
    assert "numbers of the model's outputs" in numbered.assumed
    named = read_labelled(save_pictures(tmp_path / "b", ("ADENOMA", "In_Situ", "artefact")), CLASSES, named=True)
    assert set(named.labels) == {0, 1}
    assert named.left_out == ("artefact",)


def test_a_slow_network_gets_fewer_images_of_every_class() -> None:
    labels = [0] * 10 + [1] * 10
    assert thinned(labels, 20) == list(range(20))
    kept = thinned(labels, 8)
    assert [labels[row] for row in kept] == [0] * 4 + [1] * 4
    assert len(thinned(labels, 0)) == 6


def test_only_the_keys_asked_for_change_in_a_model_toml(tmp_path: Path) -> None:
    toml = b'[output]\nclasses = ["a", "b"] # mine\n'
    made = with_input(toml, {"mean": (0.5,), "std": (0.5,)}, tmp_path)
    assert made.startswith(toml)
    assert tomllib.loads(made.decode())["input"] == {"mean": [0.5], "std": [0.5]}


def test_a_reading_is_what_its_words_say() -> None:
    images = [MedicalImage.from_array(image) for image in pictures(9, 3)[0]]
    plain = InputSpec(size=(SIDE, SIDE))
    by_name = {reading.said: reading.spec for reading in plausible_readings(plain, images)}
    assert by_name["BGR, 0..255"] == replace(plain, colour_order="bgr", value_range=(0.0, 255.0))
    assert by_name["RGB, inverted, 0..1"] == replace(plain, value_range=(1.0, 0.0))
    caffe = by_name["BGR, 0..255 less ImageNet's mean"]
    assert (caffe.mean, caffe.std) == ((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))
