"""Other packages called `engine`: the command line finds its own, or says in one line what is in its way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT
from factories import MODEL_CODE, make_model
from PIL import Image

SCRIPT = ["-c", "import sys; from xaimed_tui.__main__ import main; sys.exit(main())"]
"""What the console script does."""

OTHERS = {
    "a package": {"engine/__init__.py": "raise SystemExit('another engine')"},
    "a package without __init__.py": {"engine/errors.py": "raise SystemExit('another engine')"},
    "a module": {"engine.py": "raise SystemExit('another engine')"},
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def xaimed(*arguments: str, folder: Path, path: str, start: list[str] = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an image and a model whose code imports a module of the project."""
    Image.new("RGB", (9, 9), "teal").save(tmp_path / "a.png")
    write(tmp_path, {"mine/__init__.py": ""})
    code = f"import mine\n{MODEL_CODE}"
    make_model(tmp_path / "tasks" / "T" / "M", code=code, approved=True)
    return tmp_path


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("start", [SCRIPT, ["-m", "xaimed_tui"]], ids=["script", "module"])
def test_a_project_with_an_engine_of_its_own_is_no_obstacle(other: str, start: list[str], project: Path) -> None:
    write(project, OTHERS[other])
    for path in (f".{os.pathsep}{ROOT}", f"{project}{os.pathsep}{ROOT}"):
        listed = xaimed("--tasks", "tasks", "tasks", "--json", folder=project, path=path, start=start)
        assert (listed.returncode, listed.stderr) == (0, "")
        assert json.loads(listed.stdout)[0]["models"][0]["model"] == "M"


def test_images_are_decoded_and_models_still_import_from_the_path(project: Path) -> None:
    write(project, OTHERS["a package"])
    arguments = ("--tasks", "tasks", "predict", "a.png", "--task", "T", "--json")
    done = xaimed(*arguments, folder=project, path=f".{os.pathsep}{ROOT}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["path"] == "a.png"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package in a folder of its own, as a wheel is installed."""
    site = tmp_path_factory.mktemp("site")
    for name in ("engine", "xaimed_tui"):
        shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    return site


FOREIGN = "def train():\n    pass\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("engine/__init__.py", FOREIGN, "other-engine has replaced this file of XAIMed"),
        ("engine/__init__.py", None, "this file of XAIMed cannot be read: no such file or directory"),
        ("engine/errors.py", FOREIGN, "ImportError: cannot import name 'XAIMedError' from 'engine.errors'"),
        ("engine/text.py", "raise ValueError('\\x1b[2J')", "ValueError: ?[2J"),
        ("engine/cli/tasks.py", "import nothing_of_the_kind", "(No module named 'nothing_of_the_kind')"),
    ],
)
def test_files_of_another_package_among_ours_are_said_in_one_line(
    name: str, text: str | None, said: str, installed: Path, tmp_path: Path
) -> None:
    write(
        installed, {"other_engine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: other-engine\nVersion: 1.0\n"}
    )
    write(installed, {"other_engine-1.0.dist-info/RECORD": "engine/__init__.py,,\n"})
    file = installed / name
    before = file.read_bytes()
    try:
        file.unlink() if text is None else file.write_text(text)
        done = xaimed("tasks", folder=tmp_path, path=str(installed))
    finally:
        file.write_bytes(before)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert said in line
    assert line.startswith("xaimed: ")
    assert line.endswith("; install XAIMed in an environment of its own, for example with pipx")


def test_an_engine_that_was_imported_before_is_said_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"engine/__init__.py": FOREIGN, "sitecustomize.py": "import engine"})
    done = xaimed("--version", folder=tmp_path, path=f"{tmp_path}{os.pathsep}{ROOT}")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert f"another package called engine was imported before XAIMed's own: {tmp_path / 'engine'}" in line
