"""A model's code runs from the approved text alone: nothing beside it is imported, at once or later."""

from __future__ import annotations

import linecache
import os
import py_compile
import sys
from pathlib import Path

import pytest

from engine.errors import BundleError
from engine.trust.execution import run_alone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with a harmless `helper_x.py`, and compiled code of something else that passes for its own."""
    folder = tmp_path / "model"
    folder.mkdir()
    helper = folder / "helper_x.py"
    helper.write_text("raise SystemExit('poison')\n")
    state = helper.stat()
    py_compile.compile(str(helper))
    helper.write_text("harmless = 'aaaaaaaaaa'\nb = 1\n"[: state.st_size].ljust(state.st_size))
    os.utime(helper, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert list((folder / "__pycache__").iterdir())
    return folder


def run_code(folder: Path, code: str) -> object:
    with run_alone(code, folder / "architecture.py", "made_up") as module:
        return module


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.path.insert(0, __file__.rpartition('/')[0]); import helper_x",
        "import sys; sys.path.insert(0, __file__.rpartition('/')[0] + '/../model/.'); import helper_x",
        "import sys; sys.path.insert(0, __file__.rpartition('/')[0] + '/__pycache__'); import helper_x",
        "from . import helper_x",
        "import sys; sys.path.insert(0, __file__.rpartition('/')[0]); import package_x.part",
    ],
)
def test_files_beside_the_code_are_not_imported(folder: Path, code: str) -> None:
    (folder / "package_x").mkdir()
    (folder / "package_x" / "part.py").write_text("raise SystemExit('poison')")
    before = sorted(folder.rglob("*"))
    with pytest.raises(ImportError):
        run_code(folder, code)
    assert sorted(folder.rglob("*")) == before
    assert "helper_x" not in sys.modules


def test_nor_are_they_when_the_network_is_used_later(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = sys.dont_write_bytecode
    module = run_code(folder, "def later():\n import helper_x\n return helper_x")
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(ImportError, match="is in the model folder"):
        module.later()  # type: ignore[attr-defined]
    assert sys.dont_write_bytecode is writes
    assert len([finder for finder in sys.meta_path if type(finder).__name__ == "_Guard"]) == 1


def test_an_installation_inside_the_folder_is_imported_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.trust import execution

    home = folder / "venv"
    home.mkdir()
    (home / "installed_x.py").write_text("value = 1\n")
    monkeypatch.setattr(execution._guard, "_homes", {home})
    monkeypatch.syspath_prepend(str(home))
    module = run_code(folder, "import installed_x")
    assert module.installed_x.value == 1  # type: ignore[attr-defined]
    sys.modules.pop("installed_x")


def test_a_link_that_leads_into_pycache_is_refused(folder: Path) -> None:
    from engine.bundle.digest import take_snapshot

    compiled = next((folder / "__pycache__").iterdir())
    (folder / "helper_y.pyc").symlink_to(compiled)
    with pytest.raises(BundleError, match="a link in a model folder"):
        take_snapshot(folder)


def test_source_that_is_compiled_again_is_the_approved_text(folder: Path) -> None:
    code = "import inspect\ndef answer():\n    return 'approved'\ndef source():\n    return inspect.getsource(answer)\n"
    (folder / "architecture.py").write_text(code.replace("approved", "poisoned"))
    linecache.checkcache()
    with run_alone(code, folder / "architecture.py", "made_up") as module:
        linecache.checkcache()  # as `inspect` does before it looks
        assert module.source() == "def answer():\n    return 'approved'\n"
