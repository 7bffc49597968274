"""The command line on the demo's network and samples: what it prints, writes, and does when something fails."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from factories import approve, make_model
from jsonschema import Draft202012Validator
from PIL import Image

import engine.export
from engine import __version__, find_model, read_image
from engine.explainers.registry import METHODS
from engine.images.image import MedicalImage
from engine.network.classifier import Classifier
from engine.progress import Progress, ProgressCallback
from engine.results.caution import Caution
from engine.results.diagnosis import Diagnosis
from engine.storage.places import bundled_tasks

DEMO = ["--task", "IHC Stain (demo)"]
SAMPLES = bundled_tasks() / "IHC Stain (demo)" / "Small CNN" / "samples"
SCHEMA = json.loads((Path(engine.export.__file__).parent / "schemas" / "predict.json").read_text(encoding="ascii"))
FEW = ["--samples", "rise=64,lime=100", "--device", "cpu", "--precision", "fp32"]
ONE_MAP = ["--methods", "gradcam", "--no-exact"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On a busy machine two threads wait for each other most of the time."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def images() -> list[Path]:
    dab, nuclei = sorted(SAMPLES.glob("dab-left-half*.png"))[0], sorted(SAMPLES.glob("nuclei-left*.png"))[0]
    return [nuclei, dab]  # not in the order of their names


def test_predict_prints_a_list_of_answers_in_the_order_asked(xaimed: Run, images: list[Path]) -> None:
    status, out, err = xaimed("predict", *images, *DEMO, "--json", "--exact")
    assert (status, err) == (0, "")
    answers = json.loads(out)
    assert out.isascii()
    for answer in answers:
        fills = answer["exact"]["fills"]
        assert list(fills) == ["mean", "blur"]
        probability = answer["probabilities"][answer["classes"].index(answer["predicted"])]
        assert fills["mean"]["all"] == pytest.approx(probability, abs=1e-5)
    assert [answer["path"] for answer in answers] == [str(path) for path in images]
    assert [answer["predicted"] for answer in answers] == ["nuclei", "DAB"]
    Draft202012Validator(SCHEMA).validate(answers)
    bundle = find_model((bundled_tasks(),), DEMO[1], None)
    for path, answer in zip(images, answers, strict=True):
        assert answer["model"] == {"task": DEMO[1], "name": "Small CNN"}
        assert answer["digest"] == bundle.digest
        assert answer["image_sha256"] == read_image(path).sha256
        assert (answer["schema"], answer["xaimed"]) == (1, __version__)
        assert (answer["undecided"], answer["warnings"]) == (False, [])
        assert (answer["bits_used"], answer["bits_source"]) == (8, "container")
        assert answer["classes"] == ["DAB", "nuclei", "background"]
        assert sum(answer["probabilities"]) == pytest.approx(1)
        assert answer["confidence"] == "high"


def test_predict_gives_paths_as_they_were_typed_and_refused_images_in_their_place(
    xaimed: Run, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(images[0].read_bytes())
    typed = ["./no.png", ".//a.png", "a.png", str(tmp_path / "a.png"), "./a.png"]
    status, out, _ = xaimed("predict", *typed, *DEMO, "--json")
    assert status == 1
    answers = json.loads(out)
    assert [answer["path"] for answer in answers] == typed
    assert [answer.get("error", {}).get("code") for answer in answers] == ["missing", None, None, None, None]
    status, out, err = xaimed("predict", "no.png", *DEMO, "--json")
    assert (status, err) == (1, "xaimed: no.png: there is no such file; check the path\n")
    (refused,) = json.loads(out)
    assert set(refused) == {"path", "schema", "xaimed", "error"}
    assert refused["error"]["message"] == "no.png: there is no such file; check the path"


def test_a_folder_stands_for_those_of_its_images_that_the_model_takes(
    xaimed: Run, images: list[Path], tmp_path: Path
) -> None:
    study = tmp_path / "study"
    for number, place in ((10, study), (9, study), (2, study / "series 10"), (1, study / "series 9")):
        place.mkdir(exist_ok=True)
        shutil.copy(images[number % 2], place / f"{number}.png")
    (study / "4.png").write_bytes(b"no picture")
    (study / ".hidden").mkdir()
    shutil.copy(images[0], study / ".hidden")
    only, below = study / "9.png", [study / "series 9" / "1.png", study / "series 10" / "2.png"]

    status, out, err = xaimed("predict", study, *DEMO, "--json")
    here = [study / "4.png", only, study / "10.png"]
    assert [answer["path"] for answer in json.loads(out)] == [str(path) for path in here]
    assert json.loads(out)[0]["error"]["code"] == "not-an-image"
    assert (status, err.count("\n")) == (0, 1), "what the model does not take is said, and is no failure"
    assert str(study / "4.png") in err

    out_there = ("--json", "--out", tmp_path / "out")
    status, out, err = xaimed("explain", study, "--recursive", *DEMO, *ONE_MAP, *FEW, *out_there)
    assert [each["image"]["name"] for each in json.loads(out)] == [path.name for path in (*here[1:], *below)]
    assert (status, err.count("\n")) == (0, 1)

    status, out, err = xaimed("predict", below[0], study / "series 11", tmp_path, *DEMO, "--json")
    codes = [answer.get("error", {}).get("code") for answer in json.loads(out)]
    assert (status, codes) == (1, [None, "missing", "no-image"])
    assert "add --recursive" in err


def test_warnings_stand_in_the_table_below_it_and_in_json(
    xaimed: Run, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {
        images[0]: (Caution("size", "It is 9 times as large as the input."), Caution("colour", "It is grey.")),
        images[1]: (Caution("size", "It is 8 times as large as the input."), Caution("colour", "It is grey.")),
    }
    whole = Classifier.diagnose
    monkeypatch.setattr(
        Classifier, "diagnose", lambda self, image: replace(whole(self, image), warnings=said.get(image.path, ()))
    )
    status, out, err = xaimed("predict", *images, *DEMO)
    assert status == 0
    head, first, second = (line.rstrip() for line in out.splitlines() if "Confidence" in line or "high" in line)
    assert head.endswith("  Warnings")
    assert first.endswith("  size, colour")
    assert second.endswith("  size, colour")
    assert out.splitlines()[-3:] == [
        f"size: {images[0]}: It is 9 times as large as the input.",
        f"size: {images[1]}: It is 8 times as large as the input.",
        "colour: It is grey.",
    ]
    assert len(err.splitlines()) == 4
    status, out, _ = xaimed("predict", *images, *DEMO, "--json")
    answers = json.loads(out)
    Draft202012Validator(SCHEMA).validate(answers)
    assert [answer["warnings"] for answer in answers] == [list(said[path]) for path in images]
    assert answers[0]["warning_codes"] == ["size", "colour"]


def test_predict_prints_a_table_for_people(xaimed: Run, images: list[Path]) -> None:
    status, out, err = xaimed("predict", *images, *DEMO, "--exact")
    assert (status, err) == (0, "")
    for path, name in zip(images, ("nuclei", "DAB"), strict=True):
        (line,) = (line for line in out.splitlines() if line.startswith(f"{path}: exact cells of {name}: mean: "))
        assert "; blur: " in line
        assert "; firm: " in line
    rows = [line.split("  ") for line in out.splitlines() if "samples" in line and ": exact cells" not in line]
    assert [row[0].strip() for row in rows] == [str(path) for path in images]
    assert "nuclei" in out
    assert "Warnings" not in out


def test_one_image_that_fails_does_not_stop_the_others_and_gives_1(
    xaimed: Run, images: list[Path], tmp_path: Path
) -> None:
    # The first fails by its header, the second only when it is decoded.
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "cut.png").write_bytes(images[0].read_bytes()[:-30])
    wrong = [tmp_path / "broken.png", tmp_path / "cut.png"]
    status, out, err = xaimed("predict", wrong[0], images[0], wrong[1], images[1], *DEMO, "--json")
    assert status == 1
    answers = json.loads(out)
    Draft202012Validator(SCHEMA).validate(answers)
    assert [answer["path"] for answer in answers] == [str(p) for p in (wrong[0], images[0], wrong[1], images[1])]
    assert ["error" in answer for answer in answers] == [True, False, True, False]
    for i in (0, 2):
        assert answers[i]["error"]["message"] == err.splitlines()[i // 2].removeprefix("xaimed: ")
    assert [line.split(": ")[1] for line in err.splitlines()] == [str(path) for path in wrong]
    status, out, err = xaimed("explain", wrong[1], images[0], *DEMO, *ONE_MAP, "--out", tmp_path / "results", "--json")
    assert status == 1
    assert len(json.loads(out)) == 1
    assert [folder.name for folder in (tmp_path / "results").iterdir()] == [images[0].stem]
    assert err.startswith(f"xaimed: {wrong[1]}: ")


def test_explain_writes_what_it_prints(xaimed: Run, images: list[Path], tmp_path: Path) -> None:
    status, out, err = xaimed("explain", *images, *DEMO, *FEW, "--out", tmp_path / "results", "--json")
    assert (status, err) == (0, "")
    assert out.isascii()
    records = json.loads(out)
    for path, record in zip(images, records, strict=True):
        folder = tmp_path / "results" / path.stem
        assert json.loads((folder / "explanation.json").read_text()) == record
        assert (record["image"]["name"], record["image"]["path"]) == (path.name, path.name)
        assert list(record["methods"]) == list(METHODS)
        assert (record["voters"], record["settings"]["voters"]) == (["lime", "rise", "gradcam", "gradcam++"], "paper")
        assert record["methods"]["rise"]["samples"] == 64
        assert record["methods"]["rise"]["parameters"]["precision"] == "fp32"
        assert sum(sum(row) for row in record["agreement"]) == 12
        assert list(record["exact"]["fills"]) == ["mean", "blur"]
        assert (record["exact"]["passes"], record["settings"]["exact_fills"]) == (1023, None)
        assert set(record["methods"]["rise"]["exact"]) == {"mean", "blur"}
        assert (folder / "exact-cells.png").is_file()
        with np.load(folder / "saliency.npz") as maps, (folder / "statistics.csv").open(newline="") as table:
            rows = list(csv.DictReader(table))
            assert len(rows) == 9 * len(METHODS)
            for row in rows:
                r, c = int(row["row"]), int(row["column"])
                cell = maps[row["method"]][r * 16 : r * 16 + 16, c * 16 : c * 16 + 16].astype(np.float64)
                assert float(row["mean"]) == pytest.approx(cell.mean(), abs=1e-12)
                assert int(row["top"]) == ([r, c] in record["methods"][row["method"]]["top"])


def test_all_methods_vote_where_that_is_asked_for(xaimed: Run, images: list[Path], tmp_path: Path) -> None:
    arguments = ["explain", images[0], *DEMO, "--methods", "gradcam,hirescam", "--out", tmp_path / "results"]
    status, out, err = xaimed(*arguments, "--voters", "all", "--json")
    assert (status, err) == (0, "")
    (record,) = json.loads(out)
    assert (record["voters"], record["settings"]["voters"]) == (["gradcam", "hirescam"], "all")
    assert sum(sum(row) for row in record["agreement"]) == 6
    assert record["exact"] is not None
    status, out, err = xaimed(*arguments, "--no-exact")
    assert (status, err) == (0, "")
    assert "xact cells" not in out
    assert not list((tmp_path / "results" / f"{images[0].stem}-2").glob("exact*"))
    assert "HiResCAM does not vote: it is not among the paper's four methods." in out


def test_explain_prints_a_table_for_people(xaimed: Run, images: list[Path], tmp_path: Path) -> None:
    status, out, err = xaimed(
        "explain", *images, *DEMO, *FEW, "--target", "background", "--fills", "noise", "--out", tmp_path
    )
    assert (status, err) == (0, "")
    for path in images:
        assert f"{path}: " in out
        assert f"Written to {tmp_path / path.stem}" in out
    assert "nuclei, 0." in out
    assert "(high)" in out
    assert "Explained: background, 0." in out
    assert out.count("Exact cells. Hidden by noise: ") == 2
    assert len([line for line in out.splitlines() if line.startswith("RISE: noise: ") and " of 3 shared" in line]) == 2
    for name in ("LIME", "RISE", "Grad-CAM", "Grad-CAM++"):
        assert len([line for line in out.splitlines() if line.split()[:1] == [name]]) == 2
    (record,) = [json.loads((tmp_path / images[0].stem / "explanation.json").read_text())]
    cells = " ".join(f"({row},{column})" for row, column in record["methods"]["rise"]["top"])
    assert cells in out


def test_the_same_command_twice_gives_the_same_maps_in_a_second_folder(
    xaimed: Run, images: list[Path], tmp_path: Path
) -> None:
    for _ in range(2):
        status, _, err = xaimed("explain", images[0], *DEMO, *FEW, "--out", tmp_path)
        assert (status, err) == (0, "")
    first, second = (tmp_path / f"{images[0].stem}{number}" / "saliency.npz" for number in ("", "-2"))
    assert first.read_bytes() == second.read_bytes()


def test_dicom_objects_that_cannot_be_written_are_one_line_each(
    xaimed: Run, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["explain", *images, *DEMO, *ONE_MAP, "--dicom", "--out", tmp_path]
    monkeypatch.setattr("engine.export.dicom.plan.find_spec", lambda name: None)
    status, out, err = xaimed(*asked)
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "written by the package highdicom, and it is not installed; install it: pip install 'xaimed[dicom]'" in err
    monkeypatch.setattr("engine.export.dicom.plan.find_spec", lambda name: object())
    status, _, err = xaimed(*asked)
    assert status == 1
    lines = [line for line in err.splitlines() if "did not come as DICOM" in line]
    assert [line.partition(": no DICOM")[0].rpartition("/")[2] for line in lines] == [path.name for path in images]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.stem for path in images)
    assert not list(tmp_path.rglob("*.dcm"))


def test_explain_writes_where_an_image_lies_only_if_it_is_asked_to(
    xaimed: Run, images: list[Path], tmp_path: Path
) -> None:
    for options, path in ((), images[0].name), (("--full-paths",), str(images[0])):
        out = tmp_path / f"results{len(options)}"
        assert xaimed("explain", images[0], *DEMO, *ONE_MAP, *options, "--out", out)[0] == 0
        record = json.loads((out / images[0].stem / "explanation.json").read_text())
        assert record["image"]["path"] == path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "features.99"], "layer features.99"),
        (["--target", "Dab"], "has no class 'Dab'"),
        (["--device", "cuda:99"], "CUDA"),
    ],
)
def test_what_only_the_network_can_refuse_is_one_line_and_leaves_nothing(
    xaimed: Run, images: list[Path], tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, out, err = xaimed("explain", images[0], *DEMO, *arguments, "--out", tmp_path / "results")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "results").exists()


def test_a_class_that_the_files_do_not_name_is_refused_once_the_network_is_loaded(
    xaimed: Run, images: list[Path], tmp_path: Path
) -> None:
    demo = SAMPLES.parent
    model = tmp_path / "tasks" / "T" / "M"
    model.mkdir(parents=True)
    (model / "weights.pt").write_bytes((demo / "weights.pt").read_bytes())
    code = (demo / "architecture.py").read_text().replace("CLASSES =", "NAMES =")
    (model / "architecture.py").write_text(code)
    approve(model)
    arguments = ["--task", "T", "--methods", "gradcam", "--out", tmp_path / "results"]
    status, _, err = xaimed("--tasks", tmp_path / "tasks", "explain", images[0], *arguments, "--target", "DAB")
    assert status == 1
    assert err.count("\n") == 1
    assert "DAB" in err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", [["predict"], ["explain", *ONE_MAP, "--out", "results"]])
def test_a_fault_in_the_program_on_one_image_does_not_stop_the_others_either(
    command: list[str], xaimed: Run, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Classifier.diagnose

    def broken(self: Classifier, image: MedicalImage) -> Diagnosis:
        if image.path == images[0]:
            raise ZeroDivisionError("division by zero")
        return whole(self, image)

    monkeypatch.setattr(Classifier, "diagnose", broken)
    monkeypatch.chdir(tmp_path)
    status, out, err = xaimed(command[0], *images, *DEMO, *command[1:], "--json")
    what = "a fault in the program: ZeroDivisionError: division by zero; set XAIMED_TRACEBACK=1 to see where it arose"
    assert (status, err) == (1, f"xaimed: {images[0]}: {what}\n")
    assert json.loads(out)[-1]["predicted"] == "DAB"
    if command[0] == "predict":
        Draft202012Validator(SCHEMA).validate(json.loads(out))
        assert json.loads(out)[0]["error"] == {"code": "fault", "message": what}
    monkeypatch.setenv("XAIMED_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        xaimed(command[0], *images, *DEMO, *command[1:])


def test_ctrl_c_ends_with_130_and_one_line_and_leaves_nothing(
    xaimed: Run, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def following(text: str, names: dict[str, str]) -> Iterator[ProgressCallback]:
        del text, names

        def interrupt(report: Progress) -> None:
            del report
            signal.raise_signal(signal.SIGINT)

        yield interrupt

    monkeypatch.setattr("engine.cli.explain.following", following)
    status, out, err = xaimed("explain", *images, *DEMO, *FEW, "--out", tmp_path / "results")
    assert (status, out, err) == (130, "", "xaimed: interrupted\n")
    assert not (tmp_path / "results").exists() or not any((tmp_path / "results").iterdir())


def test_file_names_that_are_not_utf_8_go_through(images: list[Path], tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9 [red]\x1b[2J.png"
    with open(name, "wb") as file:  # noqa: PTH123 - a bytes path
        file.write(images[0].read_bytes())
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "xaimed_tui", "predict", name, *DEMO, *more],
            capture_output=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"\x1b" not in done.stdout
        if more:
            (answer,) = json.loads(done.stdout)
            Draft202012Validator(SCHEMA).validate([answer])
            assert bytes.fromhex(answer["path_bytes"]) == name
            assert answer["path"].endswith("caf⟨U+DCE9⟩ [red]␛[2J.png")
        else:
            assert "caf⟨U+DCE9⟩ [red]␛[2J.png" in done.stdout.decode()


def test_an_image_whose_pixels_turn_out_to_be_grey_is_refused_by_name_and_the_others_are_answered(
    xaimed: Run, images: list[Path], tmp_path: Path
) -> None:
    grey = tmp_path / "grey.png"
    Image.fromarray(np.repeat(np.arange(48 * 48, dtype=np.uint16).astype(np.uint8).reshape(48, 48, 1), 3, 2)).save(grey)
    for command in (["predict"], ["explain", *ONE_MAP, "--out", tmp_path / "out"]):
        status, out, err = xaimed(*command, grey, images[0], *DEMO)
        assert status == 1
        assert err.count("\n") == 1
        assert f"{grey}: the image is grey, and the model does not take such images (accept_grey = false); use a" in err
        assert images[0].name in out


def test_the_table_names_the_kinds_of_warnings_and_what_is_undecided(
    xaimed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAIMED_TASKS", str(tmp_path / "tasks"))
    make_model(tmp_path / "tasks" / "Lungs" / "CNN", approved=True)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(pixels[:, :9]).save(tmp_path / "fits.png")
    _, out, err = xaimed("predict", tmp_path / "grey.png", tmp_path / "fits.png", "--task", "Lungs")
    head, grey, fits = (line for line in out.splitlines() if "Image" in line or ".png" in line)
    assert head.split()[-1] == "Warnings"
    assert grey.rstrip().endswith("colour, size, shape")
    assert "colour" not in fits
    assert err.count(f"{tmp_path / 'grey.png'}: The image is ") == 3
    _, out, err = xaimed("predict", tmp_path / "fits.png", "--task", "Lungs")
    assert ("Warnings" in out, err) == (False, "")
