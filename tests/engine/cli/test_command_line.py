"""The command line without a network: arguments, listings, and failures that need no torch."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from factories import approve
from PIL import Image

import engine
from engine.cli.main import AppRequest, run
from engine.errors import ImageError
from engine.images.decoding.pixels import decode
from engine.images.image import DEFAULT_LIMITS, read_image
from engine.storage.places import bundled_tasks

HEAVY = ("torch", "torchvision", "textual", "skimage", "lime", "pytorch_grad_cam", "matplotlib", "PIL", "numpy", "rich")

Run = Callable[..., tuple[int, str, str]]


def no_app(request: AppRequest) -> int:
    raise AssertionError(f"the app was opened: {request}")


@pytest.fixture
def xaimed(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: exit status, standard output, standard error."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments], open_app=no_app)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def in_own_process(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A tasks folder with one model that can be read, one broken, and one task without models."""
    for name in ("CNN", "Broken"):
        model = tmp_path / "tasks" / "Lungs" / name
        model.mkdir(parents=True)
        (model / "weights.pt").write_bytes(b"weights")
        (model / "architecture.py").write_text("raise SystemExit('this must not run')\n")
        (model / "model.toml").write_text('[input]\nsize = [9, 9]\n[output]\nclasses = ["healthy", "ill"]\n')
        approve(model)
    (model / "weights.pt").unlink()
    (tmp_path / "tasks" / "Lungs" / "task_description.txt").write_text("Healthy or ill?")
    (tmp_path / "tasks" / "Empty").mkdir()
    return tmp_path / "tasks"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((9, 9, 3), dtype=np.uint8)).save(path)
    return path


def test_version_and_engine_import_nothing_heavy() -> None:
    for code in (
        "from xaimed_tui.__main__ import main; sys.argv = ['xaimed', '--version']; main()",
        "import engine; engine.__all__; engine.XAIMedError",
    ):
        done = in_own_process(f"import sys; {code}; print([m for m in {HEAVY} if m in sys.modules])")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"
        assert done.stderr == ""


@pytest.mark.parametrize("words", ["", "tasks", "models", "models check", "trust", "predict", "explain", "doctor"])
def test_help_imports_nothing_heavy(words: str) -> None:
    code = f"import sys; sys.argv = ['xaimed', *{words.split()}, '--help']; from xaimed_tui.__main__ import main; "
    done = in_own_process(f"{code}main(); print([m for m in {HEAVY} if m in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_takes_at_most_eight_times_an_empty_python() -> None:
    command = "import sys; from xaimed_tui.__main__ import main; sys.argv = ['xaimed', '--version']; sys.exit(main())"
    seconds: dict[str, list[float]] = {"pass": [], command: []}
    for _ in range(7):  # in turn, so that a busy machine is busy for both
        for code, times in seconds.items():
            started = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
            times.append(time.perf_counter() - started)
    assert done.stdout.decode().split() == ["xaimed", engine.__version__]
    assert statistics.median(seconds[command]) <= 8 * statistics.median(seconds["pass"])


def test_without_a_command_the_app_opens() -> None:
    opened: list[AppRequest] = []

    def open_app(request: AppRequest) -> int:
        opened.append(request)
        return 7

    assert run([], open_app=open_app) == 7
    assert run(["--tasks", "some/where"], open_app=open_app) == 7
    assert opened == [AppRequest(), AppRequest(tasks=Path("some/where"))]


def test_demo_opens_the_app_on_the_bundled_samples(tmp_path: Path) -> None:
    opened: list[AppRequest] = []
    for arguments in (["demo"], ["--tasks", str(tmp_path), "demo"]):
        assert run(arguments, open_app=lambda request: opened.append(request) or 0) == 0
    samples = bundled_tasks() / "IHC Stain (demo)" / "Small CNN" / "samples"
    assert opened[0] == AppRequest(None, "IHC Stain (demo)", "Small CNN", samples)
    assert opened[1] == AppRequest(bundled_tasks(), "IHC Stain (demo)", "Small CNN", samples), "found where it is"
    assert any(samples.iterdir())


def test_tasks_lists_what_is_usable_and_why_the_rest_is_not(xaimed: Run, library: Path) -> None:
    status, out, err = xaimed("--tasks", library, "tasks")
    assert (status, err) == (0, "")
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]
    assert ["Empty", "(none)", "no", "The task has no models."] in rows
    reason = "There is neither weights.pt nor weights.safetensors, model.onnx or model.torchscript; add the weights."
    assert ["Lungs", "Broken", "no", reason] in rows
    (remarks,) = [row[3] for row in rows if row[:3] == ["Lungs", "CNN", "yes"]]
    assert "channels" in remarks, "what had to be assumed"


def test_tasks_as_json(xaimed: Run, library: Path) -> None:
    status, out, err = xaimed("--tasks", library, "tasks", "--json")
    assert (status, err) == (0, "")
    empty, lungs = json.loads(out)
    assert (empty["task"], empty["models"]) == ("Empty", [])
    assert (lungs["task"], lungs["description"]) == ("Lungs", "Healthy or ill?")
    broken, good = lungs["models"]
    assert (broken["model"], broken["usable"], good["model"], good["usable"]) == ("Broken", False, "CNN", True)
    assert "neither weights.pt" in broken["reason"]
    assert good["reason"] == ""
    assert good["classes"] == ["healthy", "ill"]
    assert good["input"]["size"] == [9, 9]


def test_names_from_the_disk_can_do_nothing_to_the_terminal(xaimed: Run, tmp_path: Path) -> None:
    evil = ["\x1b]52;c;ZXZpbA==\x07", "[red]x", "a\u202eb", ":smile:", "[@click=app.quit]y", "caf\udce9"]
    for name in evil:
        (tmp_path / name / f"M {name}").mkdir(parents=True)
        (tmp_path / name / "task_description.txt").write_bytes(b"\x1b[2J")
    for arguments in (["tasks"], ["tasks", "--json"], ["predict", "a.png", "--task", "\x1b[2J"]):
        _, out, err = xaimed("--tasks", tmp_path, *arguments)
        text = out + err
        assert not any(character in text for character in "\x1b\x07\u202e\udce9")
        assert text.isascii() or arguments != ["tasks", "--json"]
    _, out, _ = xaimed("--tasks", tmp_path, "tasks")
    for shown in ("␛]52;c;ZXZpbA==␇", "[red]x", "a⟨U+202E⟩b", ":smile:", "[@click=app.quit]y", "caf⟨U+DCE9⟩"):
        assert f"M {shown}" in out


def explained(library: Path, *more: str | Path) -> list[str | Path]:
    return ["--tasks", library, "explain", *more, "--task", "Lungs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "cnn"], "no model 'cnn' in the task Lungs; did you mean 'CNN'?"),
        (["--model", "Broken"], "neither weights.pt nor weights.safetensors"),
        ([], "Lungs: the task has 2 models; choose one of 'Broken', 'CNN'"),
        (["--model", "CNN", "--methods", "rise,occlusion"], "no such method: occlusion; choose among lime, rise"),
        (["--model", "CNN", "--target", "dead"], "Lungs/CNN has no class 'dead'; choose one of healthy, ill"),
        (["--model", "CNN", "--samples", "gradcam=5"], "gradcam draws no samples"),
        (["--model", "CNN", "--samples", "rise=1"], "1 samples are not possible for rise"),
        (["--model", "CNN", "--set", "ride.grid=9"], "no such method: ride; choose among lime, rise"),
        (["--model", "CNN", "--set", "rise.gird=9"], "rise has no parameter 'gird'; did you mean 'grid'?"),
        (["--model", "CNN", "--set", "gradcam.grid=9"], "gradcam has no parameter 'grid'"),
        (["--model", "CNN", "--set", "rise.grid=1"], "rise.grid must be a whole number from 2 to 64, not 1"),
        (["--model", "CNN", "--set", "rise.grid=x"], 'rise.grid must be a whole number from 2 to 64, not "x"'),
        (["--model", "CNN", "--set", "rise.estimator=7"], 'rise.estimator must be one of "centred", "paper", not "7"'),
        (["--model", "CNN", "--set", "rise.grid=8", "--set", "rise.grid=9"], "rise.grid is given twice"),
        (["--model", "CNN", "--set", "rise.samples=64", "--samples", "rise=64"], "rise.samples is given twice"),
        (["--model", "CNN", "--seed", "-1"], "-1 is no seed"),
        (["--model", "CNN", "--device", "gpu"], "device gpu: no such device; use auto, cpu or cuda:<number>"),
        (["--model", "CNN", "--out", "{image}"], "{image}: this is not a folder; choose another folder for --out"),
        (["--model", "CNN", "--out", "{image}/x"], "{image}: this is not a folder"),
    ],
)
def test_wrong_input_gives_one_line_and_1_and_leaves_nothing(
    xaimed: Run, library: Path, image: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    filled = [argument.format(image=image) for argument in arguments]
    out = [] if "--out" in filled else ["--out", tmp_path / "results"]
    status, printed, err = xaimed(*explained(library, image), *out, *filled)
    assert (status, printed) == (1, "")
    assert err.startswith("xaimed: ")
    assert err.count("\n") == 1
    assert message.format(image=image) in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "nonsense: this is neither a command nor a folder"),
        (["\x1b[2J"], "neither a command nor a folder"),
        (["tasks", "\x1b[2J"], "invalid choice"),
        (["demo", "\x1b[2J"], "unrecognized arguments: ␛[2J"),
        (["models"], "VERB"),
        (["predict", "--task", "T"], "IMAGE"),
        (["predict", "a.png"], "--task"),
        (["explain", "a.png", "--task", "T"], "--out"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--samples", "rise"], "such as rise=4000,lime=1000"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--samples", "rise=-4"], "such as rise=4000,lime=1000"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--samples", "rise=4,rise=5"], "given twice"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--methods", "rise,"], "separated by commas"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--set", "rise=9"], "such as rise.grid=9"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--set", "rise.grid"], "such as rise.grid=9"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--set", "rise.grid="], "such as rise.grid=9"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--seed", "x"], "--seed"),
        (["explain", "a.png", "--task", "T", "--out", "o", "--precision", "fp64"], "--precision"),
        (
            ["explain", "a.png", "--task", "T", "--out", "o", "--samples", "rise=99", "--until", "certain"],
            "not allowed with",
        ),
    ],
)
def test_wrong_usage_gives_2(xaimed: Run, arguments: list[str], message: str) -> None:
    status, out, err = xaimed(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("usage: xaimed")
    assert message in err
    assert "\x1b" not in err


@pytest.mark.parametrize("command", [[], ["demo"], ["tasks"], ["trust"], ["predict"], ["explain"]])
def test_every_command_has_help(xaimed: Run, command: list[str]) -> None:
    status, out, err = xaimed(*command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith("usage: xaimed")


def test_help_before_a_command_lists_all_commands(xaimed: Run) -> None:
    assert xaimed("--help", "predict") == xaimed("--help")


def test_images_that_all_fail_are_each_reported_before_torch_is_loaded(
    library: Path, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "scan.dcm").write_bytes(b"something")
    (tmp_path / "folder").mkdir()
    names = ("none.png", "empty.png", "pipe.png", "folder", "scan.dcm")
    wrong = [tmp_path / name for name in names]
    for command in (["predict"], ["explain", "--out", str(tmp_path / "results")]):
        arguments = ["--tasks", library, *command, *wrong, "--task", "Lungs", "--model", "CNN"]
        done = in_own_process(
            "import sys; from engine.cli.main import run; "
            "print(run(sys.argv[1:], open_app=None), [m for m in ('torch', 'skimage', 'lime') if m in sys.modules])",
            *map(str, arguments),
        )
        assert done.stdout == "1 []\n"
        reasons = ("no such file", "is empty", "a pipe", "no image in this folder", "WebP, DICOM or NIfTI image")
        lines = done.stderr.splitlines()
        assert len(lines) == len(wrong)
        for line, path, reason in zip(lines, wrong, reasons, strict=True):
            assert line.startswith(f"xaimed: {path}: ")
            assert reason in line
    assert not (tmp_path / "results").exists()


def test_what_a_decoder_writes_to_standard_error_stays_away(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(path, compression="tiff_lzw")
    data = path.read_bytes()
    path.write_bytes(data[:60] + bytes([255] * 200) + data[260:])
    with pytest.raises(ImageError, match="damaged"):
        decode(path.read_bytes(), path, DEFAULT_LIMITS)
    assert capfd.readouterr().err != "", "libtiff says something"
    with pytest.raises(ImageError, match="damaged"):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_a_reader_that_leaves_early_is_no_fault() -> None:
    code = "import sys; from engine.cli.main import run; sys.exit(run(['tasks', '--json'], open_app=None))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("command", [["tasks"], ["tasks", "--json"], ["--version"]])
def test_output_that_cannot_be_written_is_one_line_and_1(command: list[str]) -> None:
    code = f"import sys; from engine.cli.main import run; sys.exit(run({command}, open_app=None))"
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("xaimed: standard output: it cannot be written: no space left")
    assert done.stderr.count("\n") == 1


def test_a_fault_in_the_program_is_one_line_too(xaimed: Run, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folders: object) -> None:
        raise ValueError("wrong \x1b[2J")

    monkeypatch.setattr("engine.cli.tasks.list_tasks", broken)
    status, out, err = xaimed("--tasks", library, "tasks")
    assert (status, out) == (1, "")
    assert err == (
        "xaimed: a fault in the program: ValueError: wrong ␛[2J; set XAIMED_TRACEBACK=1 to see where it arose\n"
    )
    monkeypatch.setenv("XAIMED_TRACEBACK", "1")
    with pytest.raises(ValueError, match="wrong"):
        xaimed("--tasks", library, "tasks")
