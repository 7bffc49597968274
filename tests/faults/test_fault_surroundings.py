"""The program where others have a home, a language and a terminal, and where it runs twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from checkout import ROOT
from closing_program import program
from factories import make_explanation, make_model
from terminal import Terminal

from engine.bundle.model_bundle import read_bundle
from engine.export import folder
from engine.storage.partial import notes
from engine.storage.places import bundled_tasks
from engine.trust.permission import check_approved

SAMPLES = bundled_tasks() / "IHC Stain (demo)" / "Small CNN" / "samples"
PLACES = tuple(f"XDG_{name}_HOME" for name in ("CACHE", "DATA", "STATE", "CONFIG"))

LACKING: dict[str, dict[str, str | None]] = {
    "no home": {"HOME": None},
    "a home that cannot be written": {"HOME": "/proc/self"},
    "a home that is a file": {"HOME": __file__},
    "another encoding": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no terminal's name": {"TERM": None},
    "a dumb terminal": {"TERM": "dumb"},
}


@pytest.fixture(params=LACKING)
def surroundings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    changes = LACKING[request.param]
    if "HOME" in changes:
        if changes["HOME"] is None and os.geteuid() == 0:
            pytest.skip("root's home is known without the variable, and is not the test's to write in")
        for place in PLACES:  # which stand for the home elsewhere in the tests
            monkeypatch.delenv(place)
    for name, value in changes.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return str(request.param)


def test_the_app_opens_works_and_leaves(surroundings: str, tmp_path: Path) -> None:
    code = program()
    if "TERM" not in os.environ:  # which the test's terminal always sets
        code = f"import os; del os.environ['TERM']\n{code}"
    terminal = Terminal.python(code, tmp_path, dict(os.environ))
    terminal.read_until(b"ready")
    at_home = len(terminal.bytes)
    terminal.press(b"d")
    terminal.read_until(b"ready on", since=at_home)
    terminal.press(b"\x11")
    assert terminal.wait()[0] == 0, surroundings
    assert b"Traceback" not in terminal.bytes
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_lists_its_tasks(surroundings: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xaimed_tui", "tasks"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, b""), surroundings
    assert b"IHC Stain (demo)" in done.stdout


def test_a_picture_is_explained_without_a_home_that_can_be_written_in_any_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in PLACES:
        monkeypatch.delenv(place)
    environment = {**os.environ, "HOME": "/proc/self", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(ROOT)}
    environment.pop("TERM")
    picture = tmp_path / "Präparat.png"
    picture.write_bytes(min(SAMPLES.glob("*.png")).read_bytes())
    command = [sys.executable, "-m", "xaimed_tui", "explain", str(picture), "--task", "IHC Stain (demo)"]
    command += ["--out", "out", "--methods", "rise,gradcam", "--samples", "rise=64", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    (saved,) = (tmp_path / "out").iterdir()
    record = json.loads((saved / "explanation.json").read_text(encoding="ascii"))
    assert set(record["methods"]) == {"rise", "gradcam"}


def at_once(work: Callable[[int], None], count: int) -> None:
    """Run work in as many threads, begun together; raises what any of them raised."""
    begin, raised = threading.Barrier(count), []

    def run(number: int) -> None:
        begin.wait()
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def test_many_who_save_the_same_image_into_one_folder_at_once_all_get_a_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tuple(folder.explanation_files(make_explanation(methods=("rise",))))
    monkeypatch.setattr(folder, "explanation_files", lambda *_, **__: iter(content))
    at_once(lambda _: folder.save_explanation(make_explanation(), tmp_path), 8)
    assert {entry.name for entry in tmp_path.iterdir()} == {"patch", *(f"patch-{number}" for number in range(2, 9))}
    for saved in tmp_path.iterdir():
        assert {file.name: file.read_bytes() for file in saved.iterdir()} == dict(content)
    assert list(notes().iterdir()) == []


TUNES = """
import sys, torch
from engine.acceleration.tuning import tune
def probe(images, precision):
    torch.nn.functional.conv2d(images, torch.ones(4, 3, 3, 3))
print(tune(probe, torch.zeros(1, 3, 24, 24), model="m", device="cpu", asked="auto"))
"""


def test_two_programs_on_one_cache_settle_on_one_tuning_and_leave_nothing_half_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TUNES]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (program.communicate(timeout=120)[0] for program in both)
    assert first == second != ""
    (stored,) = Path(os.environ["XDG_CACHE_HOME"], "xaimed", "tuning").iterdir()
    assert set(json.loads(stored.read_text(encoding="ascii"))) >= {"batch", "precision"}


APPROVES = """
import sys
from pathlib import Path
from engine.trust import permission
from engine.bundle.model_bundle import read_bundle
for path in sys.argv[1:]:
    permission.approve(read_bundle(Path(path)))
"""


def test_two_programs_that_approve_at_once_lose_none_of_the_approvals(tmp_path: Path) -> None:
    models = [make_model(tmp_path / "Task" / f"Model {number}") for number in range(8)]
    halves = (models[::2], models[1::2])
    both = [subprocess.Popen([sys.executable, "-c", APPROVES, *map(str, half)], cwd=ROOT) for half in halves]
    assert [program.wait(timeout=120) for program in both] == [0, 0]
    for model in models:
        check_approved(read_bundle(model))
    data = Path(os.environ["XDG_DATA_HOME"], "xaimed")
    assert not [path.name for path in data.iterdir() if path.name.endswith(".tmp")]
