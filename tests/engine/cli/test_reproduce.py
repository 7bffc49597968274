"""`xaimed reproduce`: a saved explanation is made again, and what differs is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Run
from factories import approve, make_model
from PIL import Image

from engine.errors import ExportError, ImageError
from engine.export.reproduction import find_image, settings_of
from engine.export.saved import read_saved, saved_map
from engine.images.image import read_image

METHODS = ("lime", "rise", "gradcam")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def made(tmp_path: Path, xaimed: Run) -> Path:
    """A folder with `tasks/T/M`, the image `pictures/deep/seen.png` and its explanation in `out/seen`."""
    make_model(tmp_path / "tasks" / "T" / "M", approved=True)
    pictures = tmp_path / "pictures" / "deep"
    pictures.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for name in ("other.png", "seen.png"):
        Image.fromarray(noise.integers(0, 256, (9, 9, 3), np.uint8)).save(pictures / name)
    status, _, err = xaimed(
        *("--tasks", tmp_path / "tasks", "explain", "--task", "T", pictures / "seen.png", "--out", tmp_path / "out"),
        *("--methods", ",".join(METHODS), "--samples", "rise=64,lime=100", "--device", "cpu", "--precision", "fp32"),
    )
    assert status == 0, err
    return tmp_path


def again(xaimed: Run, made: Path, *options: str | Path) -> tuple[int, dict[str, object]]:
    status, out, err = xaimed(
        "--tasks", made / "tasks", "reproduce", made / "out" / "seen", "--device", "cpu", "--json", *options
    )
    return status, json.loads(out) if out else {"error": err}


def change(made: Path, **values: object) -> None:
    """Change entries of the record; a name such as `image__size` is one within another."""
    file = made / "out" / "seen" / "explanation.json"
    record = json.loads(file.read_text())
    for name, value in values.items():
        place, *inner = name.split("__")
        target = record
        while inner:
            target, place = target[place], inner.pop(0)
        if value is None:
            del target[place]
        else:
            target[place] = value
    file.write_text(json.dumps(record))


def test_the_same_image_and_model_give_the_same_to_the_last_bit(made: Path, xaimed: Run) -> None:
    (made / "pictures" / "deep" / "seen.png").rename(made / "pictures" / "deep" / "renamed.png")
    status, answer = again(xaimed, made, "--search", made / "pictures")
    assert (status, answer["identical"], answer["causes"]) == (0, True, {}), answer
    assert str(answer["image"]).endswith("renamed.png")
    assert answer["exact_difference"] == 0.0
    for method in METHODS:
        found = answer["methods"][method]  # type: ignore[index]
        assert [found[key] for key in ("identical", "map_difference", "cell_difference")] == [True, 0.0, 0.0]
        assert found["parameters"] == {}
    status, out, err = xaimed(
        *("--tasks", made / "tasks", "reproduce", made / "out" / "seen" / "explanation.json"),
    )  # the saved picture of the image is found beside the record
    assert (status, err) == (0, "")
    assert "explanation.json: identical" in out
    assert "original.png" in out


def test_another_image_and_another_model_are_named_and_how_far_apart_they_lead(made: Path, xaimed: Run) -> None:
    status, answer = again(xaimed, made, "--image", made / "pictures" / "deep" / "other.png")
    assert (status, answer["identical"], list(answer["causes"])) == (1, False, ["image"])  # type: ignore[call-overload]
    assert answer["exact_difference"] > 0  # type: ignore[operator]
    assert answer["probability_difference"] > 0  # type: ignore[operator]
    assert answer["methods"]["rise"]["map_difference"] > 0.05  # type: ignore[index]

    weights = made / "tasks" / "T" / "M" / "weights.pt"
    torch.save({name: each * 0.01 for name, each in torch.load(weights).items()}, weights)
    approve(weights.parent)
    status, answer = again(xaimed, made, "--search", made / "pictures")
    assert (status, list(answer["causes"])) == (1, ["bundle"])  # type: ignore[call-overload]
    assert answer["probability_difference"] > 0.01  # type: ignore[operator]


def test_what_was_saved_decides_and_not_what_the_model_says_by_now(made: Path, xaimed: Run) -> None:
    change(made, exact=None, schema=None)  # as 0.1.0 wrote it: no schema, and no exact cells to make again
    change(made, methods__lime=None, methods__rise__parameters__samples=32, environment__torch="0.1", voters=["rise"])
    status, answer = again(xaimed, made, "--search", made / "pictures")
    assert status == 1
    assert answer["exact_difference"] is None
    assert set(answer["methods"]) == {"rise", "gradcam"}  # type: ignore[call-overload]
    assert answer["methods"]["rise"]["parameters"] == {}  # type: ignore[index]  # 32 samples again, of another map
    assert answer["methods"]["rise"]["map_difference"] > 0  # type: ignore[index]
    assert answer["methods"]["gradcam"]["identical"] is True  # type: ignore[index]
    assert list(answer["causes"]) == ["versions"]  # type: ignore[call-overload]
    assert "torch 0.1 is " in answer["causes"]["versions"]  # type: ignore[index]


def test_maps_that_cannot_be_made_again_are_no_success(made: Path, xaimed: Run) -> None:
    record = json.loads((made / "out" / "seen" / "explanation.json").read_text())
    change(made, methods__rise__stopped=True, methods__gone=record["methods"]["rise"])
    status, answer = again(xaimed, made, "--search", made / "pictures")
    assert (status, answer["identical"]) == (1, False)
    assert answer["missing"] == {
        "gone": "no such method is installed", "rise": "a person stopped it early, which cannot be repeated"
    }  # fmt: skip

    change(made, methods={"gone": record["methods"]["rise"]})
    status, answer = again(xaimed, made, "--search", made / "pictures")
    assert (status, "gone: no such method is installed" in str(answer["error"])) == (1, True)


def test_a_renamed_model_is_found_by_its_digest(made: Path, xaimed: Run) -> None:
    shutil.move(made / "tasks" / "T", made / "tasks" / "Renamed")
    approve(made / "tasks" / "Renamed" / "M")
    status, answer = again(xaimed, made, "--search", made / "pictures")
    assert (status, answer["identical"]) == (0, True)
    assert "now called Renamed / M" in answer["causes"]["bundle"]  # type: ignore[index]


def test_refusals_are_one_line(made: Path, xaimed: Run) -> None:
    (made / "out" / "seen" / "original.png").unlink()
    for options, cause in (
        ((), "no image with the pixels that were explained is where it lay"),
        (("--search", made / "out"), "no image with the pixels that were explained is in"),
        (("--search", made / "nowhere"), "this is not a folder"),
    ):
        status, answer = again(xaimed, made, *options)
        assert status == 1
        assert cause in str(answer["error"])
        assert str(answer["error"]).count("\n") == 1
    shutil.rmtree(made / "tasks" / "T")
    assert "no task" in str(again(xaimed, made, "--search", made / "pictures")[1]["error"])
    change(made, model__in_memory={"network": "Net"})
    assert "in a program's memory" in str(again(xaimed, made)[1]["error"])


def write_record(tmp_path: Path, **values: object) -> Path:
    """Write a record by hand; `values` are those of `change`."""
    folder = tmp_path / "out" / "seen"
    folder.mkdir(parents=True)
    method = {"parameters": {}, "samples": 0, "stopped": False, "top": [[0, 0]], "cell_means": [[0.5] * 3] * 3}
    (folder / "explanation.json").write_text(
        json.dumps(
            {
                **{"classes": ["a"], "probabilities": [1.0], "predicted": "a", "target": "a", "schema": 2},
                **{"methods": {"rise": method}, "agreement": [[0] * 3] * 3, "settings": {}, "environment": {}},
                "image": {"name": "x.png", "sha256": "0", "size": [9, 9]},
                "model": {"task": "T", "name": "M", "digest": "0"},
            }
        )
    )
    change(tmp_path, **values)
    return folder


@pytest.mark.parametrize(
    ("recorded", "segmentations"),
    [({}, 1), ({"segmentations": 3}, 3), ({"segmentations": 3, "segmentations_wanted": 5}, 5)],
)
def test_lime_splits_its_samples_as_it_did(tmp_path: Path, recorded: dict[str, int], segmentations: int) -> None:
    # Once certain, it had used three of five; before 0.2 there was one, which no record says.
    lime = {"parameters": {"samples": 400, **recorded}, "samples": 240, "top": [], "cell_means": None}
    settings, missing = settings_of(read_saved(write_record(tmp_path, methods={"lime": lime})))
    assert missing == {}
    assert settings.parameters == {"lime": {"samples": 400, "segmentations": segmentations}}


def test_parameters_that_a_map_came_without_are_those_that_were_given(tmp_path: Path) -> None:
    given = {"samples": {"rise": 64}, "parameters": {"rise": {"grid": 5, "probability": 0.25}}}
    folder = write_record(tmp_path, settings=given, methods__rise__parameters={"grid": 9})
    assert settings_of(read_saved(folder))[0].parameters == {"rise": {"samples": 64, "grid": 9, "probability": 0.25}}


def test_a_frame_is_sought_in_files_of_its_name_and_of_others(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="the extra dicom is not installed")
    from dicom_files import write_dicom

    frames = np.random.default_rng(0).integers(0, 4096, (3, 9, 9), np.uint16)
    (tmp_path / "scans").mkdir()
    file = write_dicom(tmp_path / "scans" / "scan.dcm", frames, NumberOfFrames=3)
    (tmp_path / "scans" / "a.png").write_bytes(b"no image")
    second = read_image(file.with_name("scan.dcm#2"))
    folder = write_record(tmp_path, image__name="scan.dcm#2", image__sha256=second.sha256)
    saved = read_saved(folder)
    with pytest.raises(ImageError, match="no image with the pixels that were explained is where it lay"):
        find_image(saved)
    assert find_image(saved, search=tmp_path).path == file.with_name("scan.dcm#2")
    shutil.copy(file, folder / "scan.dcm")
    assert find_image(saved).path == folder / "scan.dcm#2"
    file.rename(file.with_name("renamed"))
    assert find_image(saved, search=file.parent).path == file.with_name("renamed#2")


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"schema": 99}, "a newer XAIMed wrote it"),
        ({"schema": True}, "schema is missing or wrong"),
        ({"image__sha256": None}, "image.sha256 is missing or wrong"),
        ({"image__size": [1]}, "image.size is missing or wrong"),
        ({"probabilities": ["x"]}, "probabilities is missing or wrong"),
        ({"probabilities": [10**400]}, "probabilities is missing or wrong"),
        ({"image__name": ""}, "image.name is missing or wrong"),
        ({"image__bits_source": "user", "image__bits_used": 17}, "image.bits_used is missing or wrong"),
        ({"methods__rise": 3}, "methods.rise"),
        ({"methods__rise__top": [[0, 3]]}, "methods.rise.top is missing or wrong"),
        ({"agreement": [[1, 2, 3]]}, "agreement is missing or wrong"),
        ({"exact": {"fills": {"mean": {"shapley": [1.0]}}}}, "exact.fills.mean.shapley is missing or wrong"),
    ],
)
def test_a_damaged_record_is_refused_by_what_is_wrong(tmp_path: Path, values: dict[str, object], wrong: str) -> None:
    folder = write_record(tmp_path)
    saved = read_saved(folder)
    assert saved.methods["rise"].cell_means == (0.5,) * 9
    assert saved_map(saved, "rise", (9, 9)) is None  # no file beside it
    (folder / "saliency.npz").write_bytes(b"PK\x05\x06damaged")
    assert saved_map(saved, "rise", (9, 9)) is None
    np.savez(folder / "saliency.npz", rise=np.full((9, 9), np.nan, np.float32))
    assert saved_map(saved, "rise", (9, 9)) is None
    change(tmp_path, **values)
    with pytest.raises(ExportError, match=wrong):
        read_saved(folder)
