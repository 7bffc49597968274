"""`--bits`: how many bits of the images' samples are significant, said on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from command_line import Run
from PIL import Image

from engine.storage.places import bundled_tasks

DEMO = ["--task", "IHC Stain (demo)", "--device", "cpu"]
SAMPLE = sorted((bundled_tasks() / "IHC Stain (demo)" / "Small CNN" / "samples").glob("dab-left-half*.png"))[0]


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    """A sample with 12 bits in samples of 16."""
    with Image.open(SAMPLE) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(np.uint16)
    tifffile.imwrite(tmp_path / "twelve.tif", (pixels << 4) | (pixels >> 4), photometric="rgb")
    return tmp_path / "twelve.tif"


def test_without_a_word_a_warning_goes_with_the_answer(xaimed: Run, twelve: Path, tmp_path: Path) -> None:
    status, _, err = xaimed("predict", twelve, *DEMO)
    assert status == 0
    assert f"{twelve}: The highest value is" in err
    assert "--bits 12 or --bits 16" in err
    status, out, _ = xaimed("explain", twelve, *DEMO, "--methods", "gradcam", "--out", tmp_path / "out", "--json")
    (record,) = json.loads(out)
    assert status == 0
    assert (record["image"]["bits_used"], record["image"]["bits_source"]) == (16, "guessed")
    assert any("as in an image of 12 bits" in warning for warning in record["warnings"])
    assert record["image"]["metadata"]["viewing"].startswith("shown with its values divided by 257 ")


def test_bits_give_the_answer_and_the_pictures_of_the_image_of_8_bits(
    xaimed: Run, twelve: Path, tmp_path: Path
) -> None:
    status, out, err = xaimed("predict", twelve, *DEMO, "--bits", "12", "--json")
    assert (status, err) == (0, "")
    (answer,) = json.loads(out)
    (expected,) = json.loads(xaimed("predict", SAMPLE, *DEMO, "--json")[1])
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-3)
    options = ["--methods", "gradcam", "--bits", "12", "--out", tmp_path / "out", "--json"]
    status, out, err = xaimed("explain", twelve, *DEMO, *options)
    assert (status, err) == (0, "")
    (record,) = json.loads(out)
    assert (record["image"]["bits_used"], record["image"]["bits_source"]) == (12, "user")
    assert record["image"]["bit_depth"] == 16
    assert record["warnings"] == []
    assert record["image"]["metadata"]["viewing"].startswith("shown with its values divided by 16.0588 ")
    with Image.open(tmp_path / "out" / "twelve" / "original.png") as shown, Image.open(SAMPLE) as sample:
        difference = np.asarray(shown).astype(int) - np.asarray(sample.convert("RGB")).astype(int)
    assert np.abs(difference).max() <= 1


def test_bits_that_the_values_exceed_are_refused(xaimed: Run, twelve: Path, tmp_path: Path) -> None:
    for command in (["predict"], ["explain", "--methods", "gradcam", "--out", tmp_path / "out"]):
        status, _, err = xaimed(*command, twelve, *DEMO, "--bits", "10")
        assert status == 1
        assert "the 10 bits that --bits says end at 1,023" in err
    assert not (tmp_path / "out").exists()


def test_no_other_number_of_bits_is_possible(xaimed: Run, twelve: Path) -> None:
    for number in ("0", "17", "twelve"):
        assert xaimed("predict", twelve, *DEMO, "--bits", number)[0] == 2
